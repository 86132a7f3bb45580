"""What all charts share: colours, type, axes, stacked bars, and the text of an empty chart.

Colours mean the same thing in every chart (Okabe and Ito's palette, which colour-blind readers can tell apart): blue
is stored and needed, orange is stored twice and could go, green is spared already, grey is neither. Backgrounds are
transparent and inks neutral, so a figure reads on a light and on a dark page; a report then sets the inks to its own.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

import plotly.graph_objects as go
import polars as pl

from catalogkit.display import format_bytes, format_size, plotly_text
from catalogkit.pictures import SLIDER
from catalogkit.ticks import round_steps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "LABEL",
    "ORANGE",
    "PURPLE",
    "RED",
    "SKY",
    "bars",
    "bytes_axis",
    "counts_axis",
    "empty",
    "faint",
    "figure",
    "legend_above",
    "shares_axis",
    "slider",
    "stacked",
    "waterfall",
]

BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
RED: Final = "#D55E00"
SKY: Final = "#56B4E9"
PURPLE: Final = "#CC79A7"
GREY: Final = "#8A9099"
INK: Final = "#7B828C"
RULE: Final = "rgba(128,134,144,0.25)"

MINUS: Final = "\N{MINUS SIGN}"
LABEL: Final = 76  # pixels right of a figure for the labels at the ends of its bars
_LEGEND: Final = 28  # pixels above a figure for its legend
_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
_AXIS: Final = {
    "gridcolor": RULE,
    "linecolor": RULE,
    "zerolinecolor": RULE,
    "automargin": True,
    "title": {"standoff": 10},
}
_TEMPLATE: Final = {
    "layout": {
        "font": {"family": _FONT, "size": 12, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": [BLUE, ORANGE, GREEN, RED, SKY, PURPLE, GREY],
        "xaxis": _AXIS,
        "yaxis": _AXIS | {"ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)"},
        "hoverlabel": {"align": "left", "namelength": -1},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
    }
}


def figure(height: int) -> go.Figure:
    """An empty figure of so many pixels, in the common style."""
    return go.Figure(layout={"template": _TEMPLATE, "height": height, "margin": {"l": 8, "r": 16, "t": 10, "b": 8}})


def legend_above(figure: go.Figure) -> go.Figure:
    """Make room for a legend above, and show it."""
    height = figure.layout.height - figure.layout.margin.t + _LEGEND
    return figure.update_layout(showlegend=True, margin_t=_LEGEND, height=height)


def empty(reason: str) -> go.Figure:
    """A figure that says why there is nothing to draw; `display.Chart` shows the words alone."""
    blank = figure(height=120)
    lines = [plotly_text(line) for line in textwrap.wrap(reason, 44)]  # as much as a narrow page holds
    blank.add_annotation(text="<br>".join(lines), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    return blank.update_layout(meta={"reason": reason}).update_xaxes(visible=False).update_yaxes(visible=False)


def bytes_axis(largest: int, *, least: int = 0, exact: bool = False, ticks: int = 6) -> dict[str, object]:
    """An axis of sizes from 0, or below it; `exact` ends it at the largest, for labels beyond bars."""
    steps = round_steps(least, max(largest, 1), ticks - 1, whole=True)
    axis: dict[str, object] = {"tickvals": steps, "ticktext": [format_size(step) for step in steps]}
    return axis | ({"range": [0, max(largest, 1)]} if exact else {"rangemode": "tozero"})


def counts_axis(counts: Iterable[int], *, ticks: int = 6, room: float = 0.0) -> dict[str, object]:
    """An axis of whole numbers from 0, or the least of these, to the largest, or beyond it by a share of it."""
    known = [0, *counts]
    start, end = min(known), max(known) or (0 if min(known) else 1)
    steps, more = round_steps(start, end, ticks - 1, whole=True), (end - start) * room
    ends = [start - more if start else 0, end + more if end else 0]
    return {"range": ends, "tickvals": steps, "ticktext": [f"{step:,.0f}".replace("-", MINUS) for step in steps]}


def shares_axis(*, room: float = 0.0, ticks: int = 6) -> dict[str, object]:
    """An axis from nothing to the whole."""
    steps = round_steps(0, 1, ticks - 1)
    return {"range": [0, 1 + room], "tickvals": steps, "ticktext": [f"{step * 100:.0f} %" for step in steps]}


def stacked(
    rows: pl.DataFrame, labels: Sequence[str], parts: dict[str, tuple[str, str]], details: Sequence[str]
) -> go.Figure:
    """Horizontal bars, one per row, stacked from the columns in `parts`, each ending in its sum.

    Parameters
    ----------
    rows
        A frame with the columns of `parts`.
    labels
        What is written beside each bar.
    parts
        Columns of bytes, each with its name in the legend and its colour.
    details
        What hovering over a bar says.
    """
    places = list(range(len(labels)))  # by place, not by label: two labels may be equal, or look like numbers
    totals = rows.select(pl.sum_horizontal(*parts)).to_series().to_list()
    drawn = figure(height=92 + 26 * len(labels))
    for column, (name, color) in parts.items():
        drawn.add_bar(
            y=places,
            x=rows[column].to_list(),
            name=name,
            orientation="h",
            marker_color=color,
            customdata=list(details),
            hovertemplate="%{customdata}<extra></extra>",
        )
    drawn.add_scatter(
        y=places,
        x=totals,
        mode="text",
        text=[f" {format_bytes(total)}" for total in totals],
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    drawn.update_xaxes(**bytes_axis(max(totals), exact=True))
    drawn.update_yaxes(autorange="reversed", showgrid=False, tickvals=places, ticktext=list(labels))
    drawn.update_layout(barmode="stack", bargap=0.28, margin_r=LABEL)
    return legend_above(drawn)


def bars(
    labels: Sequence[str],
    values: Sequence[float],
    texts: Sequence[str],
    *,
    colors: str | Sequence[str],
    hover: str,
    details: Sequence[object] | None = None,
    starts: Sequence[float] | None = None,
    by_place: bool = False,
    height: int,
) -> go.Figure:
    """Horizontal bars, one below the other, each with a text at its end; their values' axis is still to be set.

    Parameters
    ----------
    labels, values, texts
        What is written beside each bar, how long it is, what is written at its end.
    colors
        One, or one for each.
    hover, details
        What hovering says, in Plotly's words, and what it says of each bar (``customdata``).
    starts
        Where each bar begins; at 0 without any.
    by_place
        Whether bars are told by their place: labels may be equal then, and a narrow page can shorten them.
    """
    places = list(range(len(labels)))
    axis = {"tickvals": places, "ticktext": list(labels)} if by_place else {"type": "category"}
    drawn = figure(height)
    drawn.add_bar(
        y=places if by_place else labels, x=values, base=starts, orientation="h", marker_color=colors, text=texts,
        textposition="outside", cliponaxis=False, customdata=details, hovertemplate=hover,
    )  # fmt: skip
    drawn.update_yaxes(autorange="reversed", showgrid=False, **axis)
    return drawn.update_layout(showlegend=False, bargap=0.3, margin_r=LABEL)


def waterfall(changes: Sequence[int], sums: Collection[int]) -> list[int]:
    """Where each bar starts that goes on from the one above; those at the places `sums` are sums, and start at 0."""
    level, starts = 0, []
    for place, change in enumerate(changes):
        starts.append(0 if place in sums else min(level, level + change))
        level = change if place in sums else level + change
    return starts


def slider(
    line: tuple[Sequence[float], Sequence[float], Sequence[str]],
    points: Sequence[tuple[str, float, float, str]],
    *,
    start: int,
    hover: str,
    prefix: str,
    height: int,
) -> go.Figure:
    """A line in steps, and a slider that moves a mark along it and says above what stands there.

    Parameters
    ----------
    line
        Where it goes, and what hovering says of each place.
    points
        What can be chosen: its name on the slider, where it lies, and what is said of it.
    start
        Which of them is chosen first.
    hover
        What hovering says, in Plotly's words.
    prefix
        What stands before the name that is chosen.
    """
    drawn = figure(height + SLIDER).update_layout(margin_t=28)
    across, up, texts = line
    _, x, y, words = points[start]
    drawn.add_scatter(
        x=across, y=up, mode="lines" if len(across) > 1 else "markers", fill="tozeroy", fillcolor=faint(ORANGE),
        line={"color": ORANGE, "width": 2, "shape": "hv"}, text=texts, hovertemplate=hover, showlegend=False,
    )  # fmt: skip
    drawn.add_scatter(
        x=[x], y=[y], mode="markers", marker={"color": BLUE, "size": 12}, hoverinfo="skip", showlegend=False
    )
    drawn.add_annotation(
        text=f"<b>{words}</b>", x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
        showarrow=False, yshift=4,
    )  # fmt: skip
    steps = [
        {
            "label": name,
            "method": "update",
            "args": [{"x": [[x]], "y": [[y]]}, {"annotations[0].text": f"<b>{words}</b>"}, [1]],
        }
        for name, x, y, words in points
    ]
    current = {"prefix": prefix, "xanchor": "left"}
    bar = {"steps": steps, "active": start, "currentvalue": current, "pad": {"t": 56, "b": 4}, "x": 0, "len": 1}
    return drawn.update_layout(sliders=[bar])


def faint(color: str, opacity: float = 0.18) -> str:
    """The colour, so transparent that a grid shows through."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
