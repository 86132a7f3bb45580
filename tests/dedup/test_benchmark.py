"""The benchmark of dedup: that everybody finds the same, and that who does not is not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import dedup, peers
from benchmarks.bench import Bench
from benchmarks.corpus import Recipe
from benchmarks.race import Untrue

FEW = {name: Recipe(name, files=30, copies=0.4, least=400, most=1_600) for name in ("documents", "small")}


def test_all_sides_find_the_same_duplicates(tmp_path: Path) -> None:
    """The catalog, the bare query, the tree taken in, and whoever of the peers is installed; with the claims made."""
    found = list(dedup.run(Bench(tmp_path, rounds=1, recipes=FEW), locations=60))
    trees = {
        f"dedup of a tree, {name}: {verb}": ours
        for name in ("documents", "small")
        for verb, ours in (
            ("looked through", "catalogkit preview"), ("ingested in place and compared", "catalogkit, in place")
        )
    }  # fmt: skip
    titles = ["dedup, counts from the catalog", "dedup, every decision from the catalog", *trees]
    assert [race.title for race in found] == titles
    here, left_out = peers.installed(dedup.JDUPES, dedup.RDFIND, dedup.RMLINT)
    assert "jdupes, every byte" in {peer.name for peer in here}
    for race in found[2:]:
        assert set(race.samples) == {trees[race.title], *(peer.name for peer in here)}
        claimed = {dedup.JDUPES, dedup.RDFIND} & set(here)
        assert list(race.left_out) == left_out and len(race.goals) == len(claimed)


def test_a_side_that_finds_something_else_is_not_believed() -> None:
    """An answer with other counts makes its time mean nothing."""
    dedup._says(json.dumps({"groups": 2, "names": 5}), groups=2, names=5)
    with pytest.raises(Untrue, match="names"):
        dedup._says(json.dumps({"groups": 2, "names": 4}), groups=2, names=5)
    with pytest.raises(Untrue):
        dedup.JDUPES.check("7 duplicate files (in 3 sets), occupying 1 MB", 8)
