"""Extracts the blobs of a collection that are due: never read, or read by an older extractor.

What was told is in the catalog within about a second, and what is there is not due any more: a run that is cut short,
by a budget, a limit or Ctrl-C, goes on where it was. Facts are noted only if the bytes that were read have the digest
they should have; a copy that has not is examined, and the result goes into the verification ledger. Several machines
share the work out by leases (`catalogkit.leasing`).
"""

from __future__ import annotations

import itertools
import threading
import time
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final

from catalogkit.catalog.rows import DueContent
from catalogkit.content import Reason
from catalogkit.errors import InvalidInput
from catalogkit.extract.borrowed import Borrowed
from catalogkit.extract.extractor import good_copies, open_blob
from catalogkit.extract.registry import versions
from catalogkit.extract.report import KEPT_FINDINGS, ExtractReport, Unread
from catalogkit.extract.sandbox import Sandbox
from catalogkit.leasing import Leases
from catalogkit.model import Check, Digest, Outcome, to_us
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.signals import STOPPED, operation
from catalogkit.stores.contract import Asked
from catalogkit.workers import processors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor
    from datetime import datetime
    from typing import BinaryIO

    from catalogkit.catalog.contract import Catalog
    from catalogkit.collection import Collection
    from catalogkit.content import ContentMetadata
    from catalogkit.extract.worker import Answer
    from catalogkit.model import LocationRecord
    from catalogkit.policies.extract import Limits

PAGE: Final = 5_000
BATCH_ROWS: Final = 500
BATCH_SECONDS: Final = 1.0
INTERRUPTED: Final = "interrupted"
OUT_OF_TIME: Final = "time budget used up"
OUT_OF_DOCUMENTS: Final = "limit reached"


def extract(
    collection: Collection,
    document_ids: Sequence[int] | None = None,
    *,
    again: str = "",
    limit: int | None = None,
    budget: timedelta | None = None,
    concurrency: int | None = None,
    limits: Limits | None = None,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
    executor: Executor | None = None,
    stop: threading.Event | None = None,
) -> ExtractReport:
    """Extract the blobs that are due, and record what is inside them.

    Parameters
    ----------
    document_ids
        Only the blobs of these documents; all without it.
    again
        What is not due all the same: ``all``, ``refused``, or one of the reasons of `catalogkit.content.Reason`.
    limit, budget
        Stop after so many blobs, or this much time.
    concurrency
        How many are read at once; the number of processors without it.
    limits
        What one document may take; the collection's settings without it.
    as_of
        The time of the facts; the collection's clock without it.
    executor
        Workers to use instead of own ones (any `concurrent.futures.Executor`); `concurrency` says how many they are.
    stop
        Set it from another thread to end the run early, as Ctrl-C does.

    Raises
    ------
    InvalidInput
        If an argument is not acceptable.

    Examples
    --------
    >>> ck.extract(c).extracted  # two documents share a blob
    2
    """
    if (limit is not None and limit < 0) or (concurrency is not None and concurrency < 1):
        raise InvalidInput("limit must not be negative, concurrency at least 1")
    if again not in (known := ("", "all", "refused", *Reason)):
        raise InvalidInput(f"nothing was told as {again!r}; use {', '.join(known[1:])}")
    if budget is not None and budget < timedelta(0):
        raise InvalidInput("budget must not be negative")
    when = as_of or collection.now()
    to_us(when)
    report = ExtractReport(f"extract-{when.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z")
    with operation("extract") as told:
        told.tally(report, "extracted", "refused", "unread", "bytes")
        run = _Run(collection, report, when, progress, stop or threading.Event())
        run.choose(document_ids, again, limit, budget)
        run.over(limits or collection.config.extract, concurrency or processors(), executor)
        told.outcome = STOPPED if report.stopped else told.outcome
    return report


