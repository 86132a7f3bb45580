"""What results look like in a notebook and in a terminal: a title and a few facts."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def facts(title: str, values: Mapping[str, object]) -> dict[str, str]:
    """A MIME bundle (text and HTML) of a title and named values.

    Parameters
    ----------
    title
        What this is.
    values
        Shown in their order; numbers with thousands separators.
    """
    shown = {name.replace("_", " "): _text(value) for name, value in values.items()}
    width = max(map(len, shown), default=0)
    plain = "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in shown.items())])
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:normal;opacity:.7">{escape(name)}</th>'
        f'<td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in shown.items()
    )
    return {"text/plain": plain, "text/html": f"<table><caption><b>{escape(title)}</b></caption>{rows}</table>"}


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.3f}" if isinstance(value, float) else str(value)
