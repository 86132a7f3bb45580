"""Plans to forget documents that somebody names."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from catalogkit.plan import Head, Plan, StepKind
from catalogkit.planners.steps import filled

REASONS: Final = {"asked": "somebody asked for it to be forgotten"}


def plan_forget(head: Head, documents: pl.DataFrame) -> Plan:
    """Forget these documents; bytes that then nobody refers to become garbage, which is collected later.

    Parameters
    ----------
    documents
        Rows of the ``documents`` frame, with ``refs``: how many documents share the content.
    """
    share = pl.len().over("sha256") >= pl.col("refs")
    rows = documents.sort("id").with_columns(
        unit=pl.int_range(pl.len()),
        step=pl.lit(0),
        kind=pl.lit(StepKind.FORGET.value),
        reason=pl.lit("asked"),
        document_id=pl.col("id"),
        object=pl.format("blob:{}", "sha256"),
        users=pl.col("refs"),
        since=pl.col("seen_at"),
        last_copy=share,
    )
    return Plan(replace(head, reasons=REASONS), filled(rows))
