"""Eviction: gathers accesses and candidates, scores them, and calls the planner; `SmartEvictionPolicy`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.eviction import scoring
from catalogkit.eviction.history import EVENTS, OBJECTS, History
from catalogkit.lookup import places
from catalogkit.planners import evict
from catalogkit.planning.common import HEALTHY, head_of, names_of
from catalogkit.planning.evictable import STAYS, Evictable, beside, evictable
from catalogkit.signals import operation

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.model import DocumentRecord
    from catalogkit.plan import Plan

HORIZON: Final = timedelta(days=30)
# What is left in another store is copied from there, which is far cheaper than to fetch it.
ELSEWHERE_COST: Final = 0.1

__all__ = [
    "STAYS",
    "EvictionCandidate",
    "SmartEvictionPolicy",
    "plan_evict",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictionCandidate:
    """A content that could go, and what it would save and cost.

    Attributes
    ----------
    bytes : int
        What its copies take in the store; all of its documents have to do without them.
    score : float
        In bits, the sum of `parts`; the highest goes first. One more is twice the bytes, or half the demand.
    reuse, expected : float or None
        The chance of any request within the horizon, and how many are expected; None where no log tells.
    refetch_chance : float
        How likely fetching it again succeeds, by how that went for its resolver.
    expected_cost : float or None
        The regret to expect: the chance of a request times the cost of a refetch, a sure one of a lone copy being 1.
    saved_per_month : float
        What storing it costs in a month.
    """

    sha256: str
    document_ids: tuple[int, ...]
    artifact_id: str
    resolver: str
    tenant: str
    media_type: str
    bytes: int
    score: float
    parts: dict[str, float]
    reuse: float | None
    expected: float | None
    refetch_chance: float
    expected_cost: float | None
    saved_per_month: float
    elsewhere: bool


class SmartEvictionPolicy:
    """Predicts which contents nobody will ask for again, and says what that rests on.

    Without an access log contents are ranked by size and age, and no chance of reuse is claimed. `card` says which way
    was taken, why, and how each way did on the log's own past.

    Parameters
    ----------
    horizon
        How far ahead requests count.
    policy
        What an eviction may do.
    price_per_gb_month
        What storing costs, for `EvictionCandidate.saved_per_month`.
    learn
        Whether a model may be learned; it takes ``pip install 'catalogkit[eviction]'``.
    aim
        Which harm to make least: one of `eviction.harms.AIMS`.
    as_of
        What is known by then counts; now, without it.

    Examples
    --------
    >>> policy = ck.SmartEvictionPolicy(c)
    >>> policy.card.method
    'size x age'
    >>> policy.recommend_eviction(1)  # what came from a folder cannot be fetched again
    []
    """

    def __init__(
        self,
        collection: Collection,
        *,
        horizon: timedelta = HORIZON,
        policy: evict.EvictionPolicy | None = None,
        price_per_gb_month: float = 0.023,
        learn: bool = True,
        aim: str = "balanced",
        as_of: datetime | None = None,
    ) -> None:
        if horizon <= timedelta(0):
            raise InvalidInput(f"a horizon lies ahead: {horizon}")
        self.collection, self.horizon, self.policy = collection, horizon, policy or evict.EvictionPolicy()
        self.price_per_gb_month, self.learn, self.aim = price_per_gb_month, learn, aim
        self.as_of = as_of or collection.now()

    # -- what is known -----------------------------------------------------------------------------------------

    @cached_property
    def _known(self) -> Evictable:
        return evictable(self.collection)

    @cached_property
    def contents(self) -> pl.DataFrame:
        """A row of numbers for each content that documents refer to, and why it stays (`evictable.FACTS`)."""
        return self._known.facts(beside(self.collection, self.as_of, private=self.policy.private))

    @cached_property
    def history(self) -> History:
        """Contents, and who asked for them when."""
        return history_of(self._known, self.contents, self.collection.frame("accesses"))

    @cached_property
    def _scored(self) -> scoring.Scores:
        costs = self.contents.select(object="document_id", cost=_cost())
        return scoring.score(self.history, self.as_of, self.horizon, refetch=costs, learn=self.learn, aim=self.aim)

    @property
    def card(self) -> scoring.Card:
        """What the scores rest on: the method and why, regrets of the past, calibration, drift."""
        return self._scored.card

    @cached_property
    def ranked(self) -> pl.DataFrame:
        """Every content, the first to go first: its numbers, its score and the parts that add up to it.

        Of millions of contents few are ever shown by name: `named` tells which documents they are.
        """
        told = self._scored.frame.drop("bytes").rename({"object": "document_id"})
        there = self.contents[places(told["document_id"], self.contents["document_id"])]
        return told.hstack(there.drop("document_id"))

    def named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of `ranked` with ``sha256``, and what their first document tells: ``artifact_id``, ``resolver``, ...

        Returns
        -------
        DataFrame
            In the order of `rows`.
        """
        return rows.join(self._known.named(rows["document_id"]), on="document_id", how="left", maintain_order="left")

    @cached_property
    def scores(self) -> pl.DataFrame:
        """`ranked`, all of it by name."""
        return self.named(self.ranked)

    # -- the doors ---------------------------------------------------------------------------------------------

    def score_file(self, record: DocumentRecord) -> float:
        """The score of a document's content, in bits: the higher, the sooner it may go.

        Removing one of several documents that share a content frees nothing, so they share its score, too.

        Raises
        ------
        InvalidInput
            If no document has that content now.
        """
        first = self._known.sharing(pl.Series([str(record.sha256)])).head(1)
        found = first.join(self.ranked, on="document_id")
        if found.is_empty():
            raise InvalidInput(f"no document has the content {record.sha256} now")
        return float(found["score"][0])

    def recommend_eviction(self, n: int = 1000, *, bytes_to_free: int | None = None) -> list[EvictionCandidate]:
        """The contents to evict first, of those that may go at all.

        Parameters
        ----------
        n
            At most so many.
        bytes_to_free
            No more of them than free so many bytes together.
        """
        rows = self.named(self.chosen(n, bytes_to_free=bytes_to_free))
        sharing = self._known.sharing(rows["sha256"]).group_by("sha256").agg(document_ids=pl.col("document_id").sort())
        rows = rows.join(sharing, on="sha256", how="left", maintain_order="left")
        return [self._candidate(row) for row in rows.iter_rows(named=True)]

    def chosen(self, n: int | None = None, *, bytes_to_free: int | None = None) -> pl.DataFrame:
        """The rows of `ranked` that `recommend_eviction` and `plan` are about."""
        if (n is not None and n < 0) or (bytes_to_free is not None and bytes_to_free < 0):
            raise InvalidInput("neither a number of contents nor of bytes can be below 0")
        rows = self.ranked.filter((pl.col("stays") == "") & (pl.col("stored_bytes") > 0))
        if bytes_to_free is not None:
            rows = rows.filter(pl.col("stored_bytes").cum_sum() - pl.col("stored_bytes") < bytes_to_free)
        return rows if n is None else rows.head(n)

    @operation("plan", kind="evict")
    def plan(self, n: int | None = None, *, bytes_to_free: int | None = None) -> Plan:
        """Plan to let these contents go; what `EvictionPolicy` keeps is counted as left out."""
        chosen = self.chosen(n, bytes_to_free=bytes_to_free).with_row_index("rank")
        # Most last copies are kept, and of those nobody has to know where they lie.
        going = chosen.filter(pl.col("elsewhere") | self.policy.last_copies)
        head = head_of(self.collection, "evict", self.as_of, figures.much if (figures := self._known.figures) else None)
        reason = {scoring.MODEL: "model", scoring.SIZE_AGE: "size x age"}.get(self.card.method, "rate")
        kept = chosen.height - going.height
        copies = self._copies(self.named(going))
        return evict.plan_evict(head, copies, reason, self.policy, kept, horizon=self.horizon)

    def keep(self, plan: Plan, home: Path) -> None:
        """Write the card, and the scores of what it takes, beside a plan that was saved: what it rests on."""
        taken = self._known.sharing(plan.frame["sha256"].drop_nulls().unique())["document_id"]
        rows = self.ranked.filter(pl.col("document_id").is_in(taken.implode()))
        self.named(rows).write_parquet(home / "scores.parquet")
        text = json.dumps(asdict(self.card), indent=1, ensure_ascii=False)
        (home / "card.json").write_text(text + "\n", encoding="utf-8")

    def _candidate(self, row: dict[str, Any]) -> EvictionCandidate:
        parts = {name.removeprefix("part_"): row[name] for name in row if name.startswith("part_")}
        cost = (ELSEWHERE_COST if row["elsewhere"] else 1.0) / row["refetch_chance"]
        return EvictionCandidate(
            sha256=row["sha256"], document_ids=tuple(row["document_ids"]), artifact_id=row["artifact_id"],
            resolver=row["resolver"], tenant=row["tenant"], media_type=row["media_type"], bytes=row["stored_bytes"],
            score=row["score"], parts=parts, reuse=row["reuse"], expected=row["expected"],
            refetch_chance=row["refetch_chance"],
            expected_cost=None if row["reuse"] is None else row["reuse"] * cost,
            saved_per_month=row["stored_bytes"] / 1e9 * self.price_per_gb_month, elsewhere=row["elsewhere"],
        )  # fmt: skip

    def _copies(self, chosen: pl.DataFrame) -> pl.DataFrame:
        home, names = self.collection.store.name, names_of(self.collection)
        rows = (
            chosen.with_columns(pl.col("rank").cast(pl.Int64))
            .drop("bytes")
            .join(self._known.copies(chosen["sha256"]), on="sha256")
            .with_columns(ours=pl.col("store") == home, healthy=HEALTHY)
        )
        users = [names(store, key) for store, key in rows.select("store", "key").iter_rows()]
        return rows.with_columns(users=pl.Series(users, dtype=pl.Int64)).select(
            pl.col(name).cast(kind) for name, kind in evict.COPIES.items()
        )


