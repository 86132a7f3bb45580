"""Steps that take a copy away from its key: drop one of several, move bad bytes to quarantine.

Neither happens unless another copy was read, and hashed right, or there is none that could be lost; or the plan noted
before that the last copy goes on purpose.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from catalogkit.acts.world import GONE, NOT_PLANNED, OWNERS, Result, Step, World, unless
from catalogkit.errors import KeyTaken, StoreError
from catalogkit.model import Outcome
from catalogkit.stores.local import LocalStore
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from catalogkit.model import LocationRecord
    from catalogkit.stores.opening import Own

NO_OTHER: Final = "no other copy of it is proved good"
SHOWN: Final = "a view lay there already"
NO_COPY: Final = "it is no copy of these bytes any more"


def prepare_drop(world: World, step: Step) -> None:
    """Read other copies until one is proved good."""
    if world.recorded(step):
        _another(world, step, prove=True)


def prepare_quarantine(world: World, step: Step) -> None:
    """Read the copy itself, and others until one is proved good."""
    _, store = world.place(step)
    world.proofs.prove(store, step.key, step.digest, world.size(step.digest))
    _another(world, step, prove=True)


def _others(world: World, step: Step) -> list[LocationRecord]:
    """The other copies, those first that are most likely good."""
    mine = [one for one in world.copies(step.digest) if (one.store, one.key) != (step.store, step.key)]
    return sorted(mine, key=lambda one: (one.outcome not in (None, "ok"), one.store != step.store, one.id))


def _another(world: World, step: Step, *, prove: bool = False) -> bool:
    """Whether another copy of a blob is good at this moment, and is not the same directory entry."""
    look = world.proofs.prove if prove else world.proofs.look
    for one in _others(world, step):
        if one.store not in world.stores or _same_entry(world, step, one):
            continue
        _, store = world.stores[one.store]
        try:
            found = look(store, one.key, step.digest, one.bytes)
        except StoreError:
            continue  # that its disk is away proves nothing
        if found.outcome is Outcome.OK:
            return True
    return False


def _same_entry(world: World, step: Step, other: LocationRecord) -> bool:
    """Whether two locations are one directory entry, by whatever way each leads there."""
    store, others = world.place(step)[1], world.stores[other.store][1]
    if isinstance(store, S3Layout) or isinstance(others, S3Layout):
        return (step.store, step.key) == (other.store, other.key)
    here, there = store.path(step.key), others.path(other.key)
    # What goes is the entry itself, be it a link; what stays is whatever the other leads to.
    if os.path.join(os.path.realpath(os.path.dirname(here)), os.path.basename(here)) == os.path.realpath(there):
        return True
    try:
        one, two = os.lstat(here), os.stat(there)
    except OSError:
        return False
    return os.path.samestat(one, two) and one.st_nlink == 1


def drop(world: World, step: Step) -> Result:
    """Remove one copy of a blob that stays; a file in its owner's hands only leaves the catalog.

    A step with a `from_key` leaves a view of the copy there: a symbolic link in the place of the file.
    """
    hand, digest = world.hand, step.digest
    if "skipped" in hand.outcomes_before(step.unit, step.step):
        return unless("an earlier step of its unit was skipped")
    store_id, _ = world.place(step)
    if not world.recorded(step):
        return unless(NO_COPY)
    store, files = world.own(step.store), world.local(step.store)
    view = step.from_key if files else None
    shown = bool(view) and files is not None and files.view_at(step.key) == view
    why = SHOWN if shown else world.changed(step)
    if why not in ("", GONE, SHOWN):
        return unless(why)
    if not hand.evicted(digest) and not _another(world, step):
        return unless(NO_OTHER)
    if files and any(one.store == step.store and files.view_at(one.key) == step.key for one in world.copies(digest)):
        return unless("a view at the place of another copy shows it")
    if view and files and not (_recorded(world, step, view) and world.outcome(files, view, digest) is Outcome.OK):
        return unless("the copy that is to be seen in its place is not proved good")
    try:
        # The record first, where the database has the last word; the file last. A file that stays keeps its record.
        with hand.tentative():
            if refused := hand.drop_location(digest, store_id, step.key):
                return unless(refused)
            freed = _removed(world, step, store, view) if store and not why else 0
    except OSError as problem:
        return Result("failed", f"it cannot be removed: {problem.strerror}")
    if store is None or why:
        return Result("done", why)
    world.named(store, step.key)
    for one in world.copies(digest):  # one name less moves the change time of a file's other names
        if one.store == step.store:
            world.proofs.touched(store, one.key)
    return Result("done", removed=1, freed=freed)


def _recorded(world: World, step: Step, key: str) -> bool:
    return any((one.store, one.key) == (step.store, key) for one in world.copies(step.digest))


def _removed(world: World, step: Step, store: Own, view: str | None) -> int:
    world.hand.keep_away()
    if view and isinstance(store, LocalStore):
        return store.leave_view(step.key, view, world.temp(store))
    if isinstance(store, LocalStore):
        return store.remove(step.key)
    freed = store.remove_planned(step.key, step.inode, step.mtime_ns, step.bytes)
    if freed is None:
        raise KeyTaken(NOT_PLANNED)
    return freed


def quarantine(world: World, step: Step) -> Result:
    """Move bad bytes aside; the location stays, as one where nothing lies."""
    store, hand, digest = world.own(step.store), world.hand, step.digest
    if store is None:
        return unless(OWNERS)
    store_id, _ = world.place(step)
    if not world.recorded(step):
        return unless(NO_COPY)
    found = world.proofs.look(store, step.key, digest, world.size(digest))
    if found.outcome is Outcome.OK:
        return unless("it is healthy")
    if found.outcome is Outcome.UNKNOWN:
        return Result("failed", found.detail)
    # Where this was the only copy the blob is lost, and what is left of it is kept all the same.
    if _others(world, step) and not _another(world, step):
        return unless(NO_OTHER)
    if found.outcome is Outcome.MISSING:
        hand.note_missing(digest, store_id, step.key, found.detail)
        return Result("done", GONE)
    aside = store.quarantine(step.key)
    hand.note_missing(digest, store_id, step.key, f"{found.detail}; moved to {os.path.basename(aside)}")
    return Result("done", removed=1)
