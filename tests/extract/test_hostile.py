"""Documents made to do harm stay within their limits, and end nothing but themselves (hazard 73)."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.content import Reason
from catalogkit.errors import SourceError
from catalogkit.extract.sandbox import kept
from tests.extract.conftest import TIGHT
from tests.extract.made import PROSE, docx, epub, laughs, odt, overlapping, page, pdf, zipped

if TYPE_CHECKING:
    from catalogkit.extract.extractor import MetadataExtractor

TITLE = "<dc:title>Bomb</dc:title>"
ZEROS = "\0" * 30_000_000
SPACES = " " * 30_000_000
ONE_PART = ("<item id='a' href='a.xhtml'/>", "<itemref idref='a'/>")

# What is refused, and why; where there are several honest reasons, any of them.
REFUSED = {
    "a bomb in a book's page": (epub(TITLE, *ONE_PART, {"a.xhtml": SPACES}), {Reason.TOO_LARGE}),
    "a bomb for a package file": (zipped({"mimetype": "application/epub+zip", "b.opf": ZEROS}), {Reason.TOO_LARGE}),
    "a bomb in a DOCX": (docx("<dc:title>x</dc:title>" + SPACES, ""), {Reason.TOO_LARGE}),
    "a bomb in an ODT": (odt("", SPACES), {Reason.TOO_LARGE}),
    "members that overlap": (overlapping(60, 3_000_000), {Reason.UNSUPPORTED, Reason.DAMAGED}),
    "arrays within arrays": (b"[" * 1_000_000, {Reason.DAMAGED}),
    "objects within objects": (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, {Reason.DAMAGED}),
    "divisions within divisions": (
        b"<!doctype html><title>x</title>" + b"<div>" * 300_000,
        {Reason.TIME, Reason.DAMAGED},
    ),
    "a file of the largest size and one more": (b"a" * (TIGHT.input_bytes + 1), {Reason.TOO_LARGE}),
    "a PDF without pages": (pdf().replace(b"/Count 1 /Kids [10 0 R]", b"/Count 0 /Kids []      "), {Reason.DAMAGED}),
    "no bytes": (b"", {Reason.EMPTY}),
    "no bytes, many of them": (b"\0" * 1_000_000, {Reason.UNSUPPORTED}),
    "half a book": (epub(TITLE, *ONE_PART, {"a.xhtml": page(PROSE)})[:400], {Reason.DAMAGED}),
}
# What is read all the same: hostile in a part that nobody has to follow.
READ = {
    "billion laughs": laughs(),
    "billion laughs in a book": epub(TITLE, *ONE_PART, {"a.xhtml": laughs("html").decode()}),
    "billion laughs as a page": b"<!doctype html>" + laughs("html"),
    "an attribute of laughs": laughs().replace(b"<lol>&l9;", b'<lol a="&l9;">'),
    "bombs that nobody has to unpack": epub(TITLE, "", "", {f"{n}.bin": ZEROS for n in range(3)}),
    "a zip within a zip within a zip": docx("", "") + zipped({"a.zip": zipped({"b.zip": zipped({"c": ZEROS})})}),
    "pages that lead in circles": pdf(PROSE).replace(b"/Kids [10 0 R]", b"/Kids [2 0 R] "),
    "bookmarks that lead in circles": pdf(
        PROSE,
        catalog="/Outlines 6 0 R",
        extra={6: "<< /First 7 0 R /Last 7 0 R >>", 7: "<< /Title (a) /Parent 6 0 R /Next 7 0 R /First 7 0 R >>"},
    ),
    "an absurd number of pages": pdf(PROSE).replace(b"/Count 1 ", b"/Count 99999999 "),
    "ten thousand empty pages": pdf(*[""] * 10_000),
    "a title of a megabyte": b"<!doctype html><title>" + b"x" * 1_000_000 + b"</title>",
    "a hundred thousand headings": b"<!doctype html>" + b"<h1>a</h1>" * 100_000,
    "ten thousand keys": ("{" + ",".join(f'"{n}": {{"{n}": {n}}}' for n in range(10_000)) + "}").encode(),
    "characters that are none": b"<!doctype html><title>\xff\xfe\x00\xed\xa0\x80</title>",
    "UTF-16 cut in two": "<!doctype html><title>bird</title>\ud83d".encode("utf-16", "surrogatepass")[:-1],
    "one line without end": b"a" * 10_000_000,
    "brackets without end": b"<" * 5_000_000,
    "comments that never close": b"<!doctype html>" + b"<!--" * 1_000_000,
    "lines of JSON, all open": b'{"a": "' + b"x" * 5_000_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason(extractor: MetadataExtractor, name: str) -> None:
    """Each is refused for what it is, soon, and the next document is read as if nothing had been."""
    document, reasons = REFUSED[name]
    one = extractor.extract(document)
    assert one.reason in reasons, one
    assert one.detail
    assert extractor.extract(pdf(PROSE)).page_count == 1


@pytest.mark.parametrize("name", READ)
def test_read_or_refused_within_limits(extractor: MetadataExtractor, name: str) -> None:
    """What comes of each is small, whatever it is, and never a crash of the process that reads."""
    one = extractor.extract(READ[name])
    assert one.reason not in (Reason.CRASHED, Reason.MEMORY), one
    assert len(one.text) <= TIGHT.text_chars and len(str(one.more)) + len(str(one.schema)) < 2_000_000
    assert len(one.title or "") <= 4_000 and len(one.outline) <= 5_000
    assert "lollol" not in one.text


def test_nothing_is_fetched(extractor: MetadataExtractor) -> None:
    """No entity, DTD, style, image or link makes anybody call."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        calls: list[object] = []

        def listen() -> None:
            try:
                calls.append(server.accept())
            except OSError:
                return

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        entity = (
            f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "{url}"><!ENTITY % p SYSTEM "{url}"> %p;]><a>&e;</a>'
        )
        dtd = f'<?xml version="1.0"?><!DOCTYPE html SYSTEM "{url}"><html><body>x</body></html>'
        html = f'<!doctype html><link rel=stylesheet href="{url}"><img src="{url}"><iframe src="{url}"></iframe>x'
        secret = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>'
        for document in (entity, dtd, html, secret):
            one = extractor.extract(document.encode())
            assert "root:" not in one.text
        book = epub(TITLE, *ONE_PART, {"a.xhtml": entity})
        assert extractor.extract(book).title == "Bomb"
        server.settimeout(0.01)
        assert calls == []


