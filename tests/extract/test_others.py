"""Documents of word processors, XML, plain text, and what nobody reads; dates and languages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from catalogkit.content import Reason
from catalogkit.extract import registry
from catalogkit.extract.dates import when
from catalogkit.extract.encodings import decode
from catalogkit.extract.facts import plain, words
from catalogkit.extract.language import detect
from tests.extract.made import PROSE, docx, odt, pdf

if TYPE_CHECKING:
    pass

Told = "Callable[[bytes], ContentMetadata]"


def test_docx(told: Told) -> None:
    """Core properties, pages, headings, text with its tabs and breaks."""
    core = (
        "<dc:title>On Birds</dc:title><dc:creator>Ada;Bo</dc:creator><cp:keywords>birds, sea</cp:keywords>"
        "<dcterms:created>2020-01-02T03:04:05Z</dcterms:created><dc:language>en</dc:language>"
    )
    body = (
        '<w:p><w:pPr><w:pStyle w:val="Heading2"/></w:pPr><w:r><w:t>Counts</w:t></w:r></w:p>'
        f"<w:p><w:r><w:t>One</w:t><w:tab/><w:t>two</w:t></w:r></w:p><w:p><w:r><w:t>{PROSE}</w:t></w:r></w:p>"
    )
    one = told(docx(core, body))
    assert (one.extractor, one.title, one.authors, one.page_count) == ("office", "On Birds", ("Ada", "Bo"), 7)
    assert (one.keywords, one.language, one.outline) == (("birds", "sea"), "en", ((2, "Counts"),))
    assert one.created_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert one.text.startswith("Counts\nOne two") or one.text.startswith("Counts\nOne\ttwo")


def test_odt(told: Told) -> None:
    """Its own properties, pages, headings, text; one with a password is refused."""
    meta = (
        "<dc:title>On Birds</dc:title><meta:initial-creator>Ada</meta:initial-creator><dc:creator>Editor</dc:creator>"
        "<meta:keyword>birds</meta:keyword><meta:keyword>sea</meta:keyword><dc:date>2021-02-03T04:05:06</dc:date>"
        '<meta:document-statistic meta:page-count="3"/>'
    )
    body = f'<text:h text:outline-level="2">Counts</text:h><text:p>{PROSE}</text:p>'
    one = told(odt(meta, body))
    assert (one.title, one.authors, one.keywords, one.page_count) == ("On Birds", ("Ada",), ("birds", "sea"), 3)
    assert (one.outline, one.text.startswith("Counts\nThe birds")) == (((2, "Counts"),), True)
    assert one.modified_at == datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC)
    locked = told(odt(meta, body, "<file-entry><encryption-data/></file-entry>"))
    assert (locked.reason, locked.encrypted) == (Reason.ENCRYPTED, True)


def test_xml(told: Told) -> None:
    """Root, namespace, a title near the top, text; broken XML is read as far as it goes."""
    item = f"<item><title>No</title>{PROSE}</item>"
    feed = f'<?xml version="1.0"?><rss xml:lang="en"><channel><title>Birds</title>{item}</channel></rss>'
    one = told(feed.encode())
    assert (one.extractor, one.title, one.language, one.more["root"]) == ("markup", "Birds", "en", "rss")
    broken = told(feed[:-20].encode())
    assert (broken.title, broken.warnings) == ("Birds", ("not_well_formed",))
    assert told('<?xml version="1.0" encoding="ISO-8859-1"?><a>Vögel</a>'.encode("latin-1")).text == "Vögel"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-8-sig"])
def test_plain_text(told: Told, encoding: str) -> None:
    """Text in any encoding is text."""
    one = told(("Vögel über Öland\n" + PROSE + "\x0c").encode(encoding))
    assert (one.extractor, one.more["lines"]) == ("plain", 2)
    assert one.text.startswith("Vögel über Öland\nThe birds")


@pytest.mark.parametrize(
    "data, encoding",
    [
        (b"a\0b\0", "utf-16-le"),
        (b"\0a\0b", "utf-16-be"),
        (b"a\0bc", "utf-8"),
        (b"abc\0", "utf-8"),
        (b"\0abc", "utf-8"),
        (b"ab\0c", "utf-8"),
        (b"\0\0\0\0", "utf-8"),
        (b"\xfe\xff\0a", "utf-16-be"),
        (b"\xff\xfea\0", "utf-16-le"),
        (b"\xff\xfe\0\0a\0\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff\0\0\0a", "utf-32-be"),
        (b"<meta charset=koi8-r> V\xc3\xb6gel", "utf-8"),
    ],
)
def test_encodings_of_text(data: bytes, encoding: str) -> None:
    """Marks tell, and zeros between letters; what markup would declare is words in a text."""
    assert decode(data)[1] == encoding


def test_what_nobody_reads(told: Told) -> None:
    """No bytes, other kinds, encrypted office files: each its own reason, and an extractor that may change."""
    empty, image = told(b""), told(b"\x89PNG\r\n\x1a\n" + b"\0" * 100)
    assert (empty.reason, empty.media_type, empty.extractor) == (Reason.EMPTY, "application/x-empty", "none")
    assert (image.reason, image.media_type, image.extractor) == (Reason.UNSUPPORTED, "image/png", "none")
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le")
    assert told(ole).reason is Reason.ENCRYPTED


def test_a_missing_package_is_a_refusal_that_goes_with_it(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a package the refusal says what to install, under version 0: with the package, it is due again."""
    with monkeypatch.context() as without:
        without.setattr(registry, "_there", lambda package: package not in ("pypdfium2", "pymupdf"))
        one = told(pdf(PROSE))
        assert (one.reason, one.extractor, one.version) == (Reason.NEEDS_EXTRA, "pdf", 0)
        assert "pip install" in one.detail
        assert registry.versions()["pdf"] == 0
    assert registry.versions()["pdf"] == told(pdf(PROSE)).version > 0


