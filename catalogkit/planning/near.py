"""Near-duplicates: sketches new texts, finds clusters, and calls the planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.near import sketches as near
from catalogkit.near.clusters import clusters
from catalogkit.near.pairs import pairs
from catalogkit.near.table import CONTENTS, NEAR, best_first, table
from catalogkit.planners import near as planner
from catalogkit.planning.common import frames, head_of, mirrored_figures
from catalogkit.planning.retention import stored_copies
from catalogkit.progress import Progress, quiet
from catalogkit.signals import operation

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan
    from catalogkit.progress import OnProgress

# Records of one kind have most of their words in common, and differ in what counts.
DATA: Final = (
    "application/json", "application/x-ndjson", "application/jsonl", "application/xml", "text/xml", "text/csv",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Contents that are the same text in other bytes: candidates, for somebody to look at.

    Attributes
    ----------
    frame : DataFrame
        A row for each member of a cluster (`catalogkit.near.table.NEAR`): which copy is ``kept``, how like it the
        others are (``similarity`` is the share of both texts together that they have in common, ``containment`` that
        of the shorter), the first words that one has and not the other, and what it takes in the stores.
    compared : int
        How many contents have a text that was compared.
    left_out : mapping
        How many were not, by why: ``data`` (records, no prose), ``empty`` (a scan, for example), ``short``, ``stock``
        (what servers say), ``unread`` (nothing was told of what is in them; `catalogkit extract` does), ``many``
        (there are more texts than were to be compared).
    """

    frame: pl.DataFrame
    compared: int
    left_out: dict[str, int]

    @property
    def candidates(self) -> pl.DataFrame:
        """Those that could go: not kept, not stock, not under a hold."""
        return self.frame.filter(~pl.col("kept"), ~pl.col("stock"), ~pl.col("held"))

    def clusters(self) -> int:
        """How many texts there are in several contents, stock apart."""
        return int(self.frame.filter(~pl.col("stock"))["cluster"].n_unique())

    def reclaimable_bytes(self) -> int:
        """Stored bytes that go if every candidate goes."""
        return int(self.candidates["stored_bytes"].sum())

    def to_dict(self) -> dict[str, Any]:
        """The figures, without the table."""
        return {
            "clusters": self.clusters(),
            "candidates": self.candidates.height,
            "candidate_bytes": self.reclaimable_bytes(),
            "compared": self.compared,
            "left_out": self.left_out,
        }

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        plain = self.to_dict()
        return facts("Near-duplicates", plain | plain.pop("left_out"))


@operation("query", query="near")
def near_duplicates(
    collection: Collection, *, most: int | None = None, as_of: datetime | None = None, progress: OnProgress = quiet
) -> NearDuplicates:
    """Find contents that are the same text in other bytes: watermarked, rendered anew, in another format.

    What `catalogkit extract` told of contents is compared; sketches of it are kept in the catalog, and made only where
    a text is new. Otherwise nothing is changed.

    Parameters
    ----------
    most
        If more texts than this are known, none is looked at: `left_out` says that they are ``many``.

    Raises
    ------
    InvalidInput
        If `rensa` (the extra ``near``) is not installed.

    Examples
    --------
    >>> ck.near_duplicates(c).left_out  # nobody looked into them
    {'unread': 2}
    """
    catalog, when = collection.catalog, as_of or collection.now()
    known = catalog.known_texts()
    if not known or (most is not None and known > most):
        unread = _used(collection) - known
        return NearDuplicates(
            NEAR.to_frame(), 0, {name: n for name, n in (("many", known), ("unread", unread)) if n > 0}
        )
    sketch(catalog, progress)
    found = catalog.sketches(near.version())
    contents = _contents(collection, found, when)
    data = pl.Series(contents["media_type"].is_in(DATA))
    found = found.with_columns(
        sketch=pl.when(~data).then("sketch").otherwise(b""),
        why_not=pl.when(data).then(pl.lit("data")).otherwise("why_not"),
    )
    worth = pairs(found).select("a", "b").iter_rows()
    digests = contents["sha256"]
    made = clusters(worth, lambda rows: best_first(contents, rows), lambda row: catalog.text_of(digests[row]))
    why = found.filter(pl.col("why_not") != "")["why_not"].value_counts().rows()
    unread = _used(collection) - found.height
    left_out = dict(sorted(why)) | ({"unread": unread} if unread else {})
    compared = found.height - sum(count for _, count in why)
    return NearDuplicates(table(contents, made) if made else NEAR.to_frame(), compared, left_out)


