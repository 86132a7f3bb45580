"""One site in a process of its own: random edits, collecting garbage, and syncing with whom it may reach.

``python -m tests.federation.process WORLD NAME SEED STEPS``: in the folder WORLD every site is a collection, and
``reach.json`` says who can reach whom at the moment.
"""

from __future__ import annotations

import json
import random
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.collection import open_collection
from catalogkit.errors import CatalogBusy, ConstraintError, PlanError
from catalogkit.federation.conflicts import plan_reconcile
from catalogkit.federation.following import follow
from catalogkit.federation.syncing import sync
from catalogkit.planning import plan_forget
from tests.conftest import NOON, Clock, hurry
from tests.plans.scene import collect, put, run

if TYPE_CHECKING:
    from catalogkit.collection import Collection

NAMES = ("east", "north", "west")
DOCUMENTS = 8
# What a site does, and how often.
ACTS = {"edit": 10, "drop": 4, "hold": 1, "release": 1, "collect": 3, "meet": 6, "fetch": 2, "decide": 1, "see": 1}


def opened(world: Path, name: str, at: timedelta = timedelta(0)) -> Collection:
    """A site, by a clock that is wrong in its own way."""
    skew = timedelta(days=NAMES.index(name) * 3)
    return hurry(open_collection(world / name, clock=Clock(NOON + skew + at)))


class Site:
    """What a site may do."""

    def __init__(self, world: Path, name: str, seed: int) -> None:
        self.world, self.name, self.luck = world, name, random.Random(seed)
        self.here = opened(world, name, timedelta(seconds=seed % 100_000))

    def step(self) -> None:
        self.here.clock.advance(seconds=self.luck.randint(1, 90))  # type: ignore[attr-defined]
        act = self.luck.choices(list(ACTS), list(ACTS.values()))[0]
        try:
            getattr(self, act)()
        except (CatalogBusy, ConstraintError, PlanError):  # somebody else was quicker: nothing happened
            return

    def edit(self) -> None:
        name, value = f"d{self.luck.randrange(DOCUMENTS)}", self.luck.randrange(40)
        more = {"metadata": {"n": self.luck.randrange(3)}} if self.luck.random() < 0.3 else {}
        put(self.here, name, f"text {value}".encode(), **more)

    def drop(self) -> None:
        if (number := self._one()) is not None:
            run(self.here, plan_forget(self.here, [number]))

    def hold(self) -> None:
        if (number := self._one()) is None:
            return
        if self.luck.random() < 0.5:
            self.here.catalog.place_hold("case", document_id=number, as_of=self.here.now())
        elif (record := self.here.catalog.document(number)) is not None:
            self.here.catalog.place_hold("case", digest=record.sha256, as_of=self.here.now())

    def release(self) -> None:
        for one in self.here.catalog.holds(as_of=self.here.now())[:1]:
            self.here.catalog.release_hold(one["id"], as_of=self.here.now())

    def see(self) -> None:
        if (number := self._one()) is not None:
            self.here.catalog.touch([number], as_of=self.here.now())

    def collect(self) -> None:
        collect(self.here)

    def decide(self) -> None:
        run(self.here, plan_reconcile(self.here))

    def meet(self) -> None:
        self._with(lambda other: sync(self.here, other, part=self.luck.choice([3, 100])))

    def fetch(self) -> None:
        self._with(lambda other: follow(self.here, [other], bytes_budget=50))

    def _with(self, act: object) -> None:
        may = json.loads((self.world / "reach.json").read_text())
        others = [name for name in NAMES if name != self.name and sorted([name, self.name]) in may]
        if others:
            with opened(self.world, self.luck.choice(others)) as other:
                act(other)  # type: ignore[operator]

    def _one(self) -> int | None:
        found = self.here.catalog.find(limit=DOCUMENTS)
        return self.luck.choice(found).id if found else None


def main(world: str, name: str, seed: str, steps: str) -> None:
    site = Site(Path(world), name, int(seed))
    for _ in range(int(steps)):
        site.step()
    site.here.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
