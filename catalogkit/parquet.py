"""Reads Parquet files that may be damaged: returns a frame, or raises a clear error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

# In places a damaged file makes Polars panic. A panic is no `Exception`, and would end the program.
UNREADABLE: Final = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


def read(file: Path, data: bytes | None = None) -> pl.DataFrame:
    """A whole file, or what it holds, as a frame.

    Raises
    ------
    FileNotFoundError
        If there is none.
    InvalidInput
        If it is no Parquet file, or a damaged one.
    """
    try:
        return pl.read_parquet(file if data is None else data)
    except FileNotFoundError:
        raise
    except UNREADABLE as problem:
        raise InvalidInput(f"{file} cannot be read as Parquet: {problem}") from None
