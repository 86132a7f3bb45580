"""Collections to crash over, a catalog on the same power line as the disk, and what an apply must come to."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.catalog.contract import Registration
from catalogkit.collection import Collection, init, open_collection
from catalogkit.errors import CatalogBusy
from catalogkit.layouts import cas_key
from catalogkit.model import Arrival, Layout
from catalogkit.plan import Plan
from catalogkit.planning import plan_gc, plan_purge, plan_undo
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import Clock, hurry
from tests.crash.disk import Disk, PowerCut, Wired
from tests.plans.scene import AT_ONCE, condemn, digest_of, facts, forget, path_of, put, run, stray
from tests.plans.steps import seen, spoil, step, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

ACTS = ("gc", "purge", "undo gc", "undo forget", "copies", "undo copies", "evict")
# In these, copies of what is alive come and go: between a crash and the next apply a record may be one too many.
MOVING = ("copies", "undo copies", "evict")
HELD, KEPT = b"held", b"kept" * 100


@dataclass
class World:
    """A collection's folder, a clock, and the id of the plan that forgot its garbage."""

    top: Path
    clock: Clock
    forgotten: str = ""
    condemned: str = ""

    def open(self, disk: Disk | None = None) -> Collection:
        collection = hurry(open_collection(self.top / "collection", clock=self.clock))
        if disk is not None:
            collection.store.files = disk
            collection.catalog = Line(collection.catalog, disk)  # type: ignore[assignment]
        return collection

    def copy(self, top: Path) -> World:
        """The same world elsewhere, with a catalog that knows its files by their new inodes."""
        shutil.copytree(self.top, top, symlinks=True)
        with contextlib.closing(sqlite3.connect(top / "collection" / "catalog.sqlite")) as db, db:
            for table in ("locations", "strays"):
                for (key,) in db.execute(f"SELECT key FROM {table}").fetchall():
                    about = (top / "collection" / "store" / key).lstat()
                    db.execute(f"UPDATE {table} SET inode = ? WHERE key = ?", (about.st_ino, key))
        return replace(self, top=top, clock=replace(self.clock))

    def plan(self, act: str) -> Plan:
        """What is to be carried out, planned with nothing in the way."""
        with self.open() as collection:
            if act == "gc":
                return plan_gc(collection, AT_ONCE)
            if act == "purge":
                return plan_purge(collection, AT_ONCE)
            if act == "copies":
                return copies_plan(collection)
            if act == "evict":
                return evict_plan(collection)
            if act == "undo copies":
                return plan_undo(collection, self.condemned)
            return plan_undo(collection, self.condemned if act == "undo gc" else self.forgotten)


def build(top: Path, clock: Clock, *, condemned: bool) -> World:
    """A document that is kept, garbage of one and of two names, held garbage, strays, and two ingests that died."""
    world = World(top, clock)
    top.mkdir()
    with hurry(init(top / "collection", layout="policy", clock=clock)) as collection:
        put(collection, "kept", KEPT)
        records = [put(collection, name, content) for name, content in (("a", b"a"), ("b", b"two"), ("c", b"two"))]
        records.append(put(collection, "held", HELD))
        world.forgotten = forget(collection, *records).plan_id
        collection.catalog.place_hold("a lawyer asks", digest=digest_of(HELD), as_of=clock())
        stray(collection, b"stray", key="docs/stray")
        if condemned:
            world.condemned = condemn(collection).plan_id
        else:
            _die(collection)
    (top / "side").mkdir()
    (top / "grave").mkdir()
    return world


# One content for each thing that can be done with copies.
MOVED, EQUAL, SPARE, ROTTEN, LOST, NEW = (
    b"moved",
    b"equal" * 50,
    b"spare" * 40,
    b"rotten" * 30,
    b"lost" * 20,
    b"new" * 9,
)


def build_copies(top: Path, clock: Clock, *, applied: bool) -> World:
    """Documents of one copy and of two, one of them rotten and known to be; perhaps moved about already."""
    world = World(top, clock)
    top.mkdir()
    with hurry(init(top / "collection", layout="policy", template="{artifact_id}", clock=clock)) as collection:
        for name, content in (("kept", KEPT), ("held", HELD), ("moved", MOVED), ("equal", EQUAL), ("spare", SPARE)):
            put(collection, name, content)
        for name, content in (("rotten", ROTTEN), ("lost", LOST), ("new", NEW)):
            put(collection, name, content)
        twice = {"equal": EQUAL, "spare": SPARE, "rotten": ROTTEN, "lost": LOST}
        rows = [step(collection, "copy", some, f"docs/more/{name}", f"docs/{name}") for name, some in twice.items()]
        assert run(collection, steps(collection, *rows)).done == 4
        for name in ("rotten", "lost"):
            spoil(collection, f"docs/more/{name}")
        verify(collection, executor=Inline())
        if applied:
            world.condemned = run(collection, copies_plan(collection)).plan_id
    (top / "side").mkdir()
    (top / "grave").mkdir()
    return world


