"""Many hands on one collection: some take the same few contents in over and over, others collect what nobody needs.

Each taker has documents of its own, so it knows what they must hold at any time. As threads or as processes, each with
a catalog connection of its own; processes may be killed, which none of the others may notice.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.collection import Collection, init, open_collection, utc_now
from catalogkit.errors import PlanError
from catalogkit.planning import plan_forget, plan_gc, plan_migrate, plan_purge, plan_repair
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import hurry
from tests.plans.scene import AT_ONCE, broken, digest_of, files, put, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

CONTENTS = tuple(b"content %d " % number * (number * 40 + 1) for number in range(6))
NAMES = 4
ROLES = ("take 1", "take 2", "take 3", "take 4", "condemn", "purge", "verify", "move")
ROOT = Path(__file__).parents[2]


def act(role: str, home: Path, seed: str, go_on: Callable[[], bool]) -> int:
    """Do what a role does until told to stop; how often it was done."""
    chance, rounds = random.Random(f"{role} {seed}"), 0
    with hurry(open_collection(home)) as collection:
        does = {"condemn": _condemn, "purge": _purge, "verify": _verify, "move": _move}.get(role) or Taker(role, chance)
        while go_on():
            does(collection)
            rounds += 1
    return rounds


class Taker:
    """Takes documents in, sometimes forgets one, and reads one of its own each time."""

    def __init__(self, role: str, chance: random.Random) -> None:
        self.role, self.chance = role.replace(" ", "-"), chance
        self.mine: dict[str, tuple[int, bytes]] = {}

    def __call__(self, collection: Collection) -> None:
        name = f"{self.role}-{self.chance.randrange(NAMES)}"
        if name in self.mine and self.chance.random() < 0.4:
            number, content = self.mine.pop(name)
            report = _try(collection, plan_forget(collection, [number]))
            assert report is None or report.done == 1, report
            if report is None:
                self.mine[name] = (number, content)
        else:
            content = self.chance.choice(CONTENTS)
            record = put(collection, name, content)
            assert record.sha256 == digest_of(content)
            self.mine[name] = (record.id, content)
        for number, content in self.chance.sample(sorted(self.mine.values()), min(2, len(self.mine))):
            assert collection.read(number) == content


def _condemn(collection: Collection) -> None:
    _try(collection, plan_gc(collection, AT_ONCE))


def _purge(collection: Collection) -> None:
    _try(collection, plan_purge(collection, AT_ONCE))


def _verify(collection: Collection) -> None:
    verify(collection, executor=Inline())


def _move(collection: Collection) -> None:
    """Some copies to content addresses, and some to readable paths."""
    for layout in ("cas", "policy"):
        _try(collection, plan_migrate(collection, layout, views=False, limit=9))


def _try(collection: Collection, plan: object) -> object:
    """Apply, unless half of all documents were forgotten since it was planned, which is refused as it should be."""
    try:
        return run(collection, plan, batch=7)  # type: ignore[arg-type]
    except PlanError as problem:
        assert "find out where" in str(problem)
        return None


def start(top: Path, layout: str, **settings: str) -> Path:
    home = top / f"collection-{layout}"
    with hurry(init(home, layout=layout, **settings)) as collection:
        for number in range(30):  # so that the documents never halve
            put(collection, f"kept-{number}", b"kept %d" % number)
    return home


def threads(top: Path, layout: str, seed: str, seconds: float, **settings: str) -> dict[str, int]:
    """Every role in a thread; how often each did its work."""
    home, stop, problems = start(top, layout, **settings), threading.Event(), []
    counts: dict[str, int] = {}
    end = time.monotonic() + seconds

    def work(role: str) -> None:
        try:
            counts[role] = act(role, home, seed, lambda: time.monotonic() < end and not stop.is_set())
        except BaseException:
            problems.append(f"{role}: {traceback.format_exc()}")
            stop.set()

    running = [threading.Thread(target=work, args=(role,)) for role in ROLES]
    for one in running:
        one.start()
    for one in running:
        one.join()
    assert not problems, "\n".join(problems)
    check(home)
    return counts


def processes(top: Path, layout: str, seed: str, seconds: float, *, kill: bool, **settings: str) -> int:
    """Every role in a process, some killed and begun again; how often that was."""
    home, chance, kills = start(top, layout, **settings), random.Random(seed), 0

    def child(role: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.stress.racing", role, str(home), f"{seed} {kills}"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    running = {role: child(role) for role in ROLES}
    try:
        for one in running.values():
            assert one.stdout is not None and one.stdout.readline() == "begun\n"
        end = time.monotonic() + seconds
        while time.monotonic() < end or (kill and not kills):
            if not kill:
                time.sleep(min(1, max(0, end - time.monotonic())))  # the children race; this only waits for the end
                assert all(one.poll() is None for one in running.values())
                continue
            role = chance.choice(ROLES)
            kills += 1
            running[role].send_signal(signal.SIGKILL)
            _end(running[role])
            running[role] = child(role)
            line = running[role].stdout.readline()  # type: ignore[union-attr]
            assert line == "begun\n", role
    finally:
        codes = {role: _end(one) for role, one in running.items()}
    assert set(codes.values()) == {0}, codes
    check(home, killed=kill)
    return kills


def _end(child: subprocess.Popen[str]) -> int:
    """A child ends when its input does."""
    with child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.close()
        child.stdout.read()
    return child.returncode


def check(home: Path, *, killed: bool = False, clock: Callable[[], datetime] = utc_now) -> None:
    """Everybody has gone: every document is whole, and after a last collection nothing else is left."""
    with hurry(open_collection(home, clock=clock)) as collection:
        # What was killed while it moved copies left records of names that are gone, and plans without an end.
        assert list(broken(collection, every=False)) == []
        for plan in collection.catalog.plans():
            collection.catalog.end_plan(plan.id, as_of=collection.now())
        for layout in ("cas", "policy"):
            run(collection, plan_migrate(collection, layout, views=False))
        assert list(broken(collection)) == []
        for row in collection.frame("documents").iter_rows(named=True):
            assert str(digest_of(collection.read(row["id"]))) == row["sha256"]
        put(collection, "kept-0", b"kept 0")  # completes or drops what killed takers left
        assert collection.catalog.intents() == []
        _condemn(collection)
        _purge(collection)
        report = verify(collection, executor=Inline())
        if killed and report.missing:
            # A purge that was killed after it removed a file, and before it could say so, leaves the record; where the
            # content was taken in again meanwhile, that is one copy less of it, which repair makes good.
            run(collection, plan_repair(collection))
            report = verify(collection, executor=Inline())
        assert (report.corrupt, report.missing, report.unknown) == (0, 0, 0), report.findings
        assert set(files(collection)) == set(collection.frame("locations")["key"])
        assert collection.frame("blobs").filter(state="condemned").is_empty()


def play(act: Callable[[str, Path, str, Callable[[], bool]], int]) -> None:
    """What a process of a race does: a role, named on its command line, until its input ends."""
    role, home, seed = sys.argv[1:]
    closed = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), closed.set()), daemon=True).start()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    act(role, Path(home), seed, lambda: not closed.is_set())


if __name__ == "__main__":
    play(act)
