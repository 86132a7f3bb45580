"""The mirror of a large catalog: its questions, a refresh beside building it anew, and snapshots.

The catalog is that of `benchmarks.catalogs`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.catalogs import LATER, catalog, change, opened
from benchmarks.race import Contender, Goal, Race, Untrue, once, race

COUNT: Final = 10_000_000
QUICK_COUNT: Final = 1_000_000

# What the dashboards ask.
QUESTIONS: Final = {
    "bytes by resolver": "SELECT resolver, count(*), sum(bytes) FROM documents GROUP BY 1",
    "bytes by media type": "SELECT media_type, count(*), sum(bytes) FROM documents GROUP BY 1",
    "growth by month": "SELECT date_trunc('month', fetched_at), count(*), sum(bytes) FROM documents GROUP BY 1",
    "size and age": "SELECT floor(log10(bytes + 1)), date_diff('day', fetched_at, TIMESTAMP '2026-01-01') // 365,"
    " count(*), sum(bytes) FROM documents GROUP BY 1, 2",
    "largest groups of duplicates": "SELECT sha256, bytes, refs, objects, (refs - 1) * bytes AS spared FROM blobs"
    " WHERE refs > 1 ORDER BY spared DESC, sha256 LIMIT 20",
    "totals of dedup": "SELECT sum(refs * bytes), sum(bytes) FILTER (refs > 0), sum(objects * bytes),"
    " sum(greatest(refs - 1 - (objects - stores), 0) * bytes) FROM blobs",
    "coverage": "SELECT outcome, count(*), sum(bytes), min(checked_at) FROM locations GROUP BY 1",
    "usage of stores": "SELECT store, layout, count(*), sum(bytes) FROM locations GROUP BY 1, 2",
    "garbage": "SELECT count(*), sum(bytes * objects) FROM blobs WHERE garbage_since IS NOT NULL",
    "documents of a run": "SELECT count(*), sum(bytes) FROM documents WHERE run_id = 'run-0042'",
}


def run(bench: Bench, count: int | None = None) -> Iterator[Race]:
    """Questions, refresh, snapshots."""
    count = count or bench.count or (QUICK_COUNT if bench.quick else COUNT)
    rounds = min(bench.rounds, 3)
    home = catalog(bench, count)
    anew = _step("anew", home, f"the mirror of {count:,} documents, built anew", documents=count)
    result = race("the first build", [anew], rounds=1, watch=True, documents=count)
    result.expect_less("peak_bytes", 2e9, "a mirror built from nothing: less than 2 GB of memory")
    yield result

    result = race("questions", [_step("ask", home, "every question, asked twice")], rounds=rounds, documents=count)
    for name in QUESTIONS:
        told = [json.loads(sample.out)[name] for samples in result.samples.values() for sample in samples]
        cpu, wall = (max(one[part] for one in told) for part in ("cpu", "wall"))
        verdict = "met" if min(cpu, wall) < 1 else "NOT MET"
        result.goals.append(Goal(f"{name}: less than a second, warm", f"CPU {cpu:.2f} s, wall {wall:.2f} s", verdict))
    yield result

    changed = Contender(
        "refreshed after 1 % changed",
        _argv("refresh", home),
        partial(_says, documents=count),
        prepare=lambda: change(home),
        env=ours.ENV,
    )
    result = race("refresh", [changed, anew], rounds=rounds, documents=count)
    result.expect_speed(anew.name, 10.0, "a refresh after 1 % changed: ten times as fast as a full export")
    yield result

    once(_step("snapshot", home, "the first"))
    unchanged = _step("snapshot", home, "snapshot, nothing changed", documents=count)
    with_files = _step("version", home, "the same as Parquet, all shared", documents=count)
    some = Contender(
        "snapshot, 1 % changed",
        _argv("snapshot", home),
        partial(_says, documents=count),
        prepare=lambda: change(home),
        env=ours.ENV,
    )
    once(with_files)
    result = race("snapshot", [unchanged, with_files], rounds=rounds, documents=count)
    result.expect_less("cpu", 1.0, "a snapshot of an unchanged catalog: less than a second, starting Python included")
    yield result
    yield race("snapshot of a changed catalog", [some], rounds=rounds, documents=count)


def _argv(words: str, home: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.mirror", words, str(home)]


def _step(words: str, home: Path, title: str, **wanted: int) -> Contender:
    return Contender(title, _argv(words, home), partial(_says, **wanted), env=ours.ENV)


def _says(out: str, **wanted: int) -> None:
    said = json.loads(out)
    wrong = {name: said.get(name) for name, value in wanted.items() if said.get(name) != value}
    if wrong:
        raise Untrue(f"it says {wrong} instead of {wanted}")


# -- what the processes do --------------------------------------------------------------------------------------------


def _do(words: str, home: Path) -> dict[str, Any]:
    from catalogkit.snapshots import take_snapshot

    with opened(home) as collection:
        mirror = collection.mirror
        if words in ("anew", "refresh"):
            mirror.refresh(as_of=LATER, anew=words == "anew")
            frame = mirror.sql("SELECT count(*) FROM documents", refresh=False, as_of=LATER).frame
            return {"documents": frame.item()}
        if words == "ask":
            return _asked(mirror)
        name = f"{words} {time.time()}"
        return {"documents": take_snapshot(collection, name, parquet=words == "version").record_count}


def _asked(mirror: Any) -> dict[str, dict[str, float]]:
    """CPU and wall seconds of each question when it is asked again on the same connection."""
    told = {}
    with mirror._reading(LATER) as (db, _):
        for name, query in QUESTIONS.items():
            for _ in range(2):
                cpu, wall = time.process_time(), time.perf_counter()
                db.execute(query).pl()
                told[name] = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return told


if __name__ == "__main__":
    print(json.dumps(_do(sys.argv[1], Path(sys.argv[2]))))
