"""Refuses a plan before its first step: a foreign store, a catalog that shrank, too much removed at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.catalog import goes_on
from catalogkit.errors import PlanError
from catalogkit.marks import renew
from catalogkit.plan import StepKind
from catalogkit.stores.opening import OWN

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

# A catalog that lost this share of its documents since the plan was made is not the catalog the plan is about.
SHRUNKEN: Final = 0.5
# The largest share of all stored bytes that goes where neither the call nor the plan's policy says otherwise.
MAX_SHARE: Final = 0.5


def alone(collection: Collection) -> None:
    """Refuse where the store is another catalog's, too: somebody copied the collection's folder, but not its store."""
    mine = collection.catalog.home
    for store in collection.stores.values():
        home = store.home() if isinstance(store, OWN) else ""
        if home and home != mine and goes_on(home, mine):
            raise PlanError(
                f"the store at {store.root} was made for the catalog at {home}, which is still there: what this one, a"
                " copy, does not know is no garbage. Apply the plan there, or give this collection a store of its own"
            )


def first(collection: Collection, steps: pl.DataFrame) -> None:
    """Refuse where a copy of this catalog was at a store that steps are about; from now on that one is refused."""
    names = set(pl.concat([steps["store"], steps["from_store"]]))
    for store in collection.stores.values():
        if store.name in names and isinstance(store, OWN):
            renew(collection.catalog, store)


def enough_is_left(collection: Collection, plan: Plan, units: pl.Series | None, max_share: float | None) -> None:
    """Refuse what would free more than the share that is allowed, or where documents went since the plan was made."""
    totals, head = collection.catalog.totals(), plan.head
    enough = SHRUNKEN * head.documents
    # Once it is begun, it may be the plan itself that the documents went by.
    if totals["documents"] < enough and totals["documents"] + _forgot(collection, plan) < enough:
        raise PlanError(
            f"the catalog has {totals['documents']:,} documents, it had {head.documents:,} when the plan was made;"
            " find out where they went first"
        )
    share = float(head.policy.get("max_share", MAX_SHARE)) if max_share is None else max_share
    # Strays are stored, too, though no record counts them.
    strays = plan.bytes_freed(plan.frame.filter(pl.col("sha256").is_null())["unit"])
    freed, whole = plan.bytes_freed(units), max(head.physical_bytes, totals["physical_bytes"]) + strays
    if freed > share * whole:
        raise PlanError(
            f"this would free {freed:,} of {whole:,} bytes, more than the {share:.0%} that are allowed at once;"
            " approve less of it, or raise the limit (`--max-share`) if that is what you mean"
        )


def _forgot(collection: Collection, plan: Plan) -> int:
    return [(row.kind, row.outcome) for row in collection.catalog.journal(plan.id)].count((StepKind.FORGET, "done"))
