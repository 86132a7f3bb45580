"""A labelled set of near-duplicates, made out of a folder of documents: each in other bytes with the same text.

Two variants of one document are near-duplicates, two of different ones are not, unless the folder itself has the same
text twice. That is told by a measure of its own, bags of words: where two documents share nearly all of their words
they are one label; where they share much of them (a book and its translation, sister pages of a template), nobody can
say without reading, and the pair counts neither way.
"""

from __future__ import annotations

import html
import random
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pymupdf

MOST_PAGES: Final = 400
FEWEST_WORDS: Final = 60
ONE, ARGUABLE = 0.85, 0.4
_PAGE: Final = pymupdf.paper_rect("a4")


@dataclass
class LabelledSet:
    """Files, whose text each is (`labels`), and pairs of labels that count neither way."""

    labels: dict[Path, str] = field(default_factory=dict)
    arguable: set[frozenset[str]] = field(default_factory=set)


def make(source: Path, folder: Path) -> LabelledSet:
    """Write every variant of every document of `source` into `folder`.

    Returns
    -------
    LabelledSet
        Each file's label, and what is arguable.
    """
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    folder.mkdir(parents=True, exist_ok=True)
    made, bags = LabelledSet(), dict[str, Counter[str]]()
    for number, path in enumerate(sorted(path for path in source.rglob("*") if path.is_file())):
        text = text_of(path)
        words = re.findall(r"[^\W_]+", text.casefold())
        if len(set(words)) < FEWEST_WORDS:
            continue
        bag = Counter(words)
        shares = {label: _share(bag, other) for label, other in bags.items()}
        twin = max(shares, key=shares.__getitem__, default="")
        label = twin if twin and shares[twin] >= ONE else f"{number:05d}"
        if label != twin:
            bags[label] = bag
            made.arguable |= {frozenset((label, other)) for other, share in shares.items() if share >= ARGUABLE}
        for name, variant in VARIANTS.items():
            home = folder / f"{number:05d}-{name}"
            if variant(path, text, home, random.Random(f"{number} {name}")):
                made.labels[home] = label
    return made


def text_of(path: Path) -> str:
    """What MuPDF reads of a PDF, an EPUB or a page; empty if it reads nothing."""
    kind = {b"%PDF": "pdf", b"PK\x03\x04": "epub"}.get(path.read_bytes()[:4])
    if kind is None and path.suffix not in (".html", ".xhtml", ".htm"):
        return ""
    try:
        with pymupdf.open(path, filetype=kind or "html") as document:
            if document.needs_pass or document.page_count > MOST_PAGES:
                return ""
            return "\n".join(page.get_text() for page in document)
    except Exception:  # noqa: BLE001 - what MuPDF makes of a broken file is not the point
        return ""


def _share(a: Counter[str], b: Counter[str]) -> float:
    """Of the words of both bags together, the part that they have in common (Ruzicka's similarity)."""
    return (a & b).total() / (a | b).total()


# -- variants: each writes a file and says whether it could ------------------------------------------------------------


def _as_it_is(path: Path, text: str, home: Path, chance: random.Random) -> bool:
    home.write_bytes(path.read_bytes())
    return True


def _resaved(path: Path, text: str, home: Path, chance: random.Random) -> bool:
    def change(document: pymupdf.Document) -> None:
        document.set_metadata({"title": "downloaded", "producer": "another program"})

    return _changed_pdf(path, home, change, garbage=4, deflate=True, clean=True)


def _watermarked(path: Path, text: str, home: Path, chance: random.Random) -> bool:
    user = f"Downloaded by reader{chance.randrange(10**6)} from 10.0.{chance.randrange(256)}.{chance.randrange(256)}"

    def change(document: pymupdf.Document) -> None:
        for page in document:
            page.insert_text((30, 20), f"{user} on 3 May 2026, for personal use only", fontsize=7)

    return _changed_pdf(path, home, change)


def _changed_pdf(path: Path, home: Path, change: Callable[[pymupdf.Document], None], **how: object) -> bool:
    if path.read_bytes()[:4] != b"%PDF":
        return False
    try:
        with pymupdf.open(path, filetype="pdf") as document:
            change(document)
            document.save(home, **how)
    except Exception:  # noqa: BLE001 - what MuPDF makes of a broken file is not the point
        return False
    return True


