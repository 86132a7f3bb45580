"""Search results, as a frame that a notebook shows with the words marked."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.model import schema
from catalogkit.snippets import END, START, snippet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from catalogkit.words import Term

# What stands around a word that was found, in the frame: as in Markdown.
MARK: Final = "**"
_MARKED: Final = re.compile(r"\*\*(.+?)\*\*")
_SHOWN: Final = 200


class SearchResults(pl.DataFrame):
    """Documents, the best first: a Polars frame with the schema ``catalogkit.model.schema("found")``.

    ``score`` tells which of them are better, and nothing beyond this answer. ``snippet`` is the part of the text with
    most of the words, each between ``**``; or the beginning where the words are elsewhere.
    """

    def _repr_html_(self, *, _from_series: bool = False) -> str:
        rows = "".join(_row(row) for row in self.head(_SHOWN).iter_rows(named=True))
        more = f"<p>and {self.height - _SHOWN:,} more</p>" if self.height > _SHOWN else ""
        many = "1 document" if self.height == 1 else f"{self.height:,} documents"
        head = "<tr><th>id</th><th style='text-align:left'>document</th><th>pages</th><th>resolver</th></tr>"
        return f"<p>{many}</p><table>{head}{rows}</table>{more}"


def results(found: Sequence[Any], texts: Mapping[int, str], terms: Sequence[Term]) -> SearchResults:
    """What a catalog found, with snippets out of the texts."""
    columns = schema("found")
    rows = [
        {name: getattr(one, name) for name in columns if name != "snippet"}
        | {"authors": list(one.authors), "snippet": _marked(snippet(texts.get(one.id) or one.preview, terms))}
        for one in found
    ]
    return SearchResults(rows, schema=columns, orient="row")


def in_terminal(text: str, *, colour: bool) -> str:
    """A snippet for a terminal: the words in bold, or as they are in the frame."""
    return _MARKED.sub("\x1b[1m\\1\x1b[0m", text) if colour else text


def _marked(text: str) -> str:
    return text.replace(MARK, "* *").replace(START, MARK).replace(END, MARK)


def _row(row: Mapping[str, Any]) -> str:
    title = html.escape(row["title"] or row["artifact_id"])
    authors = f" <small>{html.escape(', '.join(row['authors']))}</small>" if row["authors"] else ""
    text = _MARKED.sub(r"<mark>\1</mark>", html.escape(row["snippet"]))
    where = f"<br><small>{html.escape(row['source_url'])}</small>"
    cells = f"<b>{title}</b>{authors}<br>{text}{where}"
    pages = "" if row["page_count"] is None else row["page_count"]
    return (
        f"<tr><td>{row['id']}</td><td style='text-align:left'>{cells}</td><td>{pages}</td>"
        f"<td>{html.escape(row['resolver'])}</td></tr>"
    )
