"""The media type of a document from its first bytes: signatures, encodings, containers, and real documents."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.sniff import EMPTY, HEAD_BYTES, UNKNOWN, sniff

DEMO: Final = Path(__file__).parent / "data" / "demo"
KINDS: Final[dict[str, str]] = json.loads((DEMO / "expected.json").read_text())["kinds"]
# What each kind of the demo's ground truth may be called.
ACCEPTED: Final = {
    "epub": {"application/epub+zip"},
    "gzip": {"application/gzip"},
    "html": {"text/html", "application/xhtml+xml"},
    "json": {"application/json", "application/x-ndjson"},
    "none": {EMPTY},
    "pdf": {"application/pdf"},
}
EXCEPTIONS: Final = {
    # Part of a validator's test pages, named .html: an XML prolog, an SVG doctype and a drawing.
    "docs/w3c-validator/htdocs/dev/tests/REC-SVG-1_0-minimal.html": "image/svg+xml",
}
PNG: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


# -- real documents ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", KINDS)
def test_real_documents_are_what_they_are(path: str) -> None:
    """Each demo document's type, told from its head alone, is one its kind may have."""
    content = (DEMO / path).read_bytes()
    found = sniff(content[:HEAD_BYTES], whole=len(content) <= HEAD_BYTES)
    if path in EXCEPTIONS:
        assert found == EXCEPTIONS[path]
    else:
        assert found in ACCEPTED[KINDS[path]]


def test_every_kind_of_the_demo_is_there() -> None:
    """The comparison above covers every kind, and its exceptions exist."""
    assert set(KINDS.values()) == set(ACCEPTED)
    assert set(EXCEPTIONS) <= set(KINDS)


# -- binary signatures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head, media_type",
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "application/pdf"),
        (b"\x00" * 1000 + b"%PDF-1.4\n", "application/pdf"),
        (b"<html>" + b" " * 100 + b"%PDF-1.4", "application/pdf"),
        (gzip.compress(b"x", mtime=0), "application/gzip"),
        (b"BZh91AY&SY\x00\x01", "application/x-bzip2"),
        (b"\xfd7zXZ\x00\x00\x04", "application/x-xz"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "application/zstd"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "application/x-7z-compressed"),
        (b"Rar!\x1a\x07\x01\x00", "application/vnd.rar"),
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF87a\x01\x00\x01\x00", "image/gif"),
        (b"GIF89a\x01\x00\x01\x00", "image/gif"),
        (b"II*\x00\x08\x00", "image/tiff"),
        (b"MM\x00*\x00\x00", "image/tiff"),
        (b"BM\x46\x00\x00\x00\x00\x00", "image/bmp"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", UNKNOWN),
        (b"\x00\x00\x00\x18ftypmp42\x00", "video/mp4"),
        (b"%!PS-Adobe-3.0\n", "application/postscript"),
        (b"{\\rtf1\\ansi", "application/rtf"),
        (b"PAR1\x15\x04\x15\x00", "application/vnd.apache.parquet"),
        (b"SQLite format 3\x00\x10\x00", "application/vnd.sqlite3"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", "application/x-ole-storage"),
        (b"AT&TFORM\x00\x00\x01\x00DJVU", "image/vnd.djvu"),
        (b"\x7fELF\x02\x01", "application/x-elf"),
        (b"OggS\x00\x02\x00", "audio/ogg"),
        (b"ID3\x04\x00\x00", "audio/mpeg"),
        (b"\x00\x01\x02\x03", UNKNOWN),
        (b"\xca\xfe\xba\xbe\x00\x00", UNKNOWN),
    ],
)
def test_each_signature(head: bytes, media_type: str) -> None:
    """A binary format is known by its first bytes."""
    assert sniff(head) == media_type


@pytest.mark.parametrize(
    "text", ["BMJ Open 2026", "ID3 is a decision tree", "GIF89a explained", "PAR1 receptors", "OggSpeex", "BZh\n"]
)
def test_words_that_begin_like_a_signature_are_text(text: str) -> None:
    """Letters alone are no binary format where only text follows."""
    assert sniff(text.encode()) == "text/plain"


