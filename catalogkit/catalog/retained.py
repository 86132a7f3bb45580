"""What retention needs from the mirror: documents, copies and history as numbers.

A content is its number here, not its digest: a million numbers are read and grouped in a tenth of the time.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.lookup import places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalogkit.catalog.figures import Figures

_TIME: Final = pl.Datetime("us", "UTC")
_RULED: Final = ("tenant", "resolver", "media_type", "content_type")
_IDENTITY: Final = "tenant, artifact_id, source_url, resolver, variant"
_NAMED: Final = "SELECT id, sha256, artifact_id, resolver, media_type, tenant FROM documents SEMI JOIN given USING (id)"
# Who was forgotten and came back has a new id, and is the same all the same: the lowest id stands for all of them. That
# is looked for where an id is gone; whose id is still there had no other.
_SAME: Final = f"""
WITH known AS (SELECT DISTINCT {_IDENTITY} FROM past ANTI JOIN documents ON id = document_id),
ids AS (
    SELECT {_IDENTITY}, document_id FROM past SEMI JOIN known USING ({_IDENTITY})
    UNION SELECT {_IDENTITY}, id FROM documents SEMI JOIN known USING ({_IDENTITY})
)
SELECT DISTINCT document_id, min(document_id) OVER (PARTITION BY {_IDENTITY}) AS who FROM ids
"""


class OfMirror:
    """The documents of a large catalog.

    Parameters
    ----------
    figures
        The mirror.
    later
        When those documents were seen last that were seen after their last change: the frame ``later_sightings``.
    """

    def __init__(self, figures: Figures, later: pl.DataFrame) -> None:
        self.figures, self._later = figures, later

    @cached_property
    def documents(self) -> pl.DataFrame:
        """As the frame ``documents`` for `policies.deciding.decisions`, in any order, with ``kind``."""
        documents = self.figures.coded("documents", "id, blob_id AS sha256, bytes, changed_at", _RULED)
        seen, later = pl.col("changed_at"), self._later
        if not later.is_empty():
            seen = pl.max_horizontal(seen, later["seen_at"].gather(places(documents["id"], later["id"])))
        return documents.with_columns(seen_at=seen, artifact_id=pl.lit(None, dtype=pl.String))

    @cached_property
    def locations(self) -> pl.DataFrame:
        """As the frame ``locations`` for `policies.deciding.copies_of`."""
        return self.figures.coded("locations", "id, blob_id AS sha256, bytes, inode", ["store", "outcome"])

    def versions(self, past: pl.DataFrame) -> pl.DataFrame:
        """As the frame ``document_versions`` for `policies.backtest.backtest`, with ``who`` in the place of names.

        Parameters
        ----------
        past
            What `Catalog.ended_versions` says.
        """
        now = self.figures.of_documents(past["document_id"], "changed_at")
        # What ended since the mirror was filled is current there.
        ended = past.join(now, left_on=["document_id", "valid_from"], right_on=["id", "changed_at"], how="anti")
        current = self.documents.select(
            pl.col("id").alias("document_id"), pl.col("id").alias("who"), pl.exclude("id", "changed_at", "seen_at"),
            operation=pl.lit("current"), valid_from="changed_at", valid_to=pl.lit(None, dtype=_TIME), seen_at="seen_at",
        )  # fmt: skip
        if ended.is_empty():
            return current
        with self.figures.given("past", ended.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(None))):
            same = self.figures.ask(_SAME)

        def who(ids: pl.Series) -> pl.Series:
            return pl.select(pl.coalesce(same["who"].gather(places(ids, same["document_id"])), ids)).to_series()

        current = current.with_columns(who=who(current["document_id"]))
        gone = self.numbered(ended)
        # Of what is gone there is little, and each may be of a kind of its own.
        kinds = pl.int_range(pl.len()) + current["kind"].n_unique()
        gone = gone.with_columns(who=who(gone["document_id"]), kind=kinds, artifact_id=pl.lit(None))
        return pl.concat([current, gone.select(pl.col(name).cast(kind) for name, kind in current.schema.items())])

    def numbers(self, digests: Iterable[str]) -> pl.Series:
        """The numbers of contents."""
        if not (digests := list(digests)):
            return pl.Series("blob_id", [], dtype=pl.Int64)
        with self.figures.given("given", pl.Series("sha256", digests, dtype=pl.String).unique()):
            return self.figures.ask("SELECT blob_id FROM blobs SEMI JOIN given USING (sha256)").to_series()

    def numbered(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows about contents with their numbers instead of their digests; what is not on record here is left out."""
        if rows.is_empty():
            return rows.with_columns(pl.col("sha256").cast(pl.Int64))
        with self.figures.given("given", rows["sha256"].unique()):
            known = self.figures.ask("SELECT sha256, blob_id FROM blobs SEMI JOIN given USING (sha256)")
        return rows.join(known, on="sha256").drop("sha256").rename({"blob_id": "sha256"})

    def named(self, rows: pl.DataFrame, key: str = "id") -> pl.DataFrame:
        """Rows about documents with the digests and names of those."""
        with self.figures.given("given", rows[key].unique().alias("id")):
            told = self.figures.ask(_NAMED).rename({"id": key})
        plain = rows.drop([name for name in told.columns if name != key], strict=False)
        return plain.join(told, on=key, how="left", maintain_order="left").select(rows.columns)

    def told(self, regrets: pl.DataFrame, past: pl.DataFrame) -> pl.DataFrame:
        """Episodes of a back-test with digests and artifact ids."""
        with self.figures.given("given", regrets["sha256"].unique().alias("blob_id")):
            digests = self.figures.ask("SELECT blob_id, sha256 AS digest FROM blobs SEMI JOIN given USING (blob_id)")
        names = self.figures.of_documents(regrets["document_id"], "artifact_id").rename({"id": "document_id"})
        names = pl.concat([names, past.select("document_id", "artifact_id")]).unique("document_id")
        named = regrets.drop("artifact_id").join(names, on="document_id", how="left", maintain_order="left")
        named = named.join(digests, left_on="sha256", right_on="blob_id", how="left", maintain_order="left")
        return named.drop("sha256").rename({"digest": "sha256"}).select(regrets.columns)
