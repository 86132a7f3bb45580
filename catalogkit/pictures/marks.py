"""Draws the marks of charts as SVG: bars, lines and points, cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from catalogkit.pictures.scales import Scale, number_of
from catalogkit.pictures.words import SIZE, box_of, label, paint

__all__ = ["Canvas", "bars", "cells", "points"]


BLUES: Final = ((0, "#d6e6f2"), (0.5, "#5fa3d0"), (1, "#00507f"))
"""From little to much, where a figure names no colours."""


@dataclass
class Canvas:
    """The axes that a trace is drawn along, and what was drawn before it."""

    x: Scale
    y: Scale
    layout: Mapping[str, Any]
    stacked: dict[Any, float] = field(default_factory=lambda: defaultdict(float))
    before: list[tuple[float, float]] = field(default_factory=list)


def bars(trace: Mapping[str, Any], canvas: Canvas) -> str:
    """Bars, one beside or upon another, with their texts beyond their ends."""
    flat = trace.get("orientation") == "h"
    along, across = (canvas.x, canvas.y) if flat else (canvas.y, canvas.x)
    places, sizes = (trace["y"], trace["x"]) if flat else (trace["x"], trace["y"])
    colors = _each(trace.get("marker", {}).get("color", "currentColor"), len(places))
    texts = _each(trace.get("text", ""), len(places)) if trace.get("textposition") == "outside" else [""] * len(places)
    widths = _each(trace.get("width"), len(places))
    bases = trace.get("base")
    drawn = ""
    for number, (place, size) in enumerate(zip(places, sizes, strict=True)):
        base = bases[number] if bases else 0.0
        if not bases and canvas.layout.get("barmode") == "stack":
            base = canvas.stacked[place]
            canvas.stacked[place] += size
        thick = _thickness(across, places, widths[number], canvas.layout.get("bargap", 0.2))
        low, high = sorted((along(base), along(base + size)))
        middle = across(place)
        box = (low, middle - thick / 2, high - low, thick) if flat else (middle - thick / 2, low, thick, high - low)
        drawn += box_of(*box, paint(colors[number])) if size else ""
        if texts[number]:
            at = (high + 5, middle + SIZE * 0.35, "start") if flat else (middle, low - 5, "middle")
            drawn += label(at[0], at[1], texts[number], anchor=at[2])
    return drawn


def _thickness(across: Scale, places: Sequence[Any], width: float | None, gap: float) -> float:
    unit = abs(across.end - across.start) / abs(across.high - across.low)
    if width is not None:
        return width * unit
    if across.kind == "category":
        return unit * (1 - gap)
    numbers = sorted({number_of(place) for place in places})
    apart = min((b - a for a, b in pairwise(numbers)), default=1.0)
    return apart * unit * (1 - gap)


def points(trace: Mapping[str, Any], canvas: Canvas) -> str:
    """A line, what is below it, its points and texts: whatever of these the trace has."""
    mode, ys = trace.get("mode", "lines"), list(trace["y"])
    if trace.get("stackgroup"):
        under = [canvas.stacked[x] for x in trace["x"]]
        ys = [y + low for y, low in zip(ys, under, strict=True)]
        canvas.stacked.update(zip(trace["x"], ys, strict=True))
    at = [(canvas.x(x), canvas.y(y)) for x, y in zip(trace["x"], ys, strict=True)]
    line, drawn = trace.get("line", {}), ""
    path = _stairs(at) if line.get("shape") == "hv" else at
    filled = trace.get("fill") or ("tonexty" if trace.get("stackgroup") else "")
    if filled and path:
        color = line.get("color", "currentColor")
        inside = paint(trace["fillcolor"]) if "fillcolor" in trace else f'{paint(color)} fill-opacity="0.2"'
        ground = [(path[0][0], canvas.y(0)), (path[-1][0], canvas.y(0))]
        floor = canvas.before if filled == "tonexty" and canvas.before else ground
        drawn += f'<polygon points="{_pairs(path + floor[::-1])}" {inside}/>'
    canvas.before = path
    if "lines" in mode and len(path) > 1:
        dash = ' stroke-dasharray="2 3"' if line.get("dash") == "dot" else ""
        color = paint(line.get("color", "currentColor"), "stroke")
        drawn += f'<polyline points="{_pairs(path)}" fill="none" {color} stroke-width="{line.get("width", 2)}"{dash}/>'
    if "markers" in mode:
        marker = trace.get("marker", {})
        color = paint(marker.get("color") or line.get("color", "currentColor"))
        drawn += "".join(_point(x, y, marker.get("size", 6) / 2, color, marker.get("symbol")) for x, y in at)
    if "text" in mode:
        middle = {"middle right": (2, SIZE * 0.35, "start"), "top center": (0, -7, "middle")}
        right, down, anchor = middle[trace.get("textposition", "middle right")]
        for (x, y), text in zip(at, _each(trace["text"], len(at)), strict=True):
            drawn += label(x + right, y + down, text, anchor=anchor) if text else ""
    return drawn


def _point(x: float, y: float, half: float, color: str, symbol: str | None) -> str:
    if symbol == "x":
        size, stroke = 2 * half, color.replace("fill", "stroke")
        cross = f"M{x - half:.1f} {y - half:.1f}l{size:g} {size:g}m0 {-size:g}l{-size:g} {size:g}"
        return f'<path d="{cross}" {stroke} stroke-width="2.5"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{half:g}" {color}/>'


def _stairs(at: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    path = list(at[:1])
    for (_, before), (x, y) in pairwise(at):
        path += [(x, before), (x, y)]
    return path


def cells(trace: Mapping[str, Any], canvas: Canvas) -> str:
    """A field of cells, the deeper coloured the more; a cell without a value stays free."""
    values = [value for row in trace["z"] for value in row if value is not None]
    low, high = trace.get("zmin", min(values, default=0)), trace.get("zmax", max(values, default=1))
    drawn = ""
    said = trace.get("text") or [[""] * len(trace["x"])] * len(trace["y"])
    for y, row, texts in zip(trace["y"], trace["z"], said, strict=True):
        for x, value, text in zip(trace["x"], row, texts, strict=True):
            if value is None:
                continue
            share = (value - low) / (high - low) if high > low else 0.0
            red, green, blue = _between(trace.get("colorscale", BLUES), share)
            width, height = (abs(scale.end - scale.start) / len(scale.names) for scale in (canvas.x, canvas.y))
            left, top = canvas.x(x) - width / 2, canvas.y(y) - height / 2
            drawn += box_of(left + 1, top + 1, width - 2, height - 2, f'fill="#{red:02x}{green:02x}{blue:02x}"')
            light = 0.299 * red + 0.587 * green + 0.114 * blue > 140
            ink = trace.get("textfont", {}).get("color") or ("#1c2126" if light else "#ffffff")
            drawn += label(canvas.x(x), canvas.y(y) + SIZE * 0.35, text, anchor="middle", color=ink)
    return drawn


def _between(scale: Sequence[Sequence[Any]], share: float) -> tuple[int, int, int]:
    """The colour of a share on a scale of pairs of share and colour."""
    for (start, one), (end, other) in pairwise(scale):
        if share <= end:
            part = (share - start) / (end - start)
            red, green, blue = (round(a + (b - a) * part) for a, b in zip(_rgb(one), _rgb(other), strict=True))
            return red, green, blue
    return _rgb(scale[-1][1])


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _each(value: Any, count: int) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value] * count


def _pairs(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
