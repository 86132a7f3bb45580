"""Audits: a million copies looked at, and the catalog asked about itself, in bounded memory; beside a bare loop.

The bare loop lists every file, looks at each, and holds what the catalog says against it in a dictionary; it asks
nothing else. Once all is as it should be, and once every file is gone, which makes as many findings.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.memory import LIMIT_BYTES
from benchmarks.opening import fill
from benchmarks.race import Contender, Race, Untrue, race

COUNT, QUICK_COUNT = 1_000_000, 100_000
CONTENT = b"garbage"


def run(bench: Bench, count: int | None = None) -> Iterator[Race]:
    """A clean store, and an empty one."""
    count = count or (QUICK_COUNT if bench.quick else COUNT)
    work = bench.scratch()
    home = stock(work / "home", count)
    result = _race(f"audit of {count:,} copies, all well", bench, home, missing=0)
    result.expect_less("peak_bytes", LIMIT_BYTES, f"{count:,} copies: less than 300 MB of memory")
    result.expect_share(
        "bare loop", "cpu", 6.0, f"{count:,} copies: at most six times the CPU of a loop that only looks"
    )
    yield result
    shutil.rmtree(home / "store" / "cas")
    result = _race(f"audit of {count:,} copies, all gone", bench, home, missing=count)
    result.expect_less("peak_bytes", 2 * LIMIT_BYTES, f"{count:,} findings: less than 600 MB of memory")
    yield result


def stock(home: Path, count: int) -> Path:
    """A collection with so many small files, and a catalog that knows each as it is."""
    from catalogkit.collection import open_collection

    fill(home, count)
    with open_collection(home) as collection:
        rows = collection.catalog.rows("SELECT id, key FROM locations")
        looks = []
        for number, key in rows:
            path = collection.store.path(key)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o444)
            os.write(fd, CONTENT)
            about = os.fstat(fd)
            os.close(fd)
            looks.append((about.st_ino, about.st_mtime_ns, number))
        with collection.catalog.write("looks") as db:
            db.executemany("UPDATE locations SET inode = ?, mtime_ns = ? WHERE id = ?", looks)
            # What a blob's size is never changes, except here, where the files that stand in for them are made.
            db.execute("DROP TRIGGER blobs_fixed")
            db.execute("UPDATE blobs SET bytes = ?", (len(CONTENT),))
    return home


def _race(title: str, bench: Bench, home: Path, missing: int) -> Race:
    copies = json.loads(_count(home))
    contenders = [
        Contender(
            name,
            [sys.executable, "-m", "benchmarks.audit", words, str(home)],
            partial(_says, copies=copies, missing=missing),
            env=ours.ENV,
        )
        for name, words in (("catalogkit audit", "audit"), ("bare loop", "bare"))
    ]
    return race(title, contenders, rounds=min(bench.rounds, 3), watch=True, copies=copies)


def _count(home: Path) -> str:
    with sqlite3.connect(home / "catalog.sqlite") as db:
        (count,) = db.execute("SELECT count(*) FROM locations").fetchone()
    db.close()
    return json.dumps(count)


def _says(out: str, **wanted: int) -> None:
    said = json.loads(out)
    wrong = {name: said.get(name) for name, value in wanted.items() if said.get(name) != value}
    if wrong or said.get("others"):
        raise Untrue(f"it says {said} instead of {wanted}")


# -- what the processes do --------------------------------------------------------------------------------------------


def _audit(home: Path) -> dict[str, int]:
    from catalogkit.auditing import audit
    from catalogkit.collection import open_collection

    with open_collection(home) as collection:
        report = audit(collection, 0, note=False)
    missing = report.counts["A201"]
    others = report.counts.total() - missing + len(report.unseen)
    return {"copies": report.copies, "missing": missing, "others": others}


def _bare(home: Path) -> dict[str, int]:
    root = str(home / "store")
    with sqlite3.connect(home / "catalog.sqlite") as db:
        sql = "SELECT key, inode, mtime_ns, bytes FROM locations JOIN blobs USING (sha256)"
        known = {key: rest for key, *rest in db.execute(sql)}
    db.close()
    copies, others = len(known), 0
    for folder, _, names in os.walk(f"{root}/cas"):
        for name in names:
            path = f"{folder}/{name}"
            about = os.lstat(path)
            expected = known.pop(path[len(root) + 1 :], None)
            others += expected != [about.st_ino, about.st_mtime_ns, about.st_size]
    return {"copies": copies, "missing": len(known), "others": others}


if __name__ == "__main__":
    print(json.dumps({"audit": _audit, "bare": _bare}[sys.argv[1]](Path(sys.argv[2]))))
