"""EPUB 2 and 3, as standards have them and as publishers do."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from catalogkit.content import Reason
from tests.extract.made import PROSE, epub, page, zipped

if TYPE_CHECKING:
    from pathlib import Path


Told = "Callable[[bytes], ContentMetadata]"
METADATA = (
    "<dc:title>On Birds</dc:title><dc:creator>Ada</dc:creator><dc:creator opf:role='aut'>Bo</dc:creator>"
    "<dc:contributor>Cy</dc:contributor><dc:language>en-GB</dc:language><dc:subject>birds</dc:subject>"
    "<dc:description>About  birds.</dc:description><dc:publisher>P</dc:publisher><dc:identifier>urn:1</dc:identifier>"
    "<dc:date>2019-05-06</dc:date>"
)
PARTS = (
    "<item id='n' href='nav.xhtml' properties='nav' media-type='application/xhtml+xml'/>"
    "<item id='x' href='toc.ncx' media-type='application/x-dtbncx+xml'/>"
    "<item id='a' href='a.xhtml' media-type='application/xhtml+xml'/>"
    "<item id='b' href='sub/b%20c.xhtml' media-type='application/xhtml+xml'/>"
)
SPINE = "<itemref idref='a'/><itemref idref='b'/>"
NAV = page(
    "<nav epub:type='landmarks'><ol><li><a href='a'>no</a></li></ol></nav><nav epub:type='toc'><h1>Contents</h1><ol>"
    "<li><a href='a.xhtml'>First</a><ol><li><a href='a.xhtml#1'>Inner &amp; more</a></li></ol></li>"
    "<li><span>Part</span><ol><li><a href='b'>Last</a></li></ol></li></ol></nav>"
).replace("<html ", "<html xmlns:epub='http://www.idpf.org/2007/ops' ")
NCX = (
    "<ncx xmlns='http://www.daisy.org/z3986/2005/ncx/'><navMap><navPoint><navLabel><text>Old</text></navLabel>"
    "<navPoint><navLabel><text>Older</text></navLabel></navPoint></navPoint></navMap></ncx>"
)
FILES = {
    "nav.xhtml": NAV,
    "toc.ncx": NCX,
    "a.xhtml": page(f"<p>{PROSE}</p>", "A"),
    "sub/b c.xhtml": page("<p>The end."),
}


def test_what_a_book_states(told: Told) -> None:
    """Package metadata, table of contents, spine, the text in the sequence of reading."""
    meta = METADATA + "<meta property='dcterms:modified'>2020-01-02T03:04:05Z</meta>"
    one = told(epub(meta, PARTS, SPINE, FILES))
    assert (one.media_type, one.reason, one.warnings) == ("application/epub+zip", None, ())
    assert (one.title, one.authors, one.language, one.detected_language) == ("On Birds", ("Ada", "Bo"), "en-GB", "en")
    assert (one.description, one.keywords) == ("About birds.", ("birds",))
    assert one.created_at == datetime(2019, 5, 6, tzinfo=UTC)
    assert one.modified_at == datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert one.outline == ((1, "First"), (2, "Inner & more"), (1, "Part"), (2, "Last"))
    assert one.more["spine"] == ["a.xhtml", "sub/b%20c.xhtml"] and one.more["toc_count"] == 4
    assert (one.more["publisher"], one.more["contributors"], one.more["epub_version"]) == ("P", ["Cy"], "3.0")
    assert one.text.startswith("The birds") and one.text.endswith("The end.")


def test_epub_2_has_its_contents_elsewhere(told: Told) -> None:
    """The NCX file is named by the spine, or found by its type; dates say what happened then."""
    meta = METADATA.replace("<dc:date>", "<dc:date opf:event='modification'>2021</dc:date><dc:date>")
    manifest = PARTS.replace("properties='nav'", "")
    for toc in ("toc='x'", ""):
        one = told(epub(meta, manifest, SPINE, FILES, version="2.0", toc=toc))
        assert one.outline == ((1, "Old"), (2, "Older"))
        assert one.modified_at == datetime(2021, 1, 1, tzinfo=UTC)


def test_of_several_titles_the_main_one(told: Told) -> None:
    """EPUB 3 may say which of its titles is the main one; otherwise the first is."""
    meta = (
        "<dc:title id='s'>A subtitle</dc:title><dc:title id='m'>The title</dc:title>"
        "<meta refines='#m' property='title-type'>main</meta>"
    )
    assert told(epub(meta)).title == "The title"
    assert told(epub("<dc:title>1</dc:title><dc:title>2</dc:title>")).title == "1"
    assert told(epub("<dc:title> </dc:title>")).title is None


def test_names_that_archives_spell_otherwise(told: Told) -> None:
    """In UTF-8 without saying so, decomposed, in another case: the part that was meant is found."""
    manifest = "<item id='a' href='V%C3%B6gel.xhtml'/><item id='b' href='%C3%89t%C3%A9.xhtml'/>"
    for names in (("Vögel.xhtml", "Été.xhtml"), ("vögel.XHTML", "E\u0301te\u0301.xhtml")):
        book = epub(METADATA, manifest, SPINE, {name: page(f"<p>{name[:5]} {PROSE}</p>") for name in names})
        for name in names:  # the flag that says so is taken away, in both places where it stands
            book = _unflagged(book, name.encode())
        with zipfile.ZipFile(io.BytesIO(book)) as archive:
            assert not {f"OEBPS/{name}" for name in names} & set(archive.namelist())
        one = told(book)
        assert (one.warnings, one.text.count("The birds")) == ((), 2)


def _unflagged(book: bytes, name: bytes) -> bytes:
    data, at = bytearray(book), -1
    while (at := data.find(name, at + 1)) >= 0:
        for signature, flags, start in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
            head = data.rfind(signature, 0, at)
            if head >= 0 and head + start <= at < head + start + 10:
                data[head + flags + 1] &= ~0x08
    return bytes(data)


def test_older_books_have_an_older_namespace(told: Told) -> None:
    """Dublin Core 1.0, in upper case, as the Open eBook standard had it."""
    old = "<d:Title xmlns:d='http://purl.org/dc/elements/1.0/'>Old</d:Title>"
    other = "<d:title xmlns:d='http://example.org/dc/'>No</d:title>"
    assert told(epub(other + old)).title == "Old"


def test_books_that_are_not_as_they_should_be(told: Told) -> None:
    """No mimetype, all in a folder, no container, a missing part, a member that is not well-formed: read, and told."""
    book = epub(METADATA, PARTS, SPINE, FILES, mimetype=False, around="epub/")
    one = told(book)
    assert (one.title, one.outline[0]) == ("On Birds", (1, "First"))
    assert one.warnings == ("no_mimetype", "container_misplaced")
    bare = {"book.opf": "<package><metadata><title>no</title>&nbsp;<unclosed></metadata></package>"}
    assert told(zipped(bare)).warnings == ("no_mimetype", "no_container", "not_well_formed")
    assert "spine_incomplete" in told(epub(METADATA, PARTS, SPINE, {})).warnings
    cut = epub(METADATA, PARTS, SPINE, FILES)[:-200]
    assert (told(cut).reason, told(cut).extractor) == (Reason.DAMAGED, "book")


def test_the_type_of_an_archive_is_told_from_all_of_it(told: Told) -> None:
    """A book whose first members say nothing is one; an archive of something else is an archive, and refused."""
    many = {f"images/{n}.png": b"\x89PNG" * 300 for n in range(9)} | {
        "META-INF/container.xml": "x",
        "b.opf": "<package/>",
    }
    assert told(zipped(many)).media_type == "application/epub+zip"
    assert told(zipped({"a.txt": "a"})).reason is Reason.UNSUPPORTED


def test_names_lead_nowhere(told: Told, tmp_path: Path) -> None:
    """Members and references named to get out of the archive are looked up in it; nothing is written (hazard 73)."""
    parts = {name: page(f"<p>{PROSE}</p>") for name in ("../../../../evil.xhtml", "/tmp/evil.xhtml")}
    manifest = (
        "<item id='a' href='../../../../evil.xhtml'/><item id='b' href='/etc/passwd'/>"
        "<item id='n' href='/tmp/x' properties='nav'/>"
    )
    before = sorted(path for folder in (tmp_path, tmp_path.parent) for path in folder.iterdir())
    one = told(epub(METADATA, manifest, SPINE, parts))
    assert (one.title, "spine_incomplete" in one.warnings) == ("On Birds", True)
    assert "root:" not in one.text
    assert sorted(path for folder in (tmp_path, tmp_path.parent) for path in folder.iterdir()) == before


def test_obfuscated_fonts_lock_no_book(told: Told) -> None:
    """Encryption of fonts keeps nobody from reading; any other does, and what is stated is told all the same."""
    fonts, all_of_it = "http://www.idpf.org/2008/embedding", "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
    for algorithm, locked in ((fonts, False), (all_of_it, True)):
        rights = f"<encryption><EncryptedData><EncryptionMethod Algorithm='{algorithm}'/></EncryptedData></encryption>"
        book = epub(METADATA, PARTS, SPINE, FILES)
        with zipfile.ZipFile(file := io.BytesIO(book), "a") as archive:
            archive.writestr("META-INF/encryption.xml", rights)
        one = told(file.getvalue())
        assert (one.title, one.encrypted, bool(one.text)) == ("On Birds", locked, not locked)
