"""Calibrates the chance of reuse against what happened at past times of the log.

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
# How strongly the line leans to leaving chances as they are, and what a time counts at most, as Fisher's information:
# an object counts 1/4 where its chance is even, and hardly where it is next to none.
_LEAN: Final = 30.0
_MOST: Final = 50.0
# By how much the odds of a time are taken to be off before any was seen, and as how many times that counts.
_SPREAD, _TIMES = 0.5, 2.0
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
        ... off from time to time by this standard deviation.
    bins
        ``promised`` (the mean chance), ``came`` (the share that was asked for), ``objects``.
    loss
        How far chances were from what came: minus their mean log-likelihood.
    """

    shift: float = 0.0
    slope: float = 1.0
    spread: float = _SPREAD
    promised: float | None = None
    came: int | None = None
    bins: list[dict[str, Any]] = field(default_factory=list)
    error: float | None = None
    skill: float | None = None
    loss: float = math.inf

    def apply(self, chance: pl.Series) -> pl.Series:
        """Calibrated chances: the mean over what the shift may be, as MacKay (1992) approximates it."""
        return _chance((self.shift + self.slope * logit(chance)) / math.sqrt(1 + math.pi * self.spread**2 / 8))

    @classmethod
    def fit(cls, pasts: Sequence[tuple[pl.Series, pl.Series]], weights: Sequence[float] | None = None) -> Calibration:
        """Draw the line through what was said, and what came: for each past, chances and numbers of requests.

        Parameters
        ----------
        weights
            What each past counts, at most 1: less, where whoever said it knew less than now.
        """
        given = weights or [1.0] * len(pasts)
        times = [_Time(logit(said), (came > 0).cast(pl.Float64), weight)
                 for (said, came), weight in zip(pasts, given, strict=True) if len(said)]  # fmt: skip
        if not times:
            return NONE
        shift, slope = 0.0, 1.0
        for _ in range(30):
            # A step of Newton's; the lean is a ridge.
            down = [_LEAN * shift, _LEAN * (slope - 1)]
            curve = [_LEAN, 0.0, _LEAN]
            for time in times:
                down, curve = time.add(shift, slope, down, curve)
            (a, b), (aa, ab, bb) = down, curve
            det = aa * bb - ab * ab
            step = (bb * a - ab * b) / det, (aa * b - ab * a) / det
            shift, slope = shift - max(min(step[0], 1.0), -1.0), max(slope - max(min(step[1], 0.3), -0.3), 0.05)
            if abs(step[0]) + abs(step[1]) < 1e-9:
                break
        off = sum(time.weight * time.off(shift, slope) ** 2 for time in times)
        spread = math.sqrt((off + _TIMES * _SPREAD**2) / (sum(time.weight for time in times) + _TIMES))
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
        likely = pl.when(y > 0).then(p).otherwise(1 - p).clip(_EDGE).log()
        gaps = (pl.col("promised") - pl.col("came")).abs() * pl.col("objects")
        return cls(
            line.shift, line.slope, line.spread, float(told["p"].sum()), int(told["y"].sum()), bins.to_dicts(),
            float(bins.select(gaps.sum()).item()) / told.height, 1 - brier / naive if naive else None,
            float(told.select(-likely.mean()).item()),
        )  # fmt: skip

    def told(self) -> dict[str, Any]:
        """What the card says of it."""
        return {
            "promised": self.promised, "came": self.came, "calibration": self.bins, "calibration_error": self.error,
            "brier_skill": self.skill,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Time:
    """Log-odds that were said at a time, what came, and what that counts."""

    odds: pl.Series
    came: pl.Series
    weight: float

    def add(self, shift: float, slope: float, down: list[float], curve: list[float]) -> tuple[list[float], list[float]]:
        """The gradient and the curvature of the loss, with those of this time."""
        p, z = _chance(self.odds * slope + shift), self.odds
        wrong, sure = p - self.came, p * (1 - p)
        told = [float(one.sum()) for one in (wrong, wrong * z, sure, sure * z, sure * z * z)]
        share = self.weight * min(1.0, _MOST / max(told[2], 1e-9))
        a, b, aa, ab, bb = (share * one for one in told)
        return [down[0] + a, down[1] + b], [curve[0] + aa, curve[1] + ab, curve[2] + bb]

    def off(self, shift: float, slope: float) -> float:
        """By how much the odds of all of this time were too small; as if one more had been as was said."""
        own = 0.0
        for _ in range(6):
            p = _chance(self.odds * slope + shift + own)
            wrong, sure = float((p - self.came).sum()), float((p * (1 - p)).sum())
            own -= max(min((wrong + own) / (sure + 1), 1.0), -1.0)
        return own


NONE: Final = Calibration()
