"""The executor: carries out the approved steps of a plan, one batch at a time.

It never looks at what kind of plan it is, only at steps; `catalogkit.acts` has a function for each kind of these. A
batch of steps is one transaction, or two where names are taken away as well: each step is guarded against what is true
now, done or skipped with its reason, and written into the journal together with what it did. Long reading and writing
is done before the transaction, which keeps others from writing; `catalogkit.acts.proofs` says why that is safe.
While the transaction is open nobody can start to need what is about to go, so a file is removed inside it, last.
Several machines may apply one plan, or plans about the same contents: each takes on the contents that it is going to
read (`catalogkit.leasing`), and leaves to the others what they are at.
A crash leaves whole batches done; of the one under way, files may be gone that their records still name, which is why
condemned bytes are looked for before they are taken back. Applying the plan again goes on where the journal ends.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.acts import ACTS, PREPARATIONS, REMOVES, TOGETHER
from catalogkit.acts.world import GONE, UNDECIDED, Result, Step, World, unless
from catalogkit.apply_report import ApplyReport
from catalogkit.brakes import alone, enough_is_left
from catalogkit.errors import InvalidInput, PlanError, StoreError, StoreFull
from catalogkit.intents import settle_intents
from catalogkit.leasing import Leases
from catalogkit.model import Digest
from catalogkit.owners import new_owner, retire
from catalogkit.plan import StepKind
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.signals import DONE, STOPPED, operation
from catalogkit.stores.s3.store import S3Layout
from catalogkit.workers import processors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
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
ELSEWHERE: Final = "another run is at it"
EARLIER_WAITS: Final = "an earlier step of its unit waits"
# What changes facts needs no place; some of that may be about a stray, which has nothing else.
_OF_STRAYS: Final = frozenset({StepKind.CONDEMN, StepKind.REARM, StepKind.PURGE})
_FACTS: Final = _OF_STRAYS | {StepKind.FORGET, StepKind.RECALL, StepKind.EVICT, StepKind.RESOLVE}


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
    executor: Executor | None = None,
    concurrency: int | None = None,
    report: ApplyReport | None = None,
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
    executor
        Workers that read and copy what steps are about (any `concurrent.futures.Executor`); deciding stays here.
    concurrency
        How many of them work at once; the number of processors without it.
    report
        An empty report to fill in, for whoever looks at it meanwhile.

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
    if batch < 1 or (concurrency is not None and concurrency < 1):
        raise InvalidInput("batch and concurrency must be at least 1")
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
        enough_is_left(collection, plan, units, max_share)
    if not steps.filter(pl.col("kind").is_in([StepKind.QUARANTINE, *REMOVES])).is_empty():
        alone(collection)
    report = report or ApplyReport()
    report.plan_id = plan.id
    began = time.monotonic()
    about = approval.to_dict() if approval else {"unapproved": True}
    kept = steps.filter(pl.col("kind").is_in(list(PREPARATIONS)))["sha256"].drop_nulls().unique()
    keeps = [Digest.parse(text) for text in kept]
    if left.height or not noted:
        head = plan.summary() | {"policy": dict(plan.head.policy)}
        catalog.begin_plan(plan.id, plan.head.kind, head, about, keeps=keeps, as_of=when)
    report.already = before = steps.height - left.height
    owner = new_owner()
    stores = {one.name: (number, one) for number, one in collection.stores.items()}
    world = World(catalog, stores, owner, fetcher, executor, concurrency or processors())
    leases, others = Leases[str](collection, "apply", str, set), set[int]()
    with operation("apply", kind=plan.head.kind, store=collection.store.kind) as told, leases:
        told.tally(report, "done", "skipped", "failed", "waiting", "removed", "bytes_freed")
        try:
            remote = [one.name for one in collection.stores.values() if isinstance(one, S3Layout)]
            far = left.select(pl.any_horizontal(pl.col("store", "from_store").is_in(remote)).any()).item()
            for chunk in left.iter_slices(min(batch, REMOTE_BATCH) if far else batch):
                if stop is not None and stop.is_set():
                    report.stopped = "stopped"
                    break
                world.begin()
                every = [Step._make(row) for row in chunk.iter_rows()]
                taken = _take_on(leases, every, others)
                # Whoever left a step of a unit to others leaves them what follows.
                some = [step for step in every if step.unit not in others]
                report.others |= others
                report.elsewhere += len(every) - len(some)
                # What takes names away comes last, once everybody can find the copies that stay.
                for part in (
                    [step for step in some if step.kind not in REMOVES],
                    [step for step in some if step.kind in REMOVES],
                ):
                    if part:
                        decided = _carry_out(world, collection, plan, part, when, leases.shared)
                        report.add(part, decided)
                        told.count(**Counter(step.kind for step, result in decided if result.outcome == DONE))
                leases.done(taken)
                # Of what was left to do: what earlier runs decided says nothing about how long this one takes.
                settled = report.already - before + report.done + report.skipped + report.failed + report.waiting
                settled += report.elsewhere
                progress(Progress("apply", settled, report.bytes_freed, left.height, None, report.failed))
            else:
                # Of several that share it out the last one finds that all is decided.
                over = not report.elsewhere or _left(steps, catalog.decided(plan.id)).is_empty()
                if over and not report.failed + report.waiting:
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


def _left(steps: pl.DataFrame, decided: set[tuple[int, int]]) -> pl.DataFrame:
    """The steps that are still to be decided, with the columns of `Step`."""
    schema = {"unit": pl.Int64(), "step": pl.Int64()}
    done = pl.DataFrame(list(decided), schema=schema, orient="row")
    left = steps.join(done, on=list(schema), how="anti", maintain_order="left") if decided else steps
    raw = left.with_columns(pl.col("sha256").str.decode("hex"), pl.col("since").to_physical())
    return raw.select(Step._fields)


def _take_on(leases: Leases[str], steps: list[Step], others: set[int]) -> set[str]:
    """Take the contents on whose bytes are going to be read; `others` gets the units that others are at."""
    if not leases.shared:
        return set()
    read = [step for step in steps if step.kind in PREPARATIONS and step.sha256 is not None and step.unit not in others]
    taken = set(itertools.chain.from_iterable(leases.parts(sorted({str(step.digest) for step in read}))))
    others |= {step.unit for step in read if str(step.digest) not in taken}
    return taken


def _carry_out(
    world: World, collection: Collection, plan: Plan, steps: list[Step], when: datetime, shared: bool
) -> Decided:
    """Decide about the steps of one batch in one transaction; the results, once they are committed."""
    names = {step.store for step in steps}
    touched = [store for name, (_, store) in world.stores.items() if name in names]
    # What needs transactions of its own comes first: completing or dropping dead ingests.
    dead = {step.document_id for step in steps if step.kind == StepKind.ABANDON}
    settled = settle_intents(collection, dead, when) if dead else {}
    # What another run of this plan did before it gave the contents back is not read again.
    units = steps[0].unit, steps[-1].unit
    decided = collection.catalog.decided(plan.id, units=units) if shared else set()
    _prepare(world, [step for step in steps if (step.unit, step.step) not in decided])
    results: Decided = []
    ids = {name: number for name, (number, _) in world.stores.items()}
    with collection.catalog.hand(plan.id, as_of=when) as hand, world.transaction(hand):
        for store in touched:
            store.reach()
        # Somebody else may be applying the same plan: what they decided meanwhile is not decided twice.
        already = hand.decided(*units)
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
    """Do the long reading and writing of a batch before its transaction; workers do it at the same time."""
    world.moved()
    due = [step for step in steps if step.kind in PREPARATIONS and step.unit not in world.waiting]
    due = [step for step in due if not _nowhere(world, step)]
    if world.executor is None:
        _prepare_in_turn(world, due)
    else:
        # What is about one content stays together: names of one file are proved by one reading.
        about: dict[bytes | None, list[Step]] = {}
        for step in due:
            about.setdefault(step.sha256, []).append(step)
        with ThreadPoolExecutor(world.concurrency, thread_name_prefix="catalogkit-apply") as threads:
            list(threads.map(partial(_prepare_in_turn, world), about.values()))
    world.settle_temps()


def _prepare_in_turn(world: World, steps: list[Step]) -> None:
    for step in steps:
        try:
            PREPARATIONS[step.kind](world, step)
        except StoreFull:
            raise
        except (StoreError, InvalidInput):
            continue  # the act meets the same trouble, and says so


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
