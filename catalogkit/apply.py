"""The executor: carries out the approved steps of a plan, one batch at a time.

It never looks at what kind of plan it is, only at steps; `catalogkit.acts` has a function for each kind of these. A
batch of steps (`catalogkit.acts.batch`) is one transaction, or two where names are taken away as well: each step is
guarded against what is true now, done or skipped with its reason, and written into the journal together with what it
did. Long reading and writing is done before the transaction, which keeps others from writing;
`catalogkit.acts.proofs` says why that is safe.
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
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.acts import PREPARATIONS, REMOVES
from catalogkit.acts.batch import carry_out
from catalogkit.acts.world import Step, World
from catalogkit.apply_report import ApplyReport
from catalogkit.brakes import alone, enough_is_left, first
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.intents import sweep_dead
from catalogkit.leasing import Leases
from catalogkit.model import Digest
from catalogkit.owners import new_owner, retire
from catalogkit.plan import StepKind
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.signals import DONE, STOPPED, operation
from catalogkit.stores.s3.store import S3Layout
from catalogkit.workers import processors

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from datetime import datetime

    from catalogkit.acts.world import Fetcher
    from catalogkit.approval import Approval
    from catalogkit.catalog.contract import PlanRow
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

BATCH: Final = 1000
# Every step about a bucket waits for its server a few times, while the transaction keeps other writers waiting.
REMOTE_BATCH: Final = 50
ELSEWHERE: Final = "another run is at it"


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
    StoreMismatch
        If another copy of this catalog has used a store that the plan is about; also where it does so meanwhile.
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
    noted = next((row for row in catalog.plans() if row.id == plan.id), None)
    _may_go_on(plan, noted, left, when)
    if left.height:
        enough_is_left(collection, plan, units, max_share)
    if not steps.filter(pl.col("kind").is_in([StepKind.QUARANTINE, *REMOVES])).is_empty():
        alone(collection)
    first(collection, left)
    report = report or ApplyReport()
    report.plan_id = plan.id
    began = time.monotonic()
    about = approval.to_dict() if approval else {"unapproved": True}
    kept = steps.filter(pl.col("kind").is_in(list(PREPARATIONS)))["sha256"].drop_nulls().unique()
    keeps = [Digest.parse(text) for text in kept]
    if left.height or noted is None:
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
                for removes in (False, True):
                    if part := [step for step in some if (step.kind in REMOVES) == removes]:
                        decided = carry_out(world, collection, plan.id, part, when, leases.shared)
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
                    # What a program that died was sending there this plan would have taken up.
                    for name in set(steps["store"]) & set(remote):
                        sweep_dead(stores[name][1], collection.now())
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


def _may_go_on(plan: Plan, noted: PlanRow | None, left: pl.DataFrame, when: datetime) -> None:
    """Raise where a plan was given up, or ran out before anything of it was begun."""
    if noted is not None and noted.given_up:
        # To go on would be to do what a person decided against; and what it kept may have gone since.
        raise PlanError.given_up(noted.given_up)
    # A plan that was begun in time may be finished: what is left of it is guarded like its first steps were. One that
    # has ended was finished: what is approved of it later is a beginning.
    begun = left.is_empty() or (noted is not None and noted.ended_at is None)
    if when >= plan.head.expires_at and not begun:
        raise PlanError(f"this plan expired at {plan.head.expires_at:%Y-%m-%d %H:%M} UTC; make a new one")


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
