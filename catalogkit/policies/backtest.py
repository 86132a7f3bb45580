"""Back-tests a retention policy: what it would have forgotten and saved, and what was asked for again.

Everything is a *gap* between two sightings of a document: within it nothing was heard of it, so the first step at which
its days have run out forgets it, until it is seen again. A forgotten document that is asked for again, by an entry in
the access log or by being brought in again, is regretted; by being brought in again it is back, and young.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.lookup import places, repeated
from catalogkit.model import to_us
from catalogkit.policies.cases import judged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from catalogkit.policies.retention import RetentionPolicy

_TIME: Final = pl.Datetime("us", "UTC")
MOST_STEPS: Final = 10_000
IDENTITY: Final = ["tenant", "artifact_id", "source_url", "resolver", "variant"]
# What a document is about.
_ABOUT: Final = ("document_id", "artifact_id", "resolver", "media_type", "tenant", "sha256", "bytes")
# One forgetting of one document, until it is seen again.
EPISODES: Final = pl.Schema(
    {
        "document_id": pl.Int64(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "media_type": pl.String(),
        "tenant": pl.String(),
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "rule": pl.String(),
        "last_seen": _TIME,
        "forgotten_at": _TIME,
        "back_at": _TIME,
        "asked_at": _TIME,
        "requests": pl.Int64(),
        "uncertain": pl.Boolean(),
    }
)
STEPS: Final = pl.Schema(
    {
        "at": _TIME,
        "forgotten": pl.Int64(),
        "regretted": pl.Int64(),
        "regretted_bytes": pl.Int64(),
        "stored_bytes": pl.Int64(),
        "saved_bytes": pl.Int64(),
    }
)


@dataclass(frozen=True, kw_only=True)
class RetentionBacktest:
    """What a policy would have done.

    Attributes
    ----------
    policy : mapping
        The policy, in plain data.
    since, until, step, as_of
        The steps, and the moment up to which it is known what was asked for.
    documents : int
        How many there were in that time.
    steps : DataFrame
        A row for each step: ``at``; ``forgotten`` then; ``regretted``, documents first asked for again since the step
        before, and their ``regretted_bytes``; ``stored_bytes`` without the policy, each content once for each of its
        copies; ``saved_bytes`` of these, of contents of which every document was forgotten.
    forgotten, uncertain : int
        How many times a document was forgotten, and how many of these are uncertain: the catalog keeps a document's
        first and last sighting of each version and none in between, so it may have been seen in between.
    regrets : DataFrame
        A row for each of those that ended in a request, the dearest first: what it is about, ``rule``, ``last_seen``,
        ``forgotten_at``, ``back_at`` (brought in again), ``asked_at`` (first request), ``requests`` (entries of the
        access log while it was gone, and its return), and whether it is ``uncertain``.
    """

    policy: Mapping[str, Any]
    since: datetime
    until: datetime
    step: timedelta
    as_of: datetime
    documents: int
    forgotten: int
    uncertain: int
    steps: pl.DataFrame = field(repr=False)
    regrets: pl.DataFrame = field(repr=False)
    others: Callable[[], pl.DataFrame] = field(repr=False)

    @cached_property
    def episodes(self) -> pl.DataFrame:
        """A row for each forgetting of a document: `regrets`, then those that nobody regrets, in no order."""
        return pl.concat([self.regrets, self.others()])

    def totals(self) -> dict[str, Any]:
        """The outcome in a few numbers."""
        saved = self.steps["saved_bytes"]
        return {
            "since": self.since,
            "until": self.until,
            "steps": self.steps.height,
            "documents": self.documents,
            "forgotten": self.forgotten,
            "uncertain": self.uncertain,
            "saved_bytes": int(saved[-1]),
            "saved_bytes_on_average": int(saved.sum()) // saved.len(),
            "stored_bytes": int(self.steps["stored_bytes"][-1]),
            "regretted": self.regrets.height,
            "requests": int(self.regrets["requests"].sum()),
            "regretted_bytes": int(self.regrets["bytes"].sum()),
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain data: the policy, the totals, every step, and the regrets (at most 100)."""
        regrets = self.regrets.head(100).to_dicts()
        return self.totals() | {"policy": dict(self.policy), "by_step": self.steps.to_dicts(), "regrets": regrets}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        return facts("Back-test of a retention policy", self.totals())


