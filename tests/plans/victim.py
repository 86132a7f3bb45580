"""Applies a plan in a process of its own, which SIGKILL ends before one call of its journal or of its file system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

from catalogkit.plan import Plan
from tests.conftest import Clock
from tests.plans.crashing import World, disk_of
from tests.plans.scene import run

ROOT = Path(__file__).parents[2]


def apply_and_die(world: World, plan: Plan, when: datetime, at: int, batch: int) -> int:
    """Have another process apply a plan and be killed before call number `at`; its exit code."""
    folder = plan.save(world.top / "plans")
    command = [sys.executable, "-m", "tests.plans.victim", world.top, folder, when.isoformat(), str(at), str(batch)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main() -> None:
    top, folder, when, at, batch = sys.argv[1:]
    moment = datetime.fromisoformat(when)
    world = World(Path(top), Clock(moment))
    disk = disk_of(world, int(at))
    disk.meanwhile = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    with world.open(disk) as collection:
        run(collection, Plan.load(folder), batch=int(batch), as_of=moment)


if __name__ == "__main__":
    main()
