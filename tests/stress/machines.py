"""Two machines, each with settings of its own, on one catalog and one bucket: what one takes in, the other collects.

A machine is a folder with a ``catalogkit.toml``; all they share is the PostgreSQL server and the bucket's server.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.collection import init, open_collection
from catalogkit.joining import add_store
from catalogkit.planning import plan_relocate, plan_repair
from catalogkit.verify import verify
from tests.plans.scene import collect, digest_of, put, run
from tests.stress.racing import ROOT, Taker, _condemn, _end, _purge, _try, play

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

ROLES = {"take 1": "here", "take 2": "there", "condemn": "here", "purge": "there", "move": "here", "move back": "there"}


def _moving(source: str, to: str) -> Callable[[Collection], None]:
    def move(collection: Collection) -> None:
        _try(collection, plan_relocate(collection, to, source=source, limit=5))

    return move


def act(role: str, home: Path, seed: str, go_on: Callable[[], bool]) -> int:
    """Do what a role does until told to stop; how often it was done."""
    does: dict[str, Callable[[Collection], None]] = {
        "condemn": _condemn, "purge": _purge, "move": _moving("main", "second"), "move back": _moving("second", "main"),
    }  # fmt: skip
    work, rounds = does.get(role) or Taker(role, random.Random(f"{role} {seed}")), 0
    with open_collection(home) as collection:
        while go_on():
            work(collection)
            rounds += 1
    return rounds


def race(top: Path, catalog: str, url: str, seconds: float, *, kill: bool) -> int:
    """Every role in a process, on one of two machines, some killed and begun again; how often that was."""
    here, there = top / "here" / "collection", top / "there" / "collection"
    with init(here, catalog=catalog, store=url) as collection:
        add_store(collection, "second", f"{url}-second")
        for number in range(20):  # so that the documents never halve
            put(collection, f"kept-{number}", b"kept %d" % number)
    there.mkdir(parents=True)
    shutil.copy(here / "catalogkit.toml", there)
    homes, chance, kills = {"here": here, "there": there}, random.Random("machines"), 0

    def child(role: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.stress.machines", role, str(homes[ROLES[role]]), f"seed {kills}"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    running = {role: child(role) for role in ROLES}
    try:
        for one in running.values():
            assert one.stdout is not None and one.stdout.readline() == "begun\n"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(1)
            if kill:
                role = chance.choice(sorted(ROLES))
                kills += 1
                running[role].send_signal(signal.SIGKILL)
                _end(running[role])
                running[role] = child(role)
                assert running[role].stdout.readline() == "begun\n", role  # type: ignore[union-attr]
            assert all(one.poll() is None for one in running.values())
    finally:
        codes = {role: _end(one) for role, one in running.items()}
    assert set(codes.values()) == {0}, codes
    check(there)
    return kills


def check(home: Path) -> None:
    """Everybody has gone: every document can be read and is right, and after a last collection nothing else is left."""
    with open_collection(home) as collection:
        for plan in collection.catalog.plans():
            collection.catalog.end_plan(plan.id, as_of=collection.now())
        put(collection, "kept-0", b"kept 0")  # completes or drops what killed takers left
        assert collection.catalog.intents() == []
        for row in collection.frame("documents").iter_rows(named=True):
            assert digest_of(collection.read(row["id"])).hex() == row["sha256"]
        collect(collection)
        report = verify(collection)
        if report.missing:  # an object went, and whoever removed it was killed before it could say so
            run(collection, plan_repair(collection))
            report = verify(collection)
        assert (report.corrupt, report.missing, report.unknown) == (0, 0, 0), report.findings
        held = collection.frame("locations")
        for store in collection.stores.values():
            assert set(store.keys()) == set(held.filter(store=store.name)["key"]), store.name
        assert collection.frame("blobs").filter(state="condemned").is_empty()


if __name__ == "__main__":
    play(act)
