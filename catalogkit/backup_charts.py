"""Charts of backups: when they were made and proved, what each keeps, what a recovery would change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit import drawing
from catalogkit.display import format_bytes, plotly_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from catalogkit.backups.recovering import Recovery

__all__ = ["change_counts", "changes", "held", "timeline"]

# What a drill said of a backup: a colour, and words.
_PROOFS: Final = {
    True: (drawing.GREEN, "proved by a drill"),
    False: (drawing.RED, "a drill found it damaged"),
    None: (drawing.GREY, "never tried"),
}
SHOWN: Final = 40


def timeline(backups: pl.DataFrame) -> go.Figure:
    """Draw when each backup was made, what it added, and whether a drill proved it.

    Parameters
    ----------
    backups
        The frame of `catalogkit.backups.listing.framed`.
    """
    rows = backups.drop_nulls("as_of").tail(SHOWN)
    if rows.is_empty():
        return drawing.empty("There is no backup.")
    figure = drawing.figure(height=300)
    labels = [f"{when:%b %d}<br>{when:%H:%M}" for when in rows["as_of"]]
    places = list(range(rows.height))
    for proved, (color, name) in _PROOFS.items():
        some = [place for place in places if rows["proved"][place] is proved]
        if some:
            figure.add_bar(
                x=some,
                y=[rows["written_bytes"][place] for place in some],
                width=0.5,
                name=name,
                marker_color=color,
                text=[format_bytes(rows["written_bytes"][place]) for place in some],
                textposition="outside",
                cliponaxis=False,
                customdata=[plotly_text(rows["name"][place]) for place in some],
                hovertemplate="<b>%{customdata}</b><br>added %{text}<extra></extra>",
            )
    figure.update_xaxes(tickvals=places, ticktext=labels, showgrid=False, range=[-0.6, max(rows.height, 4) - 0.4])
    figure.update_yaxes(title_text="added to the folder", **drawing.bytes_axis(max(rows["written_bytes"])))
    return drawing.legend_above(figure.update_layout(barmode="overlay"))


def held(backups: pl.DataFrame) -> go.Figure:
    """Draw the bytes that only backups keep: shared with other backups or snapshots, and by this one alone."""
    rows = backups.drop_nulls("held_bytes").filter(pl.col("held_bytes") > 0).sort("name", descending=True).head(SHOWN)
    if rows.is_empty():
        return drawing.empty("No backup keeps anything that documents do not have anyway.")
    rows = rows.with_columns(shared=pl.col("held_bytes") - pl.col("only_bytes"))
    labels = [f"{when:%b %d %H:%M}" for when in rows["as_of"]]
    details = [
        f"<b>{plotly_text(row['name'])}</b><br>keeps {format_bytes(row['held_bytes'])},"
        f" {format_bytes(row['only_bytes'])} of them alone"
        for row in rows.to_dicts()
    ]
    parts = {
        "shared": ("others keep it, too", drawing.SKY),
        "only_bytes": ("only this backup keeps it", drawing.ORANGE),
    }
    return drawing.stacked(rows, labels, parts, details)


def change_counts(recovery: Recovery) -> pl.DataFrame:
    """What coming back would change, counted.

    Returns
    -------
    DataFrame
        ``change``, ``documents``.
    """
    words = {
        "only in the backup": "would come back",
        "only in the catalog": "would go",
        "changed": "would be as they were",
    }
    rows = [(words[name], count) for name, count in recovery.changes.items()]
    rows.append(("would miss their bytes", sum(one.documents for one in recovery.missing)))
    return pl.DataFrame(rows, schema={"change": pl.String, "documents": pl.Int64}, orient="row")


def changes(recovery: Recovery) -> go.Figure:
    """Draw `change_counts`."""
    rows = change_counts(recovery)
    if not rows["documents"].sum():
        return drawing.empty("Nothing: the catalog is as the backup has it.")
    figure = drawing.bars(
        rows["change"].to_list(), rows["documents"].to_list(), [f"{count:,}" for count in rows["documents"]],
        colors=[drawing.GREEN, drawing.ORANGE, drawing.BLUE, drawing.RED],
        hover="<b>%{y}</b>: %{text} documents<extra></extra>", height=220,
    )  # fmt: skip
    figure.update_xaxes(title_text="documents", **drawing.counts_axis(rows["documents"]))
    return figure.update_layout(bargap=0.35)
