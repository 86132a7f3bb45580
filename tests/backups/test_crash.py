"""The power goes, or the disk fails, at every call of a backup, a recovery, a thinning: what was whole stays so."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalogkit.backups import making, repository
from catalogkit.backups.making import backup_catalog
from catalogkit.backups.recovering import recover_from_backup, restore
from catalogkit.backups.target import Folder
from catalogkit.backups.thinning import thin_backups
from catalogkit.catalog.sqlite.images import image_problems
from catalogkit.collection import open_collection
from catalogkit.errors import CatalogKitError, StoreFull
from catalogkit.planners.thin import Keep
from catalogkit.workers import Inline
from tests.backups.scene import Scene, documents_of
from tests.conftest import hurry
from tests.crash.disk import HAVOCS, Disk, PowerCut
from tests.stores.quick import Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable

# How it fails: power cuts with what they do to what was not synced, and errors.
WAYS = [*HAVOCS, errno.EIO, errno.ENOSPC]


@pytest.fixture
def template(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection with two backups, and changes since, its log not folded in."""
    monkeypatch.setattr(making, "CHUNK_BYTES", 1 << 18)
    scene.back_up(copy_bytes=True)
    scene.take("d")
    scene.clock.advance(days=1)
    scene.back_up(copy_bytes=True)
    scene.take("e")
    folder = scene.top / "template"
    shutil.copytree(scene.home, folder / "collection")
    shutil.copytree(scene.dest, folder / "backups")
    (folder / "side").mkdir()
    scene.close()
    return folder


class World:
    """A copy of the template to spoil."""

    def __init__(self, template: Path, number: int, scene: Scene) -> None:
        self.top = scene.top / f"world-{number}"
        shutil.copytree(template, self.top)
        self.clock = replace(scene.clock)
        self.clock.advance(days=1)

    @property
    def dest(self) -> Path:
        return self.top / "backups"

    @property
    def catalog(self) -> Path:
        return self.top / "collection" / "catalog.sqlite"

    def spoil(self, act: Callable[[Disk], object], number: int, way: str | int) -> bool:
        """Act over a disk that fails at that call; whether it was stopped."""
        disk = Disk(number, None if isinstance(way, str) else way)
        try:
            act(disk)
            return disk.count >= number
        except PowerCut:
            disk.restore(str(way), Random(f"{number} {way}"), self.top / "side")
            return True
        except CatalogKitError:
            return True

    def listed(self) -> dict[str, list[tuple[object, ...]]]:
        """The documents of every backup that is listed, each put together and checked."""
        found = {}
        target = Folder(self.dest)
        for name in repository.names(target):
            path = self.top / "out"
            restore(target, repository.load(target, name), str(path))
            found[name] = documents_of(path)
            for end in ("", "-wal", "-shm"):
                Path(f"{path}{end}").unlink(missing_ok=True)
        return found

    def back_up(self, files: Disk | None = None) -> str:
        target = Folder(self.dest, files=files or Unsynced())
        with hurry(open_collection(self.top / "collection", clock=self.clock)) as collection:
            return backup_catalog(target, collection=collection, copy_bytes=True, executor=Inline()).name


def each_call(
    scene: Scene, template: Path, check: Callable[[World, int, str | int], bool], least: int, step: int = 1
) -> None:
    """Check a fresh world for call 1, 2, ... until nothing fails any more; ways take turns."""
    number, through = 1 - step, 0
    while through < 2:
        number += step
        world = World(template, number, scene)
        through = 0 if check(world, number, WAYS[number % len(WAYS)]) else through + 1
        shutil.rmtree(world.top)
    assert number - 2 >= least


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.stress)])
def test_a_backup_stopped_at_any_call(scene: Scene, template: Path, step: int) -> None:
    """Earlier backups stay whole, no half one is listed, a listed one is kept by the catalog, the next one works."""
    before = World(template, 0, scene).listed()
    assert len(before) == 2

    def check(world: World, number: int, way: str | int) -> bool:
        stopped = world.spoil(lambda disk: world.back_up(disk), number, way)
        found = world.listed()
        assert {name: found.get(name) for name in before} == before, (number, way)
        with hurry(open_collection(world.top / "collection", clock=world.clock)) as collection:
            moments = {one.name.split()[0] for one in collection.catalog.moments("backup", as_of=world.clock.now)}
        assert set(found) - set(before) <= moments, (number, way)
        world.clock.advance(hours=1)
        name = world.back_up()
        found = world.listed()
        assert [row[0] for row in found[name]] == ["a", "b", "c", "d", "e"], (number, way)
        return stopped

    each_call(scene, template, check, 15, step)


