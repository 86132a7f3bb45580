"""Gathers what retention rules need to know, and reads the policy as people type it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from catalogkit.catalog.retained import OfMirror
from catalogkit.errors import InvalidInput, StoreError
from catalogkit.plan import left_out
from catalogkit.planners import retention as planner
from catalogkit.planning.common import frames, head_of, mirrored_figures
from catalogkit.policies import deciding, retention
from catalogkit.signals import operation

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.model import DocumentRecord
    from catalogkit.plan import Plan
    from catalogkit.policies.backtest import RetentionBacktest
    from catalogkit.policies.retention import Circumstances, RetentionDecision


class RetentionPolicy(retention.RetentionPolicy):
    __doc__ = retention.RetentionPolicy.__doc__

    def evaluate(
        self,
        record: DocumentRecord,
        *,
        as_of: datetime | None = None,
        circumstances: Circumstances = retention.ALONE,
    ) -> RetentionDecision:
        """Decide about one document, by the rules that decide about all.

        Parameters
        ----------
        as_of
            The time the decision is made for; now without it.
        circumstances
            What the record does not say; without it: no hold, never accessed, nobody else needs the bytes.
        """
        return super().evaluate(record, as_of=as_of or datetime.now(UTC), circumstances=circumstances)


def policy_of(collection: Collection) -> retention.RetentionPolicy:
    """The collection's policy: ``[retention]`` of its settings; the defaults where it has none."""
    return retention.RetentionPolicy.parse(collection.config.retention)


