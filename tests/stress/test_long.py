"""Minutes of races, crashes and strange orders of events; ``make stress`` runs them.

``CATALOGKIT_STRESS_MINUTES`` says how long they take together, 15 without it: at least ten of them are races.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.migration import killing as migration_killing
from tests.plans.killing import kill_and_resume
from tests.plans.machine import Machine
from tests.stress import racing

SECONDS = 60 * float(os.environ.get("CATALOGKIT_STRESS_MINUTES", "15"))
SEED = os.environ.get("CATALOGKIT_STRESS_SEED") or str(time.time_ns())
ROUND = 20.0

pytestmark = pytest.mark.stress


def until(share: float) -> list[int]:
    """Round numbers, as many as are begun within that share of the time."""
    return list(range(max(1, round(SECONDS * share / ROUND))))


@pytest.mark.parametrize("layout", ["cas", "policy"])
def test_threads_for_minutes(layout: str, tmp_path: Path) -> None:
    """No round of racing threads loses a byte."""
    for number in until(0.2):
        top = tmp_path / str(number)
        top.mkdir()
        racing.threads(top, layout, f"{SEED} {number}", min(ROUND, SECONDS * 0.2))
        shutil.rmtree(top)


@pytest.mark.parametrize("layout", ["cas", "policy"])
@pytest.mark.parametrize("kill", [False, True])
def test_processes_for_minutes(layout: str, kill: bool, tmp_path: Path) -> None:
    """No round of racing processes loses a byte, whoever is killed."""
    for number in until(0.075):
        top = tmp_path / str(number)
        top.mkdir()
        racing.processes(top, layout, f"{SEED} {number}", min(ROUND, SECONDS * 0.075), kill=kill)
        shutil.rmtree(top)


def test_killed_for_minutes(tmp_path: Path) -> None:
    """However often the one who applies is killed, the plan is done in the end, each step once."""
    end, kills = time.monotonic() + SECONDS * 0.15, 0
    for number in itertools.count():
        kills += kill_and_resume(tmp_path / str(number), seed=hash((SEED, number)), rounds=1)
        shutil.rmtree(tmp_path / str(number))
        if time.monotonic() > end:
            break
    assert kills > 0


def test_any_order_of_events_for_minutes() -> None:
    """Many long runs of the state machine, with fresh luck each time."""
    deep = settings(
        max_examples=max(10, round(SECONDS / 3)),
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=deep)


def test_a_migration_killed_fifty_times_ends_complete(tmp_path: Path) -> None:
    """Ten thousand files, fifty kills at random: every digest right, nothing lost, no path unreadable at any time."""
    kills, reads = migration_killing.kill_and_resume(tmp_path, files=10_000, kills=50, seed=hash(SEED) % 1000)
    assert (kills, reads > 1000) == (50, True)
