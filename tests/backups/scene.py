"""Short words for what the tests of backups do: take documents in, back up, look at what is there."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.backups import repository
from catalogkit.backups.making import BackupMetadata, backup_catalog
from catalogkit.backups.recovering import Recovery, recover_from_backup, restore
from catalogkit.backups.target import Folder
from catalogkit.collection import Collection, open_collection
from catalogkit.ingest import register_or_get
from catalogkit.workers import Inline
from tests.conftest import Clock, hurry
from tests.stores.quick import Unsynced

if TYPE_CHECKING:
    from catalogkit.backups.manifest import Manifest
    from catalogkit.model import DocumentRecord

# What a document is, without when it was last seen.
FACTS = "artifact_id, source_url, resolver, variant, tenant, lower(hex(sha256)), metadata"


@dataclass
class Scene:
    """A collection and a folder for its backups."""

    collection: Collection
    top: Path
    clock: Clock

    @property
    def home(self) -> Path:
        return self.collection.path

    @property
    def catalog_file(self) -> Path:
        return self.home / "catalog.sqlite"

    @property
    def dest(self) -> Path:
        return self.top / "backups"

    @property
    def target(self) -> Folder:
        return Folder(self.dest)

    def take(self, name: str, content: bytes | None = None, **changes: Any) -> DocumentRecord:
        """Take a document in; by default its content is its name."""
        path = self.top / "arrived"
        path.write_bytes(name.encode() if content is None else content)
        return register_or_get(
            self.collection, path, artifact_id=name, source_url=f"https://example.org/{name}", **changes
        )

    def forget(self, *names: str) -> None:
        """Forget documents, the short way."""
        for name in names:
            (row,) = self.collection.find(artifact_id=name).rows(named=True)
            with self.collection.catalog.hand("f" * 64, as_of=self.clock.now) as hand:
                from catalogkit.model import Digest

                assert hand.forget(row["id"], Digest.parse(row["sha256"])) == ""

    def back_up(self, **options: Any) -> BackupMetadata:
        """Make a backup, without a process of its own (nobody else has this catalog open)."""
        options.setdefault("executor", Inline())
        return backup_catalog(Folder(self.dest, files=Unsynced()), collection=self.collection, **options)

    def close(self) -> None:
        self.collection.close()

    def reopen(self) -> Collection:
        self.collection.close()
        self.collection = hurry(open_collection(self.home, clock=self.clock))
        return self.collection

    def recover(self, made: BackupMetadata | Path, **options: Any) -> Recovery:
        """Come back from a backup, for real unless it is a dry run; the collection is open again afterwards."""
        self.collection.close()
        options.setdefault("dry_run", False)
        options.setdefault("as_of", self.clock.now)
        path = made.path if isinstance(made, BackupMetadata) else made
        try:
            return recover_from_backup(path, self.catalog_file, **options)
        finally:
            if self.catalog_file.exists() and not options["dry_run"]:
                self.reopen()

    def manifest(self, name: str) -> Manifest:
        return repository.load(self.target, name)

    def restored(self, name: str) -> Path:
        """A backup put together in a file of its own, checked."""
        path = self.top / f"restored-{len(list(self.top.glob('restored-*')))}.sqlite"
        restore(self.target, self.manifest(name), str(path))
        return path

    def documents(self) -> list[tuple[Any, ...]]:
        return documents_of(self.catalog_file)


def documents_of(path: Path) -> list[tuple[Any, ...]]:
    """All documents of a catalog's file, with its log, in an order of their own."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT {FACTS} FROM documents ORDER BY source_url").fetchall()


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def duplicate(source: Path, target: Path) -> Path:
    """A copy of a folder; of read-only files one can write to."""
    shutil.copytree(source, target)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target