# -- zip containers ----------------------------------------------------------------------------------------------


def archive(*members: tuple[str, bytes], compressed: bool = True) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as file:
        for name, content in members:
            kind = zipfile.ZIP_STORED if name == "mimetype" else None
            file.writestr(name, content, compress_type=kind)
    return buffer.getvalue()


OPEN = "application/vnd.openxmlformats-officedocument"
ODT = "application/vnd.oasis.opendocument.text"


@pytest.mark.parametrize(
    "members, media_type",
    [
        ((("mimetype", b"application/epub+zip"), ("META-INF/container.xml", b"<x/>")), "application/epub+zip"),
        ((("META-INF/container.xml", b"<x/>"), ("mimetype", b"application/epub+zip")), "application/epub+zip"),
        ((("OEBPS/content.opf", b"<x/>"),), "application/epub+zip"),
        ((("mimetype", ODT.encode()), ("content.xml", b"<x/>")), ODT),
        ((("[Content_Types].xml", b"<x/>"), ("word/document.xml", b"<x/>")), f"{OPEN}.wordprocessingml.document"),
        ((("_rels/.rels", b"<x/>"), ("xl/workbook.xml", b"<x/>")), f"{OPEN}.spreadsheetml.sheet"),
        ((("[Content_Types].xml", b"<x/>"), ("ppt/slides.xml", b"<x/>")), f"{OPEN}.presentationml.presentation"),
        ((("[Content_Types].xml", b"<x/>"), ("other/x.xml", b"<x/>")), "application/zip"),
        ((("paper.pdf", b"%PDX-1.4"),), "application/zip"),
        ((("word/document.xml", b"<x/>"),), "application/zip"),
        ((), "application/zip"),
        ((("mimetype", b"text/html"),), "application/zip"),
        ((("mimetype", b"application/pdf"),), "application/zip"),
        ((("mimetype", b""),), "application/zip"),
    ],
)
def test_containers_are_told_apart(members: tuple[tuple[str, bytes], ...], media_type: str) -> None:
    """A zip file is what its first members make it; what it says of itself counts only for kinds of zip files."""
    assert sniff(archive(*members)[:HEAD_BYTES]) == media_type


@pytest.mark.parametrize("length", [4, 10, 29, 30, 35, 45])
def test_a_torn_container_is_still_a_zip_file(length: int) -> None:
    """However early a head ends, it does not fail."""
    whole = archive(("mimetype", b"application/epub+zip"), ("META-INF/container.xml", b"<x/>"))
    assert sniff(whole[:length]) in ("application/zip", "application/epub+zip")


# -- text --------------------------------------------------------------------------------------------------------

TEXTS = [
    ("<!DOCTYPE html><html><head>", "text/html"),
    ("  \n<HTML lang=de>", "text/html"),
    ("<!-- a comment -->\n<!-- two -->\n<html>", "text/html"),
    ("<p>only a fragment", "text/html"),
    ("<table><tr>", "text/html"),
    ("<script>var a</script>", "text/html"),
    ("text first <html> later", "text/html"),
    ('<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0">\n<html>', "application/xhtml+xml"),
    ('<?xml version="1.0"?><rss version="2.0">', "application/xml"),
    ("<?xml-stylesheet href='a'?><a/>", "application/xml"),
    ('<?xml version="1.0"?><table><tr/></table>', "application/xml"),
    ('<?xml version="1.0"?><!doctype html><title>', "application/xhtml+xml"),
    ('<?xml version="1.0"?><svg xmlns="x">', "image/svg+xml"),
    ("<svg width='1'>", "image/svg+xml"),
    ("<paragraph>no tag of HTML", "text/plain"),
    ("<", "text/plain"),
    ('{"a": 1}', "application/json"),
    ('\n {"a": 1}', "application/json"),
    ("{}", "application/json"),
    ("[]", "application/json"),
    ("[1, 2]", "application/json"),
    ("[null]", "application/json"),
    ("[true]", "application/json"),
    ('[\n  {"a": 1}\n]', "application/json"),
    ('// settings\n{"a": 1}', "application/json"),
    ('/* a\n b */ // c\n {"a": 1}', "application/json"),
    ('{"a": 1}\n{"a": 2}\n', "application/x-ndjson"),
    ('{"a": 1}\r\n{"a": 2}', "application/x-ndjson"),
    ("[1]\n[2]\n", "application/x-ndjson"),
    ('[{"a": 1},\n{"a": 2}]', "application/json"),
    ("{not json}", "text/plain"),
    ("[nullable]", "text/plain"),
    ("// only a comment", "text/plain"),
    ("Dear reader,\n", "text/plain"),
    ("ünïcode", "text/plain"),
    (" ", "text/plain"),
]


