"""Gathers bad copies, other copies of their bytes, and their sources, and calls the repair planner."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from catalogkit.layouts import cas_key
from catalogkit.model import Digest
from catalogkit.planners import repair
from catalogkit.planning.common import chunked, framed, head_of
from catalogkit.signals import operation
from catalogkit.stores.opening import OWN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan
    from catalogkit.stores.opening import Own


@operation("plan", kind="repair")
def plan_repair(
    collection: Collection,
    policy: repair.RepairPolicy | None = None,
    *,
    fetch: bool = False,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """Plan to restore what the last check found corrupt or missing.

    Parameters
    ----------
    policy
        What a repair may do.
    fetch
        Whether documents may be downloaded again where no copy is left, whatever the policy says.
    limit
        At most so many blobs.

    Returns
    -------
    Plan
        What cannot be repaired is counted in ``plan.head.complete``, and listed by `repair_report`.

    Examples
    --------
    >>> ck.plan_repair(c).units  # no copy is known to be bad
    0
    """
    return repair_report(collection, policy, fetch=fetch, limit=limit, as_of=as_of).plan


def repair_report(
    collection: Collection,
    policy: repair.RepairPolicy | None = None,
    *,
    fetch: bool = False,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> repair.RepairReport:
    """What can be repaired, as a plan, and what cannot, with the reasons; arguments as for `plan_repair`.

    Raises
    ------
    StoreUnreachable
        If files without a record are to be looked through, and the store is not there.

    Examples
    --------
    >>> ck.repair_report(c).unrepairable.height
    0
    """
    when, policy = as_of or collection.now(), policy or repair.RepairPolicy()
    copies = collection.catalog.impaired()
    # Where a copy is left, nothing else needs to be looked for.
    lost = copies.filter(pl.col("outcome").is_in(repair.BAD).all().over("sha256")).unique("sha256").sort("sha256")
    finds = _finds(collection, lost)
    report = repair.plan_repair(
        head_of(collection, "repair", when),
        copies,
        framed(finds, repair.FINDS),
        framed(_origins(collection, lost), repair.ORIGINS),
        replace(policy, fetch=policy.fetch or fetch),
        collection.store.name,
    )
    return replace(report, plan=report.plan.limited(limit))


def _origins(collection: Collection, lost: pl.DataFrame) -> list[tuple[str, int, str]]:
    return [
        (text, number, url)
        for text in lost["sha256"]
        for number, url in collection.catalog.origins_of(Digest.parse(text))
    ]


def _finds(collection: Collection, lost: pl.DataFrame) -> list[tuple[str, str, str, str]]:
    """Files that no record knows and that hold lost bytes: at their content address, elsewhere, in quarantine.

    Looking for them takes time, so it is done only for bytes that are still lost, the quickest way first.
    """
    stores = [store for store in collection.stores.values() if isinstance(store, OWN)]
    wanted = {Digest.parse(text): size for text, size in lost.select("sha256", "bytes").iter_rows()}
    found: dict[Digest, tuple[str, str, str, str]] = {}
    for kind, look in (("stray", _addressed), ("stray", _strays), ("quarantined", _quarantined)):
        for store in stores:
            if left := {digest: size for digest, size in wanted.items() if digest not in found}:
                store.reach()
                for digest, key in look(collection, store, left):
                    found.setdefault(digest, (str(digest), store.name, key, kind))
    return list(found.values())


def _addressed(collection: Collection, store: Own, wanted: dict[Digest, int]) -> Iterator[tuple[Digest, str]]:
    digests = {cas_key(digest): digest for digest in wanted}
    for key in _unrecorded(collection, store, list(digests)):
        if store.holds(key, digests[key]):
            yield digests[key], key


def _strays(collection: Collection, store: Own, wanted: dict[Digest, int]) -> Iterator[tuple[Digest, str]]:
    sizes = set(wanted.values())
    for keys in chunked(store.keys(), 10_000):
        likely = {key: about.bytes for key in keys if (about := store.stat(key)) and about.bytes in sizes}
        for key in _unrecorded(collection, store, list(likely)):
            yield from _holding(store, key, likely[key], wanted)


def _quarantined(collection: Collection, store: Own, wanted: dict[Digest, int]) -> Iterator[tuple[Digest, str]]:
    for about in store.quarantined():
        yield from _holding(store, about.key, about.bytes, wanted)


def _holding(store: Own, key: str, size: int, wanted: dict[Digest, int]) -> Iterator[tuple[Digest, str]]:
    yield from ((digest, key) for digest, length in wanted.items() if length == size and store.holds(key, digest))


def _unrecorded(collection: Collection, store: Own, keys: list[str]) -> list[str]:
    """Keys that no location and no ingest is about; a stray that waits for its end is still there."""
    condemned = {row[1] for row in collection.catalog.strays() if row[0] == store.name}
    known = collection.catalog.recorded(collection.store_id(store.name), keys) - condemned
    return [key for key in keys if key not in known]
