"""Charts of the quality of documents."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from catalogkit import drawing
from catalogkit.display import format_share, plotly_text

__all__ = ["languages", "signals"]

LANGUAGES = 20


def signals(summary: pl.DataFrame) -> go.Figure:
    """Draw `Quality.summary`: a bar for each signal that some document gives, worst at the top."""
    shown = summary.filter(pl.col("documents") > 0)
    if shown.is_empty():
        return drawing.empty("No document gives a signal.")
    figure = drawing.figure(height=90 + 28 * shown.height)
    figure.add_bar(
        y=[plotly_text(signal) for signal in shown["signal"]], x=shown["documents"].to_list(), orientation="h",
        marker_color=drawing.ORANGE, text=[f"{count:,}" for count in shown["documents"]], textposition="outside",
        customdata=[[plotly_text(one), format_share(share)] for one, share in shown.select("meaning", "share").rows()],
        hovertemplate="%{y}: %{x:,} documents, %{customdata[1]}<br>%{customdata[0]}<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title_text="documents", **drawing.counts_axis(shown["documents"], room=0.12))
    figure.update_yaxes(autorange="reversed")
    return figure


def languages(frame: pl.DataFrame) -> go.Figure:
    """Draw `Quality.languages`: a bar for each of the most common ones."""
    if frame.is_empty():
        return drawing.empty("There is no document.")
    shown = frame.head(LANGUAGES)
    names = [plotly_text(name or "not told") for name in shown["language"]]
    figure = drawing.figure(height=90 + 24 * shown.height)
    figure.add_bar(
        y=names, x=shown["documents"].to_list(), orientation="h", showlegend=False, textposition="outside",
        marker_color=[drawing.BLUE if name else drawing.GREY for name in shown["language"]],
        text=[f"{count:,}" for count in shown["documents"]],
        hovertemplate="%{y}: %{x:,} documents<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(title_text="documents", **drawing.counts_axis(shown["documents"], room=0.12))
    figure.update_yaxes(autorange="reversed")
    return figure
