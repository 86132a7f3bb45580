"""Fuzzing that looks where it gets to: ``make fuzz``. What it finds becomes a test of its own.

Each door has a process of its own, in which atheris watches the lines of the package that are reached and changes
bytes until it reaches more. A door is understood or refused with `InvalidInput`; a document is told or refused, and
never for an error of ours.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import atheris

with atheris.instrument_imports(include=["catalogkit"], enable_loader_override=False):
    from catalogkit.content import Reason
    from catalogkit.errors import InvalidInput
    from catalogkit.extract import book, data, markup, office, pdf, pdfium, plain, web, xmp
    from catalogkit.extract.reading import read
    from catalogkit.policies.extract import Limits
    from catalogkit.sniff import sniff
    from tests.fuzz.test_words import DOORS

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS: Final = Limits()
READERS: Final = (book, data, markup, office, pdf, pdfium, plain, web, xmp)  # loaded here, so that they are watched
FILES: Final = ("settings", "retention")
DOCUMENTS: Final = {
    "html": b"<!doctype html><html lang=de><head><meta charset=utf-8><title>a</title><meta name=author content=x>"
    b"<link rel=canonical href=/b><meta property='og:title' content=c></head><body><h1>h</h1><a href=d>e</a></body>",
    "json": b'{"title": "a", "records": [{"id": 1, "tags": ["x", null]}, {"id": 2.5, "more": {"deep": true}}]}',
    "jsonl": b'{"a": 1}\n{"a": "two", "b": []}\n',
    "xml": b"<?xml version='1.0' encoding='utf-8'?><a xmlns:dc='d'><dc:title>t</dc:title><b c='1'>text</b></a>",
    "text": b"A line of plain text\nand another one, in the same language as the first.\n",
    "pdf": b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R>>endobj 4 0 obj<</Title(a)/CreationDate(D:20260101)>>endobj\n"
    b"trailer<</Root 1 0 R/Info 4 0 R>>\n<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'/><?xpacket end='w'?>",
}


def understood(name: str) -> Callable[[bytes], None]:
    """A door for texts."""
    door = DOORS[name]
    # A file of settings has to be UTF-8 before anybody parses it; an argument is whatever bytes the shell was given.
    wrong = "replace" if name in FILES else "surrogateescape"

    def once(data: bytes) -> None:
        try:
            door.read(data.decode("utf-8", wrong))
        except InvalidInput as refused:
            assert str(refused), "it does not say why"

    return once


def told(data: bytes) -> None:
    """A document is told or refused."""
    sniff(data[:512], whole=len(data) <= 512)
    found = read(data, LIMITS)
    assert found.reason is not Reason.CRASHED, found.detail


def main() -> int:
    """Fuzz every door, or one."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each door")
    parser.add_argument("--only", choices=[*DOORS, *DOCUMENTS], help="one door")
    parser.add_argument("--here", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        name, folder = given.here
        watched = told if name in DOCUMENTS else understood(name)
        atheris.Setup([sys.argv[0], folder, f"-max_total_time={given.seconds}", "-rss_limit_mb=2000"], watched)
        atheris.Fuzz()
    failed = []
    for name in [given.only] if given.only else [*DOORS, *DOCUMENTS]:
        with tempfile.TemporaryDirectory() as folder:
            good = [DOCUMENTS[name]] if name in DOCUMENTS else [text.encode() for text in DOORS[name].good]
            for number, text in enumerate(good):
                (Path(folder) / f"{number}").write_bytes(text)
            line = [sys.executable, "-m", "tests.fuzz.guided", "--seconds", str(given.seconds), "--here", name, folder]
            said = subprocess.run(line, capture_output=True, text=True, cwd=folder, check=False)
            print(f"{name}: {'nothing found' if said.returncode == 0 else 'FOUND'}", flush=True)
            if said.returncode:
                failed.append(name)
                print(*re.findall(r"(?s) === Uncaught.*", said.stdout) or [said.stdout[-3000:], said.stderr[-3000:]])
                for crash in Path(folder).glob("crash-*"):
                    print(crash.read_bytes(), flush=True)
    return len(failed) > 0


if __name__ == "__main__":
    sys.exit(main())
