"""Plans garbage collection: condemns what nothing refers to, purges it after a grace period."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Final

import polars as pl

from catalogkit.plan import Head, Plan, StepKind
from catalogkit.planners.steps import filled

REASONS: Final = {
    "unreferenced": "no document refers to these bytes any more",
    "stray": "a file of the store that no record knows",
    "dead-intent": "an ingest that died before its bytes were stored",
    "grace-over": "condemned, and the grace since it became garbage is over",
    "stray-grace-over": "a stray file, condemned, and its grace is over",
}

# What a gatherer hands over, with the columns a planner reads.
GARBAGE: Final = pl.Schema(
    {
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "media_type": pl.String(),
        "since": pl.Datetime("us", "UTC"),
        "objects": pl.Int64(),
        "kept_by": pl.String(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "tenant": pl.String(),
    }
)
STRAYS: Final = pl.Schema(
    {
        "store": pl.String(),
        "key": pl.String(),
        "bytes": pl.Int64(),
        "inode": pl.Int64(),
        "mtime_ns": pl.Int64(),
        "users": pl.Int64(),
        "since": pl.Datetime("us", "UTC"),
    }
)
INTENTS: Final = pl.Schema({"intent": pl.Int64(), "sha256": pl.String(), "store": pl.String(), "key": pl.String()})
CONDEMNED: Final = pl.Schema(
    {
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "media_type": pl.String(),
        "since": pl.Datetime("us", "UTC"),
        "store": pl.String(),
        "key": pl.String(),
        "inode": pl.Int64(),
        "mtime_ns": pl.Int64(),
        "users": pl.Int64(),
        "kept_by": pl.String(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "tenant": pl.String(),
    }
)

KEPT: Final = pl.Schema({"by": pl.String(), "keepers": pl.Int64(), "blobs": pl.Int64(), "bytes": pl.Int64()})


_ROW: Final = pl.int_range(pl.len(), dtype=pl.Int64)


@dataclass(frozen=True, slots=True)
class GCPolicy:
    """How patient garbage collection is.

    Attributes
    ----------
    grace : timedelta
        How long something must have been garbage before it may be purged. Two weeks outlast a backup cycle and a
        holiday; counted from becoming garbage, not from being found.
    stray_age : timedelta
        How old a file without a record must be before it is a stray: younger ones may belong to work under way
        (Iceberg's floor for orphan files is three days, too).
    max_share : float
        The largest share of all stored bytes one plan may free; more is refused when it is applied.
    """

    grace: timedelta = timedelta(days=14)
    stray_age: timedelta = timedelta(days=3)
    max_share: float = 0.5

    def plain(self) -> dict[str, object]:
        """As plain data, durations in seconds."""
        return {k: v.total_seconds() if isinstance(v, timedelta) else v for k, v in asdict(self).items()}


def plan_condemn(
    head: Head, garbage: pl.DataFrame, strays: pl.DataFrame, intents: pl.DataFrame, policy: GCPolicy
) -> Plan:
    """Condemn what nothing refers to; what a hold, an intent or a root keeps is left out.

    Parameters
    ----------
    garbage, strays, intents
        Frames with the columns of `GARBAGE`, `STRAYS` and `INTENTS`.
    """
    blobs = garbage.filter(pl.col("kept_by").is_null() & (pl.col("since") <= head.as_of)).sort("since", "sha256")
    old = strays.filter(pl.col("since") <= head.as_of - policy.stray_age).sort("store", "key")
    parts = [
        _steps(blobs, kind=StepKind.CONDEMN, reason="unreferenced", bytes=pl.col("bytes") * pl.col("objects")),
        _steps(old, kind=StepKind.CONDEMN, reason="stray", object=_object()),
        _steps(intents.sort("intent"), kind=StepKind.ABANDON, reason="dead-intent", document_id=pl.col("intent")),
    ]
    return _numbered(head, policy, parts, pl.int_range(pl.len(), dtype=pl.Int64))


def kept(garbage: pl.DataFrame) -> pl.DataFrame:
    """What of the garbage (a frame with the columns of `GARBAGE`) is kept, by what keeps it: the columns of `KEPT`."""
    by = pl.col("kept_by").str.extract(r"^(\w+)")
    # A hold and an ingest are told as such; of all others there is the name, too.
    keeper = pl.when(by.is_in(["hold", "ingest"])).then("sha256").otherwise("kept_by")
    return (
        garbage.filter(pl.col("kept_by").is_not_null())
        .group_by(by=by)
        .agg(
            keepers=keeper.n_unique().cast(pl.Int64),
            blobs=pl.len().cast(pl.Int64),
            bytes=(pl.col("bytes") * pl.col("objects")).sum(),
        )
        .sort("bytes", "by", descending=[True, False])
        .cast(KEPT)
    )


def plan_purge(head: Head, condemned: pl.DataFrame, strays: pl.DataFrame, policy: GCPolicy) -> Plan:
    """Purge what has been garbage for the whole grace: every copy of a blob in one unit.

    Parameters
    ----------
    condemned, strays
        Frames with the columns of `CONDEMNED` (a row for each copy; a blob without copies has one with no key) and
        `STRAYS` (``since`` is when it was condemned). ``users`` is how many names a file has, wherever they are.
    """
    due = head.as_of - policy.grace
    ripe = condemned.filter(pl.col("kept_by").is_null() & (pl.col("since") <= due))
    blobs = ripe.sort("since", "sha256", "store", "key")
    # All names of a file that the catalog has go together; a name elsewhere keeps the bytes where they are.
    file = pl.coalesce(pl.col("inode").cast(pl.String), "key")
    names = pl.max_horizontal("users", pl.len().over("store", "sha256", file))
    parts = [
        _steps(blobs, kind=StepKind.PURGE, reason="grace-over", object=_object("sha256"), users=names),
        _steps(
            strays.filter(pl.col("since") <= due).sort("store", "key"),
            kind=StepKind.PURGE,
            reason="stray-grace-over",
            object=_object(),
        ),
    ]
    subject = pl.coalesce("sha256", pl.format("{}:{}", "store", "key"))
    return _numbered(head, policy, parts, subject.rle_id().cast(pl.Int64))


def _object(*extra: str) -> pl.Expr:
    """The physical object a file is: one inode is one object, whatever its names; no inode is one of its own."""
    identity = pl.coalesce(pl.col("inode").cast(pl.String), "key")
    return pl.when(pl.col("key").is_not_null()).then(pl.concat_str(["store", identity, *extra], separator=":"))


def _steps(rows: pl.DataFrame, **columns: pl.Expr | str) -> pl.DataFrame:
    return filled(rows.with_columns(**{k: v if isinstance(v, pl.Expr) else pl.lit(str(v)) for k, v in columns.items()}))


def _numbered(head: Head, policy: GCPolicy, parts: list[pl.DataFrame], unit: pl.Expr) -> Plan:
    frame = (
        pl.concat(parts)
        .with_columns(unit=unit, last_copy=pl.lit(False), bytes=pl.col("bytes").fill_null(0))
        # A unit's rows are neighbours, so a step is how far a row is from the first of its unit.
        .with_columns(step=_ROW - pl.when(pl.col("unit").diff().fill_null(1) != 0).then(_ROW).forward_fill())
    )
    return Plan(replace(head, policy=policy.plain(), reasons=REASONS), frame)
