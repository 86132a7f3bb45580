"""Reads XML of any kind: its root, its title where it has one near the top, its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.extract.dates import when
from catalogkit.extract.facts import Facts, RefusedError, words
from catalogkit.extract.xmls import XML_LANG, local, parse_xml, text_of

if TYPE_CHECKING:
    from catalogkit.policies.extract import Limits

# A title of the whole stands near the top: channel/title, info/title, front/article-meta/title-group/article-title.
NEAR: int = 5


def extract(data: bytes, limits: Limits, media_type: str) -> Facts:
    """What most kinds of XML have in common."""
    facts = Facts()
    try:
        root = parse_xml(data)
    except RefusedError:
        root = parse_xml(data, recover=True)
        facts.warnings.append("not_well_formed")
    facts.language = root.get(XML_LANG) or root.get("lang")
    names: dict[str, None] = {}
    elements = 0
    for node in root.iter():
        elements += 1
        name = local(node)
        if len(names) < 100:
            names[name] = None
        if elements > 2_000:
            continue
        depth = sum(1 for _ in node.iterancestors()) if facts.title is None else NEAR + 1
        if name in ("title", "article-title") and 0 < depth <= NEAR:
            facts.title = words(text_of(node))
        elif name in ("creator", "author") and not facts.authors:
            facts.authors = [text_of(node)]
        elif name in ("pubdate", "published") and facts.created_at is None:
            facts.created_at = when(node.text)
        elif name in ("description", "subtitle") and facts.description is None:
            facts.description = text_of(node)
        elif name == "language" and facts.language is None:
            facts.language = node.text
    parts: list[str] = []
    chars = 0
    for text in root.itertext():
        if text.strip():
            parts.append(text.strip())
            chars += len(text)
        if chars > limits.text_chars:
            break
    facts.text = "\n".join(parts)
    namespace = root.tag[1:].partition("}")[0] if root.tag.startswith("{") else None
    facts.more |= {"root": local(root), "namespace": namespace, "element_count": elements, "elements": list(names)}
    return facts
