"""Seconds of the soak: every engine and layout under load, with faults; ``make soak`` goes on for an hour."""

from __future__ import annotations

import pytest

from tests.stress.soak import ENGINES, soak


@pytest.mark.stress
def test_seconds_of_it() -> None:
    """Faults of every kind of weather come, nothing that was confirmed is lost, and nothing else is left."""
    soaked = soak(10, "short")
    assert soaked.lost == []
    assert soaked.stints == len(ENGINES) and soaked.documents > 0
    assert soaked.faults["kill"] >= soaked.stints and len(soaked.faults) > 3, soaked
