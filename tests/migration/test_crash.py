"""A migration that is cut off anywhere: nothing is lost or unreadable, and both ends can be reached from there."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.collection import Collection, open_collection
from catalogkit.errors import CatalogKitError
from catalogkit.migrating import migrate_to_cas_gradual, rollback_migration
from tests.conftest import Clock, hurry
from tests.crash.disk import HAVOCS, PowerCut
from tests.migration.killing import kill_and_resume
from tests.migration.scene import layouts, located, moved, settle, wrong
from tests.plans.crashing import Grave, Line

if TYPE_CHECKING:
    from collections.abc import Callable


def go(collection: Collection) -> Any:
    report = migrate_to_cas_gradual(4, collection=collection)
    collection.clock.advance(seconds=1)  # type: ignore[attr-defined]
    return report


def back(collection: Collection) -> Any:
    report = rollback_migration(collection)
    collection.clock.advance(seconds=1)  # type: ignore[attr-defined]
    return report


class World:
    """A copy of a collection on a disk that can fail; `again` opens it as the next process would."""

    def __init__(self, whole: Path, top: Path, clock: Clock) -> None:
        self.top, self.clock = top, Clock(clock())
        shutil.copytree(whole, top / "collection", symlinks=True)
        (top / "side").mkdir()
        (top / "grave").mkdir()
        with contextlib.closing(sqlite3.connect(top / "collection" / "catalog.sqlite")) as db, db:
            for (key,) in db.execute("SELECT key FROM locations").fetchall():
                inode = (top / "collection" / "store" / key).lstat().st_ino
                db.execute("UPDATE locations SET inode = ? WHERE key = ?", (inode, key))

    def again(self) -> Collection:
        return hurry(open_collection(self.top / "collection", clock=self.clock))

    def attempt(self, act: Callable[[Collection], Any], at: int | None, error: int | None = None) -> Grave:
        """Do it until it ends, or until call number `at` fails, or takes the power with it."""
        disk = Grave(at, error)
        disk.grave = self.top / "grave"
        collection = self.again()
        collection.store.files, collection.catalog = disk, Line(collection.catalog, disk)  # type: ignore[assignment]
        try:
            with contextlib.suppress(PowerCut, CatalogKitError):
                act(collection)
        finally:
            disk.dead = False  # closing must work, whatever happened
            collection.close()
        return disk


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A collection at readable paths, and one that was moved."""
    from tests.conftest import NOON

    top, clock = tmp_path_factory.mktemp("migration"), Clock(NOON)
    settle(top / "policy", clock).close()
    shutil.copytree(top / "policy", top / "cas", symlinks=True)
    for name in ("policy", "cas"):
        with contextlib.closing(sqlite3.connect(top / name / "catalog.sqlite")) as db, db:
            for (key,) in db.execute("SELECT key FROM locations").fetchall():
                inode = (top / name / "store" / key).lstat().st_ino
                db.execute("UPDATE locations SET inode = ? WHERE key = ?", (inode, key))
    with hurry(open_collection(top / "cas", clock=clock)) as collection:
        assert go(collection).left == 0
    return {"forth": top / "policy", "back": top / "cas"}


ACTS: dict[str, Callable[[Collection], Any]] = {"forth": go, "back": back}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("error", [None, errno.EIO])
@pytest.mark.parametrize("every", [2, pytest.param(1, marks=pytest.mark.stress)])
def test_cut_off_at_any_call(
    act: str, error: int | None, every: int, wholes: dict[str, Path], tmp_path: Path, clock: Clock
) -> None:
    """At every call k of disk and catalog: all is readable then; from there it is finished, and also taken back.

    By twos the calls that fail are those at which the power does not go.
    """
    clock.advance(hours=1)
    counting = World(wholes[act], tmp_path / "whole", clock).attempt(ACTS[act], None)
    with open_collection(tmp_path / "whole" / "collection", clock=clock) as collection:
        ends = {"policy": located(collection), "cas": moved(collection)}
        assert layouts(collection) == {"cas" if act == "forth" else "policy"}
    if act == "forth":
        with open_collection(wholes["forth"], clock=clock) as collection:
            ends["policy"] = located(collection)
    assert counting.count > 40
    for at in range(1 + (every > 1 and error is not None), counting.count + 1, every):
        random = Random(at)
        world = World(wholes[act], tmp_path / str(at), clock)
        disk = world.attempt(ACTS[act], at, error)
        if error is None:
            disk.restore(HAVOCS[at // every % 3], random, world.top / "side")
        with world.again() as collection:
            # A record may be one too many, where a name went and the note of it did not.
            assert wrong(collection, every=False, paths=act == "forth") == [], at
        way = "cas" if at // every % 2 else "policy"
        with world.again() as collection:
            (go if way == "cas" else back)(collection)
            if way == "policy" and layouts(collection) != {"policy"}:
                # What a batch did that was cut before it was journaled is moved on first, and then back.
                go(collection)
                back(collection)
            assert located(collection) == ends[way], (at, way)
            assert wrong(collection) == [], (at, way)
            assert collection.layout == way
        shutil.rmtree(world.top)


def test_killed_for_real_and_gone_on_with(tmp_path: Path) -> None:
    """A child that migrates is killed with SIGKILL again and again, while somebody reads; in the end all is moved."""
    kills, reads = kill_and_resume(tmp_path, files=120, kills=4, seed=1)
    assert (kills, reads > 0) == (4, True)
