"""The power goes, or the disk fails, at every single call of an ingest: nothing is lost, nothing false is shown."""

from __future__ import annotations

import errno
import shutil
import traceback
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalogkit.errors import CatalogBusy, CatalogKitError, SourceError, StoreFull
from catalogkit.stores import publishing, taking
from tests.conftest import read_tree
from tests.crash.disk import HAVOCS, LOST, Disk, PowerCut
from tests.crash.world import World, broken_promises, build, leftovers, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.conftest import Clock

FEW = publishing.FEW
WAYS = [(layout, mode) for layout in ("cas", "policy") for mode in ("copy", "move", "link")]


@pytest.fixture(autouse=True)
def serial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls come in one order, and nobody waits for time stamps to settle."""
    monkeypatch.setattr(publishing.Publisher, "_each", lambda self, act, paths: [act(path) for path in paths])
    monkeypatch.setattr(taking, "SETTLED_NS", 0)


@pytest.fixture(params=WAYS, ids="-".join)
def world(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> World:
    """A world to copy and spoil, once per layout and mode."""
    layout, mode = request.param
    return build(tmp_path / "template", layout, mode, clock)


def outcome(world: World) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What comes of a world when nothing goes wrong."""
    whole = world.copy(world.top.with_name("whole"))
    with whole.open() as collection:
        report = whole.run(collection)
        assert not report.failed and not leftovers(collection)
        return state(collection), read_tree(whole.source)


def spoil(world: World, disk: Disk, havoc: str | None, seed: str) -> bool:
    """Run an ingest over `disk` until it gets through or is stopped; whether it was stopped.

    A power cut makes the given havoc; without one, only the process is gone.
    """
    collection = world.open(disk)
    try:
        world.run(collection)
        return False
    except PowerCut:
        if havoc is not None:
            disk.restore(havoc, Random(seed), world.top / "side")
        return True
    except CatalogKitError:
        return True
    finally:
        collection.catalog._catalog.close()  # type: ignore[attr-defined]


def check_promises(world: World, seed: str) -> None:
    with world.open() as collection:
        assert broken_promises(world, collection) == [], seed


def check_recovery(world: World, expected: tuple[dict[str, Any], dict[str, bytes]], seed: str) -> None:
    """Whatever happened before: the next run gets everything right."""
    world.dawn()
    with world.open() as collection:
        report = world.run(collection)
        assert report.failures == [], seed
        assert broken_promises(world, collection) == [], seed
        assert leftovers(collection) == [], seed
        assert (state(collection), read_tree(world.source)) == expected, seed


def each_call(world: World, act: Callable[[World, int], bool]) -> int:
    """Act on a fresh copy of the world for call 1, 2, ... until two ingests get through; how many calls that were."""
    number, through = 0, 0
    while through < 2:
        number += 1
        copy = world.copy(world.top.with_name(f"world-{number}"))
        through = 0 if act(copy, number) else through + 1
        shutil.rmtree(copy.top)
    return number - 2


