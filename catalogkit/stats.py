"""What the bytes of a collection amount to: shared, spare, old, verified. Pure functions on frames.

A *physical object* is what takes up room: locations of one store with the same inode and the same digest are one
object (hard links), a location without an inode is an object of its own, and a location found ``missing`` holds
nothing. A blob is *referenced* when a document has it, *held* when a store has an object of it. For a blob of ``b``
bytes with ``n`` documents and ``k`` objects in ``s`` stores, the figures are, in bytes:

============  =========================================  =======================================================
logical       ``n * b``                                  what its documents would take, each with a copy of its own
unique        ``b`` if referenced                        what one copy for all of them takes
duplicate     ``(n - 1) * b`` if referenced              logical - unique
saved         ``max(n - 1 - (k - s), 0) * b`` if both    what sharing already spares; an absent blob spares nothing
reclaimable   ``(k - s) * b`` if referenced              spare objects inside one store, which dedup could free
replica       ``(s - 1) * b`` if both                    copies in further stores: kept on purpose, never waste
unreferenced  ``k * b`` if not referenced                work for garbage collection, not for dedup
absent        ``b`` if referenced and not held           what documents need and no store has
physical      ``k * b``                                  what lies in the stores
============  =========================================  =======================================================

So ``physical = unique - absent + replica + reclaimable + unreferenced``, for each blob and for the whole.
A document without a digest shares with nobody: it counts as unique and absent, never as a duplicate.

Frames are those of `catalogkit.model.schema`: ``documents`` has a row per live document, ``locations`` one per
location. What comes back does not depend on the order of their rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import Outcome, to_us

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = [
    "Coverage",
    "DedupTotals",
    "Tally",
    "checked_objects",
    "coverage",
    "dedup_by",
    "dedup_groups",
    "dedup_totals",
    "growth",
    "savings_curve",
    "size_age",
    "store_usage",
    "stored_by_blob",
    "totals_of",
]

_B, _N, _K, _S = pl.col("bytes"), pl.col("documents"), pl.col("objects"), pl.col("stores")
_REFERENCED, _HELD = _N > 0, _K > 0
_FIGURES: Final = {
    "logical_bytes": _N * _B,
    "unique_bytes": _REFERENCED * _B,
    "duplicate_bytes": _REFERENCED * (_N - 1) * _B,
    "saved_bytes": (_REFERENCED & _HELD) * (_N - 1 - (_K - _S)).clip(lower_bound=0) * _B,
    "reclaimable_bytes": _REFERENCED * (_K - _S) * _B,
    "replica_bytes": (_REFERENCED & _HELD) * (_S - 1) * _B,
    "unreferenced_bytes": ~_REFERENCED * _K * _B,
    "absent_bytes": (_REFERENCED & ~_HELD) * _B,
    "physical_bytes": _K * _B,
}
_SIZE = _B.sum().alias("logical_bytes")
_COUNT = pl.len().cast(pl.Int64)  # the same type as every other number here
_ARRIVED = pl.coalesce("fetched_at", "created_at")
_PRESENT = pl.col("outcome").ne_missing(Outcome.MISSING.value)
# From good to bad: of two checks at one moment the worse is believed.
_CHECKED: Final = pl.Enum([Outcome.OK.value, Outcome.UNKNOWN.value, Outcome.CORRUPT.value])
_NEVER: Final = "never"
_EVERY: Final = re.compile(r"[1-9][0-9]{0,3}(h|d|w|mo|q|y)", re.ASCII)
# A class begins at so many bytes, or after so many days.
_SIZES: Final = {
    "<10 kB": 0,
    "10-100 kB": 10**4,
    "100 kB-1 MB": 10**5,
    "1-10 MB": 10**6,
    "10-100 MB": 10**7,
    ">=100 MB": 10**8,
}
_AGES: Final = {"<=7 d": 0, "<=30 d": 7, "<=90 d": 30, "<=180 d": 90, "<=1 y": 180, "older": 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupTotals:
    """The figures of a whole collection, as the module defines them.

    ``blobs`` counts the distinct contents that are referenced or held, ``objects`` the physical objects.
    """

    documents: int
    blobs: int
    objects: int
    logical_bytes: int
    unique_bytes: int
    duplicate_bytes: int
    saved_bytes: int
    reclaimable_bytes: int
    replica_bytes: int
    unreferenced_bytes: int
    absent_bytes: int
    physical_bytes: int

    @property
    def dedup_ratio(self) -> float:
        """Share of the logical bytes that sharing already spares: saved / logical, 0.0 for no bytes."""
        return self.saved_bytes / self.logical_bytes if self.logical_bytes else 0.0

    @property
    def duplicate_share(self) -> float:
        """Share of the logical bytes that repeat others: duplicate / logical, 0.0 for no bytes."""
        return self.duplicate_bytes / self.logical_bytes if self.logical_bytes else 0.0


def dedup_totals(documents: pl.DataFrame, locations: pl.DataFrame) -> DedupTotals:
    """Add every figure up over all blobs."""
    return totals_of(_ledger(documents, locations))


def totals_of(ledger: pl.DataFrame | pl.LazyFrame) -> DedupTotals:
    """Add every figure up over a row for each blob that is referenced or held.

    Parameters
    ----------
    ledger
        ``bytes``, ``documents``, ``objects`` and ``stores`` of each blob, as the module defines them.
    """
    sums = {name: figure.sum() for name, figure in _FIGURES.items()}
    totals = ledger.lazy().select(_N.sum(), _K.sum(), blobs=pl.len(), **sums).collect()
    return DedupTotals(**totals.row(0, named=True))


def dedup_groups(documents: pl.DataFrame, locations: pl.DataFrame) -> pl.DataFrame:
    """List the contents that several documents share, or that one store holds more than once.

    Returns
    -------
    DataFrame
        One row per referenced blob with at least two documents or two objects in one store: ``sha256``,
        ``media_type`` and ``artifact_id`` (of the document with the lowest id), ``bytes`` (of one copy),
        ``documents``, ``objects`` (in all stores), ``resolvers`` (distinct), ``logical_bytes``, ``saved_bytes``,
        ``reclaimable_bytes``. First what dedup can free most of, then what it has saved most of, then by digest.
    """
    resolvers = pl.col("resolver").n_unique().cast(pl.Int64).alias("resolvers")
    about = ["sha256", "media_type", "bytes", "documents", "objects", "resolvers", "artifact_id"]
    figures = {name: _FIGURES[name] for name in ("logical_bytes", "saved_bytes", "reclaimable_bytes")}
    return (
        _ledger(documents, locations, pl.col("media_type", "artifact_id").first(), resolvers)
        .filter(_REFERENCED & ((_N > 1) | (_K > _S)))
        .select(*about, **figures)
        .sort("reclaimable_bytes", "saved_bytes", "sha256", descending=[True, True, False])
        .collect()
    )


def dedup_by(documents: pl.DataFrame, locations: pl.DataFrame, column: str) -> pl.DataFrame:
    """Share the figures out over the values of a text column of `documents`, such as ``resolver`` or ``tenant``.

    What a blob saves, could free and stores is split equally between its documents in whole bytes; the bytes left
    over go to the lowest ids. Duplicate bytes are those of documents whose content a lower id had already brought.
    So the parts of each figure add up to the figure in `dedup_totals`; stored bytes to physical - unreferenced.

    Returns
    -------
    DataFrame
        One row per value: `column`, ``documents``, ``logical_bytes``, ``duplicate_bytes``, ``saved_bytes``,
        ``reclaimable_bytes``, ``stored_bytes``. First what has saved most, then could free most, then by value.

    Raises
    ------
    InvalidInput
        If `column` is not a text column of `documents`.
    """
    texts = [name for name, kind in documents.schema.items() if kind == pl.String]
    choices = [name for name in texts if name not in {"sha256", "metadata"}]
    if column not in choices:
        raise InvalidInput(f"cannot group documents by {column!r}; choose one of {', '.join(choices)}")
    whole = {name: _FIGURES[f"{name}_bytes"] for name in ("saved", "reclaimable", "physical")}
    rank = pl.col("rank")
    saved, reclaimable, stored = ((pl.col(name) // _N + (rank < pl.col(name) % _N)).sum() for name in whole)
    return (
        _ledger(documents, locations, pl.col(column).alias("value"))
        .filter(_REFERENCED)
        .select("value", "bytes", "documents", rank=pl.int_ranges(0, "documents"), **whole)
        .explode("value", "rank")
        .group_by(pl.col("value").alias(column))
        .agg(
            _COUNT.alias("documents"),
            _SIZE,
            ((rank > 0) * _B).sum().alias("duplicate_bytes"),
            saved_bytes=saved,
            reclaimable_bytes=reclaimable,
            stored_bytes=stored,
        )
        .sort("saved_bytes", "reclaimable_bytes", column, descending=[True, True, False])
        .collect()
    )


def store_usage(documents: pl.DataFrame, locations: pl.DataFrame) -> pl.DataFrame:
    """Say what each store holds; the parts add up to `dedup_totals`.

    Returns
    -------
    DataFrame
        One row per store that holds anything, by name: ``store``, ``objects``, ``physical_bytes``,
        ``reclaimable_bytes``, ``unreferenced_bytes``.
    """
    referenced = documents.lazy().select("sha256", documents=1).unique()
    figures = {name: _FIGURES[name].sum() for name in ("physical_bytes", "reclaimable_bytes", "unreferenced_bytes")}
    return (
        _held(locations)
        .join(referenced, on="sha256", how="left")
        .with_columns(_N.fill_null(0), stores=1)
        .group_by("store")
        .agg(_K.sum(), **figures)
        .sort("store")
        .collect()
    )


def savings_curve(groups: pl.DataFrame, points: int = 400) -> pl.DataFrame:
    """Show how much of the savings the first few groups make up.

    Parameters
    ----------
    groups
        What `dedup_groups` returned.
    points
        The most rows to return, at least 2; the first and the last group are always among them.

    Returns
    -------
    DataFrame
        ``rank`` (1 has most saved + reclaimable bytes), ``share_of_groups`` (rank / number of groups), and the
        ``saved_bytes`` and ``reclaimable_bytes`` of all groups up to that rank.
    """
    if points < 2:
        raise InvalidInput(f"a curve needs at least 2 points, not {points}")
    rows = min(points, groups.height)
    kept = [row * (groups.height - 1) // max(rows - 1, 1) for row in range(rows)]
    rank = pl.int_range(1, pl.len() + 1)
    gain = pl.col("saved_bytes") + pl.col("reclaimable_bytes")
    ranked = groups.sort(gain, pl.col("sha256"), descending=[True, False])
    sums = pl.col("saved_bytes", "reclaimable_bytes").cum_sum()
    return ranked.select(rank.alias("rank"), (rank / pl.len()).alias("share_of_groups"), sums)[kept]


def growth(documents: pl.DataFrame, every: str = "1mo") -> pl.DataFrame:
    """Count what the live documents brought in, period by period.

    A document arrives when it was fetched, or entered the catalog where that time is not known.

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
    if not _EVERY.fullmatch(every):
        raise InvalidInput(f"not a period: {every!r}; give a number and h, d, w, mo, q or y, such as '1mo'")
    period = pl.col("period")
    arrivals = _identified(documents).select("sha256", "bytes", period=_ARRIVED.dt.truncate(every))
    first, last = arrivals.select(first=period.min(), last=period.max()).collect().row(0)
    periods = pl.Series([], dtype=pl.Datetime("us", "UTC"))
    if first is not None:
        periods = pl.datetime_range(first, last, every, time_unit="us", eager=True)
    firsts = arrivals.group_by("sha256").agg(period.min(), _B.max())
    return (
        pl.LazyFrame({"period": periods})
        .join(arrivals.group_by("period").agg(_COUNT.alias("documents"), _SIZE), on="period", how="left")
        .join(firsts.group_by("period").agg(_B.sum().alias("new_unique_bytes")), on="period", how="left")
        .sort("period")
        .with_columns(pl.exclude("period").fill_null(0))
        .with_columns(
            total_documents=_N.cum_sum(),
            total_logical_bytes=pl.col("logical_bytes").cum_sum(),
            total_unique_bytes=pl.col("new_unique_bytes").cum_sum(),
        )
        .collect()
    )


