"""Makes the dedup plan from what `planners.dedup` decided."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from catalogkit.plan import Head, Plan, StepKind
from catalogkit.planners.dedup import GROUP
from catalogkit.planners.steps import filled
from catalogkit.policies.dedup import REASONS, DedupPolicy, How


def plan_dedup(head: Head, decisions: pl.DataFrame, policy: DedupPolicy, how: How = How.LINK) -> Plan:
    """Make the copies that are worth it share their bytes: a unit for each group.

    Parameters
    ----------
    decisions
        What `decide` returned for the same policy and `how`.

    Notes
    -----
    ``link`` and ``clone`` let each spare copy share the bytes of the one that stays. ``cas`` gives that one its content
    address, if it has none, and drops every other name: afterwards the content has one place.
    """
    planned = decisions.filter("planned")
    if how is How.CLONE:  # of a file with several names one will do; its data changes place, not its names
        planned = planned.with_columns(pl.col("keys").list.head(1))
    names = planned.drop("key").explode("keys").rename({"keys": "key", "mtime": "mtime_ns"})
    steps = names.with_columns(
        kind=pl.lit(how.value),
        from_store="store",
        from_key="into",
        object=pl.lit(None, pl.String) if how is How.CLONE else pl.format("{}:{}:{}", "store", "inode", "sha256"),
        users="links",
    )
    if how is How.CAS:
        steps = _to_one_address(steps)
    steps = steps.with_columns(
        reason=pl.lit("worthwhile"),
        since="seen_at",
        last_copy=pl.lit(False),
        unit=pl.struct(GROUP).rle_id().cast(pl.Int64),
    )
    frame = filled(steps.with_columns(step=pl.int_range(pl.len()).over("unit")))
    words = {"worthwhile": REASONS["worthwhile"][0]}
    return Plan(replace(head, policy=policy.plain() | {"how": how.value}, reasons=words), frame)


def _to_one_address(names: pl.DataFrame) -> pl.DataFrame:
    """Steps that leave one name of each group, its content address: that is linked first, the others are dropped."""
    address = pl.format("cas/{}/{}", pl.col("sha256").str.head(2), "sha256")
    kept = names.filter(~pl.col("spare")).unique(GROUP, keep="first", maintain_order=True)
    there = names.filter(pl.col("key") == address).select(*GROUP, "spare")
    here = pl.col("key") == address
    named = ~pl.col("spare") & ~(here & ~pl.col("spare")).any().over(GROUP)  # these get one more name, the address
    names = names.join(kept.select(*GROUP, source="key"), on=GROUP).with_columns(
        here=here, users=pl.col("users") + named
    )
    dropped, linked = StepKind.DROP.value, StepKind.LINK.value
    steps = names.filter(~pl.col("here") | pl.col("spare")).with_columns(
        kind=pl.when("here").then(pl.lit(linked)).otherwise(pl.lit(dropped)),
        from_store=pl.when("here").then("store"),
        from_key=pl.when("here").then("source"),
    )
    new = (
        kept.join(there, on=GROUP, how="anti")
        .with_columns(from_key="key", from_store="store", kind=pl.lit(linked), bytes=pl.lit(0), here=pl.lit(True))
        .with_columns(key=address, **{name: pl.lit(None) for name in ("inode", "mtime_ns", "object", "users")})
    )
    return pl.concat([steps, new], how="diagonal_relaxed").sort(*GROUP, ~pl.col("here"), "key")
