"""Eviction: who asked for what, what could go and come back, and a plan to let it go."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.addresses import unfit
from catalogkit.errors import InvalidInput
from catalogkit.eviction import scoring
from catalogkit.eviction.history import EVENTS, OBJECTS, History
from catalogkit.planners import evict
from catalogkit.planning.common import head_of, names_of
from catalogkit.signals import operation
from catalogkit.stats import stored_by_blob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.model import DocumentRecord
    from catalogkit.plan import Plan

HORIZON: Final = timedelta(days=30)
# Until more is known of a resolver, nine of ten fetches are taken to succeed, and that counts as ten tries.
GOOD_TRIES, TRIES = 9.0, 10.0
# What is left in another store is copied from there, which is far cheaper than to fetch it.
ELSEWHERE_COST: Final = 0.1
STAYS: Final = {
    "held": "a hold names it, or one of its documents",
    "source": "one of its documents has no address to fetch it from again",
    "kept": "a plan, an ingest, a snapshot or a backup needs it",
}


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
        as_of: datetime | None = None,
    ) -> None:
        if horizon <= timedelta(0):
            raise InvalidInput(f"a horizon lies ahead: {horizon}")
        self.collection, self.horizon, self.policy = collection, horizon, policy or evict.EvictionPolicy()
        self.price_per_gb_month, self.learn = price_per_gb_month, learn
        self.as_of = as_of or collection.now()

    # -- what is known -----------------------------------------------------------------------------------------

    @cached_property
    def contents(self) -> pl.DataFrame:
        """A row for each content that documents refer to: whose it is, what it frees, why it stays (`STAYS`)."""
        return contents_of(self.collection, self.as_of, private=self.policy.private)

    @cached_property
    def history(self) -> History:
        """Contents, and who asked for them when."""
        return history_of(self.collection, self.contents)

    @cached_property
    def _scored(self) -> scoring.Scores:
        costs = self.contents.select(object="sha256", cost=_cost())
        return scoring.score(self.history, self.as_of, self.horizon, refetch=costs, learn=self.learn)

    @property
    def card(self) -> scoring.Card:
        """What the scores rest on: the method and why, regrets of the past, calibration, drift."""
        return self._scored.card

    @cached_property
    def scores(self) -> pl.DataFrame:
        """Every content, the first to go first: what it is, its score and the parts that add up to it."""
        told = self._scored.frame.drop("bytes").rename({"object": "sha256"})
        return told.join(self.contents, on="sha256", how="inner", maintain_order="left")

    # -- the doors ---------------------------------------------------------------------------------------------

    def score_file(self, record: DocumentRecord) -> float:
        """The score of a document's content, in bits: the higher, the sooner it may go.

        Removing one of several documents that share a content frees nothing, so they share its score, too.

        Raises
        ------
        InvalidInput
            If no document has that content now.
        """
        found = self._by_digest.get(str(record.sha256))
        if found is None:
            raise InvalidInput(f"no document has the content {record.sha256} now")
        return found

    @cached_property
    def _by_digest(self) -> dict[str, float]:
        return dict(self.scores.select("sha256", "score").iter_rows())

    def recommend_eviction(self, n: int = 1000, *, bytes_to_free: int | None = None) -> list[EvictionCandidate]:
        """The contents to let go first, of those that may go at all.

        Parameters
        ----------
        n
            At most so many.
        bytes_to_free
            No more of them than free so many bytes together.
        """
        return [self._candidate(row) for row in self.chosen(n, bytes_to_free=bytes_to_free).iter_rows(named=True)]

    def chosen(self, n: int | None = None, *, bytes_to_free: int | None = None) -> pl.DataFrame:
        """The rows of `scores` that `recommend_eviction` and `plan` are about."""
        if (n is not None and n < 0) or (bytes_to_free is not None and bytes_to_free < 0):
            raise InvalidInput("neither a number of contents nor of bytes can be below 0")
        rows = self.scores.filter((pl.col("stays") == "") & (pl.col("stored_bytes") > 0))
        if bytes_to_free is not None:
            rows = rows.filter(pl.col("stored_bytes").cum_sum() - pl.col("stored_bytes") < bytes_to_free)
        return rows if n is None else rows.head(n)

    @operation("plan", kind="evict")
    def plan(self, n: int | None = None, *, bytes_to_free: int | None = None) -> Plan:
        """Plan to let these contents go; what `EvictionPolicy` keeps is counted as left out."""
        chosen = self.chosen(n, bytes_to_free=bytes_to_free).select("sha256").with_row_index("rank")
        head = head_of(self.collection, "evict", self.as_of)
        reason = {scoring.MODEL: "model", scoring.SIZE_AGE: "size x age"}.get(self.card.method, "rate")
        return evict.plan_evict(head, self._copies(chosen), reason, self.policy)

    def keep(self, home: Path) -> None:
        """Write the scores and the card beside a plan that was saved: what it rests on stays with it."""
        self.scores.write_parquet(home / "scores.parquet")
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
        about = self.contents.with_columns(document_id=pl.col("document_ids").list.first())
        rows = (
            chosen.with_columns(pl.col("rank").cast(pl.Int64))
            .join(self.collection.frame("locations"), on="sha256")
            .join(about.drop("bytes"), on="sha256")
            .with_columns(ours=pl.col("store") == home, healthy=_healthy())
        )
        users = [names(store, key) for store, key in rows.select("store", "key").iter_rows()]
        return rows.with_columns(users=pl.Series(users, dtype=pl.Int64)).select(
            pl.col(name).cast(kind) for name, kind in evict.COPIES.items()
        )


def _healthy() -> pl.Expr:
    return ~pl.col("outcome").is_in(["corrupt", "missing"]).fill_null(False)


def _cost() -> pl.Expr:
    return pl.when("elsewhere").then(ELSEWHERE_COST).otherwise(1.0) / pl.col("refetch_chance")


def contents_of(collection: Collection, as_of: datetime, *, private: bool = False) -> pl.DataFrame:
    """Every content that documents refer to: whose it is, what its copies here take, and why it stays, if it does."""
    documents, locations = collection.frame("documents"), collection.frame("locations")
    home = collection.store.name
    held = pl.Series([hold["subject"] for hold in collection.catalog.holds(as_of=as_of)], dtype=pl.String).implode()
    urls = documents["source_url"].unique()
    fit = pl.DataFrame({"source_url": urls, "fit": [not unfit(url, private=private) for url in urls]},
                       schema={"source_url": pl.String(), "fit": pl.Boolean()})  # fmt: skip
    tried = collection.catalog.fetch_outcomes()
    chances = pl.DataFrame(
        [(name, (done + GOOD_TRIES) / (done + failed + TRIES)) for name, done, failed in tried],
        schema={"resolver": pl.String(), "refetch_chance": pl.Float64()}, orient="row",
    )  # fmt: skip
    rooted = collection.frame("roots").select("sha256").unique().with_columns(rooted=True)
    elsewhere = locations.filter((pl.col("store") != home) & _healthy()).select("sha256").unique()
    named = pl.col("id").cast(pl.String).is_in(held) | pl.col("sha256").is_in(held)
    return (
        documents.lazy()
        .join(fit.lazy(), on="source_url", how="left")
        .join(chances.lazy(), on="resolver", how="left")
        .sort("id")
        .group_by("sha256", maintain_order=True)
        .agg(
            pl.col("artifact_id", "resolver", "tenant", "media_type", "bytes").first(),
            document_ids=pl.col("id"),
            created_at=pl.min_horizontal("fetched_at", "created_at").min(),
            refetch_chance=pl.col("refetch_chance").fill_null(GOOD_TRIES / TRIES).min(),
            held=named.any(),
            fit=pl.col("fit").all(),
        )
        .join(stored_by_blob(locations.filter(pl.col("store") == home)).lazy(), on="sha256", how="left")
        .join(rooted.lazy(), on="sha256", how="left")
        .join(elsewhere.lazy().with_columns(elsewhere=True), on="sha256", how="left")
        .with_columns(pl.col("stored_bytes").fill_null(0), pl.col("elsewhere", "rooted").fill_null(False))
        .with_columns(
            stays=pl.when("held").then(pl.lit("held")).when(~pl.col("fit")).then(pl.lit("source"))
            .when("rooted").then(pl.lit("kept")).otherwise(pl.lit(""))
        )
        .drop("held", "fit", "rooted")
        .collect()
    )  # fmt: skip


def history_of(collection: Collection, contents: pl.DataFrame) -> History:
    """Contents as objects, and the access log as events; requests for any document of a content are its own."""
    ids = (
        contents.lazy().select("sha256", "document_ids").explode("document_ids", empty_as_null=False, keep_nulls=False)
    )
    events = (
        collection.frame("accesses")
        .lazy()
        .join(ids.rename({"document_ids": "document_id"}), on="document_id")
        .group_by("sha256", "accessed_at")
        .agg(pl.col("count").sum())
        .select(object="sha256", at="accessed_at", count="count")
        .sort("at", "object")
        .collect()
    )
    first = events.group_by("object").agg(first=pl.col("at").min())
    # What was asked for before the catalog knew of it was there before.
    created = pl.min_horizontal("created_at", "first")
    ending = pl.col("artifact_id").str.extract(r"\.([A-Za-z0-9]{1,8})$").fill_null("")
    objects = (
        contents.with_columns(bytes=pl.when(pl.col("stored_bytes") > 0).then("stored_bytes").otherwise("bytes"))
        .join(first, left_on="sha256", right_on="object", how="left", maintain_order="left")
        .select(
            object="sha256", name="artifact_id", bytes="bytes", created_at=created, since=created,
            until=pl.lit(None, dtype=OBJECTS["until"]), prior=pl.lit(0, dtype=pl.Int64), source="resolver",
            kind=pl.concat_str("media_type", ending, separator=" "), tenant="tenant",
        )
    )  # fmt: skip
    return History(objects, events.select(pl.col(name).cast(kind) for name, kind in EVENTS.items()))


def plan_evict(
    collection: Collection,
    *,
    bytes_to_free: int | None = None,
    n: int | None = None,
    horizon: timedelta = HORIZON,
    policy: evict.EvictionPolicy | None = None,
    learn: bool = True,
    as_of: datetime | None = None,
) -> Plan:
    """Plan to let contents go that can be fetched again; arguments as for `SmartEvictionPolicy`.

    Examples
    --------
    >>> ck.plan_evict(c, bytes_to_free=1).units  # what came from a folder cannot be fetched again
    0
    """
    smart = SmartEvictionPolicy(collection, horizon=horizon, policy=policy, learn=learn, as_of=as_of)
    return smart.plan(n, bytes_to_free=bytes_to_free)


@operation("plan", kind="fetch")
def plan_fetch(
    collection: Collection, document_ids: Sequence[int] | None = None, *, as_of: datetime | None = None
) -> Plan:
    """Plan to fetch evicted documents again, these or all; `apply` must be given a fetcher.

    Raises
    ------
    InvalidInput
        If one of them does not exist, or was not evicted.

    Examples
    --------
    >>> ck.plan_fetch(c).units  # nothing was evicted
    0
    """
    gone = pl.DataFrame(
        [str(one.sha256) for one in collection.catalog.evictions() if one.returned_at is None],
        schema={"sha256": pl.String()},
    )
    there = collection.frame("locations").select("sha256").unique()
    rows = collection.frame("documents").join(gone.join(there, on="sha256", how="anti"), on="sha256", how="semi")
    if document_ids is not None:
        if unknown := set(document_ids) - set(rows["id"]):
            raise InvalidInput(f"document {min(unknown)} was not evicted; nothing was planned")
        rows = rows.filter(pl.col("id").is_in(list(document_ids)))
    rows = rows.rename({"id": "document_id"}).sort("document_id").unique("sha256", keep="first", maintain_order=True)
    head = head_of(collection, "fetch", as_of or collection.now())
    return evict.plan_return(head, rows.select(evict.EVICTED.names()), collection.store.name)


def eviction_regret(collection: Collection) -> pl.DataFrame:
    """What became of evictions: requests for evicted contents while they were gone, and those that were fetched again.

    Returns
    -------
    DataFrame
        ``sha256``, ``bytes``, ``plan_id``, ``evicted_at``, ``returned_at``, ``requests`` (of the access log, while it
        was gone), the latest eviction first.

    Examples
    --------
    >>> ck.eviction_regret(c).height  # nothing was ever evicted
    0
    """
    gone = collection.frame("evictions")
    documents = collection.frame("documents").select("sha256", document_id="id")
    asked = (
        gone.with_row_index("number")
        .join(documents, on="sha256")
        .join(collection.frame("accesses").drop("bytes"), on="document_id")
    )
    within = (pl.col("accessed_at") > pl.col("evicted_at")) & (
        pl.col("returned_at").is_null() | (pl.col("accessed_at") <= pl.col("returned_at"))
    )
    counted = asked.filter(within).group_by("number").agg(requests=pl.col("count").sum())
    return (
        gone.with_row_index("number")
        .join(counted, on="number", how="left", maintain_order="left")
        .with_columns(pl.col("requests").fill_null(0))
        .sort("evicted_at", "sha256", descending=[True, False])
        .drop("number")
    )
