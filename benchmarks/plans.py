"""Plans: a million units planned; and what guards and journal cost, beside a bare loop that has neither.

A catalog is filled with documents that are then forgotten, so that all its blobs are garbage. A bare loop runs the SQL
that changes facts in the same batches, journal rows included. `benchmarks.purge` does the same with files.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.opening import AS_OF, fill
from benchmarks.race import Contender, Race, Untrue, race

PLANNED, QUICK_PLANNED = 1_000_000, 100_000
APPLIED, QUICK_APPLIED = 100_000, 10_000
BATCH = 1000
LATER = datetime(2026, 1, 1, tzinfo=UTC)


def run(bench: Bench, planned: int | None = None, applied: int | None = None) -> Iterator[Race]:
    """Planning, condemning."""
    planned = planned or (QUICK_PLANNED if bench.quick else PLANNED)
    applied = applied or (QUICK_APPLIED if bench.quick else APPLIED)
    work = bench.scratch()
    home = litter(work / "planned", planned)
    contender = _step("plan", home, home / "plans", partial(_says, units=planned))
    result = race("plan gc", [contender], rounds=min(bench.rounds, 3), watch=True, units=planned)
    result.expect_less("cpu", 10.0, f"a plan of {planned:,} units: less than 10 s of CPU")
    yield result
    shutil.rmtree(home)

    home = litter(work / "garbage", applied)
    result = against_bare("condemn", bench, work, home, "plan", applied)
    for measure in ("cpu", "wall"):
        text = f"{applied:,} condemned: at most twice the {measure} time of the same SQL, bare"
        result.expect_share("bare loop", measure, 2.0, text)
    yield result


def litter(home: Path, count: int) -> Path:
    """A collection in which so many blobs are garbage; of their bytes there are none."""
    fill(home, count)
    with _open(home) as collection, collection.catalog.write("forget", int(AS_OF.timestamp() * 1e6)) as db:
        db.execute("DELETE FROM documents")
    return home


def store(home: Path) -> None:
    """Put a small file at the key of every garbage blob, and have the catalog know it by its looks."""
    with _open(home) as collection:
        rows = collection.catalog.rows("SELECT id, key FROM locations")
        looks = []
        for number, key in rows:
            path = collection.store.path(key)
            try:
                Path(path).write_bytes(b"garbage")
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path))
                Path(path).write_bytes(b"garbage")
            about = os.stat(path)
            looks.append((about.st_ino, about.st_mtime_ns, number))
        with collection.catalog.write("looks") as db:
            db.executemany("UPDATE locations SET inode = ?, mtime_ns = ? WHERE id = ?", looks)
            # What a blob's size is never changes, except here, where the files that stand in for them are made.
            db.execute("DROP TRIGGER blobs_fixed")
            db.execute("UPDATE blobs SET bytes = 7")


def against_bare(name: str, bench: Bench, work: Path, home: Path, plan: str, count: int) -> Race:
    """Ours and the bare loop at the same job, each time on a new copy of the collection."""
    copy = work / "copy"
    contenders = []
    for title, words in ((f"catalogkit {name}", "apply"), ("bare loop", f"bare-{name}")):

        def prepare() -> None:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(home, copy)
            if name == "purge":
                _look_again(copy)
            do(plan, copy)
            os.sync()

        check = partial(_says, done=count, removed=count if name == "purge" else 0, left=0)
        contenders.append(_step(words, copy, copy / "plans", check, title, prepare))
    result = race(name, contenders, rounds=bench.rounds, steps=count, batch=BATCH)
    shutil.rmtree(copy)
    return result


def _look_again(home: Path) -> None:
    with _open(home) as collection, collection.catalog.write("looks") as db:
        rows = [
            (about.st_ino, about.st_mtime_ns, number)
            for number, key in db.execute("SELECT id, key FROM locations").fetchall()
            if (about := os.stat(collection.store.path(key)))
        ]
        db.executemany("UPDATE locations SET inode = ?, mtime_ns = ? WHERE id = ?", rows)


def _step(words: str, home: Path, plans: Path, check: object, title: str = "", prepare: object = None) -> Contender:
    argv = [sys.executable, "-m", "benchmarks.plans", words, str(home), str(plans)]
    more = {"prepare": prepare} if prepare else {}
    return Contender(title or f"catalogkit {words} gc", argv, check, env=ours.ENV, **more)  # type: ignore[arg-type]


def _says(out: str, **wanted: int) -> None:
    said = json.loads(out)
    wrong = {name: said.get(name) for name, value in wanted.items() if said.get(name) != value}
    if wrong:
        raise Untrue(f"it says {wrong} instead of {wanted}")


# -- what the processes do --------------------------------------------------------------------------------------------


def do(words: str, home: Path, plans: Path | None = None) -> dict[str, int]:
    plans = plans or home / "plans"
    if words.startswith("bare"):
        return _bare(home, plans, purge=words == "bare-purge")
    from catalogkit.apply import apply
    from catalogkit.plan import Plan
    from catalogkit.planners.gc import GCPolicy
    from catalogkit.planning import plan_gc, plan_purge

    with _open(home) as collection:
        if words == "apply":
            (saved,) = plans.iterdir()
            report = apply(collection, Plan.load(saved), unapproved=True, max_share=1.0, batch=BATCH)
            return {"done": report.done, "removed": report.removed, "left": _left(home)}
        plan = (plan_purge if words == "plan-purge" else plan_gc)(collection, GCPolicy(grace=timedelta(0)))
        if words == "condemn":
            apply(collection, plan, unapproved=True, max_share=1.0, batch=BATCH)
        else:
            plan.save(plans)
        return {"units": plan.units}


def _bare(home: Path, plans: Path, *, purge: bool) -> dict[str, int]:
    """The same change, by somebody who is sure: no guards but those of the database, nothing read from the plan."""
    db = sqlite3.connect(home / "catalog.sqlite", isolation_level=None)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA recursive_triggers = ON")
    db.execute("PRAGMA cache_size = -65536")
    root, at, done = home / "store", int(LATER.timestamp() * 1e6), 0
    db.execute(
        "INSERT INTO plans (id, kind, head, approval, begun_us) VALUES (?, 'bare', '{}', '{}', ?)", ("0" * 64, at)
    )
    rows = db.execute(
        "SELECT b.sha256, b.garbage_since_us, l.key FROM blobs b JOIN locations l ON l.sha256 = b.sha256"
        " ORDER BY b.sha256"
    ).fetchall()
    for start in range(0, len(rows), BATCH):
        notes = []
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE txn SET at_us = ?, operation = 'apply'", (at,))
        for number, (digest, since, key) in enumerate(rows[start : start + BATCH], start):
            if purge:
                os.unlink(f"{root}/{key}")
                db.execute("DELETE FROM locations WHERE store_id = 1 AND key = ?", (key,))
                db.execute("UPDATE blobs SET state = 'purged', changed_us = ? WHERE sha256 = ?", (at, digest))
            else:
                db.execute(
                    "UPDATE blobs SET state = 'condemned', changed_us = ? WHERE sha256 = ? AND state = 'live'"
                    " AND refs = 0 AND garbage_since_us = ?",
                    (at, digest, since),
                )
            notes.append(("0" * 64, number, 0, "bare", "done", "", digest, None, 1, key, 7, at))
            done += 1
        db.executemany(
            "INSERT OR REPLACE INTO journal (plan_id, unit, step, kind, outcome, why, sha256, document_id, store_id,"
            " key, bytes, at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            notes,
        )
        db.execute("UPDATE txn SET at_us = NULL, operation = NULL")
        db.execute("COMMIT")
    db.close()
    return {"done": done, "removed": done if purge else 0, "left": _left(home)}


def _left(home: Path) -> int:
    """Blobs that are still garbage, and files."""
    with sqlite3.connect(home / "catalog.sqlite") as db:
        (purging,) = db.execute("SELECT count(*) FROM blobs WHERE state = 'purged'").fetchone()
        (left,) = db.execute("SELECT count(*) FROM blobs WHERE state = 'live'").fetchone()
    db.close()
    return int(left) + (sum(len(names) for _, _, names in os.walk(home / "store" / "cas")) if purging else 0)


def _open(home: Path):  # type: ignore[no-untyped-def]
    from catalogkit.collection import open_collection

    return open_collection(home, clock=lambda: LATER)


if __name__ == "__main__":
    print(json.dumps(do(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
