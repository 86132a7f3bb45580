"""Crashes while a plan is applied: at every call, with every kind of loss, once and twice, and killed for real."""

from __future__ import annotations

import errno
import signal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalogkit.errors import CatalogKitError
from tests.crash.disk import HAVOCS, MIXED
from tests.plans.crashing import ACTS, MOVING, PowerCut, World, after, build, build_copies, disk_of, outcome, promises
from tests.plans.killing import kill_and_resume
from tests.plans.scene import broken, facts, run
from tests.plans.victim import apply_and_die

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from catalogkit.plan import Plan
    from tests.conftest import Clock

BATCH = 2


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, World]:
    """For each act the world it is carried out in."""
    from datetime import UTC, datetime

    from tests.conftest import Clock

    top = tmp_path_factory.mktemp("worlds")
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    condemned = build(top / "condemned", Clock(noon), condemned=True)
    return {
        "gc": build(top / "garbage", Clock(noon), condemned=False),
        **dict.fromkeys(("purge", "undo gc", "undo forget"), condemned),
        **dict.fromkeys(("copies", "evict"), build_copies(top / "copies", Clock(noon), applied=False)),
        "undo copies": build_copies(top / "moved", Clock(noon), applied=True),
    }


def fresh(worlds: dict[str, World], act: str, top: Path) -> tuple[World, Plan]:
    world = worlds[act].copy(top)
    return world, world.plan(act)


def finish(world: World, plan: Plan, when: datetime) -> dict[str, Any]:
    """Apply to the end with nothing in the way; what has become of everything."""
    with world.open() as collection:
        run(collection, plan, batch=BATCH, as_of=when)
        assert run(collection, plan, as_of=when).done == 0
        assert not [*broken(collection), *promises(collection)]
        return outcome(collection)


def attempt(world: World, plan: Plan, when: datetime, disk: Any) -> bool:
    """Apply until it ends or is cut; whether it was cut."""
    collection = world.open(disk)
    try:
        run(collection, plan, batch=BATCH, as_of=when)
    except PowerCut:
        return True
    except CatalogKitError:
        return False
    finally:
        disk.dead = False  # closing must work, whatever happened
        collection.close()
    return False


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("losses", [1, pytest.param(len(HAVOCS), marks=pytest.mark.stress)])
def test_a_power_cut_at_any_call_changes_nothing_in_the_end(
    act: str, losses: int, worlds: dict[str, World], tmp_path: Path, clock: Clock
) -> None:
    """Cut at call k, with some or all kinds of loss, then cut again somewhere; in the end nothing had happened."""
    world, plan = fresh(worlds, act, tmp_path / "whole")
    when = world.clock()
    counting = disk_of(world)
    attempt(world, plan, when, counting)
    expected = finish(world, plan, when)
    assert counting.count >= 10
    # Where no name goes, there is nothing that a cut could bring back.
    havocs = HAVOCS if counting.calls["unlink"] else (MIXED,)
    for at in range(1, counting.count + 1):
        for number in range(len(havocs)) if losses > 1 else [at % len(havocs)]:
            havoc = havocs[number]
            random = Random(at * 10 + number)
            world, plan = fresh(worlds, act, tmp_path / f"{at}-{number}")
            for times in range(1 + (at + number) % 2):
                disk = disk_of(world, at if not times else random.randint(1, counting.count))
                if attempt(world, plan, when, disk):
                    after(disk, havoc, random, world)
                with world.open() as collection:
                    assert not [*broken(collection, every=act not in MOVING), *promises(collection)], (at, havoc)
            found = finish(world, plan, when)
            assert found == expected, (at, havoc)


@pytest.mark.parametrize("act", ACTS)
def test_an_error_at_any_call_changes_nothing_in_the_end(act: str, worlds: dict[str, World], tmp_path: Path) -> None:
    """Call k fails, of the disk or of the catalog; applied again, all is as if nothing had happened."""
    world, plan = fresh(worlds, act, tmp_path / "whole")
    when = world.clock()
    counting = disk_of(world)
    attempt(world, plan, when, counting)
    expected = finish(world, plan, when)
    for at in range(1, counting.count + 1):
        world, plan = fresh(worlds, act, tmp_path / str(at))
        assert not attempt(world, plan, when, disk_of(world, at, errno.EIO))
        with world.open() as collection:
            assert not [*broken(collection, every=act not in MOVING), *promises(collection)], at
        assert finish(world, plan, when) == expected, at


def test_what_crashes_did_not_spoil_is_worth_comparing(worlds: dict[str, World], tmp_path: Path) -> None:
    """The acts that are crashed over do something: each changes facts; purge and copies change files, too."""
    for act in ACTS:
        world, plan = fresh(worlds, act, tmp_path / act)
        with world.open() as collection:
            before = facts(collection)
        then = finish(world, plan, world.clock())
        assert plan.units >= 3
        assert (then["blobs"] != before["blobs"]) == (act not in MOVING)
        assert (then["files"] != before["files"]) == (act in ("purge", *MOVING))


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.stress)])
def test_killed_at_any_call_and_applied_again(act: str, every: int, worlds: dict[str, World], tmp_path: Path) -> None:
    """A process that SIGKILL ends before call k of journal or disk, between batches too; the next one goes on."""
    world, plan = fresh(worlds, act, tmp_path / "whole")
    when = world.clock()
    counting = disk_of(world)
    attempt(world, plan, when, counting)
    expected = finish(world, plan, when)
    assert {"begin_plan", "begin", "commit", "committed", "end_plan"} <= set(counting.calls)
    for at in range(ACTS.index(act) + 1, counting.count + 1, every):
        world, plan = fresh(worlds, act, tmp_path / str(at))
        assert apply_and_die(world, plan, when, at, BATCH) == -signal.SIGKILL, at
        with world.open() as collection:
            assert not [*broken(collection, every=act not in MOVING), *promises(collection)], at
        assert finish(world, plan, when) == expected, at


def test_killed_for_real_and_applied_again(tmp_path: Path) -> None:
    """A child that condemns and purges is killed with SIGKILL; the next goes on; in the end the plan is done."""
    assert kill_and_resume(tmp_path, seed=1, rounds=1, most=2) >= 2
