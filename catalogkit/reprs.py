"""How results look in a notebook and in a terminal: a title and a few facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Final

# Beyond this a long name takes its value along, and leaves those of the others where they are.
NAME_WIDTH: Final = 40


def facts(title: str, values: Mapping[str, object]) -> dict[str, str]:
    """A MIME bundle (text and HTML) of a title and named values.

    Parameters
    ----------
    title
        What this is.
    values
        Shown in their order; numbers with thousands separators, times to the second. Names of attributes become
        words; any other name, such as a path, stays as it is. What cannot be printed is replaced, so that no text
        moves a cursor.
    """
    shown = {printable(_words(name)): printable(_text(value)) for name, value in values.items()}
    width = min(max(map(len, shown), default=0), NAME_WIDTH)
    plain = "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in shown.items())])
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:normal;opacity:.7">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in shown.items()
    )
    return {"text/plain": plain, "text/html": f"<table><caption><b>{escape(title)}</b></caption>{rows}</table>"}


def brief(title: str, values: Mapping[str, object]) -> dict[str, str]:
    """As `facts`, without empty text and without what is a list or a table of its own."""
    return facts(title, {k: v for k, v in values.items() if v != "" and not isinstance(v, dict | list | tuple)})


def _words(name: str) -> str:
    return name.replace("_", " ") if name.isidentifier() else name


def printable(text: str) -> str:
    """`text` with what cannot be printed replaced, so that it moves no cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return f"{value:,.3f}" if isinstance(value, float) else str(value)
