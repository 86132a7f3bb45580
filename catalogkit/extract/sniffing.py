"""The kind of a whole document, where its first bytes leave it open."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Final

from catalogkit.sniff import HEAD_BYTES, UNKNOWN, sniff

_OLE: Final = "application/x-ole-storage"
_MIMETYPE: Final = re.compile(rb"\s*(application/(?:epub\+zip|vnd\.[\w.+-]+))\s*")
# What begins so is no JSON but a template for a page.
_TEMPLATE: Final = re.compile(rb"\s*\{[{%#]")
_TAG: Final = re.compile(rb"<(html|head|body|div|p|a|h[1-6]|table|script)\b", re.IGNORECASE)
_OPENXML: Final = {
    "word/document.xml": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xl/workbook.xml": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ppt/presentation.xml": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}


def media_type_of(data: bytes) -> str:
    """The media type of a document."""
    told = sniff(data[:HEAD_BYTES], whole=len(data) <= HEAD_BYTES)
    if told in (UNKNOWN, "text/plain") and b"startxref" in data[-1024:] and b"/Root" in data:
        return "application/pdf"  # all but its first line
    if told in ("application/json", "application/x-ndjson") and _TEMPLATE.match(data):
        return "text/html" if _TAG.search(data[:HEAD_BYTES]) else "text/plain"
    return _container(data) if told == "application/zip" else told


def is_encrypted_office(data: bytes, media_type: str) -> bool:
    """Whether it is an Open XML document behind a password, which is kept in another container (MS-OFFCRYPTO)."""
    return media_type == _OLE and "EncryptedPackage".encode("utf-16-le") in data


def _container(data: bytes) -> str:
    """What a zip archive is whose first members do not tell."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if "mimetype" in names and (found := _MIMETYPE.fullmatch(archive.open("mimetype").read(200))):
                return found[1].decode()
            if any(name.endswith((".opf", "META-INF/container.xml")) for name in names):
                return "application/epub+zip"
            if "[Content_Types].xml" in names:
                return next((kind for name, kind in _OPENXML.items() if name in names), "application/zip")
    except Exception:  # noqa: BLE001 - whatever is wrong with it: then it is an archive and no more
        return "application/zip"
    return "application/zip"
