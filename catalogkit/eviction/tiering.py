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
    """

    name: str
    per_gb_month: float
    per_gb_read: float = 0.0
    per_request: float = 0.0
    least_bytes: int = 0

    def __post_init__(self) -> None:
        if min(self.per_gb_month, self.per_gb_read, self.per_request, self.least_bytes) < 0:
            raise InvalidInput(f"tier {self.name!r} has a price or a size below 0")


def advice(scores: pl.DataFrame, tiers: Sequence[Tier], horizon_days: float) -> pl.DataFrame:
    """Say for each content which tier is cheapest over a horizon, by the requests that are expected within it.

    Parameters
    ----------
    scores
        Rows of `SmartEvictionPolicy.scores`; contents of which no log tells how often they are asked for are left out.
    tiers
        The price table; of two that cost the same the first is taken.

    Returns
    -------
    DataFrame
        The rows of `scores` that were advised about, with ``tier``, ``cost`` there and ``cost_first`` in the first
        tier, over the horizon.
    """
    if not tiers or len({tier.name for tier in tiers}) < len(tiers) or horizon_days <= 0:
        raise InvalidInput("advice needs tiers with names of their own, and a horizon ahead")
    months, asked = horizon_days / MONTH_DAYS, pl.col("expected")
    costs = {
        tier.name: pl.max_horizontal("stored_bytes", tier.least_bytes) / GB * tier.per_gb_month * months
        + asked * (pl.col("stored_bytes") / GB * tier.per_gb_read + tier.per_request)
        for tier in tiers
    }
    cheapest = pl.min_horizontal(*costs.values())
    name = pl.coalesce(pl.when(cost == cheapest).then(pl.lit(tier)) for tier, cost in costs.items())
    told = scores.filter(asked.is_not_null())
    return told.with_columns(tier=name, cost=cheapest, cost_first=costs[tiers[0].name])
