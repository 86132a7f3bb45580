"""Retention decisions for whole catalogs: every document at once.

What the rules say is told for each combination that occurs (`catalogkit.policies.cases`); the rest is arithmetic on
columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.lookup import places, repeated
from catalogkit.model import to_us
from catalogkit.policies.cases import REASON, judged
from catalogkit.policies.retention import KEEP, REASONS, RetentionPolicy
from catalogkit.policies.wording import MOST_DAYS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

_TIME: Final = pl.Datetime("us", "UTC")
_DAY_US: Final = 86_400_000_000
# What a caller hands over beside the ``documents`` frame.
COPIES: Final = pl.Schema(
    {
        "sha256": pl.String(),
        "healthy": pl.Int64(),
        "stored_bytes": pl.Int64(),
    }
)
ACCESSED: Final = pl.Schema({"document_id": pl.Int64(), "accessed_at": _TIME})
# What comes back: a row for each document.
DECISIONS: Final = pl.Schema(
    {
        "id": pl.Int64(),
        "keep": pl.Boolean(),
        "reason": REASON,
        "score": pl.Float64(),
        "days": pl.Int64(),
        "rule": pl.String(),
        "rules": pl.String(),
        "last_seen": _TIME,
        "due_at": _TIME,
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "stored_bytes": pl.Int64(),
        "users": pl.Int64(),
        "healthy": pl.Int64(),
        "min_replicas": pl.Int64(),
        "age_days": pl.Int64(),
        "other_days": pl.Int64(),
        "cap_days": pl.Int64(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "media_type": pl.String(),
        "tenant": pl.String(),
    }
)


_ONE: Final = pl.lit(1, pl.Int64())
_FIXED: Final = pl.Series(["not-asked", "held", "age-unknown", "seen-in-future"], dtype=REASON)


def copies_of(
    locations: pl.DataFrame, *, unreachable: Collection[str] = (), in_place: Collection[str] = ()
) -> pl.DataFrame:
    """Count the physical copies of each content.

    Paths of one store that share an inode are one copy. One that is known to be corrupt is not healthy, one that was
    found missing is none; where a copy's state is unknown, because its last check could not tell or because its store
    cannot be reached, the number is unknown.

    Parameters
    ----------
    locations
        The ``locations`` frame.
    unreachable
        Stores that cannot be looked at now.
    in_place
        Stores whose files are in their owners' hands: copies like others, but nothing is freed there.

    Returns
    -------
    DataFrame
        The columns of `COPIES`: ``healthy`` (null where unknown), ``stored_bytes`` (in stores of ours, all copies).
    """
    held, outcome = pl.col("outcome").ne_missing("missing"), pl.col("outcome")
    away = pl.col("store").is_in(list(unreachable)) | outcome.eq_missing("unknown")
    columns = locations.lazy().select(
        "sha256",
        "bytes",
        held=held,
        unknown=held & away,
        corrupt=outcome.eq_missing("corrupt"),
        ours=held & ~pl.col("store").is_in(list(in_place)),
        store="store",
        object=pl.coalesce(pl.col("inode"), -pl.col("id") - 1),
        named=pl.col("inode").is_not_null(),
    )
    # Nearly every content has one location, and needs no second grouping.
    several = pl.lit(repeated(locations["sha256"]))
    single = columns.filter(~several).select(
        "sha256",
        healthy=pl.when(~pl.col("unknown")).then((pl.col("held") & ~pl.col("corrupt")).cast(pl.Int64)),
        stored_bytes=pl.col("ours") * pl.col("bytes"),
    )
    object_ = pl.col("held", "unknown", "corrupt", "ours").any()
    joint = (
        columns.filter(several)
        .group_by("sha256", "store", "object", "named")
        .agg(object_, pl.col("bytes").first())
        .group_by("sha256")
        .agg(
            healthy=pl.when(~pl.col("unknown").any()).then((pl.col("held") & ~pl.col("corrupt")).sum().cast(pl.Int64)),
            stored_bytes=(pl.col("ours") * pl.col("bytes")).sum(),
        )
    )
    return pl.concat([single, joint]).select(COPIES.names()).collect()


def decisions(
    documents: pl.DataFrame,
    policy: RetentionPolicy,
    *,
    as_of: datetime,
    copies: pl.DataFrame,
    held_documents: Collection[int] = (),
    held_contents: Collection[Any] = (),
    rooted: Collection[Any] | pl.Series = (),
    accessed: pl.DataFrame | None = None,
    tenant: str | None = None,
) -> pl.DataFrame:
    """Decide about every document; `RetentionPolicy.evaluate` is the same for one.

    Parameters
    ----------
    documents
        The ``documents`` frame. Where there are many, ``kind`` may number what they have of tenant, resolver and types,
        which may be categories.
    as_of
        The time the decisions are made for.
    copies
        What `copies_of` counted. The copies of a content that is not in it are unknown.
    held_documents, held_contents
        Ids, and digests, that a hold is on.
    rooted
        Digests that something else than a document keeps: forgetting all its documents frees nothing yet. As in
        `documents` and `copies`, there may be a number for each content instead.
    accessed
        The newest entry of the access log for each document: the columns of `ACCESSED`.
    tenant
        Only this tenant's documents may be forgotten.

    Returns
    -------
    DataFrame
        The columns of `DECISIONS`, a row for each document in the order of `documents`. ``rule`` decides, ``rules`` are
        all that apply. ``stored_bytes`` go when all ``users`` of the content are forgotten; there are none (null) where
        `copies` does not have it. ``other_days`` is what the rules beside ``age_days`` come to (0: there are none),
        ``cap_days`` what shortens them, null if nothing does.
    """
    to_us(as_of)
    ruled = judged(documents, policy)
    seen, now = pl.col("seen_at"), pl.lit(as_of).cast(_TIME)
    if accessed is not None and any(one.count_access for one in (policy, *policy.tenants.values())):
        ruled = ruled.join(accessed.lazy(), left_on="id", right_on="document_id", how="left", maintain_order="left")
        seen = pl.max_horizontal(seen, pl.when("count_access").then("accessed_at"))
    last_seen, kept_us = pl.col("last_seen"), pl.col("days") * _DAY_US
    known = last_seen <= now  # null where there is none
    age_us = (now - last_seen).dt.total_microseconds()
    held = pl.lit(False)
    if held_documents:
        held |= pl.col("id").is_in(list(held_documents))
    if held_contents:
        held |= pl.col("sha256").is_in(list(held_contents))
    content = places(documents["sha256"], copies["sha256"])
    aged = (
        ruled.with_columns(last_seen=seen)
        .with_columns(copies[name].gather(content) for name in ("healthy", "stored_bytes"))
        .with_columns(
            aged=pl.when(pl.lit(False) if tenant is None else pl.col("tenant") != tenant)
            .then(pl.lit("not-asked", REASON))
            .when(held)
            .then(pl.lit("held", REASON))
            .when(last_seen.is_null())
            .then(pl.lit("age-unknown", REASON))
            .when(~known)
            .then(pl.lit("seen-in-future", REASON))
            .when(age_us < kept_us)
            .then(pl.lit("young", REASON)),
            age_days=age_us // _DAY_US,
            score=pl.when(known).then(age_us / kept_us).fill_null(0.0),
            due_at=pl.when(known).then(last_seen + pl.duration(microseconds=kept_us)),
        )
        .with_columns(content=content, users=_users(content, copies.height).gather(content))
        .collect()
    )
    # Counted after the whole batch: whoever stays by age or hold needs the bytes, whoever is due does not.
    staying = aged.select(pl.col("content").filter(pl.col("aged").is_not_null()).drop_nulls()).to_series()
    needed = pl.zeros(copies.height, pl.UInt8, eager=True).scatter(staying, 1)
    reason = (
        pl.when(pl.col("aged").is_not_null())
        .then("aged")
        .when(pl.col("healthy").is_null())
        .then(pl.lit("copies-unknown", REASON))
        .when((pl.col("needed") > 0) & (pl.col("healthy") < pl.col("min_replicas")))
        .then(pl.lit("too-few-copies", REASON))
        .otherwise("due")
    )
    users = pl.col("users")
    if len(rooted):
        users += pl.col("sha256").is_in(
            (rooted if isinstance(rooted, pl.Series) else pl.Series(list(rooted))).implode()
        )
    found = (
        aged.lazy()
        .with_columns(needed=needed.gather(aged["content"]))
        .with_columns(reason=reason, users=users, stored_bytes=pl.col("stored_bytes").fill_null(0))
    )
    kept = pl.col("reason").is_in(pl.Series(list(KEEP), dtype=REASON).implode())
    return found.with_columns(keep=kept).select(DECISIONS.names()).collect()


def _users(content: pl.Series, contents: int) -> pl.Series:
    """How many documents each content has, by their places; most have one, and are not counted."""
    there = content.drop_nulls()
    counted = there.filter(repeated(there)).value_counts()
    users = pl.repeat(1, contents, dtype=pl.Int64, eager=True)
    return users.scatter(counted[content.name], counted["count"].cast(pl.Int64))


def totals(decided: pl.DataFrame) -> pl.DataFrame:
    """Count decisions by reason, keeping first; every reason has a row.

    Returns
    -------
    DataFrame
        ``decision``, ``reason``, ``words``, ``documents``, ``logical_bytes``.
    """
    # There are few reasons, and a sum for each is several times faster than to put rows into groups.
    number, size = pl.col("reason").to_physical(), pl.col("bytes").fill_null(0)
    of = [number == place for place in range(len(REASONS))]
    documents = decided.select(one.sum().alias(str(place)) for place, one in enumerate(of)).row(0)
    logical = decided.select((size * one).sum().alias(str(place)) for place, one in enumerate(of)).row(0)
    rows = [("keep" if code in KEEP else "forget", code, words) for code, words in REASONS.items()]
    names = {"decision": pl.String(), "reason": REASON, "words": pl.String()}
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        documents=pl.Series(documents, dtype=pl.Int64), logical_bytes=pl.Series(logical, dtype=pl.Int64)
    )


def freed_bytes(decided: pl.DataFrame) -> int:
    """Physical bytes that go with what is forgotten: a content's bytes once, and only with its last document."""
    gone = (
        decided.filter(~pl.col("keep"))
        .group_by("sha256")
        .agg(pl.len().alias("gone"), pl.col("users", "stored_bytes").first())
    )
    return int(gone.filter(pl.col("gone") >= pl.col("users"))["stored_bytes"].sum())


