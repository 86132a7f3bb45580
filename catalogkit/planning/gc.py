"""Gathers garbage, and plans to condemn or purge it; `gc_incremental` does both in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput, PlanError
from catalogkit.model import Digest
from catalogkit.owners import is_dead
from catalogkit.planners import gc
from catalogkit.planning.common import chunked, framed, head_of, names_of
from catalogkit.signals import operation
from catalogkit.stores.opening import OWN

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.approval import Approval
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

# Strays as the catalog knows them: how many names they have is up to the store.
_STRAYS: Final = pl.Schema({name: kind for name, kind in gc.STRAYS.items() if name != "users"})


@operation("plan", kind="gc")
def plan_gc(
    collection: Collection,
    policy: gc.GCPolicy | None = None,
    *,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """What to condemn: unreferenced blobs, stray files of the store, ingests that died.

    Raises
    ------
    PlanError
        If the catalog knows nothing while the store is full: that is the wrong catalog, not garbage.

    Examples
    --------
    >>> ck.plan_gc(c).units  # nothing is garbage yet
    0
    """
    when, catalog, policy = as_of or collection.now(), collection.catalog, policy or gc.GCPolicy()
    head = head_of(collection, "gc", when)
    strays = _strays(collection)
    if strays.height and not catalog.totals()["locations"]:
        raise PlanError(
            f"the catalog knows no bytes at all, its store has {strays.height:,} files: is this the right catalog?"
            " Restore its backup, or take the files in; nothing is called garbage before"
        )
    dead = [
        (intent.id, str(intent.registration.digest), collection.stores[intent.registration.store_id].name,
         intent.registration.key)
        for intent in catalog.intents()
        if is_dead(intent.owner, intent.expires_at, when)
    ]  # fmt: skip
    return gc.plan_condemn(head, catalog.garbage(as_of=when), strays, framed(dead, gc.INTENTS), policy).limited(limit)


def kept_garbage(collection: Collection, *, as_of: datetime | None = None) -> pl.DataFrame:
    """What no document needs and something else keeps, by what keeps it; bytes as they lie in stores.

    A row for each of ``snapshot``, ``backup``, ``plan``, ``hold`` and ``ingest``: how many of these there are, and the
    blobs and bytes that they keep, largest first. What several of them keep counts for the first that is found.
    """
    return gc.kept(collection.catalog.garbage(as_of=as_of or collection.now()))


@operation("plan", kind="purge")
def plan_purge(
    collection: Collection,
    policy: gc.GCPolicy | None = None,
    *,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """What to purge: condemned bytes whose grace is over.

    Examples
    --------
    >>> ck.plan_purge(c).units  # nothing was condemned
    0
    """
    when = as_of or collection.now()
    return gc.plan_purge(
        head_of(collection, "purge", when),
        _present(collection, collection.catalog.condemned(as_of=when)),
        _present(collection, framed(collection.catalog.strays(), _STRAYS)),
        policy or gc.GCPolicy(),
    ).limited(limit)


def gc_incremental(
    batch_size: int = 100,
    dry_run: bool = True,
    *,
    collection: Collection | None = None,
    approval: Approval | None = None,
    policy: gc.GCPolicy | None = None,
    as_of: datetime | None = None,
    **options: Any,
) -> Any:
    """Collect garbage in batches: the short door to `plan_gc` and `catalogkit.apply`.

    Parameters
    ----------
    batch_size
        Steps in one transaction; progress is told, and a stop heeded, after each.
    dry_run
        True gives the plan and changes nothing. False condemns what the plan says, which can be undone; bytes are
        only removed by `plan_purge`, after the grace.
    collection
        The collection; without it the one of ``$CATALOGKIT_HOME``, or of the current folder.
    **options
        Passed on to `catalogkit.apply`: ``progress``, ``stop``, ``max_share``.

    Returns
    -------
    Plan or ApplyReport

    Examples
    --------
    >>> ck.gc_incremental(batch_size=100, dry_run=True, collection=c).head.kind
    'gc'
    """
    from catalogkit.apply import apply
    from catalogkit.collection import opened

    if batch_size < 1:
        raise InvalidInput("batch_size must be at least 1")
    with opened(collection) as found:
        plan = plan_gc(found, policy, as_of=as_of)
        if dry_run:
            return plan
        return apply(
            found, plan, approval=approval, unapproved=approval is None, batch=batch_size, as_of=as_of, **options
        )


def _present(collection: Collection, files: pl.DataFrame) -> pl.DataFrame:
    """How many names each file has, also those the catalog does not know; one that is gone frees nothing."""
    names = names_of(collection)
    users = [names(store, key) for store, key in zip(files["store"], files["key"], strict=True)]
    counted = _as_copied(collection, files).with_columns(users=pl.Series(users, dtype=pl.Int64))
    return counted.with_columns(bytes=pl.when(pl.col("users") > 0).then("bytes").otherwise(0))


def _as_copied(collection: Collection, files: pl.DataFrame) -> pl.DataFrame:
    """How the copies look now that hold their bytes in other files: their store was copied to another disk."""
    if "sha256" not in files.columns:
        return files
    stores = {store.name: store for store in collection.stores.values() if isinstance(store, OWN)}
    looks = []
    for text, name, key, *was in files.select("sha256", "store", "key", "inode", "mtime_ns").iter_rows():
        there = stores[name].stat(key) if name in stores and key is not None else None
        if there is not None and [there.inode, there.mtime_ns] != was:
            there = stores[name].holds(key, Digest.parse(text))
        looks.append(was if there is None else [there.inode, there.mtime_ns])
    now = pl.DataFrame(looks, schema={"inode": pl.Int64, "mtime_ns": pl.Int64}, orient="row")
    return files.with_columns(now)


def _strays(collection: Collection) -> pl.DataFrame:
    """Files of the store that have the form of its layout and that no record knows, nor condemned as they are."""
    store = collection.store
    store.reach()
    store_id = collection.store_id(store.name)
    rows = []
    condemned = {row[1]: row[2:5] for row in collection.catalog.strays() if row[0] == store.name}
    for keys in chunked(store.keys(), 10_000):
        known = collection.catalog.recorded(store_id, keys) - condemned.keys()
        for key in keys:
            about = None if key in known else store.stat(key)
            if about is not None and condemned.get(key) != (about.bytes, about.inode, about.mtime_ns):
                since = int(about.mtime_ns // 1000)
                rows.append((store.name, key, about.bytes, about.inode, about.mtime_ns, store.names(key), since))
    return framed(rows, gc.STRAYS)
