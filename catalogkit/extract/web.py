"""Reads HTML with lexbor's HTML5 parser: selectolax gives the tree, resiliparse the text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from catalogkit.content import Reason
from catalogkit.extract.dates import when
from catalogkit.extract.encodings import decode
from catalogkit.extract.facts import Facts, RefusedError, words

if TYPE_CHECKING:
    from catalogkit.policies.extract import Limits

LINKS: Final = 500
HEADINGS: Final = 5_000
# Less than this is no main text but what is left of a page that has none.
MAIN_CHARS: Final = 100
# What XML closes within one tag, and HTML takes for the beginning of what never ends.
_CLOSED: Final = re.compile(r"<(title|script|style|textarea|iframe|noscript|xmp|a|div|p|span|i|b|em)\b([^<>]*)/>", re.I)
_AUTHORS: Final = ("author", "citation_author", "dc.creator", "dcterms.creator", "article:author")
# Where a page has no element or attribute that is meant for it.
_TITLES: Final = ("og:title", "citation_title", "dc.title", "dcterms.title", "twitter:title")
_DESCRIPTIONS: Final = ("description", "og:description", "dc.description", "dcterms.description", "twitter:description")
_LANGUAGES: Final = ("content-language", "dc.language", "dcterms.language", "language")
_CREATED: Final = ("article:published_time", "dcterms.created", "dc.date", "citation_publication_date", "date")
_MODIFIED: Final = ("article:modified_time", "dcterms.modified", "last-modified")


def extract(data: bytes, limits: Limits, media_type: str) -> Facts:
    """What a page states of itself, its headings and links, its main text."""
    text, encoding, guessed = decode(data, markup=True)
    facts = read(markup(text, xml=media_type == "application/xhtml+xml"))
    facts.more["encoding"] = encoding
    if guessed:
        facts.warnings.append("encoding_guessed")
    if "\ufffd" in text[: limits.text_chars] and b"\xef\xbf\xbd" not in data:
        facts.warnings.append("encoding_errors")
    return facts


def markup(text: str, *, xml: bool = False) -> str:
    """A page as HTML, also where it was written as XML."""
    return _CLOSED.sub(r"<\1\2></\1>", text) if xml else text


def read(text: str) -> Facts:
    """What a page states of itself, from its characters."""
    from selectolax.lexbor import LexborHTMLParser

    tree, facts = LexborHTMLParser(text), Facts()
    meta = _meta(tree)
    titles = tree.css("head > title") or [one for one in tree.css("title") if not _within_svg(one)]
    facts.title = (words(titles[0].text()) if titles else None) or _first(meta, _TITLES)
    facts.authors = next((meta[name] for name in _AUTHORS if name in meta), [])
    facts.description = _first(meta, _DESCRIPTIONS)
    facts.keywords = [word for line in meta.get("keywords", ()) for word in re.split(r"[,;]", line)]
    facts.language = _language(tree) or _first(meta, _LANGUAGES)
    facts.created_at = next((found for name in _CREATED for one in meta.get(name, ()) if (found := when(one))), None)
    facts.modified_at = next((found for name in _MODIFIED for one in meta.get(name, ()) if (found := when(one))), None)
    for heading in tree.css("h1, h2, h3, h4, h5, h6")[:HEADINGS]:
        if told := words(heading.text()):
            facts.outline.append((int(str(heading.tag)[1]), told))
    links = [(link.attributes["href"] or "").strip() for link in tree.css("a[href], area[href]")]
    facts.more |= {
        "canonical": _link(tree, "canonical"),
        "base": _base(tree),
        "generator": _first(meta, ("generator",)),
        "open_graph": {name[3:]: values[0] for name, values in meta.items() if name.startswith("og:")},
        "links": list(dict.fromkeys(links))[:LINKS],
        "link_count": len(links),
    }
    facts.text = main_text(text)
    return facts


def main_text(page: str) -> str:
    """What a page has to say, without menus and banners; all of its text where no part of it stands out."""
    main = all_text(page, main_content=True)
    if len(main) >= MAIN_CHARS:
        return main
    return all_text(page) or main


def all_text(page: str, *, main_content: bool = False) -> str:
    """The text of a page that is seen: no scripts, no styles, no comments.

    Raises
    ------
    RefusedError
        If it cannot be parsed.
    """
    from resiliparse.extract.html2text import extract_plain_text

    try:
        return str(
            extract_plain_text(
                page,
                preserve_formatting=True,
                main_content=main_content,
                list_bullets=False,
                alt_texts=False,
                comments=False,
                skip_elements=["svg"],
            )
        )
    except Exception as problem:  # the parser has errors of its own
        raise RefusedError(Reason.DAMAGED, f"the page cannot be parsed: {problem}") from problem


def _meta(tree: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in tree.css("meta[content]"):
        said = one.attributes
        for attribute in ("name", "property", "http-equiv"):
            if (name := words(said.get(attribute))) and (value := words(said["content"])):
                found.setdefault(name.lower(), []).append(value)
                break
    return found


def _first(meta: dict[str, list[str]], names: tuple[str, ...]) -> str | None:
    return next((meta[name][0] for name in names if name in meta), None)


def _base(tree: Any) -> str | None:
    """The address that relative ones are relative to, where it is not that of the page."""
    base = tree.css_first("base[href]")
    return None if base is None else words(base.attributes["href"])


def _language(tree: Any) -> str | None:
    for top in ("html", "body"):
        one = tree.css_first(top)
        for name in ("lang", "xml:lang"):
            if one is not None and (value := words(one.attributes.get(name))):
                return value
    return None


def _link(tree: Any, relation: str) -> str | None:
    for one in tree.css("link[rel][href]"):
        if relation in (one.attributes["rel"] or "").lower().split():
            return words(one.attributes["href"])
    return None


def _within_svg(node: Any) -> bool:
    while (node := node.parent) is not None:
        if node.tag == "svg":
            return True
    return False
