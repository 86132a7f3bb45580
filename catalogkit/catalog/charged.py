"""Storage charges computed in the mirror, equal to those that `catalogkit.billing` computes from whole frames.

Nearly every content lay where it lay, and belonged to whom it belonged, for all of the period: those DuckDB sums up.
What came, went or moved meanwhile is told one by one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.billing import NOBODY, Charges, moving, period
from catalogkit.catalog.figures import PRESENT, naive

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.figures import Figures

# Contents of which anything changed since the period began, also after its end: their documents, copies, or state.
_TOUCHED: Final = f"""
CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT blob_id FROM (
    SELECT blob_id FROM documents WHERE changed_at > $first
    UNION ALL SELECT blob_id FROM locations WHERE created_at > $first AND {PRESENT}
    UNION ALL SELECT blob_id FROM blobs WHERE created_at > $first OR (state = 'purged' AND changed_at > $first)
    UNION ALL SELECT blob_id FROM blobs WHERE sha256 IN (SELECT sha256 FROM past)
)
"""
# Of these, what was not yet anywhere when the period ended costs nothing.
_MOVING: Final = """
CREATE OR REPLACE TEMP TABLE moving AS SELECT blob_id FROM blobs SEMI JOIN touched USING (blob_id)
WHERE created_at < $last OR blob_id IN (SELECT blob_id FROM locations WHERE created_at < $last)
"""
# A document whose content no other has, and which lies in one object, costs its own bytes.
_ALONE: Final = """
SELECT {payer}, sum(bytes) FROM documents ANTI JOIN (
    SELECT blob_id FROM blobs WHERE refs <> 1 OR objects <> 1 UNION ALL FROM touched
) USING (blob_id) GROUP BY 1
"""
_SHARED: Final = """
WITH shared AS (
    SELECT blob_id, bytes, objects FROM blobs ANTI JOIN touched USING (blob_id)
    WHERE refs > 0 AND objects > 0 AND (refs > 1 OR objects > 1)
),
had AS (SELECT DISTINCT {payer} AS payer, blob_id FROM documents SEMI JOIN shared USING (blob_id)),
counted AS (SELECT blob_id, count(*) AS payers FROM had GROUP BY blob_id)
SELECT payer, payers, sum(bytes * objects), sum(bytes * greatest(objects, payers))
FROM had JOIN counted USING (blob_id) JOIN shared USING (blob_id) GROUP BY 1, 2
"""
_NOBODYS: Final = "SELECT coalesce(sum(bytes * objects), 0) FROM blobs ANTI JOIN touched USING (blob_id) WHERE refs = 0"
_VERSIONS: Final = """
SELECT {payer} AS tenant, blob_id AS sha256, changed_at AS valid_from, NULL::TIMESTAMP AS valid_to
FROM documents SEMI JOIN moving USING (blob_id) WHERE changed_at < $last
UNION ALL SELECT tenant, blob_id, valid_from, valid_to FROM past JOIN blobs USING (sha256)
"""


def charges(figures: Figures, past: pl.DataFrame, *, start: datetime, end: datetime, by: str) -> Charges:
    """Charge for documents and their storage; for requests nothing, of which the mirror does not know.

    Parameters
    ----------
    figures
        The mirror, of `end` or later.
    past
        What `Catalog.ended_versions` says of `start`; with what else was current when the mirror was filled.
    start, end
        The period; `end` does not belong to it.
    by
        Which column of documents says who pays.
    """
    first, last = period(start, end)
    payer, length = f"CASE WHEN {by} = '' THEN '(none)' ELSE {by} END", last - first
    times = {"first": naive(start), "last": naive(end)}
    # What ended since the mirror was filled is current there.
    now = figures.of_documents(past["document_id"], "changed_at")
    ended = past.join(now, left_on=["document_id", "valid_from"], right_on=["id", "changed_at"], how="anti")
    ended = ended.with_columns(tenant=pl.when(pl.col(by) == "").then(pl.lit("(none)")).otherwise(by))
    found = Charges()
    told = ended.select("sha256", "tenant", pl.col("valid_from", "valid_to").dt.replace_time_zone(None))
    with figures.given("past", told):
        figures.do(_TOUCHED, {"first": times["first"]})
        figures.do(_MOVING, {"last": times["last"]})
        versions = figures.ask(_VERSIONS.format(payer=payer), {"last": times["last"]})
    for who, size in figures.rows(_ALONE.format(payer=payer)):
        found.store(who, length, Fraction(size), Fraction(size))
    for who, payers, together, alone in figures.rows(_SHARED.format(payer=payer)):
        found.store(who, length, Fraction(alone, payers), Fraction(together, payers))
    ((left,),) = figures.rows(_NOBODYS)
    found.store(NOBODY, length, Fraction(0), Fraction(left))
    columns = {"blobs": "bytes, state, created_at, changed_at", "locations": "id, store, inode, outcome, created_at"}
    blobs, locations = (
        figures.ask(f"SELECT blob_id AS sha256, {names} FROM {table} SEMI JOIN moving USING (blob_id)")
        for table, names in columns.items()
    )
    found.add(moving(versions, blobs, locations, first, last))
    there = f"SELECT {payer}, count(*), sum(bytes)::BIGINT FROM documents WHERE changed_at < $last GROUP BY 1"
    until = ended.filter(pl.col("valid_from") < end, pl.col("valid_to") >= end)
    gone = until.group_by("tenant").agg(pl.len(), pl.col("bytes").sum())
    for who, count, size in (*figures.rows(there, {"last": times["last"]}), *gone.iter_rows()):
        found.documents[who] += count
        found.logical_bytes[who] += size
    return found
