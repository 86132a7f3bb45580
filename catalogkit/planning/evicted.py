"""What was evicted: fetching it again, regret, and promises compared with what happened."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import schema
from catalogkit.planners import evict
from catalogkit.planning.common import head_of
from catalogkit.planning.evictable import evictable
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

PROMISES: Final = pl.Schema(
    {
        "plan_id": pl.String(),
        "evicted_at": pl.Datetime("us", "UTC"),
        "due_at": pl.Datetime("us", "UTC"),
        "contents": pl.Int64(),
        "bytes": pl.Int64(),
        "expected_back": pl.Float64(),
        "came_back": pl.Int64(),
        "asked_for": pl.Int64(),
        "fetched_again": pl.Int64(),
        "bytes_back": pl.Int64(),
    }
)


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
    gone = collection.frame("evictions").with_row_index("number")
    counted = _asked(collection, gone).group_by("number").agg(requests=pl.col("count").sum())
    return (
        gone.join(counted, on="number", how="left", maintain_order="left")
        .with_columns(pl.col("requests").fill_null(0))
        .sort("evicted_at", "sha256", descending=[True, False])
        .drop("number")
    )


def eviction_promises(collection: Collection) -> pl.DataFrame:
    """What each applied plan of evictions promised, and what came back.

    A content came back if somebody asked for it while it was gone, by the access log, or if its bytes are there again,
    however they came, within the plan's horizon after it went. Of a plan that was carried out in part, the same part
    of its promise counts.

    Returns
    -------
    DataFrame
        The columns of `PROMISES`, the latest plan first: how many ``contents`` went, how many of them were
        ``expected_back`` until ``due_at`` (null where no log told), and how many ``came_back`` until then, or by now:
        ``asked_for`` or ``fetched_again``, and the ``bytes_back`` of the latter.

    Examples
    --------
    >>> ck.eviction_promises(c).height  # nothing was ever evicted
    0
    """
    gone = collection.frame("evictions").with_row_index("number")
    made = [
        {"plan_id": row.id, "of": row.policy.get("of"), "promised": row.policy.get("expected_back"),
         "horizon": timedelta(days=row.policy["horizon_days"]) if "horizon_days" in row.policy else None}
        for row in collection.catalog.plans() if row.id in set(gone["plan_id"])
    ]  # fmt: skip
    told = {"plan_id": pl.String(), "of": pl.Int64(), "promised": pl.Float64(), "horizon": pl.Duration("us")}
    rows = gone.join(pl.DataFrame(made, schema=told), on="plan_id", how="left", maintain_order="left")
    rows = rows.with_columns(due_at=pl.col("evicted_at") + pl.col("horizon"))
    due = rows.select("number", "due_at")
    asked = _asked(collection, gone).join(due, on="number").filter(_by(pl.col("accessed_at")))
    asked_for, again = pl.col("number").is_in(asked["number"].unique().implode()), _by(pl.col("returned_at"))
    return (
        rows.with_columns(asked_for=asked_for, again=again.fill_null(False))
        .group_by("plan_id")
        .agg(
            pl.col("evicted_at").min(),
            pl.col("due_at").max(),
            pl.col("bytes").sum(),
            contents=pl.len(),
            expected_back=(pl.col("promised") * pl.len() / pl.col("of")).first(),
            came_back=(pl.col("asked_for") | pl.col("again")).sum(),
            asked_for=pl.col("asked_for").sum(),
            fetched_again=pl.col("again").sum(),
            bytes_back=pl.col("bytes").filter("again").sum(),
        )
        .select(pl.col(name).cast(kind) for name, kind in PROMISES.items())
        .sort("evicted_at", "plan_id", descending=[True, False])
    )


def _by(when: pl.Expr) -> pl.Expr:
    return pl.col("due_at").is_null() | (when <= pl.col("due_at"))


def _asked(collection: Collection, gone: pl.DataFrame) -> pl.DataFrame:
    """Requests for evicted contents while they were gone, by the ``number`` of the eviction."""
    if gone.is_empty():  # the log may be long
        documents, log = pl.DataFrame(schema={"sha256": pl.String(), "document_id": pl.Int64()}), schema("accesses")
        accesses = pl.DataFrame(schema=log)
    else:
        documents = evictable(collection).sharing(gone["sha256"].unique())
        accesses = collection.frame("accesses")
    asked = gone.join(documents, on="sha256").join(accesses.drop("bytes"), on="document_id")
    return asked.filter(
        (pl.col("accessed_at") > pl.col("evicted_at"))
        & (pl.col("returned_at").is_null() | (pl.col("accessed_at") <= pl.col("returned_at")))
    )
