"""The benchmarks of near-duplicates and search: they measure what they say, and believe no wrong answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import near, near_set, search
from benchmarks.bench import Bench
from benchmarks.race import Untrue
from catalogkit.policies.extract import Limits
from tests.near.texts import prose


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Three pages, two of which have the same text, and one that says too little."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in {"a": prose("a"), "b": prose("b"), "b-again": prose("b"), "little": "too little"}.items():
        (folder / f"{name}.html").write_text(f"<html><body><main><p>{text}</p></main></body></html>")
    return folder


def test_a_labelled_set(documents: Path, tmp_path: Path) -> None:
    """Every variant of a document has its label; a text that the folder has twice is one label."""
    made = near_set.make(documents, tmp_path / "set")
    names = {"as-it-is", "converted", "rendered", "page", "book", "plain"}
    assert {path.name.partition("-")[2] for path in made.labels} == names
    assert len(made.labels) == 3 * len(names) and len(set(made.labels.values())) == 2
    assert made.arguable == set() and all(path.stat().st_size for path in made.labels)


def test_quality_over_a_folder(documents: Path, tmp_path: Path) -> None:
    """Pairs of files by what was said of them, and what should have been."""
    made = near_set.make(documents, tmp_path / "set")
    result = near.quality(made, "as by default", Limits())
    pairs = result.facts["right"] + result.facts["missed"]
    assert (pairs, result.facts["wrong"]) == (12 * 11 // 2 + 6 * 5 // 2, 0)
    assert [goal.verdict for goal in result.goals] == ["met", "met"]


def test_speed(tmp_path: Path) -> None:
    """Everybody finds the copies; who does not is not believed."""
    [result] = near.run(Bench(tmp_path, rounds=1), count=200)
    assert result.facts["copies"] == 40 and result.first == "catalogkit"
    near._says(json.dumps({"copies": 40}), copies=40)
    for wrong in (41, 38):
        with pytest.raises(Untrue):
            near._says(json.dumps({"copies": wrong}), copies=40)


def test_search_beside_a_bare_table(tmp_path: Path) -> None:
    """Both find as many documents; the goal is told."""
    [result] = search.run(Bench(tmp_path, rounds=1), documents=120)
    assert set(result.samples) == {"catalogkit search", "bare FTS5"} and len(result.goals) == 1
