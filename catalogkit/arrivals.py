"""When documents arrived, how large and how old they are: pure functions on the ``documents`` frame.

A document arrives when it was fetched, or entered the catalog where that time is not known.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import to_us
from catalogkit.stats import identified

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["AGES", "SIZES", "crossed", "grown", "growth", "size_age", "unit_of"]

_B = pl.col("bytes")
_COUNT = pl.len().cast(pl.Int64)  # the same type as every other number here
_ARRIVED = pl.coalesce("fetched_at", "created_at")
_EVERY: Final = re.compile(r"[1-9][0-9]{0,3}(h|d|w|mo|q|y)", re.ASCII)
# A class begins at so many bytes, or after so many days.
SIZES: Final = {
    "<10 kB": 0,
    "10-100 kB": 10**4,
    "100 kB-1 MB": 10**5,
    "1-10 MB": 10**6,
    "10-100 MB": 10**7,
    ">=100 MB": 10**8,
}
AGES: Final = {"<=7 d": 0, "<=30 d": 7, "<=90 d": 30, "<=180 d": 90, "<=1 y": 180, "older": 365}


def growth(documents: pl.DataFrame, every: str = "1mo") -> pl.DataFrame:
    """Count what the live documents brought in, period by period.

    Parameters
    ----------
    documents
        The live documents.
    every
        The length of a period: a number and ``h``, ``d``, ``w``, ``mo``, ``q`` or ``y``. Periods begin in UTC.

    Returns
    -------
    DataFrame
        One row per period from the first arrival to the last, with or without any: ``period`` (its beginning),
        ``documents``, ``logical_bytes``, ``new_unique_bytes`` (of blobs that no earlier period has) and the running
        sums ``total_documents``, ``total_logical_bytes``, ``total_unique_bytes``.
    """
    unit_of(every)
    arrivals = identified(documents).select("sha256", "bytes", came_at=_ARRIVED.dt.truncate(every))
    firsts = arrivals.group_by("sha256").agg(pl.col("came_at").min(), _B.max())
    came = arrivals.group_by("came_at").agg(_COUNT.alias("documents"), _B.sum().alias("logical_bytes"))
    new = firsts.group_by("came_at").agg(_B.sum().alias("new_unique_bytes"))
    return grown(came.join(new, on="came_at", how="left").collect(), every)


def grown(arrived: pl.DataFrame, every: str) -> pl.DataFrame:
    """`growth` of what was counted by shorter periods.

    The columns are ``came_at``, ``documents``, ``logical_bytes``, ``new_unique_bytes``. Those periods must be parts of
    the ones asked for: hours for hours, days for everything longer.
    """
    unit_of(every)
    numbers = pl.col("documents", "logical_bytes", "new_unique_bytes")
    counted = arrived.group_by(pl.col("came_at").dt.truncate(every).alias("period")).agg(numbers.fill_null(0).sum())
    first, last = counted.select(first=pl.col("period").min(), last=pl.col("period").max()).row(0)
    periods = pl.Series([], dtype=pl.Datetime("us", "UTC"))
    if first is not None:
        periods = pl.datetime_range(first, last, every, time_unit="us", eager=True)
    return (
        pl.DataFrame({"period": periods})
        .join(counted, on="period", how="left", maintain_order="left")
        .with_columns(numbers.fill_null(0))
        .with_columns(
            total_documents=pl.col("documents").cum_sum(),
            total_logical_bytes=pl.col("logical_bytes").cum_sum(),
            total_unique_bytes=pl.col("new_unique_bytes").cum_sum(),
        )
    )


def unit_of(every: str) -> str:
    """The unit of the length of a period: ``h``, ``d``, ``w``, ``mo``, ``q`` or ``y``.

    Raises
    ------
    InvalidInput
        If `every` is no such length.
    """
    found = _EVERY.fullmatch(every)
    if not found:
        raise InvalidInput(f"not a period: {every!r}; give a number and h, d, w, mo, q or y, such as '1mo'")
    return found[1]


def size_age(documents: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Cross the sizes of documents with their ages.

    Age counts from the arrival to `as_of`; what arrived later than `as_of` is in the youngest class.

    Returns
    -------
    DataFrame
        One row per combination, smallest and youngest first, also the empty ones: ``size_class`` and ``age_class``
        (Enum, in that order; 1 kB is 1000 bytes, 1 y 365 days), ``documents``, ``logical_bytes``.
    """
    to_us(as_of)  # refuses a time without a zone
    size = pl.sum_horizontal(_B.ge(start) for start in SIZES.values() if start)
    age = pl.sum_horizontal(pl.lit(as_of) - _ARRIVED > timedelta(days=start) for start in AGES.values() if start)
    counted = (
        documents.lazy().group_by(size=size, age=age).agg(_COUNT.alias("documents"), _B.sum().alias("logical_bytes"))
    )
    return crossed(counted.collect())


def crossed(counted: pl.DataFrame) -> pl.DataFrame:
    """`size_age` of what was counted by the places of the classes: ``size``, ``age``, and the two sums."""
    places = counted.with_columns(pl.col("size", "age").cast(pl.UInt32))
    return (
        _classes("size", SIZES)
        .join(_classes("age", AGES), how="cross")
        .join(places, on=["size", "age"], how="left")
        .sort("size", "age")
        .select("size_class", "age_class", pl.col("documents", "logical_bytes").fill_null(0))
    )


def _classes(name: str, starts: Mapping[str, int]) -> pl.DataFrame:
    """The classes in their order: `name` (a number from 0) and ``<name>_class`` (its label)."""
    labels = pl.Series(f"{name}_class", list(starts), dtype=pl.Enum(list(starts)))
    return pl.DataFrame(labels).with_row_index(name)
