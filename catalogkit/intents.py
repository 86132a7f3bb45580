"""Who is ingesting, who died of it, and completing or cleaning up what the dead left."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from catalogkit.stores.local import LocalStore

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.contract import Intent
    from catalogkit.collection import Collection

# An ingest renews its promise with every batch, which takes seconds. The lease covers a machine that is suspended or
# a disk that hangs; after it, somebody on another machine may clean up.
LEASE: Final = timedelta(minutes=30)


def _machine() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {namespace}"


def new_owner() -> str:
    """A name for this process's ingest: machine, process, and a part of its own."""
    return f"{_machine()}/{os.getpid()}/{uuid.uuid4().hex}"


def tag(owner: str) -> str:
    """The part of an owner's name that its temporary folder has."""
    return owner.rpartition("/")[2]


def is_dead(owner: str, expires_at: datetime, as_of: datetime) -> bool:
    """Whether an ingest is over: its lease ran out, or its process, on this machine, is gone."""
    if expires_at <= as_of:
        return True
    machine, _, rest = owner.partition("/")
    process = rest.partition("/")[0]
    if machine != _machine() or not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def recover(collection: Collection, as_of: datetime, *, owner: str | None = None) -> tuple[int, int]:
    """Complete ingests whose bytes were published, and clean up the others.

    Parameters
    ----------
    owner
        Only this owner's, dead or not (an ingest that was interrupted tidies up after itself); without it,
        everybody's who died.

    Returns
    -------
    tuple of int
        How many documents were completed, how many intents abandoned.
    """
    left = [
        intent
        for intent in collection.catalog.intents()
        if (intent.owner == owner if owner else is_dead(intent.owner, intent.expires_at, as_of))
    ]
    completed = [intent for intent in left if _complete(collection, intent, as_of)]
    collection.catalog.abandon([intent.id for intent in left if intent not in completed])
    # Last, because until here a temporary name may be all there is of a document.
    for name, wrote, used_at in collection.store.scratches():
        if wrote == owner if owner else is_dead(wrote, used_at + LEASE, as_of):
            collection.store.sweep(name)
    return len(completed), len(left) - len(completed)


def _complete(collection: Collection, intent: Intent, as_of: datetime) -> bool:
    """Finish one ingest if its bytes lie at their key, proved by reading them."""
    entry = intent.registration
    store = collection.stores[entry.store_id]
    if not isinstance(store, LocalStore):
        return False
    there = store.holds(entry.key, entry.digest)
    if there is None or there.bytes != entry.bytes:
        return False
    # What is visible after a killed process need not be on the disk yet.
    store.settle(entry.key)
    whole = replace(entry, inode=there.inode, mtime_ns=there.mtime_ns)
    collection.catalog.commit([(intent.id, whole)], as_of=as_of, run_id=entry.arrival.run_id)
    return True
