"""What bulk ingest into a server rests on: how lists travel, and that its triggers go by keys."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from catalogkit.catalog.postgres import PostgresCatalog
from tests.catalog.desk import NOW, sha

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pg import Blanks

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
