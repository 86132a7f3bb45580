"""Charts and tables of near-duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from catalogkit import drawing
from catalogkit.display import clip_middle, format_bytes, plotly_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["clusters", "members", "sums"]


def sums(near: pl.DataFrame) -> pl.DataFrame:
    """For each text that lies here in other bytes: what the copy that is kept takes, and what the candidates do.

    Parameters
    ----------
    near
        `NearDuplicates.frame`; stock pages, and what is under a hold, are no candidates.
    """
    may_go = ~pl.col("kept") & ~pl.col("held")
    return (
        near.filter(~pl.col("stock"))
        .group_by("cluster", maintain_order=True)
        .agg(
            pl.coalesce("title", "artifact_id").first().alias("text"),
            pl.col("sha256").first().alias("kept_sha256"),
            pl.len().cast(pl.Int64).alias("contents"),
            pl.col("stored_bytes").filter(~may_go).sum().alias("kept_bytes"),
            pl.col("stored_bytes").filter(may_go).sum().alias("candidate_bytes"),
            pl.col("similarity").filter(~pl.col("kept")).min().alias("least_similarity"),
        )
        .drop("cluster")
        .sort("candidate_bytes", "kept_sha256", descending=[True, False])
    )


def clusters(near: pl.DataFrame, top: int = 20) -> go.Figure:
    """Draw `sums` of the clusters whose candidates take most."""
    ranked = sums(near)
    shown, rest = ranked.head(top), ranked.slice(top)
    if shown.is_empty():
        return drawing.empty("No near-duplicates.")
    labels, details = [], []
    for row in shown.iter_rows(named=True):
        name = row["text"] or "unnamed"
        labels.append(f"{plotly_text(clip_middle(name, 26))} · {row['kept_sha256'][:8]}")
        details.append(
            f"{plotly_text(clip_middle(name, 90))}<br>{row['contents']:,} contents,"
            f" at least {row['least_similarity']:.0%} alike"
            f"<br>kept {format_bytes(row['kept_bytes'])}, candidates {format_bytes(row['candidate_bytes'])}"
        )
    parts = {"candidate_bytes": ("candidates", drawing.ORANGE), "kept_bytes": ("kept", drawing.BLUE)}
    more = (
        f"<br>(not shown: {rest.height:,} more with {format_bytes(int(rest['candidate_bytes'].sum()))})"
        if rest.height
        else ""
    )
    return drawing.stacked(shown, labels, parts, details).update_xaxes(title_text=f"stored bytes{more}")


def members(near: pl.DataFrame) -> pl.DataFrame:
    """The candidates with their evidence: how like the copy that is kept, and the first words that only they have."""
    return near.filter(~pl.col("kept"), ~pl.col("stock"), ~pl.col("held")).select(
        "similarity",
        "containment",
        document="document_id",
        what=pl.coalesce("title", "artifact_id"),
        media_type="media_type",
        bytes="stored_bytes",
        instead_of="kept_document_id",
        only_here="differs",
        only_there="kept_differs",
    )
