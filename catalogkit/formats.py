"""Numbers and names as text: sizes, shares, names that are too long."""

from __future__ import annotations

from typing import Final

__all__ = ["clip_middle", "format_bytes", "format_share", "format_size", "plotly_text"]

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")


def format_bytes(size: float) -> str:
    """Write a size with three significant digits and a decimal unit (1 kB is 1000 bytes).

    Examples
    --------
    >>> [format_bytes(n) for n in (0, 999, 1000, 15_360, 999_999, 2_500_000_000)]
    ['0 B', '999 B', '1.00 kB', '15.4 kB', '1.00 MB', '2.50 GB']
    """
    if size < 0:
        return "\N{MINUS SIGN}" + format_bytes(-size)
    if size < 1000:
        return f"{size:.0f} B"
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def format_size(size: float) -> str:
    """Write a round size, as beside an axis: without the digits that say nothing.

    Examples
    --------
    >>> [format_size(n) for n in (0, 500, 1_500_000, 20_000_000)]
    ['0 B', '500 B', '1.5 MB', '20 MB']
    """
    number, _, unit = format_bytes(size).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def format_share(share: float | None) -> str:
    """Write a share (0 to 1) in percent; never 0 % or 100 % for a share that only comes near them.

    Examples
    --------
    >>> [format_share(s) for s in (0, 0.0004, 0.256, 0.9999, 1, None)]
    ['0 %', '<0.1 %', '25.6 %', '>99.9 %', '100 %', 'n/a']
    """
    if share is None:
        return "n/a"
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    if 0 < share < 0.001:
        return "<0.1 %"
    return ">99.9 %" if 0.999 < share < 1 else f"{share * 100:.1f} %"


def clip_middle(text: str, width: int = 28) -> str:
    """Shorten a long name in its middle, where names differ least.

    Examples
    --------
    >>> clip_middle("a-very-long-name-of-a-document-v2.pdf", 20)
    'a-very-lon…nt-v2.pdf'
    """
    if len(text) <= width:
        return text
    head = width // 2
    return f"{text[:head]}…{text[len(text) - (width - head - 1) :]}"


def plotly_text(text: str) -> str:
    """Write `text` so that plotly shows it as it is: plotly takes tags for markup and ``$`` for the start of TeX."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")
