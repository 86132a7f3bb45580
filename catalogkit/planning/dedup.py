"""Gathers what is known of duplicates, looks at their files, and calls the dedup planner."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import polars as pl

from catalogkit.acts.sharing import own_bytes
from catalogkit.errors import InvalidInput
from catalogkit.opportunities import DedupOpportunities
from catalogkit.planners import dedup
from catalogkit.planning.common import framed, head_of
from catalogkit.policies.dedup import DedupPolicy, How
from catalogkit.signals import operation
from catalogkit.stores.local import LocalStore

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

# A verification of fewer bytes than this measures the start of the program, not the disk.
MEASURED_BYTES: Final = 100_000_000


@operation("plan", kind="dedup")
def plan_dedup(
    collection: Collection,
    policy: DedupPolicy | None = None,
    *,
    limit: int | None = None,
    as_of: datetime | None = None,
    how: str = "link",
) -> Plan:
    """Which copies are to share their bytes: a unit for each content. Changes nothing.

    Parameters
    ----------
    policy
        What is worth sharing; the collection's settings (``[dedup]`` in ``catalogkit.toml``) without it.
    limit
        At most so many contents.
    how
        ``link`` makes copies names of one file, ``clone`` lets them share data where the file system can (each stays a
        file of its own), ``cas`` leaves one copy, at its content address.

    Raises
    ------
    InvalidInput
        If `how` is none of these, or the policy names a resolver that no document has.
    StoreUnreachable
        If the store is not there to be looked at.

    Examples
    --------
    >>> ck.plan_dedup(c).units  # names by content lie once anyway
    0
    """
    with_files = analyze_dedup_opportunities(policy, collection=collection, as_of=as_of, how=how)
    return with_files.to_plan(limit)


def analyze_dedup_opportunities(
    policy: DedupPolicy | None = None,
    *,
    collection: Collection | None = None,
    as_of: datetime | None = None,
    how: str = "link",
    look: bool = True,
) -> DedupOpportunities:
    """Find copies that are worth sharing, with what that costs and saves, and why others are not. Changes nothing.

    Parameters
    ----------
    policy
        What is worth sharing; the collection's settings (``[dedup]`` in ``catalogkit.toml``) without it.
    collection
        The collection; without it the one of ``$CATALOGKIT_HOME``, or of the current folder.
    how
        ``link``, ``clone`` or ``cas``; see `plan_dedup`.
    look
        Whether to look at the files (not to read them). Without it what only they can tell is not held against
        anything: their file system, owners, modes, and names that the catalog does not know.

    Raises
    ------
    InvalidInput
        If `how` is none of these, or the policy names a resolver that no document has.
    StoreUnreachable
        If the store is not there to be looked at.

    Examples
    --------
    >>> ck.analyze_dedup_opportunities(collection=c).to_plan().units
    0
    """
    from catalogkit.collection import opened

    if how not in How.__members__.values():
        raise InvalidInput(f"no way to share bytes is called {how!r}; use {', '.join(How)}")
    with opened(collection) as found:
        return _analyzed(found, policy or found.config.dedup, How(how), as_of or found.now(), look)


def _analyzed(collection: Collection, policy: DedupPolicy, how: How, when: datetime, look: bool) -> DedupOpportunities:
    for name in policy.resolver_allowlist or ():
        if not collection.catalog.find(limit=1, resolver=name):
            raise InvalidInput(f"resolver_allowlist: no document has the resolver {name!r}")
    policy = _with_speed(collection, policy)
    copies, contents = dedup.COPIES.to_frame(), dedup.CONTENTS.to_frame()
    if collection.catalog.duplicate_counts()[0]:
        copies = framed(collection.catalog.duplicate_copies(), dedup.COPIES)
        contents = _contents(collection)
    surveyed = dedup.survey(copies, contents, policy, as_of=when)
    files, most_links = dedup.FILES.to_frame(), dict[str, int]()
    if look:
        files, most_links = _look(collection, surveyed, how)
    decisions = dedup.decide(surveyed, files, policy, how=how, most_links=most_links)
    head = head_of(collection, "dedup", when)
    # A plan may free no more than a share of what is stored; where files have parted, more is than the catalog knows.
    names = surveyed.select("store", "sha256", "bytes", "inode", own=pl.when(pl.col("inode").is_null()).then("id"))
    parted = int(decisions["bytes"].sum()) - int(names.unique()["bytes"].sum())
    head = replace(head, physical_bytes=head.physical_bytes + max(parted, 0))
    return DedupOpportunities(head, decisions, policy, how, looked=look)


def _contents(collection: Collection) -> pl.DataFrame:
    """Contents with their resolvers as lists."""
    texts = pl.Schema({**dedup.CONTENTS, "resolvers": pl.String()})
    rows = framed(collection.catalog.duplicate_contents(), texts)
    return rows.with_columns(pl.col("resolvers").str.json_decode(pl.List(pl.String)))


def _with_speed(collection: Collection, policy: DedupPolicy) -> DedupPolicy:
    """The policy with a throughput: its own, else that of the last whole verification, if that read enough."""
    if policy.costs.read_mb_per_second is not None:
        return policy
    last = collection.catalog.last_run("verify")
    read, seconds = last.get("bytes", 0), last.get("seconds", 0)
    speed = read / seconds / 1e6 if read >= MEASURED_BYTES and seconds > 0 else dedup.USUAL_MB_PER_SECOND
    costs = msgspec.structs.replace(policy.costs, read_mb_per_second=speed)
    return msgspec.structs.replace(policy, costs=costs)


def _look(collection: Collection, copies: pl.DataFrame, how: How) -> tuple[pl.DataFrame, dict[str, int]]:
    """What the file system says of every copy that may be shared, and how many names it allows."""
    stores = {store.name: store for store in collection.stores.values() if isinstance(store, LocalStore)}
    for store in stores.values():
        store.reach()
    rows: list[tuple[Any, ...]] = []
    wanted = copies.filter(pl.col("reason").is_null()).select("store", "key", "bytes")
    for name, key, size in wanted.iter_rows():
        about = stores[name].facts(key)
        if about is None or about.bytes != size:
            rows.append((name, key, False, *[None] * 8))
            continue
        own = own_bytes(stores[name], key) if how is How.CLONE else None
        rows.append((name, key, True, *about[1:], own is not None, own))
    return framed(rows, dedup.FILES), {name: store.most_links() for name, store in stores.items()}
