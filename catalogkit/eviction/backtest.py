"""What each way of choosing would have cost, had it chosen at a time in the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.eviction import baselines
from catalogkit.eviction.scoring import score

if TYPE_CHECKING:
    from datetime import timedelta

    from catalogkit.eviction.history import History

OURS, ORACLE, RANDOM = "this score", "knowing the future", "by chance"
SHOWN: Final = ("GDSF, decayed", "LRU", "size x age", "largest first")
CURVES: Final = pl.Schema(
    {
        "order": pl.String(),
        "freed_share": pl.Float64(),
        "freed_bytes": pl.Int64(),
        "requests_share": pl.Float64(),
        "asked_again": pl.Int64(),
    }
)
POINTS: Final = 60
SHUFFLES: Final = 20


def curves(history: History, horizon: timedelta, *, learn: bool = True) -> pl.DataFrame:
    """How many requests would have met a removed content, had room been made a horizon before the log ends.

    Returns
    -------
    DataFrame
        The columns of `CURVES`, `POINTS` rows for each order: the share of all bytes that are free by then, the share
        of the requests that followed which those met, and how many contents would have had to be fetched again. Empty
        where the log is too short.
    """
    cuts = history.cuts(horizon, 1)
    after = history.used(cuts[0], horizon) if cuts else history.events.head(0)
    if after.is_empty():
        return pl.DataFrame(schema=CURVES)
    at = cuts[0]
    told = score(history, at, horizon, learn=learn).frame.select("object", "bytes", pl.col("score").alias(OURS))
    rows = (
        told.join(baselines.scores(history, at, horizon).select("object", *SHOWN), on="object")
        .join(after, on="object", how="left")
        .with_columns(pl.col("count").fill_null(0))
        .with_columns((-pl.col("count") / pl.col("bytes").clip(1)).alias(ORACLE))
        .sort("object")
    )
    found = [_curve(rows.sort(name, "bytes", descending=True, maintain_order=True), name)
             for name in (OURS, *SHOWN, ORACLE)]  # fmt: skip
    shuffled = [_curve(rows.sample(fraction=1, shuffle=True, seed=seed), RANDOM) for seed in range(SHUFFLES)]
    chance = pl.concat(shuffled).group_by("order", "freed_share", maintain_order=True).agg(pl.all().mean())
    return pl.concat([*found, chance.select(pl.col(name).cast(kind) for name, kind in CURVES.items())])


def _curve(ordered: pl.DataFrame, order: str) -> pl.DataFrame:
    whole, requests = max(int(ordered["bytes"].sum()), 1), max(int(ordered["count"].sum()), 1)
    sums = ordered.select(
        pl.col("bytes").cum_sum(), pl.col("count").cum_sum(), again=(pl.col("count") > 0).cast(pl.Int64).cum_sum()
    )
    found = []
    for point in range(POINTS + 1):
        share = point / POINTS
        # Up to this share and no further: whole contents only.
        rows = sums.filter(pl.col("bytes") <= share * whole).tail(1).rows()
        freed, met, again = rows[0] if rows else (0, 0, 0)
        found.append((order, share, freed, met / requests, again))
    return pl.DataFrame(found, schema=CURVES, orient="row")
