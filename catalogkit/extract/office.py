"""Reads office documents: Open XML (DOCX, PPTX, XLSX) and OpenDocument (ODT and its kin)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from catalogkit.content import Reason
from catalogkit.extract.dates import when
from catalogkit.extract.facts import Facts, RefusedError
from catalogkit.extract.xmls import Archive, local, named, parse_xml, text_of

if TYPE_CHECKING:
    from catalogkit.policies.extract import Limits


def extract(data: bytes, limits: Limits, media_type: str) -> Facts:
    """What a document states of itself, its headings, its text."""
    document = Archive(data, limits.unpacked_bytes)
    facts = Facts()
    if "content.xml" in document:
        _open_document(document, facts)
    elif "[Content_Types].xml" in document:
        _open_xml(document, facts)
    else:
        raise RefusedError(Reason.DAMAGED, "it has none of the parts of a document")
    return facts


def _properties(root: Any, facts: Facts) -> None:
    """The properties that both families have in common: Dublin Core, mostly."""
    said: dict[str, list[str]] = {}
    for node in root.iter():
        if local(node) and (text := (node.text or "").strip()):
            said.setdefault(local(node), []).append(text)

    def first(*names: str) -> str | None:
        return next((said[name][0] for name in names if name in said), None)

    facts.title, facts.subject, facts.description = first("title"), first("subject"), first("description")
    facts.authors = re.split(r"\s*;\s*", first("initial-creator", "creator") or "")
    facts.keywords = [word for line in said.get("keywords", said.get("keyword", [])) for word in re.split("[,;]", line)]
    facts.language = first("language")
    facts.created_at = when(first("creation-date", "created"))
    facts.modified_at = when(first("date", "modified"))
    facts.more |= {"generator": first("generator"), "last_modified_by": first("lastmodifiedby")}


# -- OpenDocument ------------------------------------------------------------------------------------------------


def _open_document(document: Archive, facts: Facts) -> None:
    if "META-INF/manifest.xml" in document and b"encryption-data" in document.read("META-INF/manifest.xml"):
        raise RefusedError(Reason.ENCRYPTED, "it needs a password", encrypted=True)
    if "meta.xml" in document:
        meta = parse_xml(document.read("meta.xml"))
        _properties(meta, facts)
        for node in named(meta, "document-statistic"):
            facts.page_count = next((_number(v) for k, v in node.attrib.items() if k.endswith("}page-count")), None)
    lines = []
    for node in named(parse_xml(document.read("content.xml")), "p", "h"):
        text = text_of(node)
        lines.append(text)
        if local(node) == "h":
            level = next((_number(v) for k, v in node.attrib.items() if k.endswith("}outline-level")), None)
            facts.outline.append((level or 1, text))
    facts.text = "\n".join(lines)


# -- Open XML ----------------------------------------------------------------------------------------------------


def _open_xml(document: Archive, facts: Facts) -> None:
    if "docProps/core.xml" in document:
        _properties(parse_xml(document.read("docProps/core.xml")), facts)
    if "docProps/app.xml" in document:
        app = {local(node): node.text for node in parse_xml(document.read("docProps/app.xml")).iter()}
        facts.page_count = _number(app.get("pages") or app.get("slides"))
        facts.more["generator"] = app.get("application")
    slides = sorted((n for n in document.names if re.fullmatch(r"ppt/slides/slide\d+\.xml", n)), key=_natural)
    if slides:
        facts.page_count = len(slides)
    parts = [name for name in ("word/document.xml", "xl/sharedStrings.xml", *slides) if name in document]
    lines: list[str] = []
    for name in parts:
        for paragraph in named(parse_xml(document.read(name)), "p", "si"):
            text = "".join(_runs(paragraph))
            lines.append(text)
            if text.strip() and (level := _heading(paragraph)):
                facts.outline.append((level, text))
    facts.text = "\n".join(lines)


def _runs(paragraph: Any) -> list[str]:
    space = {"tab": "\t", "br": "\n", "cr": "\n"}
    return [node.text or "" if local(node) == "t" else space.get(local(node), "") for node in paragraph.iter()]


def _heading(paragraph: Any) -> int | None:
    for style in named(paragraph, "pstyle"):
        value = next((v for k, v in style.attrib.items() if k.endswith("}val")), "")
        if value == "Title":
            return 1
        if found := re.fullmatch(r"[Hh]eading\s?([1-9])", value):
            return int(found[1])
    return None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() and len(text) < 10 else None


def _natural(name: str) -> int:
    return int("".join(filter(str.isdecimal, name)) or 0)
