"""Steps as a plan has them: what a planner says of each, and nothing in all other columns."""

from __future__ import annotations

import polars as pl

from catalogkit.plan import SCHEMA


def filled(steps: pl.DataFrame) -> pl.DataFrame:
    """Steps with the columns of `plan.SCHEMA`: those that are lacking are null, what is none of them is left out."""
    lacking = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items() if name not in steps.columns]
    return steps.with_columns(lacking).select(pl.col(name).cast(kind) for name, kind in SCHEMA.items())
