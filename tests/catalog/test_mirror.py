"""The mirror: equal to the catalog after every refresh, readable at any time, and worth nothing that is not in it."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from catalogkit.catalog.answers import plain
from catalogkit.catalog.mirror import FORMAT, Mirror
from catalogkit.catalog.mirroring import TABLES
from catalogkit.catalog.sql.feed import Feed
from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.model import Digest, Outcome, mirrored
from catalogkit.stats import dedup_totals
from tests.catalog.contract_contents import told
from tests.catalog.desk import DAY, NOW, PLAN, Desk, relaxed, sha
from tests.luck import examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.catalog.contract import Catalog


class Hasty(SQLiteCatalog):
    """An engine that does not wait for the disk."""

    synchronous = "OFF"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with contextlib.closing(Hasty(tmp_path / "catalog.sqlite", create=True, as_of=NOW)) as catalog:
        yield Desk(catalog)


def of_three(desk: Desk, folder: Path) -> Mirror:
    """The mirror of a catalog of three documents, two of which share their content."""
    for content, name in (("one", "a"), ("one", "b"), ("three", "c")):
        desk.put_one(content, name, resolver="pmc", fetched_at=NOW - DAY)
    return Mirror(desk.catalog, folder)


@pytest.fixture
def mirror(desk: Desk, tmp_path: Path) -> Mirror:
    """A mirror of this test alone."""
    return of_three(desk, tmp_path / "mirror")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """A mirror for all who only ask."""
    top = tmp_path_factory.mktemp("asked")
    with contextlib.closing(Hasty(top / "catalog.sqlite", create=True, as_of=NOW)) as catalog:
        yield of_three(Desk(catalog), top / "mirror")


def ask(mirror: Mirror, query: str, parameters: Any = None, **more: Any) -> list[tuple[Any, ...]]:
    return mirror.sql(query, parameters, as_of=NOW, **more).frame.rows()


def truth(catalog: Catalog, table: str) -> pl.DataFrame:
    """What the mirror should have of a table."""
    frame = catalog.frame(table)
    if table == "documents":
        return frame.drop("seen_at")
    if table == "blobs":
        lies = pl.col("sha256").is_in(catalog.frame("locations")["sha256"].implode())
        return frame.filter((pl.col("state") != "incoming") | lies)
    return frame


def assert_equal(mirror: Mirror, catalog: Catalog) -> None:
    """The mirror has what the catalog has, and the same figures come from both."""
    expected_totals = dedup_totals(catalog.frame("documents"), catalog.frame("locations"))
    with mirror.figures(as_of=NOW) as figures:
        assert figures.totals == expected_totals
    with mirror._reading(NOW) as (db, _):
        for table in TABLES:
            expected = truth(catalog, table)
            order = expected.columns[0]
            names = ", ".join(expected.columns)
            found = plain(db.execute(f"SELECT {names} FROM {table} ORDER BY {order}").pl())
            assert_frame_equal(found, expected.sort(order))
        waits = db.execute("SELECT sha256 FROM blobs WHERE garbage_since IS NOT NULL AND state = 'live'").fetchall()
    assert {row[0] for row in waits} == set(catalog.garbage(as_of=NOW + 99 * DAY)["sha256"])


# -- asking ------------------------------------------------------------------------------------------------------


def test_questions_in_sql(asked: Mirror) -> None:
    """Sums are whole numbers, digests hex, times UTC; values are bound by place or by name."""
    assert ask(asked, "SELECT resolver, count(*), sum(bytes) FROM documents GROUP BY 1") == [("pmc", 3, 11)]
    assert ask(asked, "SELECT sha256, refs, objects, stores FROM blobs WHERE refs > ?", [1]) == [
        (str(sha("one")), 2, 1, 1)
    ]
    assert ask(asked, "SELECT id FROM documents WHERE artifact_id = $name", {"name": "c'; DROP"}) == []
    assert ask(asked, "SELECT min(fetched_at) FROM documents") == [(NOW - DAY,)]
    assert ask(asked, "SELECT date_trunc('day', created_at) FROM documents LIMIT 1") == [(NOW.replace(hour=0),)]


def test_an_empty_catalog_can_be_asked(desk: Desk, tmp_path: Path) -> None:
    """Tables without rows have their columns."""
    mirror = Mirror(desk.catalog, tmp_path / "mirror")
    for table in TABLES:
        frame = mirror.sql(f"SELECT * FROM {table}", as_of=NOW).frame
        assert frame.height == 0
        assert dict(frame.select(list(mirrored(table))).schema) == mirrored(table)


@pytest.mark.parametrize(
    "query, message",
    [
        ("SELECT * FROM read_text('{file}')", "disabled by configuration"),
        ("COPY documents TO '{file}'", "disabled by configuration"),
        ("ATTACH '{file}' AS other", "disabled by configuration"),
        ("SELECT * FROM '{file}'", "disabled by configuration"),
        ("INSTALL httpfs", "disabled by configuration"),
        ("SET enable_external_access = true", "locked"),
        ("SET memory_limit = '1TB'", "locked"),
        ("DELETE FROM documents", "read-only"),
        ("DROP TABLE documents", "read-only"),
        ("INSERT INTO about VALUES ('x')", "read-only"),
        ("SELECT nothing FROM documents", "nothing"),
        ("SELECT 1; SELECT 2", "one SQL statement"),
        ("", "one SQL statement"),
        ("SELEC 1", "no SQL"),
        ("SELECT ?", "parameters"),
        ("SELECT max(created_at) - min(created_at) FROM documents", r"epoch\(...\)"),
        ("SELECT 170141183460469231731687303715884105727::HUGEINT AS big", "big has a number of more than 38 digits"),
        ("SELECT [-170141183460469231731687303715884105727::HUGEINT] AS big", "big has a number"),
        ("SELECT DATE 'infinity' AS ends", "ends has a time outside the years 1 to 9999"),
        ("SELECT TIMESTAMP '-infinity' AS began", "began has a time outside"),
        ("SELECT TIMESTAMPTZ 'infinity' AS ends", "ends has a time outside"),
        ("SELECT {'a': [DATE 'infinity', NULL]} AS nested", "nested has a time outside"),
        ("SELECT TIMESTAMP '20000-01-01' AS far", "far has a time outside"),
    ],
)
def test_what_cannot_be_asked(asked: Mirror, tmp_path: Path, query: str, message: str) -> None:
    """No file, no network, no setting, no change; each refusal is one clear error, and the mirror stays as it is."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with pytest.raises(InvalidInput, match=message):
        ask(asked, query.replace("{file}", str(secret)))
    assert secret.read_text() == "a\n1\n"
    assert ask(asked, "SELECT count(*) FROM documents") == [(3,)]


