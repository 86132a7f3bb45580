"""The one hand that carries plans out.

It never looks at what kind of plan it is, only at steps. A batch of steps is one transaction: each step is guarded
against what is true now, done or skipped with its reason, and written into the journal together with what it did.
While the transaction is open nobody can start to need what is about to go, so a file is removed inside it, last.
A crash leaves whole batches done; of the one under way, files may be gone that their records still name, which is why
condemned bytes are looked for before they are taken back. Applying the plan again goes on where the journal ends.
"""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from catalogkit.errors import InvalidInput, PlanError, StoreError
from catalogkit.intents import settle_intents
from catalogkit.model import Digest
from catalogkit.plan import StepKind
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from catalogkit.approval import Approval
    from catalogkit.catalog.contract import Hand
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan
    from catalogkit.stores.reference import ReferenceStore

BATCH: Final = 1000
KEPT_NOTES: Final = 1000
# A catalog that lost this share of its documents since the plan was made is not the catalog the plan is about.
SHRUNKEN: Final = 0.5
# The largest share of all stored bytes that goes where neither the call nor the plan's policy says otherwise.
MAX_SHARE: Final = 0.5
GONE: Final = "the file was gone already"


@dataclass(slots=True)
class ApplyReport:
    """What came of a plan in this run; `already` counts the steps that earlier runs decided.

    `bytes_freed` and `removed` are what this run took from the file system: a file that was gone already, or that has
    other names, frees nothing.
    """

    plan_id: str
    done: int = 0
    skipped: int = 0
    failed: int = 0
    removed: int = 0
    bytes_freed: int = 0
    already: int = 0
    seconds: float = 0.0
    stopped: str = ""
    why: dict[str, int] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        names = ("plan_id", "done", "skipped", "failed", "removed", "bytes_freed", "already", "stopped")
        return facts("Applied", {name: getattr(self, name) for name in names} | self.why)


def apply(
    collection: Collection,
    plan: Plan,
    *,
    approval: Approval | None = None,
    unapproved: bool = False,
    max_share: float | None = None,
    batch: int = BATCH,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
    stop: threading.Event | None = None,
) -> ApplyReport:
    """Carry out what was approved of a plan.

    Parameters
    ----------
    approval
        Which units, by whom; bound to the plan's id.
    unapproved
        Carry out every unit without anybody's approval: for code that is its own reviewer.
    max_share
        The largest share of all stored bytes that may go; more is refused. The plan's policy says it otherwise.
    batch
        Steps in one transaction; a stop, or a crash, ends after whole batches.
    stop
        Set it from another thread to stop after the batch under way.

    Returns
    -------
    ApplyReport
        A second call with the same plan continues, and never repeats a step.

    Raises
    ------
    PlanError
        If the plan is for another catalog, expired, not approved, too much, or the catalog shrank since. Nothing was
        done then.
    StoreUnreachable
        If a store that files are to be removed from is not there. Whole batches before that are done.
    """
    if batch < 1:
        raise InvalidInput("batch must be at least 1")
    when, catalog = as_of or collection.now(), collection.catalog
    # A plan that was begun in time may be finished: what is left of it is guarded like its first steps were.
    begun = any(row.id == plan.id for row in catalog.plans())
    units = _approved(collection, plan, approval, unapproved, begun, when)
    _brake(collection, plan, units, max_share, begun)
    report = ApplyReport(plan.id)
    began = time.monotonic()
    about = approval.to_dict() if approval else {"unapproved": True}
    catalog.begin_plan(plan.id, plan.head.kind, plan.summary(), about, as_of=when)
    steps = plan.frame if units is None else plan.frame.filter(pl.col("unit").is_in(units.implode()))
    left = _left(steps, catalog.decided(plan.id))
    report.already = steps.height - left.height
    try:
        for chunk in left.iter_slices(batch):
            if stop is not None and stop.is_set():
                report.stopped = "stopped"
                break
            _carry_out(collection, plan.id, [_Step._make(row) for row in chunk.iter_rows()], when, report)
            decided = report.already + report.done + report.skipped + report.failed
            progress(Progress("apply", decided, report.bytes_freed, steps.height, None, report.failed))
        else:
            if not report.failed:
                catalog.end_plan(plan.id, as_of=when)
    finally:
        report.seconds = time.monotonic() - began
    return report


def _approved(
    collection: Collection, plan: Plan, approval: Approval | None, unapproved: bool, begun: bool, when: datetime
) -> pl.Series | None:
    """The approved units, None for all."""
    head = plan.head
    if head.catalog != collection.identity:
        raise PlanError(f"this plan is for catalog {head.catalog[:8]}, not for {collection.identity[:8]}")
    if approval is None and not unapproved:
        raise PlanError("nobody approved this plan: review it, or run `catalogkit approve`")
    if approval is not None and approval.plan_id != plan.id:
        raise PlanError("the approval is for another plan, or the plan was edited since; review it again")
    if when >= head.expires_at and not begun:
        raise PlanError(f"this plan expired at {head.expires_at:%Y-%m-%d %H:%M} UTC; make a new one")
    return None if approval is None else pl.Series(sorted(approval.units(plan)), dtype=pl.Int64)


