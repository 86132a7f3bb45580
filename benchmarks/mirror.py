"""The mirror of a large catalog: its questions, a refresh beside building it anew, and snapshots.

The catalog is synthetic and written straight into SQLite, without triggers and indexes, which follow: three in five
documents have a content of their own, the others share those of a hot tenth, the first of which more than the last.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.race import Contender, Goal, Race, Untrue, once, race

COUNT: Final = 10_000_000
QUICK_COUNT: Final = 1_000_000
LATER: Final = datetime(2026, 1, 1, tzinfo=UTC)
DAY_US: Final = 86_400_000_000
BEGAN_US: Final = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
TYPES: Final = ("application/pdf", "text/html", "application/xml", "application/epub+zip")

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
    count = count or (QUICK_COUNT if bench.quick else COUNT)
    rounds = min(bench.rounds, 3)
    home = bench.scratch() / "home"
    ours.init(home)
    fill(home, count)
    anew = _step("anew", home, f"the mirror of {count:,} documents, built anew", documents=count)
    once(anew)

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
        prepare=lambda: _change(home, count),
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
        prepare=lambda: _change(home, count),
        env=ours.ENV,
    )
    once(with_files)
    result = race("snapshot", [unchanged, with_files], rounds=rounds, documents=count)
    result.expect_less("cpu", 1.0, "a snapshot of an unchanged catalog: less than a second, starting Python included")
    yield result
    yield race("snapshot of a changed catalog", [some], rounds=rounds, documents=count)


def fill(home: Path, count: int) -> None:
    """Write so many documents straight into the catalog of a collection."""
    with _open(home) as collection:
        store_id = collection.store_id(collection.store.name)
        db = collection.catalog._db  # type: ignore[attr-defined]
        later = [
            row[0]
            for row in db.execute("SELECT sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql <> ''")
        ]
        for kind, name in db.execute(
            "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql <> ''"
        ).fetchall():
            db.execute(f"DROP {kind} {name}")
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", "cache_size = -1000000"):
            db.execute(f"PRAGMA {pragma}")
        users = [0] * count
        for number in range(count):
            users[content_of(number, count)] += 1
        db.execute("BEGIN")
        blobs = sorted((_digest(content), content) for content in range(count) if users[content])
        db.executemany(
            "INSERT INTO blobs VALUES (?, ?, ?, 'live', ?, NULL, ?, ?)",
            ((d, _bytes(c), TYPES[c % 4], users[c], BEGAN_US, BEGAN_US) for d, c in blobs),
        )
        db.executemany(
            "INSERT INTO locations (store_id, key, layout, sha256, created_us, changed_us, checked_us, outcome)"
            " VALUES (?, ?, 'cas', ?, ?, ?, ?, 'ok')",
            (
                (store_id, f"cas/{(text := d.hex())[:2]}/{text}", d, BEGAN_US, BEGAN_US, BEGAN_US + c % 900 * DAY_US)
                for d, c in blobs
            ),
        )
        db.executemany(
            "INSERT INTO documents (tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id,"
            " fetched_us, created_us, changed_us, seen_us) VALUES ('default', ?, ?, ?, '', ?, '', ?, ?, ?, ?, ?)",
            (_document(number, count) for number in range(count)),
        )
        db.execute("COMMIT")
        for sql in later:
            db.execute(sql)
        db.execute("PRAGMA journal_mode = WAL")


def content_of(number: int, count: int) -> int:
    """Which content a document has: its own, or one of the hot tenth."""
    if number % 5 < 3:
        return number
    share = (number * 2_654_435_761 % 2**32) / 2**32
    return int(share**3 * count / 10)


def _bytes(content: int) -> int:
    return 2_000 + content * 7_919 % 3_000_000


def _digest(content: int) -> bytes:
    return sha256(content.to_bytes(8)).digest()


def _document(number: int, count: int) -> tuple[Any, ...]:
    at_us = BEGAN_US + number * 1000 * DAY_US // count
    name = f"10.5555/{number:08d}"
    url = f"https://example.org/{number % 997}/{number}"
    digest = _digest(content_of(number, count))
    return (name, url, f"resolver-{number % 7}", digest, f"run-{number // 5000:04d}", *[at_us] * 4)


def _change(home: Path, count: int) -> None:
    """Change one document in a hundred, others each time, all over the catalog."""
    turn = int(time.time() * 1000) % 100
    with _open(home) as collection, collection.catalog.write("change", int(LATER.timestamp() * 1e6)) as db:  # type: ignore[attr-defined]
        db.execute("UPDATE documents SET metadata = json_object('turn', ?) WHERE id % 100 = ?", (time.time(), turn))


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

    with _open(home) as collection:
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


def _open(home: Path):  # type: ignore[no-untyped-def]
    from catalogkit.collection import open_collection

    return open_collection(home, clock=lambda: LATER)


if __name__ == "__main__":
    print(json.dumps(_do(sys.argv[1], Path(sys.argv[2]))))