def copies_plan(collection: Collection) -> Plan:
    """Move, link, drop, repair by hand, repair at once, and add a copy."""
    cas = cas_key(digest_of(MOVED))

    def drop(content: bytes, key: str, users: int) -> Any:
        return step(collection, "drop", content, key, **seen(collection, key) | {"users": users})

    return steps(
        collection,
        [step(collection, "link", MOVED, cas, "docs/moved"), drop(MOVED, "docs/moved", 2)],
        step(collection, "link", EQUAL, "docs/more/equal", "docs/equal", **seen(collection, "docs/more/equal")),
        drop(SPARE, "docs/spare", 1),
        [
            step(collection, "quarantine", ROTTEN, "docs/more/rotten"),
            step(collection, "copy", ROTTEN, "docs/more/rotten", "docs/rotten"),
        ],
        step(collection, "copy", LOST, "docs/more/lost", "docs/lost"),
        step(collection, "copy", NEW, "docs/more/new", "docs/new"),
    )


def evict_plan(collection: Collection) -> Plan:
    """Let go of contents with one copy and with two, all of them; one is all the same still needed."""

    def unit(content: bytes) -> list[Any]:
        keys = [one.key for one in collection.catalog.locations_of(digest_of(content))]
        drops = [step(collection, "drop", content, key, **seen(collection, key)) for key in keys]
        return [step(collection, "evict", content, keys[0], last_copy=True), *drops]

    collection.catalog.place_hold("a lawyer asks", digest=digest_of(HELD), as_of=collection.now())
    return steps(collection, *(unit(content) for content in (MOVED, EQUAL, HELD, NEW)))


def _die(collection: Collection) -> None:
    """Leave the intents of an ingest that ended before, and of one that ended after, its bytes were published."""
    entries = [
        Registration(
            Arrival(artifact_id=content.decode(), source_url=f"https://example.org/{content.decode()}"),
            digest_of(content),
            len(content),
            "text/plain",
            collection.store_id(collection.store.name),
            cas_key(digest_of(content)),
            Layout.CAS,
        )
        for content in (b"never", b"nearly")
    ]
    now = collection.now()
    collection.catalog.stage(entries, owner="elsewhere/1/x", expires_at=now - timedelta(seconds=1), as_of=now)
    stray(collection, b"nearly", days=0)


class Line(Wired):
    """Every change of the executor is a call that can fail: before, with all done but the commit, and after it."""

    def __getattr__(self, name: str) -> Any:
        if name == "hand":
            return self._hand
        found = super().__getattr__(name)
        if name not in ("begin_plan", "end_plan"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._step(name)
            answer = found(*args, **kwargs)
            self._step(f"{name}, done")
            return answer

        return call

    def _step(self, what: str) -> None:
        try:
            self._disk.step(what)
        except OSError as problem:
            raise CatalogBusy(f"{what} was made to fail") from problem

    @contextlib.contextmanager
    def _hand(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self._step("begin")
        with self._catalog.hand(*args, **kwargs) as hand:
            yield hand
            self._step("commit")
        self._step("committed")


class Grave(Disk):
    """A disk on which a removed file that comes back after a power cut is the same file: its inode is kept."""

    grave: Path

    def _keep(self, path: str) -> None:
        if os.path.lexists(path):
            os.link(path, self.grave / uuid.uuid4().hex, follow_symlinks=False)
        super()._keep(path)


def disk_of(world: World, at: int | None = None, error: int | None = None) -> Grave:
    disk = Grave(at, error)
    disk.grave = world.top / "grave"
    return disk


def after(disk: Grave, havoc: str, random: Random, world: World) -> None:
    """The power is back."""
    disk.restore(havoc, random, world.top / "side")


def outcome(collection: Collection) -> dict[str, Any]:
    """What counts in the end: whether a file was gone already, and who counted its bytes, does not."""
    found = facts(collection)

    def told(row: Any) -> Any:
        if isinstance(row, bool):
            return row
        # Bad bytes that were put aside, and replaced, before the batch was lost are healthy the next time.
        outcome = "done" if row[2] == "quarantine" and row[3] == "skipped" else row[3]
        return (*row[:3], outcome, *row[4:7])

    journals = [[told(row) for row in journal] for journal in found["journals"].values()]
    return found | {"journals": journals}


def promises(collection: Collection) -> list[str]:
    """What must hold at every moment beside the one rule: what is held, or was kept, is there, and all can be read."""
    lost = [
        f"{content!r} is lost"
        for content in (HELD, KEPT)
        if not path_of(collection, content).is_file() or path_of(collection, content).read_bytes() != content
    ]
    records = collection.catalog.find(limit=100)
    evicted = {one.sha256 for one in collection.catalog.evictions() if one.returned_at is None}
    there = [record for record in records if record.sha256 not in evicted]
    unread = [f"{record.artifact_id} cannot be read" for record in there if not _reads(collection, record)]
    return lost + unread


def _reads(collection: Collection, record: Any) -> bool:
    """Whether a document can be read, by its id and at the place where it is said to be."""
    texts = collection.read(record.id), Path(collection.location(record)).read_bytes()
    return all(digest_of(text) == record.sha256 for text in texts)


__all__ = [
    "ACTS", "MOVING", "Grave", "PowerCut", "World", "after", "build", "build_copies", "disk_of", "outcome", "promises",
]  # fmt: skip
