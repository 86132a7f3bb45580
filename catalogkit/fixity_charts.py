"""Charts of fixity: the coverage clock, the age of checks, and how much is read each day."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final

import plotly.graph_objects as go
import polars as pl

from catalogkit import drawing
from catalogkit.display import clip_middle, format_bytes, format_share, plotly_text
from catalogkit.fixity import CLASSES

__all__ = ["by_class", "clock", "days"]

_DAY_MS: Final = 86_400_000
_COLORS: Final = ("#00507f", drawing.BLUE, drawing.SKY, "#b8cfe0", drawing.PURPLE, drawing.RED, drawing.GREY)


def clock(frame: pl.DataFrame, promise_days: int = 30) -> go.Figure:
    """Draw `fixity.clock`; where the line meets the promised window is the share that keeps the promise."""
    if frame.is_empty():
        return drawing.empty("No store holds anything, so there is nothing to verify.")
    if frame.height == 1:
        return drawing.empty("Nothing was verified yet: run `catalogkit verify`.")
    ends = max(frame["days"][-1], promise_days) * 1.05
    last = frame["share_of_bytes"][-1]
    kept = frame.filter(pl.col("days") <= promise_days)["share_of_bytes"][-1]
    days, shares = [*frame["days"], ends], [*frame["share_of_bytes"], last]
    figure = drawing.figure(height=340)
    figure.add_scatter(
        x=days, y=shares, mode="lines", line={"color": drawing.BLUE, "width": 2, "shape": "hv"}, fill="tozeroy",
        fillcolor=drawing.faint(drawing.BLUE), text=[format_share(share) for share in shares], showlegend=False,
        hovertemplate="%{text} proved within %{x:.1f} days<extra></extra>",
    )  # fmt: skip
    figure.add_scatter(
        x=[promise_days, promise_days], y=[0, 1], mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": drawing.INK, "width": 1.5, "dash": "dot"},
    )  # fmt: skip
    figure.add_annotation(
        x=promise_days, y=1, text=f"<b>{format_share(kept)}</b> within {promise_days} d", showarrow=False, align="left",
        xanchor="left" if promise_days < ends / 2 else "right", xshift=6 if promise_days < ends / 2 else -6,
        yanchor="bottom",
    )  # fmt: skip
    figure.update_xaxes(title_text="days since the newest check, at most", range=[0, ends])
    figure.update_yaxes(title_text="share of the stored bytes", **drawing.shares_axis(room=0.02))
    return figure


def by_class(frame: pl.DataFrame, column: str, top: int = 12) -> go.Figure:
    """Draw `fixity.classes_by`: a bar for each value, stacked by the class of the newest check."""
    shown = frame.head(top)
    if shown.is_empty() or not shown.select(pl.sum_horizontal(*CLASSES).sum()).item():
        return drawing.empty("No store holds anything, so there is nothing to verify.")
    names = [str(name or "(none)") for name in shown[column]]
    parts = {label: (label, color) for label, color in zip(CLASSES, _COLORS, strict=True) if shown[label].sum()}
    details = [
        f"{plotly_text(name)}<br>" + "<br>".join(f"{label}: {format_bytes(row[label])}" for label in parts)
        for name, row in zip(names, shown.iter_rows(named=True), strict=True)
    ]
    figure = drawing.stacked(shown, [plotly_text(clip_middle(name, 30)) for name in names], parts, details)
    left = frame.height - shown.height
    return figure.update_xaxes(title_text=f"stored bytes{f' (not shown: {left:,} more)' if left else ''}")


def days(frame: pl.DataFrame, as_of: datetime) -> go.Figure:
    """Draw what the ledger has for each day, idle days included: copies checked, by result."""
    if frame.is_empty():
        return drawing.empty("The ledger has no check of these days.")
    figure = drawing.figure(height=300)
    colors = {"ok": drawing.BLUE, "unknown": drawing.PURPLE, "corrupt": drawing.RED, "missing": drawing.ORANGE}
    for outcome, color in colors.items():
        part = frame.filter(pl.col("outcome") == outcome)
        if part.is_empty():
            continue
        figure.add_bar(
            x=part["day"].to_list(), y=part["checks"].to_list(), name=outcome, marker_color=color,
            width=0.8 * _DAY_MS, customdata=[format_bytes(size) for size in part["bytes"]],
            hovertemplate="%{x}: %{y:,} checks, %{customdata} read<extra>" + outcome + "</extra>",
        )  # fmt: skip
    half = timedelta(hours=12)
    first, last = frame["day"].to_list()[0], as_of.date()
    ends = [datetime.combine(first, time()) - half, datetime.combine(last, time()) + half]
    figure.update_xaxes(title_text="day (UTC)", showgrid=False, type="date", range=ends)
    if (last - first).days < 10:
        figure.update_xaxes(dtick=_DAY_MS, tickformat="%b %d")
    each = frame.group_by("day").agg(pl.col("checks").sum())["checks"]
    figure.update_yaxes(title_text="copies checked", **drawing.counts_axis(each, room=0.06))
    return drawing.legend_above(figure.update_layout(barmode="stack"))
