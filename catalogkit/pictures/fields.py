"""Draws a treemap as SVG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from catalogkit.pictures.words import SIZE, box_of, label, paint, width_of

__all__ = ["fields", "squarified"]

Box = tuple[float, float, float, float]  # left, top, width, height

_HEAD: Final = 20  # pixels above the parts of a field, for its name
_INK: Final = "#101418"
TILE: Final = "#c3c8ce"


def squarified(sizes: Sequence[float], box: Box) -> list[Box]:
    """Part a box by sizes, largest first (Bruls, Huizing, van Wijk: Squarified Treemaps, 2000).

    Rows are laid along the shorter side; one more is taken into a row as long as its worst proportion improves.
    """
    found: list[Box] = []
    left, top, width, height = box
    rest, at = float(sum(sizes)), 0
    while at < len(sizes) and rest > 0:
        short, area = min(width, height), width * height
        count, row = 1, sizes[at]
        worst = _worst(sizes[at : at + 1], row / rest * area, short)
        while at + count < len(sizes):
            more = row + sizes[at + count]
            next_ = _worst(sizes[at : at + count + 1], more / rest * area, short)
            if next_ > worst:
                break
            count, row, worst = count + 1, more, next_
        deep, begin = row / rest * (width if width >= height else height), 0.0
        for size in sizes[at : at + count]:
            long = short * size / row if row else 0.0
            found.append((left, top + begin, deep, long) if width >= height else (left + begin, top, long, deep))
            begin += long
        if width >= height:
            left, width = left + deep, width - deep
        else:
            top, height = top + deep, height - deep
        rest, at = rest - row, at + count
    return found + [(left, top, 0.0, 0.0)] * (len(sizes) - len(found))


def _worst(sizes: Sequence[float], area: float, side: float) -> float:
    whole = sum(sizes)
    if not whole or not area:
        return float("inf")
    deep = area / side
    return max((max(long / deep, deep / long) for size in sizes if (long := side * size / whole)), default=float("inf"))


def fields(trace: Mapping[str, Any], width: float, height: float) -> str:
    """Draw a treemap of two levels."""
    inside: dict[str, list[int]] = defaultdict(list)
    for number, parent in enumerate(trace["parents"]):
        inside[parent].append(number)
    values, ids = trace["values"], trace.get("ids", trace["labels"])
    for numbers in inside.values():
        numbers.sort(key=lambda number: -values[number])
    drawn = ""
    outer = inside[""]
    for number, (left, top, wide, high) in zip(
        outer, squarified([values[n] for n in outer], (0, 0, width, height)), strict=True
    ):
        drawn += _tile(trace, number, (left, top, wide, high), head=True)
        parts = inside[ids[number]]
        room = (left + 3, top + _HEAD, max(wide - 6, 0), max(high - _HEAD - 3, 0))
        for part, box in zip(parts, squarified([values[n] for n in parts], room), strict=True):
            drawn += _tile(trace, part, box)
    return drawn


def _tile(trace: Mapping[str, Any], number: int, box: Box, *, head: bool = False) -> str:
    left, top, width, height = box
    if width < 1 or height < 1:
        return ""
    colors = trace.get("marker", {}).get("colors")
    edge = 'rx="2" stroke="#fff" stroke-opacity=".75" stroke-width="1.5"'
    drawn = box_of(left, top, width, height, f"{paint(colors[number] if colors else TILE)} {edge}")
    name, more = trace["labels"][number], trace["text"][number] if "text" in trace else ""
    size = SIZE - 1
    lines = [f"<b>{name}</b>"] if head else [f"<b>{name}</b>", more]
    for place, text in enumerate(lines):
        if width_of(text, size) <= width - 8 and (place + 1) * 14 + 3 <= height:
            drawn += label(left + 5, top + 14 * (place + 1), text, size=size, color=_INK)
        else:
            break  # a size without its name says nothing
    return drawn
