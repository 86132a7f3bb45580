"""Settling a batch of files that were read: which keys they get, what is published, what the catalog learns.

The steps of a batch, and why in this order:

1. *stage*: intents, so that nothing these bytes need is condemned from now on and a crash can be told from garbage;
2. *look*: only now, because only now what is found stays;
3. *publish*: bytes at their keys, durable;
4. *commit*: facts; the intents end in the same transaction;
5. drop temporary names and, in move mode, the sources.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from catalogkit.catalog.contract import Registration, SourceStat
from catalogkit.errors import ConstraintError, QuotaExceeded
from catalogkit.intents import commit_each
from catalogkit.layouts import basename_of, beside, cas_key, fold
from catalogkit.model import Layout, Mode, Outcome, path_text, text_path
from catalogkit.stores.contract import ObjectStat
from catalogkit.stores.publishing import Publication
from catalogkit.stores.taking import Stamp, Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from catalogkit.batching import Batch
    from catalogkit.catalog.contract import Committed, Known
    from catalogkit.collection import Collection
    from catalogkit.ingest import IngestReport
    from catalogkit.model import Digest
    from catalogkit.sources import Candidate

_GOOD: Final = (None, Outcome.OK, Outcome.UNKNOWN)


@dataclass(slots=True)
class _Work:
    """One document on its way: what was read, where it goes. `problem` says why it does not get there."""

    item: Candidate
    taken: Taken
    entry: Registration
    intent: int | None = None
    problem: str = ""


@dataclass(slots=True)
class _Place:
    """A key, the documents of the batch whose bytes belong there, and what lies there.

    `ours` says that whatever else lies there can only be a copy of these bytes gone bad: a content address, or a
    readable path that the catalog has for them. `bad` says that such a thing lies there.
    """

    key: str
    ours: bool
    works: list[_Work] = field(default_factory=list)
    there: ObjectStat | None = None
    bad: bool = False

    @property
    def digest(self) -> Digest:
        return self.works[0].entry.digest

    def fail(self, problem: str) -> None:
        for work in self.works:
            work.problem = problem


class Settler:
    """Settles batches for one ingest; `taker` is what its workers run.

    Parameters
    ----------
    lease
        Until when intents that are staged now hold, should this process die.
    """

    def __init__(
        self,
        collection: Collection,
        mode: Mode,
        owner: str,
        as_of: datetime,
        lease: Callable[[], datetime],
        report: IngestReport,
    ) -> None:
        self.collection, self.catalog, self.mode = collection, collection.catalog, mode
        self.owner, self.as_of, self.lease, self.report = owner, as_of, lease, report
        self.layout = Layout.REFERENCE if mode is Mode.REFERENCE else collection.layout
        self.over_quota = ""
        self._alone = bool(collection.config.tenant.id)
        self._listed: list[tuple[_Work, Committed]] = []
        self._inside = cache(self._lies_inside)
        if self.layout is Layout.REFERENCE:
            self.store_id, in_place = collection.in_place()
            self.taker = in_place.taker()
        else:
            self.store, self.store_id = collection.store, collection.store_id(collection.store.name)
            folder = self.store.scratch(owner)
            self.taker = self.store.taker(folder, mode, peek=self.layout is Layout.CAS)

    def settle(self, batch: Batch, taken: Iterable[Taken]) -> None:
        """Make a batch true, or report its files one by one."""
        works = [work for item, one in batch.with_taken(taken) if (work := self._plan(item, one))]
        self._keep_to_quota(works)
        if self.layout is not Layout.REFERENCE and works:
            # Its disk may have gone away since the last batch, and an empty folder have come to light in its place.
            self.store.reach()
            places = self._places([work for work in works if not work.problem])
            self._stage([work for work in works if not work.problem])
            known = self.catalog.known(self.store_id, {place.digest for place in places if self._may_be_there(place)})
            self._look(places, known)
            self._publish(places, known)
            for work in works:
                if work.taken.temp:
                    self.store.discard(work.taken.temp)
            for place in places:
                self._found(place)
        self._commit(works)

    def finish(self) -> None:
        """End a move from a list: its sources go last, because several rows may name one file."""
        for work, committed in self._listed:
            if problem := self._remove_source(work):
                self._count(work, committed, -1)
                self.report.fail(work.item.path, problem)
        self._listed.clear()

    def _plan(self, item: Candidate, taken: Taken) -> _Work | None:
        problem = taken.problem
        if not problem and item.expected is not None and taken.digest != item.expected:
            problem = f"it has SHA-256 {taken.digest}, its manifest says {item.expected}"
        if not problem and self._inside(self._folder(item)):
            problem = "it lies in the store itself" if not self._alone else "it lies in a tenant's folder"
        if problem:
            self.report.fail(item.path, problem)
            if taken.temp:
                self.store.discard(taken.temp)
            return None
        assert taken.digest is not None and taken.stamp is not None
        stamp = taken.stamp
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
                source=SourceStat(item.folder, item.name, *stamp),
                in_order=item.in_order,
            ),
        )

    def _keep_to_quota(self, works: list[_Work]) -> None:
        """Refuse before bytes are written what the catalog would refuse after; it has the last word all the same."""
        quota = self.catalog.quota()
        if quota is None:
            return
        documents, size = quota.documents, quota.bytes
        current = self.catalog.current([work.entry.arrival for work in works])
        for work in (work for work, known in zip(works, current, strict=True) if known is None):
            documents, size = documents + 1, size + work.entry.bytes
            if quota.max_documents is not None and documents > quota.max_documents:
                over = f"the quota of {quota.max_documents:,} documents is used up"
            elif quota.max_bytes is not None and size > quota.max_bytes:
                over = f"the quota of {quota.max_bytes:,} bytes leaves {quota.max_bytes - size + work.entry.bytes:,}"
            else:
                continue
            documents, size = documents - 1, size - work.entry.bytes
            self.over_quota = work.problem = f"{over}; forget some documents first, or have it raised"

    def _folder(self, item: Candidate) -> str:
        """Where the file lies; one that stays where it is stays where a link to it leads.

        Between tenants no link leads anywhere.
        """
        linked = (self._alone or self.layout is Layout.REFERENCE) and os.path.islink(item.path)
        return path_text(os.path.dirname(os.path.realpath(item.path))) if linked else item.folder

    def _lies_inside(self, folder: str) -> bool:
        real, roots = os.path.realpath(text_path(folder)), [self.collection.store.root]
        if self._alone:
            roots.append(str(self.collection.path.parent))
        return any(real == root or real.startswith(root + os.sep) for root in roots)

    # -- where it goes -----------------------------------------------------------------------------------------

    def _places(self, works: list[_Work]) -> list[_Place]:
        """Group documents by the key of their bytes."""
        places: dict[str, _Place] = {}
        for work in works:
            key = work.entry.key
            if self.layout is Layout.CAS:
                place = places.get(key) or places.setdefault(key, _Place(key, ours=True))
            elif found := self._name(work, places):
                place = found
                work.entry = replace(work.entry, key=place.key)
            else:
                work.problem = "strange files lie at every path that it could have; move them away"
                continue
            place.works.append(work)
        return list(places.values())

    def _name(self, work: _Work, places: dict[str, _Place]) -> _Place | None:
        """The readable path of a document; two share one only if their bytes are equal. `places` is by fold."""
        entry = work.entry
        name = basename_of(entry.arrival.source_url, os.path.basename(work.item.path))
        plain = self.collection.template.key(entry.arrival, name, entry.digest)
        for key in (plain, beside(plain, entry.digest), beside(plain, entry.digest, 64)):
            folded = fold(key)
            if folded in places:
                if places[folded].digest == entry.digest:
                    return places[folded]
                continue
            holder = self.catalog.holders(self.store_id, [folded]).get(folded)
            if holder is None and self._strange(key, entry.digest):
                continue  # somebody's who is about to tell the catalog, or nobody's: not ours to touch
            if holder is None or holder[1] == entry.digest:
                return places.setdefault(folded, _Place(holder[0] if holder else key, ours=holder is not None))
        return None

    def _strange(self, key: str, digest: Digest) -> bool:
        return self.store.stat(key) is not None and self.store.holds(key, digest) is None

    def _stage(self, works: list[_Work]) -> None:
        entries = [work.entry for work in works]
        intents = self.catalog.stage(entries, owner=self.owner, expires_at=self.lease(), as_of=self.as_of)
        for work, intent in zip(works, intents, strict=True):
            work.intent = intent

    def _look(self, places: list[_Place], known: dict[Digest, Known]) -> None:
        """Find out which keys hold their bytes already; a copy is trusted while it looks as it was written."""
        proved = []
        for place in places:
            there = self.store.stat(place.key) if self._may_be_there(place) else None
            if there is None:
                continue  # publishing finds out if it is not so
            about = known.get(place.digest)
            if about is not None and about.key == place.key and _as_written(there, about, place):
                place.there = there
            elif found := self.store.holds(place.key, place.digest):
                place.there = found
                proved.append(place.key)
            elif place.ours:
                place.bad = True
            else:
                place.fail(f"other bytes appeared at {place.key}; run it again")
        if proved:
            # Whoever put them there may have died, or not be done, before they were on the disk.
            self.store.settle(proved)

    def _may_be_there(self, place: _Place) -> bool:
        """False where the bytes were written just now because their content address was free."""
        return self.layout is not Layout.CAS or place.works[0].taken.temp is None

    # -- the bytes ---------------------------------------------------------------------------------------------

    def _publish(self, places: list[_Place], known: dict[Digest, Known]) -> None:
        todo: list[tuple[_Place, Publication, list[ObjectStat]]] = []
        temps: dict[Digest, Taken] = {}
        for place in places:
            if place.there is not None or place.works[0].problem:
                continue
            # Equal bytes are stored once: a readable path to them is one more name of what is there.
            share = self._share(place, known)
            first = temps.get(place.digest) or self._bytes(place, share is not None)
            if first is not None:
                temps[place.digest] = first
            if share is None and first is None:
                continue
            path = self.store.path(share.key) if share else None
            looks = [share] if share else []
            if first is not None:
                assert first.stamp is not None
                looks.append(ObjectStat(place.key, first.stamp.bytes, first.mtime_ns or 0, first.inode))
            todo.append((place, Publication(place.key, first and first.temp, path, place.bad), looks))
        shown = self.store.publish([publication for _, publication, _ in todo])
        others = [
            place.key for (place, _, looks), new in zip(todo, shown, strict=True) if self._check(place, looks, new)
        ]
        if others:
            self.store.settle(others)
        if again := [place for place in places if place.bad and place.there is None and not place.works[0].problem]:
            self._publish(again, known)

    def _check(self, place: _Place, looks: list[ObjectStat], new: bool) -> bool:
        """What lies at the key now must be the very file that was read, or be read again.

        Returns whether somebody else put it there, who may have died, or not be done, before it was on the disk.
        """
        there = self.store.stat(place.key)
        if there is not None and any(_same_file(there, one) for one in looks):
            place.there = there
        elif found := self.store.holds(place.key, place.digest):
            place.there = found
            return True
        elif new:
            self.store.quarantine(place.key)
            place.fail("it was written to while it was taken in; run it again")
        elif place.ours:
            place.bad = True  # something else lay there: once more, over it
        else:
            place.fail(f"other bytes appeared at {place.key}; run it again")
        return False

    def _bytes(self, place: _Place, spare: bool) -> Taken | None:
        """A temporary file with the bytes; read again where they were left out and turn out to be needed."""
        for work in place.works:
            if work.taken.temp is not None:
                return work.taken
        if spare:
            return None
        problem = ""
        for work in place.works:
            (again,) = replace(self.taker, peek=False)([(work.item.path, f"again-{work.intent}")])
            if again.temp is not None and again.digest == place.digest:
                work.taken = again
                return again
            if again.temp is not None:
                self.store.discard(again.temp)
            problem = again.problem or "it changed while it was taken in; run it again"
        place.fail(problem)
        return None

    def _share(self, place: _Place, known: dict[Digest, Known]) -> ObjectStat | None:
        """An equal, healthy file in the store, to which the place can be one more name."""
        about = known.get(place.digest)
        if about is None or about.key is None or about.key == place.key:
            return None
        there = self.store.stat(about.key)
        return there if there is not None and _as_written(there, about, place) else None

    def _found(self, place: _Place) -> None:
        """Write down what the file that holds the bytes looks like, and a source that is the same file."""
        there = place.there
        if there is None:
            return
        for work in place.works:
            entry, source = work.entry, work.entry.source
            if (entry.inode, entry.mtime_ns) != (there.inode, there.mtime_ns):
                work.entry = entry = replace(entry, inode=there.inode, mtime_ns=there.mtime_ns)
            if self.mode is Mode.LINK and source is not None and source.inode in (there.inode, work.taken.inode):
                # Names that came and went changed its change time.
                with contextlib.suppress(OSError):
                    now = Stamp.of(os.stat(work.item.path))
                    if (now.bytes, now.mtime_ns, now.inode) == (source.bytes, source.mtime_ns, source.inode):
                        work.entry = replace(entry, source=replace(source, ctime_ns=now.ctime_ns))

    # -- making it true ----------------------------------------------------------------------------------------

    def _commit(self, works: list[_Work]) -> None:
        good = [work for work in works if not work.problem]
        staged = [(work.intent, work.entry) for work in good]
        done = commit_each(self.catalog, staged, as_of=self.as_of, run_id=self.report.run_id)
        for work, committed in zip(good, done, strict=True):
            if isinstance(committed, ConstraintError):
                work.problem = str(committed)
                if isinstance(committed, QuotaExceeded):
                    self.over_quota = work.problem
            elif self.mode is Mode.MOVE:
                if work.item.in_order:
                    work.problem = self._remove_source(work)
                else:
                    self._listed.append((work, committed))
            if not work.problem and not isinstance(committed, ConstraintError):
                self._count(work, committed)
        for work in works:
            if work.problem:
                self.report.fail(work.item.path, work.problem)
        lost = [work.intent for work in works if work.problem and work.intent]
        if lost:
            self.catalog.abandon(lost)

    def _count(self, work: _Work, committed: Committed, by: int = 1) -> None:
        if committed.outcome == "same":
            self.report.skip("already known", by)
        else:
            self.report.ingested += by
            self.report.bytes += by * work.entry.bytes
        self.report.new_blobs += by * committed.new_blob

    def _remove_source(self, work: _Work) -> str:
        """End a move: the bytes are safe, so the source may go, if it still is what was read. Says what went wrong."""
        path, was = work.item.path, work.taken.stamp
        try:
            about = os.stat(path)
            now = Stamp.of(about)
            if was is None or (now.bytes, now.mtime_ns, now.inode) != (was.bytes, was.mtime_ns, was.inode):
                return ""  # other content by now, which is the next run's to take in
            if about.st_nlink == 1 and now.inode == work.entry.inode:
                return "it is the stored file itself, reached by another way; it was left alone"
            self.store.files.unlink(path)
        except FileNotFoundError:
            return ""
        except OSError as problem:
            return f"it is safe in the store, but could not be removed here: {problem.strerror}"
        return ""


def _as_written(there: ObjectStat, about: Known, place: _Place) -> bool:
    was = (place.works[0].entry.bytes, about.inode, about.mtime_ns)
    return about.outcome in _GOOD and (there.bytes, there.inode, there.mtime_ns) == was


def _same_file(one: ObjectStat, other: ObjectStat) -> bool:
    return (one.bytes, one.inode, one.mtime_ns) == (other.bytes, other.inode, other.mtime_ns)
