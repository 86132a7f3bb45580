"""Near-duplicates as a table: members, similarity, which copy to keep, and what the others take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.near.clusters import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from catalogkit.near.clusters import Member

# A copy with this share of the most text that one of them has is as good as that: the rest is watermarks and menus.
AS_MUCH: Final = 0.9

# What is known of the contents that have a sketch.
CONTENTS: Final = pl.Schema(
    {
        "sha256": pl.String(),
        "shingles": pl.Int64(),
        "title": pl.String(),
        "media_type": pl.String(),
        "bytes": pl.Int64(),
        "stored_bytes": pl.Int64(),
        "good": pl.Boolean(),
        "verified": pl.Boolean(),
        "held": pl.Boolean(),
        "documents": pl.Int64(),
        "document_id": pl.Int64(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "seen_at": pl.Datetime("us", "UTC"),
    }
)
NEAR: Final = pl.Schema(
    {
        "cluster": pl.Int64(),
        "kept": pl.Boolean(),
        "similarity": pl.Float64(),
        "containment": pl.Float64(),
        "differs": pl.String(),
        "kept_differs": pl.String(),
        "only_here": pl.Int64(),
        "only_kept": pl.Int64(),
        "kept_sha256": pl.String(),
        "kept_document_id": pl.Int64(),
        "stock": pl.Boolean(),
        **CONTENTS,
    }
)


def best_first(contents: pl.DataFrame, rows: Sequence[int]) -> list[int]:
    """Some contents in the order in which one would be kept if they are the same text.

    First come those of which a copy is good; then those with about as much text as any of them; those under a hold;
    with a title; verified; the ones that more documents have; the ones seen last; the smaller ones.

    Parameters
    ----------
    contents
        A frame with the columns of `CONTENTS`; `rows` are places in it.
    """
    some = contents[list(rows)].with_columns(row=pl.Series(rows, dtype=pl.Int64))
    keys = [
        pl.col("good"),
        pl.col("shingles") >= AS_MUCH * pl.col("shingles").max(),
        pl.col("held"),
        pl.col("title").fill_null("") != "",
        pl.col("verified"),
        pl.col("documents"),
        pl.col("seen_at"),
        -pl.col("bytes"),
        pl.col("sha256"),
    ]
    return some.sort(*keys, descending=True, nulls_last=True)["row"].to_list()


def table(contents: pl.DataFrame, clusters: Iterable[Sequence[Member]]) -> pl.DataFrame:
    """A row for each member of a cluster, with the columns of `NEAR`, what could be freed most first.

    A cluster of more than `catalogkit.near.clusters.LARGEST` is ``stock``: something that servers say, not a document.

    Parameters
    ----------
    contents
        A frame with the columns of `CONTENTS`.
    """
    rows = []
    for number, members in enumerate(clusters):
        kept = contents.row(members[0].row, named=True)
        for member in members:
            likeness = member.likeness
            rows.append(
                contents.row(member.row, named=True)
                | {
                    "cluster": number,
                    "kept": member is members[0],
                    "similarity": likeness.jaccard,
                    "containment": likeness.containment,
                    "differs": member.differs_b,
                    "kept_differs": member.differs_a,
                    "only_here": likeness.only_b,
                    "only_kept": likeness.only_a,
                    "kept_sha256": kept["sha256"],
                    "kept_document_id": kept["document_id"],
                    "stock": len(members) > LARGEST,
                }
            )
    frame = pl.DataFrame(rows, schema=NEAR, orient="row")
    spare = pl.col("stored_bytes").filter(~pl.col("kept")).sum().over("cluster")
    ordered = frame.with_columns(spare=spare).sort(
        "stock", "spare", "cluster", "kept", "similarity", descending=[False, True, False, True, True]
    )
    return ordered.with_columns(cluster=pl.col("cluster").rle_id().cast(pl.Int64)).select(NEAR.names())
