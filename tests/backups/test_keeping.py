"""Hazard 36: a backup that is kept keeps its bytes, and says so; one that is thinned lets them go."""

from __future__ import annotations

import os
import shutil

import pytest

from catalogkit.apply import apply
from catalogkit.backups import keeping, repository
from catalogkit.backups.listing import list_backups
from catalogkit.backups.recovering import recover_from_backup
from catalogkit.backups.thinning import thin_backups
from catalogkit.errors import StoreError, StoreUnreachable
from catalogkit.model import Digest
from catalogkit.planners.gc import GCPolicy
from catalogkit.planners.thin import Keep
from catalogkit.planning import plan_gc, plan_purge, why
from tests.backups.scene import Scene, sha256

ONE = Keep(last=1, daily=0, weekly=0, monthly=0)


def collect(scene: Scene) -> None:
    """Condemn and purge everything that may go, a month later."""
    for planner in (plan_gc, plan_purge):
        scene.clock.advance(days=30)
        plan = planner(scene.collection, GCPolicy(), as_of=scene.clock.now)
        if plan.units:
            apply(scene.collection, plan, unapproved=True, max_share=1.0, as_of=scene.clock.now)


def digest(name: str) -> Digest:
    return Digest.parse(sha256(name.encode()))


def test_hazard_36_an_old_backup_after_garbage_collection(scene: Scene) -> None:
    """Documents were forgotten, changed, and garbage collected; the old backup comes back, every byte of it."""
    made, before = scene.back_up(), scene.documents()
    scene.forget("a")
    scene.take("b", b"b is something else now")
    scene.take("x")
    scene.forget("x")
    collect(scene)
    assert scene.collection.catalog.root_kinds(digest("x"), as_of=scene.clock.now)["state"] == "purged"
    found = scene.recover(made)
    assert found.missing_blobs == 0 and scene.documents() == before
    for row in scene.collection.frame("documents").rows(named=True):
        assert sha256(scene.collection.read(row["id"])) == row["sha256"]
    collect(scene)  # and a garbage collection after coming back takes none of it
    for row in scene.collection.frame("documents").rows(named=True):
        assert sha256(scene.collection.read(row["id"])) == row["sha256"]


def test_hazard_36_later_backups_after_coming_back_to_an_earlier_one(scene: Scene) -> None:
    """After coming back to an earlier backup, garbage collection still leaves the later one whole."""
    first = scene.back_up()
    scene.take("later")
    scene.clock.advance(days=1)
    second = scene.back_up()
    (place,) = scene.collection.find(artifact_id="later")["location"]
    os.utime(place, (0, 0))  # old enough for a stray, which it would be
    scene.recover(first)
    collect(scene)
    found = scene.recover(second)
    assert found.missing_blobs == 0
    assert scene.collection.read(4) == b"later"


def test_hazard_36_later_backups_after_a_lost_catalog_came_back_earlier(scene: Scene) -> None:
    """The same where the catalog is lost: the later backup itself tells what is kept for it, until it is thinned."""
    first = scene.back_up()
    scene.take("later")
    scene.clock.advance(days=1)
    second = scene.back_up()
    (place,) = scene.collection.find(artifact_id="later")["location"]
    os.utime(place, (0, 0))
    scene.close()
    for path in scene.home.glob("catalog.sqlite*"):
        path.unlink()
    assert scene.recover(first).carried == 1
    collect(scene)
    said = why(scene.collection, str(digest("later")), as_of=scene.clock.now)
    assert any(f"backup {second.name}" in line for line in said), said
    assert scene.recover(second, dry_run=True).missing_blobs == 0
    scene.reopen()
    keeping.let_go(scene.collection.catalog, second.name, scene.clock.now)
    assert scene.collection.catalog.root_names("backup") == []


def test_why_and_how_much(scene: Scene) -> None:
    """`why` names the backup; the list of backups says what each keeps, and what it alone does."""
    made = scene.back_up()
    scene.forget("a")
    said = why(scene.collection, str(digest("a")), as_of=scene.clock.now)
    assert any(f"backup {made.name}" in line and line.endswith("keeps it") for line in said), said
    scene.clock.advance(days=1)
    second = scene.back_up()
    scene.forget("b")
    rows = {row.name: row for row in list_backups(scene.dest, collection=scene.collection)}
    assert (rows[made.name].held_bytes, rows[made.name].only_bytes) == (2, 1)
    assert (rows[second.name].held_bytes, rows[second.name].only_bytes) == (1, 0)
    assert list_backups(scene.dest)[0].held_bytes is None


def test_thinned_means_let_go(scene: Scene) -> None:
    """Once a backup is thinned, what only it kept goes; what others keep stays, pieces and copied bytes included."""
    scene.take("big", b"x" * 1000)
    first = scene.back_up(copy_bytes=True)
    scene.forget("big", "a")
    scene.clock.advance(days=1)
    scene.back_up(copy_bytes=True)
    scene.forget("b")
    pieces = set(scene.target.keys("pieces"))
    done = thin_backups(scene.target, ONE, collection=scene.collection, as_of=scene.clock.now)
    assert done.removed == [first.name] and done.bytes_freed >= 1001
    collect(scene)
    states = {name: scene.collection.catalog.root_kinds(digest(name), as_of=scene.clock.now)["state"] for name in "ab"}
    assert states == {"a": "purged", "b": "live"}
    left = set(scene.target.keys("pieces"))
    (name,) = repository.names(scene.target)
    assert left == {f"pieces/{piece}" for piece in scene.manifest(name).pieces} <= pieces
    assert {key.rpartition("/")[2] for key in scene.target.keys("bytes")} == {sha256(b"b"), sha256(b"c")}


