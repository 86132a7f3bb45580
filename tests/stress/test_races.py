"""Ingest, garbage collection, purge and verification at once, on a few contents that come and go."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stress import racing

SECONDS = 3


@pytest.mark.parametrize("layout", ["cas", "policy"])
def test_threads_at_once_lose_nothing(layout: str, tmp_path: Path) -> None:
    """Every document is readable with its own bytes at any time, whoever condemns and purges beside it."""
    counts = racing.threads(tmp_path, layout, "short", SECONDS)
    assert counts.keys() == set(racing.ROLES)
    assert all(count >= 2 for count in counts.values()), counts


@pytest.mark.parametrize(("layout", "kill"), [("cas", False), ("policy", True)])
def test_processes_at_once_lose_nothing(layout: str, kill: bool, tmp_path: Path) -> None:
    """The same among processes; also when some are killed at any moment and begun again."""
    kills = racing.processes(tmp_path, layout, "short", SECONDS, kill=kill)
    assert (kills > 0) == kill
