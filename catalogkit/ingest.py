"""Ingest: takes documents in, from folders, lists and manifests, or one file at a time from a downloader.

Files are read once, in batches that share their syncs. The order within a batch is what makes a crash harmless:
temporary names, then intents in the catalog, then the bytes at their keys, durable, then the facts. After a crash an
intent whose bytes are at their key is completed, any other is dropped (see `catalogkit.intents`).
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import OrderedDict
from concurrent.futures import BrokenExecutor, Executor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.batching import JOB_BYTES, Batch, jobs
from catalogkit.config import CONFIG_NAME
from catalogkit.errors import CatalogKitError, InvalidInput, QuotaExceeded, SourceError
from catalogkit.ingest_report import TOLD, IngestReport
from catalogkit.intents import LEASE, recover
from catalogkit.model import Arrival, Mode, path_text
from catalogkit.owners import new_owner, retire
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.settling import Settler
from catalogkit.signals import STOPPED, operation
from catalogkit.sources import About, Candidate, PassedOver, from_manifest, from_paths
from catalogkit.stores.taking import Stamp
from catalogkit.workers import Inline, WorkerDied, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from datetime import datetime

    from catalogkit.catalog.contract import Known, SourceRow
    from catalogkit.collection import Collection
    from catalogkit.model import Digest, DocumentRecord
    from catalogkit.stores.taking import Taken

INLINE_FILES: Final = 32
SEEN_AT_ONCE: Final = 20_000
KEPT_FOLDERS: Final = 32


def ingest(
    collection: Collection,
    *paths: str | os.PathLike[str],
    manifest: str | os.PathLike[str] | None = None,
    mode: str = "copy",
    resolver: str = "",
    run_id: str = "",
    tenant: str | None = None,
    follow_links: bool = False,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
    executor: Executor | None = None,
    concurrency: int | None = None,
    stop: threading.Event | None = None,
) -> IngestReport:
    """Ingest documents: folders, files, a manifest.

    Parameters
    ----------
    *paths
        Folders and files.
    manifest
        A downloader's list, JSON lines or Parquet: ``path``, ``artifact_id``, ``source_url``, and, where known,
        ``resolver``, ``variant``, ``tenant``, ``run_id``, ``content_type``, ``fetched_at``, ``sha256``.
    mode
        ``copy`` leaves the source alone; ``move`` removes it once its bytes are safe; ``link`` shares them
        (reflink, else hard link, which makes the source read-only, else copy); ``reference`` records the file where
        it is and proves it there.
    resolver, run_id, tenant
        What applies where a manifest is silent. In a tenant's own collection everything is its own.
    as_of
        The time of this run; the collection's clock without it.
    executor
        Workers to use instead of own processes (any `concurrent.futures.Executor`).
    concurrency
        How many files are read at once; the number of processors without it.
    stop
        Set it from another thread to end the run early at a whole document.

    Returns
    -------
    IngestReport

    Raises
    ------
    InvalidInput
        If an argument is not acceptable; nothing is taken in then.
    StoreFull, QuotaExceeded
        If no room, or no quota, is left. What was taken in stays; run it again once there is room.

    Notes
    -----
    A file that fails is reported and the rest goes on. Ctrl-C tidies up and raises `KeyboardInterrupt`; the same
    call goes on from there, since files that are known and unchanged are not read again.

    Examples
    --------
    >>> ck.ingest(c, "downloads", resolver="arxiv").skipped  # a second time: all three are known
    3
    """
    if not paths and manifest is None:
        raise InvalidInput("name a folder, a file or a manifest to take in")
    if concurrency is not None and concurrency < 1:
        raise InvalidInput("concurrency must be at least 1")
    how = _mode(mode)
    when = as_of or collection.now()
    report = IngestReport(run_id or f"ingest-{when:%Y%m%dT%H%M%S.%f}Z")
    owner = collection.tenant(tenant)
    about = About(resolver=resolver, run_id=report.run_id, tenant=owner, alone=bool(collection.config.tenant.id))
    about.arrival(about.identity("any", "any"), 0)  # what is not acceptable shows before anything is taken in
    found: Iterable[Candidate | PassedOver] = ()
    if manifest is not None:
        found = from_manifest(Path(manifest), about)
    if paths:
        found = itertools.chain(found, from_paths(paths, about, follow_links=follow_links, own=_own(collection)))
    with operation("ingest", mode=how.value, store=collection.store.kind) as told:
        told.tally(report, *TOLD)
        _Run(collection, how, report, when, progress, executor, concurrency, stop).over(found)
        told.outcome = STOPPED if report.interrupted else told.outcome
        if report.ingested:  # it takes a look at every blob
            told.figure("dedup_ratio", collection.catalog.dedup_ratio)
    return report


def _mode(mode: str) -> Mode:
    if mode not in Mode.__members__.values():
        raise InvalidInput(f"no mode {mode!r}; use {', '.join(Mode)}")
    return Mode(mode)


def register_or_get(
    collection: Collection,
    path: str | os.PathLike[str],
    *,
    artifact_id: str,
    source_url: str,
    resolver: str = "",
    variant: str = "",
    tenant: str | None = None,
    run_id: str = "",
    content_type: str = "",
    fetched_at: datetime | None = None,
    metadata: dict[str, Any] | None = None,
    mode: str = "move",
    as_of: datetime | None = None,
) -> DocumentRecord:
    """Ingest one file that a downloader has finished, and return its document.

    Idempotent: the same file for the same document changes nothing; other content becomes the current version and
    the earlier one stays in history. When this returns, the bytes and the record are on stable storage.

    Raises
    ------
    SourceError
        If the file cannot be read, or changes while it is.

    Examples
    --------
    >>> ck.register_or_get(c, "downloads/c.txt", artifact_id="c", source_url="https://example.org/c", mode="copy").bytes
    5
    """
    when = as_of or collection.now()
    arrival = Arrival(
        artifact_id=artifact_id,
        source_url=source_url,
        resolver=resolver,
        variant=variant,
        tenant=collection.tenant(tenant),
        run_id=run_id,
        content_type=content_type,
        fetched_at=fetched_at,
        metadata=metadata or {},
    )
    full = os.path.realpath(os.fspath(path))
    item: Candidate | PassedOver
    try:
        item = Candidate.listed(full, Stamp.of(os.stat(full)), arrival)
    except OSError as problem:
        why = f"it cannot be looked at: {problem.strerror}"
        item = PassedOver(full, why, failed=True, arrival=arrival)
    report = IngestReport(run_id)
    with operation("ingest", mode=mode, store=collection.store.kind) as told:
        told.tally(report, *TOLD)
        _Run(collection, _mode(mode), report, when, quiet, Inline(), 1, None, remember=False).over([item])
    if report.failures:
        raise SourceError("{}: {}".format(*report.failures[0]))
    (current,) = collection.catalog.current([arrival])
    record = collection.catalog.document(current[0]) if current else None
    assert record is not None
    return record


class _Run:
    """One ingest: sorts out what needs no reading, has the rest taken in by workers, and settles it in batches."""

    def __init__(
        self,
        collection: Collection,
        mode: Mode,
        report: IngestReport,
        as_of: datetime,
        progress: OnProgress,
        executor: Executor | None,
        concurrency: int | None,
        stop: threading.Event | None,
        remember: bool = True,
    ) -> None:
        self.collection, self.mode, self.report = collection, mode, report
        self.as_of, self.progress, self.given, self.concurrency = as_of, progress, executor, concurrency
        self.remember = remember
        self.stop = stop or threading.Event()
        self.owner = new_owner()
        self.folders: OrderedDict[str, dict[str, SourceRow]] = OrderedDict()
        self.seen: list[int] = []

    def over(self, found: Iterable[Candidate | PassedOver]) -> None:
        began = time.monotonic()
        try:
            self._safely(found)
        except BaseException:
            self.report.interrupted = True
            raise
        finally:
            retire(self.owner)
            self.report.seconds = time.monotonic() - began

    def _safely(self, found: Iterable[Candidate | PassedOver]) -> None:
        """Clean up after the dead first, and after this run in any case."""
        collection, report = self.collection, self.report
        stored = self.mode is not Mode.REFERENCE
        if stored:
            report.recovered, report.dropped = recover(collection, self.as_of)
        if self.remember:
            collection.catalog.start_run(report.run_id, "ingest", as_of=self.as_of)
        try:
            self._work(found)
        except BaseException:
            if stored:
                recover(collection, self.as_of, owner=self.owner)
            raise
        if stored:
            collection.store.sweep(self.owner)  # no intents are left: each batch has ended its own
        if self.remember and not report.interrupted:
            summary = {name: getattr(report, name) for name in ("ingested", "skipped", "failed", "bytes")}
            collection.catalog.end_run(report.run_id, summary, as_of=self.as_of)

    def _work(self, found: Iterable[Candidate | PassedOver]) -> None:
        settler = Settler(self.collection, self.mode, self.owner, self.as_of, self._lease, self.report)
        executor: Executor | None = self.given
        running: list[Future[list[Taken]]] = []
        waiting: Callable[[], None] | None = None
        try:
            for batch in self._batches(found):
                if executor is None:
                    few = len(batch) <= INLINE_FILES and batch.bytes <= JOB_BYTES
                    executor = Inline() if few else Workers(self.concurrency)
                futures = [executor.submit(settler.taker, job) for job in jobs(batch)]
                running = [*running, *futures]
                # While the workers read this batch, the one before it is settled.
                if waiting:
                    waiting()
                running = futures
                waiting = partial(self._settle, settler, batch, futures)
            if waiting:
                waiting()
            settler.finish()
            self._touch()
        finally:
            # Workers write into a folder that is about to be swept.
            for future in running:
                future.cancel()
            wait(running)
            if executor is not None and executor is not self.given:
                executor.shutdown(cancel_futures=True)

    def _settle(self, settler: Settler, batch: Batch, futures: list[Future[list[Taken]]]) -> None:
        try:
            taken = [one for future in futures for one in future.result()]
        except (WorkerDied, BrokenExecutor) as problem:
            raise CatalogKitError(f"{problem}; what was taken in so far is safe: run it again") from problem
        settler.settle(batch, taken)
        self._tell()
        if settler.over_quota:
            # What is still to come would be read, and most of it refused.
            raise QuotaExceeded(f"{settler.over_quota}; what was taken in stays")

    def _lease(self) -> datetime:
        return self.collection.now() + LEASE

    def _tell(self) -> None:
        report = self.report
        done = report.ingested + report.skipped + report.failed
        self.progress(Progress("ingest", done, report.bytes, troubles=report.failed))

    def _batches(self, found: Iterable[Candidate | PassedOver]) -> Iterator[Batch]:
        batch = Batch()
        for item in found:
            if self.stop.is_set():
                self.report.interrupted = True
                return
            if isinstance(item, PassedOver):
                self._pass_over(item)
            elif not self._unchanged(item, batch) and batch.full:
                yield batch
                batch = Batch()
        if len(batch):
            yield batch

    def _pass_over(self, item: PassedOver) -> None:
        if not item.failed:
            self.report.skip(item.reason)
        elif self.mode is Mode.MOVE and item.arrival and self._moved(item.path, item.arrival, item.expected):
            self.report.skip("moved in before")
        else:
            self.report.fail(item.path, item.reason)

    def _moved(self, path: str, arrival: Arrival, expected: Digest | None) -> bool:
        """Whether a file that is gone is one that this document has from there."""
        folder, name = (path_text(part) for part in os.path.split(path))
        row = self._folder(folder).get(name)
        (current,) = self.collection.catalog.current([arrival])
        if row is None or current is None or expected not in (None, row.digest):
            return False
        document_id, digest = current
        return digest == row.digest or str(row.digest) in self.collection.catalog.versions(document_id)["sha256"]

    def _unchanged(self, item: Candidate, batch: Batch) -> bool:
        """Count a file whose content is known as seen; put any other into the batch."""
        if self.mode is Mode.MOVE or not self.remember:
            batch.add(item, None)
            return False
        row = self._folder(item.folder).get(item.name)
        stat = row.stat if row else None
        if not row or not stat or (stat.bytes, stat.mtime_ns, stat.ctime_ns, stat.inode) != item.stamp:
            batch.add(item, None)
            return False
        document_id = row.document_id if row.identity == item.identity else None
        if document_id is None:
            (current,) = self.collection.catalog.current([item.arrival])
            document_id = current[0] if current and current[1] == row.digest else None
        if document_id is None:
            batch.add(item, row.digest)  # another document, but content that need not be read again
            return False
        self.report.skip("unchanged")
        self.seen.append(document_id)
        if len(self.seen) >= SEEN_AT_ONCE:
            self._touch()
        return True

    def _folder(self, folder: str) -> dict[str, SourceRow]:
        rows = self.folders.get(folder)
        if rows is None:
            rows = self.folders[folder] = self._kept(folder, self.collection.catalog.sources(folder))
            if len(self.folders) > KEPT_FOLDERS:
                self.folders.popitem(last=False)
        return rows

    def _kept(self, folder: str, rows: dict[str, SourceRow]) -> dict[str, SourceRow]:
        """Only files whose content lies where this mode puts it: one known in place is not in the store, for that."""
        stores = self.collection.stores
        in_place = next((number for number, store in stores.items() if not store.writable), None)
        if in_place is None:
            return rows
        here = in_place if self.mode is Mode.REFERENCE else self.collection.store_id(self.collection.store.name)
        known = self.collection.catalog.known(here, {row.digest for row in rows.values()})
        if self.mode is Mode.REFERENCE:
            return {n: r for n, r in rows.items() if _key(known, r) == f"{folder}/{n}".removeprefix("/")}
        return {n: r for n, r in rows.items() if _key(known, r) is not None}

    def _touch(self) -> None:
        if self.seen:
            self.collection.catalog.touch(self.seen, as_of=self.as_of)
            self.seen.clear()
            self._tell()


def _key(known: dict[Digest, Known], row: SourceRow) -> str | None:
    about = known.get(row.digest)
    return about.key if about else None


def _own(collection: Collection) -> set[str]:
    """What lies in the collection's folder and is not a document; folders of its stores anywhere."""
    files = (collection.catalog.home + ending for ending in ("", "-wal", "-shm", "-journal"))
    stores = (store.root for store in collection.stores.values() if store.kind == "local")
    others = {str(collection.path.parent)} if collection.config.tenant.id else set()
    return {str(collection.path / CONFIG_NAME), *files, *stores, *others}


__all__ = ["IngestReport", "ingest", "register_or_get"]
