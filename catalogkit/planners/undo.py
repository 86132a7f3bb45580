"""Undo: the way back from what a plan has done, as long as nothing was purged."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from catalogkit.plan import SCHEMA, Head, Plan, StepKind

REASONS: Final = {
    "condemned-by": "it was condemned by the plan that is undone",
    "forgotten-by": "it was forgotten by the plan that is undone",
}
_BACK: Final = {
    StepKind.CONDEMN.value: (StepKind.REARM.value, "condemned-by"),
    StepKind.FORGET.value: (StepKind.RECALL.value, "forgotten-by"),
}


def plan_undo(head: Head, journal: pl.DataFrame, undone: str) -> Plan:
    """Take back every step that was done and can be: last unit first, last step first.

    Parameters
    ----------
    journal
        The steps that were done: unit, step, kind, sha256, document_id, store, key, bytes.
    undone
        The id of the plan to undo.

    Notes
    -----
    A purge has no way back; the plan says how many there were.
    """
    gone = journal.filter(~pl.col("kind").is_in(list(_BACK)))
    back = journal.filter(pl.col("kind").is_in(list(_BACK))).sort("unit", "step", descending=True)
    kinds = {kind: back for kind, (back, _) in _BACK.items()}
    reasons = {kind: reason for kind, (_, reason) in _BACK.items()}
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items() if name not in back.columns]
    frame = (
        back.with_columns(missing)
        .with_columns(
            reason=pl.col("kind").replace_strict(reasons, return_dtype=pl.String),
            kind=pl.col("kind").replace_strict(kinds, return_dtype=pl.String),
            unit=pl.col("unit").rle_id().cast(pl.Int64),
            bytes=pl.lit(0),
            last_copy=pl.lit(False),
        )
        .with_columns(step=pl.int_range(pl.len()).over("unit"))
    )
    note = f"{gone.height} steps cannot be undone" if gone.height else ""
    return Plan(replace(head, policy={"undone": undone}, reasons=REASONS, complete=note), frame)
