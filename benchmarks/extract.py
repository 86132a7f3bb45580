"""Looking into documents: beside poppler's programs and pypdf over PDF files, and beside itself without isolation.

The documents are those of the demo, or of the folder that ``BENCH_DOCUMENTS`` names. Each contender reads the same
files so many times over, and says of how many it told the pages, or anything. PDF files are raced twice, each time
everybody with the same work: page count, metadata and the text of the first page; and the same with the text of as
many pages as catalogkit reads by default. catalogkit tells titles, languages and outlines besides, which nobody else
is asked for.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.race import Contender, Race, Untrue, race
from catalogkit.policies.extract import Limits

TIMES, QUICK_TIMES = 12, 3
WORKERS = 2
POPPLER = (
    'pages=$1; shift; for f in "$@"; do pdfinfo "$f" 2>/dev/null | grep ^Pages;'
    ' pdftotext -l "$pages" "$f" - >/dev/null 2>&1; done; true'
)


def run(bench: Bench, times: int | None = None) -> Iterator[Race]:
    """PDF files against their readers; all kinds of documents with and without isolation."""
    times = times or (QUICK_TIMES if bench.quick else TIMES)
    everything = sorted(path for path in _documents().rglob("*") if path.is_file())
    pdfs = [path for path in everything if path.open("rb").read(5) == b"%PDF-"] * times
    yield _over_pdfs(bench, pdfs, 1, "the first page")
    yield _over_pdfs(bench, pdfs, Limits().pages, f"the first {Limits().pages} pages")
    files, pages = everything * times, Limits().pages
    job = partial(_told, least=int(0.9 * len(files)))
    contenders = [_ours("apart", "apart1", pages, files, job), _ours("in one process", "inside", pages, files, job)]
    result = race(f"{len(files):,} documents", contenders, rounds=bench.rounds, files=len(files))
    result.expect_share("in one process", "cpu", 1.2, "isolation takes at most 20 % more CPU")
    yield result


def _over_pdfs(bench: Bench, pdfs: list[Path], pages: int, which: str) -> Race:
    """Page count, metadata and the text of so many pages, by everybody."""
    # Broken and locked files have no pages to tell, so those that at least tell most of them did the job.
    job = partial(_told, least=int(0.85 * len(pdfs)))
    contenders = [_ours(f"catalogkit, {WORKERS} processes", f"apart{WORKERS}", pages, pdfs, job)]
    left_out = []
    if shutil.which("pdfinfo"):
        command = ["sh", "-c", POPPLER, "sh", str(pages), *map(str, pdfs)]
        contenders.append(Contender("pdfinfo + pdftotext", command, job))
    else:
        left_out.append("pdfinfo")
    if find_spec("pypdf"):
        contenders.append(_ours("pypdf", "pypdf", pages, pdfs, job))
    else:
        left_out.append("pypdf")
    result = race(
        f"{len(pdfs):,} PDF files, {which}", contenders, rounds=bench.rounds, left_out=left_out, files=len(pdfs)
    )
    result.expect_share("pdfinfo + pdftotext", "wall", 1 / 1.5, "at most two thirds of the time of poppler's programs")
    result.expect_share("pypdf", "wall", 1 / 10, "at most a tenth of the time of pypdf")
    return result


def _documents() -> Path:
    from catalogkit.demo import demo_data

    return Path(os.environ.get("BENCH_DOCUMENTS") or demo_data() / "docs")


def _ours(name: str, words: str, pages: int, files: list[Path], check: partial[None]) -> Contender:
    command = [sys.executable, "-m", "benchmarks.extract", words, str(pages), *map(str, files)]
    return Contender(name, command, check, env=ours.ENV)


def _told(out: str, least: int) -> None:
    lines = out.split()
    told = int(lines[0]) if len(lines) == 1 else out.count("Pages:")
    if told < least:
        raise Untrue(f"something was told of {told} documents, not of {least} at least")


def main(words: str, pages: int, files: list[str]) -> None:
    """Read the files one way or the other, and print of how many something was told."""
    limits = Limits(pages=pages)
    if words == "pypdf":
        print(_pypdf(files, limits))
        return
    from catalogkit.extract.extractor import MetadataExtractor

    apart = words.startswith("apart")
    count = int(words.removeprefix("apart")) if apart else 1
    with MetadataExtractor(limits=limits, isolated=apart, concurrency=count) as extractor:
        print(sum(told.reason is None for _, told in extractor.extract_many(files)))


def _pypdf(files: list[str], limits: Limits) -> int:
    """The same from pypdf: pages, metadata, the text of as many pages, and of no more when that is enough text."""
    import logging

    import pypdf

    logging.disable(logging.CRITICAL)
    told = 0
    for name in files:
        try:
            with open(name, "rb") as file:
                reader = pypdf.PdfReader(file)
                pages, _ = len(reader.pages), reader.metadata
                chars = 0
                for number in range(min(pages, limits.pages)):
                    chars += len(reader.pages[number].extract_text())
                    if chars > limits.text_chars:
                        break
                told += bool(pages)
        except Exception:  # noqa: BLE001 - it gives up on some of them in many ways
            continue
    return told


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
