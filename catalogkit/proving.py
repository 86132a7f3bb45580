"""One run of a verification: pages of due copies, jobs for workers, results into the ledger.

Where a copy is well, only the number of bytes read crosses from the workers and waits for the ledger; anything else
is an `Examined`.
"""

from __future__ import annotations

import itertools
import sys
import time
from concurrent.futures import FIRST_COMPLETED, wait
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from catalogkit.errors import StoreError
from catalogkit.leasing import Leases
from catalogkit.model import Check, Outcome, from_us, to_us
from catalogkit.progress import OnProgress, Progress
from catalogkit.stores.contract import Asked, Examined
from catalogkit.stores.reading import examine_rows
from catalogkit.stores.s3.store import S3Layout
from catalogkit.units import parse_duration

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future
    from datetime import timedelta

    from catalogkit.catalog.contract import Due
    from catalogkit.collection import Collection
    from catalogkit.model import Digest
    from catalogkit.policies.prices import Spending
    from catalogkit.signals import Told
    from catalogkit.verify import VerifyReport

    Rows = tuple[list[int | Examined], list[float]]

PAGE: Final = 10_000
JOB_FILES: Final = 128
JOB_BYTES: Final = 32_000_000
# Somebody else's workers are asked over a network, by a program that has to keep account of each job: fewer, larger.
FOREIGN_FILES: Final = 512
FOREIGN_BYTES: Final = 128_000_000
# A transaction costs a sync, and every page of the database that its rows touch: many rows share them.
LEDGER_ROWS: Final = 20_000
LEDGER_SECONDS: Final = 1.0

INTERRUPTED: Final = "interrupted"
FAIL_FAST: Final = "fail_fast"
OUT_OF_TIME: Final = "time budget used up"
OUT_OF_BYTES: Final = "byte budget used up"
OUT_OF_MONEY: Final = "money budget used up"
NOT_SAMPLED: Final = "not in this sample"
LATELY: Final = "checked lately enough"
RARELY: Final = "checked lately enough for its store"
ARCHIVED: Final = "in an archive, where only a job of the server checks: `catalogkit store evidence`"
ELSEWHERE: Final = "another run is at it"
MEANWHILE: Final = "dropped, or checked by another run, meanwhile"
_EVER: Final = datetime.max.replace(tzinfo=UTC)