@operation("plan", kind="near")
def plan_near(
    collection: Collection,
    *,
    limit: int | None = None,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
) -> Plan:
    """Plan to keep the best copy of each text and to forget the others; somebody has to choose which. Changes nothing.

    Parameters
    ----------
    limit
        At most so many contents, those of the clusters that take most room first.

    Raises
    ------
    InvalidInput
        If `rensa` (the extra ``near``) is not installed.

    Examples
    --------
    >>> ck.plan_near(c).units
    0
    """
    when = as_of or collection.now()
    found = near_duplicates(collection, as_of=when, progress=progress)
    return plan_of(collection, found, limit=limit, as_of=when)


def plan_of(
    collection: Collection, found: NearDuplicates, *, limit: int | None = None, as_of: datetime | None = None
) -> Plan:
    """The plan for what was found."""
    when = as_of or collection.now()
    documents = collection.catalog.frame("documents")
    return planner.plan_near(head_of(collection, "near", when), found.frame, documents).limited(limit)


def sketch(catalog: Catalog, progress: OnProgress = quiet) -> int:
    """Sketch every text that is new; how many that were."""
    version, done = near.version(), 0
    while texts := catalog.texts_to_sketch(version):
        made = near.sketched(one.text for one in texts)
        noted = catalog.record_sketches(zip((one.number for one in texts), made, strict=True), version=version)
        if not noted:
            raise InvalidInput("the contents changed while they were read; try again")
        done += len(texts)
        progress(Progress("sketch", done, 0, None, None, 0))
    return done


def _used(collection: Collection) -> int:
    """How many contents documents have."""
    figures = mirrored_figures(collection)
    if figures is None:
        return collection.frame("blobs").filter(pl.col("refs") > 0).height
    with figures:
        return figures.used


def _titles(collection: Collection) -> pl.DataFrame:
    """The titles that contents state: ``sha256``, ``title``."""
    figures = mirrored_figures(collection)
    if figures is None:
        return collection.catalog.frame("contents").select("sha256", "title")
    with figures:
        return figures.ask("SELECT sha256, title FROM contents")


def _contents(collection: Collection, found: pl.DataFrame, when: datetime) -> pl.DataFrame:
    """What is known of the contents that have a sketch, in their order."""
    catalog = collection.catalog
    held = [hold["subject"] for hold in catalog.holds(as_of=when)]
    documents, locations = frames(collection, "documents", "locations")
    documents, locations = (one.join(found.select("sha256"), on="sha256", how="semi") for one in (documents, locations))
    of_documents = (
        documents.sort("id")
        .group_by("sha256")
        .agg(
            pl.len().cast(pl.Int64).alias("documents"),
            pl.col("id").first().alias("document_id"),
            pl.col("artifact_id", "resolver", "media_type", "bytes").first(),
            pl.col("seen_at").max(),
            document_held=pl.col("id").cast(pl.String).is_in(held).any(),
            given=pl.col("metadata").first().str.json_path_match("$.title"),
        )
    )
    outcomes = locations.group_by("sha256").agg(
        good=pl.col("outcome").is_null().any() | pl.col("outcome").is_in(["ok", "unknown"]).any(),
        verified=(pl.col("outcome") == "ok").any(),
    )  # fmt: skip
    told = _titles(collection)
    joined = (
        found.select("sha256", "shingles")
        .join(of_documents, on="sha256", how="left", maintain_order="left")
        .join(outcomes, on="sha256", how="left", maintain_order="left")
        .join(told, on="sha256", how="left", maintain_order="left")
        .join(stored_copies(collection, locations), on="sha256", how="left", maintain_order="left")
    )
    return joined.with_columns(
        pl.coalesce(pl.col("title").replace("", None), "given").alias("title"),
        pl.col("good", "verified").fill_null(False),
        pl.col("stored_bytes").fill_null(0),
        # A document that must stay keeps its content: to forget its sisters would free nothing.
        held=pl.col("sha256").is_in(held) | pl.col("document_held"),
    ).select(CONTENTS.names()).cast(CONTENTS)  # fmt: skip