def test_what_never_ends_is_not_begun(extractor: MetadataExtractor, tmp_path: Path) -> None:
    """A FIFO, a device and a folder are no documents."""
    os.mkfifo(fifo := tmp_path / "fifo")
    for path in (fifo, "/dev/zero", "/dev/stdin", tmp_path):
        with pytest.raises(SourceError, match=r"not a regular file|cannot be read"):
            extractor.extract(path)


def test_a_file_that_grows_is_read_as_long_as_it_was(extractor: MetadataExtractor, tmp_path: Path) -> None:
    """Whoever keeps writing does not keep the reader."""
    path, stop = tmp_path / "grows.txt", threading.Event()
    path.write_bytes(b"words " * 1_000)

    def write() -> None:
        with path.open("ab") as file:
            while not stop.is_set() and file.tell() < 50_000_000:
                file.write(b"more words " * 1_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert extractor.extract(path).reason in (None, Reason.TOO_LARGE)
    finally:
        stop.set()
        writer.join()


def test_no_file_can_be_written(extractor: MetadataExtractor) -> None:
    """The process that reads has no way to write a file, whatever a document makes of it."""
    assert extractor._sandbox is not None
    with kept(b"x"):
        extractor.extract(b"x")
    (child,) = extractor._sandbox._children
    limits = Path(f"/proc/{child._process.pid}/limits").read_text()
    assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max file size")] == [["0", "0"]]
