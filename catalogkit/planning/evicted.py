"""What was evicted: fetching it again, and what it cost that it was gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.planners import evict
from catalogkit.planning.common import head_of
from catalogkit.planning.evictable import evictable
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan


@operation("plan", kind="fetch")
def plan_fetch(
    collection: Collection, document_ids: Sequence[int] | None = None, *, as_of: datetime | None = None
) -> Plan:
    """Plan to fetch evicted documents again, these or all; `apply` must be given a fetcher.

    Raises
    ------
    InvalidInput
        If one of them does not exist, or was not evicted.

    Examples
    --------
    >>> ck.plan_fetch(c).units  # nothing was evicted
    0
    """
    gone = pl.DataFrame(
        [str(one.sha256) for one in collection.catalog.evictions() if one.returned_at is None],
        schema={"sha256": pl.String()},
    )
    there = collection.frame("locations").select("sha256").unique()
    rows = collection.frame("documents").join(gone.join(there, on="sha256", how="anti"), on="sha256", how="semi")
    if document_ids is not None:
        if unknown := set(document_ids) - set(rows["id"]):
            raise InvalidInput(f"document {min(unknown)} was not evicted; nothing was planned")
        rows = rows.filter(pl.col("id").is_in(list(document_ids)))
    rows = rows.rename({"id": "document_id"}).sort("document_id").unique("sha256", keep="first", maintain_order=True)
    head = head_of(collection, "fetch", as_of or collection.now())
    return evict.plan_return(head, rows.select(evict.EVICTED.names()), collection.store.name)


def eviction_regret(collection: Collection) -> pl.DataFrame:
    """What became of evictions: requests for evicted contents while they were gone, and those that were fetched again.

    Returns
    -------
    DataFrame
        ``sha256``, ``bytes``, ``plan_id``, ``evicted_at``, ``returned_at``, ``requests`` (of the access log, while it
        was gone), the latest eviction first.

    Examples
    --------
    >>> ck.eviction_regret(c).height  # nothing was ever evicted
    0
    """
    gone = collection.frame("evictions")
    documents = (
        pl.DataFrame(schema={"sha256": pl.String(), "document_id": pl.Int64()})
        if gone.is_empty()
        else evictable(collection).sharing(gone["sha256"].unique())
    )
    asked = (
        gone.with_row_index("number")
        .join(documents, on="sha256")
        .join(collection.frame("accesses").drop("bytes"), on="document_id")
    )
    within = (pl.col("accessed_at") > pl.col("evicted_at")) & (
        pl.col("returned_at").is_null() | (pl.col("accessed_at") <= pl.col("returned_at"))
    )
    counted = asked.filter(within).group_by("number").agg(requests=pl.col("count").sum())
    return (
        gone.with_row_index("number")
        .join(counted, on="number", how="left", maintain_order="left")
        .with_columns(pl.col("requests").fill_null(0))
        .sort("evicted_at", "sha256", descending=[True, False])
        .drop("number")
    )
