"""Finds pairs of texts worth comparing from their sketches: locality-sensitive hashing.

A sketch is cut into 32 bands of 4 numbers; texts that agree in one band are a pair. Two texts of Jaccard similarity s
become one with probability 1 - (1 - s^4)^32 (Indyk and Motwani 1998): 0.99 at the least similarity that counts, 0.6,
and 0.003 at 0.1. What the whole sketches say then drops nearly all pairs that met by chance.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from catalogkit.near.shingles import JACCARD
from catalogkit.near.sketches import NUMBERS

ROWS: Final = 4
BANDS: Final = NUMBERS // ROWS
# Three standard errors below what counts: an estimate never rules out what a comparison would find.
ESTIMATE: Final = JACCARD - 0.13
# In a larger bucket every text is paired with the first only: those that agree with it, not with each other, are found.
ALL_PAIRS: Final = 30
_CHUNK: Final = 200_000

SKETCHES: Final = pl.Schema(
    {"sha256": pl.String(), "shingles": pl.Int64(), "sketch": pl.Binary(), "why_not": pl.String()}
)
PAIRS: Final = pl.Schema({"a": pl.Int64(), "b": pl.Int64(), "estimate": pl.Float64()})


def pairs(sketches: pl.DataFrame) -> pl.DataFrame:
    """Which rows of `sketches` to compare: pairs of their numbers, `a` before `b`, with an estimate of the similarity.

    Parameters
    ----------
    sketches
        A frame with the columns of `SKETCHES`; rows without a sketch are in no pair.

    Returns
    -------
    DataFrame
        With the columns of `PAIRS`, by `a` and `b`.
    """
    rows = sketches.select(row=pl.int_range(pl.len(), dtype=pl.UInt32), sketch="sketch").filter(
        pl.col("sketch").bin.size() == NUMBERS * 4
    )
    # Equal sketches are paired with one of them, once; only that one goes on.
    firsts = rows.select("row", "sketch", first=pl.col("row").min().over("sketch"))
    found = [firsts.filter(pl.col("row") > pl.col("first")).select(a="first", b="row")]
    alone = firsts.filter(pl.col("row") == pl.col("first")).select("row", "sketch")
    found += [_meet(alone, band) for band in range(BANDS)]
    unique = pl.concat(found).unique()
    numbers = _numbers(rows)
    parts = [_estimated(part, numbers) for part in unique.iter_slices(_CHUNK)]
    return pl.concat([PAIRS.to_frame(), *parts]).sort("a", "b")


def _meet(rows: pl.DataFrame, band: int) -> pl.DataFrame:
    """Pairs of rows that agree in one band."""
    size = 4 * ROWS
    keyed = rows.select("row", key=pl.col("sketch").bin.slice(band * size, size))
    several = keyed.filter(pl.len().over("key") > 1)
    small = several.filter(pl.len().over("key") <= ALL_PAIRS)
    large = several.filter(pl.len().over("key") > ALL_PAIRS)
    each = small.join(small, on="key", suffix="_b").filter(pl.col("row") < pl.col("row_b"))
    star = large.select(a=pl.col("row").min().over("key"), b="row").filter(pl.col("a") < pl.col("b"))
    return pl.concat([each.select(a="row", b="row_b"), star])


def _numbers(rows: pl.DataFrame) -> pl.DataFrame:
    """The numbers of every sketch, a column for each, by row."""
    number = pl.col("sketch").bin
    return rows.select(
        "row", *(number.slice(4 * n, 4).bin.reinterpret(dtype=pl.UInt32).alias(f"{n}") for n in range(NUMBERS))
    )


def _estimated(some: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """Those pairs whose sketches say that they may be alike enough."""
    places = numbers.select("row", at=pl.int_range(pl.len(), dtype=pl.UInt32))
    at_a = some.join(places, left_on="a", right_on="row", maintain_order="left")["at"]
    at_b = some.join(places, left_on="b", right_on="row", maintain_order="left")["at"]
    agree = pl.zeros(some.height, dtype=pl.UInt8, eager=True)
    for n in range(NUMBERS):
        column = numbers[f"{n}"]
        agree += (column.gather(at_a) == column.gather(at_b)).cast(pl.UInt8)
    return (
        some.with_columns(estimate=agree.cast(pl.Float64) / NUMBERS).filter(pl.col("estimate") >= ESTIMATE).cast(PAIRS)
    )
