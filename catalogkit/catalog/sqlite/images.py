"""A consistent copy of a catalog's file while others write to it, and what such a copy contains.

In write-ahead mode a reader that began when the whole log had been copied back needs nothing but the database file, and
no checkpoint touches that file until the reader ends (SQLite, "WAL-mode File Format", 2.3.1: WAL_READ_LOCK(0)). Writers
go on meanwhile, into the log. So nothing is copied to hold a catalog still, and a writer waits for milliseconds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalogkit.catalog.contract import Image, ImageFacts
from catalogkit.catalog.sqlite.base import Database, driver_errors, problems
from catalogkit.catalog.sqlite.migrations import APPLICATION_ID
from catalogkit.errors import CatalogBusy, CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENGINE: Final = "sqlite"
# A reader that began earlier keeps part of the log from being copied back. Most end at once; for one that does not,
# the catalog is copied to a file of its own instead.
TRIES: Final = 4
PAUSE_SECONDS: Final = 0.05


class Images(Database):
    """The catalog's part in backups."""

    @contextlib.contextmanager
    def image(self, scratch: str, before: Callable[[str], bool] | None = None) -> Iterator[Image]:
        """The catalog's file, holding still at one moment for as long as this is open.

        Whoever reads it must do so in another process: closing a file that SQLite has open gives up the locks that
        this process holds on it (SQLite, "How To Corrupt An SQLite Database File", 2.2).
        """
        with contextlib.closing(connect(self.path, "rw")) as reader, driver_errors(self.path):
            for attempt in range(TRIES):
                if attempt:
                    time.sleep(PAUSE_SECONDS)
                if self._begin(reader):
                    yield from self._held(reader)
                    return
            copy = os.path.join(scratch, f"{self.path.name}.copy")
            try:
                # The reader's view holds still, whoever writes: the copy is made in one go and never starts over.
                with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as to:
                    reader.backup(to)
                reader.execute("ROLLBACK")
                yield Image(copy, os.path.getsize(copy), copied=True)
            finally:
                Path(copy).unlink(missing_ok=True)

    def _begin(self, reader: sqlite3.Connection) -> bool:
        """Begin to read, with writers stopped for so long; whether the file alone holds all that is read."""
        if reader.in_transaction:
            reader.execute("ROLLBACK")
        for _ in range(2):  # while others still write: most of the log, then what came during the syncs of that
            reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                # Busy where another program copies back right now; it would go on writing into the file.
                busy, pages, copied_back = reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            finally:
                self._db.execute("ROLLBACK")
        return bool(not busy and pages == copied_back)

    def _held(self, reader: sqlite3.Connection) -> Iterator[Image]:
        (size,) = reader.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
        before = os.stat(self.path)
        yield Image(str(self.path), size, copied=False)
        after = os.stat(self.path)
        reader.execute("ROLLBACK")
        # What keeps the locks cannot have changed it; a program that does not know of them can.
        if (before.st_mtime_ns, before.st_ino) != (after.st_mtime_ns, after.st_ino):
            raise CatalogBusy(f"{self.path} changed while it was being copied; does another program write into it?")


def image_facts(path: str | os.PathLike[str]) -> ImageFacts:
    """What a catalog's file says of itself, told from the file alone, not from any log beside it.

    Raises
    ------
    CatalogError
        If it is no catalog, or is damaged where this looks.
    """
    with contextlib.closing(connect(Path(path), "ro&immutable=1")) as db, driver_errors(Path(path)):
        if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
            raise CatalogError(f"{path} is no catalog")
        (identity,) = db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        (schema,) = db.execute("SELECT max(version) FROM migrations").fetchone()
        counts = db.execute(
            "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM blobs), (SELECT count(*) FROM locations),"
            " (SELECT count(*) FROM checks), (SELECT coalesce(sum(refs * bytes), 0) FROM blobs)"
        ).fetchone()
        changes, last_id = db.execute(
            "SELECT (SELECT coalesce(max(hid), 0) FROM documents_history),"
            " (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'documents')"
        ).fetchone()
        stores = db.execute("SELECT name, kind, token FROM stores ORDER BY id").fetchall()
    names = ("documents", "blobs", "locations", "checks", "logical_bytes")
    return ImageFacts(identity, schema, dict(zip(names, counts, strict=True)), changes, last_id, stores)


def image_problems(path: str | os.PathLike[str]) -> list[str]:
    """What SQLite finds wrong with a catalog's file and its references; empty is good."""
    try:
        with contextlib.closing(connect(Path(path), "ro&immutable=1")) as db, driver_errors(Path(path)):
            return problems(db.execute)
    except CatalogError as problem:
        return [str(problem)]


def connect(path: Path, mode: str, timeout: float = 5.0) -> sqlite3.Connection:
    """A plain connection to a catalog's file, without any look at its schema."""
    with driver_errors(path):
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=timeout,
            isolation_level=None,
            check_same_thread=False,
        )


def image_blobs(path: str | os.PathLike[str]) -> Iterator[tuple[bytes, int]]:
    """Digest and size of each blob that documents of a catalog's file have."""
    with contextlib.closing(connect(Path(path), "ro&immutable=1")) as db, driver_errors(Path(path)):
        yield from db.execute("SELECT sha256, bytes FROM blobs WHERE refs > 0 ORDER BY sha256")
