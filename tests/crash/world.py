"""A small world to crash in: a collection with a past, new files to take in, and what must hold whatever happens."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.collection import Collection, init, open_collection
from catalogkit.ingest import ingest, register_or_get
from catalogkit.ingest_report import IngestReport
from catalogkit.model import DocumentRecord
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import Clock, hurry, make_tree, read_tree
from tests.crash.disk import Disk, Wired

if TYPE_CHECKING:
    from collections.abc import Callable

BEFORE = {
    "report.html": b"<html>the report, as it was first",
    "rotten.txt": b"bytes that will go bad in the store",
    "kept.txt": b"content that nobody touches",
}
AFTER = {
    "report.html": b"<html>the report, as it was downloaded again, longer",
    "again/kept.txt": b"content that nobody touches",
    "one.txt": b"new content",
    "two.txt": b"new content",
    "none.txt": b"",
}
ROTTEN = BEFORE["rotten.txt"].upper()
LATE = b"%PDF-1.7 handed over by a downloader"


@dataclass
class World:
    """A collection's folder, the files to take in, and how."""

    top: Path
    mode: str
    clock: Clock

    @property
    def source(self) -> Path:
        return self.top / "source"

    @property
    def late(self) -> Path:
        return self.top / "incoming" / "late.pdf"

    def open(self, disk: Disk | None = None) -> Collection:
        """The collection, with `disk` under its store and its catalog."""
        collection = hurry(open_collection(self.top / "collection", clock=self.clock))
        if disk is not None:
            collection.store.files = disk
            collection.catalog = Wired(collection.catalog, disk)  # type: ignore[assignment]
        return collection

    def run(self, collection: Collection) -> IngestReport:
        """Take everything in: the folder, and the file of a downloader."""
        report = ingest(collection, self.source, mode=self.mode, executor=Inline())
        self.register(collection)
        return report

    def register(self, collection: Collection) -> DocumentRecord:
        return register_or_get(
            collection, self.late, artifact_id="late", source_url="https://example.org/late.pdf", mode=self.mode
        )

    def copy(self, top: Path) -> World:
        """The same world elsewhere, with a catalog that knows its files by their new inodes."""
        shutil.copytree(self.top, top, symlinks=True)
        store = top / "collection" / "store"
        with sqlite3.connect(top / "collection" / "catalog.sqlite") as db:
            db.execute("PRAGMA synchronous = OFF")
            for number, key in db.execute("SELECT id, key FROM locations").fetchall():
                about = (store / key).lstat()
                db.execute("UPDATE locations SET inode = ? WHERE id = ?", (about.st_ino, number))
        db.close()
        return World(top, self.mode, replace(self.clock))

    def dawn(self) -> None:
        """The day after: what was under way has run out of its lease."""
        self.clock.advance(hours=1)
        for scratch in (self.top / "collection" / "store" / ".catalogkit" / "tmp").iterdir():
            os.utime(scratch, (0, 0))


def build(top: Path, layout: str, mode: str, clock: Clock) -> World:
    """A world in which some documents were taken in, one copy went bad, and new files wait."""
    world = World(top, mode, clock)
    top.mkdir()
    make_tree(world.source, BEFORE)
    with hurry(init(top / "collection", layout=layout, clock=clock)) as collection:
        ingest(collection, world.source, executor=Inline())
        (rotten,) = collection.find(artifact_id="rotten.txt").get_column("location")
        os.chmod(rotten, 0o644)
        Path(rotten).write_bytes(ROTTEN)
        os.chmod(rotten, 0o444)
        clock.advance(days=1)
        verify(collection, executor=Inline())
        collection.catalog._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[attr-defined]
    make_tree(world.source, AFTER)
    world.late.parent.mkdir()
    world.late.write_bytes(LATE)
    (top / "side").mkdir()
    return world


def state(collection: Collection) -> dict[str, Any]:
    """All that counts of a collection, without ids, times and inodes."""
    rows = _rows(collection)
    root = Path(collection.store.root)
    return {
        "documents": rows(
            "SELECT artifact_id, resolver, variant, content_type, sha256, (SELECT group_concat(hex(h.sha256))"
            " FROM documents_history h WHERE h.id = d.id) FROM documents d ORDER BY 1"
        ),
        "blobs": rows("SELECT sha256, bytes, media_type, state, refs FROM blobs ORDER BY 1"),
        "locations": rows("SELECT key, layout, sha256, outcome FROM locations ORDER BY 1"),
        "sources": rows("SELECT name, bytes, sha256 FROM sources ORDER BY 1, 2, 3"),
        "files": {name: content for name, content in read_tree(root).items() if not name.startswith(".catalogkit")},
    }


def leftovers(collection: Collection) -> list[str]:
    """What an ingest must not leave behind."""
    rows = _rows(collection)
    tmp = Path(collection.store.root, ".catalogkit", "tmp")
    return [
        *(f"temporary {path.relative_to(tmp)}" for path in tmp.rglob("*")),
        *(f"intent {number}" for (number,) in rows("SELECT id FROM intents")),
        *(f"incoming {digest.hex()}" for (digest,) in rows("SELECT sha256 FROM blobs WHERE state <> 'live'")),
        *(f"dangling {row}" for row in rows("PRAGMA foreign_key_check")),
    ]


def broken_promises(world: World, collection: Collection) -> list[str]:
    """Where the one rule does not hold. A copy that the ledger calls bad promises nothing."""
    rows = _rows(collection)
    problems = []
    hashes = {path: _sha256(path.read_bytes()) for path in world.top.rglob("*") if path.is_file()}
    root = Path(collection.store.root)
    bad, good = set(), set()
    for key, digest, outcome in rows("SELECT key, lower(hex(sha256)), outcome FROM locations"):
        if outcome == "corrupt":
            bad.add(root / key)
        elif hashes.get(root / key) != digest:
            problems.append(f"{key} does not hold its bytes")
        else:
            good.add(digest)
    for path, digest in hashes.items():
        if path.is_relative_to(root / "cas") and path not in bad and digest != path.name:
            problems.append(f"{path.name} shows other bytes")
    for artifact, digest in rows("SELECT artifact_id, lower(hex(sha256)) FROM documents"):
        # What has gone bad in the store is still where it came from: it waits to be healed.
        if digest not in good and not (artifact == "rotten.txt" and digest in hashes.values()):
            problems.append(f"document {artifact} has no good copy")
    contents = [*BEFORE.values(), *AFTER.values(), LATE, ROTTEN]  # bad bytes are kept, too
    return problems + [f"{content!r} is lost" for content in contents if _sha256(content) not in hashes.values()]


def _rows(collection: Collection) -> Callable[[str], list[tuple[Any, ...]]]:
    return collection.catalog.rows  # type: ignore[attr-defined, no-any-return]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
