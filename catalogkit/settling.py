"""Settling a batch of files that were read: which keys they get, what is published, what the catalog learns.

The steps of a batch, and why in this order:

1. *stage*: intents, so that nothing these bytes need is condemned from now on and a crash can be told from garbage;
2. *look*: only now, because only now what is found stays;
3. *publish*: bytes at their keys, durable;
4. *commit*: facts; the intents end in the same transaction;
5. drop temporary names and, in move mode, the sources.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from catalogkit.catalog.contract import Registration, SourceStat
from catalogkit.errors import SourceError, StoreError
from catalogkit.layouts import basename_of, beside, cas_key, fold
from catalogkit.model import Layout, Mode, Outcome, path_text
from catalogkit.stores.local import Publication
from catalogkit.stores.taking import Stamp, Taken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from catalogkit.catalog.contract import Known
    from catalogkit.collection import Collection
    from catalogkit.ingest import IngestReport
    from catalogkit.model import Digest
    from catalogkit.sources import Candidate
    from catalogkit.stores.contract import ObjectStat

_GOOD: Final = (None, Outcome.OK, Outcome.UNKNOWN)


class Batch:
    """Candidates that are settled together; a file that several documents share is read once."""

    def __init__(self) -> None:
        self.items: list[tuple[Candidate, Digest | None]] = []
        self._first: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.items)

    def add(self, item: Candidate, known: Digest | None) -> None:
        """Add a candidate; `known` is its content where that need not be read again."""
        if known is None:
            self._first.setdefault(item.path, len(self.items))
        self.items.append((item, known))

    def to_take(self) -> Iterator[tuple[str, str, int]]:
        """(path, temporary name, size in bytes) of every file to read."""
        for path, number in self._first.items():
            yield path, f"{number:06d}", self.items[number][0].stamp.bytes

    def with_taken(self, taken: list[Taken]) -> Iterator[tuple[Candidate, Taken]]:
        """Each candidate with what reading its file gave; a file's temporary name goes to its first candidate."""
        by_path = {one.path: one for one in taken}
        for number, (item, known) in enumerate(self.items):
            if known is not None:
                yield item, Taken(item.path, known, stamp=item.stamp)
            elif self._first[item.path] == number:
                yield item, by_path[item.path]
            else:
                yield item, replace(by_path[item.path], temp=None)


@dataclass(slots=True)
class _Work:
    """One document on its way: what was read, where it goes."""

    item: Candidate
    taken: Taken
    entry: Registration
    intent: int | None = None
    publish: bool = False
    there: ObjectStat | None = field(default=None)