@pytest.mark.parametrize("text, media_type", TEXTS)
def test_each_kind_of_text(text: str, media_type: str) -> None:
    """Text formats are known by how they begin, white space and comments aside."""
    assert sniff(text.encode()) == media_type


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("text, media_type", [pair for pair in TEXTS if len(pair[0]) > 1 and pair[0].isascii()])
def test_text_in_other_encodings(text: str, media_type: str, encoding: str) -> None:
    """The same text is the same in UTF-8, UTF-16 and UTF-32, marked, and in UTF-16 also unmarked (hazard 72)."""
    assert sniff(text.encode(encoding)) == media_type


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp1251", "shift_jis", "koi8-r", "gb18030"])
def test_pages_in_old_code_pages(encoding: str) -> None:
    """A page in an old code page is HTML, and prose in it is text, not binary (hazard 72)."""
    words = {"latin-1": "Déjà vu", "cp1252": "“Déjà”", "cp1251": "Привет", "koi8-r": "Привет"}.get(encoding, "日本")
    assert sniff(f"<html><title>{words}".encode(encoding)) == "text/html"
    assert sniff(f"{words}, {words}".encode(encoding)) == "text/plain"


def test_a_page_with_a_stray_control_byte_is_html() -> None:
    """Old pages hold control bytes; a tag at the beginning counts for more."""
    assert sniff(b"<html>\x01\x02") == "text/html"
    assert sniff(b"words\x01\x02") == UNKNOWN


@pytest.mark.parametrize(
    "content, media_type",
    [(b"42", "application/json"), (b'"a \\" b"', "application/json"), (b"null\n", "application/json"),
     (b"-1.5e3", "application/json"), (b"42 apples", "text/plain"), (b"nullable", "text/plain")],
)  # fmt: skip
def test_a_lone_value_is_json_only_if_it_is_all_there_is(content: bytes, media_type: str) -> None:
    """A number or a word is JSON if it is the whole document; as a beginning it is text."""
    assert sniff(content, whole=True) == media_type
    assert sniff(content) == "text/plain"
    assert sniff(content + b" " * HEAD_BYTES, whole=True) == "text/plain"


def test_nothing_is_a_type_of_its_own() -> None:
    """An empty download is neither text nor unknown."""
    assert sniff(b"") == sniff(b"", whole=True) == EMPTY


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(
            bytes.__add__,
            st.sampled_from([b"PK\x03\x04", b"%PDF", b"{", b"<", b"\xff\xfe", b"\xef\xbb\xbf"]),
            st.binary(),
        ),
    ),
    st.booleans(),
)
def test_any_bytes_have_a_bare_media_type(head: bytes, whole: bool) -> None:
    """Whatever the bytes, there is an answer, without parameters, and the same one again (hazard 15)."""
    found = sniff(head, whole)
    kind, slash, rest = found.partition("/")
    assert slash
    assert found.isascii()
    assert kind in ("application", "text", "image", "audio", "video")
    assert rest
    assert not set(found) & set("; ,\"'\n")
    assert sniff(head, whole) == found
