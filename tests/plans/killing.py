"""Killing a process that applies plans, for real, at times that a seed decides."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

from catalogkit.collection import init, open_collection
from catalogkit.plan import Plan
from catalogkit.planning import plan_gc, plan_purge
from tests.conftest import hurry
from tests.plans.scene import AT_ONCE, broken, files, forget, put, run

GARBAGE = 60

# Says when it begins, and after each batch, so that the parent kills it at a step and not at a time.
CHILD = """
import sys
from catalogkit import open
from catalogkit.apply import apply
from catalogkit.plan import Plan
from tests.conftest import hurry

def tell(progress):
    print(progress.done, flush=True)

with hurry(open(sys.argv[1])) as collection:
    print(0, flush=True)
    apply(collection, Plan.load(sys.argv[2]), unapproved=True, max_share=1.0, batch=int(sys.argv[3]), progress=tell)
print("end", flush=True)
"""


def kill_and_resume(top: Path, seed: int, rounds: int, most: int = 5) -> int:
    """Condemn and purge, killed at most so many times each and begun again until done; how often it was killed."""
    chance, kills = random.Random(seed), 0
    top.mkdir(exist_ok=True)
    for number in range(rounds):
        home = top / f"{seed}-{number}"
        with hurry(init(home, layout=chance.choice(("cas", "policy")))) as collection:
            put(collection, "kept", b"kept")
            records = [put(collection, f"g{n}", b"garbage %d of %d" % (n, seed)) for n in range(GARBAGE)]
            forget(collection, *records)
        for make in (plan_gc, plan_purge):
            with open_collection(home) as collection:
                plan = make(collection, AT_ONCE)
                folder = plan.save(home / "plans")
            kills += _until_done(home, folder, chance, most)
            _check(home, plan)
        with open_collection(home) as collection:
            assert len(files(collection)) == 1
    return kills


def _until_done(home: Path, folder: Path, chance: random.Random, most: int) -> int:
    kills = 0
    while True:
        batch = chance.randint(1, 15)
        command = [sys.executable, "-c", CHILD, home, folder, str(batch)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as child:
            assert child.stdout is not None
            # The child is killed while it does what follows the line it has just told of.
            for _ in range(chance.randint(1, 4)):
                line = child.stdout.readline()
            if line.strip() == "end" or kills >= most:
                child.stdout.read()
                assert child.wait() == 0
                return kills
            child.send_signal(signal.SIGKILL)
        kills += 1
        with open_collection(home) as collection:
            assert not list(broken(collection))


def _check(home: Path, plan: Plan) -> None:
    with open_collection(home) as collection:
        journal = collection.catalog.journal(plan.id)
        assert [(row[0], row[1]) for row in journal] == plan.frame.select("unit", "step").rows()
        assert {row[3] for row in journal} == {"done"}
        assert run(collection, plan).already == plan.frame.height
        assert not list(broken(collection))


_ROOT = Path(__file__).parents[2]
