"""The one hand that carries plans out.

It never looks at what kind of plan it is, only at steps; `catalogkit.acts` has a function for each kind of these. A
batch of steps is one transaction, or two where names are taken away as well: each step is guarded against what is true
now, done or skipped with its reason, and written into the journal together with what it did. Long reading and writing
is done before the transaction, which keeps others from writing; `catalogkit.acts.proofs` says why that is safe.
While the transaction is open nobody can start to need what is about to go, so a file is removed inside it, last.
A crash leaves whole batches done; of the one under way, files may be gone that their records still name, which is why
condemned bytes are looked for before they are taken back. Applying the plan again goes on where the journal ends.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.acts import ACTS, PREPARATIONS, REMOVES, TOGETHER
from catalogkit.acts.world import GONE, UNDECIDED, Result, Step, World, unless
from catalogkit.errors import InvalidInput, PlanError, StoreError, StoreFull
from catalogkit.intents import settle_intents
from catalogkit.model import Digest
from catalogkit.owners import new_owner, retire
from catalogkit.plan import StepKind
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.signals import DONE, STOPPED, operation
from catalogkit.stores.opening import OWN
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from catalogkit.acts.world import Fetcher
    from catalogkit.approval import Approval
    from catalogkit.catalog.hand import Hand
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

    Decided = list[tuple[Step, Result]]

BATCH: Final = 1000
# Every step about a bucket waits for its server a few times, while the transaction keeps other writers waiting.
REMOTE_BATCH: Final = 50
KEPT_NOTES: Final = 1000
EARLIER_WAITS: Final = "an earlier step of its unit waits"
# A catalog that lost this share of its documents since the plan was made is not the catalog the plan is about.
SHRUNKEN: Final = 0.5
# The largest share of all stored bytes that goes where neither the call nor the plan's policy says otherwise.
MAX_SHARE: Final = 0.5
# What changes facts needs no place; some of that may be about a stray, which has nothing else.
_OF_STRAYS: Final = frozenset({StepKind.CONDEMN, StepKind.REARM, StepKind.PURGE})
_FACTS: Final = _OF_STRAYS | {StepKind.FORGET, StepKind.RECALL, StepKind.EVICT, StepKind.RESOLVE}


@dataclass(slots=True)
class ApplyReport:
    """What came of a plan in this run; `already` counts the steps that earlier runs decided.

    `waiting` are those that wait for bytes out of an archive: apply the plan again once they are there.
    `bytes_freed` and `removed` are what this run took from the file system: a file that was gone already, or that has
    other names, frees nothing.
    """

    plan_id: str
    done: int = 0
    skipped: int = 0
    failed: int = 0
    waiting: int = 0
    removed: int = 0
    bytes_freed: int = 0
    already: int = 0
    seconds: float = 0.0
    stopped: str = ""
    why: dict[str, int] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, steps: list[Step], results: Decided) -> None:
        """Count a batch that was committed: one that could not be did not happen."""
        self.already += len(steps) - len(results)
        for step, result in results:
            setattr(self, result.outcome, getattr(self, result.outcome) + 1)
            self.removed += result.removed
            self.bytes_freed += result.freed
            if result.why:
                self.why[result.why] = self.why.get(result.why, 0) + 1
                if len(self.notes) < KEPT_NOTES:
                    self.notes.append(step.told() | {"outcome": result.outcome, "why": result.why})

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        names = ("plan_id", "done", "skipped", "failed", "waiting", "removed", "bytes_freed", "already", "stopped")
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
    fetcher: Fetcher | None = None,
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
    fetcher
        Brings bytes from where they came from, such as `catalogkit.Fetcher`: called with a URL, the path of a file to
        make, the digest that the bytes must have, and their number. Without it no step may fetch.

    Returns
    -------
    ApplyReport
        A second call with the same plan continues, and never repeats a step.

    Raises
    ------
    PlanError
        If the plan is for another catalog, expired, not approved, too much, or the catalog shrank since. Nothing was
        done then. If it was given up, perhaps meanwhile; whole batches before that are done.
    StoreFull
        If no room is left. Whole batches before that are done; free some space and apply the plan again.
    StoreUnreachable
        If a store that files are to be removed from is not there. Whole batches before that are done.

    Examples
    --------
    >>> plan = ck.plan_forget(c, [3])
    >>> yes = ck.approve(plan.save(c.path / "plans"), "", approved_by="ada")
    >>> ck.apply(c, plan, approval=yes).done
    1
    >>> ck.apply(c, plan, approval=yes).already  # again: it never repeats a step
    1
    """
    if batch < 1:
        raise InvalidInput("batch must be at least 1")
    when, catalog = as_of or collection.now(), collection.catalog
    units = _approved(collection, plan, approval, unapproved)
    steps = plan.frame if units is None else plan.frame.filter(pl.col("unit").is_in(units.implode()))
    left = _left(steps, catalog.decided(plan.id))
    noted = [row for row in catalog.plans() if row.id == plan.id]
    if noted and noted[0].given_up:
        # To go on would be to do what a person decided against; and what it kept may have gone since.
        raise PlanError.given_up(noted[0].given_up)
    # A plan that was begun in time may be finished: what is left of it is guarded like its first steps were. One that
    # has ended was finished: what is approved of it later is a beginning.
    begun = left.is_empty() or any(row.ended_at is None for row in noted)
    if when >= plan.head.expires_at and not begun:
        raise PlanError(f"this plan expired at {plan.head.expires_at:%Y-%m-%d %H:%M} UTC; make a new one")
    if left.height:
        _brake(collection, plan, units, max_share)
    if not steps.filter(pl.col("kind").is_in([StepKind.QUARANTINE, *REMOVES])).is_empty():
        _alone(collection)
    report = ApplyReport(plan.id)
    began = time.monotonic()
    about = approval.to_dict() if approval else {"unapproved": True}
    kept = steps.filter(pl.col("kind").is_in(list(PREPARATIONS)))["sha256"].drop_nulls().unique()
    keeps = [Digest.parse(text) for text in kept]
    if left.height or not noted:
        head = plan.summary() | {"policy": dict(plan.head.policy)}
        catalog.begin_plan(plan.id, plan.head.kind, head, about, keeps=keeps, as_of=when)
    report.already = before = steps.height - left.height
    owner = new_owner()
    world = World(catalog, {one.name: (number, one) for number, one in collection.stores.items()}, owner, fetcher)
    with operation("apply", kind=plan.head.kind, store=collection.store.kind) as told:
        told.tally(report, "done", "skipped", "failed", "waiting", "removed", "bytes_freed")
        try:
            remote = [one.name for one in collection.stores.values() if isinstance(one, S3Layout)]
            far = left.select(pl.any_horizontal(pl.col("store", "from_store").is_in(remote)).any()).item()
            for chunk in left.iter_slices(min(batch, REMOTE_BATCH) if far else batch):
                if stop is not None and stop.is_set():
                    report.stopped = "stopped"
                    break
                world.begin()
                some = [Step._make(row) for row in chunk.iter_rows()]
                # What takes names away comes last, once everybody can find the copies that stay.
                for part in (
                    [step for step in some if step.kind not in REMOVES],
                    [step for step in some if step.kind in REMOVES],
                ):
                    if part:
                        decided = _carry_out(world, collection, plan, part, when)
                        report.add(part, decided)
                        told.count(**Counter(step.kind for step, result in decided if result.outcome == DONE))
                # Of what was left to do: what earlier runs decided says nothing about how long this one takes.
                settled = report.already - before + report.done + report.skipped + report.failed + report.waiting
                progress(Progress("apply", settled, report.bytes_freed, left.height, None, report.failed))
            else:
                if not report.failed + report.waiting:
                    catalog.end_plan(plan.id, as_of=when)
        finally:
            world.tidy()
            retire(owner)
            report.seconds = time.monotonic() - began
        told.outcome = STOPPED if report.stopped else told.outcome
        if report.done:  # it takes a look at every blob
            told.figure("dedup_ratio", catalog.dedup_ratio)
    return report


