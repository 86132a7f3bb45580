"""Memory: the most that the whole process tree holds while it takes in, and then verifies, very many tiny files."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import ours, peers
from benchmarks.bench import Bench
from benchmarks.race import Race, race

LIMIT_BYTES = 300_000_000


def run(bench: Bench) -> Iterator[Race]:
    """Each job once, watched, and restic at the same jobs; the times are only for orientation."""
    truth, work = bench.corpus("tiny"), bench.scratch()
    here, left_out = peers.installed(peers.RESTIC_BACKUP)
    for title, mine, theirs in (
        ("ingest", ours.ingest, peers.RESTIC_BACKUP),
        ("rescan", ours.rescan, peers.RESTIC_AGAIN),
        ("verify", ours.verify, peers.RESTIC_CHECK),
    ):
        contenders = [mine(work / "ours", truth), *(peers.restic(theirs, work / "restic", truth) for _ in here)]
        result = race(
            f"memory, {title} of tiny files",
            contenders,
            rounds=1,
            watch=True,
            left_out=left_out,
            files=truth.files,
            bytes=truth.bytes,
        )
        result.expect_less("peak_bytes", LIMIT_BYTES, f"{title} of {truth.files:,} files: less than 300 MB of memory")
        yield result
