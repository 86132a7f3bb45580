"""Charts of snapshots: what there was at each, and what was added or removed since the previous one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from catalogkit import drawing
from catalogkit.display import format_bytes, format_share, plotly_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import plotly.graph_objects as go
    import polars as pl

__all__ = ["documents", "shares", "sizes"]

_FEW: Final = "It takes two snapshots to see a trend. `catalogkit maintain` takes one every night."


def sizes(frame: pl.DataFrame) -> go.Figure:
    """Draw the bytes of `trends.trend`: logical and unique above; below what each has more or less of unique ones."""
    if frame.height < 2:
        return drawing.empty(_FEW)
    figure = _panels(frame, "more_unique_bytes", drawing.BLUE, format_bytes)
    _line(figure, frame, "unique_bytes", "unique", drawing.BLUE, format_bytes, fill="tozeroy")
    _line(figure, frame, "logical_bytes", "logical", drawing.GREEN, format_bytes, fill="tonexty")
    more = frame["more_unique_bytes"].fill_null(0).to_list()
    top = drawing.bytes_axis(max(frame["logical_bytes"]))
    low = drawing.bytes_axis(max(0, *more), least=min(0, *more), ticks=4)
    return figure.update_layout(
        yaxis={"title_text": "bytes", **top}, yaxis2={"title_text": "unique, more or less", **low}
    )


def documents(frame: pl.DataFrame) -> go.Figure:
    """Draw the documents of `trends.trend`: how many above, how many more or less below."""
    if frame.height < 2:
        return drawing.empty(_FEW)
    figure = _panels(frame, "more_documents", drawing.BLUE, _count)
    _line(figure, frame, "documents", "documents", drawing.BLUE, _count, fill="tozeroy")
    return figure.update_layout(
        yaxis={"title_text": "documents", **drawing.counts_axis(frame["documents"], room=0.06)},
        yaxis2={
            "title_text": "more or less",
            **drawing.counts_axis(frame["more_documents"].fill_null(0), ticks=4, room=0.06),
        },
    )


def shares(frame: pl.DataFrame) -> go.Figure:
    """Draw the shares of `trends.trend`: what was proved, and what repeats."""
    if frame.height < 2:
        return drawing.empty(_FEW)
    figure = drawing.figure(height=300).update_layout(margin_t=22, margin_r=drawing.LABEL + 20)
    _line(figure, frame, "proved_share", "proved", drawing.BLUE, format_share)
    _line(figure, frame, "repeated_share", "repeats", drawing.GREEN, format_share)
    figure.update_xaxes(title_text="snapshot (UTC)", showgrid=False, range=_reach(frame))
    return figure.update_layout(
        hovermode="x unified", yaxis={"title_text": "share of bytes", **drawing.shares_axis(room=0.02)}
    )


def _panels(frame: pl.DataFrame, growth: str, color: str, written: Callable[[int], str]) -> go.Figure:
    """Two plots above each other with one axis of times; the lower one has the bars of a column."""
    figure = drawing.figure(height=400).update_layout(margin_t=22, margin_r=drawing.LABEL + 20)
    values = frame[growth].fill_null(0).to_list()
    first, last = _reach(frame)
    figure.add_bar(
        x=frame["taken_at"].to_list(),
        y=values,
        name="since the one before",
        width=(last - first) / timedelta(milliseconds=1) / max(frame.height * 2, 30),
        marker_color=color,
        yaxis="y2",
        text=[f"{'+' if value > 0 else ''}{written(value)}" for value in values],
        textposition="none",
        hovertemplate="%{text}",
        showlegend=False,
    )
    return figure.update_layout(
        hovermode="x unified",
        xaxis={"anchor": "y2", "title_text": "snapshot (UTC)", "showgrid": False, "range": [first, last]},
        yaxis={"domain": [0.42, 1]},
        yaxis2={"domain": [0, 0.3], "anchor": "x"},
    )


def _line(
    figure: go.Figure, frame: pl.DataFrame, column: str, name: str, color: str, written: Callable[[Any], str],
    fill: str | None = None,
) -> None:  # fmt: skip
    """A line through the snapshots, with its name and last value at its end."""
    rows = frame.drop_nulls(column)
    if rows.is_empty():
        return
    values = rows[column].to_list()
    figure.add_scatter(
        x=rows["taken_at"].to_list(),
        y=values,
        name=name,
        mode="lines+markers",
        line={"color": color, "width": 2},
        marker={"size": 5, "color": color},
        fill=fill,
        fillcolor=drawing.faint(color),
        text=[written(value) for value in values],
        customdata=[plotly_text(label) for label in rows["label"]],
        hovertemplate="%{text} (%{customdata})",
        showlegend=False,
    )
    figure.add_annotation(
        x=rows["taken_at"][-1],
        y=values[-1],
        text=f"<b>{name}</b><br>{written(values[-1])}",
        showarrow=False,
        xanchor="left",
        xshift=8,
        align="left",
        yanchor="middle",
    )


def _reach(frame: pl.DataFrame) -> Sequence[Any]:
    first, last = frame["taken_at"][0], frame["taken_at"][-1]
    room = (last - first) / 40 or timedelta(hours=12)
    return [first - room, last + room]


def _count(number: int) -> str:
    return f"{number:,}".replace("-", drawing.MINUS)
