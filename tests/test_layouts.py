"""Keys: safe on every platform, stable, inside the store, and never mistaken for somebody else's file."""

from __future__ import annotations

import os
import string
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from catalogkit.errors import InvalidInput
from catalogkit.layouts import (
    FIELDS,
    Template,
    basename_of,
    beside,
    cas_key,
    digest_of,
    fold,
    layout_of,
    segment,
)
from catalogkit.model import Arrival, Digest, Layout

relaxed = settings(deadline=None)
digests = st.binary(min_size=32, max_size=32).map(Digest)
DIGEST = Digest(bytes(range(32)))
# What text is made of, and what Python makes of a file name's bytes that are not UTF-8.
any_text = st.text(
    st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=40
)
known_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)
file_names = st.binary(min_size=1, max_size=40).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"?").replace(b"/", b"_"))
)
nasty = st.sampled_from(
    ["..", ".", "...", " ", "con", "NUL.txt", "com¹", "a/b", "..\\..", "a\x00b", "\n", "é", "e\u0301", "\udc80",
     "🙂" * 90, "x" * 300, "x" * 300 + ".pdf", "." + "x" * 300, "x." + "y" * 300, "~", "%", "-rf", "{basename}",
     "\u202egpj.exe"]
)  # fmt: skip


# -- content addresses -------------------------------------------------------------------------------------------


@given(digests)
def test_a_content_address_names_its_digest(digest: Digest) -> None:
    """Digest and address are each made from the other, and the address has the form of its layout."""
    key = cas_key(digest)
    assert digest_of(key) == digest
    assert layout_of(key) is Layout.CAS
    assert key == f"cas/{str(digest)[:2]}/{digest}"


@pytest.mark.parametrize(
    "foreign",
    [
        "", "/", "docs", "docs/", "docs//a.pdf", "docs/a/", "/docs/a", "docs/../catalog.sqlite", "docs/./a", "docs/.a",
        "docs/a.", "docs/a ", "docs/con", "docs/a\nb", "docs/a:b", "docs/e\u0301", "docs/" + "x" * 256, "docs/a\udc80",
        "DOCS/a", "catalog.sqlite", "catalog.sqlite-wal", "catalogkit.toml", "tmp/a", ".trash/docs/a", "quarantine/a",
        cas_key(DIGEST).upper(), cas_key(DIGEST)[:-1], cas_key(DIGEST) + "0", cas_key(DIGEST) + "\n",
        cas_key(DIGEST).replace("cas/00", "cas/01"), cas_key(DIGEST).replace("cas/00/", "cas/"), cas_key(DIGEST) + "/a",
        "cas/" + cas_key(DIGEST), "cas/00/../00/" + str(DIGEST), "cas/" + cas_key(DIGEST)[4:].replace("/", "//"),
    ],
)  # fmt: skip
def test_a_foreign_name_has_no_layout(foreign: str) -> None:
    """What does not have exactly the form of a key is nobody's to delete (hazard 9)."""
    assert layout_of(foreign) is None
    assert digest_of(foreign) is None


# -- segments ----------------------------------------------------------------------------------------------------