def test_the_ends_of_what_a_frame_holds(asked: Mirror) -> None:
    """Numbers of 37 digits, the first and the last day of the calendar, and nothing at all are answered."""
    query = "SELECT 9999999999999999999999999999999999999::HUGEINT, DATE '0001-01-01', DATE '9999-12-31'"
    ((number, first, last),) = ask(asked, query)
    assert (int(number), first, last) == (10**37 - 1, date.min, date.max)
    assert ask(asked, "SELECT NULL::HUGEINT, NULL::DATE, NULL::TIMESTAMP, []::DATE[]") == [(None, None, None, [])]


# -- keeping up --------------------------------------------------------------------------------------------------


def test_a_refresh_takes_in_every_kind_of_change(desk: Desk, mirror: Mirror) -> None:
    """New, changed, forgotten and recalled documents, checks, condemned and purged blobs, holds on nothing."""
    catalog = desk.catalog
    assert_equal(mirror, catalog)
    steps: list[Any] = [
        lambda: desk.put_one("four", "d"),
        lambda: desk.put_one("five", "a", resolver="pmc", fetched_at=NOW, as_of=NOW + DAY),
        lambda: desk.check("three", Outcome.MISSING),
        lambda: desk.check("three", Outcome.OK, NOW + DAY),
        lambda: desk.forget(3),
        lambda: desk.condemn("three"),
        lambda: desk.put_one("three", "again"),
        lambda: desk.forget(2),
        lambda: desk.condemn("one"),
        lambda: desk.put(desk.at("one.pdf", "five", "e", inode=7), desk.at("two.pdf", "five", "f", inode=7)),
        lambda: desk.stage(desk.entry("coming", "g")),
        lambda: desk.put_one("old", "a", resolver="pmc", fetched_at=NOW - 9 * DAY, in_order=False),
        lambda: catalog.record_contents([(sha(one), told(title=one)) for one in ("one", "five")], as_of=NOW),
        lambda: catalog.record_contents([(sha("one"), told(authors=("A", "B"), encrypted=True))], as_of=NOW),
    ]
    for step in steps:
        step()
        assert_equal(mirror, catalog)
    with catalog.hand(PLAN, as_of=NOW) as hand:
        hand.drop_copies([(sha("one"), desk.store_id, catalog.locations_of(sha("one"))[0].key)])
    assert_equal(mirror, catalog)
    assert ask(mirror, "SELECT title FROM contents") == [("five",)], "what is purged has nothing inside any more"
    with catalog.hand(PLAN, as_of=NOW) as hand:
        assert hand.recall(3, sha("three")) == ""
    assert_equal(mirror, catalog)