class Run:
    """One verification; its `report` tells how it goes."""

    def __init__(
        self,
        collection: Collection,
        report: VerifyReport,
        as_of: datetime,
        progress: OnProgress,
        stop: threading.Event,
        told: Told,
    ) -> None:
        self.catalog, self.stores, self.main = collection.catalog, collection.stores, collection.store
        self.as_of, self.progress, self.stop = as_of, progress, stop
        self._archives, self._rarer = _rare(collection, as_of)
        self.report, self.told = report, told
        self.unreachable: dict[int, str] = {}
        self.asked_bytes = 0
        self.unwritten: list[tuple[Due, int | Examined]] = []
        self.leases = Leases(collection, "verify", _name, self._still)
        self.written_at = time.monotonic()

    def limit(
        self,
        budget: timedelta | None,
        max_bytes: int | None,
        max_copies: int | None,
        fail_fast: bool,
        spending: Spending,
    ) -> None:
        """Set what ends the run early, and how many copies it is about at most."""
        self.spending = spending
        self.deadline = None if budget is None else time.monotonic() + budget.total_seconds()
        self.max_bytes, self.max_copies, self.fail_fast = max_bytes, max_copies, fail_fast

    def over(
        self,
        document_ids: Sequence[int] | None,
        max_age: timedelta | None,
        resume: bool,
        concurrency: int,
        executor: Executor | None,
    ) -> None:
        """Prove what is due of all copies, or of some documents'."""
        began, catalog, report = time.monotonic(), self.catalog, self.report
        self._choose(document_ids, max_age, resume)
        self._reach()
        if document_ids is None:
            catalog.start_run(report.run_id, "verify", as_of=self.as_of)
        workers, self.foreign = executor or self.main.executor(concurrency, *self.total), executor is not None
        try:
            with self.leases:
                self._work(workers, concurrency)
        except BaseException:
            report.stopped = INTERRUPTED
            raise
        finally:
            if executor is None:
                workers.shutdown(cancel_futures=True)
            report.seconds = time.monotonic() - began
        elsewhere = min(self.leases.elsewhere, self.total[0] - report.checked)
        self._leave_out(ELSEWHERE, elsewhere)
        left = self.total[0] - report.checked - elsewhere
        if left <= 0:
            report.stopped = ""  # it was to stop, and was through
        self._leave_out(report.stopped or MEANWHILE, left)
        if document_ids is None and not report.stopped:
            summary = {
                name: getattr(report, name) for name in ("ok", "corrupt", "missing", "unknown", "bytes", "seconds")
            }
            catalog.end_run(report.run_id, summary, as_of=self.as_of)
        if document_ids is None:  # it takes a look at every copy there is
            report.coverage = catalog.coverage(as_of=self.as_of)

    # -- what is due -------------------------------------------------------------------------------------------

    def _choose(self, document_ids: Sequence[int] | None, max_age: timedelta | None, resume: bool) -> None:
        """Settle which copies are due and how many they are; count those that are left out."""
        # Everything, however lately checked; what this run itself has checked is told by the ledger's mark.
        self.before, self.mark = _EVER, self.catalog.last_check_id()
        self.digests: list[Digest] | None = None
        if max_age is not None:
            # However long ago that is, what was never checked, at time 0, is older.
            self.before = self.as_of - min(max_age, self.as_of - from_us(1))
        if document_ids is not None:
            self._choose_documents(list(dict.fromkeys(document_ids)))
            return
        if resume and (last := self.catalog.unfinished_run("verify")):
            self.report.run_id, self.before = last[0], min(self.before, last[1])
        self.total = self.catalog.due_totals(before=self.before, up_to_check=self.mark)
        if self.before is not _EVER:
            everything, _ = self.catalog.due_totals(before=_EVER, up_to_check=self.mark)
            self._leave_out(LATELY, everything - self.total[0])
        counted: dict[int, datetime] = {}
        for reason, rarer in ((ARCHIVED, self._archives), (RARELY, self._rarer)):
            if rarer != counted:
                due, counted = self.total[0], rarer
                self.total = self.catalog.due_totals(before=self.before, up_to_check=self.mark, rarer=rarer)
                self._leave_out(reason, due - self.total[0])
        count, size = self.total
        if self.max_copies is not None and self.max_copies < count:
            self._leave_out(NOT_SAMPLED, count - self.max_copies)
            # Nobody knows the sample's bytes before it is drawn; the mean tells progress what to expect.
            self.total = self.max_copies, size * self.max_copies // count

    def _choose_documents(self, document_ids: list[int]) -> None:
        found = self.catalog.digests_of(document_ids)
        self.digests = list(dict.fromkeys(found.values()))
        before_us, copied = to_us(self.before), set()
        count = size = lately = archived = 0
        for due in itertools.chain.from_iterable(self._pages()):
            copied.add(due.digest)
            if due.store_id in self._archives:
                archived += 1
            elif due.checked_us < before_us:
                count, size = count + 1, size + due.bytes
            else:
                lately += 1
        self.total = count, size
        self._leave_out("no such document", len(document_ids) - len(found))
        self._leave_out("no copy is known", sum(digest not in copied for digest in found.values()))
        self._leave_out(LATELY, lately)
        self._leave_out(ARCHIVED, archived)

    def _leave_out(self, reason: str, count: int) -> None:
        if count > 0:
            self.report.unchecked[reason] += count

    def _reach(self) -> None:
        self.unreachable.clear()
        for store_id, store in self.stores.items():
            try:
                store.reach()
            except StoreError as problem:
                self.unreachable[store_id] = str(problem)

    def _why_away(self, store_id: int) -> str:
        return self.unreachable.get(store_id, "its store was added after the collection was opened; open it again")

    def _pages(self) -> Iterator[list[Due]]:
        """Copies, longest unchecked first; of those checked at one time, a folder's files together."""
        due, after, order = self.catalog.due, (-1, -1), attrgetter("checked_us", "store_id", "key")
        if self.digests is not None:
            for start in range(0, len(self.digests), PAGE):
                some = self.digests[start : start + PAGE]
                yield sorted(due(before=self.before, limit=PAGE, up_to_check=self.mark, digests=some), key=order)
            return
        left = self.total[0] if self.max_copies is not None else sys.maxsize
        rarer, mark = self._rarer, self.mark
        while left and (
            page := due(before=self.before, limit=min(PAGE, left), after=after, up_to_check=mark, rarer=rarer)
        ):
            after, left = (page[-1].checked_us, page[-1].location_id), left - len(page)
            yield sorted(page, key=order)

    def _still(self, some: Sequence[Due]) -> set[str]:
        """Which of these copies nobody has checked since this run began."""
        checked = self.catalog.checked_since([due.location_id for due in some], self.mark)
        return {_name(due) for due in some if due.location_id not in checked}

    def _jobs(self, concurrency: int) -> Iterator[list[Due]]:
        before_us = to_us(self.before)
        for page in itertools.chain.from_iterable(map(self.leases.parts, self._pages())):
            # A store that cannot be reached proves nothing about its copies: unknown, and in the ledger as that.
            here = self.stores.keys() - self.unreachable.keys()
            away = [due for due in page if due.store_id not in here]
            self._note(away, [Examined(Outcome.UNKNOWN, 0, self._why_away(due.store_id)) for due in away])
            # A handful of copies is spread over all readers; a page of many goes out in jobs that are worth sending.
            files = max(1, min(FOREIGN_FILES if self.foreign else JOB_FILES, len(page) // (2 * concurrency)))
            most = JOB_BYTES
            if self.foreign:
                most = max(most, min(FOREIGN_BYTES, sum(due.bytes for due in page) // (8 * concurrency)))
            job: list[Due] = []
            size = 0
            for due in page:
                late = due.checked_us < before_us and not (self.digests and due.store_id in self._archives)
                if not late or (away and due.store_id not in here):
                    continue
                if job and (len(job) >= files or size >= most or due.store_id != job[0].store_id):
                    yield job
                    job, size = [], 0
                if self.max_bytes is not None and self.asked_bytes >= self.max_bytes:
                    self.report.stopped = OUT_OF_BYTES
                    break
                if not self.spending.add(due.store_id, due.bytes):
                    self.report.stopped = OUT_OF_MONEY
                    break
                job.append(due)
                size += due.bytes
                self.asked_bytes += due.bytes
            if job:
                yield job
            if self.report.stopped:
                return

    # -- reading -----------------------------------------------------------------------------------------------

    def _work(self, workers: Executor, concurrency: int) -> None:
        """Keep a few jobs ahead of the workers, never more, so that memory and what an interrupt loses stay small."""
        running: dict[Future[Rows], list[Due]] = {}
        try:
            for job in self._jobs(concurrency):
                rows = [(due.key, bytes(due.digest), due.bytes) for due in job]
                examiner = self.stores[job[0].store_id].examiner()
                running[workers.submit(examine_rows, examiner, rows, self.told.heard)] = job
                while len(running) >= 2 * concurrency:
                    self._collect(running)
                # Only now, so that the shortest of budgets gets somewhere.
                if self._over():
                    break
            while running and self.report.stopped in ("", OUT_OF_BYTES, OUT_OF_MONEY):
                self._collect(running)
        finally:
            # What was read is worth keeping, also when the rest was cancelled or interrupted.
            for future in running:
                future.cancel()
            wait(running)
            try:
                for future, job in running.items():
                    if not future.cancelled() and not future.exception():
                        self._record(job, future)
            finally:
                self._write()

    def _over(self) -> bool:
        report = self.report
        if self.fail_fast and report.corrupt + report.missing:
            report.stopped = FAIL_FAST
        elif self.stop.is_set():
            report.stopped = INTERRUPTED
        elif self.deadline is not None and time.monotonic() >= self.deadline:
            report.stopped = OUT_OF_TIME
        return bool(report.stopped)

    def _collect(self, running: dict[Future[Rows], list[Due]]) -> None:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in [one for one in running if one in done]:  # in the order of asking, so that two runs tell the same
            self._record(running.pop(future), future)
        self._over()

    def _record(self, job: list[Due], future: Future[Rows]) -> None:
        found = _results(job, lambda: self._timed(future.result()))
        gone = [n for n, one in enumerate(found) if isinstance(one, Examined) and one.outcome is Outcome.MISSING]
        if gone:
            # Missing is a strong word. A plan that moves copies removes a file before others see that its record went:
            # what is no longer on record once that is through is left out. The others are looked at again, for a file
            # may just have been published anew; and is the store still there, or was its disk taken away meanwhile?
            standing = self.catalog.standing([job[n].location_id for n in gone])
            dropped = {n for n in gone if job[n].location_id not in standing}
            copies = [job[n] for n in gone if n not in dropped]
            examine = self.stores[job[0].store_id].examiner()
            asked = [Asked(due.key, due.digest, due.bytes) for due in copies]
            again = _results(copies, lambda: examine(asked))
            self._reach()
            for n, due, one in zip((n for n in gone if n not in dropped), copies, again, strict=True):
                away = isinstance(one, Examined) and one.outcome is Outcome.MISSING and due.store_id in self.unreachable
                found[n] = Examined(Outcome.UNKNOWN, 0, self.unreachable[due.store_id]) if away else one
            self.leases.done(job[n] for n in dropped)
            job = [due for n, due in enumerate(job) if n not in dropped]
            found = [one for n, one in enumerate(found) if n not in dropped]
        self._note(job, found)

    def _timed(self, rows: Rows) -> list[int | Examined]:
        found, took = rows
        self.told.sample("verification_ms", took)
        return found

    # -- writing down ------------------------------------------------------------------------------------------

    def _note(self, job: list[Due], found: list[int | Examined]) -> None:
        """Count results, and write them down once they are many or the last time was a while ago."""
        report = self.report
        self.unwritten.extend(zip(job, found, strict=True))
        plain = [one for one in found if isinstance(one, int)]
        report.add(Outcome.OK, sum(plain), len(plain))
        for due, one in zip(job, found, strict=True) if len(plain) < len(found) else ():
            if isinstance(one, Examined):
                report.add(one.outcome, one.bytes)
                place = self.stores[due.store_id].describe(due.key) if due.store_id in self.stores else due.key
                report.keep(due.location_id, due.digest, place, one.outcome, one.detail)
        if len(self.unwritten) >= LEDGER_ROWS or time.monotonic() - self.written_at >= LEDGER_SECONDS:
            self._write()
        self.progress(Progress("verify", report.checked, report.bytes, *self.total, report.checked - report.ok))

    def _write(self) -> None:
        # In the order of the table, so that neighbours share its pages.
        self.unwritten.sort(key=lambda pair: pair[0].location_id)
        checks = [_check(due, one, self.as_of) for due, one in self.unwritten]
        if checks:
            self.catalog.record_checks(checks, run_id=self.report.run_id)
            self.leases.done(due for due, _ in self.unwritten)
        self.unwritten.clear()
        self.written_at = time.monotonic()


def _name(due: Due) -> str:
    return str(due.location_id)


def _rare(collection: Collection, as_of: datetime) -> tuple[dict[int, datetime], dict[int, datetime]]:
    """Stores that nobody can read, with the beginning of time; and these with those that have a cadence of their own.

    What a store's cadence spares is what was checked within it; what never was is due, but for an archive.
    """
    ids = {store.name: number for number, store in collection.stores.items()}
    archives = {
        number: from_us(0)
        for number, store in collection.stores.items()
        if isinstance(store, S3Layout) and store.settings.archive
    }
    cadence = {ids[name]: parse_duration(text) for name, text in collection.config.cadence.items() if name in ids}
    befores = {number: as_of - min(length, as_of - from_us(1)) for number, length in cadence.items()}
    return archives, ({**befores, **archives} if befores else archives)


def _check(due: Due, found: int | Examined, as_of: datetime) -> Check:
    outcome, size, detail = (
        (Outcome.OK, found, "") if isinstance(found, int) else (found.outcome, found.bytes, found.detail)
    )
    return Check(
        location_id=due.location_id, sha256=due.digest, checked_at=as_of, outcome=outcome, bytes=size, detail=detail,
        changed_us=due.changed_us,
    )  # fmt: skip


def _results(job: list[Due], examined: Callable[[], Sequence[int | Examined]]) -> list[int | Examined]:
    """What reading a job found; where the store itself failed, nothing is known about any of it."""
    try:
        return list(examined())
    except (OSError, StoreError) as problem:
        return [Examined(Outcome.UNKNOWN, 0, f"cannot be read: {problem}")] * len(job)
