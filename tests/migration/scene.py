"""A collection of the readable layout that is worth moving, and what must hold of it at every moment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.collection import Collection, init
from catalogkit.layouts import cas_key
from tests.conftest import hurry
from tests.plans.scene import broken, digest_of, forget, put

if TYPE_CHECKING:
    from tests.conftest import Clock

# Documents by name; two share their bytes, in one file or in two.
CONTENTS = {
    "a": b"alpha", "b": b"beta" * 300, "c": b"gamma", "twin 1": b"twins" * 20, "twin 2": b"twins" * 20, "empty": b"",
    "d": b"delta", "e": b"epsilon", "f": b"zeta",
}  # fmt: skip
TEMPLATE = "{artifact_id}"


def settle(top: Path, clock: Clock | None = None, **more: Any) -> Collection:
    """A collection of these documents and of one that was forgotten, at readable paths."""
    more |= {"clock": clock} if clock else {}
    collection = hurry(init(top, layout="policy", template=TEMPLATE, **more))
    for name, content in CONTENTS.items():
        put(collection, name, content)
    forget(collection, put(collection, "forgotten", b"forgotten"))
    return collection


def old_path(collection: Collection, name: str) -> Path:
    """Where a document lay before."""
    return Path(collection.store.root, "docs", name)


def layouts(collection: Collection) -> set[str]:
    """The layouts that copies have."""
    return set(collection.frame("locations")["layout"])


def moved(collection: Collection) -> dict[str, str]:
    """Where everything is to lie in the end: content addresses, and nothing else."""
    contents = {*CONTENTS.values(), b"forgotten"}
    return {cas_key(digest_of(content)): str(digest_of(content)) for content in contents}


def located(collection: Collection) -> dict[str, str]:
    """Every location and its content."""
    return {row["key"]: row["sha256"] for row in collection.frame("locations").iter_rows(named=True)}


def unreadable(collection: Collection, *, paths: bool = True, patient: bool = False) -> list[str]:
    """What a reader would miss: documents by id and by their place, and the paths people knew before.

    On the way back the place that was told a moment ago may be given up; who is `patient` asks again.
    """
    missing = []
    for record in collection.catalog.find(limit=10_000):
        content = CONTENTS[record.artifact_id]
        try:
            if collection.read(record.id) != content or _placed(collection, record, patient) != content:
                missing.append(f"{record.artifact_id} has other bytes")
            if paths and old_path(collection, record.artifact_id).read_bytes() != content:
                missing.append(f"the path of {record.artifact_id} shows other bytes")
        except Exception as problem:
            missing.append(f"{record.artifact_id}: {problem!r}")
    return missing


def _placed(collection: Collection, record: Any, patient: bool) -> bytes:
    try:
        return Path(collection.location(record)).read_bytes()
    except FileNotFoundError:
        if not patient:
            raise
    return Path(collection.location(record)).read_bytes()


def wrong(collection: Collection, *, every: bool = True, paths: bool = True) -> list[str]:
    """Everything that must not be: broken rules, and what cannot be read."""
    return [*broken(collection, every=every), *unreadable(collection, paths=paths)]


def stored(collection: Collection) -> dict[str, bool]:
    """What lies in the store's layouts, and whether it is a view."""
    root = Path(collection.store.root)
    return {
        str(Path(folder, name).relative_to(root)): Path(folder, name).is_symlink()
        for top in ("cas", "docs")
        for folder, _, names in os.walk(root / top)
        for name in names
    }
