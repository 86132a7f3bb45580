"""XMP, the metadata in XML that PDF files carry (ISO 16684-1)."""

from __future__ import annotations

import re
from typing import Any, Final

from catalogkit.extract.facts import RefusedError, words
from catalogkit.extract.xmls import XML_LANG, local, parse_xml, text_of

MOST_BYTES: Final = 1_000_000
# It is to be found without understanding the file, for which it has an envelope of its own.
_ENVELOPE: Final = re.compile(rb"<(x:xmpmeta|rdf:RDF)[\s>].*?</\1\s*>", re.DOTALL)
_ONE: Final = {"title", "description"}
_MANY: Final = {"creator", "subject", "language"}
_DATES: Final = {"createdate", "modifydate"}


def find(data: bytes) -> bytes | None:
    """The packet of the document: the last one in the file, for updates are written at its end."""
    end = data.rfind(b"</x:xmpmeta")
    tag = b"<x:xmpmeta"
    if end < 0:
        end, tag = data.rfind(b"</rdf:RDF"), b"<rdf:RDF"
    start = data.rfind(tag, 0, end) if end >= 0 else -1
    if start < 0 or end - start > MOST_BYTES:
        return None
    close = data.find(b">", end)
    return data[start : close + 1] if close >= 0 else None


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
