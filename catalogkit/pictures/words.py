"""Text in still pictures: Plotly's few tags as SVG, and about how wide they are."""

from __future__ import annotations

import re
from html import escape, unescape
from typing import Final

__all__ = ["LINE", "SIZE", "box_of", "label", "lines_of", "paint", "width_of"]

SIZE: Final = 12
LINE: Final = 1.3  # of the size, from one line to the next
_TAG: Final = re.compile(r"<(/?b|br)>")
_COLOR: Final = re.compile(r"rgba\((\d+),(\d+),(\d+),([\d.]+)\)")
# Shares of the font's size, about those of DejaVu Sans, the widest font that a page is likely to be read in.
_CAPITAL, _USUAL = 0.72, 0.62
_SHARES: Final = dict.fromkeys("iljtfrI.,:;|'!()[] ", 0.36) | dict.fromkeys("mwMW@%—", 0.97)


def lines_of(text: str) -> list[list[tuple[str, bool]]]:
    """Parts of each line, and whether they are bold; ``<b>`` and ``<br>`` are all that charts use of Plotly's tags."""
    lines: list[list[tuple[str, bool]]] = [[]]
    bold = False
    for place, part in enumerate(_TAG.split(text)):
        if place % 2 == 0:
            lines[-1] += [(unescape(part), bold)] if part else []
        elif part == "br":
            lines.append([])
        else:
            bold = part == "b"
    return lines


def width_of(text: str, size: float = SIZE) -> float:
    """About how many pixels the longest line of a text takes."""
    return max(sum(_em(part) * (1.08 if bold else 1) for part, bold in line) for line in lines_of(text)) * size


def _em(text: str) -> float:
    return sum(_SHARES.get(char, _CAPITAL if char.isupper() else _USUAL) for char in text)


def label(
    x: float, y: float, text: str, *, anchor: str = "start", size: float = SIZE, color: str = "currentColor",
    turned: bool = False, soft: bool = False,
) -> str:  # fmt: skip
    """Text whose first line's baseline is at `y`."""
    spans = ""
    for number, line in enumerate(lines_of(text)):
        inner = "".join(f'<tspan font-weight="600">{escape(t)}</tspan>' if bold else escape(t) for t, bold in line)
        down = f' dy="{size * LINE:g}"' if number else ""
        spans += f'<tspan x="{x:.1f}"{down}>{inner}</tspan>' if number else inner
    more = f' text-anchor="{anchor}"' if anchor != "start" else ""
    more += f' font-size="{size:g}"' if size != SIZE else ""
    more += f" {paint(color)}" if color != "currentColor" else ""
    more += f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    more += ' class="ck-soft"' if soft else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{spans}</text>'


def box_of(left: float, top: float, width: float, height: float, how: str) -> str:
    """A rectangle, painted as `how` says."""
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" {how}/>'


def paint(color: str, what: str = "fill") -> str:
    """A colour as attributes: SVG before version 2 knows no transparency inside a colour."""
    if found := _COLOR.fullmatch(color.replace(" ", "")):
        red, green, blue, share = found.groups()
        return f'{what}="#{int(red):02x}{int(green):02x}{int(blue):02x}" {what}-opacity="{share}"'
    return f'{what}="{escape(color)}"'