def sync_either_way(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sync each file by itself for every second call, and all at once for the others."""
    monkeypatch.setattr(publishing, "FEW", FEW * (number % 2))


SHIFTS = [0, *(pytest.param(shift, marks=pytest.mark.stress) for shift in range(1, 6))]


@pytest.mark.parametrize("shift", SHIFTS)
def test_hazard_22_power_cut_at_every_call(world: World, shift: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the power goes, no address shows wrong bytes, no document loses its bytes, and the next run is right."""
    expected = outcome(world)

    def act(copy: World, number: int) -> bool:
        sync_either_way(number + shift, monkeypatch)
        havoc = HAVOCS[(number + shift) % 3]
        seed = f"call {number}, shift {shift}, {havoc}"
        stopped = spoil(copy, Disk(number), havoc, seed)
        check_promises(copy, seed)
        check_recovery(copy, expected, seed)
        return stopped

    assert each_call(world, act) > 50


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.stress) for seed in range(1, 8))])
def test_hazard_22_power_cut_while_recovering(world: World, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second power cut, while the first is being recovered from, changes nothing."""
    expected = outcome(world)
    random = Random(seed)
    for number in random.sample(range(10, 65), 10):
        second = random.randrange(1, 60)
        said = f"seed {seed}: call {number}, then {second}"
        copy = world.copy(world.top.with_name(f"world-{number}"))
        for at in (number, second):
            sync_either_way(at, monkeypatch)
            spoil(copy, Disk(at), random.choice(HAVOCS), said)
            check_promises(copy, said)
            copy.dawn()
        check_recovery(copy, expected, said)
        shutil.rmtree(copy.top)


@pytest.mark.parametrize("world", [("cas", "copy"), ("policy", "move")], indirect=True, ids="-".join)
def test_power_cut_after_a_killed_run_was_recovered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run left unsynced, and a later run relied on, is on the disk before that run says so."""
    for number in range(5, 75, 4):
        sync_either_way(number // 4, monkeypatch)
        seed = f"killed at call {number}"
        copy = world.copy(world.top.with_name(f"world-{number}"))
        disk = Disk(number)
        spoil(copy, disk, None, seed)
        copy.dawn()
        disk.go_on()
        assert not spoil(copy, disk, None, seed)
        disk.restore(LOST, Random(seed), copy.top / "side")
        check_promises(copy, seed)
        shutil.rmtree(copy.top)


@pytest.mark.parametrize("cut", [False, True], ids=["and both end well", "and then the power goes"])
@pytest.mark.parametrize("world", [("cas", "copy"), ("policy", "link")], indirect=True, ids="-".join)
def test_another_ingest_in_the_middle(world: World, cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that takes the same files in between any two calls relies on nothing unsafe."""
    expected = outcome(world)
    met = 0
    for number in range(3 + cut, 75, 3):
        sync_either_way(number // 3, monkeypatch)
        seed = f"another ingest at call {number}"
        copy = world.copy(world.top.with_name(f"world-{number}"))

        def meanwhile(disk: Disk, copy: World = copy, seed: str = seed) -> None:
            assert not spoil(copy, disk, None, seed)
            if cut:
                disk.die()

        disk = Disk(number, meanwhile=meanwhile)
        spoil(copy, disk, None, seed)
        met += disk.count >= number
        if disk.dead:
            disk.restore(LOST, Random(seed), copy.top / "side")
        check_promises(copy, seed)
        check_recovery(copy, expected, seed)
        shutil.rmtree(copy.top)
    assert met > 18


@pytest.mark.parametrize(
    "error, world",
    [
        pytest.param(
            error, way, id=f"{errno.errorcode[error]}-{'-'.join(way)}", marks=[] if usual else pytest.mark.stress
        )
        for way in WAYS
        for error, usual in ((errno.EIO, way == ("cas", "copy")), (errno.ENOSPC, way == ("policy", "move")))
    ],
    indirect=["world"],
)
def test_hazard_21_an_error_at_every_call(world: World, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever call fails, the ingest says so, nothing is lost, and the next run is right."""
    expected = outcome(world)

    def act(copy: World, number: int) -> bool:
        sync_either_way(number, monkeypatch)
        seed = f"call {number}, {errno.errorcode[error]}"
        disk = Disk(number, error)
        spoil(copy, disk, None, seed)
        check_promises(copy, seed)
        check_recovery(copy, expected, seed)
        return disk.count >= number

    assert each_call(world, act) > 50


@pytest.mark.parametrize("world", [("policy", "link")], indirect=True, ids="-".join)
def test_hazard_76_a_full_disk(world: World) -> None:
    """From the moment when no room is left: `StoreFull`, and once there is room the next run completes."""
    expected = outcome(world)
    full = []

    def act(copy: World, number: int) -> bool:
        disk = Disk(number, errno.ENOSPC, for_good=True)
        collection = copy.open(disk)
        try:
            copy.run(collection)
        except StoreFull:
            full.append(number)
        except (CatalogBusy, SourceError):
            pass  # it was a write of the catalog, or the removal of a source, that failed
        finally:
            collection.catalog._catalog.close()  # type: ignore[attr-defined]
        check_promises(copy, f"call {number}")
        check_recovery(copy, expected, f"call {number}")
        return disk.count >= number

    each_call(world, act)
    assert len(full) > 20


@pytest.mark.parametrize("world", [("cas", "move"), ("policy", "copy")], indirect=True, ids="-".join)
def test_ctrl_c_at_any_call(world: World) -> None:
    """Ctrl-C leaves no temporary file and no intent, unless it stops the tidying itself; and the next run is right."""
    expected = outcome(world)

    def interrupt(disk: Disk) -> None:
        raise KeyboardInterrupt

    for number in range(2, 75, 4):
        seed = f"Ctrl-C at call {number}"
        copy = world.copy(world.top.with_name(f"world-{number}"))
        collection = copy.open(Disk(number, meanwhile=interrupt))
        tidying = False
        try:
            copy.run(collection)
        except KeyboardInterrupt as problem:
            tidying = any(frame.name == "recover" for frame in traceback.extract_tb(problem.__traceback__))
        collection.catalog._catalog.close()  # type: ignore[attr-defined]
        with copy.open() as again:
            assert tidying or leftovers(again) == [], seed
        check_promises(copy, seed)
        check_recovery(copy, expected, seed)
        shutil.rmtree(copy.top)