def _brake(collection: Collection, plan: Plan, units: pl.Series | None, max_share: float | None, begun: bool) -> None:
    totals, head = collection.catalog.totals(), plan.head
    # Once it is begun, it may be the plan itself that the documents went by.
    if totals["documents"] < SHRUNKEN * head.documents and not begun:
        raise PlanError(
            f"the catalog has {totals['documents']:,} documents, it had {head.documents:,} when the plan was made;"
            " find out where they went first"
        )
    share = float(head.policy.get("max_share", MAX_SHARE)) if max_share is None else max_share
    # Strays are stored, too, though no record counts them.
    strays = plan.bytes_freed(plan.frame.filter(pl.col("sha256").is_null())["unit"])
    freed, whole = plan.bytes_freed(units), max(head.physical_bytes, totals["physical_bytes"]) + strays
    if freed > share * whole:
        raise PlanError(
            f"this would free {freed:,} of {whole:,} bytes, more than the {share:.0%} that are allowed at once;"
            " approve less of it, or raise the limit if that is what you mean"
        )


def _left(steps: pl.DataFrame, decided: set[tuple[int, int]]) -> pl.DataFrame:
    """The steps that are still to be decided, with the columns of `_Step`."""
    schema = {"unit": pl.Int64(), "step": pl.Int64()}
    done = pl.DataFrame(list(decided), schema=schema, orient="row")
    left = steps.join(done, on=list(schema), how="anti", maintain_order="left") if decided else steps
    raw = left.with_columns(pl.col("sha256").str.decode("hex"), pl.col("since").to_physical())
    return raw.select(_Step._fields)


class _Step(NamedTuple):
    """One step of a plan: `sha256` in bytes, `since` in microseconds."""

    unit: int
    step: int
    kind: str
    sha256: bytes | None
    document_id: int
    store: str | None
    key: str
    bytes: int
    inode: int | None
    mtime_ns: int | None
    since: int

    @property
    def digest(self) -> Digest:
        assert self.sha256 is not None
        return Digest(self.sha256)

    def told(self) -> dict[str, Any]:
        """What it is about, for people."""
        names = ("unit", "kind", "document_id", "store", "key")
        return {name: getattr(self, name) for name in names} | {"sha256": self.sha256 and self.sha256.hex()}


class _Result(NamedTuple):
    outcome: str
    why: str = ""
    removed: int = 0
    freed: int = 0


_DONE: Final = _Result("done")


def _unless(why: str) -> _Result:
    return _Result("skipped", why) if why else _DONE


@dataclass(frozen=True, slots=True)
class _World:
    """What a step acts on: the catalog's facts by a hand, and stores with their ids by name."""

    hand: Hand
    stores: Mapping[str | None, tuple[int, LocalStore | ReferenceStore]]

    def act(self, step: _Step) -> _Result:
        if step.store is not None and step.store not in self.stores:
            return _Result("failed", f"this collection has no store {step.store!r}")
        try:
            return _ACTS[StepKind(step.kind)](self, step)
        except (StoreError, InvalidInput) as problem:
            return _Result("failed", str(problem))

    def changed(self, step: _Step) -> str:
        """Whether a file is no longer the one that was planned: size, modification time and inode."""
        _, store = self.stores[step.store]
        if not isinstance(store, LocalStore):
            return ""
        there = store.stat(step.key)
        if there is None:
            return GONE
        # A plan has no bytes for a copy that was found missing and may have come back.
        seen = (there.inode, there.mtime_ns, step.bytes and there.bytes)
        return "" if seen == (step.inode, step.mtime_ns, step.bytes) else "the file is not the one that was planned"

    def remove(self, step: _Step) -> _Result:
        """Remove a file of a store of ours; one in its owner's hands only leaves the catalog."""
        _, store = self.stores[step.store]
        if not isinstance(store, LocalStore):
            return _DONE
        try:
            return _Result("done", "", 1, store.remove(step.key))
        except OSError as problem:
            return _Result("failed", f"it cannot be removed: {problem.strerror}")

    def bytes_left(self, digest: Digest) -> bool:
        """Whether a copy lies where it should, as it was written."""
        stores = dict(self.stores.values())
        for store_id, key, inode, mtime_ns in self.hand.copies(digest):
            there = stores[store_id].stat(key) if store_id in stores else None
            if there is not None and (there.inode, there.mtime_ns) == (inode, mtime_ns):
                return True
        return False


