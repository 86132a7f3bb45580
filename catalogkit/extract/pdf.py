"""Reads PDF with PDFium; MuPDF, if installed, reads what PDFium cannot open, and XMP that it cannot reach.

PDFium is the faster of the two and tells more pages right, MuPDF repairs more. Which metadata counts: the Info
dictionary, because that is what all readers show; XMP where that is silent.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from catalogkit.content import Reason
from catalogkit.extract import xmp
from catalogkit.extract.dates import when
from catalogkit.extract.facts import Facts, RefusedError, words

if TYPE_CHECKING:
    from catalogkit.policies.extract import Limits

_STATED: Final = ("Title", "Author", "Keywords")
PDFIUM, MUPDF = "pypdfium2", "pymupdf"


def available() -> bool:
    """Whether a library that reads PDF is installed."""
    return any(find_spec(name) is not None for name in (PDFIUM, MUPDF))


def extract(data: bytes, limits: Limits, media_type: str) -> Facts:
    """What a PDF file states of itself, its bookmarks, the text of its first pages."""
    facts = Facts()
    found = _read(data, limits, facts)
    info = found["info"]
    stated = xmp.read(found["xmp"] if found["engine"] == MUPDF else _packet(data, info))
    facts.title = words(info.get("Title")) or stated.get("title")
    facts.authors = _authors(info.get("Author"), stated.get("creator", []))
    facts.subject = words(info.get("Subject"))
    facts.description = stated.get("description")
    facts.keywords = (
        re.split(r"[,;\r\n]", info.get("Keywords") or "") if info.get("Keywords") else stated.get("subject", [])
    )
    facts.language = words(found.get("language")) or next(iter(stated.get("language", ())), words(info.get("Language")))
    facts.created_at = when(info.get("CreationDate")) or when(stated.get("createdate"))
    facts.modified_at = when(info.get("ModDate")) or when(stated.get("modifydate"))
    facts.page_count, facts.encrypted = found["pages"], found["encrypted"]
    facts.outline, facts.text = found["outline"], "\n\n".join(found["text"])
    if found["pages"] > len(found["text"]):
        facts.warnings.append("text_cut")
    if found.get("unreadable"):
        facts.warnings.append("pages_unreadable")
    if not data.startswith(b"%PDF-"):
        facts.warnings.append("header_not_first")
    if b"%%EOF" not in data[-2048:]:
        facts.warnings.append("truncated")
    facts.more |= {
        "producer": info.get("Producer"),
        "creator": info.get("Creator"),
        "pdf_version": found.get("version"),
        "engine": found["engine"],
        "text_pages": len(found["text"]),
        "pages_without_text": sum(not page.strip() for page in found["text"]),
    }
    return facts


def _read(data: bytes, limits: Limits, facts: Facts) -> dict[str, Any]:
    """What one library or the other says; of two refusals the first one's."""
    first: RefusedError | None = None
    for name, module in ((PDFIUM, "pdfium"), (MUPDF, "mupdf")):
        if find_spec(name) is None:
            continue
        try:
            found: dict[str, Any] = _engine(module)(data, limits)
        except RefusedError as refused:
            if refused.reason is Reason.ENCRYPTED:
                raise
            first = first or refused
            continue
        if first is not None or found.get("repaired"):
            facts.warnings.append("repaired")
        return found
    if first is not None:
        raise first
    raise RefusedError(Reason.NEEDS_EXTRA, "reading PDF takes the extra 'extract' or 'pdf'")


def _engine(module: str) -> Any:
    from importlib import import_module

    return import_module(f"catalogkit.extract.{module}").read


def _packet(data: bytes, info: dict[str, Any]) -> bytes | None:
    """The XMP; MuPDF unpacks what is compressed or encrypted, and is asked only where the Info dictionary is silent."""
    packet = xmp.find(data)
    if packet is None and b"/Metadata" in data and not all(words(info.get(name)) for name in _STATED):
        packet = _elsewhere(data)
    return xmp.last_of(data) if packet is None else packet


def _elsewhere(data: bytes) -> bytes | None:
    if find_spec(MUPDF) is None:
        return None
    from catalogkit.extract import mupdf

    return mupdf.packet(data)


def _authors(info: str | None, creators: list[str]) -> list[str]:
    """One by one where XMP tells them so, or a semicolon does; commas may stand within a name."""
    if not words(info):
        return creators
    assert info is not None
    flat = "".join(info.split()).casefold()
    if len(creators) > 1 and all("".join(one.split()).casefold() in flat for one in creators):
        return creators
    return [one.strip().rstrip(",") for one in info.split(";")]
