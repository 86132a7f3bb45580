"""The demo: its story adds up to the ground truth that lies beside its documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import catalogkit as ck
from catalogkit.demo import build_demo, demo_data
from catalogkit.errors import InvalidInput
from catalogkit.model import Digest

EXPECTED = json.loads((demo_data() / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> ck.Collection:
    """The demo's collection, built once."""
    return build_demo(tmp_path_factory.mktemp("demo") / "sample")


def test_it_matches_the_ground_truth(demo: ck.Collection) -> None:
    """Documents, contents and bytes are those worked out by hand, independently."""
    totals = demo.catalog.totals()
    assert totals["documents"] == EXPECTED["documents"]
    assert totals["logical_bytes"] == EXPECTED["logical_bytes"]
    assert totals["blobs"] == EXPECTED["all_blobs"]
    documents = demo.frame("documents")
    assert documents["sha256"].n_unique() == EXPECTED["current_blobs"]
    by_resolver = {
        resolver: {"documents": part.height, "logical_bytes": part["bytes"].sum()}
        for (resolver,), part in documents.group_by("resolver")
    }
    assert by_resolver == EXPECTED["by_resolver"]


def test_the_dedup_figures_match_a_hand_count(demo: ck.Collection) -> None:
    """Unique bytes and duplicate groups equal the ground truth; saved and reclaimable explain all duplicates."""
    totals = ck.DedupAnalytics(demo).totals
    assert totals.unique_bytes == EXPECTED["unique_bytes"]
    assert totals.duplicate_bytes == EXPECTED["logical_bytes"] - EXPECTED["unique_bytes"]
    assert totals.reclaimable_bytes > 0
    assert totals.saved_bytes > 0
    assert totals.absent_bytes == 0


def test_every_byte_verifies(demo: ck.Collection) -> None:
    """Every copy, in place or in the store, is what it should be."""
    report = ck.verify(demo)
    assert report.clean
    assert report.checked == demo.catalog.totals()["locations"]


def test_both_versions_of_a_changed_download_stay(demo: ck.Collection) -> None:
    """Contents that only history refers to are still there and still readable (hazard 24)."""
    current = set(demo.frame("documents")["sha256"])
    earlier = set(demo.frame("blobs")["sha256"]) - current
    assert len(earlier) == EXPECTED["all_blobs"] - EXPECTED["current_blobs"]
    for text in earlier:
        assert demo.catalog.locations_of(Digest.parse(text))


def test_building_it_again_only_opens_it(demo: ck.Collection) -> None:
    """The second run starts at once."""
    with build_demo(demo.path) as again:
        assert again.identity == demo.identity


def test_an_interrupted_build_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an interrupted build left is ours, and replaced; what is somebody else's is refused."""
    with monkeypatch.context() as patch:
        patch.setattr("catalogkit.demo._tell", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build_demo(tmp_path / "sample")
    with build_demo(tmp_path / "sample") as c:
        assert ck.is_demo(c)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.pdf").write_text("years of work")
    with pytest.raises(InvalidInput):
        build_demo(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.pdf").read_text() == "years of work"
