"""Axes of still pictures: from values to pixels for numbers, logarithms, times and names, and their labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from catalogkit.ticks import round_step, round_steps

__all__ = ["Scale", "number_of"]

_DAY: Final = 86_400_000.0  # milliseconds, in which Plotly counts times
_DAYS: Final = (1, 2, 7, 14)
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120)
_MOST: Final = 7  # labels beside one axis


def number_of(value: Any) -> float:
    """A number as it is; of a time written as text, its milliseconds since 1970."""
    if isinstance(value, str):
        when = datetime.fromisoformat(value)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000
    return float(value)


def _kind(values: Sequence[Any]) -> str:
    """What an axis is that does not say: of times if every text is one, else of names."""
    texts = [value for value in values if isinstance(value, str)]
    try:
        for text in texts:
            datetime.fromisoformat(text)
    except ValueError:
        return "category"
    return "date" if texts else "linear"


class Scale:
    """One axis.

    Parameters
    ----------
    axis
        As the figure has it.
    values
        Everything that is drawn along it.
    start, end
        Pixels of its lower and its upper end.
    padded
        How much of its length stays free beyond the values, where the figure gives no range.
    """

    def __init__(
        self, axis: Mapping[str, Any], values: Iterable[Any], start: float, end: float, *, padded: float = 0
    ) -> None:
        self.axis = axis
        known = [value for value in values if value is not None]
        self.kind = axis.get("type") or _kind(known)
        self.names: list[Any] = list(dict.fromkeys(known)) if self.kind == "category" else []
        low, high = self._reach(known, padded)
        reverse = axis.get("autorange") == "reversed"
        self.low, self.high = (high, low) if reverse else (low, high)
        self.start, self.end = start, end

    def _reach(self, known: Sequence[Any], padded: float) -> tuple[float, float]:
        if self.kind == "category":
            return -0.5, len(self.names) - 0.5
        if self.axis.get("range"):
            low, high = (number_of(end) for end in self.axis["range"])
            return low, high  # of a logarithmic axis the figure gives logarithms
        numbers = [self._number(value) for value in known] or [0.0]
        low, high = min(numbers), max(numbers)
        if self.axis.get("rangemode") == "tozero":
            low, high = min(low, 0), max(high, 0)
        room = (high - low) * padded or (0.5 if high == low else 0)
        return (low if low == 0 and self.axis.get("rangemode") == "tozero" else low - room), high + room

    def _number(self, value: Any) -> float:
        if self.kind == "category":
            return float(self.names.index(value))
        number = number_of(value)
        return math.log10(max(number, 1e-9)) if self.kind == "log" else number

    def __call__(self, value: Any) -> float:
        """The pixel of a value."""
        return self.start + (self._number(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Pixels of the ticks inside the axis, and their labels."""
        low, high = sorted((self.low, self.high))
        if self.kind == "category":
            return [(self(name), str(name)) for name in self.names]
        if "tickvals" in self.axis:
            values = self.axis["tickvals"]
            texts = self.axis.get("ticktext") or [self._text(value) for value in values]
        elif self.kind == "date":
            values, texts = zip(*_times(low, high), strict=True)
        else:
            if self.kind == "log":
                values = [10.0**power for power in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1)]
            else:
                values = round_steps(low, high, _MOST - 1)
            texts = [self._text(value) for value in values]
        found = [(self(value), text, self._number(value)) for value, text in zip(values, texts, strict=True)]
        edge = (high - low) * 1e-6
        return [(pixel, text) for pixel, text, number in found if low - edge <= number <= high + edge]

    def _text(self, value: float) -> str:
        digits = max(0, -math.floor(math.log10(round_step(abs(self.high - self.low), _MOST)))) if value % 1 else 0
        return f"{value:,.{digits}f}"


def _times(low: float, high: float) -> list[tuple[float, str]]:
    """Beginnings of days or months in UTC, few enough to be read."""
    first, last = (datetime.fromtimestamp(end / 1000, UTC) for end in (low, high))
    days = (last - first).total_seconds() * 1000 / _DAY
    for step in _DAYS:
        if days / step <= _MOST:
            day = first.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            found = [day + timedelta(days=step * number) for number in range(int(days / step) + 1)]
            return _written([when for when in found if when <= last] or [first], "%b %d")
    step = next((step for step in _MONTHS if days / 30 / step <= _MOST), _MONTHS[-1])
    months = range(first.year * 12 + first.month, last.year * 12 + last.month)
    found = [datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in months if number % step == 0]
    return _written(found or [first], "%Y" if step >= 12 else "%b %Y")


def _written(times: Sequence[datetime], form: str) -> list[tuple[float, str]]:
    return [(when.timestamp() * 1000, when.strftime(form)) for when in times]
