"""How much of what documents state is told right: field by field beside other programs.

``python -m benchmarks.told [FOLDER]``; the demo's documents without a folder. PDF is held against poppler's ``pdfinfo``
and ``exiftool``, its bookmarks against pypdf; HTML against html5lib by way of Beautiful Soup; EPUB against the standard
library's XML; JSON against genson and jsonschema (`benchmarks.told_data`). Peers that are not installed are left out. A
field counts where the other program says that the document states it.
"""

from __future__ import annotations

import io
import json
import posixpath
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from benchmarks import told_data
from catalogkit.content import ContentMetadata
from catalogkit.extract.reading import read
from catalogkit.policies.extract import Limits

Said = Iterator[tuple[str, Any, Any]]
_DC = "{http://purl.org/dc/elements/1.1/}"


def main(folder: Path) -> None:
    """Print the share that is told right of each field, and every difference."""
    right, all_of_them = Counter[str](), Counter[str]()
    differences = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        data = path.read_bytes()
        told = read(data, Limits())
        for field, theirs, ours in _said(path, data, told):
            if theirs in (None, "", [], 0):
                continue
            all_of_them[field] += 1
            right[field] += theirs == ours
            if theirs != ours:
                differences.append(f"{field}: {path.relative_to(folder)}: {theirs!r}, here {ours!r}")
    for field, count in sorted(all_of_them.items()):
        print(f"{field:<18} {right[field]:>5} of {count:<5} {right[field] / count:6.1%}")
    print(*differences, sep="\n")


def _said(path: Path, data: bytes, told: ContentMetadata) -> Said:
    """Field, what the other program says, what is told here."""
    if told.extractor == "pdf" and shutil.which("pdfinfo"):
        yield from _pdf(path, told)
    elif told.extractor == "web" and find_spec("bs4") and find_spec("html5lib"):
        yield from _html(data, told)
    elif told.extractor == "book" and told.ok:
        yield from _epub(data, told)
    elif told.extractor == "data" and find_spec("genson") and find_spec("jsonschema"):
        yield from told_data.said(data, told)


def _flat(text: object) -> str:
    return " ".join(str(text or "").replace("\0", " ").split())


def _pdf(path: Path, told: ContentMetadata) -> Said:
    out = subprocess.run(["pdfinfo", "-enc", "UTF-8", path], capture_output=True, check=False).stdout
    info = dict(line.partition(":")[::2] for line in out.decode("utf-8", "replace").splitlines())
    if info.get("Pages"):
        yield "pdf pages", int(info["Pages"]), told.page_count
    if told.reason == "encrypted":
        return
    yield "pdf title", _flat(info.get("Title")), _flat(told.title)
    yield "pdf author", _parts(info.get("Author")), _parts(told.author)
    yield "pdf subject", _flat(info.get("Subject")), _flat(told.subject)
    yield "pdf keywords", _parts(info.get("Keywords")), _parts(";".join(told.keywords))
    if find_spec("pypdf"):
        yield "pdf bookmarks", _bookmarks(path), len(told.outline)
    if shutil.which("exiftool"):
        done = subprocess.run(["exiftool", "-j", "-G1", path], capture_output=True, check=False)
        tags = json.loads(done.stdout)[0] if done.stdout else {}
        yield "pdf language", tags.get("PDF:Language"), told.language
        if not _flat(info.get("Title")):
            yield "xmp title", _flat(tags.get("XMP-dc:Title")), _flat(told.title)
        for field, tag, ours in (
            ("pdf created", "PDF:CreateDate", told.created_at),
            ("pdf modified", "PDF:ModifyDate", told.modified_at),
        ):
            yield field, _utc(tags.get(tag)), ours and f"{ours:%Y-%m-%d %H:%M}"


def _utc(text: object) -> str | None:
    """A time as exiftool writes it, in UTC and to the minute; None where it is none."""
    form = re.fullmatch(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d)(?::\d\d)?(Z|[+-]\d\d:\d\d)?", str(text or ""))
    if form is None:
        return None
    zone = (form[6] or "Z").replace("Z", "+00:00")
    try:
        found = datetime.fromisoformat("{}-{}-{}T{}:{}".format(*form.groups()[:5]) + zone)
        return f"{found.astimezone(UTC):%Y-%m-%d %H:%M}"
    except ValueError:
        return None


def _parts(text: object) -> list[str]:
    """What commas and semicolons set apart, each thing once."""
    return list(dict.fromkeys(part for one in re.split("[,;]", str(text or "")) if (part := _flat(one))))


def _bookmarks(path: Path) -> int | None:
    import logging

    import pypdf

    logging.disable(logging.CRITICAL)

    def count(marks: list[Any]) -> int:
        return sum(count(one) if isinstance(one, list) else 1 for one in marks)

    try:
        return count(pypdf.PdfReader(path).outline)
    except Exception:  # noqa: BLE001 - it gives up on some of them in many ways
        return None


def _html(data: bytes, told: ContentMetadata) -> Said:
    from bs4 import BeautifulSoup

    page: Any = BeautifulSoup(data, "html5lib")
    title, html = page.find("title"), page.find("html")
    description = page.find("meta", attrs={"name": re.compile("^description$", re.I)})
    canonical = page.find("link", rel="canonical")
    yield "html title", title and _flat(title.get_text()), told.title
    yield "html description", description and _flat(description.get("content")), told.description
    yield "html language", html and (html.get("lang") or html.get("xml:lang")), told.language
    yield "html canonical", canonical and canonical.get("href"), told.more.get("canonical")
    author = page.find("meta", attrs={"name": re.compile("^author$", re.I)})
    yield "html author", author and _flat(author.get("content")), next(iter(told.authors), None)
    keywords = page.find("meta", attrs={"name": re.compile("^keywords$", re.I)})
    yield "html keywords", keywords and _parts(keywords.get("content")), list(told.keywords)
    headings = [one for one in page.find_all(re.compile("^h[1-6]$")) if _flat(one.get_text())]
    yield "html headings", len(headings), len(told.outline)
    yield "html links", len(page.find_all(["a", "area"], href=True)), told.more.get("link_count")


def _epub(data: bytes, told: ContentMetadata) -> Said:
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        where = next(name for name in book.namelist() if name.endswith(".opf"))
        package = ET.fromstring(book.read(where))
        stated = {
            name: [_flat(one.text) for one in package.iter(_DC + name)] for name in ("title", "creator", "language")
        }
        yield "epub title", next(iter(stated["title"]), None), told.title
        yield "epub authors", stated["creator"], list(told.authors)
        yield "epub language", next(iter(stated["language"]), None), told.language
        items = package.iter("{http://www.idpf.org/2007/opf}item")
        nav = next((one for one in items if "nav" in one.get("properties", "").split()), None)
        ncx = next((name for name in book.namelist() if name.endswith(".ncx")), None)
        if nav is not None:
            name = posixpath.normpath(posixpath.join(posixpath.dirname(where), nav.get("href", "")))
            lists = re.findall(rb"<nav\b[^>]*>.*?</nav>", book.read(name), re.S) if name in book.namelist() else []
            toc = next((one for one in lists if re.match(rb'<nav[^>]*epub:type="toc"', one)), b"")
            yield "epub contents", len(re.findall(rb"<a\b", toc)), told.more.get("toc_count")
        elif ncx is not None:
            yield "epub contents", len(re.findall(rb"<(?:\w+:)?navPoint\b", book.read(ncx))), told.more.get("toc_count")


if __name__ == "__main__":
    from catalogkit.demo import demo_data

    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else demo_data() / "docs")
