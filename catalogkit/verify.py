"""Proving that the bytes are still right: read, hash, compare, and write down who was checked, when and how.

Copies are read oldest check first, so a run that is cut short by a budget, or by Ctrl-C, goes on where it matters
next time; every batch of results is in the ledger before the next is asked for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import InvalidInput, StoreError
from catalogkit.model import Check, Outcome
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.stores.contract import Asked, Examined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor, Future
    from datetime import datetime

    import polars as pl

    from catalogkit.catalog.contract import Coverage, Due
    from catalogkit.collection import Collection
    from catalogkit.model import Digest

PAGE: Final = 10_000
JOB_FILES: Final = 128
JOB_BYTES: Final = 32_000_000
KEPT_PROBLEMS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """A copy that is not ``ok``: where it is and what is wrong."""

    location_id: int
    sha256: str
    place: str
    outcome: str
    detail: str


@dataclass(slots=True)
class VerifyReport:
    """What a verification found.

    Attributes
    ----------
    ok, corrupt, missing, unknown : int
        Copies by outcome. ``unknown`` could not be decided (unreachable, forbidden); it never counts as bad.
    bytes : int
        Bytes read.
    unchecked : dict of str to int
        What was not checked, by reason; nothing is left out silently.
    findings : list of Finding
        Every copy that is not ``ok`` (the first ten thousand).
    coverage : Coverage
        How much of everything that is stored has been verified lately, this run included.
    """

    run_id: str = ""
    ok: int = 0
    corrupt: int = 0
    missing: int = 0
    unknown: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stopped: str = ""
    unchecked: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    coverage: Coverage | None = None

    @property
    def checked(self) -> int:
        """Copies read, whatever came of it."""
        return self.ok + self.corrupt + self.missing + self.unknown

    @property
    def clean(self) -> bool:
        """Whether nothing that was checked is corrupt, missing or unknown."""
        return self.checked == self.ok

    def frame(self) -> pl.DataFrame:
        """The findings as a frame."""
        import polars as pl

        columns = {"location_id": pl.Int64(), **dict.fromkeys(("sha256", "place", "outcome", "detail"), pl.String())}
        return pl.DataFrame([asdict(finding) for finding in self.findings], schema=columns, orient="row")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        coverage = self.coverage.to_dict() if self.coverage else None
        return asdict(self) | {"checked": self.checked, "coverage": coverage}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        shown = {name: getattr(self, name) for name in ("ok", "corrupt", "missing", "unknown", "bytes", "seconds")}
        shown |= {f"not checked: {reason}": count for reason, count in self.unchecked.items()}
        shown |= self.coverage.in_words() if self.coverage else {}
        return facts("Verify", shown | {finding.place: finding.detail for finding in self.findings[:20]})


def verify(
    collection: Collection,
    document_ids: Sequence[int] | None = None,
    *,
    max_age: timedelta | None = None,
    budget: timedelta | None = None,
    max_bytes: int | None = None,
    concurrency: int | None = None,
    fail_fast: bool = False,
    resume: bool = False,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
    executor: Executor | None = None,
    stop: threading.Event | None = None,
) -> VerifyReport:
    """Read copies, hash them, compare, and add the results to the ledger.

    Parameters
    ----------
    document_ids
        Only the copies of these documents; an empty list checks nothing. All copies without it.
    max_age
        Only copies whose last check is older than this.
    budget, max_bytes
        Stop after this much time, or about this many bytes read; longest unchecked come first.
    concurrency
        How many copies are read at once; the number of processors without it.
    fail_fast
        Stop at the first copy that is corrupt or missing, and keep the results so far.
    resume
        Go on with the last run of this kind that did not end: what it checked is not checked again.
    as_of
        The time of the checks; the collection's clock without it.
    executor
        Workers to use instead of own ones (any `concurrent.futures.Executor`).
    stop
        Set it from another thread to end the run early, as Ctrl-C does.

    Returns
    -------
    VerifyReport

    Raises
    ------
    InvalidInput
        If an argument is not acceptable.
    """
    for name, value in (("budget", budget), ("max_age", max_age)):
        if value is not None and value < timedelta(0):
            raise InvalidInput(f"{name} must not be negative")
    if (max_bytes is not None and max_bytes < 0) or (concurrency is not None and concurrency < 1):
        raise InvalidInput("max_bytes must not be negative, concurrency at least 1")
    run = _Run(collection, as_of or collection.now(), progress, stop or threading.Event())
    run.limits(budget, max_bytes, fail_fast)
    return run.over(document_ids, max_age, resume, concurrency, executor)


async def verify_batch(
    record_ids: Sequence[int],
    max_concurrent: int = 5,
    *,
    collection: Collection | None = None,
    fail_fast: bool = False,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
) -> VerifyReport:
    """Verify the copies of some documents, without holding up the event loop.

    Parameters
    ----------
    record_ids
        Document ids; an empty list checks nothing.
    max_concurrent
        How many copies are read at once.
    collection
        The collection; without it the one of ``$CATALOGKIT_HOME``, or of the current folder.

    Notes
    -----
    Cancelling the task ends the run after the reads under way; their results are kept.
    """
    from catalogkit.collection import open_collection

    opened = collection or open_collection()
    stop = threading.Event()
    try:
        return await asyncio.to_thread(
            verify,
            opened,
            record_ids,
            concurrency=max_concurrent,
            fail_fast=fail_fast,
            as_of=as_of,
            progress=progress,
            stop=stop,
        )
    except asyncio.CancelledError:
        stop.set()
        raise
    finally:
        if collection is None:
            opened.close()


class _Run:
    """One verification: pages of copies that are due, jobs for workers, results into the ledger."""

    def __init__(self, collection: Collection, as_of: datetime, progress: OnProgress, stop: threading.Event) -> None:
        self.collection, self.as_of, self.progress, self.stop = collection, as_of, progress, stop
        self.report = VerifyReport(f"verify-{as_of:%Y%m%dT%H%M%S.%f}Z")
        self.unreachable: dict[int, str] = {}
        self.asked_bytes = 0
        self.total: tuple[int, int] | None = None

    def limits(self, budget: timedelta | None, max_bytes: int | None, fail_fast: bool) -> None:
        self.deadline = None if budget is None else time.monotonic() + budget.total_seconds()
        self.max_bytes, self.fail_fast = max_bytes, fail_fast

    def over(
        self,
        document_ids: Sequence[int] | None,
        max_age: timedelta | None,
        resume: bool,
        concurrency: int | None,
        executor: Executor | None,
    ) -> VerifyReport:
        began, catalog, report = time.monotonic(), self.collection.catalog, self.report
        before, mark = self.as_of, catalog.last_check_id()
        if max_age is not None:
            before -= max_age
        elif resume and (last := catalog.unfinished_run("verify")):
            report.run_id, before = last
        else:
            # Everything, however lately checked; what this run itself has checked is told by the ledger's mark.
            before += timedelta(days=365_000)
        digests = self._digests(document_ids)
        count, size = (len(digests), 0) if digests is not None else catalog.due_totals(before=before, up_to_check=mark)
        self.total = None if digests is not None else (count, size)
        self._reach()
        if document_ids is None:
            catalog.start_run(report.run_id, "verify", as_of=self.as_of)
        own = executor is None
        workers = executor or self.collection.store.executor(concurrency or _processors(), count, size)
        try:
            self._work(self._pages(before, mark, digests), workers, concurrency or _processors())
        except BaseException:
            report.stopped = "interrupted"
            raise
        finally:
            if own:
                workers.shutdown(cancel_futures=True)
            report.seconds = time.monotonic() - began
        if document_ids is None and not report.stopped:
            summary = {name: getattr(report, name) for name in ("ok", "corrupt", "missing", "unknown", "bytes")}
            catalog.end_run(report.run_id, summary, as_of=self.as_of)
        if report.stopped and self.total:
            report.unchecked[report.stopped] += max(self.total[0] - report.checked, 0)
        report.coverage = catalog.coverage(as_of=self.as_of)
        return report

    def _digests(self, document_ids: Sequence[int] | None) -> list[Digest] | None:
        if document_ids is None:
            return None
        found = self.collection.catalog.digests_of(document_ids)
        absent = [document_id for document_id in document_ids if document_id not in found]
        if absent:
            self.report.unchecked["no such document"] += len(absent)
        return list(dict.fromkeys(found.values()))

    def _reach(self) -> None:
        self.unreachable.clear()
        for store_id, store in self.collection.stores.items():
            try:
                store.reach()
            except StoreError as problem:
                self.unreachable[store_id] = str(problem)

    def _pages(self, before: datetime, mark: int, digests: Sequence[Digest] | None) -> Iterator[list[Due]]:
        due, after = self.collection.catalog.due, (-1, -1)
        if digests is not None:
            for start in range(0, len(digests), PAGE):
                yield due(before=before, limit=PAGE, up_to_check=mark, digests=digests[start : start + PAGE])
            return
        while page := due(before=before, limit=PAGE, after=after, up_to_check=mark):
            after = (page[-1].checked_us, page[-1].location_id)
            yield sorted(page, key=lambda due: (due.store_id, due.key))  # one folder's files together

    def _work(self, pages: Iterator[list[Due]], workers: Executor, concurrency: int) -> None:
        """Keep a few jobs ahead of the workers, never more, so that memory and what an interrupt loses stay small."""
        running: dict[Future[list[Examined]], list[Due]] = {}
        try:
            for job in self._jobs(pages, concurrency):
                store = self.collection.stores[job[0].store_id]
                asked = [Asked(due.key, due.digest, due.bytes) for due in job]
                running[workers.submit(store.examiner(), asked)] = job
                while len(running) >= 2 * concurrency:
                    self._collect(running)
                if self._over():
                    break
            while running and self.report.stopped != "fail_fast":
                self._collect(running)
        finally:
            # What was read is worth keeping, also when the rest was cancelled or interrupted.
            for future in running:
                future.cancel()
            wait(running)
            self._record([(f, job) for f, job in running.items() if not f.cancelled() and not f.exception()])

    def _jobs(self, pages: Iterator[list[Due]], concurrency: int) -> Iterator[list[Due]]:
        for page in pages:
            # A handful of copies is spread over all readers; a page of many goes out in jobs that are worth sending.
            files = max(1, min(JOB_FILES, len(page) // (2 * concurrency)))
            job: list[Due] = []
            size = 0
            for due in page:
                if due.store_id in self.unreachable:
                    self._leave(due)
                    continue
                if job and (len(job) >= files or size >= JOB_BYTES or due.store_id != job[0].store_id):
                    yield job
                    job, size = [], 0
                if self.max_bytes is not None and self.asked_bytes >= self.max_bytes:
                    self.report.stopped = "byte budget used up"
                    break
                job.append(due)
                size += due.bytes
                self.asked_bytes += due.bytes
            if job:
                yield job
            if self.report.stopped:
                return

    def _over(self) -> bool:
        report = self.report
        if self.fail_fast and report.corrupt + report.missing:
            report.stopped = "fail_fast"
        elif self.stop.is_set():
            report.stopped = "interrupted"
        elif self.deadline is not None and time.monotonic() >= self.deadline:
            report.stopped = "time budget used up"
        return bool(report.stopped)

    def _leave(self, due: Due) -> None:
        """A store that cannot be reached proves nothing about its copies: unknown, and in the ledger as that."""
        self._note([(due, Examined(Outcome.UNKNOWN, 0, self.unreachable[due.store_id]))])

    def _collect(self, running: dict[Future[list[Examined]], list[Due]]) -> None:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        self._record([(future, running.pop(future)) for future in done])
        self._over()

    def _record(self, done: list[tuple[Future[list[Examined]], list[Due]]]) -> None:
        results = [pair for future, job in done for pair in zip(job, future.result(), strict=True)]
        if any(found.outcome is Outcome.MISSING for _, found in results):
            # Missing is a strong word: is the store still there, or was its disk taken away meanwhile?
            self._reach()
            results = [
                (due, Examined(Outcome.UNKNOWN, 0, self.unreachable[due.store_id]))
                if found.outcome is Outcome.MISSING and due.store_id in self.unreachable
                else (due, found)
                for due, found in results
            ]
        self._note(results)

    def _note(self, results: list[tuple[Due, Examined]]) -> None:
        if not results:
            return
        report = self.report
        self.collection.catalog.record_checks(
            [
                Check(
                    location_id=due.location_id,
                    sha256=due.digest,
                    checked_at=self.as_of,
                    outcome=found.outcome,
                    bytes=found.bytes,
                    detail=found.detail,
                )
                for due, found in results
            ],
            run_id=report.run_id,
        )
        for due, found in results:
            setattr(report, found.outcome.value, getattr(report, found.outcome.value) + 1)
            report.bytes += found.bytes
            if found.outcome is not Outcome.OK and len(report.findings) < KEPT_PROBLEMS:
                place = self.collection.stores[due.store_id].describe(due.key)
                report.findings.append(
                    Finding(due.location_id, str(due.digest), place, found.outcome.value, found.detail)
                )
        total, total_bytes = self.total or (None, None)
        troubles = report.corrupt + report.missing + report.unknown
        self.progress(Progress("verify", report.checked, report.bytes, total, total_bytes, troubles))


def _processors() -> int:
    import os

    return os.cpu_count() or 1
