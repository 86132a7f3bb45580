"""Snapshots as Parquet: an immutable folder for each kept snapshot.

::

    snapshots/000007-may/
      manifest.json                     what it is: files, rows, digests, schema, position
      documents/000000000001.parquet    documents 1 to 100,000, if there were any
      documents/000000100001.parquet    ...

A file has the documents of a range of ids. Where nothing in that range changed since another version, the file is that
version's, by a hard link: it takes no room, and stays when the other goes. A version is written beside its place and
appears whole. Losing one loses nothing while its snapshot is kept: it can be written again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.contract import Position
from catalogkit.errors import InvalidInput
from catalogkit.layouts import segment
from catalogkit.model import schema

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.snapshots import CatalogSnapshot

FORMAT: Final = 1
SEGMENT: Final = 100_000
MANIFEST: Final = "manifest.json"


def write_version(collection: Collection, snapshot: CatalogSnapshot) -> Path:
    """Write a snapshot as a folder of Parquet files; where it is written already, that folder.

    Costs as much as the ranges of ids in which something changed since the version nearest to it.

    Returns
    -------
    Path
        The folder, with ``manifest.json`` and ``documents/``.
    """
    place = folder_of(collection, snapshot)
    if (place / MANIFEST).exists():
        told = read_manifest(place)
        if (told["taken_at"], told["digest"]) == (snapshot.timestamp.isoformat(), snapshot.digest):
            return place
        # After coming back from a backup numbers are given anew: this is one of what came after it, and was lost.
        shutil.rmtree(place)
    unfinished = place.with_name(f"{place.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "documents").mkdir(parents=True)
    base, shared = _nearest(collection, snapshot)
    files = []
    for first in range(1, snapshot.position.last_id + 1, SEGMENT):
        name = f"documents/{first:012d}.parquet"
        if first in shared:
            about = shared[first]
            if about is not None:
                os.link(base / name, unfinished / name)
        else:
            about = _write(collection, snapshot.position, first, unfinished / name)
        if about is not None:
            files.append(about | {"path": name})
    manifest = {
        "format": FORMAT,
        "catalog": collection.identity,
        "label": snapshot.label,
        "taken_at": snapshot.timestamp.isoformat(),
        "position": [snapshot.position.changes, snapshot.position.last_id],
        "documents": snapshot.record_count,
        "storage_bytes": snapshot.storage_size,
        "logical_bytes": snapshot.logical_bytes,
        "digest": snapshot.digest,
        "schema": {name: str(kind) for name, kind in _columns().items()},
        "files": files,
    }
    if sum(file["rows"] for file in files) != snapshot.record_count:
        raise InvalidInput(
            f"snapshot {snapshot.label!r} does not have the documents it was counted with; nothing written"
        )
    _durable(unfinished / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    for folder in (unfinished / "documents", unfinished):
        _sync(folder)
    os.rename(unfinished, place)
    _sync(place.parent)
    return place


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a version says of itself.

    Raises
    ------
    InvalidInput
        If there is none, or a newer catalogkit wrote it.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InvalidInput(f"there is no snapshot written at {folder}: {problem}") from None
    if manifest.get("format") != FORMAT:
        raise InvalidInput(f"{folder} has format {manifest.get('format')}; this catalogkit reads {FORMAT}")
    return manifest


def when_taken(folder: Path) -> str:
    """When the snapshot in a folder was taken, in ISO 8601 and UTC; nothing where it does not say so."""
    return (_name(folder) or (0, "", ""))[1]


def check_version(folder: Path) -> list[str]:
    """What is wrong with a written version: files that are missing, changed, or not of it; empty is good."""
    manifest, wrong = read_manifest(folder), []
    for file in manifest["files"]:
        path = folder / file["path"]
        if not path.is_file():
            wrong.append(f"{file['path']} is missing")
        elif _sha256(path) != file["sha256"]:
            wrong.append(f"{file['path']} has changed")
    known = {file["path"] for file in manifest["files"]}
    there = {str(path.relative_to(folder)) for path in (folder / "documents").iterdir()}
    return wrong + [f"{name} does not belong here" for name in sorted(there - known)]


def drop_versions(collection: Collection, *, as_of: datetime) -> list[Path]:
    """Remove the folders of snapshots that this catalog took and keeps no more; which they were."""
    kept = {f"{moment.id:06d}" for moment in collection.catalog.moments("snapshot", as_of=as_of)}
    taken = _taken(collection)
    # What came after an older catalog that is back, or before one that was made anew, is all that tells of it.
    gone = [path for path in _folders(collection) if path.name[:6] not in kept and _name(path) in taken | {None}]
    for path in gone:
        shutil.rmtree(path)
    return gone


def folder_of(collection: Collection, snapshot: CatalogSnapshot) -> Path:
    """Where a snapshot is written."""
    return collection.path / "snapshots" / f"{snapshot.moment_id:06d}-{segment(snapshot.label)}"


def _folders(collection: Collection) -> list[Path]:
    top = collection.path / "snapshots"
    return sorted(path for path in top.iterdir() if path.name[:6].isdigit()) if top.is_dir() else []


def _columns() -> dict[str, Any]:
    return {name: kind for name, kind in schema("documents").items() if name != "seen_at"}


def _nearest(collection: Collection, snapshot: CatalogSnapshot) -> tuple[Path, dict[int, dict[str, Any] | None]]:
    """The version from which most can be taken, and by range of ids its file (None for a range without documents)."""
    best: tuple[Path, dict[int, dict[str, Any] | None]] = (collection.path, {})
    # A position means something in the history it is of: only what the catalog itself took can be compared.
    taken = _taken(collection)
    for folder in reversed(_folders(collection)):
        if not (folder / MANIFEST).exists():
            continue
        try:
            manifest = read_manifest(folder)
        except InvalidInput:
            continue  # of another catalogkit: nothing can be taken from it
        position = Position(*manifest["position"])
        if _name(folder) not in taken:
            continue
        earlier, later = sorted((position, snapshot.position))
        if earlier.last_id > later.last_id:
            continue
        changed = {_range(number) for number in collection.catalog.changed_ids(earlier, later)}
        files = {int(file["path"][10:22]): file for file in manifest["files"]}
        shared = {
            first: files.get(first)
            for first in range(1, min(position.last_id, snapshot.position.last_id) + 1, SEGMENT)
            if first not in changed
        }
        if len(shared) > len(best[1]):
            best = (folder, shared)
        if len(shared) == len(files):
            break
    return best


def _taken(collection: Collection) -> set[tuple[int, str, str] | None]:
    """Every snapshot that the catalog ever took: number, time, digest."""
    moments = collection.catalog.moments("snapshot", as_of=None)
    return {(one.id, one.taken_at.isoformat(), str(one.digest)) for one in moments}


def _name(folder: Path) -> tuple[int, str, str] | None:
    """Which snapshot a folder says that it is; None where it is none, or was not finished."""
    try:
        manifest = read_manifest(folder)
        return int(folder.name[:6]), manifest["taken_at"], manifest["digest"]
    except (InvalidInput, KeyError):
        return None


def _range(number: int) -> int:
    return (number - 1) // SEGMENT * SEGMENT + 1


def _write(collection: Collection, position: Position, first: int, path: Path) -> dict[str, Any] | None:
    """Write the documents of a range of ids; what is to know of the file, or None where there are no documents."""
    frame = collection.catalog.documents_at(position, ids=(first, first + SEGMENT - 1)).select(list(_columns()))
    if frame.is_empty():
        return None
    frame.write_parquet(path, compression="zstd", statistics=True)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return {
        "rows": frame.height, "bytes": path.stat().st_size, "sha256": _sha256(path),
        "first_id": frame["id"][0], "last_id": frame["id"][-1],
    }  # fmt: skip


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _durable(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
