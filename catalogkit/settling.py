"""Commits a batch of files that were read: chooses keys, publishes bytes, records facts.

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
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from catalogkit.catalog.contract import Registration, SourceStat
from catalogkit.errors import ConstraintError, QuotaExceeded
from catalogkit.intents import commit_each
from catalogkit.layouts import apart, basename_of, beside, cas_key, fold
from catalogkit.marks import hold
from catalogkit.model import Layout, Mode, path_text, text_path
from catalogkit.places import Place, Work
from catalogkit.shelving import Shelf
from catalogkit.stores.local import LocalStore
from catalogkit.stores.opening import OWN
from catalogkit.stores.taking import Stamp
from catalogkit.uploading import Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from catalogkit.batching import Batch
    from catalogkit.catalog.contract import Committed
    from catalogkit.collection import Collection
    from catalogkit.ingest_report import IngestReport
    from catalogkit.model import Digest
    from catalogkit.sources import Candidate
    from catalogkit.stores.taking import Taken

# Slower than this no upload is expected to be, in bytes a second: the lease of its intents lasts as long.
SLOWEST: Final = 500_000


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
        self._listed: list[tuple[Work, Committed]] = []
        self._inside = cache(self._lies_inside)
        if self.layout is Layout.REFERENCE:
            self.store_id, in_place = collection.in_place()
            self.taker = in_place.taker()
        else:
            self.store, self.store_id = collection.store, collection.store_id(collection.store.name)
            folder = self.store.scratch(owner)
            self.taker = self.store.taker(folder, mode, peek=self.layout is Layout.CAS)
            self.shelf: Shelf | Uploads = (
                Shelf(self.store, self.layout, self.taker)
                if isinstance(self.store, LocalStore)
                else Uploads(self.store)
            )

    def settle(self, batch: Batch, taken: Iterable[Taken]) -> None:
        """Make a batch true, or report its files one by one."""
        works = [work for item, one in batch.with_taken(taken) if (work := self._plan(item, one))]
        self._keep_to_quota(works)
        if self.layout is not Layout.REFERENCE and works:
            # Its disk may have gone away since the last batch, and an empty folder have come to light in its place.
            hold(self.collection, self.store)
            places = self._places([work for work in works if not work.problem])
            self._stage([work for work in works if not work.problem])
            self._hold_on_to(places)
            maybe = {place.digest for place in places if self.shelf.may_be_there(place)}
            self.shelf.put(places, self.catalog.known(self.store_id, maybe))
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

    def _plan(self, item: Candidate, taken: Taken) -> Work | None:
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
        return Work(
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

    def _keep_to_quota(self, works: list[Work]) -> None:
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
        ours = [store for store in self.collection.stores.values() if isinstance(store, OWN)]
        inside = any(store.contains(text_path(folder)) for store in ours)
        if inside or not self._alone:
            return inside
        real, root = os.path.realpath(text_path(folder)), str(self.collection.path.parent)
        return real == root or real.startswith(root + os.sep)

    # -- where it goes -----------------------------------------------------------------------------------------

    def _places(self, works: list[Work]) -> list[Place]:
        """Group documents by the key of their bytes."""
        places: dict[str, Place] = {}
        for work in works:
            key = work.entry.key
            if self.layout is Layout.CAS:
                place = places.get(key) or places.setdefault(key, Place(key, ours=True))
            elif found := self._name(work, places):
                place = found
                work.entry = replace(work.entry, key=place.key)
            else:
                work.problem = "strange files lie at every path that it could have; move them away"
                continue
            place.works.append(work)
        return list(places.values())

    def _name(self, work: Work, places: dict[str, Place]) -> Place | None:
        """The readable path of a document; two share one only if their bytes are equal. `places` is by fold."""
        entry = work.entry
        name = basename_of(entry.arrival.source_url, os.path.basename(work.item.path))
        plain = self.collection.template.key(entry.arrival, name, entry.digest)
        if isinstance(self.store, LocalStore) and self.store.blocked(plain):
            plain = apart(plain, entry.digest)
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
                return places.setdefault(folded, Place(holder[0] if holder else key, ours=holder is not None))
        return None

    def _strange(self, key: str, digest: Digest) -> bool:
        return self.store.stat(key) is not None and self.store.holds(key, digest) is None

    def _stage(self, works: list[Work]) -> None:
        entries = [work.entry for work in works]
        lease = self.lease()
        if not isinstance(self.store, LocalStore):
            lease += timedelta(seconds=sum(entry.bytes for entry in entries) / SLOWEST)
        intents = self.catalog.stage(entries, owner=self.owner, expires_at=lease, as_of=self.as_of)
        for work, intent in zip(works, intents, strict=True):
            work.intent = intent

    def _hold_on_to(self, places: list[Place]) -> None:
        """Ask once more whose a readable path is: others may have given it up, and away, until this batch had intents.

        From then on it stays whose it is, and only what lies at a path of these bytes may be taken for a bad copy.
        """
        chosen = {fold(place.key): place for place in places if place.ours and self.layout is Layout.POLICY}
        held = self.catalog.holders(self.store_id, chosen) if chosen else {}
        for folded, place in chosen.items():
            place.ours = held.get(folded) == (place.key, place.digest)

    def _found(self, place: Place) -> None:
        """Write down what the file that holds the bytes looks like, and a source that is the same file."""
        there = place.there
        if there is None:
            return
        for work in place.works:
            work.written = place.written
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

    def _commit(self, works: list[Work]) -> None:
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

    def _count(self, work: Work, committed: Committed, by: int = 1) -> None:
        if committed.outcome == "same":
            self.report.skip("already known; a copy of it was written" if work.written else "already known", by)
        else:
            self.report.ingested += by
            self.report.bytes += by * work.entry.bytes
        self.report.new_blobs += by * committed.new_blob

    def _remove_source(self, work: Work) -> str:
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
