"""How much of what is stored was verified, and when: pure functions on the ``locations`` frame.

Physical objects are those of `catalogkit.stats`; each counts with the newest check of its locations.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import Outcome, to_us
from catalogkit.stats import PRESENT, objects_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["CHECKED", "WINDOWS", "Coverage", "Tally", "checked_objects", "coverage", "covered"]

_B = pl.col("bytes")
# From good to bad: of two checks at one moment the worse is believed.
CHECKED: Final = pl.Enum([Outcome.OK.value, Outcome.UNKNOWN.value, Outcome.CORRUPT.value])
WINDOWS: Final = (1, 7, 30, 90, 365)
_NEVER: Final = "never"


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


def coverage(locations: pl.DataFrame, as_of: datetime, windows_days: Sequence[int] = WINDOWS) -> Coverage:
    """Measure how much of the stored bytes was verified lately, as `Coverage` defines it."""
    to_us(as_of)  # refuses a time without a zone
    missing = locations.filter(~PRESENT).select(pl.len(), _B.sum()).row(0)
    future = locations.select((pl.col("checked_at") > as_of).sum()).item()
    return covered(
        checked_objects(locations, as_of), Tally(objects=missing[0], bytes=missing[1]), future, as_of, windows_days
    )


def covered(
    objects: pl.DataFrame, missing: Tally, future_checks: int, as_of: datetime, windows_days: Sequence[int] = WINDOWS
) -> Coverage:
    """`coverage` of physical objects with their newest checks: ``bytes``, ``checked_at``, ``check`` of each."""
    to_us(as_of)  # refuses a time without a zone
    if any(days < 1 for days in windows_days):
        raise InvalidInput(f"windows are whole days, 1 or more, not {list(windows_days)}")
    checked, check = pl.col("checked_at"), pl.col("check")
    verified = {
        str(days): _B.filter(check == Outcome.OK.value, checked >= as_of - timedelta(days=days)).sum()
        for days in windows_days
    }
    sums = objects.select(_B.sum(), checked.min(), **verified).row(0, named=True)
    found = objects.group_by(check.cast(pl.String).fill_null(_NEVER)).agg(pl.len(), _B.sum()).rows()
    none = dict.fromkeys((*CHECKED.categories, _NEVER), Tally())
    tallies = {name: Tally(objects=count, bytes=size) for name, count, size in found}
    return Coverage(
        as_of=as_of,
        objects=objects.height,
        physical_bytes=sums["bytes"],
        verified_bytes={days: sums[str(days)] for days in windows_days},
        by_outcome=none | tallies | {Outcome.MISSING.value: missing},
        oldest_check=sums["checked_at"],
        future_checks=future_checks,
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
    trusted = PRESENT & pl.col("outcome").is_not_null() & (checked <= as_of)
    believed = locations.with_columns(
        checked_at=pl.when(trusted).then(checked), check=pl.when(trusted).then("outcome").cast(CHECKED)
    )
    more = [one for one in wanted if one is not None]
    return objects_of(believed, checked.max(), check.sort_by("checked_at", "check").last(), *more).collect()
