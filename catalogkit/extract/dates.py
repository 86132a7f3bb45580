"""Parses times as documents write them; a time without a zone is taken as UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Final

# ISO 32000-1, 7.9.4: D:YYYYMMDDHHmmSSOHH'mm', anything after the year left out at will.
_PDF: Final = re.compile(
    r"(?:D:)?\s*(\d{4})(?![/.a-zA-Z])(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?\s*(?:([+\-Z])\s*(?:(\d\d)'?:?(\d\d)?'?)?)?"
)
_ISO: Final = re.compile(
    r"(?:D:)?([+-]?\d{4})(?:[-/](\d\d?)(?:[-/](\d\d?)(?:[T\s]+(\d\d?):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?)?)?)?"
    r"\s*(?:(Z|[+-])(?:(\d\d):?(\d\d)?)?)?"
)
# Programs of the year 2000 wrote it as 19100: "19", and the years since 1900.
_CENTURY: Final = re.compile(r"^(D:)?19(1\d\d)(?=\d{10}(?!\d))")


def when(text: object) -> datetime | None:
    """A time that is written like those of PDF, of XML, or of mail; None where it is none.

    Examples
    --------
    >>> when("D:20200131120000+01'00'").isoformat()
    '2020-01-31T11:00:00+00:00'
    >>> when("2020-01").isoformat()
    '2020-01-01T00:00:00+00:00'
    """
    if not isinstance(text, str) or not (text := text.strip()[:100]):
        return None
    match = _ISO.fullmatch(text) or _PDF.match(_CENTURY.sub(_thousands, text))
    if match:
        return _from_parts(*match.groups())
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _thousands(match: re.Match[str]) -> str:
    return f"{match[1] or ''}{1900 + int(match[2])}"


def _from_parts(*parts: str | None) -> datetime | None:
    year, month, day, hour, minute, second = (None if one is None else int(one) for one in parts[:6])
    sign, hours, minutes = parts[6:]
    try:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        zone = timezone(-offset if sign == "-" else offset)
        found = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, min(second or 0, 59), tzinfo=zone)
        return found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
