"""The benchmarks of plans and purges: that both sides do the whole job, and that a half-done one is not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import plans, purge
from benchmarks.bench import Bench
from benchmarks.race import Untrue


def test_both_sides_do_the_whole_job(tmp_path: Path) -> None:
    """Planning, condemning and purging each end with nothing left to do, and their claims are made."""
    bench = Bench(tmp_path, rounds=1)
    found = [*plans.run(bench, planned=12, applied=8), *purge.run(bench, applied=8)]
    assert [race.title for race in found] == ["plan gc", "condemn", "purge"]
    assert [set(race.samples) for race in found[1:]] == [
        {"catalogkit condemn", "bare loop"},
        {"catalogkit purge", "bare loop"},
    ]
    assert [len(race.goals) for race in found] == [1, 2, 2]


def test_a_side_that_left_something_is_not_believed() -> None:
    """An answer that says less than was to be done makes its time mean nothing."""
    plans._says(json.dumps({"done": 8, "left": 0}), done=8, left=0)
    with pytest.raises(Untrue, match="left"):
        plans._says(json.dumps({"done": 8, "left": 1}), done=8, left=0)
