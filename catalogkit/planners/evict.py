"""Plans eviction: bytes that can be fetched again, least wanted first.

A content that goes is first noted as evicted, then its copies are dropped, in one unit: whoever looks for the bytes is
told that they went on purpose, when and by which plan. Its documents stay. Where a good copy stays in another store,
nothing is evicted: the copies here are dropped like any other surplus.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.layouts import cas_key
from catalogkit.model import Digest
from catalogkit.plan import Head, Plan, StepKind
from catalogkit.planners.steps import filled

if TYPE_CHECKING:
    from datetime import timedelta

# By what it was chosen, and whether a copy is left.
REASONS: Final = {
    "model": "few are expected to ask for it again; a model that was right about this log's past says so",
    "rate": "few are expected to ask for it again, by how often it and its like were asked for",
    "size x age": "it is large and was not met for long; no log says enough of who asks for it",
    "elsewhere": "a good copy of it stays in another store",
}
RETURN_REASONS: Final = {"wanted": "it was evicted, and somebody wants it back from where it came from"}
# What a gatherer hands over: a row for each copy, of contents in the order in which they are to go. `ours` says that it
# lies in the store that is to be relieved, `healthy` that it is not known to be bad; `reuse` is the chance of a request
# for the content within the horizon, where a log tells.
COPIES: Final = pl.Schema(
    {
        "rank": pl.Int64(),
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "store": pl.String(),
        "key": pl.String(),
        "inode": pl.Int64(),
        "mtime_ns": pl.Int64(),
        "users": pl.Int64(),
        "ours": pl.Boolean(),
        "healthy": pl.Boolean(),
        "document_id": pl.Int64(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "media_type": pl.String(),
        "tenant": pl.String(),
        "reuse": pl.Float64(),
    }
)
EVICTED: Final = pl.Schema({"sha256": pl.String(), "document_id": pl.Int64()} | {
    name: pl.String() for name in ("artifact_id", "resolver", "media_type", "tenant")
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class EvictionPolicy:
    """What an eviction may do.

    Attributes
    ----------
    last_copies : bool
        Whether the last copy of a content may go, if every document of it can be fetched again. Without it only
        contents go of which a good copy stays in another store.
    private : bool
        Whether a document may be fetched again from hosts of private addresses.
    max_share : float
        The largest share of all stored bytes one plan may free; more is refused when it is applied.

    Examples
    --------
    >>> ck.EvictionPolicy(last_copies=True).max_share
    0.5
    """

    last_copies: bool = False
    private: bool = False
    max_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.max_share <= 1:
            raise InvalidInput(f"max_share is a share of all stored bytes, above 0 and at most 1: {self.max_share}")

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {"last_copies": self.last_copies, "private": self.private, "max_share": self.max_share}


def plan_evict(
    head: Head,
    copies: pl.DataFrame,
    reason: str,
    policy: EvictionPolicy,
    kept: int = 0,
    *,
    horizon: timedelta | None = None,
) -> Plan:
    """Let go of contents in the order of their ranks, a unit for each.

    Parameters
    ----------
    copies
        A row for each copy of them: the columns of `COPIES`.
    reason
        By what they were chosen: a key of `REASONS`.
    kept
        How many more were chosen, but have no copy elsewhere, and last copies are kept.
    horizon
        How far ahead their chances of reuse count.

    Returns
    -------
    Plan
        Units that take a last copy say so; contents whose last copy the policy keeps are counted as left out. How many
        of those whose last copy goes are expected back stands in the head, to be compared with what comes.
    """
    stays = (~pl.col("ours") & pl.col("healthy")).any().over("sha256")
    mine = copies.with_columns(stays=stays).filter("ours")
    kept += 0 if policy.last_copies else mine.filter(~pl.col("stays"))["sha256"].n_unique()
    going = mine.filter(pl.col("stays") | policy.last_copies).sort("rank", "sha256", "store", "key")
    file = pl.coalesce(pl.col("inode").cast(pl.String), "key")
    drops = going.with_columns(
        kind=pl.lit(StepKind.DROP.value),
        object=pl.concat_str(["store", file, "sha256"], separator=":"),
        users=pl.max_horizontal("users", pl.len().over("store", "sha256", file)),
        order=pl.lit(1),
    )
    noted = going.filter(~pl.col("stays")).unique("sha256", keep="first", maintain_order=True)
    # Where it would lie again, if it were fetched.
    notes = noted.with_columns(
        kind=pl.lit(StepKind.EVICT.value),
        key=pl.col("sha256").map_elements(lambda text: cas_key(Digest.parse(text)), return_dtype=pl.String()),
        bytes=pl.lit(0, dtype=pl.Int64),
        inode=pl.lit(None, dtype=pl.Int64),
        mtime_ns=pl.lit(None, dtype=pl.Int64),
        users=pl.lit(None, dtype=pl.Int64),
        object=pl.lit(None, dtype=pl.String),
        order=pl.lit(0),
    )
    rows = (
        pl.concat([notes.select(drops.columns), drops])
        .sort("rank", "sha256", "order", "store", "key")
        .with_columns(
            unit=pl.col("sha256").rle_id().cast(pl.Int64),
            last_copy=~pl.col("stays"),
            reason=pl.when("stays").then(pl.lit("elsewhere")).otherwise(pl.lit(reason)),
        )
        .with_columns(step=pl.int_range(pl.len()).over("unit"))
    )
    few = f"{kept:,} content{'s stay' if kept > 1 else ' stays'}: no copy is left elsewhere, and last copies are kept"
    told = policy.plain() | _promise(noted["reuse"], horizon)
    about = replace(head, policy=told, reasons=REASONS, complete=few if kept else "")
    return Plan(about, filled(rows))


def _promise(reuse: pl.Series, horizon: timedelta | None) -> dict[str, Any]:
    """How many of so many contents are expected back within how many days; nothing where no log tells."""
    if horizon is None or reuse.is_empty() or reuse.null_count():
        return {}
    days = horizon.total_seconds() / 86400
    return {"of": len(reuse), "expected_back": float(f"{reuse.sum():.6g}"), "horizon_days": days}


def plan_return(head: Head, evicted: pl.DataFrame, home: str) -> Plan:
    """Fetch evicted contents again, into the store `home`: the columns of `EVICTED`, a row for each."""
    rows = evicted.sort("document_id", "sha256").with_columns(
        unit=pl.int_range(pl.len()),
        step=pl.lit(0),
        kind=pl.lit(StepKind.FETCH.value),
        reason=pl.lit("wanted"),
        store=pl.lit(home),
        key=pl.col("sha256").map_elements(lambda text: cas_key(Digest.parse(text)), return_dtype=pl.String()),
        bytes=pl.lit(0),
        last_copy=pl.lit(False),
    )
    return Plan(replace(head, reasons=RETURN_REASONS), filled(rows))