def read_policy(path: Path) -> retention.RetentionPolicy:
    """A policy in a TOML file of its own: what would stand below ``[retention]``, or with that heading.

    Raises
    ------
    InvalidInput
        If it cannot be read, or a value is not acceptable.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InvalidInput(f"{path} cannot be read as a policy: {problem}") from None
    try:
        return retention.RetentionPolicy.parse(values["retention"] if list(values) == ["retention"] else values)
    except InvalidInput as problem:
        raise InvalidInput(f"{path}: {problem}") from None


def retention_decisions(
    collection: Collection,
    policy: retention.RetentionPolicy | None = None,
    *,
    tenant: str | None = None,
    as_of: datetime | None = None,
) -> pl.DataFrame:
    """Decide about every document; changes nothing.

    Parameters
    ----------
    policy
        The policy; the collection's own without it.
    tenant
        Only this tenant's documents may be forgotten.
    as_of
        The time the decisions are made for.

    Returns
    -------
    DataFrame
        A row for each document: ``keep``, ``reason`` (a code of `catalogkit.policies.retention.REASONS`), ``score``
        (age divided by the days it is kept), ``days``, ``rule`` that decides, ``rules`` that apply, ``last_seen``,
        ``due_at``, and what it is about; see `catalogkit.policies.deciding.DECISIONS`.

    Raises
    ------
    InvalidInput
        If the policy has a rule for a resolver or tenant that the catalog does not know.

    Examples
    --------
    >>> ck.retention_decisions(c)["keep"].to_list()
    [True, True, True]
    """
    documents, locations = frames(collection, "documents", "locations")
    copies = stored_copies(collection, locations)
    return _decide(collection, documents, copies, policy or policy_of(collection), tenant, as_of or collection.now())


class Retention:
    """What a policy decides about every document of a collection, and the plan that follows.

    Parameters
    ----------
    collection
        The collection.
    policy, tenant, as_of
        As for `retention_decisions`.

    Attributes
    ----------
    policy, as_of
        The policy, and the time.
    decided : DataFrame
        As `retention_decisions` returns. Of many documents the mirror tells: then contents are numbers instead of
        digests, and names are left out, for a report that sums up does not need them, and reading them takes longer
        than deciding.
    """

    def __init__(
        self,
        collection: Collection,
        policy: retention.RetentionPolicy | None = None,
        *,
        tenant: str | None = None,
        as_of: datetime | None = None,
    ) -> None:
        self.collection, self.as_of, self._tenant = collection, as_of or collection.now(), tenant
        self.policy, self._mirror = policy or policy_of(collection), of_mirror(collection)
        self._copies: pl.DataFrame | None = None
        if self._mirror is None:
            self.decided = retention_decisions(collection, self.policy, tenant=tenant, as_of=self.as_of)
        else:
            documents, mirror = self._mirror.documents, self._mirror
            self._copies = stored_copies(collection, mirror.locations, mirror)
            self.decided = _decide(collection, documents, self._copies, self.policy, tenant, self.as_of, mirror)

    def backtest(self, *, since: datetime, until: datetime | None = None, step: timedelta) -> RetentionBacktest:
        """What the policy would have done: `catalogkit.backtest_retention`, without reading everything once more.

        Where the mirror tells, documents have no names there and contents are numbers, as in `decided`.
        """
        from catalogkit.planning.backtest import tried

        found, _ = tried(
            self.collection, self.policy, self._mirror, tenant=self._tenant, since=since, until=until or self.as_of,
            step=step, as_of=self.as_of, copies=self._copies,
        )  # fmt: skip
        return found

    @operation("plan", kind="retention")
    def plan(self, limit: int | None = None) -> Plan:
        """Plan to forget what the policy no longer keeps, at most so many, longest overdue first."""
        due = planner.longest_overdue(self.decided, limit)
        if self._mirror is None:
            head = head_of(self.collection, "retention", self.as_of)
        else:
            head, due = (
                head_of(self.collection, "retention", self.as_of, self._mirror.figures.much), self._mirror.named(due)
            )  # fmt: skip
        if left := int((~self.decided["keep"]).sum()) - due.height:
            head = replace(head, complete=left_out(left))
        return planner.plan_retention(head, self.decided, self.policy, due)


def plan_retention(
    collection: Collection,
    policy: retention.RetentionPolicy | None = None,
    *,
    tenant: str | None = None,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """Plan to forget what a policy no longer keeps; its `head.policy` says how many are kept, and why.

    Parameters
    ----------
    policy
        The policy; the collection's own (``[retention]`` of its settings) without it.
    tenant
        Only this tenant's documents may be forgotten.
    limit
        At most so many documents, longest overdue first.

    Raises
    ------
    InvalidInput
        If the policy is about a resolver or tenant that the catalog does not know.

    Examples
    --------
    >>> ck.plan_retention(c).units  # no policy, so everything is kept
    0
    """
    return Retention(collection, policy, tenant=tenant, as_of=as_of).plan(limit)


def of_mirror(collection: Collection) -> OfMirror | None:
    """The documents of a collection of many; None where the catalog itself is to be read."""
    figures = mirrored_figures(collection)
    return OfMirror(figures, collection.catalog.frame("later_sightings")) if figures else None


def _decide(
    collection: Collection,
    documents: pl.DataFrame,
    copies: pl.DataFrame,
    policy: retention.RetentionPolicy,
    tenant: str | None,
    when: datetime,
    mirror: OfMirror | None = None,
) -> pl.DataFrame:
    """Decide; frames of the mirror have numbers for digests."""
    policy.check_names(resolvers=documents["resolver"].unique(), tenants=documents["tenant"].unique())
    catalog = collection.catalog
    held = [hold["subject"] for hold in catalog.holds(as_of=when)]
    contents, roots = (
        pl.Series(digests, dtype=pl.String) if mirror is None else mirror.numbers(digests)
        for digests in ([one for one in held if len(one) == 64], catalog.frame("roots")["sha256"].unique().to_list())
    )
    return deciding.decisions(
        documents,
        policy,
        as_of=when,
        copies=copies,
        held_documents=[int(subject) for subject in held if len(subject) < 64],
        held_contents=contents.to_list(),
        rooted=pl.concat([contents, roots, _remembered(collection, documents, when)]).unique(),
        accessed=_accessed(collection, policy),
        tenant=tenant,
    )


def stored_copies(
    collection: Collection, locations: pl.DataFrame | None = None, mirror: OfMirror | None = None
) -> pl.DataFrame:
    """Count the physical copies of every content; those in a store that does not answer are unknown.

    Contents are numbers where `locations` are those of `mirror`.
    """
    unreachable = []
    for store in collection.stores.values():
        try:
            store.reach()
        except StoreError:
            unreachable.append(store.name)
    rows = collection.catalog.stores()
    known = {store.name for store in collection.stores.values()}
    copies = deciding.copies_of(
        frames(collection, "locations")[0] if locations is None else locations,
        # A store that this collection cannot open says as little as one that does not answer.
        unreachable=[*unreachable, *(row.name for row in rows if row.name not in known)],
        in_place=[row.name for row in rows if row.kind == "reference"],
    )
    elsewhere = collection.catalog.frame("elsewhere")
    return _with_regions(copies, elsewhere if mirror is None else mirror.numbered(elsewhere))


def _with_regions(copies: pl.DataFrame, elsewhere: pl.DataFrame) -> pl.DataFrame:
    """Every other site that says it has good bytes of a content counts as one more copy, as of its last word."""
    good = (pl.col("copies") > 0) & pl.col("outcome").fill_null("ok").eq("ok")
    regions = elsewhere.filter(good).group_by("sha256").agg(regions=pl.len().cast(pl.Int64))
    if regions.is_empty():
        return copies
    return (
        copies.join(regions, on="sha256", how="full", coalesce=True)
        .with_columns(
            # What lies nowhere here is not unknown; what is unknown here stays so.
            healthy=pl.when(pl.col("stored_bytes").is_null()).then(0).otherwise("healthy")
            + pl.col("regions").fill_null(0),
            stored_bytes=pl.col("stored_bytes").fill_null(0),
        )
        .select(copies.columns)
        .cast(copies.schema)
    )


def _remembered(collection: Collection, documents: pl.DataFrame, when: datetime) -> pl.Series:
    """Contents that a snapshot or a backup has: forgetting their documents frees nothing as long as it is kept."""
    had = pl.lit(False)
    for moment in collection.catalog.moments(as_of=when):
        had |= (pl.col("id") <= moment.position.last_id) & (pl.col("changed_at") <= moment.taken_at)
    return documents.filter(had)["sha256"].unique()


def _accessed(collection: Collection, policy: retention.RetentionPolicy) -> pl.DataFrame | None:
    if not any(one.count_access for one in (policy, *policy.tenants.values())):
        return None
    log = collection.catalog.frame("accesses")
    return log.group_by("document_id").agg(pl.col("accessed_at").max())
