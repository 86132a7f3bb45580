"""Reads PDF with PDFium (Apache-2.0 and BSD-3-Clause)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalogkit.content import Reason
from catalogkit.extract.facts import OUTLINE_ITEMS, RefusedError

if TYPE_CHECKING:
    from catalogkit.policies.extract import Limits

_FIELDS: Final = (
    "Title",
    "Author",
    "Subject",
    "Keywords",
    "Creator",
    "Producer",
    "CreationDate",
    "ModDate",
    "Language",
)


def read(data: bytes, limits: Limits) -> dict[str, Any]:
    """Pages, info, bookmarks, and the text of the first pages."""
    import pypdfium2 as pdfium
    import pypdfium2.raw as raw

    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as problem:
        if "assword" in str(problem):
            raise RefusedError(Reason.ENCRYPTED, "it needs a password", encrypted=True) from None
        if "ecurity" in str(problem):
            raise RefusedError(Reason.ENCRYPTED, "it is encrypted in an unknown way", encrypted=True) from None
        raise RefusedError(Reason.DAMAGED, str(problem)) from None
    try:
        pages = len(document)
        text = list(_text(document, min(pages, limits.pages), limits.text_chars))
        if pages < 1:
            raise RefusedError(Reason.DAMAGED, "it has no pages")
        return {
            "engine": "pypdfium2",
            "pages": pages,
            "info": {name: document.get_metadata_value(name) for name in _FIELDS},
            "version": _version(document.get_version()),
            "language": _language(raw, document),
            "encrypted": raw.FPDF_GetSecurityHandlerRevision(document) >= 0,
            "outline": _outline(document),
            "text": [one or "" for one in text],
            "unreadable": text.count(None),
        }
    finally:
        document.close()


def _text(document: Any, pages: int, most: int) -> Any:
    import pypdfium2 as pdfium

    chars = 0
    for number in range(pages):
        try:
            page = document[number]
            textpage = page.get_textpage()
        except pdfium.PdfiumError:
            yield None
            continue
        text = textpage.get_text_range()
        textpage.close()
        page.close()
        # PDFium marks a word that goes on in the next line.
        yield (text := text.replace("\ufffe", "").replace("\x02", ""))
        chars += len(text)
        if chars > most:
            return


def _outline(document: Any) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    try:
        for mark in document.get_toc(max_depth=30):
            found.append((mark.level + 1, mark.get_title() or ""))
            if len(found) >= OUTLINE_ITEMS:
                break
    except Exception:  # noqa: BLE001 - bookmarks that lead in circles end the list, not the document
        return found
    return found


def _language(raw: Any, document: Any) -> str | None:
    import ctypes

    length = raw.FPDFCatalog_GetLanguage(document, None, 0)
    if not 2 < length < 1000:
        return None
    buffer = ctypes.create_string_buffer(length)
    raw.FPDFCatalog_GetLanguage(document, ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), length)
    return buffer.raw[: length - 2].decode("utf-16-le", "replace")


def _version(number: int | None) -> str | None:
    return f"{number // 10}.{number % 10}" if number else None
