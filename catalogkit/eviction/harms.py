"""The harms of a removal, and the score that ranks objects by them, as parts that add up.

Three harms are told apart, because no order is best for all:

* ``requests``: every request for what was removed meets a hole;
* ``refetch``: the first one does, and fills it;
* ``topn``: of so many objects that are removed, those come back that are asked for, and take their room again.

Who knows which one counts ranks by it. Otherwise all are weighed (``balanced``), as a geometric mean, which is a sum in
bits: three quarters demand, one what is left to win. Demand is requests and refetches, each as a share of all that are
expected, their power mean of `POWER` taken, which lies between the geometric mean (0), by which the few that are asked
for very often decide everything, and the sum (1), by which they hardly count where a share is large.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from catalogkit.errors import InvalidInput

AIMS: Final = ("balanced", "requests", "refetch", "topn")
# The demand that nobody can rule out within a horizon: an average object's, and at most this. Below it the larger goes.
NOBODY_KNOWS: Final = 0.1
# A chance is never quite 1.
NEVER_SURE: Final = 1e-3
POWER: Final = 0.25
OF_DEMAND, OF_WON = 0.75, 0.25
PARTS: Final = ("part_bytes", "part_requests", "part_reuse")


def scored(told: pl.DataFrame, aim: str = "balanced") -> pl.DataFrame:
    """Add a score in bits, the sum of its parts: ``part_bytes``, ``part_requests``, ``part_reuse``.

    Parameters
    ----------
    told
        ``bytes``, ``expected`` (requests within the horizon) and ``reuse`` (the chance of any).
    aim
        One of `AIMS`.

    Raises
    ------
    InvalidInput
        If there is no such aim.
    """
    if aim not in AIMS:
        raise InvalidInput(f"no harm is called {aim!r}: {', '.join(AIMS)}")
    size, none = pl.col("bytes").clip(1).log(2), pl.lit(0.0)
    unknown = pl.min_horizontal(pl.col("reuse").mean(), NOBODY_KNOWS)
    requests, reuse = pl.col("expected") + unknown, pl.col("reuse") + unknown
    won = (1 - pl.col("reuse") + NEVER_SURE).log(2)
    # Shares of the harm, an average object's being 1.
    share, more = reuse / reuse.mean(), (requests / requests.mean()) / (reuse / reuse.mean())
    beyond = ((1 + more**POWER) / 2).log(2) / POWER
    parts = {
        "balanced": (size, -OF_DEMAND * beyond, OF_WON * won - OF_DEMAND * share.log(2)),
        "requests": (size, -requests.log(2), none),
        "refetch": (size, none, -reuse.log(2)),
        "topn": (size, none, won),
    }[aim]
    return told.with_columns(part.alias(name) for name, part in zip(PARTS, parts, strict=True)).with_columns(
        score=pl.sum_horizontal(PARTS)
    )
