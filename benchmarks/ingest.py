"""Ingest: store a tree durably, and look at it again when nothing has changed, beside restic without compression."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import ours, peers
from benchmarks.bench import Bench
from benchmarks.race import Race, race


def run(bench: Bench) -> Iterator[Race]:
    """Documents and small files, stored for the first time; the small ones are then looked at again."""
    here, left_out = peers.installed(peers.RESTIC_BACKUP)
    for name in ("documents", "small"):
        truth, work = bench.corpus(name), bench.scratch()
        facts = {"files": truth.files, "bytes": truth.bytes}
        contenders = [ours.ingest(work / "ours", truth)]
        contenders += [peers.restic(peer, work / "restic", truth) for peer in here]
        contenders += [peers.copy(work / "copy", truth)]
        first = race(f"ingest, {name}", contenders, rounds=bench.rounds, left_out=left_out, **facts)
        first.expect_speed("restic backup", 1.0, f"ingest of {name}, bytes synced: at least the speed of restic backup")
        yield first
        if name == "documents":
            continue  # so few that the start of the programs would be all there is to see
        contenders = [ours.rescan(work / "ours", truth)]
        contenders += [peers.restic(peers.RESTIC_AGAIN, work / "restic", truth) for _ in here]
        again = race(f"rescan, {name}, unchanged", contenders, rounds=bench.rounds, left_out=left_out, **facts)
        again.expect_speed(
            "restic backup, again",
            1.0,
            f"rescan of {truth.files:,} unchanged files: at least the speed of restic's second backup",
        )
        yield again
