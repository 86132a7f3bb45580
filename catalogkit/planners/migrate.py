"""Plans a change of layout: every copy gets its new name first, and loses its old one only then."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from catalogkit.plan import SCHEMA, Head, Plan, StepKind
from catalogkit.planners.steps import filled

REASONS: Final = {
    "to-cas": "its bytes are to lie at their content address",
    "to-policy": "its bytes are to lie at a readable path",
}
# A row for each new name of a copy: `location` is the copy's id, `key` its old name, `target` the new one. `exists`
# says that the bytes lie at the target already, `users` how many names the copy's file has now.
MOVES: Final = pl.Schema(
    {"location": pl.Int64(), "target": pl.String(), "exists": pl.Boolean()}
    | {name: SCHEMA[name] for name in ("sha256", "bytes", "store", "key", "inode", "mtime_ns", "users")}
    | {name: SCHEMA[name] for name in ("artifact_id", "resolver", "media_type", "tenant")}
)


def plan_migrate(head: Head, moves: pl.DataFrame, *, to: str, views: bool = True, keep: bool = False) -> Plan:
    """Move copies to another layout: a unit for each, which links its new names and then drops the old one.

    Parameters
    ----------
    moves
        With the columns of `MOVES`.
    to
        ``cas`` or ``policy``.
    views
        Whether a symbolic link to the first new name takes the place of an old one.
    keep
        Whether old names stay as they are, as further names of the same files: only what has no new name gets one.

    Notes
    -----
    A link makes no bytes and frees none. A drop frees its file only where that is not the one that the new name shows:
    `users` counts the names a file has now and the one that it is to get. Of several copies of a blob that have one
    target, the first becomes what lies there.
    """
    file = pl.coalesce(pl.col("inode").cast(pl.String), "key")
    gets = ~pl.col("exists") & (pl.col("location") == pl.col("location").min().over("store", "target"))
    rows = moves.sort("location", "target").with_columns(gets=gets)
    rows = rows.with_columns(made=pl.col("gets").sum().over("store", file))
    links = rows.filter(~pl.col("exists")) if keep else rows
    links = links.with_columns(
        kind=pl.lit(StepKind.LINK.value),
        from_key="key",
        key="target",
        bytes=pl.lit(0, pl.Int64),
        users=pl.lit(None, pl.Int64),
        inode=pl.lit(None, pl.Int64),
        mtime_ns=pl.lit(None, pl.Int64),
        last=pl.lit(False),
    )
    drops = rows.unique("location", keep="first", maintain_order=True).with_columns(
        kind=pl.lit(StepKind.DROP.value),
        from_key=pl.col("target") if views else pl.lit(None, pl.String),
        object=pl.format("{}:{}", "store", file),
        users=pl.col("users") + pl.col("made"),
        last=pl.lit(True),
    )
    both = [links] if keep else [links, drops]
    frame = (
        pl.concat(both, how="diagonal")
        .sort("location", "last", "key")
        .with_columns(unit=pl.col("location").rle_id().cast(pl.Int64), reason=pl.lit(f"to-{to}"), last_copy=False)
        .with_columns(step=pl.int_range(pl.len()).over("unit"))
    )
    policy = {"to": to, "views": views, "keep": keep}
    return Plan(replace(head, policy=policy, reasons=REASONS), filled(frame))
