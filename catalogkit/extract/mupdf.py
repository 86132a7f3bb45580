"""Reads PDF with MuPDF (AGPL-3.0, or a commercial licence from Artifex), which is why it is an extra of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalogkit.content import Reason
from catalogkit.extract.facts import OUTLINE_ITEMS, RefusedError

if TYPE_CHECKING:
    from catalogkit.policies.extract import Limits

_NAMES: Final = {
    "title": "Title", "author": "Author", "subject": "Subject", "keywords": "Keywords", "creator": "Creator",
    "producer": "Producer", "creationDate": "CreationDate", "modDate": "ModDate",
}  # fmt: skip


def _open(data: bytes) -> Any:
    import pymupdf as untyped

    pymupdf: Any = untyped
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    try:
        document = pymupdf.open(stream=data, filetype="pdf")
    except Exception as problem:  # noqa: BLE001 - MuPDF has several errors of its own
        raise RefusedError(Reason.DAMAGED, str(problem)) from None
    if document.needs_pass:
        raise RefusedError(Reason.ENCRYPTED, "it needs a password", encrypted=True)
    return document


def read(data: bytes, limits: Limits) -> dict[str, Any]:
    """Pages, info, bookmarks, XMP, and the text of the first pages."""
    document = _open(data)
    try:
        pages = document.page_count
        if pages < 1:
            raise RefusedError(Reason.DAMAGED, "it has no pages")
        info = document.metadata or {}
        return {
            "engine": "pymupdf",
            "pages": pages,
            "info": {ours: info.get(theirs) for theirs, ours in _NAMES.items()},
            "version": str(info.get("format") or "").removeprefix("PDF ") or None,
            "language": _language(document),
            "encrypted": bool(info.get("encryption")),
            "outline": [(level, title) for level, title, *_ in document.get_toc()[:OUTLINE_ITEMS]],
            "text": list(_text(document, min(pages, limits.pages), limits.text_chars)),
            "xmp": (document.get_xml_metadata() or "").encode() or None,
            "repaired": document.is_repaired,
        }
    except RefusedError:
        raise
    except Exception as problem:  # noqa: BLE001 - MuPDF has several errors of its own
        raise RefusedError(Reason.DAMAGED, str(problem)) from None
    finally:
        document.close()


def packet(data: bytes) -> bytes | None:
    """The XMP of a document, wherever it is; empty if there is none, None if the document cannot be opened."""
    try:
        document = _open(data)
    except RefusedError:
        return None
    try:
        return (document.get_xml_metadata() or "").encode()
    except Exception:  # noqa: BLE001 - without it there is none
        return None
    finally:
        document.close()


def _text(document: Any, pages: int, most: int) -> Any:
    chars = 0
    for number in range(pages):
        yield (text := str(document[number].get_text()))
        chars += len(text)
        if chars > most:
            return


def _language(document: Any) -> str | None:
    kind, value = document.xref_get_key(document.pdf_catalog(), "Lang")
    return str(value) if kind == "string" else None
