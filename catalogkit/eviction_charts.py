"""The ranking by size and age as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit import drawing
from catalogkit.display import format_bytes

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import polars as pl

__all__ = ["freed"]


def freed(frame: pl.DataFrame) -> go.Figure:
    """Draw `policies.eviction.curve`: the bytes of the first contents of the ranking."""
    if frame.is_empty():
        return drawing.empty("Nothing can be fetched again, so nothing could be let go.")
    figure = drawing.figure(height=320)
    figure.add_scatter(
        x=frame["rank"].to_list(),
        y=frame["stored_bytes"].to_list(),
        mode="lines" if frame.height > 1 else "markers",
        line={"color": drawing.ORANGE, "width": 2, "shape": "hv"},
        fill="tozeroy",
        fillcolor=drawing.faint(drawing.ORANGE),
        text=[format_bytes(size) for size in frame["stored_bytes"]],
        hovertemplate="the first %{x:,}: %{text}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title_text="contents, most byte-days first", rangemode="tozero")
    figure.update_yaxes(title_text="bytes of these together", **drawing.bytes_axis(frame["stored_bytes"][-1]))
    return figure
