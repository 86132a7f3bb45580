"""Parses durations, sizes and times as people type them: ``30d``, ``5GB``, ``2026-05-01``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from catalogkit.errors import InvalidInput

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# A thousand years, so that what lies so long before or after a time of today is still a date.
LONGEST: Final = timedelta(days=365_000)
# Sizes are signed 64-bit numbers, in file systems and databases alike.
MOST_BYTES: Final = 2**63 - 1
# Decimal (SI) and binary (IEC 80000-13) multiples.
_BYTES: Final = {"": 1, "b": 1} | {
    f"{prefix}{binary}b": (1024 if binary else 1000) ** power
    for power, prefix in enumerate("kmgtp", 1)
    for binary in ("", "i")
}


def parse_duration(text: str) -> timedelta:
    """A duration such as ``90s``, ``10m``, ``12h``, ``30d`` or ``2w``.

    Raises
    ------
    InvalidInput
        If `text` is anything else, or longer than `LONGEST`.

    Examples
    --------
    >>> parse_duration("1.5h")
    datetime.timedelta(seconds=5400)
    """
    number, unit = _split(text)
    if unit not in _SECONDS:
        raise InvalidInput(f"not a duration: {text!r}; use a number with s, m, h, d or w, such as 30d")
    seconds = number * _SECONDS[unit]
    if seconds > LONGEST.total_seconds():
        raise InvalidInput(f"{text!r} is too long")
    return timedelta(seconds=float(seconds))


def parse_bytes(text: str) -> int:
    """A size such as ``500kB``, ``5GB`` (decimal) or ``5GiB`` (binary).

    Raises
    ------
    InvalidInput
        If `text` is anything else, or more than any system counts.

    Examples
    --------
    >>> parse_bytes("5GB"), parse_bytes("1 KiB"), parse_bytes("10")
    (5000000000, 1024, 10)
    """
    number, unit = _split(text)
    if unit not in _BYTES:
        raise InvalidInput(f"not a size: {text!r}; use a number with kB, MB, GB, TB or KiB, MiB, GiB, such as 5GB")
    size = number * _BYTES[unit]
    if size > MOST_BYTES:
        raise InvalidInput(f"no store is as large as {text.strip()[:40]}")
    return int(size)


def parse_when(text: str) -> datetime:
    """A time such as ``2026-05-01T12:00``, in UTC where it names no zone; a date means the end of that day.

    Raises
    ------
    InvalidInput
        If `text` is neither.

    Examples
    --------
    >>> parse_when("2026-05-01").isoformat(), parse_when("2026-05-01T12:00+02:00").isoformat()
    ('2026-05-01T23:59:59.999999+00:00', '2026-05-01T12:00:00+02:00')
    """
    try:
        if re.fullmatch(r"\s*[\d-]+\s*", text, re.ASCII):
            return datetime.combine(date.fromisoformat(text.strip()), time.max, UTC)
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(f"not a time: {text!r}; give one such as 2026-05-01 or 2026-05-01T12:00") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def parse_money(text: str) -> tuple[Decimal, str]:
    """An amount with its currency such as ``2USD`` or ``0.50 EUR``.

    Raises
    ------
    InvalidInput
        If `text` is anything else.

    Examples
    --------
    >>> parse_money("0.50 eur")
    (Decimal('0.50'), 'EUR')
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]{3})\s*", text, re.ASCII)
    if match is None:
        raise InvalidInput(f"not an amount of money: {text!r}; use a number with a currency, such as 2USD")
    return Decimal(match[1]), match[2].upper()


def _split(text: str) -> tuple[Decimal, str]:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text, re.ASCII)
    return (Decimal(match[1]), match[2].lower()) if match else (Decimal(0), "?")
