"""Calibration: making a chance of reuse mean what it says, from how chances did at the log's own past times.

A line on the log-odds (Platt's scaling), which leans to leaving chances as they are; and humility: how much more or
less than expected was asked for at those times, all in all, differs from time to time. Nobody knows which way the next
will be, so chances are drawn towards the middle by as much as that spread says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

_EDGE: Final = 1e-6
# How strongly the slope leans to 1, in observations; a time counts as so many of them at most.
_LEAN: Final = 20.0
_MOST: Final = 2000.0
# What the shift of a time is taken to be like before any was seen: by how much it differs, and as how many times that
# counts; how far all of them may be from 0 together.
_SPREAD, _TIMES, _FAR = 0.5, 2.0, 1.5
BINS: Final = 10


def logit(chance: pl.Series) -> pl.Series:
    """The log-odds of a chance, kept from the edges."""
    kept = chance.clip(_EDGE, 1 - _EDGE)
    return (kept / (1 - kept)).log()


def _chance(odds: pl.Series) -> pl.Series:
    return 1 / (1 + (-odds).exp())


@dataclass(frozen=True, slots=True)
class Calibration:
    """A line on the log-odds, and what it was drawn from.

    Attributes
    ----------
    shift, slope
        Calibrated log-odds are ``shift + slope * log-odds``, ...
    spread
        ... with the shift differing from time to time by this standard deviation.
    bins
        ``promised`` (the mean chance), ``came`` (the share that was asked for), ``objects``.
    """

    shift: float = 0.0
    slope: float = 1.0
    spread: float = _SPREAD
    promised: float | None = None
    came: int | None = None
    bins: list[dict[str, Any]] = field(default_factory=list)
    error: float | None = None
    skill: float | None = None

    def apply(self, chance: pl.Series) -> pl.Series:
        """Calibrated chances: the mean over what the shift may be, as MacKay (1992) approximates it."""
        return _chance((self.shift + self.slope * logit(chance)) / math.sqrt(1 + math.pi * self.spread**2 / 8))

    @classmethod
    def fit(cls, pasts: Sequence[tuple[pl.Series, pl.Series]]) -> Calibration:
        """Draw the line through what was said, and what came: for each past, chances and numbers of requests."""
        times = [(logit(said), (came > 0).cast(pl.Float64)) for said, came in pasts if len(said)]
        if not times:
            return NONE
        shift, slope, spread = 0.0, 1.0, _SPREAD
        shifts = [0.0] * len(times)
        for _ in range(30):
            before = shift, slope, spread
            sure = []
            for number, (z, y) in enumerate(times):
                shifts[number], variance = _shifted(z * slope, y, shifts[number], shift, spread)
                sure.append(variance)
            shift = sum(shifts) / (len(times) + (spread / _FAR) ** 2)
            away = sum((one - shift) ** 2 + variance for one, variance in zip(shifts, sure, strict=True))
            spread = math.sqrt((away + _TIMES * _SPREAD**2) / (len(times) + _TIMES))
            slope = _sloped(times, shifts, slope)
            if max(abs(one - two) for one, two in zip(before, (shift, slope, spread), strict=True)) < 1e-6:
                break
        return cls._told(cls(shift, slope, spread), pasts)

    @classmethod
    def _told(cls, line: Calibration, pasts: Sequence[tuple[pl.Series, pl.Series]]) -> Calibration:
        told = pl.concat([pl.DataFrame({"p": line.apply(said), "y": (came > 0).cast(pl.Float64)})
                          for said, came in pasts])  # fmt: skip
        y, p = pl.col("y"), pl.col("p")
        bins = (
            told.group_by((p * BINS).floor().clip(0, BINS - 1).alias("bin"))
            .agg(promised=p.mean(), came=y.mean(), objects=pl.len())
            .sort("bin")
            .drop("bin")
        )
        brier, naive = told.select(((p - y) ** 2).mean(), ((y - y.mean()) ** 2).mean().alias("naive")).row(0)
        gaps = (pl.col("promised") - pl.col("came")).abs() * pl.col("objects")
        return cls(
            line.shift, line.slope, line.spread, float(told["p"].sum()), int(told["y"].sum()), bins.to_dicts(),
            float(bins.select(gaps.sum()).item()) / told.height, 1 - brier / naive if naive else None,
        )  # fmt: skip

    def told(self) -> dict[str, Any]:
        """What the card says of it."""
        return {
            "promised": self.promised, "came": self.came, "calibration": self.bins, "calibration_error": self.error,
            "brier_skill": self.skill,
        }  # fmt: skip


def _shifted(z: pl.Series, y: pl.Series, own: float, middle: float, spread: float) -> tuple[float, float]:
    """The shift of one time, leaning to the middle, and how sure it is: its variance."""
    curve = 1.0
    for _ in range(4):
        p = _chance(z + own)
        slope = float((p - y).sum()) + (own - middle) / spread**2
        curve = float((p * (1 - p)).sum()) + 1 / spread**2
        own -= max(min(slope / curve, 1.0), -1.0)
    return own, 1 / curve


def _sloped(times: Sequence[tuple[pl.Series, pl.Series]], shifts: Sequence[float], slope: float) -> float:
    """The slope, a step of Newton's further."""
    down, curve = _LEAN * (slope - 1), _LEAN
    for (z, y), shift in zip(times, shifts, strict=True):
        p, weight = _chance(z * slope + shift), min(1.0, _MOST / len(z))
        down += weight * float(((p - y) * z).sum())
        curve += weight * float((p * (1 - p) * z * z).sum())
    return max(slope - max(min(down / curve, 0.3), -0.3), 0.05)


NONE: Final = Calibration()