def _approved(collection: Collection, plan: Plan, approval: Approval | None, unapproved: bool) -> pl.Series | None:
    """The approved units, None for all."""
    head = plan.head
    if head.catalog != collection.identity:
        raise PlanError(f"this plan is for catalog {head.catalog[:8]}, not for {collection.identity[:8]}")
    if approval is None and not unapproved:
        raise PlanError("nobody approved this plan: review it, or run `catalogkit approve`")
    if approval is not None and approval.plan_id != plan.id:
        raise PlanError("the approval is for another plan, or the plan was edited since; review it again")
    return None if approval is None else pl.Series(sorted(approval.units(plan)), dtype=pl.Int64)


def _alone(collection: Collection) -> None:
    """Refuse where the store is another catalog's, too: somebody copied the collection's folder, but not its store."""
    mine = collection.catalog.home
    for store in collection.stores.values():
        home = store.home() if isinstance(store, OWN) else ""
        if home and home != mine and _goes_on(home, mine):
            raise PlanError(
                f"the store at {store.root} was made for the catalog at {home}, which is still there: what this one, a"
                " copy, does not know is no garbage. Apply the plan there, or give this collection a store of its own"
            )


def _goes_on(home: str, mine: str) -> bool:
    """Whether the catalog at `home` is another one that may still be used; a server is not asked, it may be."""
    if home.startswith("postgresql:"):
        return True
    return os.path.exists(home) and not (os.path.exists(mine) and os.path.samefile(home, mine))


def _brake(collection: Collection, plan: Plan, units: pl.Series | None, max_share: float | None) -> None:
    totals, head = collection.catalog.totals(), plan.head
    enough = SHRUNKEN * head.documents
    # Once it is begun, it may be the plan itself that the documents went by.
    if totals["documents"] < enough and totals["documents"] + _forgot(collection, plan) < enough:
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
            " approve less of it, or raise the limit (`--max-share`) if that is what you mean"
        )


