"""One hand of the soak: a process that does what its role says, in whatever weather, and keeps a diary of it.

The weather is a small file that all of them map: how often a call to the file system fails, whether the store can be
written to at all, how far the clock is off. Whoever takes documents in writes down what it is about to do and what
was confirmed; the diary outlives a kill, so that whoever reads it knows what must still be there.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import random
import struct
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.auditing import audit
from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.collection import Collection, open_collection
from catalogkit.errors import CatalogBusy, CatalogKitError, InvalidInput, PlanError, StoreError, StoreUnreachable
from catalogkit.planning import plan_forget, plan_gc, plan_migrate, plan_purge, plan_repair
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import hurry
from tests.plans.scene import AT_ONCE, digest_of, put, run
from tests.stores.quick import Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

ROLES: Final = ("take 1", "take 2", "take 3", "condemn", "purge", "verify", "move", "repair")
CONTENTS: Final = tuple(b"content %d " % number * (number * 40 + 1) for number in range(8))
NAMES: Final = 6
BUSY_MS: Final = 4000


class Weather:
    """What befalls everybody now; `rough` while anything does, and until what it disturbed has ended."""

    FORMAT: Final = struct.Struct("<6iq")
    NAMES: Final = ("full", "eio", "unread", "readonly", "rough", "storms", "clock")
    # Calls of a thousand: that find no room, that fail to write, that fail to read. Two flags. How often it became
    # rough. Seconds off the right time.

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(self.FORMAT.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), self.FORMAT.size)

    def now(self) -> dict[str, int]:
        return dict(zip(self.NAMES, self.FORMAT.unpack(self._map[:]), strict=True))

    def set(self, **changes: int) -> None:
        self._map[:] = self.FORMAT.pack(*(self.now() | changes).values())

    def clock(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.now()["clock"])


class Tally:
    """How often something happened, by kind, also counted where the one who counts is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._files: dict[str, int] = {}

    def add(self, kind: str) -> None:
        if kind not in self._files:
            self._files[kind] = os.open(self.folder / kind, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(self._files[kind], b".")

    def counts(self) -> dict[str, int]:
        return {path.name: path.stat().st_size for path in sorted(self.folder.iterdir())}


class Stormy(Unsynced):
    """The file calls of a store, some of which fail as the weather says."""

    def __init__(self, weather: Weather, tally: Tally, chance: random.Random) -> None:
        self.weather, self.tally, self.chance = weather, tally, chance

    def _step(self, path: str, *, takes_room: bool = False) -> None:
        now = self.weather.now()
        if now["readonly"]:
            code = errno.EROFS
        elif takes_room and self.chance.randrange(1000) < now["full"]:
            code = errno.ENOSPC
        elif self.chance.randrange(1000) < now["eio"]:
            code = errno.EIO
        else:
            return
        self.tally.add(errno.errorcode[code])
        raise OSError(code, os.strerror(code), path)

    def create(self, path: str) -> int:
        self._step(path, takes_room=True)
        return super().create(path)

    def write(self, fd: int, data: memoryview | bytes) -> None:
        try:
            self._step("", takes_room=True)
        except OSError:
            super().write(fd, memoryview(data)[: len(data) // 2])  # a disk fills up in the middle
            raise
        super().write(fd, data)

    def sync_file(self, path: str) -> None:
        self._step(path)

    def sync_all(self, root: str) -> bool:
        self._step(root)
        return True

    def link(self, source: str, target: str) -> None:
        self._step(target, takes_room=True)
        super().link(source, target)

    def rename(self, source: str, target: str) -> None:
        self._step(target)
        super().rename(source, target)

    def unlink(self, path: str) -> None:
        self._step(path)
        super().unlink(path)

    def make_folder(self, path: str) -> bool:
        self._step(path, takes_room=True)
        return super().make_folder(path)


def blinded(weather: Weather, tally: Tally, chance: random.Random, root: str) -> None:
    """From now on some files of the store cannot be opened for reading in this process."""
    real = os.open

    def unreliable(path: Any, flags: int, *more: Any, **named: Any) -> int:
        reads = not flags & (os.O_WRONLY | os.O_RDWR | os.O_DIRECTORY) and str(path).startswith(root)
        if reads and chance.randrange(1000) < weather.now()["unread"]:
            tally.add("EIO")
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return real(path, flags, *more, **named)

    os.open = unreliable


# -- what must be there ------------------------------------------------------------------------------------------


@dataclass
class Known:
    """What is certain of one document: whether it must be there, and which contents it may have.

    What was begun and never confirmed may be completed later by somebody else, but nothing that came since is undone
    by it: not a version, not that the document was forgotten.
    """

    must: bool = False
    allowed: set[str] = field(default_factory=set)


class Diary:
    """What one taker was about to do, and what was confirmed to it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, name: str, digest: str = "") -> None:
        os.write(self._fd, json.dumps([what, name, digest]).encode() + b"\n")


def known_from(path: Path) -> dict[str, Known]:
    """What a diary says, by the name of the document."""
    found: dict[str, Known] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        what, name, digest = json.loads(line)
        one = found.setdefault(name, Known())
        if what == "will take":
            one.allowed = one.allowed | {digest}
        elif what == "took":
            one.must, one.allowed = True, {digest}
        elif what == "will forget":
            one.must = False
        elif what == "forgot":
            one.must, one.allowed = False, set()
        elif what == "kept":
            one.must = True
    return found


def missing(collection: Collection, known: dict[str, Known]) -> Iterator[str]:
    """Documents that are not as they must be; each is read."""
    for name, one in known.items():
        found = collection.catalog.find(artifact_id=name)
        if not found:
            if one.must:
                yield f"{name} is gone"
        elif str(found[0].sha256) not in one.allowed:
            yield f"{name} has content {str(found[0].sha256)[:8]}, which nobody gave it last"
        else:
            try:
                if digest_of(collection.read(found[0].id)) != found[0].sha256:
                    yield f"{name} has other bytes than its record says"
            except StoreUnreachable:  # the disk is failing, which says nothing about its bytes
                raise
            except (InvalidInput, StoreError) as problem:
                yield f"{name} cannot be read: {problem}"


# -- what the roles do -------------------------------------------------------------------------------------------


class Taker:
    """Takes documents in, sometimes forgets one, and reads some of its own each time."""

    def __init__(self, role: str, home: Path, chance: random.Random) -> None:
        self.role, self.chance = role.replace(" ", "-"), chance
        self.path = home.parent / f"diary-{self.role}"
        self.diary = Diary(self.path)

    def __call__(self, collection: Collection) -> None:
        known, name = known_from(self.path), f"{self.role}-{self.chance.randrange(NAMES)}"
        if name in known and known[name].must and self.chance.random() < 0.4:
            self._forget(collection, name)
        else:
            content = self.chance.choice(CONTENTS)
            self.diary.note("will take", name, str(digest_of(content)))
            record = put(collection, name, content)
            assert record.sha256 == digest_of(content), f"{name} was taken in as something else"
            self.diary.note("took", name, str(digest_of(content)))
        mine = {name: one for name, one in known_from(self.path).items() if one.must}
        some = dict(self.chance.sample(sorted(mine.items()), min(2, len(mine))))
        assert not (problems := list(missing(collection, some))), problems

    def _forget(self, collection: Collection, name: str) -> None:
        (record,) = collection.catalog.find(artifact_id=name)
        self.diary.note("will forget", name)
        report = attempt(collection, plan_forget(collection, [record.id]))
        if report is None:
            self.diary.note("kept", name)
        elif report.done == 1:
            self.diary.note("forgot", name)


def condemn(collection: Collection) -> None:
    attempt(collection, plan_gc(collection, AT_ONCE))


def purge(collection: Collection) -> None:
    attempt(collection, plan_purge(collection, AT_ONCE))


def check(collection: Collection) -> None:
    """Every copy is read; none is ever corrupt, whatever else is wrong."""
    assert not (report := verify(collection, executor=Inline())).corrupt, report.findings


def move(collection: Collection) -> None:
    for layout in ("cas", "policy"):
        attempt(collection, plan_migrate(collection, layout, views=False, limit=9))


def repair(collection: Collection) -> None:
    """Look at everything, and put right what is not."""
    audit(collection)
    attempt(collection, plan_repair(collection))


def attempt(collection: Collection, plan: Any) -> Any:
    """Apply; None where it is refused because half of all was forgotten since it was planned, as it should be."""
    try:
        return run(collection, plan, batch=7)
    except PlanError as problem:
        if "find out where" not in str(problem):
            raise
        return None


def work(role: str, home: Path, seed: str, told: Connection) -> None:
    """Do what a role does until the other end of `told` is closed; what went wrong is said in a file."""
    with (home.parent / f"said by {role}").open("w") as said:
        os.dup2(said.fileno(), sys.stderr.fileno())
    chance, weather, tally = (
        random.Random(f"{role} {seed}"),
        Weather(home.parent / "weather"),
        Tally(home.parent / "tally"),
    )
    known = {"condemn": condemn, "purge": purge, "verify": check, "move": move, "repair": repair}
    does: Callable[[Collection], None] = known.get(role) or Taker(role, home, chance)
    with opened(home, weather) as collection:
        collection.store.files = Stormy(weather, tally, chance)
        blinded(weather, tally, chance, str(collection.store.root))
        told.send("begun")
        while not told.poll():
            before = weather.now()
            try:
                does(collection)
                tally.add(f"did {role.split()[0]}")
            except CatalogKitError as problem:
                # While the weather is fair nothing fails but the patience of those who wait for others.
                fair = not before["rough"] and before["storms"] == weather.now()["storms"]
                if fair and not isinstance(problem, CatalogBusy):
                    raise
                tally.add(f"refused {type(problem).__name__}")
                time.sleep(0.02)


@contextmanager
def opened(home: Path, weather: Weather) -> Iterator[Collection]:
    """The collection, by the clock of the weather, as soon as it can be opened."""
    deadline = time.monotonic() + 60
    while True:
        try:
            collection = hurry(open_collection(home, clock=weather.clock))
            break
        except CatalogKitError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    with collection:
        if isinstance(collection.catalog, SQLiteCatalog):
            collection.catalog._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        yield collection
