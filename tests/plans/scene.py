"""A small collection with a history, and what must hold of it whatever was planned and applied."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.apply import apply
from catalogkit.apply_report import ApplyReport
from catalogkit.ingest import register_or_get
from catalogkit.model import Digest
from catalogkit.planners.gc import GCPolicy
from catalogkit.planning import plan_forget, plan_gc, plan_purge
from tests.conftest import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.collection import Collection
    from catalogkit.model import DocumentRecord
    from catalogkit.plan import Plan

AT_ONCE = GCPolicy(grace=timedelta(0), stray_age=timedelta(0))


def digest_of(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).digest())


def put(collection: Collection, name: str, content: bytes, **more: Any) -> DocumentRecord:
    """Take `content` in as the document `name`."""
    waiting = collection.path.parent / "waiting"
    waiting.mkdir(exist_ok=True)
    path = waiting / f"{name}-{os.getpid()}"
    path.write_bytes(content)
    usual = {"source_url": f"https://example.org/{name}", "mode": "copy"}
    return register_or_get(collection, path, artifact_id=name, **{**usual, **more})


def run(collection: Collection, plan: Plan, **more: Any) -> ApplyReport:
    """Apply all of a plan, however much that is; a clock that stands still is moved on by a second."""
    report = apply(collection, plan, **{"unapproved": True, "max_share": 1.0, **more})
    if isinstance(collection.clock, Clock):
        collection.clock.advance(seconds=1)  # else the same plan a second time would be the one that is done
    return report


def forget(collection: Collection, *records: DocumentRecord) -> ApplyReport:
    return run(collection, plan_forget(collection, [record.id for record in records]))


def condemn(collection: Collection, policy: GCPolicy = AT_ONCE) -> ApplyReport:
    return run(collection, plan_gc(collection, policy))


def purge(collection: Collection, policy: GCPolicy = AT_ONCE) -> ApplyReport:
    return run(collection, plan_purge(collection, policy))


def collect(collection: Collection) -> ApplyReport:
    """Condemn and purge, without a grace."""
    condemn(collection)
    return purge(collection)


def state_of(collection: Collection, content: bytes) -> str | None:
    """The state of the blob with that content."""
    rows = collection.catalog.rows("SELECT state FROM blobs WHERE sha256 = ?", (digest_of(content),))  # type: ignore[attr-defined]
    return rows[0][0] if rows else None


def path_of(collection: Collection, content: bytes) -> Path:
    """Where that content lies first."""
    return Path(collection.store.path(collection.catalog.locations_of(digest_of(content))[0].key))


def stray(collection: Collection, content: bytes, *, days: float = 10, key: str | None = None) -> Path:
    """A file of the store that no record knows, by default as old as its clock minus `days`."""
    text = hashlib.sha256(content).hexdigest()
    path = Path(collection.store.root, key or f"cas/{text[:2]}/{text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    when = (collection.now() - timedelta(days=days)).timestamp()
    os.utime(path, (when, when))
    return path


def files(collection: Collection) -> dict[str, int]:
    """The published files of the store and their inodes."""
    root = Path(collection.store.root)
    return {
        str(path.relative_to(root)): path.stat().st_ino
        for top in ("cas", "docs")
        for path in sorted((root / top).rglob("*"))
        if path.is_file()
    }


def stored_bytes(collection: Collection) -> int:
    """Physical bytes of the store's files: each inode once."""
    root = Path(collection.store.root)
    sizes = {inode: (root / key).stat().st_size for key, inode in files(collection).items()}
    return sum(sizes.values())


def broken(collection: Collection, *, whole: bool = True, every: bool = True) -> Iterator[str]:
    """Where the one rule does not hold: the bytes of every document, and of every live blob, exist and hash right.

    What was evicted may be gone, and says so.

    `whole` looks at the database's own integrity, too; `every` at every copy that is not known to be bad, where
    otherwise one that is good will do.
    """
    # Asked in SQL: this runs after every step of some tests.
    rows = collection.catalog.rows  # type: ignore[attr-defined]
    copies: dict[bytes, list[str]] = {}
    for sha256, name, key in rows(
        "SELECT sha256, name, key FROM locations JOIN stores ON stores.id = store_id"
        " WHERE outcome IS NULL OR outcome NOT IN ('corrupt', 'missing')"
    ):
        copies.setdefault(sha256, []).append(key if name == collection.store.name else "/" + key)
    root = Path(collection.store.root)

    evicted = {row[0] for row in rows("SELECT sha256 FROM evictions WHERE returned_us IS NULL")}

    def good(sha256: bytes) -> bool:
        if sha256 in evicted:
            return True
        found = [root / key for key in copies.get(sha256, ())]
        right = (path.is_file() and digest_of(path.read_bytes()) == sha256 for path in found)
        return bool(found) and (all(right) if every else any(right))

    for number, name, sha256 in rows("SELECT id, artifact_id, sha256 FROM documents"):
        if not good(sha256):
            yield f"document {number} {name} lost its bytes {sha256.hex()[:8]}"
    for sha256, state, refs in rows("SELECT sha256, state, refs FROM blobs"):
        if state == "live" and not good(sha256):
            yield f"live blob {sha256.hex()[:8]} has no good copy"
        if refs and state != "live":
            yield f"blob {sha256.hex()[:8]} is {state}, with {refs} references"
    if whole:
        yield from collection.catalog.integrity()


def facts(collection: Collection) -> dict[str, Any]:
    """All that counts of a collection and its journals, without times."""
    catalog = collection.catalog
    documents = {
        row["id"]: (row["artifact_id"], row["sha256"]) for row in collection.frame("documents").iter_rows(named=True)
    }
    blobs = {row["sha256"]: (row["state"], row["refs"]) for row in collection.frame("blobs").iter_rows(named=True)}
    locations = {row["key"]: row["sha256"] for row in collection.frame("locations").iter_rows(named=True)}
    journals = {
        plan.id: [(*row[:4], *row[5:9]) for row in catalog.journal(plan.id)] + [plan.ended_at is not None]
        for plan in catalog.plans()
    }
    strays = {row[1] for row in catalog.strays()}
    return {
        "documents": documents,
        "blobs": blobs,
        "locations": locations,
        "strays": strays,
        "journals": journals,
        "intents": len(catalog.intents()),
        "files": set(files(collection)),
    }