def _forgot(collection: Collection, plan: Plan) -> int:
    return [(row[2], row[3]) for row in collection.catalog.journal(plan.id)].count((StepKind.FORGET, "done"))


def _left(steps: pl.DataFrame, decided: set[tuple[int, int]]) -> pl.DataFrame:
    """The steps that are still to be decided, with the columns of `Step`."""
    schema = {"unit": pl.Int64(), "step": pl.Int64()}
    done = pl.DataFrame(list(decided), schema=schema, orient="row")
    left = steps.join(done, on=list(schema), how="anti", maintain_order="left") if decided else steps
    raw = left.with_columns(pl.col("sha256").str.decode("hex"), pl.col("since").to_physical())
    return raw.select(Step._fields)


def _carry_out(world: World, collection: Collection, plan: Plan, steps: list[Step], when: datetime) -> Decided:
    """Decide about the steps of one batch in one transaction; the results, once they are committed."""
    names = {step.store for step in steps}
    touched = [store for name, (_, store) in world.stores.items() if name in names]
    # What needs transactions of its own comes first: completing or dropping dead ingests.
    dead = {step.document_id for step in steps if step.kind == StepKind.ABANDON}
    settled = settle_intents(collection, dead, when) if dead else {}
    _prepare(world, steps)
    results: Decided = []
    ids = {name: number for name, (number, _) in world.stores.items()}
    with collection.catalog.hand(plan.id, as_of=when) as hand, world.transaction(hand):
        for store in touched:
            store.reach()
        # Somebody else may be applying the same plan: what they decided meanwhile is not decided twice.
        already = hand.decided(steps[0].unit, steps[-1].unit)
        left = [step for step in steps if (step.unit, step.step) not in already] if already else steps
        for kind, some in itertools.groupby(left, key=attrgetter("kind")):
            for step, result in _act_on(world, kind, list(some), settled):
                _note(ids, hand, step, result)
                results.append((step, result))
        # A disk that goes away in the middle looks like files that are gone: it must still be there, or nothing was.
        if any(result.why == GONE for _, result in results):
            for store in touched:
                store.reach()
        # Names that came or went are on stable storage before the catalog says so.
        world.settle_names()
    return results


def _prepare(world: World, steps: list[Step]) -> None:
    """Do the long reading and writing of a batch before its transaction."""
    world.moved()
    for step in steps:
        prepare = PREPARATIONS.get(step.kind)
        if prepare is not None and step.unit not in world.waiting and not _nowhere(world, step):
            try:
                prepare(world, step)
            except StoreFull:
                raise
            except (StoreError, InvalidInput):
                continue  # the act meets the same trouble, and says so
    world.settle_temps()


def _nowhere(world: World, step: Step) -> str:
    """Why a step is about nothing: it does not say what, or names a store that this collection does not have."""
    fact, stray = step.kind in _FACTS, step.kind in _OF_STRAYS and step.sha256 is None
    if step.sha256 is None and not stray:
        return "it does not say which bytes it is about"
    if (not fact or stray or step.store is not None) and None in (step.store, step.key):
        return "it does not say where it is to be done"
    missing = [name for name in (step.store, step.from_store) if name is not None and name not in world.stores]
    return f"this collection has no store {missing[0]!r}" if missing else ""


def _act_on(world: World, kind: str, steps: list[Step], settled: dict[int, str]) -> Iterator[tuple[Step, Result]]:
    """Carry out neighbours of one kind, one by one or together; each result is to be noted before the next is asked."""
    if kind in TOGETHER:
        nowhere = [_nowhere(world, step) for step in steps]
        found = iter(TOGETHER[kind](world, [step for step, why in zip(steps, nowhere, strict=True) if not why]))
        for step, why in zip(steps, nowhere, strict=True):
            yield step, Result("failed", why) if why else next(found)
        return
    for step in steps:
        yield step, unless(settled[step.document_id]) if kind == StepKind.ABANDON else _act(world, step)


def _act(world: World, step: Step) -> Result:
    if why := _nowhere(world, step):
        return Result("failed", why)
    # What is done with bytes is done in order: the rest of a unit waits until what failed, or waits, is tried again.
    if step.unit in world.waiting:
        return Result("waiting", EARLIER_WAITS)
    if step.kind in PREPARATIONS and UNDECIDED & world.hand.outcomes_before(step.unit, step.step):
        return Result("failed", "an earlier step of its unit failed")
    try:
        result = ACTS[step.kind](world, step)
        if result.outcome == "waiting":
            world.waiting.add(step.unit)
        return result
    except StoreFull:
        raise  # what follows would fail as well
    except (StoreError, InvalidInput) as problem:
        return Result("failed", str(problem))


def _note(ids: dict[str, int], hand: Hand, step: Step, result: Result) -> None:
    at, source = ids.get(step.store or ""), ids.get(step.from_store or "")
    if step.from_key is not None and step.from_store is None:
        source = at
    subject = (step.sha256, step.document_id, at, step.key, source, step.from_key)
    hand.note(
        step.unit, step.step, step.kind, result.outcome, result.why, subject, result.freed, result.effect, result.wait
    )