def _converted(path: Path, text: str, home: Path, chance: random.Random) -> bool:
    """What is no PDF becomes one by MuPDF's own layout, with page numbers."""
    if path.read_bytes()[:4] == b"%PDF":
        return False
    kind = "epub" if path.read_bytes()[:2] == b"PK" else "html"
    try:
        with pymupdf.open(path, filetype=kind) as document:
            pdf = pymupdf.open("pdf", document.convert_to_pdf())
    except Exception:  # noqa: BLE001 - what MuPDF makes of a broken file is not the point
        return False
    for number, page in enumerate(pdf, 1):
        page.insert_text((_PAGE.width / 2, _PAGE.height - 20), f"Page {number}", fontsize=8)
    pdf.save(home, deflate=True)
    return True


def _rendered(path: Path, text: str, home: Path, chance: random.Random) -> bool:
    """The bare text, laid out anew."""
    size = chance.choice([9, 11, 13])
    body = "".join(f"<p>{html.escape(part)}</p>" for part in _paragraphs(text))
    story = pymupdf.Story(f"<body style='font-size:{size}px'>{body}</body>")
    writer, more = pymupdf.DocumentWriter(str(home) + ".pdf"), 1
    while more:
        device = writer.begin_page(_PAGE)
        more, _ = story.place((50, 60, _PAGE.width - 50, _PAGE.height - 60))
        story.draw(device)
        writer.end_page()
    writer.close()
    Path(str(home) + ".pdf").rename(home)
    return True


def _page(path: Path, text: str, home: Path, chance: random.Random) -> bool:
    """A page of some site, with a menu, a notice about cookies and a footer, all of its own."""
    menu = "".join(f"<li><a href='/{word}'>{word}</a></li>" for word in _names(chance, 25))
    related = "".join(f"<li><a href='#'>{' '.join(_names(chance, 6))}</a></li>" for _ in range(5))
    body = "".join(f"<p>{html.escape(part)}</p>" for part in _paragraphs(text))
    home.write_text(
        f"<!doctype html><html><head><meta charset='utf-8'><title>{' '.join(_names(chance, 3))}</title>"
        f"<script>var a = '{' '.join(_names(chance, 40))}';</script></head><body>"
        f"<header><nav><ul>{menu}</ul></nav></header><main><article>{body}</article></main>"
        f"<aside><h3>Related</h3><ul>{related}</ul></aside>"
        f"<footer><p>Copyright {' '.join(_names(chance, 20))}</p></footer></body></html>",
        encoding="utf-8",
    )
    return True


def _book(path: Path, text: str, home: Path, chance: random.Random) -> bool:
    """An EPUB with the text in chapters."""
    parts = _paragraphs(text)
    step = max(len(parts) // 5, 1)
    chapters = [parts[at : at + step] for at in range(0, len(parts), step)]
    items = "".join(
        f'<item id="c{n}" href="c{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    with zipfile.ZipFile(home, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        book.writestr(
            "META-INF/container.xml",
            '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="c.opf" media-type="application/oebps-package+xml"/></rootfiles>'
            "</container>",
        )
        book.writestr(
            "c.opf",
            '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i">'
            '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="i">made</dc:identifier>'
            f"<dc:title>{' '.join(_names(chance, 3))}</dc:title><dc:language>en</dc:language></metadata>"
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
        )
        for n, chapter in enumerate(chapters):
            body = "".join(f"<p>{html.escape(part)}</p>" for part in chapter)
            book.writestr(
                f"c{n}.xhtml",
                '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml">'
                f"<head><title>Chapter {n + 1}</title></head><body><h1>Chapter {n + 1}</h1>{body}</body></html>",
            )
    return True


def _plain(path: Path, text: str, home: Path, chance: random.Random) -> bool:
    """Plain text with lines of 72."""
    import textwrap

    home.write_text("\n\n".join(textwrap.fill(part, 72) for part in _paragraphs(text)), encoding="utf-8")
    return True


VARIANTS: Final[dict[str, Callable[[Path, str, Path, random.Random], bool]]] = {
    "as-it-is": _as_it_is,
    "resaved": _resaved,
    "watermarked": _watermarked,
    "converted": _converted,
    "rendered": _rendered,
    "page": _page,
    "book": _book,
    "plain": _plain,
}


def _paragraphs(text: str) -> list[str]:
    """Paragraphs, with a word that a line's end parts put together again, and without what XML cannot hold."""
    clean = re.sub(r"[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", " ", text)
    joined = re.sub(r"(?<=\w)-\n(?=[a-z])", "", clean)
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n|(?<=[.:])\n", joined) if part.strip()]


def _names(chance: random.Random, count: int) -> Iterator[str]:
    """Words that no document has, the same for the same chance."""
    syllables = ["ka", "lo", "mi", "tu", "re", "na", "po", "vi", "sa", "ge", "do", "fu"]
    for _ in range(count):
        yield "".join(chance.choice(syllables) for _ in range(3))
