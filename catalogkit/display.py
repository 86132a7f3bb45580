"""What a notebook shows: charts, cards and notices, each as HTML, as text and, for charts, interactive.

A cell ends with one of these objects, never with ``fig.show()``: a figure shown that way disappears from stock
``nbconvert`` pages, and it costs seconds in the kernel. Each object gives every reader something: JupyterLab draws the
figure, ``nbconvert``, paper and readers without JavaScript get a still picture of it and its numbers, a log gets text.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import InvalidInput
from catalogkit.formats import clip_middle, format_bytes, format_share, format_size, plotly_text
from catalogkit.pictures import TRACES, picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl

    from catalogkit.collection import Collection

__all__ = [
    "FIGURES_MIME",
    "PLOTLY_MIME",
    "SCROLL",
    "STYLE",
    "TRACES",
    "Card",
    "Cards",
    "Chart",
    "Notes",
    "Notice",
    "Table",
    "clip_middle",
    "figures_of",
    "format_bytes",
    "format_share",
    "format_size",
    "plotly_text",
    "record",
    "table_html",
]

PLOTLY_MIME: Final = "application/vnd.plotly.v1+json"
FIGURES_MIME: Final = "application/vnd.catalogkit.figures+json"

# Neutral colours only: the same cell is read on white and on black. No definition lists and a few `!important`, because
# Jupyter's own style floats the parts of such a list and aligns every table cell to the right.
STYLE: Final = """\
<style>
.ck-cards{display:grid;gap:.75rem;margin:1rem 0}
.ck-cards{grid-template-columns:repeat(auto-fill,minmax(max(9.5rem,100%/var(--in-row,4) - .75rem),1fr))}
.ck-card{border:1px solid #8884;border-radius:8px;padding:.8rem .95rem}
.ck-label{font-size:.8rem;font-weight:600}
.ck-value{font-size:1.55rem;font-weight:650;line-height:1.35;font-variant-numeric:tabular-nums}
.ck-what{font-size:.78rem;line-height:1.4;opacity:.8}
.ck-notice{border-left:4px solid #e69f00;background:#e69f0018;padding:.6rem .9rem;border-radius:4px;margin:1rem 0}
.ck-chart h3{margin:0 0 .2rem}
.ck-chart p{margin:0 0 .5rem;max-width:72ch;opacity:.85}
.ck-picture{overflow-x:auto;max-width:100%}
.ck-picture svg{display:block;max-width:100%;min-width:32rem;height:auto}
.ck-empty{font-style:italic}
.ck-scroll{overflow-x:auto;max-width:100%}
table.ck-table{border-collapse:collapse;font-size:.82rem;font-variant-numeric:tabular-nums}
table.ck-table th,table.ck-table td{text-align:left!important;white-space:nowrap}
table.ck-table th,table.ck-table td{padding:.25rem .7rem;border-bottom:1px solid #8884}
table.ck-table .ck-number{text-align:right!important}
table.ck-whole{min-width:42rem}
table.ck-whole td{white-space:normal!important;overflow-wrap:anywhere;min-width:8ch;vertical-align:top}
table.ck-whole td.ck-number{white-space:nowrap!important;min-width:0}
</style>"""

_CONFIG: Final[dict[str, Any]] = {
    "displaylogo": False,
    "plotlyServerURL": "",
    "showSendToCloud": False,  # plotly.js 4 offers by default to upload the data of a chart
    "responsive": True,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}
SCROLL: Final = '<div class="ck-scroll" role="group" aria-label="table" tabindex="0">'
"""Begins what scrolls sideways, with the arrow keys, too."""

_TABLE_ROWS: Final = 50
_BYTES: Final = re.compile(r"(.*_)?bytes(_.*)?")
_CAPTION_WIDTH: Final = 100


# -- things a cell shows -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its title, its definition in words, and the numbers it draws.

    Parameters
    ----------
    figure
        A Plotly figure, made by `catalogkit.charts`.
    title
        What it shows.
    caption
        What is counted, and in which unit.
    table
        The numbers that are drawn: what a reader without the figure gets.
    """

    figure: Any
    title: str
    caption: str
    table: pl.DataFrame

    def __post_init__(self) -> None:
        unknown = {trace.type for trace in self.figure.data} - TRACES
        if unknown:
            raise InvalidInput(
                f"reports cannot draw {', '.join(sorted(unknown))}; choose among {', '.join(sorted(TRACES))}"
            )

    @property
    def reason(self) -> str:
        """Why there is nothing to draw; empty where there is something."""
        return str((self.figure.layout.meta or {}).get("reason", "")) or (
            "" if self.figure.data else "Nothing to draw."
        )

    def __str__(self) -> str:
        return f"{self.title}\n{self.caption}\n{self.reason or _table_text(self.table)}"

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        figure = json.loads(self.figure.to_json())
        about = {"title": self.title, "caption": self.caption}
        head = f"<h3>{escape(self.title)}</h3><p>{escape(self.caption)}</p>"
        if not figure["data"]:  # words say it better than an empty frame
            reason = f'<p class="ck-empty">{escape(self.reason)}</p>'
            page = f'{STYLE}<div class="ck-chart">{head}{reason}</div>'
            return {"text/html": page, "text/plain": str(self)}, {"catalogkit": about}
        still = picture(figure, self.title)
        page = (
            f'{STYLE}<div class="ck-chart">{head}<div class="ck-picture">{still}</div>'
            f"<details><summary>The numbers</summary>{table_html(self.table)}</details></div>"
        )
        room = _head(figure["layout"], self.title, self.caption)
        bundle = {
            PLOTLY_MIME: figure | {"config": _CONFIG},
            "image/svg+xml": still,
            "text/html": page,
            "text/plain": str(self),
        }
        return bundle, {"catalogkit": about | {"head_px": room}}


def _head(layout: dict[str, Any], title: str, caption: str) -> int:
    """Give title and caption room of their own above a figure; a page that shows them itself takes it away again."""
    lines = [plotly_text(line) for line in textwrap.wrap(caption, _CAPTION_WIDTH)]
    head = 44 + 17 * len(lines)
    margin = layout.setdefault("margin", {})
    margin["t"] = margin.get("t", 20) + head
    layout["height"] = layout.get("height", 360) + head
    layout["title"] = {
        "text": f"<b>{plotly_text(title)}</b>",
        "subtitle": {"text": "<br>".join(lines), "font": {"size": 12}},
        "font": {"size": 16},
        "x": 0,
        "xref": "container",
        "yref": "container",
        "y": 1,
        "yanchor": "top",
        "pad": {"t": 12, "l": 12},
    }
    return head


@dataclass(frozen=True, slots=True)
class Card:
    """One figure of merit: its name, its value as text, and what it counts."""

    label: str
    value: str
    definition: str


class Cards:
    """Figures of merit side by side, each with its definition.

    Parameters
    ----------
    cards
        Triples of label, value as text, definition.
    """

    def __init__(self, cards: Iterable[Card | tuple[str, str, str]]) -> None:
        self.cards = [card if isinstance(card, Card) else Card(*card) for card in cards]

    @property
    def in_row(self) -> int:
        """How many stand side by side where there is room: so many that the last row is as full as can be."""
        return 4 if len(self.cards) < 4 else min((4, 5, 3), key=lambda columns: -len(self.cards) % columns)

    def __str__(self) -> str:
        return "\n".join(f"{card.label}: {card.value}  ({card.definition})" for card in self.cards)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        cards = ""
        for card in self.cards:
            parts = {"ck-label": card.label, "ck-value": card.value, "ck-what": card.definition}
            inner = "".join(f'<div class="{css}">{escape(text)}</div>' for css, text in parts.items())
            cards += f'<div class="ck-card" role="listitem">{inner}</div>'
        page = f'{STYLE}<div class="ck-cards" role="list" style="--in-row:{self.in_row}">{cards}</div>'
        return {"text/html": page, "text/plain": str(self)}


class Notes:
    """Sentences as a list, such as recommendations; `empty` stands for an empty list."""

    def __init__(self, sentences: Iterable[str], empty: str = "Nothing to say.") -> None:
        self.sentences = list(sentences) or [empty]

    def __str__(self) -> str:
        return "\n".join(f"* {sentence}" for sentence in self.sentences)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in self.sentences)
        return {"text/html": f'<ul class="ck-notes">{items}</ul>', "text/plain": str(self)}


class Table:
    """The first rows of a frame; `empty` stands for one without rows, `whole` shows long texts in full, on lines."""

    def __init__(
        self, frame: pl.DataFrame, empty: str = "No rows.", rows: int = _TABLE_ROWS, *, whole: bool = False
    ) -> None:
        self.frame, self.empty, self.rows, self.whole = frame, empty, rows, whole

    def __str__(self) -> str:
        return self.empty if self.frame.is_empty() else _table_text(self.frame, self.rows, self.whole)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        table = table_html(self.frame, self.rows, self.whole)
        page = f"<p>{escape(self.empty)}</p>" if self.frame.is_empty() else table
        return {"text/html": f"{STYLE}{page}", "text/plain": str(self)}


class Notice:
    """A sentence that must not be overlooked."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return f"Note: {self.text}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        page = f'{STYLE}<div class="ck-notice" role="note">{escape(self.text)}</div>'
        return {"text/html": page, "text/plain": str(self)}


def origin(collection: Collection) -> Notice | None:
    """Where figures come from, where that must be said: the demo, or a replica, and as of when that one answers."""
    from catalogkit.demo import LABEL, is_demo

    if is_demo(collection):
        return Notice(LABEL)
    if at := collection.catalog.current_to():
        return Notice(f"A replica answers here, as of {at:%Y-%m-%d %H:%M:%S} UTC: what came later is not in it yet.")
    return None


def record(**figures: object) -> None:
    """Keep figures in the executed notebook, by name, for the report's JSON file; nothing is drawn.

    Raises
    ------
    InvalidInput
        If a value cannot be written as JSON.
    """
    try:
        json.dumps(figures, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"only what JSON can hold can be recorded: {error}") from None
    from IPython.display import display

    display({FIGURES_MIME: figures, "text/plain": f"recorded: {', '.join(figures)}"}, raw=True)  # type: ignore[no-untyped-call]


# -- tables ------------------------------------------------------------------------------------------------------


def table_html(frame: pl.DataFrame, rows: int = _TABLE_ROWS, whole: bool = False) -> str:
    """Write the first rows of a frame as an HTML table, and say how many are left out.

    Columns of whole numbers that are called ``bytes``, ``..._bytes`` or ``bytes_...`` are shown in kB, MB and so on.
    """
    # Sizes stand under one another also where they are words already.
    right = {
        name for name, kind in frame.schema.items() if kind.is_numeric() or _BYTES.fullmatch(name) or name == "size"
    }
    names = [(name, "ck-number" if name in right else "") for name in frame.columns]
    head = "".join(f'<th scope="col" class="{css}">{escape(_title(name))}</th>' for name, css in names)
    body = ""
    sizes = {name for name, kind in frame.schema.items() if kind.is_integer() and _BYTES.fullmatch(name)}
    for row in frame.head(rows).iter_rows(named=True):
        texts = (_size(value) if name in sizes else escape(_cell(name, value, whole)) for name, value in row.items())
        cells = (f'<td class="{css}">{text}</td>' for (_, css), text in zip(names, texts, strict=True))
        body += f"<tr>{''.join(cells)}</tr>"
    rest = f"<p>… and {frame.height - rows:,} more rows.</p>" if frame.height > rows else ""
    none = "<p>No rows.</p>" if frame.is_empty() else ""
    return (
        f'{SCROLL}<table class="ck-table{" ck-whole" * whole}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{rest}{none}"
    )


def _table_text(frame: pl.DataFrame, rows: int = 12, whole: bool = False) -> str:
    lines = [[_title(name) for name in frame.columns], *_cells(frame.head(rows), whole)]
    widths = [max(len(line[i]) for line in lines) for i in range(frame.width)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(text + ([f"… and {frame.height - rows:,} more rows"] if frame.height > rows else []))


def _title(column: str) -> str:
    return column.replace("_", " ")


def _cells(frame: pl.DataFrame, whole: bool) -> Sequence[list[str]]:
    return [[_cell(name, value, whole) for name, value in row.items()] for row in frame.iter_rows(named=True)]


def _size(value: int | None) -> str:
    """Bytes as people read them; the exact number is shown on hovering, and is what a page copies and sorts by."""
    return "" if value is None else f'<data value="{value}" title="{value:,} bytes">{format_bytes(value)}</data>'


def _cell(column: str, value: object, whole: bool) -> str:
    """Whole numbers with separators, shares in percent, times to the minute."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        if "share" in column:
            return format_share(value)
        # Small sums of money are read as such, not as powers of ten.
        return f"{value:.6f}" if 1e-6 <= abs(value) < 1e-3 else f"{value:,.3g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value) if whole else clip_middle(str(value), 60)


def figures_of(outputs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Collect what `record` left in the outputs of executed cells; of two values of one name the later counts."""
    found: dict[str, Any] = {}
    for output in outputs:
        found |= output.get("data", {}).get(FIGURES_MIME, {})
    return found
