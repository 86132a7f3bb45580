"""The benchmark of audits: that both sides do the whole job, and that a half-done one is not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import audit
from benchmarks.bench import Bench
from benchmarks.race import Untrue


def test_both_sides_do_the_whole_job(tmp_path: Path) -> None:
    """Every copy is looked at, nothing is found in the clean store, and every copy is missing in the empty one."""
    found = list(audit.run(Bench(tmp_path, rounds=1), count=30))
    assert [set(race.samples) for race in found] == [{"catalogkit audit", "bare loop"}] * 2
    assert [len(race.goals) for race in found] == [2, 1]


def test_a_side_that_found_something_else_is_not_believed() -> None:
    """An answer with other findings makes its time mean nothing."""
    audit._says(json.dumps({"copies": 8, "missing": 0, "others": 0}), copies=8, missing=0)
    for said in ({"copies": 7, "missing": 0, "others": 0}, {"copies": 8, "missing": 0, "others": 1}):
        with pytest.raises(Untrue):
            audit._says(json.dumps(said), copies=8, missing=0)