def size_age(documents: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """Cross the sizes of documents with their ages.

    Age counts from the arrival (see `growth`) to `as_of`; what arrived later than `as_of` is in the youngest class.

    Returns
    -------
    DataFrame
        One row per combination, smallest and youngest first, also the empty ones: ``size_class`` and ``age_class``
        (Enum, in that order; 1 kB is 1000 bytes, 1 y 365 days), ``documents``, ``logical_bytes``.
    """
    to_us(as_of)  # refuses a time without a zone
    size = pl.sum_horizontal(_B.ge(start) for start in _SIZES.values() if start)
    age = pl.sum_horizontal(pl.lit(as_of) - _ARRIVED > timedelta(days=start) for start in _AGES.values() if start)
    counted = documents.lazy().group_by(size=size, age=age).agg(_COUNT.alias("documents"), _SIZE)
    return (
        _classes("size", _SIZES)
        .join(_classes("age", _AGES), how="cross")
        .join(counted, on=["size", "age"], how="left")
        .sort("size", "age")
        .select("size_class", "age_class", pl.col("documents", "logical_bytes").fill_null(0))
        .collect()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """A number of objects and their bytes."""

    objects: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what lies in the stores was read again, and when.

    ``objects`` and ``physical_bytes`` are those of all physical objects; each counts with the newest check of its
    locations. ``verified_bytes`` has for each window, in days, the bytes whose newest check was ``ok`` and at most
    that old. ``by_outcome`` sorts the objects by their newest check into ``ok``, ``unknown``, ``corrupt`` and
    ``never``; beside them, and no part of the total, stand the locations found ``missing``, with their recorded bytes.
    ``oldest_check`` is the oldest of the newest checks, None without any. ``future_checks`` counts the locations with
    a check later than ``as_of``: such a stamp proves nothing, so it is set aside, and an object with no other check
    counts as never checked.
    """

    as_of: datetime
    objects: int
    physical_bytes: int
    verified_bytes: Mapping[int, int]
    by_outcome: Mapping[str, Tally]
    oldest_check: datetime | None
    future_checks: int

    @property
    def verified_share(self) -> dict[int, float | None]:
        """Verified / physical bytes for each window in days; None where there is nothing to verify."""
        total = self.physical_bytes
        return {days: part / total if total else None for days, part in self.verified_bytes.items()}

    @property
    def never_checked_objects(self) -> int:
        """Objects without a check by ``as_of``."""
        return self.by_outcome[_NEVER].objects

    @property
    def never_checked_bytes(self) -> int:
        """Bytes of the objects without a check by ``as_of``."""
        return self.by_outcome[_NEVER].bytes


def coverage(locations: pl.DataFrame, as_of: datetime, windows_days: Sequence[int] = (1, 7, 30, 90, 365)) -> Coverage:
    """Measure how much of the stored bytes was verified lately, as `Coverage` defines it."""
    to_us(as_of)  # refuses a time without a zone
    if any(days < 1 for days in windows_days):
        raise InvalidInput(f"windows are whole days, 1 or more, not {list(windows_days)}")
    checked, check = pl.col("checked_at"), pl.col("check")
    objects = checked_objects(locations, as_of)
    verified = {
        str(days): _B.filter(check == Outcome.OK.value, checked >= as_of - timedelta(days=days)).sum()
        for days in windows_days
    }
    sums = objects.select(_B.sum(), checked.min(), **verified).row(0, named=True)
    found = objects.group_by(check.cast(pl.String).fill_null(_NEVER)).agg(pl.len(), _B.sum()).rows()
    missing = locations.filter(~_PRESENT).select(pl.lit(Outcome.MISSING.value), pl.len(), _B.sum()).rows()
    none = dict.fromkeys((*_CHECKED.categories, _NEVER), Tally())
    return Coverage(
        as_of=as_of,
        objects=objects.height,
        physical_bytes=sums["bytes"],
        verified_bytes={days: sums[str(days)] for days in windows_days},
        by_outcome=none | {name: Tally(objects=count, bytes=size) for name, count, size in found + missing},
        oldest_check=sums["checked_at"],
        future_checks=locations.select((checked > as_of).sum()).item(),
    )


def checked_objects(locations: pl.DataFrame, as_of: datetime, *wanted: pl.Expr | None) -> pl.DataFrame:
    """One row per physical object with the newest check of its locations that is no later than `as_of`.

    Returns
    -------
    DataFrame
        ``store``, ``sha256``, ``inode``, ``own``, ``bytes``, ``checked_at`` and ``check`` (``ok``, ``unknown``,
        ``corrupt``; null where there is none), and what is wanted of the locations.
    """
    checked, check = pl.col("checked_at"), pl.col("check")
    trusted = _PRESENT & pl.col("outcome").is_not_null() & (checked <= as_of)
    believed = locations.with_columns(
        checked_at=pl.when(trusted).then(checked), check=pl.when(trusted).then("outcome").cast(_CHECKED)
    )
    more = [one for one in wanted if one is not None]
    return _objects(believed, checked.max(), check.sort_by("checked_at", "check").last(), *more).collect()


def stored_by_blob(locations: pl.DataFrame) -> pl.LazyFrame:
    """The physical bytes of each content: ``sha256``, ``stored_bytes``; only what lies somewhere."""
    return _objects(locations).group_by("sha256").agg(_B.sum().alias("stored_bytes"))


def _identified(documents: pl.DataFrame) -> pl.LazyFrame:
    """The documents; one without a digest gets a name of its own, so that it matches nothing."""
    return documents.lazy().with_columns(pl.coalesce("sha256", pl.format("document {}", "id")))


def _objects(locations: pl.DataFrame, *wanted: pl.Expr) -> pl.LazyFrame:
    """One row per physical object: ``store``, ``sha256``, ``bytes``, and what is wanted of its locations."""
    return (
        locations.lazy()
        .filter(_PRESENT)
        .with_row_index("own")
        .with_columns(own=pl.when(pl.col("inode").is_null()).then("own"))
        .group_by("store", "sha256", "inode", "own")
        .agg(_B.max(), *wanted)
    )


def _held(locations: pl.DataFrame) -> pl.LazyFrame:
    """One row per store and blob that it holds: ``store``, ``sha256``, ``bytes`` (of one copy), ``objects``."""
    return _objects(locations).group_by("store", "sha256").agg(_B.max(), objects=_COUNT)


def _ledger(documents: pl.DataFrame, locations: pl.DataFrame, *wanted: pl.Expr) -> pl.LazyFrame:
    """One row per blob: what `_FIGURES` works with, and what is wanted of its documents, which come by id."""
    held = _held(locations).group_by("sha256").agg(_K.sum(), stores=_COUNT, held_bytes=_B.max())
    return (
        _identified(documents)
        .sort("id")
        .group_by("sha256")
        .agg(_B.max(), *wanted, documents=_COUNT)
        .join(held, on="sha256", how="full", coalesce=True)
        .with_columns(pl.coalesce("bytes", "held_bytes"), pl.col("documents", "objects", "stores").fill_null(0))
    )


def _classes(name: str, starts: Mapping[str, int]) -> pl.LazyFrame:
    """The classes in their order: `name` (a number from 0) and ``<name>_class`` (its label)."""
    labels = pl.Series(f"{name}_class", list(starts), dtype=pl.Enum(list(starts)))
    return pl.LazyFrame(labels).with_row_index(name)
