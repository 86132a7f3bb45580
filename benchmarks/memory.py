"""Memory: the most that the whole process tree holds while it takes in, and then verifies, very many tiny files."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import keepers, ours
from benchmarks.bench import Bench
from benchmarks.race import Race, race

LIMIT_BYTES = 300_000_000


def run(bench: Bench) -> Iterator[Race]:
    """Each job once, watched, and restic at the same jobs; the times are only for orientation."""
    truth, work = bench.corpus("tiny"), bench.scratch()
    here, left_out = keepers.able(among=[keepers.RESTIC])
    for title, mine, theirs in (
        ("ingest", ours.ingest, keepers.Keeper.store),
        ("rescan", ours.rescan, keepers.Keeper.again),
        ("verify", ours.verify, keepers.Keeper.check),
    ):
        contenders = [mine(work / "ours", truth), *(theirs(keeper, work / keeper.name, truth) for keeper in here)]
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
