"""A catalog out of nothing but the store, and what somebody wrote down about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogkit.backups.rebuilding import rebuild_catalog
from catalogkit.collection import init
from catalogkit.errors import InvalidInput, StoreUnreachable
from catalogkit.snapshots import take_snapshot
from catalogkit.verify import verify
from tests.backups.scene import Scene, sha256
from tests.conftest import hurry


def lose(scene: Scene) -> None:
    scene.close()
    for path in scene.home.glob("catalog.sqlite*"):
        path.unlink()


def test_from_the_store_alone(scene: Scene) -> None:
    """Every content is a document named by its digest, its place proved; the store takes the catalog as its own."""
    identity = scene.collection.identity
    lose(scene)
    found = rebuild_catalog(scene.home, dry_run=False, as_of=scene.clock.now)
    assert (found.documents, found.named, found.files, found.problems) == (3, 0, 3, [])
    scene.reopen()
    assert scene.collection.identity == identity
    rows = scene.collection.find().select("artifact_id", "source_url", "sha256").rows()
    assert {row[0] for row in rows} == {sha256(name.encode()) for name in "abc"}
    assert all(row[1] == f"unknown:{row[2]}" and row[0] == row[2] for row in rows)
    assert verify(scene.collection).ok == 3
    assert scene.collection.catalog.integrity() == []
    scene.take("d")


def test_with_facts(scene: Scene) -> None:
    """A table of documents, such as a snapshot's, gives names back; what has no bytes is told, not made up."""
    scene.take("twin", b"a", metadata={"pages": 3})
    gone = scene.take("gone")
    frame = scene.collection.frame("documents")
    frame.write_parquet(scene.top / "documents.parquet")
    scene.take("unknown to the facts")
    before = scene.documents()
    place = Path(scene.collection.store.path(scene.collection.catalog.locations_of(gone.sha256)[0].key))
    lose(scene)
    place.unlink()
    found = rebuild_catalog(scene.home, facts=scene.top / "documents.parquet", dry_run=False, as_of=scene.clock.now)
    assert (found.documents, found.named, found.without_bytes) == (5, 4, 1)
    scene.reopen()
    kept = [row for row in before if row[0] in ("a", "b", "c", "twin")]
    assert [row for row in scene.documents() if not row[1].startswith("unknown:")] == kept
    with pytest.raises(InvalidInput, match="there is no Parquet file"):
        rebuild_catalog(scene.home, facts=scene.home / "store", as_of=scene.clock.now)
    frame.drop("sha256").write_parquet(scene.top / "useless.parquet")
    with pytest.raises(InvalidInput, match="says nothing about documents"):
        rebuild_catalog(scene.home, facts=scene.top / "useless.parquet", as_of=scene.clock.now)


def test_the_newest_snapshot_is_found(scene: Scene) -> None:
    """Kept snapshots give the names back by themselves, the newest one's."""
    scene.take("a", b"a at first")
    take_snapshot(scene.collection, "early")
    scene.take("a", b"a")
    scene.clock.advance(days=1)
    take_snapshot(scene.collection, "late")
    before = scene.documents()
    lose(scene)
    found = rebuild_catalog(scene.home, dry_run=False, as_of=scene.clock.now)
    assert found.facts.endswith("late/documents") and found.named == 3
    scene.reopen()
    assert [row for row in scene.documents() if not row[1].startswith("unknown:")] == before


def test_by_default_nothing_is_changed(scene: Scene) -> None:
    """It only tells what it would make; with a catalog in place it replaces that, keeps it, and knows its bytes."""
    before = scene.documents()
    scene.close()
    found = rebuild_catalog(scene.home, as_of=scene.clock.now)
    assert (found.documents, found.applied) == (3, False)
    assert scene.documents() == before
    found = rebuild_catalog(scene.home, dry_run=False, as_of=scene.clock.now)
    assert found.kept and Path(found.kept).exists()
    scene.reopen()
    assert len(scene.documents()) == 3


def test_hazard_74_nothing_is_made_up(scene: Scene) -> None:
    """A file that is not what its name says gets no location, and is told; foreign files are left alone."""
    place = Path(scene.collection.find(artifact_id="a")["location"][0])
    lose(scene)
    place.chmod(0o644)
    place.write_bytes(b"rotten")
    (scene.home / "store" / "notes.txt").write_text("mine")
    found = rebuild_catalog(scene.home, dry_run=False, as_of=scene.clock.now)
    assert found.documents == 2 and len(found.problems) == 1 and str(place) in found.problems[0]
    scene.reopen()
    assert verify(scene.collection).ok == 2


def test_readable_paths_keep_their_names(scene: Scene) -> None:
    """In a store of readable paths the path is what is left of a name."""
    with hurry(init(scene.top / "named", layout="policy", clock=scene.clock)) as collection:
        other = Scene(collection, scene.top / "more", scene.clock)
        other.top.mkdir()
        other.take("paper.pdf", b"%PDF-1.7", resolver="arxiv")
        lose(other)
        rebuild_catalog(other.home, dry_run=False, as_of=scene.clock.now)
        other.reopen()
        (name,) = other.collection.find()["artifact_id"]
        assert name.startswith("arxiv/paper.pdf/")
        other.close()


def test_no_store_no_catalog(scene: Scene) -> None:
    """Without the store there is nothing to make a catalog from; what is there stays."""
    scene.close()
    (scene.home / "store").rename(scene.top / "unplugged")
    with pytest.raises(StoreUnreachable, match="is the disk mounted"):
        rebuild_catalog(scene.home, dry_run=False)
    assert len(scene.documents()) == 3


def test_a_snapshot_that_was_not_written_to_its_end_says_nothing(scene: Scene) -> None:
    """A crash while a snapshot was written leaves a part of its files: the newest whole one is what is taken."""
    take_snapshot(scene.collection, "whole")
    part = scene.home / "snapshots" / "000002-later.part" / "documents"
    part.mkdir(parents=True)
    (part / "000000000001.parquet").write_bytes(b"PAR1 and no more")
    before = scene.documents()
    lose(scene)
    rebuild_catalog(scene.home, dry_run=False, as_of=scene.clock.now)
    scene.reopen()
    assert scene.documents() == before
