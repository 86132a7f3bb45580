"""The SQLite engine keeps the contract; and what is SQLite's own: history in its tables, its file, its errors."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.catalog import open_catalog
from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.errors import CatalogError, ConstraintError, InvalidInput
from catalogkit.model import Check, Layout, Outcome, to_us
from tests.catalog.contract import CatalogContract
from tests.catalog.desk import DAY, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.catalog.desk import Connect, New


class Hasty(SQLiteCatalog):
    """An engine that does not wait for the disk."""

    synchronous = "OFF"


@pytest.fixture
def new(tmp_path: Path) -> New:
    """Makes catalogs in the test's folder; nothing waits for the disk."""
    folders = (tmp_path / str(number) for number in itertools.count())

    @contextlib.contextmanager
    def make() -> Iterator[Connect]:
        path = next(folders) / "catalog.sqlite"

        def connect(*, busy_seconds: float = 60) -> SQLiteCatalog:
            return Hasty(path, create=True, as_of=NOW, busy_seconds=busy_seconds)

        yield connect

    return make


class TestSQLite(CatalogContract):
    """The contract, on SQLite."""


@pytest.fixture
def desk(new: New) -> Any:
    with new() as connect, contextlib.closing(connect()) as catalog:
        yield Desk(catalog)


# -- history -----------------------------------------------------------------------------------------------------


def history(desk: Desk, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """What a table's history says: how each version ended, when, by what, in which run; and the columns asked for."""
    names = ", ".join(("op", "ended_us", "operation", "by_run", *columns))
    return desk.catalog.rows(f"SELECT {names} FROM {table}_history ORDER BY hid")  # type: ignore[attr-defined]


@pytest.mark.parametrize("create", [True, False])
def test_a_pipe_is_not_waited_for(tmp_path: Path, create: bool) -> None:
    """Something that is no file where the catalog should lie is refused at once."""
    os.mkfifo(tmp_path / "catalog.sqlite")
    with pytest.raises(CatalogError, match=r"is not a file|there is no catalog"):
        SQLiteCatalog(tmp_path / "catalog.sqlite", create=create, as_of=NOW)


def test_history_of_documents(desk: Desk) -> None:
    """A change and a deletion leave the whole old row, with the time, the operation and the run that ended it."""
    document_id = desk.put_one("one", run_id="first")
    desk.put(desk.entry("two", run_id="second"), as_of=NOW + DAY, run_id="r2")
    desk.forget(document_id, NOW + 2 * DAY)
    assert history(desk, "documents", "id", "sha256", "run_id", "changed_us") == [
        ("update", to_us(NOW + DAY), "ingest", "r2", document_id, sha("one"), "first", to_us(NOW)),
        ("delete", to_us(NOW + 2 * DAY), "apply", PLAN, document_id, sha("two"), "second", to_us(NOW + DAY)),
    ]


def test_history_of_blobs(desk: Desk) -> None:
    """Every state a blob was in from its first life on is kept; being incoming is not, its intents tell of that."""
    desk.forget(desk.put_one(), NOW + DAY)
    desk.condemn("one", NOW + 2 * DAY)
    desk.stage(desk.entry(), as_of=NOW + 3 * DAY)
    assert history(desk, "blobs", "sha256", "state", "changed_us") == [
        ("update", to_us(NOW + 2 * DAY), "apply", PLAN, sha("one"), "live", to_us(NOW)),
        ("update", to_us(NOW + 3 * DAY), "stage", "", sha("one"), "condemned", to_us(NOW + 2 * DAY)),
    ]
    desk.catalog.abandon(desk.stage(desk.entry("never came")))
    assert len(history(desk, "blobs")) == 2


def test_history_of_locations(desk: Desk) -> None:
    """A copy that is dropped leaves what it was; a check of it is no change."""
    desk.put(desk.entry("one", key="data/x", layout=Layout.REFERENCE))
    desk.check("one", Outcome.OK, NOW)
    assert history(desk, "locations") == []
    desk.put(desk.entry("two", key="data/x", layout=Layout.REFERENCE), as_of=NOW + DAY, run_id="r2")
    assert history(desk, "locations", "key", "sha256", "outcome") == [
        ("delete", to_us(NOW + DAY), "ingest", "r2", "data/x", sha("one"), "missing")
    ]


def test_history_of_holds(desk: Desk) -> None:
    """A hold that was released is remembered as it was in force."""
    hold = desk.catalog.place_hold("case 7", document_id=desk.put_one(), placed_by="ann", as_of=NOW)
    desk.catalog.release_hold(hold, as_of=NOW + DAY)
    assert history(desk, "holds", "reason", "placed_by", "released_us") == [
        ("update", to_us(NOW + DAY), "release hold", "", "case 7", "ann", None)
    ]


def test_sightings_are_no_history(desk: Desk) -> None:
    """Touching and seeing documents again leaves no versions, however often."""
    document_id = desk.put_one()
    desk.put_one()
    desk.catalog.touch([document_id], as_of=NOW + DAY)
    assert history(desk, "documents") == []


def test_history_of_another_programs_change(desk: Desk) -> None:
    """What somebody changes with a tool of their own is in history, too: from outside, now, in no run."""
    desk.put_one()
    path = desk.catalog.path  # type: ignore[attr-defined]
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE documents SET run_id = 'mine'")
        (now,) = db.execute("SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)").fetchone()
    ((op, ended_us, operation, by_run),) = history(desk, "documents")
    assert (op, operation, by_run) == ("update", "outside", "")
    assert abs(now - ended_us) < 3_600_000_000


def test_a_transaction_leaves_no_name_behind(desk: Desk) -> None:
    """After a transaction, whole or failed, nobody counts as writing."""
    document_id = desk.put_one()
    with pytest.raises(ConstraintError):
        desk.put(desk.entry("two", key=""))
    desk.catalog.touch([document_id], as_of=NOW)
    assert desk.catalog.rows("SELECT * FROM txn") == [(1, None, None, None)]  # type: ignore[attr-defined]


def test_accesses_are_kept(desk: Desk) -> None:
    """Each document, time and kind is a row, with bytes if known."""
    document_id = desk.put_one()
    desk.catalog.record_accesses([(document_id, NOW, "read", 3), (document_id, NOW + DAY, "open", None)])
    rows = desk.catalog.rows("SELECT document_id, at_us, kind, bytes FROM accesses ORDER BY at_us")  # type: ignore[attr-defined]
    assert rows == [(document_id, to_us(NOW), "read", 3), (document_id, to_us(NOW + DAY), "open", None)]


# -- the file and its errors -------------------------------------------------------------------------------------


def test_a_commit_outlives_a_power_cut(tmp_path: Path) -> None:
    """A catalog is opened in WAL mode with full syncs, with references and REPLACE triggers in force."""
    catalog = open_catalog("sqlite:///c.sqlite", base=tmp_path, create=True, as_of=NOW)
    settings = {
        name: catalog.rows(f"PRAGMA {name}")[0][0]  # type: ignore[attr-defined]
        for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
    }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}
    catalog.close()


