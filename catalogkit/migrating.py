"""Migrates a collection to another layout in batches, while other work goes on."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from catalogkit.apply import ELSEWHERE, apply
from catalogkit.apply_report import ApplyReport
from catalogkit.collection import opened
from catalogkit.errors import CatalogKitError, InvalidInput
from catalogkit.model import Digest, Layout
from catalogkit.plan import Plan
from catalogkit.planning import plan_migrate, plan_undo
from catalogkit.progress import OnProgress, Progress, quiet

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from datetime import datetime

    from catalogkit.collection import Collection

# What an ingest that began before the switch adds meanwhile is moved as well; more passes are for the next run.
_PASSES = 3


@dataclass(slots=True)
class MigrationReport:
    """What came of a migration in this run.

    Attributes
    ----------
    to, layout : str
        The layout asked for, and the one that new documents go to now.
    moved, skipped, failed : int
        Copies; `left` are those that still have the old layout.
    verified : int
        Copies that were read again under their new name.
    rolled_back : int
        Copies that were moved and then moved back, because something of their batch went wrong.
    bytes, bytes_freed : int
        Of the copies that were moved; and what this freed, where several files had one content.
    plans : list of str
        The plans that were applied, for `plan_undo`.
    stopped : str
        Why it ended before everything was moved; empty if it did not.
    """

    to: str
    layout: str = ""
    dry_run: bool = False
    batches: int = 0
    moved: int = 0
    skipped: int = 0
    failed: int = 0
    verified: int = 0
    rolled_back: int = 0
    left: int = 0
    bytes: int = 0
    bytes_freed: int = 0
    seconds: float = 0.0
    stopped: str = ""
    plans: list[str] = field(default_factory=list)
    why: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import brief

        return brief("Migration", {**self.to_dict(), **self.why})


def migrate_to_cas_gradual(
    batch_size: int = 100,
    verify_after_move: bool = True,
    rollback_on_error: bool = True,
    *,
    collection: Collection | None = None,
    dry_run: bool = False,
    views: bool = True,
    progress: OnProgress = quiet,
    stop: threading.Event | None = None,
    as_of: datetime | None = None,
    executor: Executor | None = None,
    concurrency: int | None = None,
) -> MigrationReport:
    """Move what lies at readable paths to content addresses, while everything else goes on.

    Every copy gets its new name, then gives up its old one; readers find it at every moment. It may be stopped, or
    killed, at any time and begun again: it goes on where it was. Once everything is moved, new documents go to content
    addresses, too.

    Parameters
    ----------
    batch_size
        Copies in one batch: what a transaction covers, and what is rolled back together.
    verify_after_move
        Read every copy again under its new name. (The bytes are always read before a name is made, and before one is
        given up.)
    rollback_on_error
        Move the copies of a batch back if something of it fails. The migration stops then in either case.
    collection
        By default the one of the current folder, or of ``$CATALOGKIT_HOME``.
    dry_run
        Only say how much there is to move.
    views
        Whether symbolic links take the place of the old paths, so that whoever knows these reads on.
    stop
        Set it from another thread to stop after the batch under way.
    executor, concurrency
        Workers that read what is moved (any `concurrent.futures.Executor`), and how many of them at once.

    Returns
    -------
    MigrationReport
        What was moved, and why the rest was not.

    Raises
    ------
    InvalidInput
        If `batch_size` is below 1.

    Examples
    --------
    >>> ck.migrate_to_cas_gradual(collection=c, dry_run=True).left  # all lies at content addresses already
    0
    """
    with opened(collection) as found:
        run = _Run(
            found, verify_after_move, rollback_on_error, progress, stop or threading.Event(), as_of, executor,
            concurrency,
        )  # fmt: skip
        return run.all(batch_size, dry_run=dry_run, views=views)


def rollback_migration(collection: Collection, *, as_of: datetime | None = None) -> MigrationReport:
    """Move everything back that migrations to content addresses moved, the last first; new documents go back, too.

    Documents that were taken in since the switch stay at their content addresses; both layouts are read.
    """
    began, report = time.monotonic(), MigrationReport("policy")
    collection.use_layout(Layout.POLICY)
    _take_over(collection, as_of)
    for row in collection.catalog.plans():
        if row.kind != "migrate":
            continue
        plan = plan_undo(collection, row.id, as_of=as_of)
        if plan.units:
            applied = apply(collection, plan, unapproved=True, max_share=1.0, as_of=as_of)
            collection.catalog.end_plan(plan.id, as_of=as_of or collection.now())
            report.plans.append(plan.id)
            _count(report, collection, plan, _BACK, applied)
            if applied.failed:
                # What an earlier plan made may be what this one's names are to be made of again.
                report.stopped = "a step failed; run it again"
                break
        collection.catalog.end_plan(row.id, as_of=as_of or collection.now())
    report.layout, report.seconds = str(collection.layout), time.monotonic() - began
    return report


def _take_over(collection: Collection, as_of: datetime | None) -> None:
    """End what earlier runs left: planned anew, it goes on where they were, and keeps its blobs by itself.

    Those are migrations, and undos of them; an undo of anything else is somebody else's to finish.
    """
    rows = collection.catalog.plans()
    ours = {row.id for row in rows if row.kind == "migrate"}
    for row in rows:
        if row.ended_at is None and (row.id in ours or row.policy.get("undone") in ours):
            collection.catalog.end_plan(row.id, as_of=as_of or collection.now())


# The step that ends the move of a copy, on the way there and on the way back.
_FORTH, _BACK = pl.col("kind") == "drop", pl.col("reason") == "dropped-by"


def _moved(collection: Collection, plan: Plan, ends: pl.Expr, others: set[int]) -> pl.DataFrame:
    """The steps that ended the move of a copy and were done, but for units that were left to others."""
    journal = collection.catalog.journal(plan.id)
    done = [(row.unit, row.step) for row in journal if row.outcome == "done" and row.unit not in others]
    rows = pl.DataFrame(done, schema={"unit": pl.Int64, "step": pl.Int64}, orient="row")
    return plan.frame.filter(ends).join(rows, on=["unit", "step"], how="semi")


def _count(report: MigrationReport, collection: Collection, plan: Plan, ends: pl.Expr, applied: ApplyReport) -> None:
    """Add what came of a plan to a report."""
    moved = _moved(collection, plan, ends, applied.others)
    report.moved += moved.height
    report.bytes += int(moved["bytes"].sum())
    report.bytes_freed += applied.bytes_freed
    if applied.elsewhere:
        report.why[ELSEWHERE] = report.why.get(ELSEWHERE, 0) + applied.elsewhere
    outcomes: dict[int, str] = {}
    for row in collection.catalog.journal(plan.id):
        if row.outcome != "done" and row.unit not in applied.others:
            outcomes[row.unit] = "failed" if "failed" in (row.outcome, outcomes.get(row.unit)) else row.outcome
            report.why[row.why] = report.why.get(row.why, 0) + 1
    report.skipped += list(outcomes.values()).count("skipped")
    report.failed += list(outcomes.values()).count("failed")


@dataclass(slots=True)
class _Run:
    collection: Collection
    verify: bool
    rollback: bool
    progress: OnProgress
    stop: threading.Event
    as_of: datetime | None
    executor: Executor | None = None
    concurrency: int | None = None
    report: MigrationReport = field(default_factory=lambda: MigrationReport("cas"))
    taken_back: int = 0

    def all(self, batch_size: int, *, dry_run: bool, views: bool) -> MigrationReport:
        if batch_size < 1:
            raise InvalidInput("batch_size must be at least 1")
        began, report, collection = time.monotonic(), self.report, self.collection
        plan = plan_migrate(collection, views=views, as_of=self.as_of)
        if dry_run:
            report.dry_run, report.left, report.bytes = True, plan.units, _bytes(plan)
            report.layout = str(collection.layout)
            return report
        _take_over(collection, self.as_of)
        left, tried = plan, pl.Series([], dtype=pl.String)
        for _ in range(_PASSES):
            if plan.units:
                self._move(plan, batch_size)
            if report.stopped:
                break
            # The last step: from now on new documents go to the new layout. Some came while this was under way.
            collection.use_layout(Layout.CAS)
            tried = tried.append(plan.frame.filter(kind="drop")["key"])
            left = plan_migrate(collection, views=views, as_of=self.as_of)
            late = left.frame.filter(pl.col("kind") == "drop", ~pl.col("key").is_in(tried.implode()))["unit"]
            if late.is_empty():
                break
            plan = Plan(left.head, left.frame.filter(pl.col("unit").is_in(late.implode())))
        report.left = plan_migrate(collection, as_of=self.as_of).units if report.stopped else left.units
        report.layout, report.seconds = str(collection.layout), time.monotonic() - began
        return report

    def _move(self, plan: Plan, batch_size: int) -> None:
        """Carry out a plan batch by batch; a batch that went wrong is the last."""
        report, collection, halt = self.report, self.collection, threading.Event()
        report.plans.append(plan.id)
        size = max(plan.frame["unit"].rle().struct.field("len").to_list()) * batch_size
        done, last, wrong = 0, plan.frame.head(size), ""

        def after(progress: Progress) -> None:
            nonlocal done, last, wrong
            last, done = plan.frame.slice(done, progress.done - done), progress.done
            report.batches += 1
            mine = last.filter(~pl.col("unit").is_in(list(applied.others)))
            wrong = self._reread(mine) if self.verify else ""
            if progress.troubles:
                wrong = wrong or "a step failed"
            self.progress(progress)
            if wrong or self.stop.is_set():
                halt.set()

        applied = ApplyReport()
        try:
            apply(
                collection, plan, unapproved=True, max_share=1.0, batch=size, as_of=self.as_of, progress=after,
                stop=halt, executor=self.executor, concurrency=self.concurrency, report=applied,
            )  # fmt: skip
        except CatalogKitError as problem:
            # Of the batch under way some may be done: its links are, if dropping was what went wrong.
            last, wrong = plan.frame.slice(done, size), str(problem)
        if wrong:
            report.stopped = wrong
            if self.rollback:
                self._back(plan, last.filter(~pl.col("unit").is_in(list(applied.others))))
        elif applied.stopped:
            report.stopped = applied.stopped
        _count(report, collection, plan, _FORTH, applied)
        report.moved -= self.taken_back
        collection.catalog.end_plan(plan.id, as_of=self.as_of or collection.now())

    def _reread(self, rows: pl.DataFrame) -> str:
        """Read the copies of a batch under their new names; what is wrong, in words."""
        collection = self.collection
        store_id = collection.store_id(collection.store.name)
        moved: dict[str, Digest] = {}
        for key, text in rows.filter(pl.col("kind") == "link").select("key", "sha256").unique().iter_rows():
            # One that was not moved the report tells of.
            if collection.catalog.digest_at(store_id, key) == (digest := Digest.parse(text)):
                moved[key] = digest
        every = map if self.executor is None else self.executor.map
        for key, found in zip(moved, every(collection.store.holds, moved, moved.values()), strict=True):
            if found is None:
                return f"{collection.store.describe(key)} does not hold the bytes it should"
            self.report.verified += 1
        return ""

    def _back(self, plan: Plan, rows: pl.DataFrame) -> None:
        """Undo the units of a batch; of these, some may have been moved only half way."""
        units = set(rows["unit"])
        ended = _moved(self.collection, plan, _FORTH, set())["unit"]
        self.taken_back = len(units & set(ended))
        try:
            back = plan_undo(self.collection, plan.id, units=units, as_of=self.as_of)
            if back.units:
                apply(self.collection, back, unapproved=True, max_share=1.0, as_of=self.as_of)
                self.report.rolled_back = self.taken_back
        except CatalogKitError as problem:
            self.report.stopped += f"; and it could not be rolled back: {problem}"


def _bytes(plan: Plan) -> int:
    return int(plan.frame.filter(pl.col("kind") == "drop")["bytes"].sum())
