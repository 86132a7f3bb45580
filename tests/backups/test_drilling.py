"""The drill: what it proves, what it finds, and who hears of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from catalogkit.backups import repository
from catalogkit.backups.drilling import drill
from catalogkit.backups.listing import framed, last_proof, list_backups
from catalogkit.errors import InvalidInput
from tests.backups.scene import Scene


def test_a_good_backup_is_proved(scene: Scene) -> None:
    """The newest is brought back, its blobs are read, the proof lies beside it, and the list shows it."""
    scene.back_up()
    scene.take("d")
    scene.clock.advance(days=1)
    made = scene.back_up()
    found = drill(scene.dest, collection=scene.collection)
    assert found.ok and (found.backup, found.documents, found.sampled, found.sample_ok) == (made.name, 4, 4, 4)
    proof = repository.read_proof(scene.target, made.name)
    assert proof is not None and proof.ok and proof.as_of == scene.clock.now and proof.facts["documents"] == 4
    first, second = list_backups(scene.dest)
    assert (first.proved, second.proved, second.proved_at) == (None, True, scene.clock.now)
    assert last_proof(scene.dest) == (scene.clock.now, scene.clock.now)
    assert framed([first, second])["proved"].to_list() == [None, True]
    assert framed([]).schema == framed([first]).schema


def test_a_blob_that_is_bad_or_gone(scene: Scene) -> None:
    """A document whose bytes went bad, or missing, fails the drill, by name."""
    scene.back_up()
    for name, spoil in (("a", lambda path: path.unlink()), ("b", lambda path: path.write_bytes(b"?"))):
        path = Path(scene.collection.find(artifact_id=name)["location"][0])
        path.chmod(0o644)
        spoil(path)
    found = drill(scene.dest, collection=scene.collection)
    assert not found.ok and found.sample_ok == 1
    assert sorted(problem.split(" is ")[1].split(":")[0] for problem in found.problems) == ["corrupt", "missing"]
    assert last_proof(scene.dest) == (scene.clock.now, None)


def test_a_store_that_is_away_proves_nothing(scene: Scene) -> None:
    """Blobs that cannot be reached are counted as that, neither good nor bad; with bytes beside it they are read."""
    scene.back_up()
    (scene.home / "store").rename(scene.top / "unplugged")
    found = drill(scene.dest, collection=scene.collection)
    assert (found.ok, found.unreachable, found.sample_ok) == (True, 3, 0)
    (scene.top / "unplugged").rename(scene.home / "store")
    scene.clock.advance(days=1)
    scene.back_up(copy_bytes=True)
    (scene.home / "store").rename(scene.top / "unplugged")
    found = drill(scene.dest)
    assert (found.ok, found.unreachable, found.sample_ok) == (True, 0, 3)


def test_without_the_collection_the_backup_knows_its_stores(scene: Scene) -> None:
    """The URIs that a backup wrote down are enough to read a sample."""
    scene.back_up(include_storage_uri=True)
    assert drill(scene.dest, as_of=scene.clock.now + timedelta(hours=1)).sample_ok == 3


def test_a_damaged_proof_proves_nothing(scene: Scene) -> None:
    """One byte of a proof is wrong: it is as if there were none."""
    made = scene.back_up()
    drill(scene.dest, collection=scene.collection)
    path = scene.dest / made.name / "proof.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("true", "tru"))
    assert repository.read_proof(scene.target, made.name) is None
    path.write_text(path.read_text().replace('"documents": 3', '"documents": 4'))
    assert repository.read_proof(scene.target, made.name) is None


def test_nothing_to_drill(scene: Scene) -> None:
    """Without a backup it says what to do."""
    with pytest.raises(InvalidInput, match="there is no backup in"):
        drill(scene.dest)