def _carry_out(collection: Collection, plan_id: str, steps: list[_Step], when: datetime, report: ApplyReport) -> None:
    """Decide about the steps of one batch."""
    stores: dict[str | None, tuple[int, LocalStore | ReferenceStore]]
    stores = {store.name: (store_id, store) for store_id, store in collection.stores.items()}
    touched = [stores[name][1] for name in {step.store for step in steps} if name in stores]
    # What needs transactions of its own comes first: completing or dropping dead ingests.
    dead = {step.document_id for step in steps if step.kind == StepKind.ABANDON}
    settled = settle_intents(collection, dead, when) if dead else {}
    results: list[tuple[_Step, _Result]] = []
    with collection.catalog.hand(plan_id, as_of=when) as hand:
        world = _World(hand, stores)
        for store in touched:
            store.reach()
        # Somebody else may be applying the same plan: what they decided meanwhile is not decided twice.
        already = hand.decided(steps[0].unit, steps[-1].unit)
        for step in steps:
            if (step.unit, step.step) in already:
                continue
            result = _unless(settled[step.document_id]) if step.kind == StepKind.ABANDON else world.act(step)
            store_id = stores[step.store][0] if step.store in stores else None
            subject = (step.sha256, step.document_id, store_id, step.key)
            hand.note(step.unit, step.step, step.kind, result.outcome, result.why, subject, result.freed)
            results.append((step, result))
        # A disk that goes away in the middle looks like files that are gone: it must still be there, or nothing was.
        if any(result.why == GONE for _, result in results):
            for store in touched:
                store.reach()
        for name in {step.store for step, result in results if result.removed}:
            _, store = stores[name]
            if isinstance(store, LocalStore):
                store.settle_removed([step.key for step, result in results if result.removed and step.store == name])
    # Counted only now: a batch that could not be committed did not happen.
    report.already += len(steps) - len(results)
    for step, result in results:
        setattr(report, result.outcome, getattr(report, result.outcome) + 1)
        report.removed += result.removed
        report.bytes_freed += result.freed
        if result.why:
            report.why[result.why] = report.why.get(result.why, 0) + 1
            if len(report.notes) < KEPT_NOTES:
                report.notes.append(step.told() | {"outcome": result.outcome, "why": result.why})


def _condemn(world: _World, step: _Step) -> _Result:
    if step.sha256 is not None:
        return _unless(world.hand.condemn_blob(step.digest, step.since))
    if why := world.changed(step):
        return _unless(why)
    store_id, _ = world.stores[step.store]
    return _unless(world.hand.condemn_stray(store_id, step.key, step.bytes, step.inode, step.mtime_ns))


def _rearm(world: _World, step: _Step) -> _Result:
    if step.sha256 is None:
        return _unless(world.hand.rearm_stray(world.stores[step.store][0], step.key))
    return _unless(_lost(world, step) or world.hand.rearm_blob(step.digest))


def _forget(world: _World, step: _Step) -> _Result:
    # What was downloaded again since the plan was made is wanted again, whoever had it forgotten, and why.
    return _unless(world.hand.forget(step.document_id, step.digest, step.since))


def _recall(world: _World, step: _Step) -> _Result:
    return _unless(_lost(world, step) or world.hand.recall(step.document_id, step.digest))


def _lost(world: _World, step: _Step) -> str:
    """A purge that was cut short may have left a condemned blob's record, but not its bytes."""
    condemned = world.hand.state(step.digest) == "condemned"
    return "no copy of its bytes is left" if condemned and not world.bytes_left(step.digest) else ""


def _purge(world: _World, step: _Step) -> _Result:
    hand = world.hand
    if step.sha256 is None:
        store_id, _ = world.stores[step.store]
        return _removed(
            world,
            step,
            hand.stray_purgeable(store_id, step.key, step.since),
            lambda: hand.drop_stray(store_id, step.key),
        )
    digest = step.digest
    if step.store is None:
        why = hand.purgeable(digest, step.since, None, None)
        if not why:
            hand.end_blob(digest)
        return _unless(why)
    store_id, _ = world.stores[step.store]
    why = hand.purgeable(digest, step.since, store_id, step.key)
    return _removed(world, step, why, lambda: hand.drop_copy(digest, store_id, step.key))


def _removed(world: _World, step: _Step, why: str, drop: Callable[[], None]) -> _Result:
    """Remove a file and drop its record, unless there is a reason not to."""
    why = why or world.changed(step)
    if why and why != GONE:
        return _unless(why)
    result = _Result("done", GONE) if why else world.remove(step)
    if result.outcome == "done":
        drop()
    return result


_ACTS: Final[dict[StepKind, Callable[[_World, _Step], _Result]]] = {
    StepKind.CONDEMN: _condemn,
    StepKind.REARM: _rearm,
    StepKind.FORGET: _forget,
    StepKind.RECALL: _recall,
    StepKind.PURGE: _purge,
}
