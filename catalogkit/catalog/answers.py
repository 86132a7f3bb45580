"""What a query on the mirror returns: rows as a frame, and as of when they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

_DAY_US: Final = 86_400_000_000
# Of the calendar that frames and Python have, counted from 1970-01-01.
_FIRST_DAY: Final = (date.min - date(1970, 1, 1)).days
_LAST_DAY: Final = (date.max - date(1970, 1, 1)).days


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows, and as of when they are; `stale` where the catalog could not be looked at first."""

    frame: pl.DataFrame
    as_of: datetime
    stale: bool


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Times in UTC, and whole numbers as such: DuckDB sums integers to 128 bits, which arrive as decimals.

    Raises
    ------
    InvalidInput
        If there is a value that a frame cannot hand out: it would end the program, not raise an error.
    """
    import polars as pl

    for name in frame.columns:
        _holdable(name, frame[name])
    whole = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal) and kind.scale == 0]
    limit = 2**63 - 1
    fits = [name for name in whole if frame.select(pl.col(name).abs().max() <= limit).item() is not False]
    naive = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone is None]
    return frame.with_columns(
        *(pl.col(name).cast(pl.Int64) for name in fits),
        *(pl.col(name).cast(pl.Datetime("us")).dt.replace_time_zone("UTC") for name in naive),
    )


def _holdable(name: str, values: pl.Series) -> None:
    """Refuse numbers of more than 38 digits, and times outside the years 1 to 9999, such as infinite ones."""
    import polars as pl

    if values.drop_nulls().is_empty():
        return
    if isinstance(values.dtype, pl.List | pl.Array):
        _holdable(name, values.explode())
    elif isinstance(values.dtype, pl.Struct):
        for field in values.struct.fields:
            _holdable(name, values.struct.field(field))
    elif isinstance(values.dtype, pl.Decimal):
        if values.cast(pl.Float64).abs().max() >= 10.0 ** (38 - values.dtype.scale):  # type: ignore[operator]
            raise InvalidInput(f"{name} has a number of more than 38 digits, which no frame holds; cast it to DOUBLE")
    elif isinstance(values.dtype, pl.Date | pl.Datetime):
        days = (values.cast(pl.Datetime("us")) if values.dtype == pl.Datetime else values).to_physical().cast(pl.Int64)
        days = days // (_DAY_US if values.dtype == pl.Datetime else 1)
        if not days.is_between(_FIRST_DAY, _LAST_DAY).all():
            raise InvalidInput(f"{name} has a time outside the years 1 to 9999, such as infinity; leave it out")
