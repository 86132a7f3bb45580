"""Decides which backups to keep: the newest few, then one a day, a week, a month, each with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How many backups to keep: of the newest, and the last of each of so many days, weeks and months that have one.

    A period without a backup is not counted, so that a pause loses nothing.
    """

    last: int = 7
    daily: int = 14
    weekly: int = 8
    monthly: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a backup stays, and why."""

    name: str
    as_of: datetime
    reasons: tuple[str, ...]

    @property
    def stays(self) -> bool:
        """Whether there is any reason to keep it."""
        return bool(self.reasons)


# Weeks are those of ISO 8601; all periods are in UTC.
_PERIODS: Final[dict[str, Callable[[datetime], str]]] = {
    "daily": lambda when: f"{when:%Y-%m-%d}",
    "weekly": lambda when: f"{when:%G-W%V}",
    "monthly": lambda when: f"{when:%Y-%m}",
}


def thin(backups: Iterable[tuple[str, datetime]], keep: Keep, *, proven: str | None = None) -> list[Decision]:
    """Decide about each backup, newest first.

    Parameters
    ----------
    backups
        Name and time of each.
    proven
        The newest that a drill found whole: it stays, whatever the rules say, as does the newest of all.

    Notes
    -----
    As in ``restic forget``, the newest backup of a period stands for it, and each rule counts by itself.
    """
    ordered = sorted(((when.astimezone(UTC), name) for name, when in backups), reverse=True)
    reasons: dict[str, list[str]] = {name: [] for _, name in ordered}
    for place, (_, name) in enumerate(ordered):
        if place < keep.last:
            reasons[name].append(f"last {keep.last}")
        elif place == 0:
            reasons[name].append("the newest")
        if name == proven:
            reasons[name].append("the newest that a drill proved")
    for rule, period_of in _PERIODS.items():
        periods: set[str] = set()
        for when, name in ordered:
            period = period_of(when)
            if period not in periods and len(periods) < getattr(keep, rule):
                periods.add(period)
                reasons[name].append(f"{rule} {period}")
    return [Decision(name=name, as_of=when, reasons=tuple(reasons[name])) for when, name in ordered]
