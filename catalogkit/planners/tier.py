"""Plans tiering: cold documents to a cheap store, and back once they are asked for again.

Between the two lies a gap, so that nothing goes to and fro: what goes was not asked for at all within the same time in
which what comes back was asked for several times. Where both stores have prices, a move must also pay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.eviction.tiering import MONTH_DAYS, Tier
from catalogkit.plan import Head, Plan
from catalogkit.planners.relocate import moves, room
from catalogkit.policies.prices import RANGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catalogkit.policies.prices import Price
    from catalogkit.policies.tiering import TierPolicy

COLD, BACK, WANTED = "cold", "back", "wanted"
REASONS: Final = {
    COLD: "it is old, nobody asked for it for long, and it is cheaper to keep there",
    BACK: "it is asked for again",
    WANTED: "somebody wants it back",
}
# A row for each content: since when it is here, how often it was asked for within the policy's time and when last,
# how often that is expected within its horizon (null where no log tells), whether a good copy is here or there.
CONTENTS: Final = pl.Schema(
    {
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "since": pl.Datetime("us", "UTC"),
        "read_at": pl.Datetime("us", "UTC"),
        "reads": pl.Int64(),
        "expected": pl.Float64(),
        "is_hot": pl.Boolean(),
        "is_cold": pl.Boolean(),
    }
)
_ADDED: Final = pl.Schema(
    {"reason": pl.String()} | dict.fromkeys(("stay", "once", "there", "month_now", "month_then"), pl.Float64())
)
MONEY: Final = 6  # decimals that are told


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two stores: its name, its price if there is one, and how long bytes take to come out of it."""

    name: str
    price: Price | None = None
    latency: str = ""
    archive: bool = False

    @property
    def tier(self) -> Tier:
        """Its price as the eviction's advice has it; free where there is none."""
        price = self.price
        if price is None:
            return Tier(self.name, 0.0)
        return Tier(
            self.name, float(price.month_gb or 0), float(price.read_gb), float(price.requests_1000) / 1000,
            price.least_bytes, price.least_days,
        )  # fmt: skip

    def proving(self, size: pl.Expr) -> pl.Expr:
        """What it costs to read contents back once, in ranges; nothing is read out of an archive."""
        requests = pl.max_horizontal(1, (size / RANGE_BYTES).ceil())
        return pl.lit(0.0) if self.archive else size / 1e9 * self.tier.per_gb_read + requests * self.tier.per_request

    def writing(self) -> float:
        """What it costs to write one content; of one in parts, which is large, the others cost next to nothing."""
        return float(self.price.writes_1000) / 1000 if self.price else 0.0


def choose(
    contents: pl.DataFrame, policy: TierPolicy, hot: Side, cold: Side, head: Head, wanted: frozenset[str] = frozenset()
) -> pl.DataFrame:
    """What moves, why, and what that costs: `CONTENTS` with ``reason`` and the costs until the horizon.

    Parameters
    ----------
    contents
        With the columns of `CONTENTS`.
    wanted
        Contents that are to come back, whatever was asked for; nothing else moves then.

    Returns
    -------
    DataFrame
        Rows that move. ``stay`` is the cost where they are, ``there`` where they are to be, both with the reading that
        is expected; ``once`` the cost of moving; ``month_now`` and ``month_then`` what keeping costs in a month.
        Without prices they are 0.
    """
    as_of, asked = head.as_of, pl.col("expected").fill_null(0.0)
    unread = pl.col("read_at").is_null() | (pl.col("read_at") <= as_of - policy.unread())
    old = (pl.col("since") <= as_of - policy.age()) & unread & (pl.col("bytes") >= policy.smallest())
    goes = pl.col("is_hot") & old
    comes = ~pl.col("is_hot") & pl.col("is_cold")
    named, back = pl.col("sha256").is_in(sorted(wanted)), pl.col("reads") >= policy.back_after
    reason = (
        pl.when(comes & named).then(pl.lit(WANTED))
        .when(comes & back & (not wanted)).then(pl.lit(BACK))
        .when(goes & (not wanted)).then(pl.lit(COLD))
    )  # fmt: skip
    days, size = policy.ahead() / timedelta(days=1), pl.col("bytes")
    told = contents.with_columns(reason=reason).filter(pl.col("reason").is_not_null())
    parts = []
    for here, there, some in (
        (hot, cold, told.filter(pl.col("reason") == COLD)),
        (cold, hot, told.filter(pl.col("reason") != COLD)),
    ):
        months = max(days, there.tier.least_days) / MONTH_DAYS
        copied = ~(pl.col("is_hot") & pl.col("is_cold"))  # else a copy is there, and nothing is sent
        parts.append(
            some.with_columns(
                stay=here.tier.keeping(size) * (days / MONTH_DAYS) + asked * here.tier.reading(size),
                there=there.tier.keeping(size) * months + asked * there.tier.reading(size),
                once=pl.when(copied)
                .then(here.tier.reading(size) + there.writing() + there.proving(size))
                .otherwise(0.0),
                month_now=here.tier.keeping(size),
                month_then=there.tier.keeping(size),
            )
        )
    found = pl.concat(parts)
    if priced(hot, cold):
        found = found.filter((pl.col("reason") != COLD) | (pl.col("stay") > pl.col("there") + pl.col("once")))
    return found.select(*CONTENTS.names(), *_ADDED.names())