def backtest(
    versions: pl.DataFrame,
    accesses: pl.DataFrame,
    policy: RetentionPolicy,
    *,
    since: datetime,
    until: datetime,
    step: timedelta,
    as_of: datetime,
    held_documents: Collection[int] = (),
    held_contents: Collection[str] = (),
    tenant: str | None = None,
) -> RetentionBacktest:
    """Try a policy on the past.

    Parameters
    ----------
    versions
        The ``document_versions`` frame, with ``stored_bytes``: what all copies of the content take in stores of ours.
        Versions that ended before `since` may be left out. Where it has ``who``, a number for each document whatever
        its ids, ``sha256`` may be a number for each content, and what identifies documents is not needed.
    accesses
        The ``accesses`` frame.
    since, until, step
        When the policy is applied: at `since`, and every `step` after it, up to `until`.
    as_of
        What happened after this moment is left out. Requests count up to it.
    held_documents, held_contents
        Ids and digests that a hold is on now: they are never forgotten. Neither are earlier holds replayed, nor the
        number of copies at a time; both could only have kept more.
    tenant
        Only this tenant's documents may be forgotten.

    Raises
    ------
    InvalidInput
        If the times are not in order, or the steps are too many.
    """
    if not timedelta(0) < step or not to_us(since) <= to_us(until) <= to_us(as_of):
        raise InvalidInput("a back-test needs since <= until <= as_of, and a step longer than nothing")
    count = (until - since) // step + 1
    if count > MOST_STEPS:
        raise InvalidInput(
            f"{count:,} steps are too many for a back-test; at most {MOST_STEPS:,}: make the step longer"
        )
    grid = _Grid(to_us(since), step // timedelta(microseconds=1), count)
    known, log = _known(versions, accesses, as_of)
    held = pl.col("document_id").is_in(list(held_documents)) | pl.col("sha256").is_in(list(held_contents))
    if tenant is not None:
        held |= pl.col("tenant") != tenant
    ruled = judged(known, policy).with_columns(held=held).collect()
    gaps = _gaps(ruled, log, policy, grid)
    begun = _begun(gaps, ruled, grid)
    asked = _asked(begun, log)
    regretted = begun["back_at"].is_not_null() | places(begun["episode"], asked["episode"]).is_not_null()
    regrets = _told(begun.filter(regretted), ruled, asked)
    return RetentionBacktest(
        policy=policy.plain(),
        since=since,
        until=until,
        step=step,
        as_of=as_of,
        documents=gaps["who"].n_unique(),
        forgotten=begun.height,
        uncertain=int(begun["uncertain"].sum()),
        steps=_steps(gaps, begun, regrets, grid),
        regrets=regrets,
        others=lambda: _told(begun.filter(~regretted), ruled, asked),
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """The steps, by number: the first is 0."""

    first_us: int
    step_us: int
    count: int

    def number(self, when: pl.Expr) -> pl.Expr:
        """The first step at or after a time; the count of steps where there is none, or no time."""
        ahead = when.dt.epoch("us") - self.first_us
        return (-(-ahead // self.step_us)).clip(0, self.count).fill_null(self.count)

    def time(self, number: pl.Expr) -> pl.Expr:
        """When a step is."""
        return (number * self.step_us + self.first_us).cast(_TIME)


def _known(versions: pl.DataFrame, accesses: pl.DataFrame, as_of: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Versions as they were known at that moment, with `who`, a number for each identity; and requests by `who`."""
    end, now = pl.col("valid_to"), pl.lit(as_of).cast(_TIME)
    known = (
        # What arrived late, and was never current, tells nothing of what somebody had.
        _only(versions, (pl.col("valid_from") <= as_of) & (pl.col("operation") != "older")).with_columns(
            pl.col("bytes", "stored_bytes").fill_null(0),
            valid_to=pl.when(end <= now).then(end),
            seen_at=pl.max_horizontal("valid_from", pl.min_horizontal("seen_at", now)),
        )
    )
    if "who" not in known:
        # A document that was forgotten and brought in again has a new id, and is the same document all the same.
        known = known.join(known.select(IDENTITY).unique().with_row_index("who"), on=IDENTITY)
    asked = accesses.select("accessed_at", "count", "document_id").filter(pl.col("accessed_at") <= as_of)
    who = known["who"].gather(places(asked["document_id"], known["document_id"]))
    log = asked.select("accessed_at", "count", who=who).drop_nulls("who").sort("accessed_at")
    return known, log


def _only(frame: pl.DataFrame, which: pl.Expr) -> pl.DataFrame:
    """The rows for which something is true; where that are all, nothing is moved."""
    chosen = frame.select(which).to_series()
    return frame if chosen.all(ignore_nulls=False) else frame.filter(chosen)


def _gaps(ruled: pl.DataFrame, log: pl.DataFrame, policy: RetentionPolicy, grid: _Grid) -> pl.DataFrame:
    """Every sighting, up to the next: steps ``from`` and ``to`` of its life, and ``gone``, at which it is forgotten.

    What it is about stays where it is, in the ``row`` of its version: there are few of which anybody wants to know.
    """
    needed = ("who", "sha256", "stored_bytes", "valid_from", "valid_to", "seen_at", "days", "count_access", "held")
    ruled = ruled.select(needed).with_row_index("row")
    # Nearly every document has one version, and needs no look at what comes before and after it.
    several = repeated(ruled["who"])
    if any(one.count_access for one in (policy, *policy.tenants.values())):
        several |= places(ruled["who"], log["who"].unique()).is_not_null()
    alone, seen = ruled.filter(~several), pl.col("seen_at")
    gaps = pl.concat(
        [
            alone.filter(pl.col("valid_from") < seen).with_columns(at="valid_from", next_at=seen),
            alone.with_columns(at=seen, next_at=pl.lit(None, _TIME)),
            _sightings(ruled.filter(several), log, policy),
        ]
    )
    due = pl.col("at") + pl.duration(days=pl.col("days"))
    return (
        gaps.lazy()
        .with_columns(
            grid.number(pl.col("at")).alias("from"),
            pl.min_horizontal(grid.number(pl.col("next_at")), grid.number(pl.col("valid_to"))).alias("to"),
            due=grid.number(due),
        )
        .filter(pl.col("from") < pl.col("to"))
        .with_columns(gone=pl.when("held").then("to").otherwise(pl.min_horizontal("due", "to")))
        .select("row", "who", "sha256", "stored_bytes", "at", "next_at", "from", "to", "gone")
        .collect()
    )


def _sightings(ruled: pl.DataFrame, log: pl.DataFrame, policy: RetentionPolicy) -> pl.DataFrame:
    """When documents were seen, ``at``, and seen again, ``next_at``."""
    sightings = [ruled.with_columns(at=pl.col(name)) for name in ("valid_from", "seen_at")]
    if any(one.count_access for one in (policy, *policy.tenants.values())):
        read = log.select("who", at="accessed_at").join_asof(
            ruled.sort("valid_from"),
            left_on="at",
            right_on="valid_from",
            by="who",
            coalesce=False,
            check_sortedness=False,
        )
        end = pl.col("valid_to")
        sightings.append(read.filter("count_access", end.is_null() | (pl.col("at") < end)).select(sightings[0].columns))
    return (
        pl.concat(sightings)
        .sort("who", "at", "valid_from")
        # A version that was seen last when it was replaced ends there; the next one begins.
        .unique(["who", "at"], keep="last", maintain_order=True)
        .with_columns(next_at=pl.col("at").shift(-1).over("who"))
    )


def _begun(gaps: pl.DataFrame, ruled: pl.DataFrame, grid: _Grid) -> pl.DataFrame:
    """Gaps in which the document was forgotten, numbered."""
    begun = gaps.filter(pl.col("gone") < pl.col("to")).select(
        "row", "who", "gone",
        forgotten_at=grid.time(pl.col("gone")), back_at="next_at", last_seen="at",
    )  # fmt: skip
    seen = ruled["seen_at"].gather(begun["row"])
    return begun.with_columns(uncertain=pl.col("last_seen") < seen).with_row_index("episode")


def _asked(begun: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    """How often, and when first, somebody read what was forgotten, until it was back: by ``episode``."""
    # Only those that somebody may have asked for are put in order to look that up.
    wanted = begun.select("who", "episode", "forgotten_at", "back_at").filter(
        places(begun["who"], log["who"].unique()).is_not_null()
    )
    return (
        log.join_asof(
            wanted.sort("forgotten_at", maintain_order=True),
            left_on="accessed_at",
            right_on="forgotten_at",
            by="who",
            check_sortedness=False,
        )
        .filter(pl.col("back_at").is_null() | (pl.col("accessed_at") < pl.col("back_at")))
        .drop_nulls("episode")
        .group_by("episode")
        .agg(reads=pl.col("count").sum(), first_read=pl.col("accessed_at").min())
    )


def _told(some: pl.DataFrame, ruled: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Episodes, what they are about and what was asked for, the dearest first."""
    return (
        some.hstack(ruled.select(*_ABOUT, "rule")[some["row"]].with_columns(pl.col(pl.Categorical).cast(pl.String)))
        .join(asked, on="episode", how="left", maintain_order="left")
        .with_columns(
            requests=pl.col("reads").fill_null(0) + pl.col("back_at").is_not_null(),
            asked_at=pl.min_horizontal("first_read", "back_at"),
        )
        .sort("bytes", "requests", "forgotten_at", "document_id", descending=[True, True, False, False])
        .select(EPISODES.names())
    )


def _steps(gaps: pl.DataFrame, begun: pl.DataFrame, regrets: pl.DataFrame, grid: _Grid) -> pl.DataFrame:
    """What each step forgot, what was regretted since the one before, what was stored and what was not."""
    step = pl.int_range(0, grid.count, dtype=pl.Int64, eager=True).alias("step")
    forgotten = begun.group_by(step="gone").agg(forgotten=pl.len().cast(pl.Int64))
    # What was asked for after the last step belongs to it.
    asked = grid.number(pl.col("asked_at")).clip(upper_bound=grid.count - 1)
    regretted = regrets.group_by(step=asked).agg(
        regretted=pl.len().cast(pl.Int64), regretted_bytes=pl.col("bytes").sum()
    )
    stored, kept = _covered(gaps, grid.count)
    return (
        pl.DataFrame({"step": step})
        .join(forgotten, on="step", how="left", maintain_order="left")
        .join(regretted, on="step", how="left", maintain_order="left")
        .with_columns(pl.col("forgotten", "regretted", "regretted_bytes").fill_null(0), at=grid.time(pl.col("step")))
        .with_columns(stored_bytes=stored, saved_bytes=stored - kept)
        .select(pl.col(name).cast(kind) for name, kind in STEPS.items())
    )


def _covered(gaps: pl.DataFrame, count: int) -> tuple[pl.Series, pl.Series]:
    """Bytes of the contents that some document has, step by step, without the policy and with it; each content once,
    whoever shares it."""
    every = gaps.select("sha256", "stored_bytes", "to", "gone", start="from")
    several = repeated(every["sha256"])
    single = every.filter(~several)
    shared = (
        every.filter(several)
        .sort("sha256", "start")
        .with_columns(place=pl.col("sha256").rle_id().cast(pl.Int64) * (count + 1))
    )
    steps = pl.DataFrame({"step": pl.int_range(0, count, dtype=pl.Int64, eager=True)})
    found = []
    for name in ("to", "gone"):
        # How far those before it reach: of another content, whose place is lower, that is less than nothing.
        reach = ((pl.col("place") + pl.col(name)).cum_max().shift(1) - pl.col("place")).clip(0).fill_null(0)
        rest = shared.select(pl.max_horizontal("start", reach), "stored_bytes", end=name)
        parts = pl.concat([single.select("start", "stored_bytes", end=name), rest]).lazy()
        parts, size = parts.filter(pl.col("start") < pl.col("end")), pl.col("stored_bytes")
        changes = (
            pl.concat([parts.select(step="start", change=size), parts.select(step="end", change=-size)])
            .group_by("step")
            .agg(pl.col("change").sum())
            .collect()
        )
        joined = steps.join(changes, on="step", how="left", maintain_order="left")
        found.append(joined["change"].fill_null(0).cum_sum())
    return found[0], found[1]
