"""Durations and sizes as people type them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from catalogkit.errors import InvalidInput
from catalogkit.units import parse_bytes, parse_duration


@pytest.mark.parametrize(
    "text, seconds", [("90s", 90), ("10m", 600), ("1.5h", 5400), ("30d", 2_592_000), (" 2W ", 1_209_600), ("0s", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    """A number with a unit is that many seconds."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "1d2h", "\u0661d", "1e3s", "9" * 40 + "w", "366000d"])
def test_durations_that_are_not(text: str) -> None:
    """Anything else is refused: a bare number could mean seconds or days."""
    with pytest.raises(InvalidInput):
        parse_duration(text)


@pytest.mark.parametrize(
    "text, size",
    [
        ("10", 10),
        ("5GB", 5 * 10**9),
        ("1 KiB", 1024),
        ("500kb", 500_000),
        ("1.5TiB", 3 * 2**39),
        ("9007199254740993", 2**53 + 1),
        (f"{2**63 - 1}", 2**63 - 1),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Decimal and binary units are what their standards say."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-5GB", "5 bananas", "1,5GB", f"{2**63}", "6" * 400, "9" * 20 + "PiB"])
def test_sizes_that_are_not(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidInput):
        parse_bytes(text)
