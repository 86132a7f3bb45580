"""What bulk ingest into a server rests on: how lists travel, that its triggers go by keys, what it leaves alone."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from catalogkit.catalog.postgres import PostgresCatalog, migrations
from catalogkit.catalog.rows import SourceStat
from catalogkit.model import to_us
from tests.catalog.desk import DAY, NOW, Desk, sha

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pg import Blanks, Server

MANY = 5000


@pytest.fixture
def url(pg_blanks: Blanks) -> Iterator[str]:
    """The address of an empty catalog."""
    with pg_blanks.lent() as lent:
        yield lent


@pytest.mark.parametrize(
    "given",
    [
        [], [sha("a")], [sha("a"), sha("b"), sha("a")], [sha("a"), None], [b"short", sha("a")], [b""], [b"\0" * 32],
        [b"x" * 31, b"y" * 33],
    ],
)  # fmt: skip
def test_lists_of_bytes_arrive_as_they_are(url: str, given: list[bytes | None]) -> None:
    """Digests go in one piece; what is no digest, and what is nothing, goes as ever."""
    with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
        sql = "SELECT one, length(one) FROM unnest(?::bytea[]) WITH ORDINALITY u (one, n) ORDER BY n"
        assert catalog.rows(sql, (given,)) == [(one, None if one is None else len(one)) for one in given]


@pytest.mark.parametrize("given", [[1, 2, 1 << 62], [], ["a", "ä", 'with "quotes"', "NULL"]])
def test_other_lists_arrive_as_they_are(url: str, given: list[Any]) -> None:
    """Numbers and texts."""
    with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
        kind = "bigint[]" if given[:1] == [1] else "text[]"
        assert catalog.rows(f"SELECT * FROM unnest(?::{kind})", (given,)) == [(one,) for one in given]


def test_a_batch_is_counted_by_its_keys(url: str) -> None:
    """A session that began with an empty catalog does not read all blobs for each batch once there are many."""
    with psycopg.connect(url, autocommit=True) as db, psycopg.connect(url, autocommit=True) as other:
        other.execute("SET session_replication_role = replica")  # which would also have `db` plan anew
        # As in a new database that nobody has looked at: what is known of its size decides which plans are made.
        for table in ("blobs", "documents"):
            other.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
            other.execute("SELECT pg_clear_relation_stats('public', %s)", [table])

        def fill(first: int, count: int) -> None:
            other.execute(
                "INSERT INTO blobs (sha256, bytes, media_type, state, created_us, changed_us)"
                f" SELECT sha256(n::text::bytea), 1, 'text/plain', 'live', 0, 0"
                f" FROM generate_series({first}, {first + count - 1}) n"
            )

        def documents(numbers: list[int]) -> None:
            db.execute(
                "INSERT INTO documents (tenant, artifact_id, source_url, resolver, variant, sha256, content_type,"
                " run_id, created_us, changed_us, seen_us)"
                " SELECT 'default', n::text || clock_timestamp(), 'u', '', '', sha256(n::text::bytea), '', '', 0, 0, 0"
                " FROM unnest(%s::int[]) n",
                [numbers],
            )

        fill(0, 20)
        for number in range(8):  # a plan that fits any batch is made after the fifth
            documents([number, number + 1])
        fill(20, MANY)
        with db.transaction():
            documents([1, 1, MANY, MANY + 1])
            changed = "UPDATE documents SET sha256 = sha256('7') WHERE sha256 = sha256(%s::text::bytea)"
            db.execute(changed, [str(MANY)])
            db.execute("DELETE FROM documents WHERE sha256 = sha256(%s::text::bytea)", [str(MANY + 1)])
            read = db.execute("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = 'blobs'").fetchone()
        assert read is not None and read[0] < MANY / 2
        refs = "SELECT refs FROM blobs WHERE sha256 = sha256(%s::text::bytea)"
        assert [db.execute(refs, [str(n)]).fetchone() for n in (1, 7, MANY, MANY + 1)] == [(4,), (3,), (0,), (0,)]


BLOB = (
    "INSERT INTO blobs (sha256, bytes, media_type, state, refs, garbage_since_us, created_us, changed_us)"
    " VALUES (sha256('new'), 1, 'text/plain', {}, 0, 0)"
)
PLACE = (
    "INSERT INTO locations (store_id, key, layout, sha256, created_us, changed_us)"
    " SELECT id, 'new', 'reference', sha256('new'), 0, 0 FROM stores"
)
DOCUMENT = (
    "INSERT INTO documents (tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id,"
    " created_us, changed_us, seen_us) VALUES ('default', 'new', 'u', '', '', sha256('new'), '', '', 0, 0, 0)"
)


@pytest.mark.parametrize(
    ("before", "begins", "right"),
    [
        ([PLACE, DOCUMENT], "'live', 1, NULL", True),
        ([PLACE], "'live', 0, 5", True),
        ([], "'incoming', 0, NULL", True),
        ([], "'live', 0, 5", False),
        ([DOCUMENT], "'live', 1, NULL", False),
        ([PLACE, DOCUMENT], "'live', 2, NULL", False),
        ([PLACE, DOCUMENT], "'live', 0, 5", False),
        ([PLACE], "'live', 1, NULL", False),
        ([PLACE], "'live', 0, NULL", False),
        ([PLACE, DOCUMENT], "'live', 1, 5", False),
        ([PLACE], "'condemned', 0, 5", False),
        ([PLACE], "'purged', 0, NULL", False),
    ],
    ids=lambda value: "" if isinstance(value, list) else str(value),
)
def test_a_blob_that_begins_live_has_a_place_and_all_its_documents(
    url: str, before: list[str], begins: str, right: bool
) -> None:
    """Whatever else is said of it is refused, without a place also where nobody refers to it."""
    with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
        Desk(catalog).put_one("one")
    with psycopg.connect(url) as db:
        db.execute("SET CONSTRAINTS ALL DEFERRED")
        for statement in before:
            db.execute(statement.encode())
        if right:
            db.execute(BLOB.format(begins).encode())
            db.commit()
            return
        with pytest.raises(psycopg.IntegrityError, match="a blob begins as incoming"):
            db.execute(BLOB.format(begins).encode())


def test_one_more_document_of_a_content_changes_no_index(url: str) -> None:
    """How many refer to a content stands in its row alone, whose next version lies in the same page."""
    with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
        desk = Desk(catalog)
        desk.put_one("one", "a")
        entries = [desk.entry("one", name) for name in ("b", "c")]
        with psycopg.connect(url) as db:
            asked = "SELECT n_tup_upd - n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'blobs'"
            catalog.rows("SELECT pg_stat_force_next_flush()")
            before = db.execute(asked).fetchone()
            db.rollback()
            for entry in entries:
                catalog.commit([(None, entry)], as_of=NOW)
            catalog.rows("SELECT pg_stat_force_next_flush()")
            assert db.execute(asked).fetchone() == before
        assert catalog.rows("SELECT refs FROM blobs") == [(3,)]


def test_a_program_that_does_one_thing_after_another_has_one_session(url: str) -> None:
    """What a session has planned and looked up serves each of its questions."""
    with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
        catalog.rows("SELECT 1")
        assert catalog._pool.get_stats()["pool_size"] == 1  # those that are on their way count


def test_sources_of_many_folders_are_remembered(url: str) -> None:
    """What was known of a file goes, of others of its folder or of its name nothing does."""
    with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
        desk = Desk(catalog)
        places = [(folder, name) for folder in ("/x", "/y", "/z") for name in ("1", "2")]

        def seen(places: list[tuple[str, str]], bytes: int) -> None:
            entries = [
                desk.entry("one", f"{folder}{name}", source=SourceStat(folder, name, bytes, 1, 1, 1))
                for folder, name in places
            ]
            catalog.commit([(None, entry) for entry in entries], as_of=NOW)

        seen(places, 1)
        seen([("/x", "1"), ("/y", "2")], 2)
        found = catalog.rows("SELECT folder, name FROM sources WHERE bytes = 2 ORDER BY folder")
        assert found == [("/x", "1"), ("/y", "2")]
        assert catalog.rows("SELECT count(*) FROM sources") == [(6,)]


def test_an_older_catalog_is_upgraded(pg: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken in by an older program stays, and more comes to it."""
    url = pg.database()
    try:
        with monkeypatch.context() as past:
            past.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:-1])
            with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
                Desk(catalog).put_one("one", "a")
        with closing(PostgresCatalog(url, as_of=NOW + DAY)) as catalog:
            newest = migrations.MIGRATIONS[-1]
            sql = "SELECT version, name, applied_us FROM migrations ORDER BY version DESC LIMIT 1"
            assert catalog.rows(sql) == [(newest.version, newest.names[0], to_us(NOW + DAY))]
            desk = Desk(catalog)
            assert [one.outcome for one in desk.put(desk.entry("one", "b"))] == ["new"]
            assert catalog.rows("SELECT refs, state FROM blobs") == [(2, "live")]
    finally:
        pg.drop(url)