def told_before(catalog: Catalog, again: str) -> list[DueContent]:
    """Live blobs that something was told of, or that were refused, for one reason or for any."""
    import polars as pl

    contents = catalog.frame("contents").select("sha256", "reason")
    if again != "all":
        contents = contents.filter(pl.col("reason").is_not_null() if again == "refused" else pl.col("reason") == again)
    live = catalog.frame("blobs").filter(pl.col("state") == "live").join(contents, on="sha256", how="semi")
    return [
        DueContent(Digest.parse(row[0]), row[1], row[2]) for row in live.select("sha256", "bytes", "media_type").rows()
    ]


class _Run:
    """One run; its `report` tells how it goes."""

    def __init__(
        self,
        collection: Collection,
        report: ExtractReport,
        as_of: datetime,
        progress: OnProgress,
        stop: threading.Event,
    ) -> None:
        self.collection, self.catalog = collection, collection.catalog
        self.report, self.as_of, self.progress, self.stop = report, as_of, progress, stop
        self.versions = versions()
        self.opened: dict[Digest, LocationRecord] = {}
        self.again: list[DueContent] = []
        self.unwritten: list[tuple[Digest, ContentMetadata]] = []
        self.decided: list[DueContent] = []
        self.leases = Leases(collection, "extract", _name, self._still)
        self.began = self.written_at = time.monotonic()

    def choose(
        self, document_ids: Sequence[int] | None, again: str, limit: int | None, budget: timedelta | None
    ) -> None:
        """What is to be read, and for how long."""
        self.limit = limit
        self.deadline = None if budget is None else self.began + budget.total_seconds()
        self.some: list[DueContent] | None = None
        if again or document_ids is not None:
            wanted = None if document_ids is None else set(self.catalog.digests_of(document_ids).values())
            self.some = [one for one in self._candidates(again) if wanted is None or one.digest in wanted]
        self.mark = self.catalog.last_content_id()
        count, size = (
            self.catalog.contents_due_totals(self.versions)
            if self.some is None
            else (len(self.some), sum(one.bytes for one in self.some))
        )
        self.total = count, size

    def _candidates(self, again: str) -> list[DueContent]:
        """Everything that is due, and what is wanted again besides."""
        found = {one.digest: one for page in self._pages() for one in page}
        if again:
            for one in told_before(self.catalog, again):
                found.setdefault(one.digest, one)
        return [found[digest] for digest in sorted(found)]

    def _pages(self) -> Iterator[list[DueContent]]:
        after = b""
        while page := self.catalog.contents_due(self.versions, after=after, limit=PAGE):
            yield page
            after = page[-1].digest

    def _asked(self) -> Iterator[DueContent]:
        """What to read, until there is a reason to stop."""
        pages = self._pages() if self.some is None else iter([self.some])
        count = 0
        for page in itertools.chain.from_iterable(map(self.leases.parts, pages)):
            for one in page:
                if self._over(count):
                    return
                count += 1
                yield one

    def _still(self, some: Sequence[DueContent]) -> set[str]:
        """Which of these nobody looked into since this run began."""
        told = self.catalog.contents_told([one.digest for one in some], since=self.mark)
        return {_name(one) for one in some if one.digest not in told}

    def _over(self, count: int) -> bool:
        report = self.report
        if self.stop.is_set():
            report.stopped = INTERRUPTED
        elif self.limit is not None and count >= self.limit:
            report.stopped = OUT_OF_DOCUMENTS
        elif self.deadline is not None and count and time.monotonic() >= self.deadline:
            report.stopped = OUT_OF_TIME
        return bool(report.stopped)

    def over(self, limits: Limits, concurrency: int, executor: Executor | None) -> None:
        """Read it all."""
        self.collection.store.reach()
        self.catalog.start_run(self.report.run_id, "extract", as_of=self.as_of)
        try:
            with self.leases:
                try:
                    self._read(limits, concurrency, executor)
                finally:
                    self._write()
        finally:
            self.report.elsewhere = self.leases.elsewhere
            self.report.seconds = round(time.monotonic() - self.began, 3)
            self.report.left, _ = self.catalog.contents_due_totals(self.versions)
        summary = {name: getattr(self.report, name) for name in ("extracted", "refused", "unread", "bytes", "left")}
        self.catalog.end_run(self.report.run_id, summary, as_of=self.as_of)

    def _read(self, limits: Limits, concurrency: int, executor: Executor | None) -> None:
        # A bad copy was found last: the other ones are still to be tried.
        rounds = (self._asked, self._asked_again)
        if executor is None:
            with Sandbox(limits, concurrency) as sandbox:
                for asked in rounds:
                    for due, answer in sandbox.read(asked(), self._open):
                        self._take(due, answer)
            return
        stores = {store.name: store for store in self.collection.stores.values()}
        workers = Borrowed(executor, stores, limits, concurrency)
        for asked in rounds:
            for due, told in workers.read(asked(), lambda one: good_copies(self.collection, one.digest)):
                if told.copy is not None:
                    self.opened[due.digest] = told.copy
                self._take(due, told.answer)

    def _asked_again(self) -> Iterator[DueContent]:
        while self.again and not self.stop.is_set():
            yield self.again.pop()

    def _open(self, due: DueContent) -> BinaryIO:
        file, copy = open_blob(self.collection, due.digest)
        self.opened[due.digest] = copy
        return file

    def _take(self, due: DueContent, answer: Answer) -> None:
        """Keep what was told of the right bytes; of wrong ones find out more."""
        report, copy = self.report, self.opened.pop(due.digest, None)
        if answer.problem:
            self._unread(due, copy, answer.problem)
        elif answer.sha256 != due.digest or answer.size_bytes != due.bytes:
            assert copy is not None
            self._examine(due, copy)
        else:
            assert answer.content is not None
            self.decided.append(due)
            self.unwritten.append((due.digest, answer.content))
            report.bytes += due.bytes
            if answer.content.reason is None:
                report.extracted += 1
            else:
                report.refused += 1
                report.reasons[answer.content.reason.value] += 1
        if len(self.unwritten) >= BATCH_ROWS or time.monotonic() - self.written_at >= BATCH_SECONDS:
            self._write()
        done = report.read + report.unread
        self.progress(Progress("extract", done, report.bytes, *self.total, report.unread))

    def _examine(self, due: DueContent, copy: LocationRecord) -> None:
        """Look again, as verification does, and note the result; if another copy may be good, it is read instead."""
        store = self.collection.stores[self.collection.store_id(copy.store)]
        (found,) = store.examiner()([Asked(copy.key, due.digest, due.bytes)])
        check = Check(
            location_id=copy.id, sha256=due.digest, checked_at=self.as_of, outcome=found.outcome, bytes=found.bytes,
            method="extract", detail=found.detail or "read twice: once wrong, once right",
        )  # fmt: skip
        self.catalog.record_checks([check], run_id=self.report.run_id)
        others = [one for one in self.catalog.locations_of(due.digest) if one.id != copy.id]
        if found.outcome is not Outcome.OK and any(one.outcome in (None, "ok", "unknown") for one in others):
            self.again.append(due)
        else:
            self._unread(due, copy, check.detail, found.outcome.value)

    def _unread(self, due: DueContent, copy: LocationRecord | None, detail: str, outcome: str = "") -> None:
        self.report.unread += 1
        self.decided.append(due)
        if len(self.report.findings) < KEPT_FINDINGS:
            place = ""
            if copy is not None:
                place = self.collection.stores[self.collection.store_id(copy.store)].describe(copy.key)
            self.report.findings.append(Unread(str(due.digest), place, detail, outcome))

    def _write(self) -> None:
        if self.unwritten:
            self.catalog.record_contents(self.unwritten, as_of=self.as_of)
        self.leases.done(self.decided)
        self.unwritten, self.decided = [], []
        self.written_at = time.monotonic()


def _name(due: DueContent) -> str:
    return str(due.digest)
