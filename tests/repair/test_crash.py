"""Crashes while a repair is applied: at every call there is the bad or the good copy, and a second apply completes."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.collection import IN_PLACE, init
from catalogkit.errors import CatalogKitError
from catalogkit.planners.repair import RepairPolicy
from catalogkit.planning import plan_repair
from tests.conftest import NOON, Clock, hurry
from tests.crash.disk import HAVOCS
from tests.plans.crashing import PowerCut, World, after, disk_of
from tests.plans.scene import broken, digest_of, put, run, stray
from tests.repair.damage import copies, corrupt, ours, place, rotten, scrub, set_aside, stock

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

COPIED, SHARED, GONE, FETCHED, FOUND = b"copied", b"shared by two names", b"gone", b"fetched again", b"found"
ALL = (COPIED, SHARED, GONE, FETCHED, FOUND)
BAD = {rotten(content) for content in (COPIED, SHARED, FETCHED, FOUND)}
BATCH = 2


def fetch(url: str, path: str, digest: Any, size: int) -> None:
    """A web that has what is asked for."""
    Path(path).write_bytes({digest_of(content): content for content in ALL}[digest])


def build(top: Path) -> World:
    """A corrupt copy, two names of a corrupt file, one that is missing, one left nowhere, one that a stray has."""
    world = World(top, Clock(NOON))
    top.mkdir()
    with hurry(init(top / "collection", layout="policy", template="{artifact_id}", clock=world.clock)) as collection:
        stock(collection, "copied", COPIED)
        stock(collection, "shared", SHARED)
        put(collection, "twin", SHARED)
        stock(collection, "gone", GONE)
        put(collection, "fetched", FETCHED)
        put(collection, "found", FOUND)
        stray(collection, FOUND, key="docs/stray")
        for content in (COPIED, SHARED, FETCHED, FOUND):
            corrupt(ours(collection, content))
        ours(collection, GONE).unlink()
        scrub(collection)
    for folder in ("side", "grave"):
        (top / folder).mkdir()
    return world


def again(world: World, top: Path) -> World:
    """The same world elsewhere; replicas in their owners' hands stay where they are."""
    shutil.copytree(world.top, top, symlinks=True)
    store = top / "collection" / "store"
    with contextlib.closing(sqlite3.connect(top / "collection" / "catalog.sqlite")) as db, db:
        for (key,) in db.execute("SELECT key FROM locations WHERE layout <> 'reference'").fetchall():
            if (store / key).exists():
                db.execute("UPDATE locations SET inode = ? WHERE key = ?", ((store / key).lstat().st_ino, key))
    # A copied tree has a file for each name.
    (store / "docs" / "twin").unlink()
    (store / "docs" / "twin").hardlink_to(store / "docs" / "shared")
    return World(top, Clock(NOON))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A damaged collection."""
    return build(tmp_path_factory.mktemp("repair") / "world")


def lost(collection: Collection) -> list[str]:
    """What is there neither good nor bad, though it was; and bad bytes that were thrown away."""
    found = []
    kept = set_aside(collection)
    for content in ALL:
        here = [place(collection, one) for one in copies(collection, content).values() if one.store != IN_PLACE]
        for path in here:
            there = path.read_bytes() if path.exists() else None
            if there not in ((content, None) if content == GONE else (content, rotten(content))):
                found.append(f"{path.name} holds {there!r}")
            elif content != GONE and there == content and rotten(content) not in kept:
                found.append(f"the bad bytes of {path.name} are gone")
    return found


def planned(world: World) -> Plan:
    with world.open() as collection:
        return plan_repair(collection, RepairPolicy(fetch=True), as_of=NOON)


def attempt(world: World, plan: Plan, disk: Any) -> bool:
    """Apply until it ends or is cut; whether it was cut."""
    collection = world.open(disk)
    try:
        run(collection, plan, batch=BATCH, as_of=NOON, fetcher=fetch)
    except PowerCut:
        return True
    except CatalogKitError:
        return False
    finally:
        disk.dead = False  # closing must work, whatever happened
        collection.close()
    return False


def finish(world: World, plan: Plan) -> None:
    """Apply to the end with nothing in the way: all is right then, and the bad bytes are kept."""
    with world.open() as collection:
        run(collection, plan, batch=BATCH, as_of=NOON, fetcher=fetch)
        assert run(collection, plan, as_of=NOON).done == 0
        assert {row[3] for row in collection.catalog.journal(plan.id)} == {"done"}
        assert collection.catalog.plans()[0].ended_at is not None
        assert not [*broken(collection), *lost(collection)]
        assert set(set_aside(collection)) == BAD
        found = scrub(collection)
        assert found == {**dict.fromkeys(found, 0), "ok": found["ok"]}
        assert plan_repair(collection).units == 0


def counted(first: World, tmp_path: Path) -> int:
    """How many calls an apply takes that nothing happens to."""
    world = again(first, tmp_path / "whole")
    plan, counting = planned(world), disk_of(world)
    assert sorted(set(plan.frame["kind"])) == ["copy", "fetch", "link"]
    assert not attempt(world, plan, counting)
    finish(world, plan)
    return counting.count


def test_a_power_cut_at_any_call(first: World, tmp_path: Path) -> None:
    """Cut at call k, with every kind of loss, sometimes cut again: nothing is missing then, and the rest is done."""
    count = counted(first, tmp_path)
    assert count > 40
    for at in range(1, count + 1):
        havoc = HAVOCS[at % len(HAVOCS)]
        random = Random(at)
        world = again(first, tmp_path / str(at))
        plan = planned(world)
        for times in range(1 + at % 2):
            disk = disk_of(world, at if not times else random.randint(1, count))
            if attempt(world, plan, disk):
                after(disk, havoc, random, world)
            with world.open() as collection:
                assert not lost(collection), (at, havoc)
        finish(world, plan)


def test_an_error_at_any_call(first: World, tmp_path: Path) -> None:
    """Call k fails, of the disk or of the catalog: nothing is missing then, and a second apply does the rest."""
    for at in range(1, counted(first, tmp_path) + 1):
        world = again(first, tmp_path / str(at))
        plan = planned(world)
        assert not attempt(world, plan, disk_of(world, at, errno.EIO))
        with world.open() as collection:
            assert not lost(collection), at
        finish(world, plan)