@examples(5, relaxed)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["put", "put", "late", "forget", "recall", "check", "condemn", "purge", "link", "inside", "look"]
            ),
            st.sampled_from("abc"),
            st.sampled_from(["one", "two", "three"]),
        ),
        min_size=5,
        max_size=20,
    )
)
def test_after_any_changes_the_mirror_is_the_catalog(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, str]]
) -> None:
    """Random changes, looked at now and then and at the end, by refreshes alone: never built anew."""
    top = tmp_path_factory.mktemp("any")
    with contextlib.closing(Hasty(top / "catalog.sqlite", create=True, as_of=NOW)) as catalog:
        desk, mirror, clock = Desk(catalog), Mirror(catalog, top / "mirror"), NOW
        mirror.refresh(as_of=NOW)
        first = _about(mirror)["first_bytes"]
        for what, name, content in changes:
            clock += timedelta(seconds=1)
            mine = catalog.frame("documents").filter(artifact_id=name)
            if what == "put":
                desk.put_one(content, name, as_of=clock, fetched_at=clock)
            elif what == "late":
                desk.put_one(content, name, as_of=clock, fetched_at=NOW - DAY, in_order=False)
            elif what == "link":
                desk.put(
                    desk.at(f"{name}.pdf", content, f"{name}{content}", inode=5), as_of=clock
                ) if not catalog.holders(desk.store_id, [f"docs/{name}.pdf"]) else None
            elif what == "forget" and mine.height:
                desk.forget(mine["id"][0], clock)
            elif what == "recall":
                gone = catalog.frame("document_versions").filter(artifact_id=name, operation="apply")
                if gone.height:
                    with catalog.hand(PLAN, as_of=clock) as hand:
                        hand.recall(gone["document_id"][-1], Digest.parse(gone["sha256"][-1]))
            elif what == "check" and catalog.locations_of(sha(content)):
                desk.check(content, Outcome.MISSING if name == "a" else Outcome.OK, clock)
            elif what == "condemn" and desk.state(content) == "live":
                desk.condemn(content, clock)
            elif what == "purge" and desk.state(content) == "condemned":
                with catalog.hand(PLAN, as_of=clock) as hand:
                    for copy in catalog.locations_of(sha(content)):
                        hand.drop_copies([(sha(content), desk.store_id, copy.key)])
            elif what == "inside":
                catalog.record_contents([(sha(content), told(title=name, authors=(name, content)))], as_of=clock)
            elif what == "look":
                assert_equal(mirror, catalog)
        assert_equal(mirror, catalog)
        assert _about(mirror)["first_bytes"] == first


def _about(mirror: Mirror) -> dict[str, Any]:
    return json.loads(ask(mirror, "SELECT told FROM about")[0][0])


def test_without_changes_nothing_is_written(mirror: Mirror) -> None:
    """A refresh of an unchanged catalog leaves the file it finds; a sighting is no change."""
    ask(mirror, "SELECT 1")
    before = {path.name: path.stat().st_mtime_ns for path in mirror.folder.glob("*.duckdb")}
    mirror.catalog.touch([1], as_of=NOW + DAY)
    ask(mirror, "SELECT 1")
    assert {path.name: path.stat().st_mtime_ns for path in mirror.folder.glob("*.duckdb")} == before


@pytest.mark.parametrize("how", ["deleted", "damaged", "truncated", "another version", "another catalog"])
def test_a_mirror_that_is_no_good_is_made_anew(desk: Desk, mirror: Mirror, how: str) -> None:
    """Losing the mirror loses nothing: whatever became of its file, the next question is answered."""
    ask(mirror, "SELECT 1")
    (path,) = mirror.folder.glob("*.duckdb")
    if how == "deleted":
        shutil.rmtree(mirror.folder)
    elif how == "damaged":
        path.write_bytes(b"no database" * 1000)
    elif how == "truncated":
        os.truncate(path, 5000)
    else:
        with contextlib.closing(duckdb.connect(str(path))) as db:
            about = json.loads(db.execute("SELECT told FROM about").fetchall()[0][0])
            about |= {"format": FORMAT + 1} if how == "another version" else {"catalog": "other"}
            db.execute("UPDATE about SET told = ?", [json.dumps(about)])
            db.execute("DELETE FROM documents")
    assert_equal(mirror, desk.catalog)
    if how != "deleted":
        assert ask(mirror, "SELECT count(*) FROM documents", refresh=False) == [(3,)]


