"""Detects the encoding of bytes as browsers do (WHATWG Encoding, and HTML 13.2.3)."""

from __future__ import annotations

import codecs
import re
from typing import Final

from catalogkit.sniff import BOMS

# Browsers look at the first kilobyte, and begin anew if what a page declares comes later.
HEAD_BYTES: Final = 65_536
_META: Final = re.compile(rb"""<meta\b[^>]*?\bcharset\s*=\s*["']?\s*([a-zA-Z0-9_:.+-]+)""", re.IGNORECASE)
_WESTERN: Final = ("cp1252", "iso8859-1", "iso8859-15", "ascii")
_COMMENT: Final = re.compile(rb"<!--.*?-->", re.DOTALL)
_XML: Final = re.compile(rb"""^\s*<\?xml\b[^>]*?\bencoding\s*=\s*["']([a-zA-Z0-9_:.+-]+)["']""")


def decode(data: bytes, *, markup: bool = False) -> tuple[str, str, bool]:
    """The text that `data` is, its encoding, and whether that was no more than a guess.

    A byte order mark counts most; then, in markup, what it declares, unless the bytes disprove it; then UTF-8, if it
    is; then what the bytes look like. Bytes that are no character become U+FFFD.
    """
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace"), encoding, False
    if len(data) >= 4:
        if data[1] == 0 and data[3] == 0 and data[0]:
            return data.decode("utf-16-le", "replace"), "utf-16-le", True
        if data[0] == 0 and data[2] == 0 and data[1]:
            return data.decode("utf-16-be", "replace"), "utf-16-be", True
    if markup and (declared := _declared(data[:HEAD_BYTES])) and not _disproved(declared, data):
        return data.decode(declared, "replace"), declared, False
    try:
        return data.decode(), "utf-8", False
    except UnicodeDecodeError:
        encoding = guess(data)
        return data.decode(encoding, "replace"), encoding, True


def _declared(head: bytes) -> str | None:
    match = _META.search(_COMMENT.sub(b"", head)) or _XML.match(head)
    name = known(match[1].decode("ascii")) if match else None
    # It was read as ASCII, so it is no such encoding.
    return "utf-8" if name and name.startswith(("utf-16", "utf-32")) else name


def _disproved(declared: str, data: bytes) -> bool:
    """Whether what a page declares is what no editor could have written: templates are copied, and servers say better.

    It is for UTF-8 without a single letter beyond ASCII in UTF-8, and for Western code pages where all of those are.
    """
    if data.isascii():
        return False
    if declared == "utf-8":
        return not any(ord(one) > 127 for one in data.decode("utf-8", "ignore"))
    if declared not in _WESTERN:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def known(label: str) -> str | None:
    """Python's name of the encoding that the web means by a label: Windows' where it says Latin-1."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    found = map_encoding_to_html5(label, fallback_utf8=False)
    return None if found is None else _python(found)


def guess(data: bytes) -> str:
    """What the bytes look like; ``cp1252`` where they look like nothing."""
    from resiliparse.parse.encoding import detect_encoding

    found = (detect_encoding(data, html5_compatible=False) or "").lower()
    # One code page of Apple looks much like that of Windows, which is a thousand times as common.
    found = {"mac-cyrillic": "cp1251"}.get(found, found)
    # It was asked because they are not UTF-8.
    return "cp1252" if found in ("", "utf-8", "ascii") else known(found) or _python(found) or "cp1252"


def _python(name: str) -> str | None:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None
