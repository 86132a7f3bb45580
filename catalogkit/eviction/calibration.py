"""Calibration: making a chance of reuse mean what it says, from how it did on the log's own past (Platt's scaling)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

_EDGE: Final = 1e-6
# How strongly the line leans to leaving chances as they are; in observations.
_LEAN: Final = 20.0
BINS: Final = 10


def logit(chance: pl.Series) -> pl.Series:
    """The log-odds of a chance, kept from the edges."""
    kept = chance.clip(_EDGE, 1 - _EDGE)
    return (kept / (1 - kept)).log()


@dataclass(frozen=True, slots=True)
class Calibration:
    """A line on the log-odds, and what it was drawn from.

    Attributes
    ----------
    shift, slope
        Calibrated log-odds are ``shift + slope * log-odds``.
    bins
        ``promised`` (the mean chance), ``came`` (the share that was asked for), ``objects``.
    """

    shift: float = 0.0
    slope: float = 1.0
    promised: float | None = None
    came: int | None = None
    bins: list[dict[str, Any]] = field(default_factory=list)
    error: float | None = None
    skill: float | None = None

    def apply(self, chance: pl.Series) -> pl.Series:
        """Calibrated chances."""
        return 1 / (1 + (-(self.shift + self.slope * logit(chance))).exp())

    @classmethod
    def fit(cls, pasts: Sequence[tuple[pl.Series, pl.Series]]) -> Calibration:
        """Draw the line through what was said, and what came: for each past, chances and numbers of requests."""
        rows = pl.concat([pl.DataFrame({"z": logit(said), "y": (came > 0).cast(pl.Float64)}) for said, came in pasts])
        if not 0 < rows["y"].sum() < rows.height:
            return NONE
        shift, slope = 0.0, 1.0
        z, y = pl.col("z"), pl.col("y")
        for _ in range(25):
            p = 1 / (1 + (-(shift + slope * z)).exp())
            weight = p * (1 - p)
            a, b, aa, ab, bb = rows.select(
                (p - y).sum(), ((p - y) * z).sum().alias("b"), weight.sum().alias("aa"),
                (weight * z).sum().alias("ab"), (weight * z * z).sum().alias("bb"),
            ).row(0)  # fmt: skip
            a, b, aa, bb = a + 0.1 * shift, b + _LEAN * (slope - 1), aa + 0.1, bb + _LEAN
            det = aa * bb - ab * ab
            step = (bb * a - ab * b) / det, (aa * b - ab * a) / det
            shift, slope = shift - max(min(step[0], 2.0), -2.0), max(slope - max(min(step[1], 0.5), -0.5), 0.05)
            if abs(step[0]) + abs(step[1]) < 1e-9:
                break
        told = rows.select(y, p=1 / (1 + (-(shift + slope * z)).exp()))
        bins = (
            told.group_by((pl.col("p") * BINS).floor().clip(0, BINS - 1).alias("bin"))
            .agg(promised=pl.col("p").mean(), came=y.mean(), objects=pl.len())
            .sort("bin")
            .drop("bin")
        )
        base = float(rows["y"].mean())  # type: ignore[arg-type]
        brier, naive = told.select(((pl.col("p") - y) ** 2).mean(), ((y - base) ** 2).mean().alias("naive")).row(0)
        error = (
            bins.select(((pl.col("promised") - pl.col("came")).abs() * pl.col("objects")).sum()).item() / rows.height
        )
        return cls(
            shift, slope, float(told["p"].sum()), int(rows["y"].sum()), bins.to_dicts(), error, 1 - brier / naive
        )

    def told(self) -> dict[str, Any]:
        """What the card says of it."""
        return {
            "promised": self.promised, "came": self.came, "calibration": self.bins, "calibration_error": self.error,
            "brier_skill": self.skill,
        }  # fmt: skip


NONE: Final = Calibration()
