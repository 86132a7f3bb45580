"""Draws a Plotly figure as a still picture in SVG, without a browser.

A stored notebook shows it where nothing runs: under stock ``nbconvert``, in a browser without JavaScript, on paper. It
draws what catalogkit's charts use of Plotly (`TRACES`, the axes and labels of `catalogkit.drawing`) and no more; hover
texts and sliders need a program, and are left out. No browser and no other library is needed: one takes milliseconds.

Colours and lengths are those of the figure. Inks are ``currentColor``, so that a page can give it its own.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from catalogkit.pictures.fields import fields
from catalogkit.pictures.marks import Canvas, bars, cells, points
from catalogkit.pictures.scales import Scale
from catalogkit.pictures.words import LINE, SIZE, box_of, label, lines_of, paint, width_of

Traces = Sequence[Mapping[str, Any]]

__all__ = ["SLIDER", "TRACES", "picture"]

TRACES: Final = frozenset({"scatter", "bar", "heatmap", "treemap"})
"""The trace types that can be drawn."""

SLIDER: Final = 96
"""Pixels that a figure keeps below itself for its slider."""

WIDTH: Final = 760
INK: Final = "#6f7680"  # where no page says otherwise: it reads on white and on black
_FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',sans-serif"
_PACKED: Final = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "f4": "f", "f8": "d"}
_DRAW: Final = {"bar": bars, "scatter": points, "heatmap": cells}


def picture(figure: Mapping[str, Any], title: str = "", *, width: int = WIDTH) -> str:
    """Draw a figure.

    Parameters
    ----------
    figure
        ``data`` and ``layout``, as Plotly writes them in JSON, with its lists as lists.
    title
        What a screen reader says of it; it is not drawn.
    width
        Pixels.

    Returns
    -------
    str
        One ``<svg>`` element, which asks for nothing and runs nothing.
    """
    layout, traces = figure["layout"], [_listed(trace) for trace in figure["data"]]
    height = layout.get("height", 360) - (SLIDER if layout.get("sliders") else 0)
    if not traces:  # it says why
        words = layout.get("meta", {}).get("reason", "Nothing to draw.")
        drawn = label(width / 2, height / 2, escape(words), anchor="middle")
    elif traces[0]["type"] == "treemap":
        drawn = fields(traces[0], width, height)
    else:
        drawn = _along_axes(traces, layout, width, height)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{escape(title or "chart")}" color="{INK}" fill="currentColor"'
        f' font-family="{_FONT}" font-size="{SIZE}">{drawn}</svg>'
    )


def _listed(trace: Mapping[str, Any]) -> dict[str, Any]:
    """A trace with lists where Plotly packed the numbers of an array, and with places where it has none."""
    whole = {name: _unpacked(value) for name, value in trace.items()}
    if whole["type"] in ("bar", "scatter"):
        known = whole.get("x", whole.get("y", ()))
        whole = {"x": list(range(len(known))), "y": list(range(len(known)))} | whole
    elif whole["type"] == "heatmap":
        across, down = len(whole["z"][0]) if whole["z"] else 0, len(whole["z"])
        whole = {"x": [str(place) for place in range(across)], "y": [str(place) for place in range(down)]} | whole
    return whole


def _unpacked(value: Any) -> Any:
    if not (isinstance(value, dict) and "bdata" in value):
        return value
    numbers = array(_PACKED[value["dtype"]], base64.b64decode(value["bdata"])).tolist()
    if "shape" not in value:
        return numbers
    width = int(value["shape"].split(",")[1])
    return [numbers[start : start + width] for start in range(0, len(numbers), width)]


def _along_axes(traces: Traces, layout: Mapping[str, Any], width: float, height: float) -> str:
    margin = layout.get("margin", {})
    x_axis, y_names = layout.get("xaxis", {}), sorted({trace.get("yaxis", "y") for trace in traces} or {"y"})
    below = 22 + 15 * max((len(lines_of(text)) for text in x_axis.get("ticktext", ["x"])), default=1) - 15
    below += (8 + 15 * len(lines_of(_title(x_axis)))) if _title(x_axis) else 0
    top, bottom = margin.get("t", 28), height - margin.get("b", 8) - below
    axes = {name: layout.get("yaxis" + name[1:], {}) for name in y_names}
    ys: dict[str, Scale] = {}
    for name, axis in axes.items():
        low, high = axis.get("domain", (0, 1))
        values = [value for trace in traces if trace.get("yaxis", "y") == name for value in _values(trace, "y", layout)]
        padded = 0.0 if _flat(traces) else 0.06
        ys[name] = Scale(axis, values, bottom - low * (bottom - top), bottom - high * (bottom - top), padded=padded)
    titled = 20 if any(_title(axis) for axis in axes.values()) else 0
    names = [text for scale in ys.values() for _, text in scale.ticks()]
    left = margin.get("l", 8) + titled + 10 + max(map(width_of, names), default=0)
    right = width - max(margin.get("r", 16), 10)
    x = Scale(x_axis, [v for trace in traces for v in _values(trace, "x", layout)], left, right,
              padded=0 if "lines" in traces[0].get("mode", "") or _flat(traces) else 0.02)  # fmt: skip
    drawn = _frame(x, ys, layout, (left, top, right, bottom))
    canvases = {name: Canvas(x, scale, layout) for name, scale in ys.items()}
    drawn += "".join(_DRAW[trace["type"]](trace, canvases[trace.get("yaxis", "y")]) for trace in traces)
    drawn += _legend(traces, layout, left, bottom - layout.get("legend", {}).get("y", 1) * (bottom - top) - 10)
    for note in layout.get("annotations", ()):
        drawn += _note(note, x, ys["y"], (left, top, right, bottom))
    return drawn


def _flat(traces: Traces) -> bool:
    return any(trace.get("orientation") == "h" for trace in traces)


def _title(axis: Mapping[str, Any]) -> str:
    return str(axis.get("title", {}).get("text") or "")


def _values(trace: Mapping[str, Any], along: str, layout: Mapping[str, Any]) -> list[Any]:
    """What a trace has along an axis, with the room that bars take up around their places."""
    values = list(trace[along])
    places = "y" if trace.get("orientation") == "h" else "x"
    if trace["type"] != "bar" or layout.get(f"{along}axis", {}).get("type") == "category":
        return values
    if along == places:
        numbers = [value for value in values if isinstance(value, int | float)]
        half = trace.get("width", 1) or 1
        half = (max(half) if isinstance(half, list) else half) / 2
        return [*values, *(number + side * half for number in numbers for side in (-1, 1))]
    bases = trace.get("base") or [0] * len(values)
    return [*bases, *(base + value for base, value in zip(bases, values, strict=True))]


def _frame(x: Scale, ys: Mapping[str, Scale], layout: Mapping[str, Any], box: tuple[float, ...]) -> str:
    """The ground, the grid, the ticks and the titles of the axes."""
    left, top, right, bottom = box
    drawn = ""
    if ground := layout.get("plot_bgcolor"):
        drawn += box_of(left, top, right - left, bottom - top, paint(ground))
    grid = 'stroke="currentColor" stroke-opacity=".22"'
    for scale in ys.values():
        for pixel, text in scale.ticks():
            if scale.axis.get("showgrid", True):
                drawn += f'<path d="M{left:.1f} {pixel:.1f}H{right:.1f}" {grid}/>'
            drawn += label(left - 7, pixel + SIZE * 0.35, text, anchor="end", soft=True)
        if title := _title(scale.axis):
            middle = (scale.start + scale.end) / 2
            drawn += label(SIZE + 2, middle, title, anchor="middle", turned=True, soft=True)
        if scale.axis.get("domain"):
            drawn += f'<path d="M{left:.1f} {scale.start:.1f}H{right:.1f}" {grid}/>'
    for pixel, text in x.ticks():
        if x.axis.get("showgrid", True):
            drawn += f'<path d="M{pixel:.1f} {top}V{bottom:.1f}" {grid}/>'
        drawn += label(pixel, bottom + 17, text, anchor="middle", soft=True)
    if title := _title(x.axis):
        deep = max((len(lines_of(text)) for _, text in x.ticks()), default=1)
        drawn += label((left + right) / 2, bottom + 23 + 15 * deep, title, anchor="middle", soft=True)
    return drawn


def _legend(traces: Traces, layout: Mapping[str, Any], left: float, y: float) -> str:
    named = [trace for trace in traces if trace.get("name") and trace.get("showlegend", True)]
    if not layout.get("showlegend", len(named) > 1):
        return ""
    drawn, at = "", left
    for trace in named:
        color = trace.get("marker", {}).get("color") or trace.get("line", {}).get("color") or "currentColor"
        drawn += box_of(at, y - 9, 11, 11, f'rx="2" {paint(color)}')
        drawn += label(at + 16, y, trace["name"])
        at += 34 + width_of(trace["name"])
    return drawn


def _note(note: Mapping[str, Any], x: Scale, y: Scale, box: tuple[float, ...]) -> str:
    """Words somewhere in the figure, placed by a value or by a share of the plot."""
    left, top, right, bottom = box
    at = left + note["x"] * (right - left) if note.get("xref") == "paper" else x(note["x"])
    down = bottom - note["y"] * (bottom - top) if note.get("yref") == "paper" else y(note["y"])
    at, down = at + note.get("xshift", 0), down - note.get("yshift", 0)
    deep = len(lines_of(note["text"])) * SIZE * LINE
    up = {"top": 0.0, "middle": deep / 2, "bottom": deep}[note.get("yanchor", "middle")]
    anchor = {"left": "start", "center": "middle", "right": "end"}[note.get("xanchor", "center")]
    return label(at, down - up + SIZE, note["text"], anchor=anchor)
