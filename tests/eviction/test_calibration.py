"""Calibration: a chance that was promised is about what came, and no surer than the past was steady."""

from __future__ import annotations

import random

import polars as pl
import pytest

from catalogkit.eviction.calibration import NONE, Calibration


def past(seed: int, chances: list[float], factor: float = 1.0, size: int = 400) -> tuple[pl.Series, pl.Series]:
    """What was said, and what came when the odds were `factor` times that."""
    drawn = random.Random(seed)
    said = [drawn.choice(chances) for _ in range(size)]
    really = [factor * one / (1 - one + factor * one) for one in said]
    return pl.Series(said), pl.Series([3 if drawn.random() < one else 0 for one in really])


def test_promises_that_were_too_large_are_made_smaller() -> None:
    """Where odds were a quarter of what was said, they are told so; their order stays."""
    pasts = [past(seed, [0.2, 0.5, 0.8], 0.25) for seed in range(4)]
    line = Calibration.fit(pasts)
    told = line.apply(pl.Series([0.2, 0.5, 0.8])).to_list()
    assert told == pytest.approx([0.06, 0.2, 0.5], abs=0.08) and told == sorted(told)
    assert line.promised == pytest.approx(line.came, rel=0.15) and line.error < 0.05 and line.skill > 0.1


def test_what_differs_from_time_to_time_makes_humble() -> None:
    """Between times of many and of few requests, chances are drawn to the middle; steady ones stay as they are."""
    steady = Calibration.fit([past(seed, [0.1, 0.9]) for seed in range(4)])
    moved = Calibration.fit([past(seed, [0.1, 0.9], 6.0 if seed % 2 else 1 / 6) for seed in range(4)])
    sure = pl.Series([0.1, 0.9])
    assert steady.apply(sure).to_list() == pytest.approx([0.1, 0.9], abs=0.04)
    assert moved.spread > 2 * steady.spread
    assert moved.apply(sure)[0] > steady.apply(sure)[0] + 0.05 and moved.apply(sure)[1] < steady.apply(sure)[1] - 0.05


def test_little_leaves_chances_nearly_as_they_are() -> None:
    """Of nothing, and of one time with one object, hardly anything is learned; where nobody came, less is said."""
    assert Calibration.fit([]) == NONE
    half = pl.Series([0.5])
    assert Calibration.fit([(half, pl.Series([1]))]).apply(half)[0] == pytest.approx(0.5, abs=0.2)
    never = Calibration.fit([(pl.Series([0.3] * 50), pl.Series([0] * 50))])
    assert 0 < never.apply(half)[0] < 0.49
