"""Parses the words of a retention policy: days, media types, size tiers, names."""

from __future__ import annotations

import difflib
import mimetypes
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from catalogkit.errors import InvalidInput
from catalogkit.units import parse_bytes

# Decimal, as sizes are shown; from so many bytes on, up to the next.
TIERS: Final = {"tiny": 0, "small": 10_000, "medium": 1_000_000, "large": 10_000_000, "huge": 100_000_000}
# A hundred years. What must stay longer than that is a hold.
MOST_DAYS: Final = 36_500
# What the bytes say where they say nothing; then the type that was declared counts.
VAGUE: Final = ("application/octet-stream", "text/plain")
# Types that `catalogkit.sniff` tells and the standard library does not list.
_SNIFFED: Final = (
    "application/x-empty application/gzip application/x-bzip2 application/x-xz application/zstd"
    " application/x-7z-compressed application/vnd.rar application/vnd.apache.parquet application/vnd.sqlite3"
    " application/x-ole-storage image/vnd.djvu application/x-elf audio/ogg image/webp application/x-ndjson"
    " application/xhtml+xml application/xml application/rtf application/epub+zip"
    " application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    " application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    " application/vnd.openxmlformats-officedocument.presentationml.presentation"
)
_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*)", re.ASCII)


class Shorten(int):
    """Days of a rule that caps what longer rules give; ``{"shorten": 30}`` in plain data."""

    def __repr__(self) -> str:
        return f"Shorten({int(self)})"


def media_type(text: str) -> str:
    """A media type without parameters, in lower case.

    Examples
    --------
    >>> media_type("Application/PDF; charset=binary")
    'application/pdf'
    """
    return text.partition(";")[0].strip().lower()


def effective_type(told: str, declared: str) -> str:
    """The type that rules look at: told from the bytes; the declared one where these say nothing special."""
    plain = media_type(told)
    return (media_type(declared) or plain) if plain in VAGUE or not plain else plain


@cache
def media_types() -> frozenset[str]:
    """The media types that a rule may be about without further ado."""
    listed = mimetypes.MimeTypes()  # what Python itself lists, not what this machine does
    return frozenset(_SNIFFED.split()) | {one for table in listed.types_map for one in table.values()}


@cache
def bounds(tier: str) -> tuple[int, int | None]:
    """The sizes of a tier: from so many bytes, below so many (None: no end)."""
    if tier in TIERS:
        names = [*TIERS]
        following = names[names.index(tier) + 1 :]
        return TIERS[tier], TIERS[following[0]] if following else None
    low, dots, high = tier.partition("..")
    if dots:
        return parse_bytes(low), parse_bytes(high)
    return (0, parse_bytes(tier[1:])) if tier.startswith("<") else (parse_bytes(tier.removeprefix(">=")), None)


def inside(tier: str, size: int) -> bool:
    """Whether a size in bytes lies in a tier."""
    low, high = bounds(tier)
    return low <= size and (high is None or size < high)


def read_tiers(given: object) -> dict[str, int]:
    """Size tiers, by their names or by bounds, and their days."""
    rules = read_rules("size_tier_rules", given)
    found = {_tier(name): days for name, days in rules}
    if len(found) < len(rules):
        raise InvalidInput("size_tier_rules: a tier is there twice")
    return found


def _tier(name: str) -> str:
    plain = name.strip()
    if plain in TIERS:
        return plain
    if not plain.startswith(("<", ">=")) and ".." not in plain:
        check_name("size_tier_rules", plain, TIERS, " or bounds such as '<10kB', '>=50MB', '10kB..1MB'")
    low, high = bounds(plain)
    if high is not None and low >= high:
        raise InvalidInput(f"size_tier_rules: no size is within {name!r}")
    return plain


def read_rules(field_name: str, given: object) -> list[tuple[str, int]]:
    """Names and their days."""
    found = []
    for name, days in read_table(field_name, given).items():
        if not isinstance(name, str):
            raise InvalidInput(f"{field_name}: a name is text, not {name!r}")
        found.append((name, read_days(f"{field_name} {name!r}", days)))
    return found


def read_table(where: str, given: object) -> Mapping[str, Any]:
    """Names and values, whatever they are."""
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{where} must be a table of names and values, not {given!r}")
    return given


def read_types(given: object, expected: Iterable[str]) -> dict[str, int]:
    """Media types, or families of them, and their days."""
    found: dict[str, int] = {}
    known = media_types() | {media_type(name) for name in expected}
    for name, days in read_rules("content_type_rules", given):
        plain = media_type(name)
        if not _TYPE.fullmatch(plain):
            raise InvalidInput(f"content_type_rules: {name!r} is no media type; write it like application/pdf")
        families = {f"{one.partition('/')[0]}/*" for one in known}
        check_name("content_type_rules", plain, families if plain.endswith("/*") else known)
        if plain in found:
            raise InvalidInput(f"content_type_rules: {plain} is there twice")
        found[plain] = days
    return found


def read_days(where: str, given: object) -> int:
    """Days of a rule, which may shorten."""
    shorten = isinstance(given, Shorten)
    if isinstance(given, Mapping) and set(given) == {"shorten"}:
        shorten, given = True, given["shorten"]
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST_DAYS:
        raise InvalidInput(
            f"{where} must be whole days from 1 to {MOST_DAYS:,}, or {{ shorten = days }}, not {given!r}"
        )
    return Shorten(given) if shorten else int(given)


def check_each(where: str, names: Iterable[str], known: set[str]) -> None:
    """Refuse any name that is not known; one that is still to come is `expected`."""
    for name in names:
        check_name(where, name, known, "; or list it in `expected` if it is still to come")


def check_name(where: str, name: str, known: Iterable[str], otherwise: str = "") -> None:
    """Refuse a name that is not known, with the likely spelling."""
    if name in (there := sorted(known)):
        return
    close = difflib.get_close_matches(name, there, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    some = f" There are: {', '.join(one or repr(one) for one in there[:12])}" if len(there) <= 12 else ""
    raise InvalidInput(f"{where}: {name!r} is not known{meant}{some}{otherwise}")
