"""Plans made by hand of steps that copy, link and drop, for collections as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from catalogkit.plan import SCHEMA, Plan
from catalogkit.planning.common import head_of
from tests.plans.scene import digest_of

if TYPE_CHECKING:
    from catalogkit.collection import Collection

STORE = "main"


def steps(collection: Collection, *rows: dict[str, Any] | list[dict[str, Any]]) -> Plan:
    """A plan of these steps: each a unit of its own, a list of them one unit."""
    made = []
    for unit, given in enumerate(rows):
        for number, row in enumerate(given if isinstance(given, list) else [given]):
            made.append({"unit": unit, "step": number, "reason": "test", "bytes": 0, "last_copy": False, **row})
    full = [{name: row.get(name) for name in SCHEMA} for row in made]
    frame = pl.DataFrame(full, schema=SCHEMA, orient="row")
    head = head_of(collection, "test", collection.now())
    return Plan(type(head)(**{**{n: getattr(head, n) for n in head.__slots__}, "reasons": {"test": "a test"}}), frame)


def step(collection: Collection, kind: str, content: bytes, key: str, source: str | None = None, **more: Any) -> Any:
    """One step about `content` at `key` of the collection's store, taken from the key `source`."""
    return {
        "kind": kind, "sha256": str(digest_of(content)), "store": collection.store.name, "key": key,
        "from_key": source, **more,
    }  # fmt: skip


def seen(collection: Collection, key: str, *, freed: bool = True) -> dict[str, Any]:
    """What a planner says of the file at `key`: the one that is to be removed or exchanged."""
    about = os.lstat(collection.store.path(key))
    return {
        "inode": about.st_ino, "mtime_ns": about.st_mtime_ns, "bytes": about.st_size if freed else 0,
        "object": f"{collection.store.name}:{about.st_ino}", "users": about.st_nlink,
    }  # fmt: skip


def at(collection: Collection, key: str) -> Path:
    return Path(collection.store.path(key))


def spoil(collection: Collection, key: str, content: bytes = b"spoilt") -> None:
    """Other bytes in the file at `key`, as rot or a careless hand would leave them."""
    path = at(collection, key)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


def outcomes(collection: Collection, content: bytes) -> dict[str, str | None]:
    """The last check of every copy, by its key."""
    return {one.key: one.outcome for one in collection.catalog.locations_of(digest_of(content))}
