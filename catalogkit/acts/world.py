"""What a step works with: its row, its result, and the stores and catalog that it acts on."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from catalogkit.acts.proofs import Proofs
from catalogkit.errors import InvalidInput, StoreError
from catalogkit.model import Digest, Outcome
from catalogkit.stores.local import LocalStore
from catalogkit.stores.opening import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor

    from catalogkit.catalog.contract import Catalog
    from catalogkit.catalog.hand import Hand
    from catalogkit.model import LocationRecord
    from catalogkit.stores.opening import AnyStore, Own

    Fetcher = Callable[[str, str, Digest, int], None]

T = TypeVar("T")

GONE: Final = "the file was gone already"
NOT_PLANNED: Final = "the file is not the one that was planned"
UNWANTED: Final = "nothing needs these bytes any more"
OWNERS: Final = "it is in its owner's hands, where nothing is changed"
OTHER_BYTES: Final = "other bytes lie there"
EARLIER: Final = "an earlier step of its unit failed"
# Outcomes of steps that are tried again.
UNDECIDED: Final = frozenset({"failed", "waiting"})


class Step(NamedTuple):
    """One step of a plan: `sha256` in bytes, `since` in microseconds."""

    unit: int
    step: int
    kind: str
    sha256: bytes | None
    document_id: int
    store: str | None
    key: str
    from_store: str | None
    from_key: str | None
    bytes: int
    inode: int | None
    mtime_ns: int | None
    since: int

    @property
    def digest(self) -> Digest:
        """The content it is about."""
        assert self.sha256 is not None
        return Digest(self.sha256)

    @property
    def origin(self) -> str:
        """The key that its bytes are to come from."""
        if self.from_key is None:
            raise InvalidInput(f"a step of kind {self.kind} needs a from_key")
        return self.from_key

    def told(self) -> dict[str, Any]:
        """What it is about, for people."""
        names = ("unit", "kind", "document_id", "store", "key")
        return {name: getattr(self, name) for name in names} | {"sha256": self.sha256 and self.sha256.hex()}


class Result(NamedTuple):
    """What came of a step: `freed` bytes, `removed` files; `effect` is what an undo needs to know of it.

    One that is ``waiting`` asked somebody for something that takes hours (about so long: `wait`), and is tried again
    like one that failed.

    The effects are ``new`` (a location that was not there), ``replaced`` (the file at a location was exchanged for
    a name of another), ``parted`` (a name of another file got one of its own) and ``repaired``.
    """

    outcome: str
    why: str = ""
    removed: int = 0
    freed: int = 0
    effect: str = ""
    wait: timedelta | None = None


DONE: Final = Result("done")


def unless(why: str) -> Result:
    """Done, unless there is a reason."""
    return Result("skipped", why) if why else DONE


class Brought(NamedTuple):
    """Bytes that were brought into a store under a temporary name, or why they were not (`result`)."""

    store: str = ""
    temp: str = ""
    result: Result = DONE


@dataclass(slots=True)
class World:
    """What the steps of a batch act on.

    Attributes
    ----------
    catalog, hand
        The catalog to ask before the transaction, and the hand that changes facts in it.
    stores
        Stores with their ids, by name.
    fetcher
        Brings the bytes that a URL names to a file of that name; None forbids it.
    owner
        Whose the temporary files are.
    executor, concurrency
        Workers that read and copy in place of this process, and how many of them.
    waiting
        Units with a step that waits.
    """

    catalog: Catalog
    stores: Mapping[str, tuple[int, AnyStore]]
    owner: str
    fetcher: Fetcher | None = None
    executor: Executor | None = None
    concurrency: int = 1
    proofs: Proofs = field(default_factory=Proofs)
    brought: dict[tuple[int, int], Brought] = field(default_factory=dict)
    renamed: dict[str, list[str]] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    _copies: dict[Digest, list[LocationRecord]] = field(default_factory=dict)
    _hand: Hand | None = None
    _scratched: set[str] = field(default_factory=set)
    _spool: str = ""
    _spooling: threading.Lock = field(default_factory=threading.Lock)

    @property
    def hand(self) -> Hand:
        """The hand; there is one inside a transaction only."""
        assert self._hand is not None
        return self._hand

    @contextlib.contextmanager
    def transaction(self, hand: Hand) -> Iterator[None]:
        """Let the acts use this hand."""
        self._hand = hand
        try:
            yield
        finally:
            self._hand = None

    def ask(self, fn: Callable[..., T], *args: Any) -> T:
        """Have a worker do something, and wait for it; without workers it is done here."""
        return fn(*args) if self.executor is None else self.executor.submit(fn, *args).result()

    def local(self, name: str | None) -> LocalStore | None:
        """A store of ours in a folder, where files can have several names; None for any other."""
        store = self.own(name)
        return store if isinstance(store, LocalStore) else None

    def own(self, name: str | None) -> Own | None:
        """A store in which copies may be changed; None for one in its owner's hands."""
        store = self.stores[name][1] if name is not None else None
        return store if isinstance(store, OWN) else None

    def place(self, step: Step) -> tuple[int, AnyStore]:
        """The store of a step's key, and its id."""
        assert step.store is not None
        return self.stores[step.store]

    def source(self, step: Step) -> AnyStore:
        """The store that a step takes its bytes from; without one, it is that of its target."""
        return self.stores[step.from_store][1] if step.from_store else self.place(step)[1]

    def copies(self, digest: Digest) -> list[LocationRecord]:
        """Where a blob lies now; before the transaction, where it lay when the batch began."""
        if self._hand is not None:
            return self._hand.copies(digest)
        if digest not in self._copies:
            self._copies[digest] = self.catalog.locations_of(digest)
        return self._copies[digest]

    def recorded(self, step: Step) -> LocationRecord | None:
        """The location that a step is about, if it is one of this content."""
        found = (one for one in self.copies(step.digest) if (one.store, one.key) == (step.store, step.key))
        return next(found, None)

    def size(self, digest: Digest) -> int:
        """How long a blob is."""
        copies = self.copies(digest)
        return copies[0].bytes if copies else self.catalog.blob_bytes(digest) or 0

    def outcome(self, store: AnyStore, key: str, digest: Digest) -> Outcome:
        """What the bytes at `key` are at this moment, measured by `digest`."""
        return self.proofs.look(store, key, digest, self.size(digest)).outcome

    def temp(self, store: Own) -> str:
        """A new temporary name in a store; for one in a bucket, in a folder of this machine."""
        if not isinstance(store, LocalStore):
            with self._spooling:
                self._spool = self._spool or tempfile.mkdtemp(prefix="catalogkit-")
            return os.path.join(self._spool, uuid.uuid4().hex)
        self._scratched.add(store.name)
        return os.path.join(store.scratch(self.owner), uuid.uuid4().hex)

    def changed(self, step: Step) -> str:
        """Whether a file is no longer the one that was planned: size, modification time and inode."""
        store = self.own(step.store)
        if store is None:
            return ""
        there = store.stat(step.key)
        if there is None:
            return GONE
        # A plan has no bytes for a copy that was found missing and may have come back.
        seen = (there.inode, there.mtime_ns, step.bytes and there.bytes)
        return "" if seen == (step.inode, step.mtime_ns, step.bytes) else NOT_PLANNED

    def remove(self, step: Step) -> Result:
        """Remove a file of a store of ours that is still the one that was planned; done, too, where it was gone.

        One in its owner's hands only leaves the catalog.
        """
        store = self.own(step.store)
        if store is None:
            return DONE
        self.hand.keep_away()
        try:
            freed = store.remove_planned(step.key, step.inode, step.mtime_ns, step.bytes)
        except (FileNotFoundError, NotADirectoryError):
            return Result("done", GONE)
        except OSError as problem:
            return Result("failed", f"it cannot be removed: {problem.strerror}")
        if freed is None:
            return unless(NOT_PLANNED)
        self.named(store, step.key)
        return Result("done", "", 1, freed)

    def bytes_left(self, digest: Digest) -> bool:
        """Whether a copy lies where it should, as it was written; one that looks otherwise is read.

        A store that was copied to another disk has other files with the same bytes.
        """
        changed = []
        for one in self.hand.copies(digest):
            store = self.stores[one.store][1] if one.store in self.stores else None
            with contextlib.suppress(StoreError):  # that its disk is away says nothing of the others
                if store is not None and (there := store.stat(one.key)) is not None:
                    if (there.inode, there.mtime_ns) == (one.inode, one.mtime_ns):
                        return True
                    changed.append((store, one.key))
        return any(self.outcome(store, key, digest) is Outcome.OK for store, key in changed)

    def named(self, store: Own, key: str) -> None:
        """Note that a name came or went, which is to be on stable storage before the catalog says so."""
        self.renamed.setdefault(store.name, []).append(key)

    def begin(self) -> None:
        """Begin a batch: what was proved or brought for the last one does not count."""
        self.proofs = Proofs(self.ask)
        for brought in self.brought.values():
            if brought.temp and (store := self.local(brought.store)) is not None:
                store.discard(brought.temp)
        self.brought.clear()
        self.moved()

    def moved(self) -> None:
        """Copies came, or are about to go: what is known of where they lie does not count."""
        self.renamed.clear()
        self._copies.clear()

    def settle_temps(self) -> None:
        """Wait until the bytes that were brought are on stable storage."""
        for name, (_, store) in self.stores.items():
            temps = [one.temp for one in self.brought.values() if one.store == name and one.result.outcome == "done"]
            if temps and isinstance(store, LocalStore):
                store.settle_temps([temp for temp in temps if temp])

    def settle_names(self) -> None:
        """Wait until the names that came or went are on stable storage."""
        for name, keys in self.renamed.items():
            if (store := self.own(name)) is not None:
                store.settle_names(keys)

    @contextlib.contextmanager
    def settling(self) -> Iterator[None]:
        """Do something while the names that came or went get onto stable storage; afterwards they are."""
        with ThreadPoolExecutor(1, thread_name_prefix="catalogkit-settle") as thread:
            settled = thread.submit(self.settle_names)
            yield
        settled.result()
        self.renamed.clear()

    def tidy(self) -> None:
        """Remove all temporary files."""
        if self._spool:
            shutil.rmtree(self._spool, ignore_errors=True)
        for name in self._scratched:
            if (store := self.local(name)) is not None:
                store.sweep(self.owner)
