"""Another store: every blob is copied there, and only then given up where it lay."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from catalogkit.plan import SCHEMA, Head, Plan, StepKind

REASONS: Final = {"to-store": "its bytes are to lie in another store"}
# A row for each copy in the store that is left: `target` is the key its bytes are to have, `exists` says that a copy
# lies there already, `users` how many names its file has.
COPIES: Final = pl.Schema(
    {"location": pl.Int64(), "target": pl.String(), "exists": pl.Boolean()}
    | {name: SCHEMA[name] for name in ("sha256", "bytes", "store", "key", "inode", "mtime_ns", "users")}
    | {name: SCHEMA[name] for name in ("artifact_id", "resolver", "media_type", "tenant")}
)


def plan_relocate(head: Head, copies: pl.DataFrame, *, to: str, keep: bool = False) -> Plan:
    """Copy blobs to another store, and drop the copies that they have in this one: a unit for each blob.

    Parameters
    ----------
    copies
        With the columns of `COPIES`; the first copy of a blob is the one that is read.
    to
        The name of the other store.
    keep
        Whether the copies here stay as well.

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
        store=pl.lit(to),
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
    frame = (
        pl.concat([copied] if keep else [copied, drops], how="diagonal")
        .sort("sha256", "last", "location")
        .with_columns(unit=pl.col("sha256").rle_id().cast(pl.Int64), reason=pl.lit("to-store"), last_copy=False)
        .with_columns(step=pl.int_range(pl.len()).over("unit"))
    )
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in SCHEMA.items() if name not in frame.columns]
    # All of a store may go: nothing does before it was read back elsewhere.
    policy = {"to": to, "keep": keep, "max_share": 1.0}
    return Plan(replace(head, policy=policy, reasons=REASONS), frame.with_columns(missing).select(SCHEMA.names()))
