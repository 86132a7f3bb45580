"""Gathers contents that may be evicted, from frames; `catalog.evictable` does the same in the mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import polars as pl

from catalogkit.addresses import ORIGIN, unfit
from catalogkit.catalog.evictable import Beside, OfMirror
from catalogkit.planning.common import HEALTHY, mirrored_figures
from catalogkit.stats import stored_by_blob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from catalogkit.catalog.figures import Figures
    from catalogkit.collection import Collection

# Until more is known of a resolver, nine of ten fetches are taken to succeed, and that counts as ten tries.
GOOD_TRIES, TRIES = 9.0, 10.0
STAYS: Final = {
    "held": "a hold names it, or one of its documents",
    "source": "one of its documents has no address to fetch it from again",
    "kept": "a plan, an ingest, a snapshot or a backup needs it",
}
# `document_id` is the first of its `documents`; `stored_bytes` is what its copies take in the store that is to be
# relieved, `elsewhere` says that another store has a good copy. `stays` is a key of `STAYS`, or empty.
FACTS: Final = pl.Schema(
    {
        "document_id": pl.Int64(),
        "documents": pl.Int64(),
        "bytes": pl.Int64(),
        "created_at": pl.Datetime("us", "UTC"),
        "refetch_chance": pl.Float64(),
        "stored_bytes": pl.Int64(),
        "elsewhere": pl.Boolean(),
        "stays": pl.String(),
    }
)


class Evictable(Protocol):
    """Contents as documents and copies tell them."""

    @property
    def figures(self) -> Figures | None:
        """The mirror, where it is out of that."""

    def facts(self, beside: Beside) -> pl.DataFrame:
        """Every content that documents refer to, by its first document: the columns of `FACTS`."""

    def named(self, documents: pl.Series) -> pl.DataFrame:
        """``document_id``, ``sha256``, ``artifact_id``, ``resolver``, ``tenant``, ``media_type`` of documents."""

    def classed(self, documents: pl.Series) -> pl.DataFrame:
        """``artifact_id`` of documents, and ``resolver``, ``tenant``, ``media_type`` as categories, in their order."""

    def firsts(self, documents: pl.Series) -> pl.DataFrame:
        """``id`` of documents, with the ``document_id`` that stands for their content."""

    def sharing(self, digests: pl.Series) -> pl.DataFrame:
        """``sha256``, ``document_id``: every document of these contents, by id."""

    def copies(self, digests: pl.Series) -> pl.DataFrame:
        """Their copies: ``sha256``, ``store``, ``key``, ``bytes``, ``inode``, ``mtime_ns``, ``outcome``."""


class OfFrames:
    """Out of whole tables, for catalogs that are not large."""

    figures = None

    def __init__(self, documents: pl.DataFrame, locations: pl.DataFrame) -> None:
        self._documents, self._locations = documents, locations

    def facts(self, beside: Beside) -> pl.DataFrame:
        """`Evictable.facts`."""
        documents = self._documents.with_columns(origin=pl.col("source_url").str.extract(ORIGIN, 0).fill_null(""))
        refused = [url for url in documents["origin"].unique() if unfit(url, private=beside.private)]
        here = pl.col("store") == beside.home
        held_ids = pl.Series(beside.held_documents, dtype=pl.Int64).implode()
        held = pl.col("id").is_in(held_ids) | pl.col("sha256").is_in(_texts(beside.held_contents))
        chance = pl.col("resolver").replace_strict(dict(beside.chances), default=beside.usual, return_dtype=pl.Float64)
        elsewhere = self._locations.filter(~here & HEALTHY)
        return (
            documents.lazy()
            .sort("id")
            .group_by("sha256", maintain_order=True)
            .agg(
                pl.col("bytes").first(),
                document_id=pl.col("id").first(),
                documents=pl.len().cast(pl.Int64),
                created_at=pl.min_horizontal("fetched_at", "created_at").min(),
                refetch_chance=chance.min(),
                held=held.any(),
                unfit=pl.col("origin").is_in(_texts(refused)).any(),
            )
            .join(stored_by_blob(self._locations.filter(here)).lazy(), on="sha256", how="left", maintain_order="left")
            .with_columns(
                pl.col("stored_bytes").fill_null(0),
                elsewhere=pl.col("sha256").is_in(elsewhere["sha256"].unique().implode()),
                stays=pl.when("held").then(pl.lit("held")).when("unfit").then(pl.lit("source"))
                .when(pl.col("sha256").is_in(_texts(beside.rooted))).then(pl.lit("kept")).otherwise(pl.lit("")),
            )
            .select(pl.col(name).cast(kind) for name, kind in FACTS.items())
            .collect()
        )  # fmt: skip

    def named(self, documents: pl.Series) -> pl.DataFrame:
        """`Evictable.named`."""
        found = self._documents.filter(pl.col("id").is_in(documents.implode()))
        return found.select("sha256", "artifact_id", "resolver", "tenant", "media_type", document_id="id")

    def classed(self, documents: pl.Series) -> pl.DataFrame:
        """`Evictable.classed`."""
        kinds = ["resolver", "tenant", "media_type"]
        rows = documents.alias("id").to_frame().join(self._documents, on="id", how="left", maintain_order="left")
        return rows.select("artifact_id", pl.col(kinds).cast(pl.Categorical))

    def firsts(self, documents: pl.Series) -> pl.DataFrame:
        """`Evictable.firsts`."""
        firsts = self._documents.select("id", document_id=pl.col("id").min().over("sha256"))
        return firsts.filter(pl.col("id").is_in(documents.implode()))

    def sharing(self, digests: pl.Series) -> pl.DataFrame:
        """`Evictable.sharing`."""
        found = self._documents.filter(pl.col("sha256").is_in(digests.implode()))
        return found.select("sha256", document_id="id").sort("document_id")

    def copies(self, digests: pl.Series) -> pl.DataFrame:
        """`Evictable.copies`."""
        found = self._locations.filter(pl.col("sha256").is_in(digests.implode()))
        return found.select("sha256", "store", "key", "bytes", "inode", "mtime_ns", "outcome")


def _texts(values: Sequence[str]) -> pl.Series:
    return pl.Series(values, dtype=pl.String).implode()


def evictable(collection: Collection) -> Evictable:
    """The contents of a collection, as they are now."""
    figures = mirrored_figures(collection)
    if figures is None:
        return OfFrames(collection.frame("documents"), collection.frame("locations"))
    return OfMirror(figures)


def beside(collection: Collection, as_of: datetime, *, private: bool = False) -> Beside:
    """What the catalog knows beside documents and copies."""
    held = [hold["subject"] for hold in collection.catalog.holds(as_of=as_of)]
    tried = collection.catalog.fetch_outcomes()
    return Beside(
        home=collection.store.name,
        held_documents=[int(subject) for subject in held if len(subject) < 64],
        held_contents=[subject for subject in held if len(subject) == 64],
        rooted=collection.frame("roots")["sha256"].unique().sort().to_list(),
        chances={name: (done + GOOD_TRIES) / (done + failed + TRIES) for name, done, failed in tried},
        usual=GOOD_TRIES / TRIES,
        private=private,
    )
