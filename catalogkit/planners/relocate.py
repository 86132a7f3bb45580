"""Plans the move to another store: copies every blob there, and only then drops it from the first."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from catalogkit.plan import SCHEMA, Head, Plan, StepKind
from catalogkit.planners.steps import filled

REASONS: Final = {"to-store": "its bytes are to lie in another store"}
# A row for each copy that is to be left: `to` is the store and `target` the key that its bytes are to have, `exists`
# says that a copy lies there already, `users` how many names its file has.
COPIES: Final = pl.Schema(
    {"location": pl.Int64(), "to": pl.String(), "target": pl.String(), "exists": pl.Boolean(), "reason": pl.String()}
    | {name: SCHEMA[name] for name in ("sha256", "bytes", "store", "key", "inode", "mtime_ns", "users")}
    | {name: SCHEMA[name] for name in ("artifact_id", "resolver", "media_type", "tenant")}
)


def plan_relocate(head: Head, copies: pl.DataFrame, *, to: str, keep: bool = False) -> Plan:
    """Copy blobs to another store, and drop the copies that they have in this one: a unit for each blob.

    Parameters
    ----------
    copies
        With the columns of `COPIES`.
    to
        The name of the other store.
    keep
        Whether the copies here stay as well.
    """
    # All of a store may go: nothing does before it was read back elsewhere.
    policy = {"to": to, "keep": keep, "max_share": 1.0, "told": room(copies, keep=keep)}
    return Plan(replace(head, policy=policy, reasons=REASONS), moves(copies, keep=keep))


def room(copies: pl.DataFrame, *, keep: bool = False) -> list[str]:
    """What a move frees where it lay, and what it takes elsewhere: to free room here is not to have less."""
    sent = copies.filter(~pl.col("exists")).unique(["sha256", "to"]).group_by("to").agg(pl.col("bytes").sum())
    taken = [f"{size:,} bytes are added to {to}" for to, size in sent.sort("to").iter_rows()]
    if keep or not taken:
        return [f"{'; '.join(taken)}."] if taken else []
    left = " and ".join(copies["store"].unique().sort())
    return [f"What it frees is room in {left} alone: {'; '.join(taken)}."]


def moves(copies: pl.DataFrame, *, keep: bool = False) -> pl.DataFrame:
    """The steps that move blobs: a copy in the other store, made from the first one, then drops of those here.

    Notes
    -----
    A drop is carried out only once another copy was read and is right, which the new one is: it is read back.
    """
    rows = copies.sort("sha256", "location")
    first = rows.unique("sha256", keep="first", maintain_order=True).filter(~pl.col("exists"))
    gone = {name: pl.lit(None, dtype=SCHEMA[name]) for name in ("inode", "mtime_ns", "users")}
    copied = first.with_columns(
        kind=pl.lit(StepKind.COPY.value),
        from_store="store",
        from_key="key",
        store="to",
        key="target",
        bytes=pl.lit(0, pl.Int64),
        last=pl.lit(False),
        **gone,
    )
    drops = rows.with_columns(
        kind=pl.lit(StepKind.DROP.value),
        from_store=pl.lit(None, pl.String),
        from_key=pl.lit(None, pl.String),
        object=pl.format("{}:{}", "store", pl.coalesce(pl.col("inode").cast(pl.String), "key")),
        last=pl.lit(True),
    )
    return filled(
        pl.concat([copied] if keep else [copied, drops], how="diagonal")
        .sort("sha256", "last", "location")
        .with_columns(unit=pl.col("sha256").rle_id().cast(pl.Int64), last_copy=False)
        .with_columns(step=pl.int_range(pl.len()).over("unit"))
    )
