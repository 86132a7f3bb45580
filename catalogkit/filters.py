"""Filters of a search: a field, a comparison and a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from catalogkit.errors import InvalidInput
from catalogkit.model import Digest, check_text, to_us
from catalogkit.units import parse_bytes, parse_when

if TYPE_CHECKING:
    from collections.abc import Iterable

# What can be asked for, and what it is: text, a number, a size, a time, a digest, or a language with its regions.
FIELDS: Final[dict[str, str]] = {
    "id": "number",
    "tenant": "text",
    "artifact_id": "text",
    "source_url": "text",
    "resolver": "text",
    "variant": "text",
    "run_id": "text",
    "content_type": "text",
    "media_type": "text",
    "sha256": "digest",
    "bytes": "size",
    "fetched_at": "time",
    "created_at": "time",
    "changed_at": "time",
    "title": "text",
    "author": "text",
    "subject": "text",
    "description": "text",
    "keyword": "text",
    "language": "language",
    "detected_language": "language",
    "page_count": "number",
    "text_chars": "number",
    "written_at": "time",
    "modified_at": "time",
    "encrypted": "flag",
    "warning": "text",
    "extractor": "text",
    "reason": "text",
}
# What has fields of its own: what the downloader told, and what only documents of a kind have.
OPEN: Final = ("metadata", "more")
COMPARISONS: Final = ("=", "!=", "<=", ">=", "<", ">", "~")
_CLAUSE: Final = re.compile(r"\s*([\w.-]+)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition.

    Attributes
    ----------
    field : str
        A name in `FIELDS`, or one in `OPEN`.
    path : tuple of str
        Names inside the latter, from the outside in.
    comparison : str
        One of `COMPARISONS`; ``~`` is: contains, whatever the case.
    value : str or int or bytes
        What to compare with: times in microseconds, digests as bytes, everything of `OPEN` as text.
    kind : str
        What the field is; ``json`` for those of `OPEN`.
    """

    field: str
    comparison: str
    value: str | int | bytes
    kind: str
    path: tuple[str, ...] = ()


def parse_filters(given: Mapping[str, object] | Iterable[str] | str | None) -> list[Filter]:
    """Filters as people type them.

    Parameters
    ----------
    given
        Clauses such as ``"page_count>=10"`` or ``"metadata.doi=10.1/x"``, or a mapping of a field to its value; a
        tuple there is a range, from and to, either of which may be None.

    Raises
    ------
    InvalidInput
        If a field is not known, or a value does not fit it.

    Examples
    --------
    >>> parse_filters({"page_count": (10, None)})
    [Filter(field='page_count', comparison='>=', value=10, kind='number', path=())]
    """
    if given is None:
        return []
    if isinstance(given, Mapping):
        return [one for field, value in given.items() for one in _ranged(field, value)]
    return [_clause(text) for text in ([given] if isinstance(given, str) else given)]


def _ranged(field: str, value: object) -> list[Filter]:
    if not isinstance(value, tuple):
        return [_filter(field, "=", value)]
    if len(value) != 2:
        raise InvalidInput(f"a range of {field} has two ends, such as (10, None)")
    return [_filter(field, how, end) for how, end in zip((">=", "<="), value, strict=True) if end is not None]


def _clause(text: str) -> Filter:
    match = _CLAUSE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"not a filter: {text!r}; give a field, one of {' '.join(COMPARISONS)}, and a value")
    return _filter(match[1], match[2], match[3])


def _filter(field: str, comparison: str, value: object) -> Filter:
    name, *path = field.split(".")
    if path and name in OPEN and all(path) and '"' not in field:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        check_text(field, text)
        return Filter(name, comparison, text, "json", tuple(path))
    kind = FIELDS.get(field)
    if kind is None:
        raise InvalidInput(
            f"documents cannot be filtered by {field!r}; use {', '.join(FIELDS)}, metadata.NAME or more.NAME"
        )
    if kind == "flag" and comparison not in ("=", "!="):
        raise InvalidInput(f"{field} is true or false; compare it with = or !=")
    if comparison == "~" and kind not in ("text", "language"):
        raise InvalidInput(f"{field} is no text that could contain something; compare it with = < > <= >= or !=")
    return Filter(field, comparison, _value(field, kind, comparison, value), kind)


def _value(field: str, kind: str, comparison: str, value: object) -> str | int | bytes:
    if kind == "time":
        return _time(field, comparison, value)
    if kind == "flag":
        if (said := str(value).lower()) not in ("true", "false"):
            raise InvalidInput(f"{field} is true or false, not {value!r}")
        return int(said == "true")
    if kind == "digest":
        return bytes(value) if isinstance(value, Digest) else bytes(Digest.parse(str(value).lower()))
    if kind in ("number", "size"):
        if isinstance(value, int) and not isinstance(value, bool):
            number = value
        elif kind == "size":
            number = parse_bytes(str(value))
        else:
            try:
                number = int(str(value))
            except ValueError:
                raise InvalidInput(f"{field} is a number, not {value!r}") from None
        if not -(1 << 63) <= number < 1 << 63:
            raise InvalidInput(f"{field} cannot be compared with {number}")
        return number
    check_text(field, text := str(value))
    return text


def _time(field: str, comparison: str, value: object) -> int:
    """A time; a date is its end where later ones are asked for or earlier ones with it, else its beginning."""
    if isinstance(value, datetime):
        return to_us(value)
    when = parse_when(str(value))
    if when.time() == time.max and comparison in ("<", ">="):
        when = when - timedelta(days=1) + timedelta(microseconds=1)
    return to_us(when)