def freed_by_days(decided: pl.DataFrame, days: Sequence[int]) -> pl.DataFrame:
    """What other values of ``age_days`` would forget and free, all other rules as they are.

    Parameters
    ----------
    decided
        What `decisions` returned, by any value of ``age_days``.
    days
        Values to try, at least 1.

    Returns
    -------
    DataFrame
        A row for each value, ascending: ``days``, ``documents`` that would be forgotten, ``freed_bytes`` (physical,
        joint: a content's bytes once, with its last document).
    """
    # A document is due after min(cap, max(age_days, others)) days. So there is a largest age_days by which it is due:
    # its age; any, where the cap has run out; none, where another rule has not. A content goes by the least of those
    # of its documents, and where copies are few, its documents go by that, too.
    age = pl.col("age_days")
    fixed = pl.col("healthy").is_null() | pl.col("reason").is_in(_FIXED.implode())
    due_by = (
        pl.when(fixed)
        .then(0)
        .when(pl.col("cap_days") <= age)
        .then(MOST_DAYS)
        .when(pl.col("other_days") <= age)
        .then(age)
        .otherwise(0)
    )
    known = decided.select("sha256", "users", "stored_bytes", "healthy", "min_replicas", due_by=due_by.cast(pl.Int64))
    # Of a content that one document has, and nothing else keeps, there is nothing to put together.
    alone = known["users"].eq_missing(1)
    single = known.lazy().filter(alone).with_columns(here=_ONE, all_by="due_by")
    shared = known.lazy().filter(~alone)
    contents = shared.group_by("sha256").agg(
        pl.len().cast(pl.Int64).alias("here"),
        pl.col("users", "stored_bytes").first(),
        all_by=pl.col("due_by").min(),
    )
    enough = pl.col("healthy") >= pl.col("min_replicas")
    documents = pl.concat(
        [single.select(by="due_by"),
         shared.join(contents.select("sha256", "all_by"), on="sha256")
         .select(by=pl.when(enough).then("due_by").otherwise("all_by"))]
    ).select("by", documents=_ONE, freed_bytes=_ONE * 0)  # fmt: skip
    going = pl.concat([single.select(contents.collect_schema().names()), contents])
    freed = going.filter(pl.col("here") >= pl.col("users")).select(
        by="all_by", documents=_ONE * 0, freed_bytes="stored_bytes"
    )
    both = pl.col("documents", "freed_bytes")
    running = (
        pl.concat([documents, freed])
        .group_by("by")
        .agg(both.sum())
        .sort("by", descending=True)
        .with_columns(both.cum_sum())
        .sort("by")
    )
    return (
        pl.LazyFrame({"days": sorted(set(days))}, schema={"days": pl.Int64()})
        .join_asof(running, left_on="days", right_on="by", strategy="forward")
        .select("days", both.fill_null(0))
        .collect()
    )
