"""Features of each object at a time, computed for all objects at once from the log up to then.

Every time is counted in horizons, so that what was learned from one past holds for a later one. How old an object is in
days is left out: the catalog is always older than the past that a model learned from.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from catalogkit.eviction.history import History

# Windows, and half-lives of what is forgotten gradually, in horizons.
WINDOWS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
HALF_LIVES: Final = (0.5, 2.0, 8.0)
# However long an object has been there, or was not asked for: this many horizons say all that there is to say.
LONGEST: Final = 16.0
# From wide to narrow; a family is what differs in its name by numbers alone, such as the versions of one thing.
CLASSES: Final = (["source"], ["source", "kind"], ["family"])
# Where there are several tenants: what one of them asks for says less of the others.
OF_TENANTS: Final = (["source"], ["source", "tenant"], ["source", "tenant", "kind"], ["family", "tenant"])
DIGITS: Final = 10
# A source is silent once nothing came from it for half a horizon, and for so many times its usual gap.
SILENT_GAPS: Final = 10.0
SILENT_LEAST: Final = 20
_UNNUMBERED: Final = pl.col("name").str.replace_all(r"[0-9]+", "0")
FAMILY: Final = pl.concat_str("source", "kind", _UNNUMBERED, separator="\0")


def features(
    history: History, as_of: datetime, horizon: timedelta, half_lives: Sequence[float] | None = None
) -> pl.DataFrame:
    """Describe every object known at a time.

    Windows end when an object was last watched: when the log ends, its source fell silent or ceased to count it. What
    happened since is unknown, and unknown demand is not no demand.

    Parameters
    ----------
    half_lives
        Those of `HALF_LIVES` that rates are to be told by, where nothing but rates is; a third of the work.

    Returns
    -------
    DataFrame
        ``object``, ``bytes``; ``source``, ``kind``, ``tenant``, ``family`` as numbers that stand for names; numbers of
        requests in windows (``n_4`` in the last four horizons, ``n_all``), of readings with any (``m_...``), both
        decayed (``nd_2``: half after two), how long those were watched (``w_...``, ``wd_...``, in horizons), ``idle``
        and ``age`` (at most `LONGEST`), ``newer`` and ``newest`` (which share of its source and kind, and of its
        source, came later), ``followed`` (how many later times of arrival its family has), ``before`` (the rate of
        requests before they were told one by one).
    """
    known = history.known(as_of)
    unit = 1e6 * horizon.total_seconds()

    def ago(earlier: str) -> pl.Expr:
        return (pl.col("end") - pl.col(earlier)).dt.total_microseconds() / unit

    # Of names only counts whether they are the same, and numbers are compared faster.
    objects = known.objects.with_columns(end=_watched_until(known, as_of, horizon)).with_columns(
        pl.col("source", "kind", "tenant").hash(seed=0),
        family=pl.col("source").hash(seed=1) ^ pl.col("kind").hash(seed=2) ^ _UNNUMBERED.hash(seed=3),
    )
    log = known.events.lazy().join(objects.lazy().select("object", "end"), on="object", maintain_order="left")
    log = log.select("object", "count", ago=ago("at").clip(0))
    decay = {half: 0.5 ** (pl.col("ago") / half) for half in HALF_LIVES}
    told = log.group_by("object", maintain_order=True).agg(
        idle=pl.col("ago").min(),
        n_all=pl.col("count").sum(),
        m_all=pl.len().cast(pl.Int64),
        **{f"n_{window:g}": pl.col("count").filter(pl.col("ago") < window).sum() for window in WINDOWS},
        **{f"m_{window:g}": (pl.col("ago") < window).sum().cast(pl.Int64) for window in WINDOWS},
        # Sums of fractions differ in their last digits by who adds first; scores are to be the same again.
        **{f"nd_{half:g}": (pl.col("count") * share).sum().round_sig_figs(DIGITS) for half, share in decay.items()},
        **{f"md_{half:g}": share.sum().round_sig_figs(DIGITS) for half, share in decay.items()},
    )
    # A log begins somewhere: before, nobody watched.
    begun = pl.lit(known.events["at"].min(), dtype=pl.Datetime("us", "UTC"))
    decays = {half: half / math.log(2) * (1 - 0.5 ** (pl.col("w_all") / half)) for half in HALF_LIVES}

    def later(*names: str) -> pl.Expr:
        return (pl.col("created_at").rank("min", descending=True).over(names) - 1) / pl.len().over(names)

    described = (
        objects.lazy()
        .with_columns(begun=pl.max_horizontal("since", "created_at", begun))
        .with_columns(w_all=ago("begun").clip(0), age=ago("created_at").clip(0))
        .join(told, on="object", how="left", maintain_order="left")
        .with_columns(pl.col("^(n|m)_.*$").fill_null(0), pl.col("^(nd|md)_.*$").fill_null(0.0))
        .with_columns(
            **{f"w_{window:g}": pl.min_horizontal("w_all", pl.lit(window)) for window in WINDOWS},
            **{f"wd_{half:g}": span for half, span in decays.items()},
            before=pl.col("prior") / (pl.col("age") - pl.col("w_all")).clip(0.25),
            newer=later("source", "kind"),
            newest=later("source"),
            followed=pl.col("created_at").rank("dense", descending=True).over("family").cast(pl.Float64) - 1,
            idle=pl.coalesce("idle", "w_all").clip(0, LONGEST),
            age=pl.col("age").clip(0, LONGEST),
        )
        .drop("name", "created_at", "since", "until", "prior", "end", "begun")
    )
    if half_lives is not None:
        decayed = [f"{name}_{half:g}" for half in half_lives for name in ("nd", "md", "wd")]
        described = described.select("object", "bytes", "source", "kind", "tenant", "family", *decayed)
    return described.collect()


def behind(known: History, as_of: datetime, horizon: timedelta) -> bool:
    """Whether a log ends so long before a time that what happened since is unknown."""
    last = known.events["at"].max()
    return last is not None and as_of - last > horizon / 4  # type: ignore[operator]


def watched(known: History, as_of: datetime, horizon: timedelta) -> timedelta:
    """How long a log tells what was asked for: from its beginning until a time, or until it ends."""
    first, last = known.events.select(pl.col("at").min(), pl.col("at").max().alias("last")).row(0)
    span: timedelta = (last if behind(known, as_of, horizon) else as_of) - first
    return span


def _watched_until(known: History, as_of: datetime, horizon: timedelta) -> pl.Series:
    """Until when each object's requests were counted."""
    if known.events.is_empty():
        return pl.Series([as_of], dtype=pl.Datetime("us", "UTC")).new_from_index(0, known.objects.height)
    last = known.events["at"].max()
    sources = (
        known.events.join(known.objects.select("object", "source"), on="object")
        .group_by("source")
        .agg(first=pl.col("at").min(), heard=pl.col("at").max(), readings=pl.col("at").n_unique())
        .with_columns(
            gap=pl.lit(last) - pl.col("heard"),
            usual=(pl.col("heard") - pl.col("first")).dt.total_microseconds() / pl.col("readings"),
        )
        .filter(
            (pl.col("readings") >= SILENT_LEAST)
            & (pl.col("gap") > horizon / 2)
            & (pl.col("gap").dt.total_microseconds() > SILENT_GAPS * pl.col("usual"))
        )
        .select("source", "heard")
    )
    end = last if behind(known, as_of, horizon) else as_of
    return (
        known.objects.join(sources, on="source", how="left", maintain_order="left")
        .select(pl.min_horizontal("heard", "until", pl.lit(end, dtype=pl.Datetime("us", "UTC"))))
        .to_series()
    )
