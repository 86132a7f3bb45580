"""Reads EPUB 2 and 3: the package file, the table of contents, the spine and its text."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from catalogkit.content import Reason
from catalogkit.extract import web
from catalogkit.extract.dates import when
from catalogkit.extract.encodings import decode
from catalogkit.extract.facts import OUTLINE_ITEMS, Facts, RefusedError, words
from catalogkit.extract.xmls import XML_LANG, Archive, local, named, parse_xml, text_of

if TYPE_CHECKING:
    from catalogkit.policies.extract import Limits

CONTAINER: Final = "META-INF/container.xml"
SPINE: Final = 2_000
# Fonts are obfuscated by these so that they cannot be taken out; the book itself can be read.
_FONTS: Final = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_DC: Final = re.compile(r"\{http://purl\.org/dc/elements/1\.[01]/\}(\w+)")
_EVENT: Final = "{http://www.idpf.org/2007/opf}event"
_TYPE: Final = "{http://www.idpf.org/2007/ops}type"


def extract(data: bytes, limits: Limits, media_type: str) -> Facts:
    """What a book states of itself, its contents, and its text from the beginning."""
    facts = Facts()
    book = Archive(data, limits.unpacked_bytes)
    where = _package(book, facts)
    package = _parse(book.read(where), facts)
    _stated(package, facts)
    folder = posixpath.dirname(where)
    manifest = {one.get("id"): one for one in named(package, "item") if one.get("href")}
    spine = next(named(package, "spine"), None)
    order = [ref.get("idref") for ref in named(package, "itemref")]
    facts.more["spine"] = [manifest[one].get("href") for one in order if one in manifest][:SPINE]
    facts.more["spine_count"] = len(order)
    facts.encrypted = _locked(book, where)
    _contents(book, folder, manifest, spine, facts)
    if not facts.encrypted:
        _text(book, [_path(folder, href) for href in facts.more["spine"]], facts, limits)
    return facts


def _package(book: Archive, facts: Facts) -> str:
    """Where the package file lies; books that were zipped with a folder around them are read all the same."""
    if "mimetype" not in book:
        facts.warnings.append("no_mimetype")
    elif book.names[0] != "mimetype":
        facts.warnings.append("mimetype_not_first")
    container = CONTAINER if CONTAINER in book else book.ending("/" + CONTAINER)
    if container != CONTAINER:
        facts.warnings.append("container_misplaced" if container else "no_container")
    if container:
        around = container.removesuffix(CONTAINER)
        for root in named(_parse(book.read(container), facts), "rootfile"):
            for name in (around + _path("", root.get("full-path", "")), _path("", root.get("full-path", ""))):
                if name in book:
                    return name
    found = book.ending(".opf")
    if found is None:
        raise RefusedError(Reason.DAMAGED, "there is no package file in it")
    return found


def _parse(data: bytes, facts: Facts) -> Any:
    try:
        return parse_xml(data)
    except RefusedError:
        facts.warnings.append("not_well_formed")
        return parse_xml(data, recover=True)


def _path(folder: str, href: str) -> str:
    """The name of a member, seen from a folder; it cannot leave the archive, for it is only looked up there."""
    return posixpath.normpath(posixpath.join(folder, unquote(href.partition("#")[0]))).lstrip("/")


def _stated(package: Any, facts: Facts) -> None:
    dc: dict[str, list[Any]] = {}
    for one in package.iter():
        if isinstance(one.tag, str) and (name := _DC.fullmatch(one.tag)) and words(text_of(one)):
            dc.setdefault(name[1].lower(), []).append(one)
    refined: dict[tuple[str, str], str] = {}
    for meta in named(package, "meta"):
        if meta.get("refines"):
            refined[meta.get("refines").lstrip("#"), meta.get("property", "")] = (meta.text or "").strip()
        elif meta.get("property") == "dcterms:modified":
            facts.modified_at = when(meta.text)
    said = {name: [words(text_of(one)) or "" for one in nodes] for name, nodes in dc.items()}
    titles = dc.get("title", [])
    main = [one for one in titles if refined.get((one.get("id", ""), "title-type")) == "main"]
    facts.title = words(text_of((main or titles)[0])) if titles else None
    facts.authors = said.get("creator", [])
    facts.description = next(iter(said.get("description", ())), None)
    facts.keywords = said.get("subject", [])
    facts.language = next(iter(said.get("language", ())), None) or package.get(XML_LANG)
    for one in dc.get("date", ()):
        event = (one.get(_EVENT) or "publication").lower()
        if event == "modification":
            facts.modified_at = facts.modified_at or when(text_of(one))
        else:
            facts.created_at = facts.created_at or when(text_of(one))
    facts.more |= {
        "epub_version": package.get("version"),
        "languages": said.get("language", []),
        "identifiers": said.get("identifier", []),
        "publisher": next(iter(said.get("publisher", ())), None),
        "contributors": said.get("contributor", []),
    }


def _locked(book: Archive, where: str) -> bool:
    name = where.removesuffix(posixpath.basename(where))
    for place in ("META-INF/encryption.xml", posixpath.dirname(name.rstrip("/")) + "/META-INF/encryption.xml"):
        if place.lstrip("/") in book:
            root = parse_xml(book.read(place.lstrip("/")), recover=True)
            methods = [one.get("Algorithm", "") for one in named(root, "encryptionmethod")]
            return any(not method.startswith(_FONTS) for method in methods)
    return False


# -- the table of contents ---------------------------------------------------------------------------------------


def _contents(book: Archive, folder: str, manifest: dict[Any, Any], spine: Any, facts: Facts) -> None:
    """EPUB 3 has a navigation document, EPUB 2 an NCX file, many have both: the newer one counts if it says a thing."""
    nav = next((one for one in manifest.values() if "nav" in one.get("properties", "").split()), None)
    ncx = manifest.get(spine.get("toc")) if spine is not None else None
    if ncx is None:
        ncx = next((one for one in manifest.values() if one.get("media-type") == "application/x-dtbncx+xml"), None)
    for item, read in ((nav, _nav), (ncx, _ncx)):
        name = None if item is None else _path(folder, item.get("href"))
        if name is not None and name in book and not facts.outline:
            try:
                facts.outline = read(_parse(book.read(name), facts))[:OUTLINE_ITEMS]
            except RefusedError as refused:
                if refused.reason is Reason.TOO_LARGE:
                    raise
                facts.warnings.append("contents_damaged")
    facts.more["toc_count"] = len(facts.outline)


def _nav(root: Any) -> list[tuple[int, str]]:
    """The entries of the list of contents, not of the lists of pages and landmarks beside it."""
    navs = list(named(root, "nav"))
    toc = next((one for one in navs if "toc" in one.get(_TYPE, "").split()), navs[0] if navs else None)
    found = []
    for item in named(toc, "li") if toc is not None else ():
        label = next((one for one in item if local(one) in ("a", "span")), None)
        if label is not None:
            level = sum(local(above) == "li" for above in item.iterancestors()) + 1
            found.append((level, text_of(label)))
    return found


def _ncx(root: Any) -> list[tuple[int, str]]:
    found = []
    for point in named(root, "navpoint"):
        label = next((text_of(one) for one in point if local(one) == "navlabel"), "")
        found.append((sum(local(above) == "navpoint" for above in point.iterancestors()) + 1, label))
    return found


def _text(book: Archive, names: list[str], facts: Facts, limits: Limits) -> None:
    """The text in the sequence of the spine, until there is enough."""
    parts: list[str] = []
    chars = 0
    for name in names:
        if name not in book:
            facts.warnings.append("spine_incomplete")
            continue
        try:
            parts.append(web.all_text(web.markup(decode(book.read(name), markup=True)[0], xml=True)))
        except RefusedError as refused:
            if refused.reason is Reason.TOO_LARGE:
                raise
            facts.warnings.append("part_damaged")
            continue
        chars += len(parts[-1])
        if chars > limits.text_chars:
            facts.warnings.append("text_cut")
            break
    facts.text = "\n\n".join(parts)
