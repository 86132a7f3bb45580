"""Back-tests a retention policy on a collection's own past."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.lookup import places
from catalogkit.planning.retention import of_mirror, policy_of, stored_copies
from catalogkit.policies import backtest

if TYPE_CHECKING:
    from catalogkit.catalog.retained import OfMirror
    from catalogkit.collection import Collection
    from catalogkit.policies.retention import RetentionPolicy

SPAN: Final = timedelta(days=180)
STEP: Final = timedelta(days=1)
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def backtest_retention(
    collection: Collection,
    policy: RetentionPolicy | None = None,
    *,
    tenant: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    step: timedelta = STEP,
    as_of: datetime | None = None,
) -> backtest.RetentionBacktest:
    """Try a retention policy on the past: what it would have forgotten, saved, and been asked for again. Reads only.

    Parameters
    ----------
    policy
        The policy; the collection's own without it.
    tenant
        Only this tenant's documents may be forgotten.
    since, until, step
        When the policy is applied: at `since` (180 days before the end without it), and every `step` after it, up to
        `until` (`as_of` without it).
    as_of
        What happened after this moment is left out; now without it.

    Returns
    -------
    RetentionBacktest
        Totals, a frame of steps, a frame of what was forgotten and asked for again. Of many documents, which the
        mirror tells, only what was asked for again has its digest and artifact id.

    Raises
    ------
    InvalidInput
        If the times are not in order, or the policy is about a resolver or tenant that the catalog never knew.

    Examples
    --------
    >>> from datetime import timedelta
    >>> ck.backtest_retention(c, since=c.now() - timedelta(days=30)).regrets.height
    0
    """
    when = as_of or collection.now()
    last = until or when
    mirror = of_mirror(collection)
    found, past = tried(
        collection, policy or policy_of(collection), mirror, tenant=tenant,
        since=since or last - SPAN, until=last, step=step, as_of=when,
    )  # fmt: skip
    if mirror is None:
        return found
    none = pl.lit(None, dtype=pl.String)
    return replace(
        found,
        regrets=mirror.told(found.regrets, past),
        others=lambda: found.others().with_columns(sha256=none, artifact_id=none),
    )


def tried(
    collection: Collection,
    policy: RetentionPolicy,
    mirror: OfMirror | None,
    *,
    tenant: str | None,
    since: datetime,
    until: datetime,
    step: timedelta,
    as_of: datetime,
    copies: pl.DataFrame | None = None,
) -> tuple[backtest.RetentionBacktest, pl.DataFrame]:
    """`backtest_retention`, of what a mirror has read already, in its numbers, or of the catalog where there is none.

    Copies that were counted already (`stored_copies`) are not counted once more. Versions that ended come with it.
    """
    catalog, accesses = collection.catalog, collection.catalog.frame("accesses")
    if mirror is None:
        past = versions = catalog.frame("document_versions")
        policy.check_names(resolvers=versions["resolver"].unique(), tenants=versions["tenant"].unique())
    else:
        past, versions = _recent(collection, mirror, policy, accesses, since)
    # Of bytes that are gone nobody knows how many copies there were: there was one.
    if copies is None:
        copies = stored_copies(collection, None if mirror is None else mirror.locations, mirror)
    stored = copies["stored_bytes"].gather(places(versions["sha256"], copies["sha256"]))
    sized = versions.with_columns(stored_bytes=pl.coalesce(stored, "bytes"))
    held = [hold["subject"] for hold in catalog.holds(as_of=as_of)]
    contents = [subject for subject in held if len(subject) == 64]
    found = backtest.backtest(
        sized,
        accesses,
        policy,
        since=since,
        until=until,
        step=step,
        as_of=as_of,
        tenant=tenant,
        held_documents=[int(subject) for subject in held if len(subject) < 64],
        held_contents=contents if mirror is None else mirror.numbers(contents).to_list(),
    )
    return found, past


def _recent(
    collection: Collection, mirror: OfMirror, policy: RetentionPolicy, accesses: pl.DataFrame, first: datetime
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Versions that ended since, and those with all that hold still; of all times where somebody may ask for more."""

    def look(after: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
        past = collection.catalog.ended_versions(after)
        return past, mirror.versions(past)

    past, versions = look(first)
    strange = places(accesses["document_id"], versions["document_id"]).null_count()
    with contextlib.suppress(InvalidInput):
        policy.check_names(resolvers=versions["resolver"].unique(), tenants=versions["tenant"].unique())
        if not strange:
            return past, versions
    # Requests for, or a rule about, what was gone before.
    past, versions = look(EVER)
    policy.check_names(resolvers=versions["resolver"].unique(), tenants=versions["tenant"].unique())
    return past, versions
