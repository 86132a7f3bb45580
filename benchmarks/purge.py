"""Purging beside a bare loop: `unlink`, the same SQL, journal rows included, one transaction for each batch; no guards.

How much the guards weigh depends on what it costs to remove a file, so a claim names its file system: with
``--keep DIR`` all of it happens there.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench
from benchmarks.plans import APPLIED, QUICK_APPLIED, against_bare, do, litter, store
from benchmarks.race import Race


def run(bench: Bench, applied: int | None = None) -> Iterator[Race]:
    """Purge so many condemned blobs, each of one small file."""
    applied = applied or (QUICK_APPLIED if bench.quick else APPLIED)
    work = bench.scratch()
    home = litter(work / "garbage", applied)
    store(home)
    do("condemn", home)
    result = against_bare("purge", bench, work, home, "plan-purge", applied)
    for measure in ("cpu", "wall"):
        text = f"{applied:,} purged: at most 1.3x the {measure} time of unlinking, bare"
        result.expect_share("bare loop", measure, 1.3, text)
    yield result
