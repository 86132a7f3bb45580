"""Plans retention: makes steps to forget the documents that are due."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from catalogkit.plan import Head, Plan, StepKind
from catalogkit.planners.steps import filled
from catalogkit.policies.deciding import totals
from catalogkit.policies.retention import FORGET

if TYPE_CHECKING:
    from catalogkit.policies.retention import RetentionPolicy


def longest_overdue(decided: pl.DataFrame, limit: int | None = None) -> pl.DataFrame:
    """The decisions about what is to be forgotten, longest overdue first; of all, or of at most so many."""
    due = decided.select("score", "id", "keep").with_row_index().filter(~pl.col("keep"))
    if limit is not None and limit < due.height:
        due = due.top_k(limit, by=["score", "id"], reverse=[False, True])
    return decided[due.sort("score", "id", descending=[True, False])["index"]]


def plan_retention(head: Head, decided: pl.DataFrame, policy: RetentionPolicy, due: pl.DataFrame | None = None) -> Plan:
    """Forget what the decisions say, longest overdue first; each document is a unit.

    Bytes that then nobody refers to become garbage, which is collected later, by a plan of its own and after a grace.

    Parameters
    ----------
    decided
        What `catalogkit.policies.deciding.decisions` returned: all of it, so that the plan can say what is kept.
    due
        What to forget, as `longest_overdue` tells it; all of it without this.
    """
    about = ["id", "score", "reason", "last_seen", "sha256", "stored_bytes", "users", "artifact_id", "resolver"]
    first = longest_overdue(decided) if due is None else due
    rows = (
        first.lazy()
        .select(*about, "media_type", "tenant")
        .with_columns(
            unit=pl.int_range(pl.len(), dtype=pl.Int64),
            step=pl.lit(0),
            kind=pl.lit(StepKind.FORGET.value),
            document_id=pl.col("id"),
            bytes=pl.col("stored_bytes"),
            object=pl.format("blob:{}", "sha256"),
            since=pl.col("last_seen"),
            # Nobody named these documents: the policy did, and letting go of the last one is what it is for.
            last_copy=pl.lit(False),
        )
    )
    kept = totals(decided).filter(pl.col("decision") == "keep", pl.col("documents") > 0)
    facts = policy.plain() | {"kept": dict(kept.select("reason", "documents").rows())}
    return Plan(replace(head, policy=facts, reasons=FORGET), filled(rows.collect()))