def test_a_recovery_stopped_at_any_call(scene: Scene, template: Path) -> None:
    """The catalog is the old one or the new one, whole; every replaced one is kept; and the next try works."""
    old = documents_of(World(template, 0, scene).catalog)
    new = next(iter(World(template, -1, scene).listed().values()))
    assert old != new
    name = repository.names(Folder(template / "backups"))[0]

    def check(world: World, number: int, way: str | int) -> bool:
        def recover(files: Disk) -> None:
            recover_from_backup(world.dest / name, world.catalog, dry_run=False, as_of=world.clock.now, files=files)

        stopped = world.spoil(recover, number, way)
        now = documents_of(world.catalog)
        assert now in (old, new) and image_problems(world.catalog) == [], (number, way)
        assert stopped or now == new
        kept = [path for path in world.catalog.parent.glob("*.replaced-*") if path.suffix != ".part"]
        assert now == old or kept
        for path in kept:
            assert documents_of(path) == old and image_problems(path) == []
        found = recover_from_backup(world.dest / name, world.catalog, dry_run=False, as_of=world.clock.now)
        assert documents_of(world.catalog) == new and found.kept
        assert not list(world.catalog.parent.glob("*.recovering-*"))
        assert not list(world.catalog.parent.glob("*.part"))
        return stopped

    each_call(scene, template, check, 10)


@pytest.mark.parametrize("state", ["lost", "damaged"])
def test_a_recovery_from_worse_stopped_at_any_call(scene: Scene, template: Path, state: str) -> None:
    """The same where the catalog is lost but for its log, or damaged: what comes back is the backup or nothing yet."""
    catalog = template / "collection" / "catalog.sqlite"
    assert catalog.with_name("catalog.sqlite-wal").stat().st_size
    if state == "lost":
        catalog.unlink()
    else:
        catalog.write_bytes(b"not a database")
    name = repository.names(Folder(template / "backups"))[0]
    new = World(template, -1, scene).listed()[name]

    def check(world: World, number: int, way: str | int) -> bool:
        def recover(files: Disk) -> None:
            recover_from_backup(world.dest / name, world.catalog, dry_run=False, as_of=world.clock.now, files=files)

        stopped = world.spoil(recover, number, way)
        if world.catalog.exists() and world.catalog.read_bytes() != b"not a database":
            assert documents_of(world.catalog) == new, (number, way)
        logs = list(world.catalog.parent.glob("*-wal"))
        assert any(path.read_bytes()[:4] == b"\x37\x7f\x06\x82" for path in logs), (number, way, logs)
        recover_from_backup(world.dest / name, world.catalog, dry_run=False, as_of=world.clock.now)
        assert documents_of(world.catalog) == new
        return stopped

    each_call(scene, template, check, 8)


def test_thinning_stopped_at_any_call(scene: Scene, template: Path) -> None:
    """A backup that is still listed is whole; the one that stays always is; the next thinning finishes."""
    before = World(template, 0, scene).listed()
    stays = max(before)

    def thin(world: World, files: Disk | None) -> None:
        target = Folder(world.dest, files=files or Unsynced())
        with hurry(open_collection(world.top / "collection", clock=world.clock)) as collection:
            keep = Keep(last=1, daily=0, weekly=0, monthly=0)
            thin_backups(target, keep, collection=collection, as_of=world.clock.now)

    def check(world: World, number: int, way: str | int) -> bool:
        stopped = world.spoil(lambda disk: thin(world, disk), number, way)
        found = world.listed()
        assert found[stays] == before[stays] and all(before[name] == rows for name, rows in found.items()), (
            number,
            way,
        )
        thin(world, None)
        assert world.listed() == {stays: before[stays]}
        return stopped

    each_call(scene, template, check, 4)


def test_hazard_76_a_full_disk(scene: Scene, template: Path) -> None:
    """No room for a backup: it says so, and earlier ones are whole."""
    world = World(template, 0, scene)
    disk = Disk(1, errno.ENOSPC, for_good=True)
    with pytest.raises(StoreFull, match="earlier backups are whole"):
        world.back_up(disk)
    assert len(world.listed()) == 2
