"""Access histories that are made up, each with a habit of its own, so that no scorer is tuned to one of them.

Every regime gives objects with sizes over several orders of magnitude, in classes, that arrive over time, and a log of
who asked for what. What a regime is about is in its name; the numbers are drawn anew for each seed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from catalogkit.eviction.history import EVENTS, OBJECTS, History

BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
Rates = np.ndarray


class World:
    """Objects that arrive over some days, and requests in readings `every` so many days."""

    def __init__(
        self, seed: int, objects: int = 1500, days: float = 120, every: float = 1.0, sizes: float = 1.5
    ) -> None:
        self.random = np.random.default_rng(seed)
        self.objects, self.days, self.every = objects, days, every
        self.size = np.exp(self.random.normal(14, sizes, objects)).astype(np.int64) + 1
        self.born = np.sort(np.where(self.random.random(objects) < 0.4, 0.0, self.random.random(objects) * days))
        self.source = self.random.integers(0, 6, objects)
        self.kind = self.random.integers(0, 4, objects)
        self.until = np.full(objects, days)
        self.times = np.arange(1, int(days / every) + 1) * every

    def history(self, rate: Callable[[float], Rates]) -> History:
        """Requests drawn from `rate(day)`, a day's expected requests of every object."""
        object_, at, count = [], [], []
        for time in self.times:
            alive = (self.born < time) & (self.until >= time)
            drawn = self.random.poisson(np.where(alive, np.clip(rate(time), 0, None) * self.every, 0))
            (hit,) = np.nonzero(drawn)
            object_.append(hit)
            at.append(np.full(len(hit), time))
            count.append(drawn[hit])
        names = np.array([f"o{number:05}" for number in range(self.objects)])
        moment = lambda days: [BEGIN + timedelta(days=float(day)) for day in days]  # noqa: E731 - a word for a line
        objects = pl.DataFrame(
            {
                "object": names, "name": names, "bytes": self.size,
                "created_at": moment(self.born), "since": moment(self.born),
                "until": moment(self.until), "prior": np.zeros(self.objects, dtype=np.int64),
                "source": [f"source-{one}" for one in self.source], "kind": [f"kind-{one}" for one in self.kind],
                "tenant": ["default"] * self.objects,
            },
            schema=OBJECTS,
        )  # fmt: skip
        log = {
            "object": names[np.concatenate(object_)],
            "at": moment(np.concatenate(at)),
            "count": np.concatenate(count),
        }
        return History(objects, pl.DataFrame(log, schema=EVENTS))

    def popularity(self, skew: float = 1.0, mean: float = 0.05) -> Rates:
        """Rates as Zipf's law has them, in random order."""
        ranks = self.random.permutation(self.objects) + 1
        share = ranks**-skew
        return share / share.sum() * mean * self.objects


def uniform(seed: int) -> History:
    """Everything is asked for alike: there is nothing to learn but sizes."""
    world = World(seed)
    return world.history(lambda day: np.full(world.objects, 0.03))


def zipf(seed: int) -> History:
    """A few carry nearly all requests, for ever."""
    world = World(seed)
    rate = world.popularity(1.1)
    return world.history(lambda day: rate)


def wonders(seed: int) -> History:
    """Most are asked for once, soon after they arrived, and never again."""
    world = World(seed)
    steady = world.popularity(1.0, 0.01)
    return world.history(lambda day: steady + np.where(day - world.born < 2, 0.5, 0.0))


def decay(seed: int) -> History:
    """What is new is popular, and interest fades, at a pace of each class."""
    world = World(seed)
    pace = np.array([1.0, 3.0, 8.0, 20.0, 60.0, 5.0])[world.source]
    first = world.popularity(0.8, 0.3)
    return world.history(lambda day: first * np.exp(-np.clip(day - world.born, 0, None) / pace))


def drift(seed: int) -> History:
    """What is popular changes: every so often somebody else's turn comes."""
    world = World(seed)
    turns = [world.popularity(1.1) for _ in range(9)]

    def rate(day: float) -> Rates:
        turn, share = divmod(day / 15, 1)
        return turns[int(turn)] * (1 - share) + turns[min(int(turn) + 1, 8)] * share

    return world.history(rate)


def classes(seed: int) -> History:
    """Demand goes by source and kind; within a class everybody is alike."""
    world = World(seed)
    rate = world.random.lognormal(-4.5, 2, (6, 4))[world.source, world.kind]
    return world.history(lambda day: rate)


def bursts(seed: int) -> History:
    """Long silence, then many requests within a day or two."""
    world = World(seed)
    odds = world.popularity(0.9, 0.02)
    state = np.zeros(world.objects)

    def rate(day: float) -> Rates:
        state[:] = np.where(world.random.random(world.objects) < odds, 8.0, state * 0.25)
        return state

    return world.history(rate)


def seasons(seed: int) -> History:
    """Each object has its days: it is asked for every two weeks or so, and not between."""
    world = World(seed)
    phase, steady = world.random.random(world.objects) * 14, world.popularity(0.9, 0.15)
    return world.history(lambda day: steady * 3 * (np.cos((day - phase) * 2 * np.pi / 14) > 0.5))


def diurnal(seed: int) -> History:
    """Read every hour, asked for by day and not by night."""
    world = World(seed, objects=1200, days=14, every=1 / 24)
    rate = world.popularity(1.0, 0.4)
    return world.history(lambda day: rate * (1 + np.sin(2 * np.pi * day)))


def batches(seed: int) -> History:
    """Counters that are read once a week."""
    world = World(seed, days=280, every=7.0)
    fading = world.popularity(1.0, 0.05)
    return world.history(lambda day: fading * np.exp(-np.clip(day - world.born, 0, None) / 60))


def heavy(seed: int) -> History:
    """A hundredth of the objects holds most of the bytes, and large ones are asked for a little less."""
    world = World(seed, sizes=3.0)
    rate = world.popularity(0.9) * (world.size / np.median(world.size)) ** -0.1
    return world.history(lambda day: rate)


def silent(seed: int) -> History:
    """One source stops reporting in the middle, and its objects are still asked for: unknown, not none."""
    world = World(seed)
    world.until = np.where(world.source == 0, world.days / 2, world.days)
    rate = world.popularity(1.0)
    return world.history(lambda day: rate)


def versions(seed: int) -> History:
    """The newest of each class is asked for; older ones are, rarely."""
    world = World(seed)
    group = world.source * 4 + world.kind

    def rate(day: float) -> Rates:
        newest = np.zeros(world.objects)
        for one in range(24):
            (mine,) = np.nonzero((group == one) & (world.born < day))
            newest[mine[-2:]] = 3.0
        return newest + 0.004

    return world.history(rate)


def sweeps(seed: int) -> History:
    """Now and then somebody asks for everything at once."""
    world = World(seed)
    rate = world.popularity(1.0)
    days = set(world.random.choice(np.arange(10, 120), 6, replace=False).tolist())
    return world.history(lambda day: rate + (3.0 if day in days else 0.0))


# Regime -> how it is made, and how far ahead its horizon lies, in days.
REGIMES: Final[dict[str, tuple[Callable[[int], History], float]]] = {
    "uniform": (uniform, 7), "zipf": (zipf, 7), "one-hit wonders": (wonders, 7), "decay": (decay, 7),
    "drift": (drift, 7), "classes": (classes, 7), "bursts": (bursts, 7), "seasons": (seasons, 7),
    "diurnal": (diurnal, 1), "batches": (batches, 28), "heavy sizes": (heavy, 7), "silent source": (silent, 7),
    "versions": (versions, 7), "sweeps": (sweeps, 7),
}  # fmt: skip
