"""What is known of each object at a time, as numbers: all at once, for every object, from the log up to then.

Every time is counted in horizons, so that what was learned from one past holds for a later one. How old an object is in
days is left out: the catalog is always older than the past that a model learned from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from catalogkit.eviction.history import History

# Windows, and half-lives of what is forgotten gradually, in horizons.
WINDOWS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
HALF_LIVES: Final = (0.5, 2.0, 8.0)
# However long an object has been there, or was not asked for: this many horizons say all that there is to say.
LONGEST: Final = 16.0
# From wide to narrow.
CLASSES: Final = (["source"], ["source", "kind"], ["family"])


def features(history: History, as_of: datetime, horizon: timedelta) -> pl.DataFrame:
    """Describe every object known at a time.

    Returns
    -------
    DataFrame
        ``object``, ``bytes``, ``source``, ``kind``, ``tenant``; numbers of requests in windows (``n_4`` in the last
        four horizons, ``n_all``), of readings with any (``m_...``), both decayed (``nd_2``: half after two), how long
        those were watched (``w_...``, ``wd_...``, in horizons), ``idle`` and ``age`` (in horizons, at most `LONGEST`),
        ``newer``, ``newest``, ``followed`` (how many later times of arrival its source and kind, its source, and what
        is named like it, have).
    """
    known = history.known(as_of)
    seconds = horizon.total_seconds()
    # A log begins somewhere: before, nobody watched.
    begun = known.events["at"].min()
    ago = (pl.lit(as_of) - pl.col("at")).dt.total_microseconds() / (1e6 * seconds)
    log = known.events.lazy().select("object", "count", ago=ago)
    decay = {half: 0.5 ** (pl.col("ago") / half) for half in HALF_LIVES}
    told = log.group_by("object").agg(
        idle=pl.col("ago").min(),
        n_all=pl.col("count").sum(),
        m_all=pl.len().cast(pl.Int64),
        **{f"n_{window:g}": pl.col("count").filter(pl.col("ago") < window).sum() for window in WINDOWS},
        **{f"m_{window:g}": (pl.col("ago") < window).sum().cast(pl.Int64) for window in WINDOWS},
        **{f"nd_{half:g}": (pl.col("count") * share).sum() for half, share in decay.items()},
        **{f"md_{half:g}": share.sum() for half, share in decay.items()},
    )
    # What is no longer counted is as it was when it last was; a log that is behind is, too.
    watched = pl.max_horizontal("since", "created_at", pl.lit(begun, dtype=pl.Datetime("us", "UTC")))
    # Names that differ by their numbers alone are versions of one thing.
    family = pl.concat_str("source", "kind", pl.col("name").str.replace_all(r"[0-9]+", "0"), separator="\0")
    span = ((pl.lit(as_of) - watched).dt.total_microseconds() / (1e6 * seconds)).clip(0)
    age = ((pl.lit(as_of) - pl.col("created_at")).dt.total_microseconds() / (1e6 * seconds)).clip(0)
    decays = {half: half / math.log(2) * (1 - 0.5 ** (pl.col("watched") / half)) for half in HALF_LIVES}
    return (
        known.objects.lazy()
        .with_columns(watched=span, age=age, family=family)
        .join(told, on="object", how="left", maintain_order="left")
        .with_columns(pl.col("^(n|m)_.*$").fill_null(0), pl.col("^(nd|md)_.*$").fill_null(0.0))
        .with_columns(
            w_all=pl.col("watched"),
            **{f"w_{window:g}": pl.min_horizontal("watched", pl.lit(window)) for window in WINDOWS},
            **{f"wd_{half:g}": span for half, span in decays.items()},
            before=pl.col("prior") / ((pl.col("age") - pl.col("watched")).clip(0.25)),
            newer=pl.col("created_at").rank("dense", descending=True).over("source", "kind").cast(pl.Float64) - 1,
            newest=pl.col("created_at").rank("dense", descending=True).over("source").cast(pl.Float64) - 1,
            followed=pl.col("created_at").rank("dense", descending=True).over("family").cast(pl.Float64) - 1,
        )
        .with_columns(
            idle=pl.coalesce("idle", "watched").clip(0, LONGEST),
            age=pl.col("age").clip(0, LONGEST),
        )
        .drop("created_at", "since", "until", "prior", "watched", "name")
        .collect()
    )