def check_segment(name: str) -> None:
    """A name that every common file system stores, shows and gives back."""
    assert 1 <= len(name.encode()) <= 180
    assert name not in (".", "..")
    assert not set(name) & set('<>:"/\\|?*')
    assert name.isprintable()
    assert name[0] not in " ."
    assert name[-1] not in " ."
    assert unicodedata.is_normalized("NFC", name)
    stem = name.partition(".")[0].rstrip(" ").upper()
    assert stem not in {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    assert not (stem[:3] in ("COM", "LPT") and stem[3:] in set("0123456789¹²³"))
    assert segment(name) == name


@relaxed
@given(st.one_of(any_text, nasty, st.builds("".join, st.lists(nasty, max_size=4))))
def test_any_text_becomes_a_safe_segment(text: str) -> None:
    """Whatever the text, the segment is safe everywhere, at most 180 bytes, and its own segment."""
    check_segment(segment(text))


@pytest.mark.parametrize(
    "text, name",
    [
        ("paper.pdf", "paper.pdf"),
        ("", "_"),
        ("..", "_"),
        (". .", "_"),
        (".bashrc", "_.bashrc"),
        ("a. .", "a"),
        (" a b ", "a b"),
        ("10.1000/x:1", "10.1000_x_1"),
        ("..\\..\\evil", "_.._.._evil"),
        ("con", "_con"),
        ("Con.pdf", "_Con.pdf"),
        ("nul .tar.gz", "_nul .tar.gz"),
        ("COM¹", "_COM¹"),
        ("conin$", "_conin$"),
        ("console", "console"),
        ("com10", "com10"),
        ("a\x00b\n", "a%00b%0A"),
        ("caf\udce9", "caf%E9"),
        ("100%", "100%"),
        ("e\u0301", "é"),
        ("Ünïcode 码 🙂.pdf", "Ünïcode 码 🙂.pdf"),
        ("\u202egpj.exe", "%E2%80%AEgpj.exe"),
        ("a\u037eb", "a;b"),
    ],
)
def test_a_segment_is_the_same_everywhere_and_always(text: str, name: str) -> None:
    """The table of names (hazard 28): what each becomes never changes, because stored keys depend on it."""
    assert segment(text) == name
    check_segment(name)


@pytest.mark.parametrize(
    "text, start, end",
    [
        ("x" * 300, "x" * 171, ""),
        ("x" * 300 + ".pdf", "x" * 167, ".pdf"),
        ("🙂" * 90 + ".pdf", "🙂" * 41, ".pdf"),
        ("x." + "y" * 300, "x." + "y" * 169, ""),
        ("x" * 160 + "." * 100 + "pdf", "x" * 160, ".pdf"),
    ],
)
def test_a_long_name_is_cut_and_marked(text: str, start: str, end: str) -> None:
    """A long name keeps its beginning and its extension; a mark of its whole text tells it from others cut alike."""
    name = segment(text)
    assert name.startswith(start + "~")
    assert name.endswith(end)
    assert len(name) == len(start) + 9 + len(end)
    check_segment(name)
    assert segment("other" + text) != name
    assert segment(text + " x" + end) != name


def test_names_of_255_bytes_are_keys_and_longer_ones_are_not() -> None:
    """A file system has no longer names, so nothing with one is ours."""
    assert layout_of("docs/" + "x" * 255) is Layout.POLICY
    assert layout_of("docs/" + "é" * 128) is None


# -- templates ---------------------------------------------------------------------------------------------------


pieces = st.one_of(
    st.sampled_from([f"{{{field}}}" for field in FIELDS]),
    st.sampled_from(["/", "//", "-", " ", ".", "{{", "}}", "papers", "con", "é", "\n", "*"]),
)
templates = st.lists(pieces, min_size=1, max_size=8).map("".join)
arrivals = st.builds(
    Arrival,
    artifact_id=known_text, source_url=known_text, resolver=known_text, variant=known_text | st.just(""),
    tenant=known_text, run_id=known_text | st.just(""),
)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(templates, arrivals, st.one_of(file_names, nasty), digests)
@example("{tenant}/{artifact_id}", Arrival(artifact_id="../../etc", source_url="x", tenant=".."), "..", DIGEST)
def test_any_template_gives_keys_of_its_layout(template: str, arrival: Arrival, basename: str, digest: Digest) -> None:
    """Every acceptable template makes keys, of any document, that lie inside and are ours; so are those beside."""
    try:
        made = Template(template)
    except InvalidInput:
        assume(False)
    key = made.key(arrival, basename, digest)
    assert made.key(arrival, basename, digest) == key
    for one in (key, beside(key, digest), beside(key, digest, 64)):
        assert layout_of(one) is Layout.POLICY
        assert digest_of(one) is None
        assert os.path.normpath(f"/root/{one}") == f"/root/{one}"
        assert one.startswith("docs/")
        assert max(len(part.encode()) for part in one.split("/")) <= 255
    assert len({key, beside(key, digest), beside(key, digest, 64)}) == 3


@pytest.mark.parametrize(
    "template",
    [
        "", "plain", "{tenant}/{resolver}", "{basename", "{basename}}", "{}", "{0}", "{basename.x}", "{basename[0]}",
        "{basename!r}", "{basename:>10}", "{source_url}", "{artifact_id}/{password}", "/{basename}", "../{basename}",
        "a/../{basename}", "a\\{basename}", "{artifact id}/{basename}",
    ],
)  # fmt: skip
def test_a_template_that_is_unsafe_or_ambiguous_is_refused(template: str) -> None:
    """Unknown fields, formatting, ways out, and templates that name no document: all refused when they are set."""
    with pytest.raises(InvalidInput, match="template"):
        Template(template)


@pytest.mark.parametrize(
    "template, key",
    [
        ("{resolver}/{artifact_id}/{basename}", "docs/pmc/10.1000_x/paper.pdf"),
        ("{tenant}-{variant}/{basename}", "docs/default-/paper.pdf"),
        ("{variant}/{basename}", "docs/paper.pdf"),
        ("{run_id}//{artifact_id}/", "docs/nightly/10.1000_x"),
        ("{{{basename}}}", "docs/{paper.pdf}"),
        ("{sha256}", f"docs/{DIGEST}"),
    ],
)
def test_a_template_names_documents(template: str, key: str) -> None:
    """Fields fill their segment only, empty segments are left out, doubled braces stand for braces."""
    arrival = Arrival(artifact_id="10.1000/x", source_url="https://example.org/p", resolver="pmc", run_id="nightly")
    assert Template(template).key(arrival, "paper.pdf", DIGEST) == key


def test_a_document_without_a_file_name_is_named_by_its_id() -> None:
    """Where there is no basename the artifact id stands in."""
    assert Template("{basename}").key(Arrival(artifact_id="a/b", source_url="x"), "", DIGEST) == "docs/a_b"


# -- twins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one, other",
    [
        ("docs/Paper.pdf", "docs/paper.PDF"),
        ("docs/STRASSE", "docs/straße"),
        ("docs/é", "docs/e\u0301"),
        ("docs/É", "docs/E\u0301"),
        ("docs/ΣΑΣ", "docs/σας"),
    ],
)
def test_twins_have_one_fold(one: str, other: str) -> None:
    """Names that some file system takes for one have one fold (hazard 28)."""
    assert fold(one) == fold(other)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_folding_twice_is_folding_once(text: str) -> None:
    """A fold is its own fold, so that folds can be compared."""
    assert fold(fold(text)) == fold(text)