class Settler:
    """Settles batches for one ingest; `taker` is what its workers run."""

    def __init__(
        self,
        collection: Collection,
        mode: Mode,
        owner: str,
        as_of: datetime,
        expires_at: datetime,
        report: IngestReport,
    ) -> None:
        self.collection, self.catalog, self.mode = collection, collection.catalog, mode
        self.owner, self.as_of, self.expires_at, self.report = owner, as_of, expires_at, report
        self.layout = Layout.REFERENCE if mode is Mode.REFERENCE else collection.layout
        if self.layout is Layout.REFERENCE:
            self.store_id, in_place = collection.in_place()
            self.taker = in_place.taker()
        else:
            self.store, self.store_id = collection.store, collection.store_id(collection.store.name)
            folder = self.store.scratch(owner, owner.rpartition("/")[2])
            self.taker = self.store.taker(folder, mode, peek=self.layout is Layout.CAS)

    def settle(self, batch: Batch, taken: list[Taken]) -> None:
        """Make a batch true, or report its files one by one."""
        works = [work for work in map(self._plan, *zip(*batch.with_taken(taken), strict=True)) if work]
        if self.layout is Layout.REFERENCE:
            self._commit(works)
            return
        if self.layout is Layout.POLICY:
            self._name(works)
        entries = [work.entry for work in works]
        intents = self.catalog.stage(entries, owner=self.owner, expires_at=self.expires_at, as_of=self.as_of)
        for work, intent in zip(works, intents, strict=True):
            work.intent = intent
        known = self.catalog.known(self.store_id, {entry.digest for entry in entries})
        self._look(works, known)
        self._publish(works, known)
        self._commit(works)

    def _plan(self, item: Candidate, taken: Taken) -> _Work | None:
        problem = taken.problem
        if not problem and item.expected is not None and taken.digest != item.expected:
            problem = f"it has SHA-256 {taken.digest}, its manifest says {item.expected}"
        if problem:
            self.report.fail(item.path, problem)
            if taken.temp:
                self.store.discard(taken.temp)
            return None
        assert taken.digest is not None and taken.stamp is not None
        folder, name = (path_text(part) for part in os.path.split(item.path))
        stamp = taken.stamp
        remembered = SourceStat(folder, name, stamp.bytes, stamp.mtime_ns, stamp.ctime_ns, stamp.inode)
        key = path_text(item.path).removeprefix("/") if self.layout is Layout.REFERENCE else cas_key(taken.digest)
        return _Work(
            item,
            taken,
            Registration(
                arrival=item.arrival,
                digest=taken.digest,
                bytes=stamp.bytes,
                media_type=taken.media_type or "application/octet-stream",
                store_id=self.store_id,
                key=key,
                layout=self.layout,
                inode=taken.inode if taken.inode is not None else stamp.inode,
                mtime_ns=taken.mtime_ns if taken.mtime_ns is not None else stamp.mtime_ns,
                source=None if self.mode is Mode.MOVE else remembered,
                in_order=item.in_order,
            ),
        )

    # -- where it goes -----------------------------------------------------------------------------------------

    def _name(self, works: list[_Work]) -> None:
        """Give each document its readable path; two share one only if their bytes are equal."""
        held: dict[str, tuple[str, Digest]] = {}
        for work in works:
            entry = work.entry
            plain = self.collection.template.key(
                entry.arrival, basename_of(entry.arrival.source_url, os.path.basename(work.item.path)), entry.digest
            )
            for key in (plain, beside(plain, entry.digest), beside(plain, entry.digest, 64)):
                folded = fold(key)
                holder = held.get(folded) or self.catalog.holders(self.store_id, [folded]).get(folded)
                if holder is None or holder[1] == entry.digest:
                    chosen = key if holder is None else holder[0]
                    held[folded] = (chosen, entry.digest)
                    work.entry = replace(entry, key=chosen)
                    break
            else:  # pragma: no cover - needs two contents with one SHA-256
                raise StoreError(f"no free path for {plain}")

    def _look(self, works: list[_Work], known: dict[Digest, Known]) -> None:
        """Find out which keys hold their bytes already; a copy is trusted while it looks as it was written."""
        for work in works:
            entry, about = work.entry, known.get(work.entry.digest)
            there = self.store.stat(entry.key)
            if there is None:
                work.publish = True
                continue
            trusted = (
                about is not None
                and about.key == entry.key
                and about.outcome in _GOOD
                and (there.bytes, there.inode, there.mtime_ns) == (entry.bytes, about.inode, about.mtime_ns)
            )
            work.there = there if trusted else self.store.holds(entry.key, entry.digest)
            work.publish = work.there is None

    def _publish(self, works: list[_Work], known: dict[Digest, Known]) -> None:
        todo: dict[str, _Work] = {}
        first: dict[Digest, str] = {}
        publications = []
        for work in works:
            key, digest = work.entry.key, work.entry.digest
            if work.publish and key not in todo:
                todo[key] = work
                self._clear(work)
                # Equal bytes are stored once: a readable path to them is one more name of the first.
                share = self._share(work, known) or (self.store.path(first[digest]) if digest in first else None)
                publications.append(Publication(key, self._bytes(work, share), share))
                first.setdefault(digest, key)
        for work, shown in zip(todo.values(), self.store.publish(publications), strict=True):
            if not shown and self.store.holds(work.entry.key, work.entry.digest) is None:
                # Somebody else's bytes came to lie there since we looked.
                work.publish = False
                self.report.fail(work.item.path, f"other bytes appeared at {work.entry.key}; run it again")
                work.entry = replace(work.entry, key="")
            else:
                work.there = self.store.stat(work.entry.key)
        for work in works:
            if work.publish and work.there is None and work.entry.key in todo:
                work.there = todo[work.entry.key].there

    def _clear(self, work: _Work) -> None:
        """Move bad bytes out of the way of good ones (they are kept, aside)."""
        if self.store.stat(work.entry.key) is not None:
            self.store.quarantine(work.entry.key)

    def _bytes(self, work: _Work, share: str | None) -> str | None:
        """A temporary file with the bytes; read again where they were left out and turn out to be needed."""
        if work.taken.temp is not None or share is not None:
            return work.taken.temp
        (again,) = replace(self.taker, peek=False)([(work.item.path, f"again-{work.intent}")])
        if again.digest != work.entry.digest or again.temp is None:
            raise SourceError(f"{path_text(work.item.path)} changed while it was taken in; run it again")
        work.taken = replace(work.taken, temp=again.temp)
        return again.temp

    def _share(self, work: _Work, known: dict[Digest, Known]) -> str | None:
        """The path of an equal, healthy file in the store, to which this document can be one more name."""
        about = known.get(work.entry.digest)
        if about is None or about.key is None or about.key == work.entry.key or about.outcome not in _GOOD:
            return None
        there = self.store.stat(about.key)
        if there is None or (there.bytes, there.inode, there.mtime_ns) != (
            work.entry.bytes, about.inode, about.mtime_ns,
        ):  # fmt: skip
            return None
        return self.store.path(about.key)

    # -- making it true ----------------------------------------------------------------------------------------

    def _commit(self, works: list[_Work]) -> None:
        lost = [work.intent for work in works if not work.entry.key and work.intent]
        if lost:
            self.catalog.abandon(lost)
        good = [work for work in works if work.entry.key]
        for work in good:
            if work.there is not None:
                work.entry = replace(work.entry, inode=work.there.inode, mtime_ns=work.there.mtime_ns)
        done = self.catalog.commit(
            [(work.intent, work.entry) for work in good], as_of=self.as_of, run_id=self.report.run_id
        )
        for work, committed in zip(good, done, strict=True):
            if committed.outcome == "same":
                self.report.skip("already known")
            else:
                self.report.ingested += 1
                self.report.bytes += work.entry.bytes
            self.report.new_blobs += committed.new_blob
            if work.taken.temp:
                self.store.discard(work.taken.temp)
        if self.mode is Mode.MOVE:
            for work in good:
                self._remove_source(work.item.path, work.taken)

    def _remove_source(self, path: str, taken: Taken) -> None:
        """End a move: the bytes are safe, so the source may go, if it still is what was read."""
        try:
            now = Stamp.of(os.stat(path))
        except FileNotFoundError:
            return
        was = taken.stamp
        if was and (now.bytes, now.mtime_ns, now.inode) == (was.bytes, was.mtime_ns, was.inode):
            os.unlink(path)
