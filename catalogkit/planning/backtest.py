"""A retention policy tried on a collection's own past."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.planning.retention import policy_of, stored_copies
from catalogkit.policies import backtest

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.policies.retention import RetentionPolicy

SPAN: Final = timedelta(days=180)
STEP: Final = timedelta(days=1)


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
        Totals, a frame of steps, a frame of what was forgotten and asked for again.

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
    when, catalog = as_of or collection.now(), collection.catalog
    last = until or when
    policy = policy or policy_of(collection)
    versions = catalog.frame("document_versions")
    policy.check_names(resolvers=versions["resolver"].unique(), tenants=versions["tenant"].unique())
    # Of bytes that are gone nobody knows how many copies there were: there was one.
    stored = stored_copies(collection).select("sha256", "stored_bytes")
    sized = versions.join(stored, on="sha256", how="left", maintain_order="left").with_columns(
        pl.coalesce("stored_bytes", "bytes").alias("stored_bytes")
    )
    held = [hold["subject"] for hold in catalog.holds(as_of=when)]
    return backtest.backtest(
        sized,
        catalog.frame("accesses"),
        policy,
        since=since or last - SPAN,
        until=last,
        step=step,
        as_of=when,
        tenant=tenant,
        held_documents=[int(subject) for subject in held if len(subject) < 64],
        held_contents=[subject for subject in held if len(subject) == 64],
    )