@pytest.mark.parametrize(
    "text, told",
    [
        ("D:20200131120000+01'00'", "2020-01-31T11:00:00+00:00"),
        ("D:20200131120000Z", "2020-01-31T12:00:00+00:00"),
        ("D:20200131120000-0530", "2020-01-31T17:30:00+00:00"),
        ("D:202001", "2020-01-01T00:00:00+00:00"),
        ("20200131", "2020-01-31T00:00:00+00:00"),
        ("2020", "2020-01-01T00:00:00+00:00"),
        ("2020-1-3", "2020-01-03T00:00:00+00:00"),
        ("2020-01-31T12:00:00.123+02:00", "2020-01-31T10:00:00+00:00"),
        ("2020-01-31 12:00", "2020-01-31T12:00:00+00:00"),
        ("Fri, 31 Jan 2020 12:00:00 GMT", "2020-01-31T12:00:00+00:00"),
        ("D:20200131120000+01'00", "2020-01-31T11:00:00+00:00"),
        ("D:20200131120000-23'59'", "2020-02-01T11:59:00+00:00"),
        ("D:191010131120000", "2001-01-31T12:00:00+00:00"),
        ("D:19100131120000", "1910-01-31T12:00:00+00:00"),
        ("D:2020-01-31", "2020-01-31T00:00:00+00:00"),
        ("2020/01/31 12:00:00", "2020-01-31T12:00:00+00:00"),
        ("Fri Jan 31 12:00:00 2020", "2020-01-31T12:00:00+00:00"),
        ("2020.01.31", None),
        ("4/23/2015", None),
        ("D:20209931", None),
        ("D:00000101000000Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        ("31.01.2020", None),
    ],
)
def test_times(text: str | None, told: str | None) -> None:
    """Times as PDF, XML and mail write them; what is none is None."""
    found = when(text)
    assert (found and found.isoformat()) == told


def test_languages() -> None:
    """The language of prose is told from it; of little, of numbers and of addresses nothing is."""
    assert detect(PROSE) == "en"
    assert detect("Die Vögel der nördlichen Inseln kommen im Frühling und ziehen vor den ersten Stürmen fort.") == "de"
    assert detect("Птицы северных островов прилетают весной и улетают до первых осенних бурь") == "ru"
    assert detect("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28") is None
    assert detect("Birds") is None


def test_what_any_database_holds() -> None:
    """NUL, halves of pairs and endless words do not get through."""
    assert words("a\x00b\ud800 \x85 c") == "a b c"
    assert words("x" * 9_000) == "x" * 4_000
    assert words(" \t ") is None and words(None) is None and words(7) is None
    assert plain({"a": [1 << 70, float("inf"), "\x00", None]}) == {"a": [str(1 << 70), "inf", " ", None]}