def test_nothing_is_thinned_beside_a_damaged_backup(scene: Scene) -> None:
    """What a damaged manifest names is not known: nothing is removed until somebody has looked at it."""
    first = scene.back_up()
    scene.clock.advance(days=1)
    scene.back_up()
    path = scene.dest / first.name / "manifest.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-9])
    before = scene.target.keys("")
    with pytest.raises(StoreError, match="nothing is removed"):
        thin_backups(scene.target, ONE, collection=scene.collection, as_of=scene.clock.now)
    assert scene.target.keys("") == before
    damaged = [row for row in list_backups(scene.dest) if row.damaged]
    assert [row.name for row in damaged] == [first.name]


def test_what_is_left_of_crashes_is_tidied(scene: Scene) -> None:
    """A moment of a backup that was never completed, and roots of a replaced catalog that is gone, are let go."""
    made = scene.back_up()
    catalog = scene.collection.catalog
    catalog.keep_moment("backup", f"19990101T000000Z-{'0' * 12} in {scene.dest}", as_of=scene.clock.now)
    catalog.keep_moment("backup", "19990101T000000Z-abcdefabcdef in /elsewhere", as_of=scene.clock.now)
    scene.take("later")
    found = scene.recover(made)
    catalog = scene.collection.catalog
    assert found.kept and catalog.root_names("replaced") == [found.kept.rpartition("/")[2]]
    keeping.tidy(scene.collection, scene.target, scene.clock.now)
    assert len(catalog.root_names("replaced")) == 1
    (scene.home / found.kept).unlink()
    catalog.keep_moment("backup", f"19990101T000000Z-{'0' * 12} in {scene.dest}", as_of=scene.clock.now)
    keeping.tidy(scene.collection, scene.target, scene.clock.now)
    assert catalog.root_names("replaced") == []
    names = [moment.name for moment in catalog.moments("backup", as_of=scene.clock.now)]
    assert [name.split()[0] for name in names] == [made.name]


def test_later_backups_keep_their_bytes_when_the_replaced_catalog_is_removed(scene: Scene) -> None:
    """After coming back to an earlier backup the later one is still a root, until it is thinned, and only then not."""
    first = scene.back_up()
    scene.clock.advance(hours=1)
    scene.take("later")
    second = scene.back_up()
    scene.clock.advance(hours=1)
    found = scene.recover(first)
    assert found.kept
    os.unlink(found.kept)
    catalog = scene.collection.catalog
    scene.back_up()
    collect(scene)
    assert second.name in repository.names(scene.target) and len(catalog.root_names("replaced")) == 1
    assert recover_from_backup(second.path, scene.catalog_file, as_of=scene.clock.now).missing_blobs == 0
    thin_backups(scene.target, ONE, collection=scene.collection, as_of=scene.clock.now)
    assert second.name not in repository.names(scene.target)
    assert catalog.root_names("replaced") == []


def test_an_empty_mount_point_lets_go_of_nothing(scene: Scene) -> None:
    """Where the disk of the backups is away none is made, and what they keep stays, unless they are gone for good."""
    made = scene.back_up()
    scene.forget("a")
    away = scene.dest.rename(scene.top / "away")
    scene.dest.mkdir()
    with pytest.raises(StoreUnreachable, match="is its disk mounted"):
        scene.back_up()
    thin_backups(scene.target, ONE, collection=scene.collection, as_of=scene.clock.now)
    collect(scene)
    assert scene.target.tops() == []
    shutil.rmtree(scene.dest)
    away.rename(scene.dest)
    assert scene.recover(made, dry_run=True).missing_blobs == 0
    shutil.rmtree(scene.dest)
    scene.reopen()
    scene.back_up(anew=True)
    collect(scene)
    assert scene.collection.catalog.root_kinds(digest("a"), as_of=scene.clock.now)["state"] == "purged"


def test_a_replaced_catalog_is_looked_for_where_the_catalog_is(scene: Scene) -> None:
    """What it needs is kept as long as its file is there, also where that is not the collection's folder."""
    made = scene.back_up()
    scene.take("later")
    scene.recover(made)
    scene.close()
    (elsewhere := scene.top / "elsewhere").mkdir()
    for path in scene.home.glob("catalog.sqlite*"):
        path.rename(elsewhere / path.name)
    settings = scene.home / "catalogkit.toml"
    settings.write_text(settings.read_text().replace("sqlite:///", f"sqlite:///{elsewhere}/"))
    catalog = scene.reopen().catalog
    keeping.tidy(scene.collection, scene.target, scene.clock.now)
    (kept,) = catalog.root_names("replaced")
    (elsewhere / kept).unlink()
    keeping.tidy(scene.collection, scene.target, scene.clock.now)
    assert catalog.root_names("replaced") == []
