"""The tables of the mirror, and how a catalog's changes get into them.

Besides the columns of `model.mirrored`, documents, blobs and locations have a ``blob_id``: a number that a content has
in this mirror and no other. Numbers are joined and grouped several times faster than 64 digits are. A content keeps its
number for as long as a document or a copy has it. A blob has ``objects`` and ``stores`` in addition, how many physical
objects hold it in how many stores.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from catalogkit.catalog.feed import PAGE
from catalogkit.model import fed, mirrored

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import polars as pl

    from catalogkit.catalog.feed import Feed

TABLES: Final = ("documents", "blobs", "locations", "checks", "contents")
# So many rows go in at once: each time the contents they are about are looked up among all that changed.
BATCH: Final = 4 * PAGE
# By what contents are looked up: a number is found several times faster than 64 digits, and takes less room. Two that
# have the same one are told apart by their digits.
_KEY: Final = "hash(sha256)"
_MORE: Final = {
    "documents": {"blob_id": "BIGINT"},
    "blobs": {"blob_id": "BIGINT", "objects": "BIGINT", "stores": "BIGINT"},
    "locations": {"blob_id": "BIGINT"},
}
# As in `catalogkit.stats`: paths of one store with one inode and one content are one object; what is missing is none.
# Nearly every content has one location, and needs no second look.
_HELD: Final = """
CREATE TEMP TABLE held AS
WITH present AS (
    SELECT blob_id, store, inode, CASE WHEN inode IS NULL THEN id END AS own
    FROM locations WHERE outcome IS DISTINCT FROM 'missing'{among}
),
counted AS (SELECT blob_id, count(*) AS rows FROM present GROUP BY blob_id)
SELECT blob_id, 1 AS objects, 1 AS stores FROM counted WHERE rows = 1
UNION ALL
SELECT blob_id, count(*), count(DISTINCT store)
FROM (SELECT DISTINCT * FROM present WHERE blob_id IN (SELECT blob_id FROM counted WHERE rows > 1))
GROUP BY blob_id
"""


def create(db: duckdb.DuckDBPyConnection) -> None:
    """Make the tables, without rows."""
    db.execute("CREATE TABLE about (told VARCHAR)")
    for table in TABLES:
        columns = {name: _type(kind) for name, kind in mirrored(table).items()} | _MORE.get(table, {})
        db.execute(f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")


def take_in(db: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    """Replace the rows that changed by what they are now."""
    _number(db, feed)
    for table in ("documents", "locations"):
        _forget(db, feed, table)
        names = ", ".join(f"c.{name}" if name in ("bytes", "media_type") else name for name in mirrored(table))
        for page in _pages(feed, table):
            db.register("page", page)
            _find(db, page.height)
            db.execute(f"INSERT INTO {table} SELECT {names}, c.blob_id FROM page JOIN found c USING (id)")
            db.execute("DROP TABLE found")
            db.unregister("page")
    for table in ("checks", "contents"):
        _forget(db, feed, table)
        for page in _pages(feed, table):
            db.register("page", page)
            db.execute(f"INSERT INTO {table} FROM page")
            db.unregister("page")
    _count(db, feed)


def _find(db: duckdb.DuckDBPyConnection, rows: int) -> None:
    """What the contents of a page's rows tell, as ``found``."""
    # Only ids and digests, so that whole rows need not be moved about, and stay in their order.
    find = (
        "CREATE TEMP TABLE found AS SELECT p.id, b.blob_id, b.bytes, b.media_type"
        f" FROM changed_blobs b JOIN (SELECT id, sha256, {_KEY} AS key FROM page) p USING ({{by}})"
    )
    db.execute(find.format(by="key"))
    # Every row has a content, so that more rows mean two contents with one key.
    if db.execute("SELECT count(*) FROM found").fetchall() != [(rows,)]:
        db.execute("DROP TABLE found")
        db.execute(find.format(by="sha256"))


def _number(db: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    """The blobs that changed, as ``changed_blobs``, those that are known by their numbers; they leave their table."""
    db.execute("CREATE TEMP TABLE known (sha256 VARCHAR, blob_id BIGINT)")
    if not feed.whole:
        db.register("keys", feed.keys("blobs"))
        db.execute("INSERT INTO known SELECT sha256, blob_id FROM blobs WHERE sha256 IN (SELECT sha256 FROM keys)")
        db.unregister("keys")
    (top,) = db.execute("SELECT coalesce(max(blob_id), 0) FROM blobs").fetchall()[0]
    kinds = ", ".join(f"{name} {_type(kind)}" for name, kind in fed("blobs").items())
    db.execute(f"CREATE TEMP TABLE changed_blobs ({kinds}, key UBIGINT, blob_id BIGINT)")
    db.execute(f"CREATE TEMP SEQUENCE numbers START {top + 1}")
    for page in _pages(feed, "blobs"):
        db.register("page", page)
        if feed.whole:
            db.execute(f"INSERT INTO changed_blobs SELECT *, {_KEY}, nextval('numbers') FROM page")
        else:
            db.execute(
                f"INSERT INTO changed_blobs SELECT page.*, {_KEY}, coalesce(k.blob_id, nextval('numbers'))"
                " FROM page LEFT JOIN known k USING (sha256)"
            )
        db.unregister("page")
    db.execute("DELETE FROM blobs WHERE blob_id IN (SELECT blob_id FROM known)")


def _count(db: duckdb.DuckDBPyConnection, feed: Feed) -> None:
    """Put the blobs that changed into their table, counted with the copies as they are by now."""
    db.execute(_HELD.format(among="" if feed.whole else " AND blob_id IN (SELECT blob_id FROM changed_blobs)"))
    db.execute(
        f"INSERT INTO blobs SELECT {', '.join(mirrored('blobs'))}, blob_id, coalesce(objects, 0), coalesce(stores, 0)"
        " FROM changed_blobs LEFT JOIN held USING (blob_id) ORDER BY blob_id"
    )
    for table in ("held", "known", "changed_blobs"):
        db.execute(f"DROP TABLE {table}")
    db.execute("DROP SEQUENCE numbers")


def _forget(db: duckdb.DuckDBPyConnection, feed: Feed, table: str) -> None:
    if not feed.whole:
        keys = feed.keys(table)
        (key,) = keys.columns
        db.register("keys", keys)
        db.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM keys)")
        db.unregister("keys")


def _pages(feed: Feed, table: str) -> Iterator[pl.DataFrame]:
    """What a table is fed with, in few large pages; each is read while the one before goes in."""
    pages = _large(feed, table)
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, pages, None)
        while (page := coming.result()) is not None:
            coming = reader.submit(next, pages, None)
            yield page


def _large(feed: Feed, table: str) -> Iterator[pl.DataFrame]:
    """The same, times without their zone."""
    import polars as pl

    pages: list[pl.DataFrame] = []
    for page in feed.rows(table):
        # In one piece each: thousands of small ones take DuckDB twice the time.
        pages.append(page.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(None)).rechunk())
        if sum(one.height for one in pages) >= BATCH:
            yield pl.concat(pages, rechunk=False)
            pages = []
    if pages:
        yield pl.concat(pages, rechunk=False)


def _type(kind: pl.DataType) -> str:
    import polars as pl

    # Times without a zone, all in UTC: with one, cutting ten million of them to months takes seconds.
    kinds = {pl.Int64: "BIGINT", pl.String: "VARCHAR", pl.Boolean: "BOOLEAN", pl.List: "VARCHAR[]"}
    return kinds.get(type(kind), "TIMESTAMP")
