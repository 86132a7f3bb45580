"""HTML: what pages state, in every encoding, and what they say beside their menus."""

from __future__ import annotations

import codecs
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.extract.made import PROSE

if TYPE_CHECKING:
    pass

Told = "Callable[[bytes], ContentMetadata]"


def test_what_a_page_states(told: Told) -> None:
    """Title, description, authors, keywords, language, canonical address, headings, links, times, main text."""
    page = f"""<!DOCTYPE html><html lang="en-GB"><head><title>Birds &amp;
      more</title><META NAME="Description" CONTENT=" On  birds "><meta name=author content="Ada">
      <meta name="author" content="Bo"><meta name="keywords" content="birds, sea"><meta property="og:type" content=a>
      <meta property="article:published_time" content="2020-02-03T04:05:06Z">
      <link rel="Canonical alternate" href="https://example.org/birds">
      <style>p {{ color: red }}</style><script>var title = "<title>no</title>";</script></head>
      <body><nav><a href="/">Home</a><a href="/all">All</a></nav><main><h1>On <i>birds</i></h1>
      <p>{PROSE}</p><h2>Counts</h2><p>{PROSE}</p><a href="/all">All</a></main><script>alert("no")</script></body>"""
    one = told(page.encode())
    assert (one.media_type, one.title, one.description) == ("text/html", "Birds & more", "On birds")
    assert (one.authors, one.keywords) == (("Ada", "Bo"), ("birds", "sea"))
    assert (one.language, one.detected_language) == ("en-GB", "en")
    assert one.outline == ((1, "On birds"), (2, "Counts"))
    assert one.created_at == datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert one.more["canonical"] == "https://example.org/birds"
    assert (one.more["links"], one.more["link_count"], one.more["open_graph"]) == (["/", "/all"], 3, {"type": "a"})
    assert "northern islands" in one.text and "Home" not in one.text
    for unseen in ("alert", "color", "<title>"):
        assert unseen not in one.text + one.preview


@pytest.mark.parametrize(
    "encoding, declared, text",
    [
        ("utf-8", "", "Vögel über Öland"),
        ("utf-8", '<meta charset="utf-8">', "Птицы северных островов"),
        ("cp1252", "", "Les oiseaux préfèrent l’été à l’hiver"),
        ("latin-1", '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">', "Vögel"),
        ("cp1252", '<meta charset="latin1">', "“quoted” – with dashes"),
        ("cp1251", "", "Птицы северных островов прилетают весной и улетают до первых осенних бурь"),
        ("koi8-r", '<meta charset="koi8-r">', "Птицы"),
        ("shift_jis", '<meta charset="Shift_JIS">', "北の島の鳥"),
        ("gb18030", '<meta charset="gb2312">', "北方岛屿的鸟"),
        ("euc-kr", '<meta charset="euc-kr">', "북쪽 섬의 새들"),
        ("utf-16", "", "Vögel über Öland"),
        ("utf-16-le", "", "plain birds without a mark"),
        ("utf-8-sig", '<meta charset="latin-1">', "Vögel: the mark counts, not the word"),
        ("utf-8", '<meta charset="utf-16">', "Vögel: it cannot be what it says"),
        ("utf-8", '<meta charset="nonsense">', "Vögel"),
        ("utf-8", '<meta charset="iso-8859-1">', "Vögel: a template said so, “and was wrong”"),
        ("cp1252", '<meta charset="utf-8">', "Vögel: a server said better"),
        ("cp1251", '<meta charset="windows-1251">', "Птицы"),
        ("cp1251", f'<!--{"x" * 9000}--><meta charset="windows-1251">', "Птицы"),
    ],
)
def test_encodings(told: Told, encoding: str, declared: str, text: str) -> None:
    """Pages yield their characters whatever they are written in (hazard 72: Latin-1 pages yielded nothing)."""
    page = f"<html><head>{declared}<title>{text}</title></head><body><p>{text}</p></body></html>"
    one = told(page.encode(encoding))
    assert (one.title, one.text) == (text, text)
    assert "encoding_errors" not in one.warnings


