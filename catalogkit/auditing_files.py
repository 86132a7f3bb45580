"""The part of an audit that looks at stores: files without a record, and records without their file.

Work in flight is no fault. So whatever looks wrong is asked about a second time, in an order that tells: a file that
nobody knew is an orphan if it is still there, and still unknown, after that; a copy that was not there is missing if
its record stands unchanged once everybody who was writing has ended.
"""

from __future__ import annotations

from array import array
from datetime import UTC
from itertools import groupby
from typing import TYPE_CHECKING, Final

from catalogkit.audit import KEPT, Copy, Look, Unlisted, compare, drift, shared_inodes
from catalogkit.audit_codes import Code
from catalogkit.errors import InvalidInput, StoreError, StoreMismatch, StoreUnreachable
from catalogkit.intents import LEASE
from catalogkit.model import Check, Digest, Outcome, from_us
from catalogkit.owners import is_dead
from catalogkit.progress import Progress
from catalogkit.stores.contract import Asked
from catalogkit.stores.opening import OWN

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from catalogkit.audit import AuditReport, Listed
    from catalogkit.collection import Collection
    from catalogkit.progress import OnProgress
    from catalogkit.stores.opening import Own

PAGE: Final = 10_000
# As many copies that look suspect are read, however small the sample is.
SUSPECTS: Final = 1000
SKEW_SECONDS: Final = 300
# Of so many findings of a sample it is told who needs what they are about.
TOLD: Final = 200
NAMED: Final = 3
_PROVES: Final = {
    Code.MISSING_FILE: Outcome.MISSING,
    Code.WRONG_TYPE: Outcome.CORRUPT,
    Code.WRONG_SIZE: Outcome.CORRUPT,
    Code.WRONG_CONTENT: Outcome.CORRUPT,
}


