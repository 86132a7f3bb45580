"""PDF files: what they state, wherever they state it, and what is the matter with them."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from catalogkit.content import Reason
from catalogkit.extract import mupdf, pdfium
from catalogkit.extract import xmp as xmp_of
from catalogkit.extract.facts import RefusedError
from catalogkit.policies.extract import Limits
from tests.extract.made import PROSE, pdf, xmp

if TYPE_CHECKING:
    pass

Told = "Callable[[bytes], ContentMetadata]"
TITLES = xmp(
    '<dc:title><rdf:Alt><rdf:li xml:lang="de">Vögel</rdf:li><rdf:li xml:lang="x-default">Birds &amp; more</rdf:li>'
    "</rdf:Alt></dc:title><dc:creator><rdf:Seq><rdf:li>Ada, A.</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq></dc:creator>"
    "<dc:language><rdf:Bag><rdf:li>en</rdf:li></rdf:Bag></dc:language><xmp:CreateDate>2019-05</xmp:CreateDate>"
)


def test_what_the_info_dictionary_states(told: Told) -> None:
    """Title, author, subject, keywords, times, language, pages, bookmarks, text."""
    marks = {
        6: "<< /Type /Outlines /First 7 0 R /Last 8 0 R /Count 2 >>",
        7: "<< /Title (One) /Parent 6 0 R /Next 8 0 R /First 9 0 R /Last 9 0 R /Count 1 >>",
        8: "<< /Title (Two) /Parent 6 0 R /Prev 7 0 R >>",
        9: "<< /Title <FEFF00C400F6> /Parent 7 0 R >>",
    }
    info = (
        "/Title (  On\\n birds ) /Author (Ada Adams; Bo Berg) /Subject (ornithology) /Keywords (birds, islands;sea)"
        " /Producer (p) /CreationDate (D:20200131120000+01'00') /ModDate (D:2021)"
    )
    one = told(pdf(PROSE[:60], PROSE[60:120], info=info, catalog="/Lang (en-GB) /Outlines 6 0 R", extra=marks))
    assert (one.media_type, one.extractor, one.reason) == ("application/pdf", "pdf", None)
    assert (one.title, one.authors, one.author) == ("On birds", ("Ada Adams", "Bo Berg"), "Ada Adams; Bo Berg")
    assert (one.subject, one.keywords) == ("ornithology", ("birds", "islands", "sea"))
    assert (one.language, one.detected_language, one.page_count) == ("en-GB", "en", 2)
    assert one.created_at == datetime(2020, 1, 31, 11, tzinfo=UTC)
    assert one.modified_at == datetime(2021, 1, 1, tzinfo=UTC)
    assert one.outline == ((1, "One"), (2, "Äö"), (1, "Two"))
    assert one.text.startswith("The birds of the northern") and one.preview.startswith("The birds")
    assert (one.encrypted, one.warnings, one.more["producer"]) == (False, (), "p")


def test_xmp_speaks_where_info_is_silent(told: Told) -> None:
    """Title, creators, language and time come from XMP; but a title of the Info dictionary is the one readers show."""
    one = told(pdf(PROSE, xmp=TITLES))
    assert (one.title, one.authors, one.language) == ("Birds & more", ("Ada, A.", "Bo"), "en")
    assert one.created_at == datetime(2019, 5, 1, tzinfo=UTC)
    both = told(pdf(PROSE, info="/Title (Info's) /Author (Ada, A. and Bo)", xmp=TITLES))
    assert (both.title, both.authors) == ("Info's", ("Ada, A.", "Bo"))
    assert told(pdf(PROSE, info="/Title ( ) /Author (Zoe)", xmp=TITLES)).title == "Birds & more"


PICTURE = xmp('<dc:title><rdf:Alt><rdf:li xml:lang="x-default">A picture</rdf:li></rdf:Alt></dc:title>')
IN_A_STREAM = {60: f"<< /Type /Metadata /Subtype /XML /Length {len(PICTURE)} >>\nstream\n{PICTURE}\nendstream"}


def test_pictures_have_xmp_of_their_own(told: Told) -> None:
    """It says nothing of the document, whether that has any itself or not; an update of the document's counts."""
    assert told(pdf(PROSE, xmp=TITLES, extra=IN_A_STREAM)).title == "Birds & more"
    assert told(pdf(PROSE, extra=IN_A_STREAM)).title is None
    # Objects whose numbers end alike are others.
    assert told(pdf(PROSE, xmp=TITLES, extra={104: IN_A_STREAM[60]})).title == "Birds & more"
    document = pdf(PROSE, xmp=TITLES)
    newer = TITLES.replace("Birds &amp; more", "Newer birds")
    update = f"4 0 obj\n<< /Type /Metadata /Length {len(newer.encode())} >>\nstream\n{newer}\nendstream\nendobj\n"
    assert told(document + update.encode() + b"trailer << /Root 1 0 R >>\n").title == "Newer birds"


@pytest.mark.parametrize("info", ["", "/Title (Birds) /Author (Ada)"])
def test_xmp_that_is_out_of_sight(told: Told, info: str) -> None:
    """Compressed or encrypted, or referred to by a catalog that is: found all the same, also beside a title."""
    import pymupdf

    subjects = TITLES.replace(
        "<xmp:CreateDate>", "<dc:subject><rdf:Bag><rdf:li>sea</rdf:li></rdf:Bag></dc:subject><xmp:CreateDate>"
    )
    document = pymupdf.open(stream=pdf(PROSE, xmp=subjects, info=info, extra=IN_A_STREAM), filetype="pdf")
    for how in (
        {"use_objstms": 1, "deflate": True},
        {"encryption": pymupdf.PDF_ENCRYPT_AES_256, "owner_pw": "owner"},
    ):
        one = told(document.tobytes(**how))
        assert (one.title, one.keywords) == ("Birds" if info else "Birds & more", ("sea",)), how


