"""catalogkit as a user runs it: a fresh process each time, believed only if its answer says that all was done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import corpus
from benchmarks.bench import fresh
from benchmarks.corpus import Corpus
from benchmarks.race import Contender, Untrue, environment, measure

ROOT: Final = Path(__file__).resolve().parents[1]
ENV: Final = {"PYTHONPATH": str(ROOT)}
CATALOGKIT: Final = (sys.executable, "-m", "catalogkit")


def compile_first() -> None:
    """Compile the package, so that no timing pays for it."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(ROOT / "catalogkit")], check=True, env=environment())


def command(home: Path, *words: str | Path) -> list[str]:
    """A command line on the collection in `home`."""
    return [*CATALOGKIT, "-C", str(home), *map(str, words), "--json"]


def init(home: Path) -> None:
    """Make a collection."""
    measure([*CATALOGKIT, "init", str(home)], env=ENV)


def ingest(home: Path, truth: Corpus) -> Contender:
    """Store the corpus in a new collection."""

    def check(out: str) -> None:
        expect(out, ingested=truth.files, skipped=0, failed=0, bytes=truth.bytes, new_blobs=truth.unique_files)
        corpus.expect_files(cas(home), truth.unique_files, truth.unique_bytes)

    prepare = partial(fresh, home, truth, init)
    return Contender("catalogkit ingest", command(home, "ingest", truth.tree), check, prepare, ENV)


def rescan(home: Path, truth: Corpus, changed: int = 0, change: Callable[[], object] = os.sync) -> Contender:
    """Look at the corpus again, which the collection knows, and of which `change` has changed so many files."""
    known = partial(expect, ingested=changed, skipped=truth.files - changed, failed=0, new_blobs=changed)
    return Contender("catalogkit ingest, again", command(home, "ingest", truth.tree), known, change, ENV)


def verify(home: Path, truth: Corpus) -> Contender:
    """Read and compare all that is stored, which is each unique file of the corpus once."""
    found = {"ok": truth.unique_files, "corrupt": 0, "missing": 0, "unknown": 0, "unchecked": {}}
    check = partial(expect, bytes=truth.unique_bytes, **found)
    return Contender("catalogkit verify", command(home, "verify"), check, partial(corpus.read, cas(home)), ENV)


def cas(home: Path) -> Path:
    """Where a collection keeps bytes, under names that are their digests."""
    return home / "store" / "cas"


def answer(out: str) -> dict[str, Any]:
    """What a command said."""
    return dict(json.loads(out))


def expect(out: str, **wanted: object) -> None:
    """Raise unless the answer says all that."""
    said = answer(out)
    wrong = [f"{name} {said.get(name)} instead of {value}" for name, value in wanted.items() if said.get(name) != value]
    if wrong:
        raise Untrue(", ".join(wrong))
