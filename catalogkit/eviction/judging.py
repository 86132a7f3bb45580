"""Measures how good an order of removal was, by the requests that came afterwards.

A *regret* of 0 is what somebody who knew the future would have done, 1 is what chance does:
``(result - oracle) / (random - oracle)``. Three results are looked at, because they are different harms:

* ``requests``: requests for removed objects, once some share of all bytes is free;
* ``refetch``: removed objects that are asked for at all, each of which has to be fetched once;
* ``topn``: bytes that stay free when a number of objects is removed, because nobody asks for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

JUDGEMENTS: Final = ("requests", "refetch", "topn")
BYTE_SHARES: Final = (0.1, 0.25, 0.5)
OBJECT_SHARES: Final = (0.05, 0.1, 0.25)
# Where knowing everything gains less than this over chance, of all harm, there is nothing to judge.
LEAST: Final = 0.02
SHUFFLES: Final = 20
REGRETS: Final = pl.Schema(
    {
        "judgement": pl.String(),
        "share": pl.Float64(),
        "result": pl.Float64(),
        "oracle": pl.Float64(),
        "random": pl.Float64(),
        "regret": pl.Float64(),
    }
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an order can be judged by: what came after, and what would have been done by who knew it, and by chance."""

    shuffled: pl.DataFrame
    cells: list[tuple[str, float, float, float]]

    @classmethod
    def of(cls, rows: pl.DataFrame, *, seed: int = 0) -> Bounds:
        """Of ``object``, ``bytes`` and ``count``; cells in which nothing can be gained are left out."""
        shuffled = rows.sort("object").sample(fraction=1, shuffle=True, seed=seed)
        used, per_byte = pl.col("count") > 0, pl.col("bytes").clip(1)
        oracles = {
            "requests": pl.col("count") / per_byte,
            "refetch": used.cast(pl.Float64) / per_byte,
            "topn": -(pl.col("bytes") * ~used),
        }
        chance = [
            _curve(shuffled.sample(fraction=1, shuffle=True, seed=seed + number)) for number in range(1, SHUFFLES)
        ]
        cells = []
        for judgement, total in _totals(rows).items():
            if not total:
                continue
            # The larger of two that nobody asks for goes first: fewer of them do for the same bytes.
            best = _curve(shuffled.sort(oracles[judgement], -per_byte, maintain_order=True))
            for share in OBJECT_SHARES if judgement == "topn" else BYTE_SHARES:
                oracle = _at(best, judgement, share) / total
                middle = sum(_at(one, judgement, share) for one in chance) / len(chance) / total
                if abs(middle - oracle) >= LEAST:
                    cells.append((judgement, share, oracle, middle))
        return cls(shuffled, cells)


def regrets(rows: pl.DataFrame, score: str, *, seed: int = 0, bounds: Bounds | None = None) -> pl.DataFrame:
    """Judge an order by what came after it.

    Parameters
    ----------
    rows
        ``object``, ``bytes``, ``count`` (how often it was asked for afterwards), and the score; the highest goes first,
        equal ones in an order that only the seed decides.
    bounds
        Those of the same objects, where they were told before.

    Returns
    -------
    DataFrame
        The columns of `REGRETS`, shares of all harm (of all bytes for ``topn``); cells in which nothing can be gained
        are left out.
    """
    bounds = bounds or Bounds.of(rows, seed=seed)
    scores = bounds.shuffled.select("object").join(rows, on="object", how="left", maintain_order="left")
    chosen, totals = _curve(scores.sort(score, descending=True, maintain_order=True, nulls_last=True)), _totals(rows)
    found = []
    for judgement, share, oracle, middle in bounds.cells:
        result = _at(chosen, judgement, share) / totals[judgement]
        found.append((judgement, share, result, oracle, middle, (result - oracle) / (middle - oracle)))
    return pl.DataFrame(found, schema=REGRETS, orient="row")


def _totals(rows: pl.DataFrame) -> dict[str, int]:
    used = pl.col("count") > 0
    told = rows.select(pl.col("count").sum(), used.sum().alias("used"), pl.col("bytes").sum()).row(0)
    return dict(zip(JUDGEMENTS, (int(one) for one in told), strict=True))


def _curve(ordered: pl.DataFrame) -> pl.DataFrame:
    """What an order has freed and harmed after each object."""
    used = pl.col("count") > 0
    return ordered.select(
        freed=pl.col("bytes").cum_sum(),
        requests=pl.col("count").cum_sum(),
        refetch=used.cast(pl.Int64).cum_sum(),
        topn=(pl.col("bytes") * ~used).cum_sum(),
    )


def _at(curve: pl.DataFrame, judgement: str, share: float) -> float:
    """The result once a share is reached: of the bytes, or of the objects."""
    if judgement == "topn":
        row = max(round(share * curve.height), 1) - 1
    else:
        row = int((curve["freed"] < share * curve["freed"][-1]).sum())
    return float(curve[judgement][min(row, curve.height - 1)])


def mean_regret(cells: pl.DataFrame) -> dict[str, float]:
    """The mean of each judgement over its cells, and the ``mean`` of the three."""
    means: Mapping[str, float] = dict(
        cells.group_by("judgement").agg(pl.col("regret").mean()).sort("judgement").iter_rows()
    )
    told = {name: means[name] for name in JUDGEMENTS if name in means}
    return told | {"mean": sum(told.values()) / len(told)} if told else {}