def test_the_url_names_the_file(tmp_path: Path) -> None:
    """The URL of an open catalog opens the same one from anywhere, also where the path has hostile characters."""
    base = tmp_path / "a folder?mode=memory#100%41 ü"
    with contextlib.closing(open_catalog("sqlite:///c d.sqlite", base=base, create=True, as_of=NOW)) as catalog:
        with contextlib.closing(open_catalog(catalog.url, base=tmp_path, as_of=NOW)) as again:
            assert again.identity == catalog.identity
        assert (base / "c d.sqlite").is_file()


def test_an_unknown_kind_of_url_is_refused(tmp_path: Path) -> None:
    """A URL of no engine is bad input, and its password is not repeated (hazard 63)."""
    with pytest.raises(InvalidInput, match="mysql") as caught:
        open_catalog("mysql://me:pa@ss@host/db", base=tmp_path, as_of=NOW)
    assert "ss" not in str(caught.value).replace("sqlite:///", "")


def test_a_full_disk_is_told_and_loses_nothing(desk: Desk) -> None:
    """Where the file cannot grow, the batch is undone, and the error says what is wrong."""
    desk.put_one()
    desk.catalog._db.execute("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]
    with pytest.raises(CatalogError, match="no room left"):
        desk.put(*(desk.entry(f"content {number}", f"artifact {number}") for number in range(500)))
    desk.catalog._db.execute("PRAGMA max_page_count = 100000")  # type: ignore[attr-defined]
    assert desk.catalog.totals()["documents"] == 1
    assert desk.put_one("two", "b")


def test_a_value_of_a_wrong_type_is_bad_input(desk: Desk) -> None:
    """What SQLite cannot take as a value is refused as input, never as a driver's error."""
    with pytest.raises(InvalidInput):
        desk.catalog.touch([object()], as_of=NOW)  # type: ignore[list-item]
    with pytest.raises(InvalidInput):
        desk.catalog.find(resolver="\ud800")
    with pytest.raises(InvalidInput):
        desk.catalog.document(2**63)


def test_an_interrupted_transaction_is_undone(desk: Desk) -> None:
    """Ctrl-C inside a transaction undoes it like an error would."""
    document_id = desk.put_one()

    def checks() -> Any:
        yield Check(location_id=desk.location(), sha256=sha("one"), checked_at=NOW, outcome=Outcome.OK)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.catalog.record_checks(checks())
    assert desk.catalog.last_check_id() == 0
    desk.catalog.touch([document_id], as_of=NOW)


@pytest.mark.parametrize("page", [1, 5, 20])
def test_damage_is_told_not_believed(tmp_path: Path, page: int) -> None:
    """A file with overwritten pages is reported, by an error of ours or by `integrity`, never by a driver's error."""
    path = tmp_path / "c.sqlite"
    with contextlib.closing(SQLiteCatalog(path, create=True, as_of=NOW)) as catalog:
        Desk(catalog).put_one()
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xff" * 4096)
    try:
        with contextlib.closing(SQLiteCatalog(path, as_of=NOW)) as catalog:
            assert catalog.integrity() != []
    except CatalogError as problem:
        assert "restore" in str(problem) or "damaged" in str(problem)


def test_integrity_names_broken_references(desk: Desk) -> None:
    """A reference to nothing, made by a tool that does not mind, is found."""
    desk.put_one()
    path = desk.catalog.path  # type: ignore[attr-defined]
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE documents SET sha256 = zeroblob(32)")
    (problem,) = desk.catalog.integrity()
    assert problem == "row 1 of documents refers to a row of blobs that is not there"
