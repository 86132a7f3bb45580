"""Tiering advice: in which tier a content costs least, by what storing and asking for it costs there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

MONTH_DAYS: Final = 30.4375
GB: Final = 1e9


@dataclass(frozen=True, slots=True)
class Tier:
    """What a place to keep bytes costs: a row of the price table, in any one money.

    Attributes
    ----------
    per_gb_month : float
        Storing a gigabyte (10^9 bytes) for a month.
    per_gb_read, per_request : float
        Reading a gigabyte, and asking at all.
    least_bytes : int
        Smaller contents are charged as if they were so large.
    least_days : float
        What leaves earlier is charged as if it had stayed so long.
    per_move : float
        Putting a content there, once.
    wait_hours : float
        How long a read waits before it begins; it is told, and costs nothing here.
    """

    name: str
    per_gb_month: float
    per_gb_read: float = 0.0
    per_request: float = 0.0
    least_bytes: int = 0
    least_days: float = 0.0
    per_move: float = 0.0
    wait_hours: float = 0.0

    def __post_init__(self) -> None:
        prices = self.per_gb_month, self.per_gb_read, self.per_request, self.per_move
        if min(*prices, self.least_bytes, self.least_days, self.wait_hours) < 0:
            raise InvalidInput(f"tier {self.name!r} has a price or a size below 0")

    def keeping(self, size: pl.Expr) -> pl.Expr:
        """What it costs to keep contents of so many bytes for a month."""
        return pl.max_horizontal(size, self.least_bytes) / GB * self.per_gb_month

    def reading(self, size: pl.Expr) -> pl.Expr:
        """What it costs to read contents of so many bytes once."""
        return size / GB * self.per_gb_read + self.per_request


def advice(scores: pl.DataFrame, tiers: Sequence[Tier], horizon_days: float) -> pl.DataFrame:
    """Say for each content which tier is cheapest over a horizon, by the requests that are expected within it.

    Parameters
    ----------
    scores
        Rows of `SmartEvictionPolicy.scores`; contents of which no log tells how often they are asked for are left out.
    tiers
        The price table, first the tier where they are now; of two that cost the same the first is taken.

    Returns
    -------
    DataFrame
        The rows of `scores` that were advised about, with ``tier`` and its ``wait_hours``; over the horizon the
        ``cost`` there (storing, reading, moving) and ``cost_first`` in the first tier; each month the price of storing
        there (``per_month``) and in the first (``per_month_first``), and what requests are expected to cost there
        (``reads_per_month``); once, ``move``.
    """
    if not tiers or len({tier.name for tier in tiers}) < len(tiers) or horizon_days <= 0:
        raise InvalidInput("advice needs tiers with names of their own, and a horizon ahead")
    told = scores.filter(pl.col("expected").is_not_null())
    parts = {tier.name: _costs(tier, horizon_days, moved=number > 0) for number, tier in enumerate(tiers)}
    cost = {name: store * months + reads + move for name, (store, months, reads, move) in parts.items()}
    cheapest = pl.min_horizontal(*cost.values())
    ours = pl.coalesce(pl.when(one == cheapest).then(pl.lit(name)) for name, one in cost.items())

    def there(values: dict[str, pl.Expr]) -> pl.Expr:
        return pl.coalesce(pl.when(pl.col("tier") == name).then(value) for name, value in values.items())

    ahead = horizon_days / MONTH_DAYS
    return told.with_columns(tier=ours, cost=cheapest, cost_first=cost[tiers[0].name]).with_columns(
        wait_hours=there({tier.name: pl.lit(tier.wait_hours) for tier in tiers}),
        per_month=there({name: store for name, (store, *_) in parts.items()}),
        per_month_first=parts[tiers[0].name][0],
        reads_per_month=there({name: reads / ahead for name, (_, _, reads, _) in parts.items()}),
        move=there({name: pl.lit(move) for name, (*_, move) in parts.items()}),
    )


def _costs(tier: Tier, horizon_days: float, *, moved: bool) -> tuple[pl.Expr, float, pl.Expr, float]:
    """What storing costs in a month, and for how many months; what reads cost over the horizon; what moving costs."""
    return (
        tier.keeping(pl.col("stored_bytes")),
        max(horizon_days, tier.least_days) / MONTH_DAYS,
        pl.col("expected") * tier.reading(pl.col("stored_bytes")),
        tier.per_move if moved else 0.0,
    )


def totals(advised: pl.DataFrame) -> pl.DataFrame:
    """What advice comes to: by ``tier`` its ``contents``, ``bytes``, and the sums of the prices that `advice` tells."""
    prices = pl.col("per_month_first", "per_month", "reads_per_month", "move", "cost_first", "cost")
    return (
        advised.group_by("tier")
        .agg(prices.sum(), contents=pl.len(), bytes=pl.col("stored_bytes").sum())
        .sort("bytes", "tier", descending=[True, False])
    )
