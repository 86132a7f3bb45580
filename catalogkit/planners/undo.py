"""Plans the undo of what another plan did, where it left a way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from catalogkit.plan import SCHEMA, Head, Plan
from catalogkit.planners.steps import filled

REASONS: Final = {
    "condemned-by": "it was condemned by the plan that is undone",
    "forgotten-by": "it was forgotten by the plan that is undone",
    "placed-by": "it was put there by the plan that is undone",
    "linked-by": "the plan that is undone made it a name of another file",
    "parted-by": "the plan that is undone gave it a file of its own",
    "dropped-by": "it was dropped by the plan that is undone",
    "evicted-by": "it was evicted by the plan that is undone; where it came from may still have it",
}
# What a gatherer hands over: the steps that were done, for the bytes that were copied, linked or dropped with what
# lies there now, and for what was dropped with a copy that is left (`from_store`, `from_key`).
JOURNAL: Final = pl.Schema(
    {name: SCHEMA[name] for name in ("unit", "step", "kind", "sha256", "document_id", "store", "key", "bytes")}
    | {name: SCHEMA[name] for name in ("from_store", "from_key")}
    | {"effect": pl.String()}
    | {name: SCHEMA[name] for name in ("inode", "mtime_ns", "users")}
    | {"size": pl.Int64()}
)
# (kind, effect) -> the way back, and why. What was dropped is linked again within a store, copied from another.
_BACK: Final = {
    ("condemn", ""): ("rearm", "condemned-by"),
    ("forget", ""): ("recall", "forgotten-by"),
    ("copy", "new"): ("drop", "placed-by"),
    ("link", "new"): ("drop", "placed-by"),
    ("copy", "parted"): ("link", "parted-by"),
    ("link", "replaced"): ("copy", "linked-by"),
    ("evict", ""): ("fetch", "evicted-by"),
    ("drop", "linked"): ("link", "dropped-by"),
    ("drop", "copied"): ("copy", "dropped-by"),
}
# Nothing was changed by these: right bytes lay there, and the catalog knew.
_NOTHING: Final = (("copy", ""), ("link", ""), ("fetch", ""))


def plan_undo(head: Head, journal: pl.DataFrame, undone: str) -> Plan:
    """Take back every step that was done and can be: last unit first, last step first.

    Parameters
    ----------
    journal
        The steps that were done, with the columns of `JOURNAL`.
    undone
        The id of the plan to undo.

    Notes
    -----
    A purge, what was fetched, put aside or repaired, and data that files share have no way back; the plan says how many
    such steps there were. (Shared data costs nothing and shows nowhere.) A link that took the place of a file becomes a
    file of its own again; it has the bytes it had, but not its old inode.
    """
    same = pl.col("from_store") == pl.col("store")
    effect = (
        pl.when(pl.col("kind") != "drop")
        .then("effect")
        .when(pl.col("from_key").is_null())
        .then(pl.lit("lost"))
        .otherwise(pl.when(same).then(pl.lit("linked")).otherwise(pl.lit("copied")))
    )
    ways = pl.DataFrame(
        [(*what, *way) for what, way in _BACK.items()],
        schema=["kind", "effect", "back", "reason"],
        orient="row",
    )
    nothing = pl.DataFrame(_NOTHING, schema=["kind", "effect"], orient="row")
    steps = journal.with_columns(effect=effect.fill_null("")).join(nothing, on=["kind", "effect"], how="anti")
    # What is fetched again need not be put back where it was.
    evicted = steps.filter(pl.col("kind") == "evict").select("unit", "sha256", lost=pl.lit("lost"))
    steps = steps.join(evicted, left_on=["unit", "sha256", "effect"], right_on=["unit", "sha256", "lost"], how="anti")
    gone = steps.join(ways, on=["kind", "effect"], how="anti")
    # What is dropped may be what several others of its content are made of again: they go before it, in one unit.
    copied = pl.col("reason").is_in(["placed-by", "dropped-by"])
    unit = pl.when(copied).then(pl.col("unit").max().over("sha256", copied)).otherwise("unit")
    back = (
        steps.join(ways, on=["kind", "effect"])
        .with_columns(unit=unit, last=copied & (pl.col("back") == "drop"), order="unit")
        .sort("unit", "last", "order", "step", descending=[True, False, True, True])
    )
    removes, exchanges = pl.col("back") == "drop", pl.col("reason").is_in(["linked-by", "parted-by"])
    # Names that this plan itself makes keep a file's bytes, too.
    made = ((pl.col("back") == "link") & (pl.col("reason") == "dropped-by")).sum().over("sha256", "store")
    planned = removes | (exchanges & (pl.col("back") == "link"))
    frame = back.with_columns(
        kind="back",
        # A drop that names a copy leaves a view of it: what was not there before is to be gone.
        from_store=pl.when(~removes).then("from_store"),
        from_key=pl.when(~removes).then("from_key"),
        unit=pl.col("unit").rle_id().cast(pl.Int64),
        bytes=pl.when(planned).then("size").otherwise(0).fill_null(0),
        object=pl.when(planned & pl.col("inode").is_not_null()).then(pl.format("{}:{}", "store", "inode")),
        users=pl.when(planned).then(pl.col("users") + made),
        inode=pl.when(planned).then("inode"),
        mtime_ns=pl.when(planned).then("mtime_ns"),
        last_copy=pl.lit(False),
    ).with_columns(step=pl.int_range(pl.len()).over("unit"))
    kinds = ", ".join(f"{kind} x {count:,}" for kind, count in gone.group_by("kind").len().sort("kind").iter_rows())
    note = f"{gone.height:,} step{'s' if gone.height > 1 else ''} cannot be undone: {kinds}" if gone.height else ""
    return Plan(replace(head, policy={"undone": undone}, reasons=REASONS, complete=note), filled(frame))
