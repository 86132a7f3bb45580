"""Fast look-ups of numbers among others, in place of joins of millions of rows.

Numbers given one after the other, such as those of documents and contents, are looked up in a list as long as the
largest of them; what is no number, or leaves much room in between, is joined and grouped as usual.
"""

from __future__ import annotations

from typing import Final

import polars as pl

# Numbers that leave more room between them than this, on average, would take more memory than a join.
_WIDE: Final = 8


def places(wanted: pl.Series, among: pl.Series) -> pl.Series:
    """The place of each value in `among`, the last if there are several; null where it does not stand.

    Examples
    --------
    >>> places(pl.Series([7, 3, 9]), pl.Series([3, 7])).to_list()
    [1, 0, None]
    """
    last = _last(among, wanted.len())
    if last is None or not wanted.dtype.is_integer():
        stand, asked = among.alias("value").to_frame().with_row_index("place"), wanted.alias("value").to_frame()
        found = asked.join(stand, on="value", how="left", maintain_order="left")["place"]
        if found.len() == wanted.len():
            return found
        return places(wanted, among.set(~among.is_last_distinct(), None))
    # One more at the end, for what is not among them.
    where = pl.repeat(None, last + 2, dtype=pl.UInt32, eager=True)
    where = where.scatter(among.drop_nulls(), _numbers(among.len()).filter(among.is_not_null()))
    within = wanted.is_between(0, last).fill_null(False)
    return where.gather(wanted if within.all() else wanted.set(~within, last + 1)).rename("place")


def repeated(values: pl.Series) -> pl.Series:
    """Whether each value stands there more than once.

    Examples
    --------
    >>> repeated(pl.Series([7, 3, 7])).to_list()
    [True, False, True]
    """
    last = _last(values, 0)
    if last is None or values.null_count():
        return values.is_duplicated()
    rows = _numbers(values.len())
    where = pl.repeat(0, last + 1, dtype=pl.UInt32, eager=True).scatter(values, rows)
    again = values.filter(where.gather(values) != rows)
    return pl.repeat(False, last + 1, dtype=pl.Boolean, eager=True).scatter(again, True).gather(values)


def _last(numbers: pl.Series, more: int) -> int | None:
    """The largest of numbers that are close enough together; None where they are not, or no numbers."""
    if not numbers.dtype.is_integer():
        return None
    first, last = numbers.min(), numbers.max()
    close = isinstance(first, int) and isinstance(last, int) and 0 <= first <= last < _WIDE * (numbers.len() + more)
    return last if close and isinstance(last, int) else None


def _numbers(count: int) -> pl.Series:
    return pl.int_range(count, dtype=pl.UInt32, eager=True)
