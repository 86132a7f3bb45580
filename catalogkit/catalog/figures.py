"""Computes the figures of reports in the mirror, all from one moment; `stats` and others define them.

`catalogkit.stats`, `arrivals`, `coverage`, `fixity` and `overview` define each figure on whole frames. Here DuckDB cuts
millions of rows down to few, or to few narrow columns, and the same functions go on from there.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit import arrivals, fixity, overview, stats, trends
from catalogkit.coverage import CHECKED, WINDOWS, Coverage, Tally, covered
from catalogkit.model import from_us, mirrored, schema, to_us

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import duckdb

_TIME: Final = pl.Datetime("us", "UTC")
_DAY_US: Final = 86_400_000_000
# Asked for together, because each of them alone costs as much.
_CUBE: Final = ("tenant", "resolver", "media_type")
_PARTS: Final = ("documents", "logical_bytes", "duplicate_bytes", "saved_bytes", "reclaimable_bytes", "stored_bytes")
PRESENT: Final = "outcome IS DISTINCT FROM 'missing'"
_OWN: Final = "CASE WHEN inode IS NULL THEN id END"
_GROUP: Final = "refs > 0 AND (refs > 1 OR objects > stores)"

# A document whose content no other has, and which lies in one object, stores its own bytes. Only the others, which are
# few, have anything to share out: equally, in whole bytes, the rest to the lowest ids.
_SHARES: Final = """
WITH shared AS (
    SELECT blob_id, refs, (objects > 0)::BIGINT * greatest(refs - 1 - (objects - stores), 0) * bytes AS saved,
        (objects - stores) * bytes AS reclaimable, objects * bytes AS stored
    FROM blobs WHERE refs > 0 AND (refs > 1 OR objects <> 1)
),
placed AS (
    SELECT {columns}, d.bytes, refs, saved, reclaimable, stored,
        row_number() OVER (PARTITION BY d.blob_id ORDER BY d.id) - 1 AS place
    FROM documents d JOIN shared USING (blob_id)
),
parts AS (
    SELECT {columns}, count(*) AS documents, sum(bytes) AS logical_bytes, 0 AS duplicate_bytes, 0 AS saved_bytes,
        0 AS reclaimable_bytes, sum(bytes) AS stored_bytes
    FROM documents GROUP BY ALL
    UNION ALL
    SELECT {columns}, 0, 0, coalesce(sum(bytes) FILTER (place > 0), 0),
        sum(saved // refs + (place < saved % refs)::BIGINT),
        sum(reclaimable // refs + (place < reclaimable % refs)::BIGINT),
        sum(stored // refs + (place < stored % refs)::BIGINT - bytes)
    FROM placed GROUP BY ALL
)
SELECT {columns}, {sums} FROM parts GROUP BY ALL
"""
_OBJECTS: Final = f"""
WITH present AS (
    SELECT store, blob_id, inode, bytes, CASE WHEN outcome IS NOT NULL AND checked_at <= $as_of THEN
        epoch_us(checked_at) * 4 + CASE outcome WHEN 'ok' THEN 0 WHEN 'unknown' THEN 1 ELSE 2 END END AS newest
    FROM locations WHERE {PRESENT}
)
SELECT store, bytes, newest FROM present WHERE inode IS NULL
UNION ALL
SELECT store, any_value(bytes), max(newest) FROM present WHERE inode IS NOT NULL GROUP BY store, blob_id, inode
"""
_USAGE: Final = f"""
WITH held AS (
    SELECT store, blob_id, count(*) AS objects
    FROM (SELECT DISTINCT store, blob_id, inode, {_OWN} AS own FROM locations WHERE {PRESENT}) GROUP BY ALL
)
SELECT store, sum(h.objects)::BIGINT AS objects, sum(h.objects * bytes)::BIGINT AS physical_bytes,
    coalesce(sum((h.objects - 1) * bytes) FILTER (refs > 0), 0)::BIGINT AS reclaimable_bytes,
    coalesce(sum(h.objects * bytes) FILTER (refs = 0), 0)::BIGINT AS unreferenced_bytes
FROM held h JOIN blobs USING (blob_id) GROUP BY store ORDER BY store
"""
# Of a single store the counts of the blobs say it all.
_USAGE_OF_ONE: Final = """
SELECT $store AS store, sum(objects)::BIGINT AS objects, sum(objects * bytes)::BIGINT AS physical_bytes,
    coalesce(sum((objects - 1) * bytes) FILTER (refs > 0), 0)::BIGINT AS reclaimable_bytes,
    coalesce(sum(objects * bytes) FILTER (refs = 0), 0)::BIGINT AS unreferenced_bytes
FROM blobs WHERE objects > 0
"""
_SPARE: Final = f"""
SELECT sha256, store, any_value(bytes) AS bytes, any_value(refs) AS documents, count(*) AS objects
FROM (
    SELECT DISTINCT store, blob_id, inode, {_OWN} AS own FROM locations
    WHERE {PRESENT} AND layout <> 'reference'
        AND blob_id IN (SELECT blob_id FROM blobs WHERE refs > 0 AND objects > stores)
) JOIN blobs USING (blob_id) GROUP BY sha256, store
"""
_STATES: Final = """
SELECT CASE WHEN state = 'live' AND refs > 0 THEN 'needed' WHEN state = 'live' THEN 'kept'
    WHEN state = 'purged' THEN 'gone' ELSE state END AS state,
    count(*) AS contents, sum(objects * bytes)::BIGINT AS stored_bytes
FROM blobs WHERE objects > 0 GROUP BY 1
"""
_ARRIVED: Final = """
WITH came AS (
    SELECT date_trunc('{unit}', coalesce(fetched_at, created_at))::TIMESTAMP AS came_at, count(*) AS documents,
        sum(bytes) AS bytes
    FROM documents GROUP BY 1
),
again AS MATERIALIZED (
    SELECT date_trunc('{unit}', coalesce(fetched_at, d.created_at))::TIMESTAMP AS came_at, d.blob_id, d.bytes
    FROM documents d JOIN blobs b USING (blob_id) WHERE refs > 1
),
repeated AS (SELECT came_at, sum(bytes) AS bytes FROM again GROUP BY 1),
firsts AS (
    SELECT came_at, sum(bytes) AS bytes
    FROM (SELECT min(came_at) AS came_at, any_value(bytes) AS bytes FROM again GROUP BY blob_id) GROUP BY 1
)
SELECT came.came_at, documents, came.bytes::BIGINT AS logical_bytes,
    (came.bytes - coalesce(repeated.bytes, 0) + coalesce(firsts.bytes, 0))::BIGINT AS new_unique_bytes
FROM came LEFT JOIN repeated USING (came_at) LEFT JOIN firsts USING (came_at)
"""


class Figures:
    """What reports show, from the mirror as it was at one moment.

    `Mirror.figures` makes it. Each figure is the one that the function named beside it works out of whole frames.

    Parameters
    ----------
    db
        The mirror, opened to be read; it stays open as long as this is.
    moment
        As of when the mirror is.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, moment: datetime) -> None:
        self._db, self.moment = db, moment
        self._seen: dict[int, pl.DataFrame] = {}

    def __enter__(self) -> Figures:
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def ask(self, query: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """Times in UTC; whole numbers are cast by whoever asks.

        Columns go from DuckDB to Polars as they are, without Arrow's own library between them, which takes as long to
        load as most questions take. That way has no parameters, so they are variables.
        """
        for name, value in (parameters or {}).items():
            self._db.execute(f'SET VARIABLE "{name}" = $value', {"value": value})
            query = re.sub(rf"\${name}\b", f"getvariable('{name}')", query)
        frame = pl.DataFrame(self._db.sql(query))
        return frame.with_columns(pl.col(pl.Datetime).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))

    def rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """A few rows; sums of any size."""
        found: list[tuple[Any, ...]] = self._db.execute(query, parameters).fetchall()
        return found

    def do(self, statement: str, parameters: Any = None) -> None:
        """Make a temporary table, for the questions that follow."""
        self._db.execute(statement, parameters)

    @contextmanager
    def given(self, name: str, values: pl.Series | pl.DataFrame) -> Iterator[None]:
        """Have values as a table, a series as one of one column, for questions about millions of them."""
        self._db.register(name, values.to_frame() if isinstance(values, pl.Series) else values)
        try:
            yield
        finally:
            self._db.unregister(name)

    def coded(self, table: str, columns: str, texts: Sequence[str]) -> pl.DataFrame:
        """Columns of a table, and texts that are the same in many rows: as categories, for DuckDB numbers them.

        Returns
        -------
        DataFrame
            In any order: `columns`, `texts`, and ``kind``, a number for each combination of those.
        """
        kinds = self.ask(f"SELECT DISTINCT {', '.join(texts)} FROM {table}").sort(texts).with_row_index("kind")
        same = " AND ".join(f"t.{name} IS NOT DISTINCT FROM kinds.{name}" for name in texts)
        with self.given("kinds", kinds):
            rows = self.ask(f"SELECT {columns}, kind FROM {table} t JOIN kinds ON {same}")
        return rows.hstack(kinds.select(pl.col(texts).cast(pl.Categorical))[rows["kind"]])

    def frame(self, table: str) -> pl.DataFrame:
        """A whole table, by id or digest, with the schema `model.mirrored`."""
        columns = mirrored(table)
        return self.ask(f"SELECT {', '.join(columns)} FROM {table}").sort(next(iter(columns)))

    def values(self, column: str) -> set[str]:
        """What documents have in a column."""
        stats.check_column(column, schema("documents").items())
        return {value for (value,) in self.rows(f"SELECT DISTINCT {column} FROM documents")}

    def of_documents(self, ids: pl.Series, column: str) -> pl.DataFrame:
        """What these documents, those that there are, have in a column: ``id`` and that column."""
        with self.given("asked", ids.unique().alias("id")):
            return self.ask(f"SELECT id, {column} FROM documents SEMI JOIN asked USING (id)")

    # -- what bytes amount to (`catalogkit.stats`, `catalogkit.overview`) ----------------------------------------

    @cached_property
    def totals(self) -> stats.DedupTotals:
        """`stats.dedup_totals`."""
        query = "SELECT bytes, refs AS documents, objects, stores FROM blobs WHERE refs > 0 OR objects > 0"
        return stats.totals_of(self.ask(query))

    @property
    def much(self) -> dict[str, int]:
        """``documents`` and ``physical_bytes``, as `Catalog.totals` has them."""
        sums = "SELECT coalesce(sum(refs), 0)::BIGINT, coalesce(sum(objects * bytes), 0)::BIGINT FROM blobs"
        return dict(zip(("documents", "physical_bytes"), self._db.execute(sums).fetchall()[0], strict=True))

    @property
    def used(self) -> int:
        """How many contents documents have."""
        return int(self._db.execute("SELECT count(*) FROM blobs WHERE refs > 0").fetchall()[0][0])

    @cached_property
    def groups(self) -> pl.DataFrame:
        """`stats.dedup_groups`, all of them, less what their documents tell; see `described`."""
        query = f"SELECT sha256, bytes, refs AS documents, objects, stores FROM blobs WHERE {_GROUP}"
        return stats.ranked(self.ask(query), ["sha256", "bytes", "documents", "objects"])

    def described(self, groups: pl.DataFrame) -> pl.DataFrame:
        """Some of the groups, with what their documents tell: ``media_type``, ``resolvers``, ``artifact_id``."""
        told = self.ask(
            "SELECT sha256, arg_min(media_type, id) AS media_type, count(DISTINCT resolver) AS resolvers,"
            " arg_min(artifact_id, id) AS artifact_id FROM documents WHERE blob_id IN"
            " (SELECT blob_id FROM blobs WHERE sha256 IN (SELECT unnest($digests::VARCHAR[]))) GROUP BY sha256",
            {"digests": groups["sha256"].to_list()},
        )
        return groups.join(told, on="sha256", how="left", maintain_order="left")

    def spare(self) -> pl.DataFrame:
        """Objects of contents with spare copies, leaving out what lies in its owners' hands.

        Returns
        -------
        DataFrame
            ``sha256``, ``store``, ``bytes`` of one copy, ``documents``, ``objects`` in that store.
        """
        return self.ask(_SPARE)

    def by(self, column: str) -> pl.DataFrame:
        """`stats.dedup_by`."""
        stats.check_column(column, schema("documents").items())
        parts = self._cube if column in _CUBE else self._parts(column)
        return stats.in_order(parts.group_by(column).agg(pl.col(_PARTS).sum()), column)

    def tree(self, columns: Sequence[str]) -> pl.DataFrame:
        """`overview.tree`."""
        for column in columns:
            stats.check_column(column, schema("documents").items())
        parts = self._cube if set(columns) <= set(_CUBE) else self._parts(*columns)
        return overview.tree_of(parts.group_by(columns).agg(pl.col(_PARTS).sum()), columns)

    @cached_property
    def _cube(self) -> pl.DataFrame:
        return self._parts(*_CUBE)

    def _parts(self, *columns: str) -> pl.DataFrame:
        sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in _PARTS)
        return self.ask(_SHARES.format(columns=", ".join(columns), sums=sums))

    def store_usage(self) -> pl.DataFrame:
        """`stats.store_usage`."""
        stores = self._db.execute(f"SELECT DISTINCT store FROM locations WHERE {PRESENT}").fetchall()
        return self.ask(_USAGE_OF_ONE, {"store": stores[0][0]}) if len(stores) == 1 else self.ask(_USAGE)

    def states(self) -> pl.DataFrame:
        """`overview.states`."""
        return overview.states_of(self.ask(_STATES))

    def latest_runs(self, top: int = 10) -> pl.DataFrame:
        """`overview.latest_runs`."""
        return self.ask(
            "SELECT run_id, min(changed_at) AS first_seen, count(*) AS documents, sum(bytes)::BIGINT AS logical_bytes,"
            " count(DISTINCT resolver) AS resolvers FROM documents GROUP BY run_id ORDER BY first_seen DESC, run_id"
            " LIMIT $top",
            {"top": top},
        )

    # -- when they came (`catalogkit.arrivals`) ------------------------------------------------------------------

    def growth(self, every: str = "1mo") -> pl.DataFrame:
        """`arrivals.growth`."""
        unit = "hour" if arrivals.unit_of(every) == "h" else "day"
        return arrivals.grown(self.ask(_ARRIVED.format(unit=unit)), every)

    def size_age(self, as_of: datetime) -> pl.DataFrame:
        """`arrivals.size_age`."""
        now = to_us(as_of)
        sizes = " + ".join(f"(bytes >= {start})::BIGINT" for start in arrivals.SIZES.values() if start)
        ages = " + ".join(f"(came_us < {now - days * _DAY_US})::BIGINT" for days in arrivals.AGES.values() if days)
        counted = self.ask(
            f"SELECT {sizes} AS size, {ages} AS age, count(*) AS documents, sum(bytes)::BIGINT AS logical_bytes"
            " FROM (SELECT bytes, epoch_us(coalesce(fetched_at, created_at)) AS came_us FROM documents) GROUP BY 1, 2"
        )
        return arrivals.crossed(counted)

    def trend(self, facts: Sequence[Mapping[str, Any]], promise_days: int = 30) -> pl.DataFrame:
        """`trends.trend`. Of the ledger only what lies within the window before a snapshot proves anything for it."""
        times = [to_us(fact["taken_at"]) for fact in facts][-trends.SHOWN :]
        since, until = min(times, default=0) - (promise_days + 1) * _DAY_US, max(times, default=0)
        blobs = self.ask("SELECT blob_id AS sha256, bytes, state, created_at, changed_at FROM blobs")
        checks = self.ask(
            "SELECT c.id, blob_id AS sha256, checked_at, outcome FROM checks c JOIN blobs USING (sha256)"
            " WHERE checked_at >= $since AND checked_at <= $until",
            {"since": naive(from_us(since)), "until": naive(from_us(until))},
        )
        return trends.trend(facts, blobs, checks, promise_days=promise_days)

    # -- how far they can be trusted (`catalogkit.coverage`, `catalogkit.fixity`) --------------------------------

    def coverage(self, as_of: datetime, windows_days: Sequence[int] = WINDOWS) -> Coverage:
        """`coverage.coverage`."""
        objects = self._objects(as_of)
        missing, size, future = self._db.execute(
            "SELECT count(*) FILTER (outcome = 'missing'), coalesce(sum(bytes) FILTER (outcome = 'missing'), 0),"
            " count(*) FILTER (checked_at > $as_of) FROM locations",
            {"as_of": naive(as_of)},
        ).fetchall()[0]
        return covered(objects, Tally(objects=missing, bytes=int(size)), future, as_of, windows_days)

    def clock(self, as_of: datetime, points: int = 200) -> pl.DataFrame:
        """`fixity.clock`."""
        return fixity.clock_of(self._objects(as_of), as_of, points)

    def freshness_of_stores(self, as_of: datetime) -> pl.DataFrame:
        """`fixity.classes_by` store."""
        return fixity.classes_of(self._objects(as_of), "store", as_of)

    def longest_unproved(self, as_of: datetime, top: int = 20) -> pl.DataFrame:
        """`fixity.longest_unproved`."""
        first = self.ask(
            "SELECT id, store, key, bytes, checked_at, outcome FROM locations"
            " WHERE outcome IS NULL OR outcome NOT IN ('corrupt', 'missing')"
            " ORDER BY CASE WHEN outcome = 'ok' AND checked_at <= $as_of THEN checked_at END NULLS FIRST,"
            " bytes DESC, id LIMIT $top",
            {"as_of": naive(as_of), "top": top},
        )
        return fixity.longest_unproved(first, as_of, top)

    def doubtful(self) -> pl.DataFrame:
        """Copies whose last check found them corrupt, missing, or could not tell: ``outcome``, then the longest ago."""
        return self.ask(
            "SELECT outcome, store, key, bytes, checked_at FROM locations"
            " WHERE outcome IN ('corrupt', 'missing', 'unknown') ORDER BY outcome, checked_at NULLS FIRST, id"
        )

    def ledger_days(self, days: int, as_of: datetime) -> pl.DataFrame:
        """`Collection.ledger_days`."""
        until = to_us(as_of)
        since = from_us((until - days * _DAY_US) // _DAY_US * _DAY_US)
        found = self.ask(
            "SELECT checked_at::DATE AS day, outcome, count(*) AS checks, sum(bytes)::BIGINT AS bytes FROM checks"
            " WHERE checked_at >= $since AND checked_at <= $until GROUP BY 1, 2 ORDER BY 1, 2",
            {"since": naive(since), "until": naive(as_of)},
        )
        return found.cast(fixity.DAYS)

    def _objects(self, as_of: datetime) -> pl.DataFrame:
        """Every physical object with its newest check: `coverage.checked_objects`, less the names of contents."""
        key = to_us(as_of)
        if key not in self._seen:
            newest = pl.col("newest")
            self._seen[key] = self.ask(_OBJECTS, {"as_of": naive(as_of)}).select(
                "store",
                "bytes",
                checked_at=(newest // 4).cast(_TIME),
                check=(newest % 4).cast(pl.UInt8).cat.to(CHECKED),  # by its place among them
            )
        return self._seen[key]


def naive(when: datetime) -> datetime:
    """A time as the mirror has it: UTC, without saying so."""
    return from_us(to_us(when)).replace(tzinfo=None)
