"""Detects the media type of a document from its first bytes, never from its name.

Binary signatures and the order of the text tests follow the WHATWG MIME Sniffing Standard; zip containers are
told apart by the names and the ``mimetype`` entry of their first members (EPUB OCF 3.3, ODF 1.3, ECMA-376).
"""

from __future__ import annotations

import codecs
import re
from typing import Final

HEAD_BYTES: Final = 4096

EMPTY: Final = "application/x-empty"
UNKNOWN: Final = "application/octet-stream"

_SIGNATURES: Final = (
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"PK\x05\x06", "application/zip"),  # without any member
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
    (b"%!PS", "application/postscript"),
    (b"{\\rtf", "application/rtf"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"AT&TFORM", "image/vnd.djvu"),
    (b"\x7fELF", "application/x-elf"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
)
BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OPENXML: Final = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
# Bytes that never stand in text: the "binary data bytes" of the standard.
_BINARY: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_HTML: Final = re.compile(
    r"<(!doctype\s+html|html|head|title|body|script|iframe|h1|div|font|table|a|style|b|br|p|meta|link)(?=[\s>/])",
    re.IGNORECASE,
)
_PROLOG: Final = re.compile(r"(\s+|<\?.*?\?>|<!--.*?-->)+", re.DOTALL)
_JSON_OBJECT: Final = re.compile(r'\{\s*("|\}|$|//|/\*|#)')
_JSON_ARRAY: Final = re.compile(r'\[\s*(["\[{\]\-0-9]|true\b|false\b|null\b|NaN\b|Infinity\b|$)')
_JSON_SCALAR: Final = re.compile(r'("([^"\\]|\\.)*"|-?\d+(\.\d+)?([eE][+-]?\d+)?|true|false|null)\s*')
_COMMENTS: Final = re.compile(r"(\s+|//[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
_JSON_LINES: Final = re.compile(r"([{\[].*[}\]]\r?\n){1,}[{\[]")


def sniff(head: bytes, whole: bool = False) -> str:
    """The media type of a document that begins with `head`.

    Parameters
    ----------
    head
        The first bytes; `HEAD_BYTES` of them are enough.
    whole
        Whether `head` is the entire document, which lets a lone JSON value be told from text.

    Returns
    -------
    str
        A bare media type without parameters; ``application/octet-stream`` where nothing fits.
    """
    if not head:
        return EMPTY
    if b"%PDF-" in head[:1024]:  # readers accept the header anywhere in the first kilobyte (ISO 32000-1, annex H)
        return "application/pdf"
    if head.startswith(b"PK\x03\x04"):
        return _zip(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return "video/mp4"
    for signature, media_type in _SIGNATURES:
        # Letters alone may begin a text, too ("BMJ Open ..."): then the bytes have to be those of no text.
        if head.startswith(signature) and (not signature.isalnum() or _BINARY.search(head)):
            return media_type
    text = _text(head)
    return UNKNOWN if text is None else _text_type(text, whole and len(head) <= HEAD_BYTES)


def _zip(head: bytes) -> str:
    names = re.findall(rb"PK\x03\x04.{22}(.{2}).{2}", head, re.DOTALL)
    length = int.from_bytes(names[0], "little") if names else 0
    name, rest = head[30 : 30 + length], head[30 + length :]
    if name == b"mimetype" and (found := re.match(rb"application/(epub\+zip|vnd\.[\w.+-]+?)(?=PK|[^\w.+-]|$)", rest)):
        return found[0].decode()
    if b"META-INF/container.xml" in head or b".opf" in head or b"application/epub+zip" in head:
        return "application/epub+zip"
    if b"[Content_Types].xml" in head or b"_rels/.rels" in head:
        for folder, media_type in _OPENXML.items():
            if folder in head:
                return media_type
    return "application/zip"


def _text(head: bytes) -> str | None:
    for bom, encoding in BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(encoding, errors="ignore")
    if len(head) >= 4 and head[1] == 0 and head[0] and head[3] == 0:
        return head.decode("utf-16-le", errors="ignore")
    if len(head) >= 4 and head[0] == 0 and head[1] and head[2] == 0:
        return head.decode("utf-16-be", errors="ignore")
    text = head.decode("latin-1")
    # A page in an old code page may hold control bytes; the standard looks for tags first, too.
    return text if _HTML.match(text.lstrip()) or not _BINARY.search(head) else None


def _text_type(text: str, whole: bool) -> str:
    body = text.lstrip()
    if body.startswith(("//", "/*")) and (bare := _COMMENTS.sub("", body, count=1)).startswith(("{", "[")):
        body = bare  # configuration files that are JSON but for their comments
    if body.startswith(("{", "[")):
        if _JSON_LINES.match(body):
            return "application/x-ndjson"
        if _JSON_OBJECT.match(body) or _JSON_ARRAY.match(body):
            return "application/json"
    prolog = _PROLOG.match(text)
    tag = text[prolog.end() :] if prolog else text
    if body.startswith("<?xml"):
        if _HTML.match(tag) and ("<html" in tag.lower() or tag.startswith("<!")):
            return "application/xhtml+xml"
        return "image/svg+xml" if "<svg" in tag[:1000] else "application/xml"
    if _HTML.match(tag):
        return "text/html"
    if re.match(r"<svg[\s>]", tag):
        return "image/svg+xml"
    if re.search(r"<(html|head|body)[\s>]|<!doctype\s+html", text[:2048], re.IGNORECASE):
        return "text/html"
    if whole and _JSON_SCALAR.fullmatch(body):
        return "application/json"
    return "text/plain"
