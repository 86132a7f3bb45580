"""Classic eviction rules (LRU, LFU, GDSF and others) as orders: the highest value goes first.

They are what a learned score has to beat. None of them looks past the time as of which it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from catalogkit.eviction.history import History

__all__ = ["RULES", "scores"]

_N, _D, _BYTES = pl.col("count"), pl.col("decayed"), pl.col("bytes").clip(1)
_EVERYTHING: Final = _N + pl.col("prior")
# Numbers of requests come with a small constant: among what was never asked for, the larger goes first.
_NEVER: Final = 1e-3

RULES: Final = {
    "oldest first": pl.col("age"),
    "largest first": pl.col("bytes"),
    "size x age": pl.col("bytes") * pl.col("age"),
    "LRU": pl.col("idle"),
    "LFU": -_EVERYTHING,
    "LFU, decayed": -_D,
    # Frequency over size, as in Cherkasova's Greedy-Dual-Size-Frequency (1998); its clock serves caches that admit.
    "GDSF": -(_EVERYTHING + _NEVER) / _BYTES,
    "GDSF, decayed": -(_D + _NEVER) / _BYTES,
    # Blankstein, Sen, Freedman: Hyperbolic Caching (2017): requests per time that it was there, and per byte.
    "Hyperbolic": -(_EVERYTHING + _NEVER) / pl.col("age").clip(1.0) / _BYTES,
}


def scores(history: History, as_of: datetime, horizon: timedelta) -> pl.DataFrame:
    """Every rule's value for every object known at a time: ``object``, ``bytes``, and a column for each of `RULES`.

    Requests decay by half in each horizon.
    """
    known = history.known(as_of)
    half = horizon.total_seconds()
    ago = (pl.lit(as_of) - pl.col("at")).dt.total_microseconds() / 1e6
    told = known.events.group_by("object", maintain_order=True).agg(
        pl.col("count").sum(),
        decayed=(pl.col("count") * (0.5 ** (ago / half))).sum(),
        last=pl.col("at").max(),
    )
    rows = known.objects.join(told, on="object", how="left", maintain_order="left").with_columns(
        pl.col("count", "decayed").fill_null(0),
        age=(pl.lit(as_of) - pl.col("created_at")).dt.total_microseconds() / 1e6,
        idle=(pl.lit(as_of) - pl.coalesce("last", "created_at")).dt.total_microseconds() / 1e6,
    )
    return rows.select("object", "bytes", **{name: rule.cast(pl.Float64) for name, rule in RULES.items()})