def test_a_restored_catalog_is_noticed(desk: Desk, mirror: Mirror, tmp_path: Path) -> None:
    """After an older catalog took its place and went on as far, the mirror is not continued but made anew."""
    saved = tmp_path / "saved.sqlite"
    desk.catalog.rows("VACUUM INTO ?", (str(saved),))  # type: ignore[attr-defined]
    desk.put_one("lost", "lost")
    assert_equal(mirror, desk.catalog)
    with contextlib.closing(Hasty(saved, as_of=NOW)) as catalog:
        other = Mirror(catalog, mirror.folder)
        assert_equal(other, catalog)
        Desk(catalog).put_one("other", "other", as_of=NOW + DAY)
        assert_equal(other, catalog)


def test_a_restored_catalog_with_as_many_rows_is_noticed(desk: Desk, mirror: Mirror, tmp_path: Path) -> None:
    """Also where the numbers are the same and only the rows are others."""
    saved = tmp_path / "saved.sqlite"
    desk.catalog.rows("VACUUM INTO ?", (str(saved),))  # type: ignore[attr-defined]
    desk.put_one("lost", "lost")
    assert_equal(mirror, desk.catalog)
    with contextlib.closing(Hasty(saved, as_of=NOW)) as catalog:
        Desk(catalog).put_one("other", "other", as_of=NOW + DAY)
        assert_equal(Mirror(catalog, mirror.folder), catalog)