def _cost() -> pl.Expr:
    return pl.when("elsewhere").then(ELSEWHERE_COST).otherwise(1.0) / pl.col("refetch_chance")


def history_of(known: Evictable, contents: pl.DataFrame, accesses: pl.DataFrame) -> History:
    """Contents as objects, and the access log as events; requests for any document of a content are its own."""
    size = pl.when(pl.col("stored_bytes") > 0).then("stored_bytes").otherwise("bytes")
    nothing = {"until": pl.lit(None, dtype=OBJECTS["until"]), "prior": pl.lit(0, dtype=pl.Int64)}
    if accesses.is_empty():  # nobody looks at what they are
        unnamed = dict.fromkeys(("name", "source", "kind", "tenant"), pl.lit(""))
        objects = contents.select(
            object="document_id", bytes=size, created_at="created_at", since="created_at", **nothing, **unnamed
        )
        return History(objects.select(OBJECTS.names()), EVENTS.to_frame().cast({"object": pl.Int64}))
    events = (
        accesses.lazy()
        .rename({"document_id": "id"})
        .join(known.firsts(accesses["document_id"].unique()).lazy(), on="id")
        .group_by("document_id", "accessed_at")
        .agg(pl.col("count").sum())
        .select(object="document_id", at="accessed_at", count="count")
        .sort("at", "object")
        .collect()
    )
    first = events.group_by("object").agg(first=pl.col("at").min())
    # What was asked for before the catalog knew of it was there before.
    created = pl.min_horizontal("created_at", "first")
    ending = pl.col("artifact_id").str.extract(r"\.([A-Za-z0-9]{1,8})$").fill_null("")
    objects = (
        contents.select("created_at", object="document_id", bytes=size)
        .join(first, on="object", how="left", maintain_order="left")
        .hstack(known.classed(contents["document_id"]))
        .select(
            "object", "bytes", "tenant", name="artifact_id", created_at=created, since=created, source="resolver",
            kind=pl.concat_str("media_type", ending, separator=" ").cast(pl.Categorical), **nothing,
        )
    )  # fmt: skip
    return History(objects.select(OBJECTS.names()), events.select(EVENTS.names()))


def plan_evict(
    collection: Collection,
    *,
    bytes_to_free: int | None = None,
    n: int | None = None,
    horizon: timedelta = HORIZON,
    policy: evict.EvictionPolicy | None = None,
    learn: bool = True,
    aim: str = "balanced",
    as_of: datetime | None = None,
) -> Plan:
    """Plan to evict contents that can be fetched again; arguments as for `SmartEvictionPolicy`.

    Examples
    --------
    >>> ck.plan_evict(c, bytes_to_free=1).units  # what came from a folder cannot be fetched again
    0
    """
    smart = SmartEvictionPolicy(collection, horizon=horizon, policy=policy, learn=learn, aim=aim, as_of=as_of)
    return smart.plan(n, bytes_to_free=bytes_to_free)
