"""Fixity figures: what share of the stored bytes was verified how recently, how fast, and what is oldest.

Pure functions on the ``locations`` frame. Physical objects and the newest check of each are those of
`catalogkit.coverage`, so the figures here and there agree.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.coverage import checked_objects
from catalogkit.errors import InvalidInput
from catalogkit.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = ["CLASSES", "DAYS", "classes_by", "classes_of", "clock", "clock_of", "longest_unproved", "pace", "round_days"]

_AGES: Final = {"ok, up to 7 d": 7, "ok, up to 30 d": 30, "ok, up to 90 d": 90}
CLASSES: Final = (*_AGES, "ok, longer ago", "unknown", "corrupt", "never checked")
DAYS: Final = pl.Schema(
    {"day": pl.Date(), "outcome": pl.String(), "checks": pl.Int64(), "bytes": pl.Int64()},
)
_DAY_US: Final = 86_400_000_000


def clock(locations: pl.DataFrame, as_of: datetime, points: int = 200) -> pl.DataFrame:
    """The coverage clock: for every number of days, the share of stored bytes proved ``ok`` within so many days.

    Returns
    -------
    DataFrame
        ``days`` (Float64, ascending, from 0), ``verified_bytes``, ``share_of_bytes``; at most about `points` rows, the
        last of which is the share that was ever proved. Empty where nothing is stored.
    """
    return clock_of(checked_objects(locations, as_of), as_of, points)


def clock_of(objects: pl.DataFrame, as_of: datetime, points: int = 200) -> pl.DataFrame:
    """`clock` of physical objects with their newest checks: ``bytes``, ``checked_at``, ``check`` of each."""
    if points < 2:
        raise InvalidInput("a curve has at least 2 points")
    total = int(objects["bytes"].sum())
    schema = {"days": pl.Float64, "verified_bytes": pl.Int64, "share_of_bytes": pl.Float64}
    if not total:
        return pl.DataFrame(schema=schema)
    ages = (
        objects.filter(pl.col("check") == Outcome.OK.value)
        .select(days=(pl.lit(as_of) - pl.col("checked_at")).dt.total_microseconds() / _DAY_US, bytes="bytes")
        .group_by("days")
        .agg(pl.col("bytes").sum())
        .sort("days")
        .with_columns(verified_bytes=pl.col("bytes").cum_sum())
    )
    kept = ages.gather_every(max(1, -(-ages.height // points)))
    if ages.height:
        kept = pl.concat([kept, ages.tail(1)]).unique("days", keep="last", maintain_order=True)
    start = pl.DataFrame({"days": [0.0], "verified_bytes": [0]}, schema_overrides={"verified_bytes": pl.Int64})
    rows = pl.concat([start, kept.select("days", "verified_bytes")])
    return rows.with_columns(share_of_bytes=pl.col("verified_bytes") / total).cast(schema)  # type: ignore[arg-type]


def classes_by(locations: pl.DataFrame, column: str, as_of: datetime) -> pl.DataFrame:
    """Stored bytes by a column of `locations`, such as ``store`` or ``layout``, and by the class of the newest check.

    Returns
    -------
    DataFrame
        The column, then a column of bytes for each of `CLASSES`; largest first. The cells add up to all stored bytes.
    """
    wanted = pl.col(column).first() if column not in ("store", "sha256") else None
    return classes_of(checked_objects(locations, as_of, wanted), column, as_of)


def classes_of(objects: pl.DataFrame, column: str, as_of: datetime) -> pl.DataFrame:
    """`classes_by` of physical objects with their newest checks, which have that column."""
    age, ok = pl.lit(as_of) - pl.col("checked_at"), pl.col("check") == Outcome.OK.value
    named = (
        pl.when(pl.col("check").is_null()).then(pl.lit("never checked")).when(~ok).then(pl.col("check").cast(pl.String))
    )
    for label, days in _AGES.items():
        named = named.when(age <= timedelta(days=days)).then(pl.lit(label))
    classed = objects.with_columns(named=named.otherwise(pl.lit("ok, longer ago")))
    sums = [pl.col("bytes").filter(pl.col("named") == label).sum().alias(label) for label in CLASSES]
    return classed.group_by(column).agg(*sums).sort(pl.sum_horizontal(*CLASSES), column, descending=[True, False])


def pace(days: pl.DataFrame, as_of: datetime, window_days: int = 30) -> dict[str, float]:
    """How fast verification goes: `checks` and `bytes` a day over the last `window_days`, idle days included.

    Parameters
    ----------
    days
        The columns of `DAYS`: what the ledger has for each day and outcome.
    """
    since = (as_of - timedelta(days=window_days)).date()
    lately = days.filter(pl.col("day") > since)
    return {name: float(lately[name].sum()) / window_days for name in ("checks", "bytes")}


def round_days(physical_bytes: int, bytes_a_day: float) -> float | None:
    """Days until everything was read once, at that pace; None where nothing is being read."""
    return physical_bytes / bytes_a_day if bytes_a_day else None


def longest_unproved(locations: pl.DataFrame, as_of: datetime, top: int = 20) -> pl.DataFrame:
    """The copies whose last ``ok`` lies furthest back, those never proved first; what was found bad is not among them.

    Returns
    -------
    DataFrame
        ``store``, ``key``, ``bytes``, ``days`` since the last check (null where there is none), ``outcome``.
    """
    trusted = pl.when(pl.col("checked_at") <= as_of).then("checked_at")
    bad: Sequence[str] = (Outcome.CORRUPT.value, Outcome.MISSING.value)
    return (
        locations.filter(pl.col("outcome").is_null() | ~pl.col("outcome").is_in(bad))
        .with_columns(since=pl.when(pl.col("outcome") == Outcome.OK.value).then(trusted))
        .sort("since", pl.col("bytes"), "id", descending=[False, True, False], nulls_last=False)
        .head(top)
        .select(
            "store", "key", "bytes",
            days=(pl.lit(as_of) - pl.col("since")).dt.total_microseconds() / _DAY_US,
            outcome=pl.col("outcome").fill_null("never checked"),
        )
    )  # fmt: skip
