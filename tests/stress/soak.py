"""The soak: mixed load with faults, and a look at everything again and again. ``make soak MINUTES=60 SEED=1``.

On each engine and in each layout in turn, eight processes take in, forget, collect, purge, verify, move and repair,
while faults come as a seed decides: processes and servers are killed, disks are full, fail or cannot be written, the
catalog is locked, the clock jumps. Between stints all stop, and it is proved that everything that was confirmed to
somebody is there, byte for byte, and that nothing else is.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalogkit.collection import open_collection
from catalogkit.errors import CatalogKitError
from tests import pg
from tests.stress import racing, soaking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from catalogkit.collection import Collection

ENGINES: Final = (("sqlite", "cas"), ("postgres", "policy"), ("sqlite", "policy"), ("postgres", "cas"))
STINT_SECONDS: Final = 20.0
# Processes are forked from one that has loaded all they need, so that killing them costs next to nothing.
FORKS: Final = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.stress.soaking"])
FAR: Final = timedelta(days=400)  # beyond every jump of the clock


@dataclass
class Soaked:
    """What came of it."""

    seed: str
    seconds: float = 0
    stints: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    tally: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    lost: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def listed(title: str, counts: dict[str, int]) -> str:
            return f"{title:9}" + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))

        did = {name.removeprefix("did "): count for name, count in self.tally.items() if name.startswith("did ")}
        refused = {name.removeprefix("refused "): n for name, n in self.tally.items() if name.startswith("refused ")}
        failed = {name: count for name, count in self.tally.items() if name.startswith("E")}
        return "\n".join(
            [
                f"seed {self.seed}: {self.seconds / 60:.1f} minutes, {self.stints} stints",
                listed("did", did),
                listed("faults", self.faults + Counter(failed)),
                listed("refused", refused),
                f"proved   {self.documents:,} documents that were confirmed to somebody",
                f"odd      {self.tally['seen once']} that looked wrong once, and right at the next look",
                f"lost     {len(self.lost)}",
                *self.lost,
            ]
        )


@dataclass
class Hand:
    """A process at work, and the line to it."""

    process: BaseProcess
    told: Connection

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.told.close()


class Stint:
    """A collection, the processes that work on it, and what befalls them."""

    def __init__(self, top: Path, engine: str, layout: str, seed: str, soaked: Soaked) -> None:
        self.engine, self.chance, self.seed, self.soaked = engine, random.Random(seed), seed, soaked
        # What was committed must be out of the server's hands before it is killed, though nothing waits for the disk.
        self.server = pg.launch(synchronous_commit="on") if engine == "postgres" else None
        self.url = self.server.database() if self.server else ""
        self.home = racing.start(top, layout, **({"catalog": self.url} if self.url else {}))
        self.weather, self.tally = soaking.Weather(top / "weather"), soaking.Tally(top / "tally")
        self._numbers = itertools.count()
        self.running: dict[str, Hand] = {}

    # -- processes ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        for role in soaking.ROLES:
            self._start(role)
        for role in soaking.ROLES:
            self._wait_for(role)

    def _start(self, role: str) -> None:
        ours, theirs = FORKS.Pipe()
        given = (role, self.home, f"{self.seed} {next(self._numbers)}", theirs)
        process = FORKS.Process(target=soaking.work, args=given, daemon=True)
        process.start()
        theirs.close()
        self.running[role] = Hand(process, ours)

    def _wait_for(self, role: str) -> None:
        try:
            assert self.running[role].told.recv() == "begun"
        except EOFError:
            raise AssertionError(self._said(role)) from None

    def _said(self, role: str) -> str:
        return f"{role}: {(self.home.parent / f'said by {role}').read_text()}"

    def end(self) -> None:
        """All stop, each at the end of what it is doing; whoever failed says so."""
        for one in self.running.values():
            one.told.close()
        for one in self.running.values():
            one.process.join(120)
        failed = [self._said(role) for role, one in self.running.items() if one.process.exitcode]
        self.running.clear()
        assert not failed, "\n".join(failed)

    def give_up(self) -> None:
        """End everything at once."""
        for one in self.running.values():
            one.kill()
        if self.server:
            self.server.stop()

    def keep_server(self) -> None:
        """Leave what the server has beside all the rest, for whoever looks into it."""
        if self.server:
            self.server.stop(keep=self.home.parent / "server")

    # -- faults ------------------------------------------------------------------------------------------------

    def faults(self) -> dict[str, Callable[[float], None]]:
        """What may happen, by name; each takes at most so many seconds."""
        common = {
            "kill": self.kill,
            "disk full": lambda seconds: self.storm(seconds, full=150),
            "disk failing": lambda seconds: self.storm(seconds, eio=40, unread=40),
            "read-only": lambda seconds: self.storm(seconds, readonly=1),
            "clock jump": self.jump,
            "locked": self.lock,
        }
        if self.server:
            return common | {"server kill": self.kill_server, "server restart": self.restart_server}
        return common

    def kill(self, seconds: float) -> None:
        """One process ends at once, and another of its role begins."""
        role = self.chance.choice(soaking.ROLES)
        self.running[role].kill()
        self._start(role)
        self._wait_for(role)

    def storm(self, seconds: float, **weather: int) -> None:
        """Calls to the file system fail."""
        with self.rough():
            self.weather.set(**weather)
            time.sleep(seconds)
            self.weather.set(**dict.fromkeys(weather, 0))

    def jump(self, seconds: float) -> None:
        """The clock of everybody is wrong by up to a hundred days, or right again."""
        with self.rough():
            self.weather.set(clock=self.chance.choice([0, 1, -1, 90, -90, 3600, -86_400, 8_640_000, -8_640_000]))

    def lock(self, seconds: float) -> None:
        """Somebody else writes, and takes so long that others give up waiting."""
        with self.rough(), contextlib.ExitStack() as stack:
            if self.server:
                import psycopg

                db = stack.enter_context(psycopg.connect(self.url))
                # It takes them in another order than we do; where the server ends that for it, it was there, too.
                with contextlib.suppress(psycopg.errors.DeadlockDetected):
                    db.execute("LOCK TABLE documents, blobs IN ACCESS EXCLUSIVE MODE")
            else:
                path = self.home / "catalog.sqlite"
                other = stack.enter_context(contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level=None)))
                other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)

    def kill_server(self, seconds: float) -> None:
        """The server ends at once, with all its sessions, and comes back."""
        assert self.server
        with self.rough():
            self.server.kill()
            time.sleep(seconds / 4)
            self.server.start()

    def restart_server(self, seconds: float) -> None:
        """The server is shut down as its keeper would, and comes back."""
        assert self.server and self.server.process
        with self.rough():
            self.server.process.send_signal(signal.SIGINT)
            self.server.process.wait(60)
            self.server.start()

    @contextlib.contextmanager
    def rough(self) -> Iterator[None]:
        """Whoever fails now, or began by now, is excused."""
        self.weather.set(rough=1, storms=self.weather.now()["storms"] + 1)
        try:
            yield
        finally:
            self.weather.set(rough=0)

    # -- proof -------------------------------------------------------------------------------------------------

    def opened(self) -> Collection:
        return open_collection(self.home, clock=lambda: datetime.now(UTC) + FAR)

    def look(self) -> None:
        """While all work: what was confirmed, and is not being changed, is there; what is lost is so at every look."""
        for path in self.home.parent.glob("diary-*"):
            length, wrong = path.stat().st_size, set(self._wrong(path))
            # Whose diary went on changed it meanwhile, perhaps, and perhaps back.
            if wrong and path.stat().st_size == length:
                lost = wrong.intersection(self._wrong(path)) if path.stat().st_size == length else set()
                self.soaked.lost += sorted(lost)
                self.soaked.tally["seen once"] += len(wrong - lost)

    def _wrong(self, path: Path) -> list[str]:
        with self.opened() as collection:
            return [f"{self.engine}: {one}" for one in soaking.missing(collection, soaking.known_from(path))]

    def prove(self) -> None:
        """After all stopped: everything that was confirmed is there, and after a last collection nothing else is."""
        with self.opened() as collection:
            for path in sorted(self.home.parent.glob("diary-*")):
                known = soaking.known_from(path)
                self.soaked.lost += [f"{self.engine}: {one}" for one in soaking.missing(collection, known)]
                self.soaked.documents += sum(one.must for one in known.values())
        racing.check(self.home, killed=True, clock=lambda: datetime.now(UTC) + FAR)


def soak(seconds: float, seed: str, *, stint: float = STINT_SECONDS, report: Callable[[str], None] = print) -> Soaked:
    """Soak for so long; each engine at least once. AssertionError where something else than bytes went wrong."""
    soaked, began = Soaked(seed), time.monotonic()
    share = seconds / len(ENGINES) if seconds < 8 * stint else 4 * stint
    number = -1
    while soaked.seconds < seconds or number + 1 < len(ENGINES):
        number += 1
        engine, layout = ENGINES[number % len(ENGINES)]
        top = Path(tempfile.mkdtemp(prefix="catalogkit-soak-"))
        here = Stint(top, engine, layout, f"{seed} {number}", soaked)
        try:
            until = time.monotonic() + share
            while True:
                _stint(here, min(stint, share))
                if time.monotonic() >= until:
                    break
            assert not soaked.lost, "\n".join(soaked.lost)
        except BaseException:
            here.keep_server()
            report(f"seed {seed}, number {number}, {engine}, {layout}; what is left of it: {top}\n{soaked}")
            raise
        finally:
            here.give_up()
            soaked.tally += Counter(here.tally.counts())
            soaked.seconds = time.monotonic() - began
        shutil.rmtree(top)
    return soaked


def _stint(here: Stint, seconds: float) -> None:
    """All work while faults come, one after the other in a random sequence, each at least once where time allows."""
    here.begin()
    began, faults = time.monotonic(), here.faults()
    end = began + seconds
    # At first nothing fails, so nobody is excused: no deadlock, no race reaches anybody.
    while time.monotonic() < began + seconds / 4:
        here.kill(0)
        here.soaked.faults["kill"] += 1
        here.look()
    todo: list[str] = []
    while time.monotonic() < end:
        todo = todo or here.chance.sample(sorted(faults), len(faults))
        name = todo.pop()
        faults[name](min(here.chance.uniform(0.2, 5), seconds / 10))
        here.soaked.faults[name] += 1
        with contextlib.suppress(CatalogKitError):
            here.look()
        time.sleep(min(here.chance.uniform(0, 1), seconds / 20))
        for role, one in here.running.items():
            assert one.process.is_alive(), here._said(role)
    here.end()
    here.soaked.stints += 1
    here.prove()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.stress.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", default=str(time.time_ns()))
    given = parser.parse_args()
    print(f"soaking for {given.minutes:g} minutes; seed {given.seed}", flush=True)
    soaked = soak(60 * given.minutes, given.seed)
    print(soaked)
    return bool(soaked.lost)


if __name__ == "__main__":
    sys.exit(main())