def priced(hot: Side, cold: Side) -> bool:
    """Whether it is known what keeping costs in both stores, in one currency."""
    prices = (hot.price, cold.price)
    known = [one for one in prices if one is not None and one.month_gb is not None]
    return len(known) == 2 and known[0].currency == known[1].currency


def plan_tier(
    head: Head, chosen: pl.DataFrame, copies: pl.DataFrame, policy: TierPolicy, hot: Side, cold: Side
) -> Plan:
    """Move what was chosen, a unit for each content; its `policy` says what that costs.

    Parameters
    ----------
    chosen
        What `choose` returned.
    copies
        The copies that are to be left, with the columns of `catalogkit.planners.relocate.COPIES`.
    """
    values: dict[str, Any] = {
        "hot": hot.name, "cold": cold.name, "older_than": policy.older_than, "unread_for": policy.unread_for,
        "least_bytes": policy.least_bytes, "back_after": policy.back_after, "horizon": policy.horizon,
        # All of a store may go: nothing does before it arrived elsewhere.
        "max_share": 1.0, "costs": costs(chosen, hot, cold), "told": [*told(chosen, policy, hot, cold), *room(copies)],
    }  # fmt: skip
    return Plan(replace(head, policy=values, reasons=REASONS), moves(copies))


def costs(chosen: pl.DataFrame, hot: Side, cold: Side) -> list[dict[str, Any]]:
    """The costs by reason, in the currency of the prices; none where prices are not known."""
    if not priced(hot, cold):
        return []
    sums = chosen.group_by("reason").agg(pl.len().alias("contents"), pl.col("bytes", *_ADDED.names()[1:]).sum())
    currency = {"currency": hot.price.currency if hot.price else ""}
    return [
        {name: round(value, MONEY) if isinstance(value, float) else value for name, value in row.items()} | currency
        for row in sums.sort("reason").iter_rows(named=True)
    ]


def told(chosen: pl.DataFrame, policy: TierPolicy, hot: Side, cold: Side) -> list[str]:
    """What a person should know before saying yes: money, and how long reading takes afterwards."""
    lines = []
    for row in costs(chosen, hot, cold):
        left = row["stay"] - row["there"] - row["once"]
        saves = f"saves {_money(left, row)}" if left >= 0 else f"costs {_money(-left, row)} more"
        lines.append(
            f"{row['reason']}: {row['contents']:,} contents, {_money(row['month_now'], row)} a month now and"
            f" {_money(row['month_then'], row)} then; moving costs {_money(row['once'], row)} once. Until the horizon"
            f" of {policy.horizon} that {saves}."
        )
    if chosen.height and not lines:
        lines.append(
            f"What it costs is not known: write month_gb and the rest below [prices.{hot.name}] and"
            f" [prices.{cold.name}], in one currency."
        )
    if chosen.height and chosen["expected"].is_null().all():
        lines.append("No access log tells who asks for what, so age and size alone decide, and reading costs nothing.")
    goes = chosen.filter(pl.col("reason") == COLD).height
    if goes and cold.latency:
        lines.append(f"What lies in {cold.name} can be read within {cold.latency} after somebody asks for it.")
    if goes < chosen.height and cold.latency:
        lines.append(
            f"What comes back from {cold.name} has to be restored first, which takes {cold.latency}: apply the plan,"
            " and apply it again then."
        )
    return lines


def _money(amount: float, row: Mapping[str, Any]) -> str:
    digits = 2 if amount >= 1 or amount == 0 else MONEY
    return f"{amount:,.{digits}f} {row['currency']}"