class FileAudit:
    """Compares stores and catalog, both ways; `report` tells what came of it.

    Attributes
    ----------
    bad : set of int
        Locations that have a finding about their bytes already.
    """

    def __init__(
        self, collection: Collection, report: AuditReport, progress: OnProgress, stop: threading.Event, note: bool
    ) -> None:
        self.collection, self.catalog, self.report = collection, collection.catalog, report
        self.progress, self.stop, self.note = progress, stop, note
        self.bad: set[int] = set()
        self.away: dict[int, str] = {}
        self._newest_ns: dict[int, int] = {}

    def reach(self) -> None:
        """Find out which stores can be looked at."""
        for row in self.catalog.stores():
            if row.id not in self.collection.stores:
                self._lose(row.id, f"store {row.name}", "this collection's settings do not name it")
        for store_id in self.collection.stores:
            self._reach(store_id)

    def _reach(self, store_id: int) -> bool:
        """Whether a store is there, and the right one; what it is instead is told once."""
        store = self.collection.stores[store_id]
        try:
            store.reach()
        except StoreMismatch as problem:
            if store_id not in self.away:
                self.report.add(Code.STORE_MISMATCH, f"store {store.name}", store.root, str(problem))
            self._lose(store_id, store.root, str(problem))
        except StoreError as problem:
            self._lose(store_id, store.root, str(problem))
        return store_id not in self.away

    def _lose(self, store_id: int, what: str, why: str) -> None:
        if store_id not in self.away:
            self.away[store_id] = why
            self.report.miss(what, why)

    # -- from the stores to the catalog ------------------------------------------------------------------------

    def survey(self) -> None:
        """Everything that lies in a store of ours and should not; of a sample only what is known without a list."""
        for store_id, store in self.collection.stores.items():
            if not isinstance(store, OWN) or store_id in self.away:
                continue
            if self.report.drawn:
                self._leftovers(store)
                continue
            own = self._own_files(store.root)
            chunk: list[Listed] = []
            for entry in store.survey():
                if isinstance(entry, Unlisted):
                    self.report.miss(entry.place, entry.why)
                elif entry.key.split("/")[0] not in own and entry.key not in own:
                    chunk.append(entry)
                if len(chunk) >= PAGE:
                    self._strangers(store_id, store, chunk)
                    chunk = []
                if self.stop.is_set():
                    return
            self._strangers(store_id, store, chunk)
            self._leftovers(store)
            self._reach(store_id)  # half a list of a store that went away meanwhile proves nothing

    def _own_files(self, root: str) -> set[str]:
        """The collection's own files, as keys, where they lie inside a store's folder."""
        home, catalog = str(self.collection.path), self.catalog.url.partition(":///")[2]
        paths = [f"{home}/{name}" for name in ("catalogkit.toml", "plans", "reports", "demo.txt", ".demo-begun")]
        paths += [f"{catalog}{end}" for end in ("", "-wal", "-shm", "-journal")]
        return {path.removeprefix(f"{root}/") for path in paths if path.startswith(f"{root}/")}

    def _strangers(self, store_id: int, store: Own, entries: Sequence[Listed]) -> None:
        self.report.files += len(entries)
        self._tell()
        unknown = self._unknown(store_id, entries)
        if not unknown:
            return
        # Purged between the list and the question? Published anew since?
        there = [entry for entry in unknown if not entry.ours or store.look(entry.key) is not None]
        for entry in self._unknown(store_id, there):
            path = f"{store.root}/{entry.key}"
            if entry.ours:
                about = store.look(entry.key)
                size = "" if about is None else f"{about.bytes:,} bytes, "
                self.report.add(Code.ORPHAN_FILE, "file", path, f"{size}no record knows it")
            else:
                self.report.add(Code.FOREIGN_FILE, "file", path, f"a {entry.kind}, not of any layout")

    def _unknown(self, store_id: int, entries: Sequence[Listed]) -> list[Listed]:
        known = self.catalog.recorded(store_id, [entry.key for entry in entries]) if entries else set()
        return [entry for entry in entries if entry.key not in known]

    def _leftovers(self, store: Own) -> None:
        for about in store.quarantined():
            path = store.describe(about.key)
            self.report.add(Code.QUARANTINED_FILE, "file", path, "kept for whoever wants to know what went wrong")
        now = self.collection.now()
        for owner, used_at in store.scratches():
            # Its owner may have come to its end, and tidied up, since it was listed.
            if is_dead(owner, used_at + LEASE, now) and (owner, used_at) in store.scratches():
                self.report.add(
                    Code.LEFT_TEMPORARY,
                    f"ingest {owner}",
                    store.scratch_path(owner),
                    f"last used {used_at:%Y-%m-%d %H:%M}",
                )

    # -- from the catalog to the stores ------------------------------------------------------------------------

    def copies(self, budget: int, as_of: datetime) -> None:
        """Every copy on record, or that was drawn: is it there, and is it still the file that was published?

        Parameters
        ----------
        budget
            How many copies that look suspect may be read.
        """
        drawn = self.report.drawn
        total = len(drawn.copies) if drawn else self.catalog.copy_count()
        locations, inodes, contents = array("q"), array("q"), array("q")
        for page in self._pages():
            wrong: list[tuple[Copy, Code, str]] = []
            odd: list[tuple[Copy, str]] = []
            for copy in page:
                found = self._look(copy)
                if found is None:
                    continue
                look = found[0]
                self.report.copies += 1
                if verdict := compare(copy, look):
                    wrong.append((copy, *verdict))
                    continue
                assert look is not None
                owned = isinstance(self.collection.stores[copy.store_id], OWN)
                if owned and look.writable:
                    wrong.append((copy, Code.WRITABLE, "its mode allows writing"))
                if owned and look.names > 1 and look.inode is not None:
                    locations.append(copy.location_id)
                    inodes.append(look.object)
                    contents.append(int.from_bytes(copy.digest[:8], "big", signed=True))
                how = drift(copy, look)
                if how or copy.outcome in (Outcome.CORRUPT, Outcome.MISSING):
                    odd.append((copy, how))
                if owned:
                    self._newest_ns[copy.store_id] = max(self._newest_ns.get(copy.store_id, 0), look.ctime_ns)
            self._settle(wrong, as_of)
            budget -= self._read(odd, budget, as_of)
            self._tell(total)
        if drawn is None:
            self._shared(shared_inodes(locations, inodes, contents))
        self._clocks()

    def _pages(self) -> Iterator[list[Copy]]:
        if drawn := self.report.drawn:
            for start in range(0, len(drawn.copies), PAGE):
                if not self.stop.is_set():
                    yield self.catalog.copies_of_ids(drawn.copies[start : start + PAGE])
            return
        after = (-1, "")
        while not self.stop.is_set() and (page := self.catalog.copies(after=after, limit=PAGE)):
            after = (page[-1].store_id, page[-1].key)
            yield page

    def _look(self, copy: Copy) -> tuple[Look | None] | None:
        """What lies where a copy should; None where that cannot be told."""
        store = self.collection.stores.get(copy.store_id)
        if store is None or copy.store_id in self.away:
            if copy.store_id not in self.away:  # there is no such store, which the catalog tells of
                self.bad.add(copy.location_id)
            return None
        try:
            return (store.look(copy.key),)
        except StoreUnreachable as problem:
            self.report.miss(store.describe(copy.key), str(problem))
        except InvalidInput:
            if copy.key:  # an empty one breaks a rule of the catalog, which tells of it
                about = f"location {copy.location_id}"
                self.report.add(Code.MALFORMED_ROW, about, store.describe(copy.key), "a key of no layout")
            self.bad.add(copy.location_id)
        return None

    def _settle(self, wrong: list[tuple[Copy, Code, str]], as_of: datetime) -> None:
        """Add what is still wrong at a second look, and write down what that proves."""
        if not wrong:
            return
        missing = [copy for copy, code, _ in wrong if code is Code.MISSING_FILE]
        gone = self._really_missing(missing)
        standing = self.catalog.unchanged([copy for copy, *_ in wrong])
        checks = []
        for copy, code, detail in wrong:
            if copy.location_id not in standing or (code is Code.MISSING_FILE and copy.location_id not in gone):
                continue
            self._add(copy, code, detail)
            if code in _PROVES:
                self.bad.add(copy.location_id)
                size, method = (copy.bytes or 0, "read") if code is Code.WRONG_CONTENT else (0, "look")
                checks.append(copy.check(as_of, _PROVES[code], method, size=size, detail=detail))
        self._write_down(checks, as_of)

    def _really_missing(self, copies: Iterable[Copy]) -> set[int]:
        """Which of these are missing: their store is there, and it is plain that no disk is away."""
        gone = set()
        for store_id, group in groupby(copies, key=lambda copy: copy.store_id):
            some, store = list(group), self.collection.stores[store_id]
            asked = [Asked(copy.key, Digest(copy.digest), copy.bytes or 0) for copy in some]
            found = store.examiner()(asked)
            away = [(copy, one) for copy, one in zip(some, found, strict=True) if one.outcome is Outcome.UNKNOWN]
            for copy, one in away:
                self.report.miss(store.describe(copy.key), one.detail)
            lost = {copy.location_id for copy, one in zip(some, found, strict=True) if one.outcome is Outcome.MISSING}
            if lost and self._reach(store_id):
                gone |= lost
        return gone

    def _read(self, odd: list[tuple[Copy, str]], budget: int, as_of: datetime) -> int:
        """Read copies that look changed, or were bad, as far as the budget allows; returns how many."""
        some = [pair for pair in odd if pair[0].bytes is not None][:budget]
        read = {copy.location_id for copy, _ in some}
        wrong: list[tuple[Copy, Code, str]] = [
            (copy, Code.TOUCHED, f"{how}; it was not read") for copy, how in odd if how and copy.location_id not in read
        ]
        checks = []
        for copy, how in some:
            store = self.collection.stores[copy.store_id]
            (found,) = store.examiner()([Asked(copy.key, Digest(copy.digest), copy.bytes or 0)])
            if found.outcome is Outcome.UNKNOWN:
                self.report.miss(store.describe(copy.key), found.detail)
            elif found.outcome is Outcome.OK:
                checks.append(copy.check(as_of, found.outcome, "read", size=found.bytes, detail=found.detail))
                if how:
                    wrong.append((copy, Code.TOUCHED, f"{how}; it was read, and is right"))
            elif found.outcome is Outcome.CORRUPT:
                wrong.append((copy, Code.WRONG_CONTENT, found.detail))
        self._settle(wrong, as_of)
        self._write_down(checks, as_of)
        return len(some)

    def _write_down(self, checks: list[Check], as_of: datetime) -> None:
        if checks and self.note:
            self.catalog.record_checks(checks, run_id=run_id(as_of))

    def _add(self, copy: Copy, code: Code, detail: str) -> None:
        store = self.collection.stores[copy.store_id]
        # What is only counted needs no words; of a sample nobody reads thousands of findings one by one.
        told = len(self.report.findings) < (TOLD if self.report.drawn else KEPT)
        whole = told and code in (*_PROVES, Code.SHARED_INODE)
        needed = self.needed_by(copy.digest) if whole else ""
        about = f"location {copy.location_id}"
        self.report.add(code, about, store.describe(copy.key), f"{detail}{needed}")

    def needed_by(self, digest: bytes) -> str:
        """Which documents a content is needed by, as the end of a sentence."""
        found = self.catalog.root_kinds(Digest(digest), as_of=self.report.as_of)
        documents = [f"document {number} ({name})" for number, name, _ in found.get("documents", ())]
        if not documents:
            return "; no document needs it"
        more = found["refs"] - len(documents[:NAMED])
        return f"; needed by {', '.join(documents[:NAMED])}" + (f" and {more:,} more" if more > 0 else "")

    def _shared(self, groups: list[list[int]]) -> None:
        """Files that stand for two contents; where one was read and is wrong, that was told."""
        wanted = {location for group in groups if self.bad.isdisjoint(group) for location in group}
        by_object: dict[int, list[Copy]] = {}
        for page in self._pages() if wanted else ():
            for copy in page:
                # Looked at again: what was removed meanwhile may have left its inode to another file.
                if copy.location_id in wanted and (found := self._look(copy)) and found[0]:
                    by_object.setdefault(found[0].object, []).append(copy)
        for copies in by_object.values():
            for copy in copies if len({copy.digest for copy in copies}) > 1 else ():
                self.bad.add(copy.location_id)
                self._add(copy, Code.SHARED_INODE, "its file has another name, on record with another content")

    def _clocks(self) -> None:
        """A file that changed in the future was changed by another clock than the catalog's."""
        now = self.collection.now()
        for store_id, newest_ns in self._newest_ns.items():
            ahead = from_us(newest_ns // 1000) - now
            if ahead.total_seconds() > SKEW_SECONDS:
                store = self.collection.stores[store_id]
                said = f"a file changed {ahead.total_seconds():,.0f} s later than the catalog's clock says it is"
                self.report.add(Code.CLOCK_SKEW, f"store {store.name}", store.root, said)

    def _tell(self, total: int | None = None) -> None:
        report = self.report
        self.progress(Progress("audit", report.files + report.copies, 0, total and total + report.files, None,
                               report.counts.total()))  # fmt: skip


def run_id(as_of: datetime) -> str:
    """The name of an audit among the runs."""
    return f"audit-{as_of.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z"
