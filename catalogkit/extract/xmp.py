"""Reads XMP, the metadata in XML that PDF files carry (ISO 16684-1)."""

from __future__ import annotations

import re
from typing import Any, Final

from catalogkit.extract.facts import RefusedError, words
from catalogkit.extract.xmls import XML_LANG, local, parse_xml, text_of

MOST_BYTES: Final = 1_000_000
# It is to be found without understanding the file, for which it has an envelope of its own.
_ENVELOPE: Final = re.compile(rb"<(x:xmpmeta|rdf:RDF)[\s>].*?</\1\s*>", re.DOTALL)
_ROOT: Final = re.compile(rb"/Root\s+(\d{1,10})\s+(\d{1,5})\s+R\b")
_METADATA: Final = re.compile(rb"/Metadata\s+(\d{1,10})\s+(\d{1,5})\s+R\b")
_ONE: Final = {"title", "description"}
_MANY: Final = {"creator", "subject", "language"}
_DATES: Final = {"createdate", "modifydate"}


def find(data: bytes) -> bytes | None:
    """The packet that the document's catalog refers to; empty if it refers to none.

    None where that takes somebody who understands the file: the catalog, or what it refers to, is compressed or
    encrypted, and there is not just one packet. Pictures have packets of their own, which say nothing of the document.
    """
    catalog = _object(data, _last(_ROOT, data, b"/Root"))
    if catalog is not None:
        referred = _METADATA.search(catalog)
        if referred is None:
            return b""
        stream = _object(data, referred)
        envelope = None if stream is None else _ENVELOPE.search(stream)
        return None if envelope is None else envelope[0]
    first, last = data.find(b"</x:xmpmeta"), data.rfind(b"</x:xmpmeta")
    return last_of(data) if first == last else None


def last_of(data: bytes) -> bytes | None:
    """The last packet in a file, for updates are written at its end: the best that can be had without its catalog."""
    end = data.rfind(b"</x:xmpmeta")
    tag = b"<x:xmpmeta"
    if end < 0:
        end, tag = data.rfind(b"</rdf:RDF"), b"<rdf:RDF"
    start = data.rfind(tag, 0, end) if end >= 0 else -1
    if start < 0 or end - start > MOST_BYTES:
        return None
    close = data.find(b">", end)
    return data[start : close + 1] if close >= 0 else None


def _last(form: re.Pattern[bytes], data: bytes, word: bytes) -> re.Match[bytes] | None:
    """The last place where `word` begins what has a form."""
    end = len(data)
    for _ in range(20):
        end = data.rfind(word, 0, end)
        if end < 0:
            return None
        if match := form.match(data, end):
            return match
    return None


def _object(data: bytes, reference: re.Match[bytes] | None) -> bytes | None:
    """The last version of an object that a file has in plain sight."""
    if reference is None:
        return None
    named = b"%d %d obj" % (int(reference[1]), int(reference[2]))
    start = data.rfind(named)
    while start > 0 and data[start - 1 : start].isdigit():
        start = data.rfind(named, 0, start)
    if start < 0:
        return None
    end = data.find(b"endobj", start, start + MOST_BYTES)
    return data[start:end] if end >= 0 else None


def read(packet: bytes | None) -> dict[str, Any]:
    """Title, creators, description, subjects, languages and times; nothing where it cannot be parsed."""
    if not packet or len(packet) > MOST_BYTES:
        return {}
    envelope = _ENVELOPE.search(packet)
    try:
        root = parse_xml(envelope[0] if envelope else packet, recover=True)
    except RefusedError:
        return {}
    said: dict[str, Any] = {}
    for node in root.iter():
        name = local(node)
        if name == "description" and node.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about") is not None:
            for key, value in node.attrib.items():
                if (short := key.rpartition("}")[2].lower()) in _DATES:
                    said.setdefault(short, value)
                elif short in _ONE and "purl.org" in key:
                    said.setdefault(short, words(value))
        elif name in _DATES:
            said.setdefault(name, (node.text or "").strip())
        elif (name in _ONE or name in _MANY) and "purl.org" in node.tag:
            items = [one for one in node.iter() if local(one) == "li"] or [node]
            default = [one for one in items if one.get(XML_LANG) == "x-default"]
            values = [told for one in items if (told := words(text_of(one)))]
            if name in _MANY:
                said.setdefault(name, values)
            elif values:
                said.setdefault(name, words(text_of(default[0])) if default else values[0])
    return said
