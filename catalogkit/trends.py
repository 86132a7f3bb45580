"""How a collection changed from one snapshot to the next: documents, bytes, duplicates, verified share.

A snapshot leaves its counts behind when it is let go, so a year of nightly snapshots can be drawn though two weeks of
them are kept. Pure functions on frames and facts.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import BlobState, Outcome, to_us

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

__all__ = ["SHOWN", "proved_shares", "trend"]

SHOWN: Final = 60  # the latest snapshots that are drawn
_TIME: Final = pl.Datetime("us", "UTC")
_FACTS: Final = pl.Schema(
    {
        "label": pl.String(), "taken_at": _TIME, "documents": pl.Int64(), "logical_bytes": pl.Int64(),
        "unique_bytes": pl.Int64(), "kept": pl.Boolean(),
    }
)  # fmt: skip


def trend(
    facts: Sequence[Mapping[str, Any]], blobs: pl.DataFrame, checks: pl.DataFrame, *, promise_days: int = 30
) -> pl.DataFrame:
    """Snapshots one after the other, each with what changed since the one before.

    Parameters
    ----------
    facts
        Of each snapshot, oldest first: ``label``, ``taken_at``, ``documents``, ``logical_bytes``, ``unique_bytes``,
        ``kept``; the latest `SHOWN` count.
    blobs, checks
        The frames of these names.
    promise_days
        The window of `proved_shares`.

    Returns
    -------
    DataFrame
        The facts; ``repeated_bytes`` (logical less unique) and ``repeated_share`` of the logical ones;
        ``proved_share``; ``more_documents``, ``more_logical_bytes`` and ``more_unique_bytes`` since the one before,
        null for the first. Floats are 0 to 1, null where there is nothing to part.
    """
    frame = pl.DataFrame(list(facts)[-SHOWN:], schema=_FACTS)
    logical, unique = pl.col("logical_bytes"), pl.col("unique_bytes")
    shares = proved_shares(blobs, checks, frame["taken_at"].to_list(), promise_days)
    return frame.with_columns(
        repeated_bytes=logical - unique,
        repeated_share=pl.when(logical > 0).then((logical - unique) / logical),
        proved_share=pl.Series(shares, dtype=pl.Float64),
        more_documents=pl.col("documents").diff(),
        more_logical_bytes=logical.diff(),
        more_unique_bytes=unique.diff(),
    )


def proved_shares(
    blobs: pl.DataFrame, checks: pl.DataFrame, times: Sequence[datetime], days: int
) -> list[float | None]:
    """For each time, the share of the bytes of all contents there were that were proved within `days` before.

    A content was there from when it was first known until it was purged; each counts once, however many copies it has.
    It counts as proved at a time if the newest check of any of its copies was ``ok`` and at most `days` old then. So it
    is proved in spans that do not overlap, and the ends of all spans, in order, give every time its sum at once.

    Returns
    -------
    list of float or None
        None where there was no content.

    Raises
    ------
    InvalidInput
        If `days` is not positive, or a time has no zone.
    """
    if days < 1:
        raise InvalidInput(f"a window has 1 day or more, not {days}")
    asked = pl.DataFrame({"at": sorted({to_us(when) for when in times})}, schema={"at": pl.Int64})
    gone = pl.when(pl.col("state") == BlobState.PURGED.value).then(pl.col("changed_at").dt.timestamp("us"))
    there = blobs.select("sha256", "bytes", start=pl.col("created_at").dt.timestamp("us"), end=gone)
    start, window = pl.col("checked_at").dt.timestamp("us"), timedelta(days=days) // timedelta(microseconds=1)
    spans = (
        checks.lazy()
        .sort("checked_at", "id")
        .select("sha256", "outcome", start=start, next=start.shift(-1).over("sha256"))
        .filter(pl.col("outcome") == Outcome.OK.value)
        .join(there.lazy().select("sha256", "bytes", gone="end"), on="sha256", how="inner")
        .select("bytes", "start", end=pl.min_horizontal(pl.col("start") + window + 1, "next", "gone"))
        .collect()
    )
    whole, proved = _sums(there, asked), _sums(spans, asked)
    found = {at: part / size if size else None for at, size, part in zip(asked["at"], whole, proved, strict=True)}
    return [found[to_us(when)] for when in times]


def _sums(spans: pl.DataFrame, asked: pl.DataFrame) -> list[int]:
    """Bytes of the spans (from ``start`` until before ``end``, which may be null) that hold each time."""
    ends = spans.filter(pl.col("end").is_not_null())
    steps = pl.concat([spans.select(at="start", bytes="bytes"), ends.select(at="end", bytes=-pl.col("bytes"))])
    levels = steps.group_by("at").agg(pl.col("bytes").sum()).sort("at").with_columns(pl.col("bytes").cum_sum())
    return asked.sort("at").join_asof(levels, on="at")["bytes"].fill_null(0).to_list()