def test_what_is_declared_is_no_guess(told: Told) -> None:
    """Neither in an element nor in an XML declaration; what is disproved and then guessed is told to be."""
    latin = '<!doctype html><meta charset="iso-8859-1"><title>Vögel</title>'.encode("latin-1")
    assert (told(latin).title, told(latin).warnings) == ("Vögel", ())
    xml = (
        '<?xml version="1.0" encoding="koi8-r"?><html xmlns="http://www.w3.org/1999/xhtml"><title>Птицы</title></html>'
    )
    one = told(xml.encode("koi8-r"))
    assert (one.title, one.warnings, one.more["encoding"]) == ("Птицы", (), "koi8-r")
    assert told(latin.replace(b"iso-8859-1", b"utf-8")).warnings == ("encoding_guessed",)


def test_bytes_that_are_no_characters_are_told(told: Told) -> None:
    """What is broken is replaced, and a warning says so."""
    one = told(b"<meta charset=utf-8><title>V\xffgel \xc3\xb6</title>")
    assert (one.title, "encoding_errors" in one.warnings) == ("V\ufffdgel ö", True)
    assert codecs.BOM_UTF8.decode() not in (one.title or "")


@pytest.mark.parametrize(
    "page, title",
    [
        ("<title></title><p>x", None),
        ("<title> \n </title><p>x", None),
        ("<p>No title at all, in <b>no</b> head", None),
        ("<svg><title>drawing</title></svg><p>x", None),
        ("<title>A</title><title>B</title>", "A"),
        ("<title>&lt;b&gt; &eacute; &#x2014; &nbsp;end</title>", "<b> é — end"),
        ("<html><body><p>late<title>late</title>", "late"),
        ("<TITLE>Upper</TITLE>", "Upper"),
        ("<!-- <title>old</title> --><title>new</title>", "new"),
        ('<title> </title><meta property="og:title" content="Shared">', "Shared"),
        ('<title>Own</title><meta property="og:title" content="Shared">', "Own"),
        ('<meta name="citation_title" content="A paper"><p>x', "A paper"),
    ],
)
def test_titles(told: Told, page: str, title: str | None) -> None:
    """A title is what a browser shows: entities resolved, white space collapsed, those of drawings apart."""
    assert told(b"<!doctype html>" + page.encode()).title == title


@pytest.mark.parametrize(
    "page, language",
    [
        ('<html lang="DE-at"><title>x</title>', "DE-at"),
        ('<html xml:lang="fr"><title>x</title>', "fr"),
        ('<html lang=""><body lang="it"><p>x', "it"),
        ('<meta http-equiv="content-language" content="pt"><p>x', "pt"),
        ('<meta name="DC.language" content="es"><p>x', "es"),
        ('<html lang="de"><meta name="language" content="en"><p>x', "de"),
        ("<title>x</title>", None),
    ],
)
def test_languages(told: Told, page: str, language: str | None) -> None:
    """A language is told as it is stated, wherever it is."""
    assert told(b"<!doctype html>" + page.encode()).language == language


def test_what_stands_for_a_description_and_where_addresses_lead(told: Told) -> None:
    """What is meant for readers comes before what is meant for others; relative addresses come with their base."""
    page = (
        '<!doctype html><base href="https://e.org/a/"><link rel="canonical" href="b.html">'
        '<meta property="og:description" content="Shared">'
    )
    one = told(page.encode())
    assert (one.description, one.more["canonical"], one.more["base"]) == ("Shared", "b.html", "https://e.org/a/")
    assert told(page.encode() + b'<meta name="description" content="Own">').description == "Own"
    assert "base" not in told(b"<!doctype html><base target=_top><p>x").more


def test_a_template_is_a_page(told: Told) -> None:
    """What begins with the braces of a template is a page, not broken JSON."""
    one = told(b"{% extends 'base' %}\n{{ title }}\n{{ more }}\n<div><h1>Birds</h1></div>")
    assert (one.media_type, one.outline) == ("text/html", ((1, "Birds"),))
    assert told(b"{{ name }}\n{{ more }}\n").media_type == "text/plain"


def test_xhtml_may_close_what_html_does_not(told: Told) -> None:
    """An empty element of XML does not swallow the rest of the page."""
    page = f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><script src="x"/>\
<title>Birds</title></head><body><a id="top"/><p>{PROSE}</p></body></html>'
    one = told(page.encode())
    assert (one.media_type, one.title) == ("application/xhtml+xml", "Birds")
    assert one.text.startswith("The birds")
