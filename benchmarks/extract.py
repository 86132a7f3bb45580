"""Looking into documents: beside poppler's programs and pypdf over PDF files, and beside itself without isolation.

The documents are those of the demo, or of the folder that ``BENCH_DOCUMENTS`` names. Each contender reads the same
files so many times over, and says of how many it told the pages, or anything.
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

TIMES, QUICK_TIMES = 12, 3
WORKERS = 2
POPPLER = 'for f in "$@"; do pdfinfo "$f" 2>/dev/null | grep ^Pages; pdftotext -l 1 "$f" - >/dev/null 2>&1; done; true'


def run(bench: Bench, times: int | None = None) -> Iterator[Race]:
    """PDF files against their readers; all kinds of documents with and without isolation."""
    times = times or (QUICK_TIMES if bench.quick else TIMES)
    everything = sorted(path for path in _documents().rglob("*") if path.is_file())
    pdfs = [path for path in everything if path.open("rb").read(5) == b"%PDF-"] * times
    # Broken and locked files have no pages to tell, so those that at least tell most of them did the job.
    job = partial(_told, least=int(0.85 * len(pdfs)))
    contenders = [_ours(f"catalogkit, {WORKERS} processes", f"apart{WORKERS}", pdfs, job)]
    left_out = []
    if shutil.which("pdfinfo"):
        contenders.append(Contender("pdfinfo + pdftotext", ["sh", "-c", POPPLER, "sh", *map(str, pdfs)], job))
    else:
        left_out.append("pdfinfo")
    if find_spec("pypdf"):
        contenders.append(_ours("pypdf", "pypdf", pdfs, job))
    else:
        left_out.append("pypdf")
    result = race(f"{len(pdfs):,} PDF files", contenders, rounds=bench.rounds, left_out=left_out, files=len(pdfs))
    result.expect_share("pdfinfo + pdftotext", "wall", 1 / 1.5, "at most two thirds of the time of poppler's programs")
    result.expect_share("pypdf", "wall", 1 / 10, "at most a tenth of the time of pypdf")
    yield result
    files = everything * times
    job = partial(_told, least=int(0.9 * len(files)))
    contenders = [_ours("apart", "apart1", files, job), _ours("in one process", "inside", files, job)]
    result = race(f"{len(files):,} documents", contenders, rounds=bench.rounds, files=len(files))
    result.expect_share("in one process", "cpu", 1.2, "isolation takes at most 20 % more CPU")
    yield result


def _documents() -> Path:
    from catalogkit.demo import demo_data

    return Path(os.environ.get("BENCH_DOCUMENTS") or demo_data() / "docs")


def _ours(name: str, words: str, files: list[Path], check: partial[None]) -> Contender:
    return Contender(name, [sys.executable, "-m", "benchmarks.extract", words, *map(str, files)], check, env=ours.ENV)


def _told(out: str, least: int) -> None:
    lines = out.split()
    told = int(lines[0]) if len(lines) == 1 else out.count("Pages:")
    if told < least:
        raise Untrue(f"something was told of {told} documents, not of {least} at least")


def main(words: str, files: list[str]) -> None:
    """Read the files one way or the other, and print of how many something was told."""
    if words == "pypdf":
        print(_pypdf(files))
        return
    from catalogkit.extract.extractor import MetadataExtractor

    apart = words.startswith("apart")
    count = int(words.removeprefix("apart")) if apart else 1
    with MetadataExtractor(isolated=apart, concurrency=count) as extractor:
        print(sum(told.reason is None for _, told in extractor.extract_many(files)))


def _pypdf(files: list[str]) -> int:
    """The same from pypdf: pages, metadata, the text of the first page."""
    import logging

    import pypdf

    logging.disable(logging.CRITICAL)
    told = 0
    for name in files:
        try:
            with open(name, "rb") as file:
                reader = pypdf.PdfReader(file)
                pages, _ = len(reader.pages), reader.metadata
                reader.pages[0].extract_text()
                told += bool(pages)
        except Exception:  # noqa: BLE001 - it gives up on some of them in many ways
            continue
    return told


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