def test_without_mupdf_the_last_packet_counts(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be understood is read as it lies there, rather than not at all."""
    document = pdf(PROSE, xmp=TITLES).replace(b"/Root 1 0 R", b"/Root  null")
    update = b"\n" + PICTURE.replace("A picture", "Later").encode()
    assert xmp_of.find(document + update) is None
    assert b"Later" in (xmp_of.last_of(document + update) or b"")
    monkeypatch.setattr(import_module("catalogkit.extract.pdf"), "_elsewhere", lambda data: None)
    catalogs = b"\n1 0 obj << /Type /Catalog /Pages 2 0 R /Metadata 77 0 R >> endobj trailer << /Root 1 0 R >>\n"
    assert told(pdf(PROSE, xmp=TITLES) + catalogs).title == "Birds & more"


def test_people_and_keywords_one_by_one(told: Told) -> None:
    """Semicolons set people apart, and a comma left over is no part of a name; keywords may stand in lines."""
    one = told(pdf(PROSE, info="/Author (Ada, ; Bo, B.) /Keywords (birds\\nislands, sea)"))
    assert (one.authors, one.keywords) == (("Ada", "Bo, B."), ("birds", "islands", "sea"))


@pytest.mark.parametrize(
    ("title", "told_title"),
    [
        ("<FEFF00D60066>", "Öf"),
        ("<FFFED6006600>", "Öf"),
        ("<EFBBBFC3966C>", "Öl"),
        ("(\\200 \\222 \\212 \\240 \\205 \\030 \\344)", "• ™ − € – ˘ ä"),
        ("<FEFFD83DDE00>", "😀"),
        ("(A \\(b\\) \\103)", "A (b) C"),
        ("6 0 R", "Elsewhere"),
        ("( )", None),
    ],
)
def test_titles_in_every_encoding_that_pdf_has(told: Told, title: str, told_title: str | None) -> None:
    """UTF-16 of both ends, UTF-8, PDFDocEncoding, escapes, references (ISO 32000-2, 7.9.2)."""
    assert told(pdf(PROSE, info=f"/Title {title}", extra={6: "(Elsewhere)"})).title == told_title


def test_only_the_first_pages_text_is_read_all_pages_are_counted(told: Told) -> None:
    """The text of a long document is cut, which a warning tells; the number of its pages is not."""
    one = told(pdf(*[f"page {number}" for number in range(120)]))
    assert (one.page_count, one.more["text_pages"]) == (120, Limits().pages)
    assert "page 99" in one.text and "page 100" not in one.text
    assert one.warnings == ("text_cut",)


def test_pages_without_text_are_counted(told: Told) -> None:
    """A document of pictures has pages, and no text."""
    one = told(pdf("", ""))
    assert (one.reason, one.page_count, one.text_chars, one.more["pages_without_text"]) == (None, 2, 0, 2)


def test_damage_is_told(told: Told) -> None:
    """A header that comes late, an end that is missing, a table that points nowhere: read, with a warning."""
    good = pdf(PROSE)
    assert told(b"\n\nrubbish\n" + good).warnings == ("header_not_first",)
    headless = told(good.replace(b"%PDF-1.7", b"%1.7"))
    assert (headless.media_type, headless.page_count, "repaired" in headless.warnings) == ("application/pdf", 1, True)
    cut = told(good[: good.index(b"xref\n")])
    assert (cut.reason, cut.page_count) == (None, 1) and "truncated" in cut.warnings
    none = told(b"%PDF-1.4\nnothing else\n")
    assert (none.reason, none.media_type, none.extractor) == (Reason.DAMAGED, "application/pdf", "pdf")


@pytest.mark.parametrize("engine", [pdfium, mupdf])
def test_both_engines_tell_the_same(engine: object) -> None:
    """What one gives up on the other is asked about, so they must speak alike."""
    document = pdf(PROSE, "more", info="/Title (T) /Author (A)", catalog="/Lang (de)")
    one = engine.read(document, Limits())  # type: ignore[attr-defined]
    assert (one["pages"], one["info"]["Title"], one["info"]["Author"]) == (2, "T", "A")
    assert (one["language"], one["encrypted"], one["outline"], one["version"]) == ("de", False, [], "1.7")
    assert "birds" in one["text"][0] and "more" in one["text"][1]
    with pytest.raises(RefusedError):
        engine.read(b"%PDF-1.4 no", Limits())  # type: ignore[attr-defined]


@pytest.mark.parametrize("user, reason", [("", None), ("secret", Reason.ENCRYPTED)])
def test_encryption(told: Told, user: str, reason: Reason | None) -> None:
    """A document that opens without a password is read, and told to be encrypted; one that needs one is refused."""
    import pymupdf

    document = pymupdf.open(stream=pdf(PROSE, info="/Title (Secret birds)"), filetype="pdf")
    locked = document.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, owner_pw="owner", user_pw=user)
    one = told(locked)
    assert (one.reason, one.encrypted) == (reason, True)
    assert one.title == ("Secret birds" if reason is None else None)
