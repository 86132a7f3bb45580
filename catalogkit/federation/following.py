"""Brings bytes from other sites after their documents: those asked for, or all within a budget.

Nothing is believed: what comes is hashed on its way, and has its place only if it is what the document says. It is a
plan like every other, of steps that add, so a crash half way leaves nothing but what is proved.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.apply import apply
from catalogkit.errors import InvalidInput, SourceError, StoreError
from catalogkit.plan import Plan
from catalogkit.planners import evict
from catalogkit.planning.common import head_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from catalogkit.apply_report import ApplyReport
    from catalogkit.collection import Collection
    from catalogkit.model import Digest

REASONS: Final = {"wanted": "a document here has it, and its bytes lie at another site"}


def follow(
    collection: Collection,
    others: Sequence[Collection],
    *,
    document_ids: Sequence[int] | None = None,
    bytes_budget: int | None = None,
    copies: int | None = None,
    as_of: datetime | None = None,
) -> ApplyReport | None:
    """Have bytes come here that documents have, and that lie at other sites alone.

    Parameters
    ----------
    others
        Collections of other sites, in the order in which they are asked.
    document_ids
        Only those of these documents; else all, the smallest first.
    bytes_budget
        At most so many bytes.
    copies
        Only what fewer than so many sites have.

    Returns
    -------
    ApplyReport or None
        What came of it; None where nothing was wanted.

    Raises
    ------
    InvalidInput
        If one of the documents does not exist.

    Examples
    --------
    >>> ck.follow(c, []) is None  # all bytes are here
    True
    """
    plan = plan_follow(
        collection, document_ids=document_ids, bytes_budget=bytes_budget, copies=copies, as_of=as_of
    )  # fmt: skip
    if not plan.units:
        return None
    return apply(collection, plan, unapproved=True, fetcher=_Reader(others), max_share=1.0)


def plan_follow(
    collection: Collection,
    *,
    document_ids: Sequence[int] | None = None,
    bytes_budget: int | None = None,
    copies: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """Plan which bytes come here; see `follow`."""
    catalog = collection.catalog
    rows = catalog.frame("wanted")
    if document_ids is not None:
        known = catalog.digests_of(document_ids)
        if unknown := set(document_ids) - known.keys():
            raise InvalidInput(f"there is no document {min(unknown)}; nothing was planned")
        rows = rows.filter(pl.col("sha256").is_in([str(one) for one in known.values()]))
    if copies is not None:
        having = catalog.frame("elsewhere").filter(pl.col("copies") > 0).group_by("sha256").len()
        rows = rows.join(having.filter(pl.col("len") < copies), on="sha256", how="semi", maintain_order="left")
    if bytes_budget is not None:
        rows = rows.filter(pl.col("bytes").cum_sum() <= bytes_budget)
    head = head_of(collection, "fetch", as_of or collection.now())
    plan = evict.plan_return(head, rows.select(evict.EVICTED.names()), collection.store.name)
    return Plan(replace(plan.head, reasons=REASONS), plan.frame)


class _Reader:
    """Reads bytes out of other sites' stores, by their digest: where a document came from does not matter."""

    def __init__(self, others: Sequence[Collection]) -> None:
        self._others = others

    def __call__(self, url: str, target: str, digest: Digest, size: int) -> None:
        problems = []
        for other in self._others:
            for copy in other.catalog.locations_of(digest):
                if copy.outcome in ("corrupt", "missing"):
                    continue
                try:
                    store = other.stores[other.store_id(copy.store)]
                    with store.open(copy.key) as source, open(target, "wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
                    return
                except (StoreError, OSError) as problem:
                    problems.append(str(problem))
        raise SourceError("; ".join(problems) or "none of these sites has the bytes")


__all__ = ["follow", "plan_follow"]
