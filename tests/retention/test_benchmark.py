"""The benchmark of retention: both sides come to the same answer, and an other one is not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import retention
from benchmarks.bench import Bench
from benchmarks.race import Untrue


def test_both_sides_forget_the_same(tmp_path: Path) -> None:
    """The loop over rows finds what the frames find, and the claims are made."""
    (race,) = retention.run(Bench(tmp_path, rounds=1), records=3000)
    assert set(race.samples) == {"catalogkit retention", "row by row"}
    assert 0 < race.facts["forgotten"] < race.facts["records"] == 3000
    assert len(race.goals) == 2


def test_another_answer_is_not_believed() -> None:
    """Fewer decisions than documents make a time mean nothing."""
    with pytest.raises(Untrue, match="forgotten"):
        retention._says(json.dumps({"records": 5, "forgotten": 3}), records=5, forgotten=4)
