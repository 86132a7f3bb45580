"""Opening: what it costs to begin. A catalog of a million documents opens like an empty one; help comes at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import catalogkit
from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.memory import LIMIT_BYTES
from benchmarks.race import Contender, Race, Untrue, once, race
from catalogkit.catalog.contract import Registration
from catalogkit.layouts import cas_key
from catalogkit.model import Arrival, Digest, Layout

COUNT, QUICK_COUNT = 1_000_000, 100_000
PAGE = 10_000
OPEN = "import sys, catalogkit; catalogkit.open(sys.argv[1]).close(); print('done')"
AS_OF = datetime(2025, 1, 1, tzinfo=UTC)


def run(bench: Bench, count: int | None = None) -> Iterator[Race]:
    """Opening, status, help; each beside the same of an empty catalog, or of Python alone."""
    count = count or (QUICK_COUNT if bench.quick else COUNT)
    work = bench.scratch()
    full, empty = work / "full", work / "empty"
    ours.init(empty)
    fill(full, count)
    python = Contender("python alone", [sys.executable, "-c", "print('done')"], partial(_says, "done"))

    opened = [
        Contender(name, [sys.executable, "-c", OPEN, str(home)], partial(_says, "done"), env=ours.ENV)
        for name, home in ((f"open {count:,} documents", full), ("open no documents", empty))
    ]
    result = _race("opening a catalog", bench, [*opened, python])
    result.expect_share("open no documents", "cpu", 1.5, f"opening {count:,} documents: CPU as for none, within half")
    result.expect_share("open no documents", "peak_bytes", 1.1, f"opening {count:,} documents: memory as for none")
    yield result

    asked = [
        Contender(name, ours.command(home, "status"), partial(ours.expect, documents=documents), env=ours.ENV)
        for name, home, documents in (
            (f"status of {count:,} documents", full, count),
            ("status of no documents", empty, 0),
        )
    ]
    result = _race("status", bench, asked)
    result.expect_less("peak_bytes", LIMIT_BYTES, f"status of {count:,} documents: less than 300 MB of memory")
    yield result

    helped = Contender("catalogkit --help", [*ours.CATALOGKIT, "--help"], partial(_says, "Usage: "), env=ours.ENV)
    result = _race("help", bench, [helped, python])
    result.expect_less("cpu", 0.5, "help: less than half a second of CPU")
    yield result


def fill(home: Path, count: int) -> None:
    """Make a collection whose catalog knows so many documents; of their bytes there are none."""
    with catalogkit.init(home) as collection:
        store_id = collection.store_id(collection.store.name)
        for start in range(0, count, PAGE):
            rows = [(None, _registration(number, store_id)) for number in range(start, min(start + PAGE, count))]
            collection.catalog.commit(rows, as_of=AS_OF, run_id="benchmark")


def _registration(number: int, store_id: int) -> Registration:
    digest = Digest(sha256(str(number).encode()).digest())
    arrival = Arrival(
        artifact_id=f"artifact-{number:07d}",
        source_url=f"https://example.org/archive/{number % 997:03d}/document-{number:07d}.pdf",
        resolver=f"resolver-{number % 7}",
        run_id=f"run-{number // 5000:04d}",
        fetched_at=AS_OF,
    )
    return Registration(arrival, digest, 1_000_000 + number, "application/pdf", store_id, cas_key(digest), Layout.CAS)


def _race(title: str, bench: Bench, contenders: list[Contender]) -> Race:
    for contender in contenders:
        once(contender)  # so that what Python compiles, and what the kernel has to read, is no part of the first timing
    return race(title, contenders, rounds=bench.rounds, watch=True)


def _says(words: str, out: str) -> None:
    if words not in out:
        raise Untrue(f"it does not say {words!r}")
