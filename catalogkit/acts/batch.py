"""One batch of a plan's steps: what takes long is prepared, the rest is decided and done in one transaction."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from catalogkit.acts import ACTS, PREPARATIONS, TOGETHER
from catalogkit.acts.world import EARLIER, GONE, UNDECIDED, Result, Step, World, unless
from catalogkit.errors import InvalidInput, StoreError, StoreFull
from catalogkit.intents import settle_intents
from catalogkit.marks import check
from catalogkit.plan import StepKind
from catalogkit.stores.opening import OWN
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from catalogkit.catalog.hand import Hand
    from catalogkit.collection import Collection

    Decided = list[tuple[Step, Result]]

EARLIER_WAITS: Final = "an earlier step of its unit waits"
# So many are prepared at once that are about a bucket: nearly all of that is waiting.
REMOTE_AT_ONCE: Final = 16
# What changes facts needs no place; some of that may be about a stray, which has nothing else.
_OF_STRAYS: Final = frozenset({StepKind.CONDEMN, StepKind.REARM, StepKind.PURGE})
_FACTS: Final = _OF_STRAYS | {StepKind.FORGET, StepKind.RECALL, StepKind.EVICT, StepKind.RESOLVE}


def carry_out(
    world: World, collection: Collection, plan_id: str, steps: list[Step], when: datetime, shared: bool
) -> Decided:
    """Decide about the steps of one batch in one transaction; the results, once they are committed."""
    names = {step.store for step in steps}
    touched = [store for name, (_, store) in world.stores.items() if name in names]
    # What needs transactions of its own comes first: completing or dropping dead ingests.
    dead = {step.document_id for step in steps if step.kind == StepKind.ABANDON}
    settled = settle_intents(collection, dead, when) if dead else {}
    # What another run of this plan did before it gave the contents back is not read again.
    units = steps[0].unit, steps[-1].unit
    decided = collection.catalog.decided(plan_id, units=units) if shared else set()
    _prepare(world, [step for step in steps if (step.unit, step.step) not in decided])
    results: Decided = []
    ids = {name: number for name, (number, _) in world.stores.items()}
    with collection.catalog.hand(plan_id, as_of=when) as hand, world.transaction(hand):
        for store in touched:
            check(collection.catalog, store) if isinstance(store, OWN) else store.reach()
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
    at_once = world.concurrency if world.executor is not None else REMOTE_AT_ONCE if _far(world, due) else 1
    if at_once == 1:
        _prepare_in_turn(world, due)
    else:
        # What is about one content stays together: names of one file are proved by one reading.
        about: dict[bytes | None, list[Step]] = {}
        for step in due:
            about.setdefault(step.sha256, []).append(step)
        with ThreadPoolExecutor(at_once, thread_name_prefix="catalogkit-apply") as threads:
            list(threads.map(partial(_prepare_in_turn, world), about.values()))
    world.settle_temps()


def _far(world: World, steps: list[Step]) -> bool:
    """Whether bytes are to come from a bucket, or to go there."""
    return any(isinstance(store, S3Layout) for step in steps for store in (world.place(step)[1], world.source(step)))


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
        return Result("failed", EARLIER)
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
