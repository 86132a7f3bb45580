"""Killing a migration for real, at times that a seed decides, while a reader looks at every path."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

from catalogkit.collection import init, open_collection
from catalogkit.ingest import ingest
from catalogkit.verify import verify
from tests.conftest import hurry
from tests.plans.scene import broken, digest_of

# Tells of every batch, and is killed at a random moment after one of them.
CHILD = """
import sys
from catalogkit import open
from catalogkit.migrating import migrate_to_cas_gradual
from tests.conftest import hurry

with hurry(open(sys.argv[1])) as collection:
    print("begin", flush=True)
    migrate_to_cas_gradual(int(sys.argv[2]), collection=collection, progress=lambda one: print(one.done, flush=True))
print("end", flush=True)
"""
_ROOT = Path(__file__).parents[2]


def kill_and_resume(top: Path, files: int, kills: int, seed: int) -> tuple[int, int]:
    """Migrate so many files, killed so many times; how often it was killed, and how many reads succeeded meanwhile."""
    chance, source = random.Random(seed), top / "source"
    source.mkdir(parents=True)
    for number in range(files):
        (source / f"{number}.txt").write_bytes(b"document %d of %d\n" % (number, seed) * (1 + number % 7))
    with hurry(init(top / "collection", layout="policy", template="{artifact_id}.txt")) as collection:
        ingest(collection, source)
        records = {record.id: record.sha256 for record in collection.catalog.find(limit=files)}
        old = {collection.location(record): record.sha256 for record in collection.catalog.find(limit=files)}
        assert len(records) == len(old) == files
    done, missed, counts = threading.Event(), [], [0]
    reader = threading.Thread(target=_read, args=(top / "collection", records, old, done, missed, counts, seed))
    reader.start()
    try:
        killed = _until_done(top / "collection", max(1, files // (4 * kills)), kills, chance)
    finally:
        done.set()
        reader.join()
    assert missed == [], missed[:5]
    with open_collection(top / "collection") as collection:
        assert set(collection.frame("locations")["layout"]) == {"cas"}
        assert (collection.layout, verify(collection).ok) == ("cas", files)
        assert list(broken(collection)) == []
        assert all(digest_of(Path(path).read_bytes()) == sha256 for path, sha256 in old.items())
    return killed, counts[0]


def _read(
    home: Path, records: dict[int, bytes], old: dict[str, bytes], done: threading.Event, missed: list[str],
    counts: list[int], seed: int,
) -> None:  # fmt: skip
    """Read documents by id, and old paths, in random order, until told to end."""
    chance, ids, paths = random.Random(-seed), list(records), list(old)
    with open_collection(home) as collection:
        while not done.is_set():
            number, path = chance.choice(ids), chance.choice(paths)
            try:
                if digest_of(collection.read(number)) != records[number]:
                    missed.append(f"document {number} has other bytes")
                if digest_of(Path(path).read_bytes()) != old[path]:
                    missed.append(f"{path} shows other bytes")
            except Exception as problem:
                missed.append(f"{number}, {path}: {problem!r}")
            counts[0] += 2


def _until_done(home: Path, batch: int, kills: int, chance: random.Random) -> int:
    killed = 0
    while True:
        command = [sys.executable, "-c", CHILD, str(home), str(batch)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=os.environ) as child:
            assert child.stdout is not None
            for _ in range(chance.randint(1, 4)):
                line = child.stdout.readline().strip()
            if line == "end" or killed >= kills:
                rest = child.stdout.read()
                assert (child.wait(), line == "end" or "end" in rest) == (0, True)
                return killed
            threading.Event().wait(chance.random() * 0.02)
            child.send_signal(signal.SIGKILL)
        killed += 1
        with open_collection(home) as collection:
            assert list(broken(collection, every=False)) == []
