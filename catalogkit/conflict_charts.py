"""Charts of conflicts between sites: whose values are shown, and whose are kept beside them."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from catalogkit import drawing
from catalogkit.display import plotly_text

__all__ = ["by_site", "sites"]

_WORDS = {"content": "content", "life": "there or not", "notes": "metadata"}


def sites(conflicts: pl.DataFrame) -> pl.DataFrame:
    """How many values each site wrote of each group: those that are shown, and the others."""
    return (
        conflicts.group_by("site", "group")
        .agg(shown=pl.col("shown").sum().cast(pl.Int64), kept=(~pl.col("shown")).sum().cast(pl.Int64))
        .sort("site", "group")
    )


def by_site(frame: pl.DataFrame) -> go.Figure:
    """Draw `sites`: a bar for each site and group, what is shown of it beside what is kept."""
    if frame.is_empty():
        return drawing.empty("No conflicts: sites that said different things knew of each other.")
    names = [f"{plotly_text(site)}, {_WORDS.get(group, group)}" for site, group in frame.select("site", "group").rows()]
    figure = drawing.figure(height=120 + 34 * frame.height)
    parts = (("shown", "shown at all sites", drawing.BLUE), ("kept", "kept beside it", drawing.SKY))
    for column, label, color in parts:
        figure.add_bar(
            y=names, x=frame[column].to_list(), name=label, orientation="h", marker={"color": color},
            hovertemplate="%{y}: %{x} " + label + "<extra></extra>",
        )  # fmt: skip
    drawing.legend_above(figure).update_layout(barmode="stack")
    most = (frame["shown"] + frame["kept"]).to_list()
    figure.update_xaxes(title_text="values", **drawing.counts_axis(most))
    figure.update_yaxes(autorange="reversed")
    return figure
