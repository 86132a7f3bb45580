"""Which ingests are running or dead, and completing or cleaning up after the dead."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from catalogkit.errors import ConstraintError, StoreError
from catalogkit.marks import hold
from catalogkit.owners import is_dead
from catalogkit.stores.local import LocalStore
from catalogkit.stores.opening import OWN

if TYPE_CHECKING:
    from collections.abc import Sequence, Set
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog, Committed, Intent, Registration
    from catalogkit.collection import Collection
    from catalogkit.stores.opening import AnyStore, Own

# An ingest renews its promise with every batch, which takes seconds. The lease covers a machine that is suspended or
# a disk that hangs; after it, somebody on another machine may clean up.
LEASE: Final = timedelta(minutes=30)
ALIVE: Final = "the ingest is alive"
NO_BYTES: Final = "its bytes are not where they were to appear"


def recover(collection: Collection, as_of: datetime, *, owner: str | None = None) -> tuple[int, Counter[str]]:
    """Complete ingests whose bytes were published, and clean up the others.

    Parameters
    ----------
    owner
        Only this owner's, dead or not (an ingest that was interrupted tidies up after itself); without it,
        everybody's who died.

    Returns
    -------
    tuple of int and Counter
        How many documents were completed, and how many intents were abandoned, by the reason why.
    """
    if not owner:
        hold(collection, collection.store)  # a copy of the catalog has the same intents
    now = collection.now()  # leases are kept by the clock, whatever time a run is about
    left = [
        intent
        for intent in collection.catalog.intents()
        if (intent.owner == owner if owner else is_dead(intent.owner, intent.expires_at, now))
    ]
    dropped = _settle(collection, left, as_of)
    # Last, because until here a temporary name may be all there is of a document.
    if owner:
        collection.store.sweep(owner)
    else:
        _sweep(collection.store, now)
        for store in collection.stores.values():
            if isinstance(store, LocalStore) and store is not collection.store:
                sweep_dead(store, now)
    return len(left) - dropped.total(), dropped


def sweep_dead(store: AnyStore, now: datetime) -> None:
    """Remove what the dead left unfinished in a store that new bytes do not go to; another time, if it is away."""
    if isinstance(store, OWN):
        with contextlib.suppress(StoreError):
            store.reach()
            _sweep(store, now)


def _sweep(store: Own, now: datetime) -> None:
    for wrote, used_at in store.scratches():
        if is_dead(wrote, used_at + LEASE, now):
            store.sweep(wrote)


def settle_intents(collection: Collection, wanted: Set[int], as_of: datetime) -> dict[int, str]:
    """Complete or drop ingests that died, by the ids of their intents; says why not, nothing where that is done."""
    now = collection.now()
    found = [intent for intent in collection.catalog.intents() if intent.id in wanted]
    dead = [intent for intent in found if is_dead(intent.owner, intent.expires_at, now)]
    _settle(collection, dead, as_of)
    alive = {intent.id for intent in found} - {intent.id for intent in dead}
    return {number: ALIVE if number in alive else "" for number in wanted}


def _settle(collection: Collection, intents: list[Intent], as_of: datetime) -> Counter[str]:
    """Complete ingests, or abandon them: how many, by the reason why."""
    told = _complete(collection, intents, as_of)
    dropped = {intent.id: told.get(intent.id, NO_BYTES) for intent in intents}
    dropped = {number: why for number, why in dropped.items() if why}
    if dropped:
        collection.catalog.abandon(dropped)
    return Counter(dropped.values())


def _complete(collection: Collection, intents: list[Intent], as_of: datetime) -> dict[int, str]:
    """Finish the ingests whose bytes lie at their key, proved by reading them; nothing, or why the catalog refused."""
    ready: list[tuple[int, Registration]] = []
    for intent in intents:
        entry, store = intent.registration, collection.stores.get(intent.registration.store_id)
        there = store.holds(entry.key, entry.digest) if isinstance(store, OWN) else None
        if there is not None:
            # It comes late: a version that was fetched after it, and committed before, stays the current one.
            whole = replace(entry, inode=there.inode, mtime_ns=there.mtime_ns, in_order=False)
            ready.append((intent.id, whole))
    # What is visible after a killed process need not be on the disk yet.
    for store_id, store in collection.stores.items():
        keys = [entry.key for _, entry in ready if entry.store_id == store_id]
        if keys and isinstance(store, OWN):
            store.settle(keys)
    runs = dict.fromkeys(entry.arrival.run_id for _, entry in ready)
    done: dict[int, str] = {}
    for run_id in runs:
        mine = [(intent, entry) for intent, entry in ready if entry.arrival.run_id == run_id]
        told = commit_each(collection.catalog, mine, as_of=as_of, run_id=run_id, late=True)
        # Where a place was given away meanwhile, or a document forgotten, the source is still there to be taken in
        # again; bytes that nobody needs are found by garbage collection.
        for (number, _), one in zip(mine, told, strict=True):
            done[number] = str(one) if isinstance(one, ConstraintError) else ""
    return done


def commit_each(
    catalog: Catalog,
    staged: Sequence[tuple[int | None, Registration]],
    *,
    as_of: datetime,
    run_id: str,
    late: bool = False,
) -> list[Committed | ConstraintError]:
    """Commit all at once, or, where the catalog refuses something, one by one, so that only that is left out."""
    try:
        return [*catalog.commit(staged, as_of=as_of, run_id=run_id, late=late)]
    except ConstraintError as problem:
        if len(staged) == 1:
            return [problem]
    return [told for one in staged for told in commit_each(catalog, [one], as_of=as_of, run_id=run_id, late=late)]