def test_many_changes_are_cheaper_from_nothing(desk: Desk, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where much changed, or deleted rows took over, the mirror is built anew instead."""
    ask(mirror, "SELECT 1")
    monkeypatch.setattr("catalogkit.catalog.mirror.GROWN", -1e9)
    desk.put_one("four", "d")
    before = _about(mirror)
    assert before["documents"] == 4
    assert_equal(mirror, desk.catalog)


# -- together ----------------------------------------------------------------------------------------------------


def test_a_reader_goes_on_while_the_mirror_is_refreshed(desk: Desk, mirror: Mirror) -> None:
    """Who reads sees one moment to the end; a refresh waits for nobody."""
    ask(mirror, "SELECT 1")
    with mirror._reading(NOW) as (db, _):
        desk.put_one("four", "d")
        assert ask(mirror, "SELECT count(*) FROM documents") == [(4,)]
        assert db.execute("SELECT count(*) FROM documents").fetchall() == [(3,)]
    assert len(list(mirror.folder.glob("*.duckdb"))) == 1


def test_while_another_refreshes_the_answer_says_as_of_when(desk: Desk, mirror: Mirror) -> None:
    """Nobody waits for a refresh by somebody else: the answer is from before, and says so."""
    mirror.refresh(as_of=NOW)
    desk.put_one("four", "d")
    with mirror._lock(wait=True):
        answer = mirror.sql("SELECT count(*) FROM documents", as_of=NOW + DAY)
    assert (answer.frame.rows(), answer.as_of, answer.stale) == ([(3,)], NOW, True)
    answer = mirror.sql("SELECT count(*) FROM documents", as_of=NOW + DAY)
    assert (answer.frame.rows(), answer.as_of, answer.stale) == ([(4,)], NOW + DAY, False)


def test_unrefreshed_it_is_as_it_was(desk: Desk, mirror: Mirror) -> None:
    """Asked not to refresh, it answers as of its last refresh."""
    mirror.refresh(as_of=NOW)
    desk.put_one("four", "d")
    answer = mirror.sql("SELECT count(*) FROM documents", refresh=False, as_of=NOW + DAY)
    assert (answer.frame.rows(), answer.as_of, answer.stale) == ([(3,)], NOW, True)


SHOWN = """
import sys
from pathlib import Path

sys.ps1 = ">>> "  # as it is where somebody types, and in every kernel
import duckdb
from catalogkit.catalog.mirror import _open, _written

asked = "SELECT current_setting('enable_progress_bar')"
path = Path(sys.argv[1])
assert duckdb.connect().execute(asked).fetchall() == [(True,)]
with _written(path) as db:
    assert db.execute(asked).fetchall() == [(False,)]
with _open(path) as db:
    assert db.execute(asked).fetchall() == [(False,)]
"""


def test_no_bar_is_drawn_where_a_notebook_asks(tmp_path: Path) -> None:
    """What is long, be it written or read, writes nothing on a kernel's standard output, which is its command's."""
    said = subprocess.run([sys.executable, "-c", SHOWN, tmp_path / "a.duckdb"], capture_output=True, text=True)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_several_ask_while_somebody_writes(desk: Desk, mirror: Mirror) -> None:
    """Threads that ask, each with a refresh, while documents come in: never an error, never a step back."""
    problems: list[BaseException] = []
    done = threading.Event()

    def asker() -> None:
        last = 0
        try:
            while not done.is_set():
                ((count,),) = ask(mirror, "SELECT count(*) FROM documents")
                assert count >= last
                last = count
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=asker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(12):
        desk.put_one("more", f"more {number}")
    done.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert_equal(mirror, desk.catalog)


_KILLED = """
import sys
from pathlib import Path
from catalogkit.catalog import mirror as module
from catalogkit.catalog import mirroring
from catalogkit.catalog.sqlite import SQLiteCatalog
from tests.catalog.desk import NOW
import os, signal
def die(*given):
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "half way":
    mirroring._count = die
else:
    module.os.rename = die
module.Mirror(SQLiteCatalog(Path(sys.argv[1]), as_of=NOW), Path(sys.argv[2])).refresh(as_of=NOW)
"""


@pytest.mark.parametrize("when", ["half way", "just before it is published"])
@pytest.mark.parametrize("first", [True, False])
def test_a_crash_leaves_the_mirror_before(desk: Desk, mirror: Mirror, tmp_path: Path, when: str, first: bool) -> None:
    """A process that is killed leaves the file from before, or none; what it began is cleaned up by the next one."""
    if not first:
        mirror.refresh(as_of=NOW)
        desk.put_one("four", "d")
    command = [sys.executable, "-c", _KILLED, str(tmp_path / "catalog.sqlite"), str(mirror.folder), when]
    assert subprocess.run(command, check=False).returncode == -9
    assert list(mirror.folder.glob("*.part"))
    # What does not fit into memory goes into a folder, which stays, too.
    (mirror.folder / "1.part.spilled").mkdir()
    (mirror.folder / "1.part.spilled" / "duckdb_temp_storage").write_bytes(b"spilled")
    if not first:
        assert ask(mirror, "SELECT count(*) FROM documents", refresh=False) == [(3,)]
    assert_equal(mirror, desk.catalog)
    assert not list(mirror.folder.glob("*.part*"))


def test_contents_that_look_alike_are_told_apart(desk: Desk, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where contents have one key, which numbers of 64 bits may, they are found by all their digits instead."""
    monkeypatch.setattr("catalogkit.catalog.mirroring._KEY", "ascii(sha256)::UBIGINT % 2")
    for number in range(9):
        desk.put_one(f"content {number}", f"document {number}")
    assert_equal(mirror, desk.catalog)
    desk.put_one("content 1", "another")
    desk.forget(5)
    assert_equal(mirror, desk.catalog)


def test_what_a_catalog_cannot_be_read_for(desk: Desk, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the catalog while it is read ahead is told as such, and leaves the mirror as it was."""
    mirror.refresh(as_of=NOW)
    desk.put_one("four", "d")

    def rows(feed: Any, table: str) -> Iterator[pl.DataFrame]:
        if table == "locations":
            raise CatalogError("the disk with the catalog is gone")
        yield from real(feed, table)

    real = Feed.rows
    with monkeypatch.context() as broken:
        broken.setattr(Feed, "rows", rows)
        with pytest.raises(CatalogError, match="disk with the catalog is gone"):
            mirror.refresh(as_of=NOW)
    assert not list(mirror.folder.glob("*.part*"))
    assert_equal(mirror, desk.catalog)


def test_a_disk_that_takes_no_more(mirror: Mirror, desk: Desk) -> None:
    """A mirror that cannot be written is one clear error and leaves nothing half-made; with room it goes on."""
    assert ask(mirror, "SELECT count(*) FROM documents") == [(3,)]
    desk.put_one("four", "d")
    before = sorted(path.name for path in mirror.folder.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        for anew in (True, False):
            with pytest.raises(CatalogError, match="cannot be written"):
                mirror.refresh(as_of=NOW, anew=anew)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(path.name for path in mirror.folder.iterdir()) == before
    assert ask(mirror, "SELECT count(*) FROM documents") == [(4,)]
