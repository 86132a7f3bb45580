"""Detects sweeps: crawlers or mirrors that asked for everything at once.

Left in, one sweep makes everything look wanted, and every past that holds one teaches the wrong thing. So what a sweep
asked for alike is taken out of what is learned about objects; how often sweeps come is told beside it, and makes every
object that much likelier to be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.eviction.history import EVENTS, History

if TYPE_CHECKING:
    from datetime import datetime

# A sweep asks for so large a share of what is there, within so small a part of a horizon, ...
SHARE: Final = 0.5
PARTS: Final = 32
# ... which is so many times what is usual, of so many objects or more.
TIMES: Final = 3.0
OBJECTS_LEAST: Final = 20
# How much less a horizon counts than the one after it, for how often sweeps come: who swept begins and ends as he
# likes, but few horizons say little. And where any came, as if there had been one horizon with one and one without.
FADING: Final = 0.9


@dataclass(frozen=True, slots=True)
class Swept:
    """A history without what sweeps asked for.

    Attributes
    ----------
    history
        What is left: requests beyond those that everything got.
    chance
        How likely a sweep comes within a horizon.
    requests
        How many requests each object is to expect of sweeps within a horizon.
    """

    history: History
    chance: float
    requests: float


def swept(history: History, as_of: datetime, horizon: timedelta) -> Swept:
    """Take sweeps out of what was known at a time."""
    known = history.known(as_of)
    objects, events = known.objects, known.events
    if events.is_empty() or objects.height < OBJECTS_LEAST:
        return Swept(known, 0.0, 0.0)
    width = max(horizon // PARTS // timedelta(microseconds=1), 1)
    part = (pl.lit(as_of) - pl.col("at")).dt.total_microseconds() // width
    # What had just come is asked for by whoever waited for it.
    began = objects.select("object", began=pl.max_horizontal("created_at", "since") + horizon / PARTS)
    begun = began["began"].sort()
    ended = objects["until"].drop_nulls().sort()
    parts = (
        events.with_columns(part=part)
        .join(began, on="object")
        .filter(pl.col("at") > pl.col("began"))
        .group_by("part")
        .agg(asked=pl.col("object").n_unique(), at=pl.col("at").max())
        .sort("part")
    )
    there = begun.search_sorted(parts["at"], side="right").cast(pl.Int64) - ended.search_sorted(
        parts["at"], side="left"
    ).cast(pl.Int64)
    parts = parts.with_columns(there=there).with_columns(share=pl.col("asked") / pl.col("there").clip(1))
    usual = float(parts["share"].median() or 0.0)  # type: ignore[arg-type]
    found = parts.filter(
        (pl.col("there") >= OBJECTS_LEAST) & (pl.col("share") >= SHARE) & (pl.col("share") >= TIMES * usual)
    )
    if found.is_empty():
        return Swept(known, 0.0, 0.0)
    marked = events.with_columns(part=part, swept=part.is_in(found["part"].implode()))
    taken = (
        marked.filter("swept")
        .group_by("part", "object", maintain_order=True)
        .agg(pl.col("at").max(), pl.col("count").sum())
        .with_columns(alike=pl.col("count").median().over("part").cast(pl.Int64))
    )
    more = taken.with_columns(count=pl.col("count") - pl.col("alike")).filter(pl.col("count") > 0)
    rest = pl.concat([marked.filter(~pl.col("swept")).select(EVENTS.names()), more.select(EVENTS.names())])
    recent = taken.group_by("part").agg(pl.col("alike").first()).group_by(window=pl.col("part") // PARTS)
    weighed = recent.agg(pl.col("alike").sum()).with_columns(weight=FADING ** pl.col("window")).sort("window")
    horizons = int(parts["part"].max() or 0) // PARTS + 1  # type: ignore[arg-type]
    weight, alike = weighed.select(pl.col("weight").sum(), (pl.col("alike") * pl.col("weight")).sum()).row(0)
    chance = (weight + 1) / ((1 - FADING**horizons) / (1 - FADING) + 2)
    return Swept(
        History(objects, rest.sort("at", "object")),
        chance,
        chance * alike / weight,
    )
