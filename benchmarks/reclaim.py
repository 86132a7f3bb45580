"""Reclaim: half of what was stored is no longer wanted; how long until its bytes are off the disk.

Everybody is told first, which is not timed: documents are forgotten, a second snapshot has only half of the tree, or
the files are gone from git. Then ours plans, condemns, plans and purges, with every guard; restic and borg remove the
older snapshot and pack anew what was only half in use; git-annex looks for what no branch names and drops it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from benchmarks import corpus, keepers, ours
from benchmarks.bench import Bench, fresh
from benchmarks.corpus import Corpus
from benchmarks.race import Contender, Race, measure, race


def run(bench: Bench) -> Iterator[Race]:
    """Of documents, and of small files."""
    for name, among in (("documents", keepers.KEEPERS), ("small", (keepers.RESTIC, keepers.BORG))):
        truth, work = bench.corpus(name), bench.scratch()
        half = halve(truth, work / "half")
        here, left_out = keepers.able("store", "free", among=among)
        contenders = [_ours(work / "ours", truth, half)]
        contenders += [keeper.free(work / keeper.name, truth, half) for keeper in here]
        facts = {"files": truth.unique_files, "bytes": truth.unique_bytes - half.unique_bytes}
        result = race(f"reclaim, {name}", contenders, rounds=bench.rounds, left_out=left_out, **facts)
        result.expect_speed("restic free", 1.0, f"half of {name} reclaimed: at least the speed of restic's prune")
        yield result


def halve(truth: Corpus, tree: Path) -> Corpus:
    """Every second file of a corpus, linked into another tree."""
    sizes = {}
    kept = corpus.files(truth.tree)[::2]
    for path in kept:
        link = tree / path.relative_to(truth.tree)
        link.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, link)
        content = path.read_bytes()
        sizes[sha256(content).digest()] = len(content)
    total = sum(path.stat().st_size for path in kept)
    unique = {"unique_files": len(sizes), "unique_bytes": sum(sizes.values())}
    return replace(truth, tree=tree, files=len(kept), bytes=total, **unique)


def _ours(home: Path, truth: Corpus, half: Corpus) -> Contender:
    line = [sys.executable, "-m", "benchmarks.reclaim"]

    def prepare() -> None:
        fresh(home, truth, ours.init)
        measure(ours.command(home, "ingest", truth.tree), env=ours.ENV)
        measure([*line, "forget", str(home), str(half.tree)], env=ours.ENV)
        os.sync()

    def check(out: str) -> None:
        ours.expect(out, bytes_freed=truth.unique_bytes - half.unique_bytes)
        corpus.expect_files(ours.cas(home), half.unique_files, half.unique_bytes)

    return Contender("catalogkit gc, purge", [*line, "free", str(home)], check, prepare, ours.ENV)


# -- what the processes do --------------------------------------------------------------------------------------------


def _forget(home: Path, half: Path) -> dict[str, int]:
    import catalogkit as ck

    kept = {path.name for path in corpus.files(half)}  # which is what the documents are called
    with ck.open(home) as collection:
        rows = collection.catalog.rows("SELECT id, artifact_id FROM documents")
        gone = [number for number, name in rows if name not in kept]
        report = ck.apply(collection, ck.plan_forget(collection, gone), unapproved=True, max_share=1.0)
    return {"forgotten": report.done}


def _free(home: Path) -> dict[str, int]:
    import catalogkit as ck
    from catalogkit.planners.gc import GCPolicy

    with ck.open(home) as collection:
        ck.apply(collection, ck.plan_gc(collection), unapproved=True, max_share=1.0)
        plan = ck.plan_purge(collection, GCPolicy(grace=timedelta(0)))
        report = ck.apply(collection, plan, unapproved=True, max_share=1.0)
    return {"bytes_freed": report.bytes_freed}


if __name__ == "__main__":
    words, *folders = sys.argv[1:]
    print(json.dumps({"forget": _forget, "free": _free}[words](*map(Path, folders))))
