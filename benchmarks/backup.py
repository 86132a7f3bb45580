"""Backups of a catalog beside SQLite's own two ways; what a later one writes; how long a writer waits meanwhile.

Of SQLite's ways `VACUUM INTO` is the slower, and the one that is compared with: like a backup of ours it leaves fewer
bytes than the catalog has. `.backup`, which only copies pages, is raced, too.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import catalogkit
from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.opening import AS_OF, _registration, fill
from benchmarks.race import Contender, Goal, Race, Untrue, environment, race

COUNT, QUICK_COUNT = 1_000_000, 100_000
# Writes one document at a time until it is stopped by its end of input, and says how long the slowest took.
WRITER = """
import sys, threading, time
import catalogkit
from benchmarks.opening import AS_OF, _registration
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
number, waits = int(sys.argv[2]), []
with catalogkit.open(sys.argv[1]) as collection:
    store_id = collection.store_id(collection.store.name)
    print("ready", flush=True)
    while not stop.is_set():
        began = time.perf_counter()
        collection.catalog.commit([(None, _registration(number, store_id))], as_of=AS_OF)
        waits.append(time.perf_counter() - began)
        number += 1
        time.sleep(0.002)
waits.sort()
print(len(waits), waits[len(waits) // 2], waits[-1])
"""


def run(bench: Bench, count: int | None = None) -> Iterator[Race]:
    """A first backup, a later one, and a writer beside both."""
    count = count or (QUICK_COUNT if bench.quick else COUNT)
    work = bench.scratch()
    home, dest = work / "full", work / "backups"
    fill(home, count)
    _fold(home)
    written: list[int] = []

    def said(out: str) -> None:
        ours.expect(out, record_count=count)
        written.append(ours.answer(out)["written_bytes"])

    first = Contender("catalogkit backup", ours.command(home, "backup", dest), said, partial(_gone, dest), ours.ENV)
    result = race(
        "a first backup", [first, *_peers(home, work, count)], rounds=bench.rounds, watch=True, documents=count
    )
    for measure in ("cpu", "wall"):
        text = f"a first backup of {count:,} documents: at most 1.5x the {measure} time of VACUUM INTO"
        result.expect_share("sqlite3 VACUUM INTO", measure, 1.5, text)
    yield result

    full = written[-1]
    added = max(1, count // 100)
    with catalogkit.open(home) as collection:
        store_id = collection.store_id(collection.store.name)
        rows = [(None, _registration(number, store_id)) for number in range(count, count + added)]
        collection.catalog.commit(rows, as_of=AS_OF, run_id="benchmark")
    _fold(home)
    kept = work / "kept"
    dest.rename(kept)
    written.clear()

    def later(out: str) -> None:
        ours.expect(out, record_count=count + added)
        written.append(ours.answer(out)["written_bytes"])

    again = Contender(
        "catalogkit backup, again", ours.command(home, "backup", dest), later, partial(_copied, kept, dest), ours.ENV
    )
    peers = _peers(home, work, count + added)
    result = race(
        "a backup after 1 % is new", [again, *peers], rounds=bench.rounds, watch=True, documents=count + added
    )
    times = full / max(1, written[-1])
    result.goals.append(
        Goal("after 1 % is new: at least 5x fewer bytes written than in full", f"{times:.1f}x fewer",
             "met" if times >= 5 else "NOT MET")
    )  # fmt: skip
    alone, slowest, beside = _waits(home, dest, 10 * count)
    result.goals.append(
        Goal("a writer waits less than 100 ms while a backup is made",
             f"{1000 * beside:.0f} ms at most; {1000 * slowest:.0f} ms without, usually {1000 * alone:.1f} ms",
             "met" if beside < max(0.1, 2 * slowest) else "NOT MET")
    )  # fmt: skip
    yield result


def _peers(home: Path, work: Path, count: int) -> list[Contender]:
    """SQLite's own ways, where its shell is installed."""
    if not shutil.which("sqlite3"):
        return []
    copy, catalog = work / "copy.sqlite", str(home / "catalog.sqlite")
    ways = {"sqlite3 .backup": f".backup '{copy}'", "sqlite3 VACUUM INTO": f"VACUUM INTO '{copy}'"}
    check = partial(_has, copy, count)
    return [Contender(name, ["sqlite3", catalog, way], check, partial(_gone, copy)) for name, way in ways.items()]


def _waits(home: Path, dest: Path, number: int) -> tuple[float, float, float]:
    """The usual and the longest wait of a writer by itself, and the longest beside a backup, in seconds."""
    waits = []
    for argv in (["sleep", "3"], ours.command(home, "backup", dest)):
        command = [sys.executable, "-c", WRITER, str(home), str(number + len(waits) * 1_000_000)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              env=environment(ours.ENV)) as writer:  # fmt: skip
            assert writer.stdout is not None
            writer.stdout.readline()
            subprocess.run(argv, env=environment(ours.ENV), stdout=subprocess.DEVNULL, check=True)
            out, _ = writer.communicate("")
        waits.append([float(word) for word in out.split()[1:]])
    return waits[0][0], waits[0][1], waits[1][1]


def _fold(home: Path) -> None:
    with sqlite3.connect(home / "catalog.sqlite") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def _gone(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def _copied(kept: Path, dest: Path) -> None:
    _gone(dest)
    shutil.copytree(kept, dest)


def _has(copy: Path, count: int, out: str) -> None:
    with sqlite3.connect(copy) as db:
        found = db.execute("SELECT count(*) FROM documents").fetchone()[0]
    db.close()
    if found != count:
        raise Untrue(f"it has {found} documents instead of {count}")