def test_other_names_have_other_folds() -> None:
    """Only case and composition are ignored."""
    names = ["a", "b", "ä", "a.", "á", "1", "l"]
    assert len({fold(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    "key, other",
    [
        ("docs/a/paper.pdf", "docs/a/paper~000102030405.pdf"),
        ("docs/a.b/paper", "docs/a.b/paper~000102030405"),
        ("docs/paper.tar.gz", "docs/paper.tar~000102030405.gz"),
    ],
)
def test_a_collision_gets_a_name_beside(key: str, other: str) -> None:
    """The digest goes before the extension, of the name and never of a folder."""
    assert beside(key, DIGEST) == other


def test_names_beside_are_as_long_as_names_may_be() -> None:
    """The longest name still has room for a whole digest, in 255 bytes."""
    key = Template().key(Arrival(artifact_id="a", source_url="x", resolver="r"), "x" * 300 + ".pdf", DIGEST)
    longest = beside(key, DIGEST, 64)
    assert len(longest.rpartition("/")[2].encode()) == 180 + 65
    assert layout_of(longest) is Layout.POLICY


# -- basenames ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, name",
    [
        ("https://example.org/a/paper.pdf", "paper.pdf"),
        ("https://example.org/a/paper.pdf?x=1&y=/b.txt#z/c.txt", "paper.pdf"),
        ("https://example.org/a/caf%C3%A9%20x.pdf", "café x.pdf"),
        ("https://example.org/a/%2e%2e%2f%2e%2e%2fetc", "../../etc"),
        ("https://example.org/a/b%2Fc.pdf", "b/c.pdf"),
        ("ftp://example.org/x.ps", "x.ps"),
        ("https://example.org/download/1234", "local.bin"),
        ("https://example.org/", "local.bin"),
        ("https://example.org/a/..", "local.bin"),
        ("https://example.org", "local.bin"),
        ("file:///tmp/other.pdf", "local.bin"),
        ("doi:10.1000/x.pdf", "local.bin"),
        ("https://[not-an-address/paper.pdf", "local.bin"),
        ("https://[::1]/paper.pdf", "paper.pdf"),
    ],
)
def test_the_name_a_reader_expects(url: str, name: str) -> None:
    """The URL's last segment if it looks like a file's name, else the file's own; no URL makes it fail."""
    assert basename_of(url, "local.bin") == name


@relaxed
@given(st.one_of(any_text, any_text.map("https://{}".format), any_text.map("https://[{}/a.pdf".format)), file_names)
def test_any_url_gives_a_name_that_becomes_a_key(url: str, name: str) -> None:
    """No URL, however broken, keeps a document out."""
    check_segment(segment(basename_of(url, name)))


def test_fields_are_those_of_the_docstring() -> None:
    """Every field a template may name is one of an arrival, or of its bytes."""
    known: Any = set(Arrival.__dataclass_fields__) | {"basename", "sha256"}
    assert set(FIELDS) <= known
    assert all(name for _, name, _, _ in string.Formatter().parse("".join(f"{{{field}}}" for field in FIELDS)))
