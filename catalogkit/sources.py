"""Where documents come from: folders, file lists, a downloader's manifest. Finding them reads no document."""

from __future__ import annotations

import fnmatch
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes

import msgspec

from catalogkit.errors import InvalidInput
from catalogkit.model import Arrival, Digest, path_text
from catalogkit.stores.taking import Stamp

if TYPE_CHECKING:
    from collections.abc import Collection as Group
    from collections.abc import Iterable, Iterator

# What browsers, wget, curl and downloaders call a file that is not whole yet.
UNFINISHED: Final = ("*.part", "*.partial", "*.crdownload", "*.download", "*.tmp", "*.filepart", "~$*")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to take in and what it is about; `in_order` as in `Registration`, `expected` as a manifest claims."""

    path: str
    arrival: Arrival
    stamp: Stamp
    in_order: bool = True
    expected: Digest | None = None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that is not taken in; `failed` says whether somebody should look."""

    path: str
    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class About:
    """What a folder's documents have in common."""

    resolver: str = ""
    run_id: str = ""
    tenant: str = "default"
    variant: str = ""


def from_paths(
    paths: Iterable[str | os.PathLike[str]], about: About, *, follow_links: bool = False, own: Group[str] = ()
) -> Iterator[Candidate | PassedOver]:
    """Candidates below folders and among files, in a stable order.

    A file's artifact id is its name, its source URL the ``file:`` URL of its absolute path, its fetch time its
    modification time. Symbolic links are passed over unless `follow_links`; then loops end at the second visit.

    Parameters
    ----------
    own
        Real paths of the collection's own folders and files, which are never documents.

    Raises
    ------
    InvalidInput
        If a path named by the caller does not exist.
    """
    visited: set[tuple[int, int]] = set()
    for given in paths:
        # The caller named this place: a link here is meant.
        path = os.path.realpath(os.fspath(given))
        if not os.path.exists(path):
            raise InvalidInput(f"{path_text(os.fspath(given))} does not exist; nothing of it was taken in")
        if os.path.isdir(path):
            yield from _walk(path, about, follow_links, own, visited)
        else:
            yield _candidate(path, about)


def _walk(
    folder: str, about: About, follow_links: bool, own: Group[str], visited: set[tuple[int, int]]
) -> Iterator[Candidate | PassedOver]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        try:
            here = os.stat(folder)
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
        except OSError as problem:
            yield PassedOver(folder, f"the folder cannot be read: {problem.strerror}", failed=True)
            continue
        if (here.st_dev, here.st_ino) in visited:
            yield PassedOver(folder, "it was visited already, by another name")
            continue
        visited.add((here.st_dev, here.st_ino))
        below = []
        for entry in entries:
            if entry.path in own:
                continue
            if entry.is_symlink() and not follow_links:
                yield PassedOver(entry.path, "it is a symbolic link")
            elif entry.is_dir():
                below.append(entry.path)
            elif any(fnmatch.fnmatch(entry.name, pattern) for pattern in UNFINISHED):
                yield PassedOver(entry.path, "its name says that it is not whole yet")
            else:
                yield _candidate(entry.path, about, entry)
        waiting.extend(reversed(below))


def _candidate(path: str, about: About, entry: os.DirEntry[str] | None = None) -> Candidate | PassedOver:
    try:
        found = os.stat(path) if entry is None else entry.stat()
    except OSError as problem:
        return PassedOver(path, f"it cannot be looked at: {problem.strerror}", failed=True)
    if not stat.S_ISREG(found.st_mode):
        return PassedOver(path, "it is a FIFO, a socket or a device, not a file")
    arrival = Arrival(
        artifact_id=path_text(os.path.basename(path)),
        source_url=file_url(path),
        resolver=about.resolver,
        run_id=about.run_id,
        tenant=about.tenant,
        variant=about.variant,
        fetched_at=datetime.fromtimestamp(max(found.st_mtime, 0), UTC),
    )
    return Candidate(path, arrival, Stamp.of(found))


def file_url(path: str) -> str:
    """The ``file:`` URL of an absolute path; any byte sequence has one (RFC 8089)."""
    return "file://" + quote_from_bytes(os.fsencode(path))


class ManifestRow(msgspec.Struct, kw_only=True):
    """One line of a downloader's manifest; `path` is relative to the manifest. Other keys become metadata."""

    path: str
    artifact_id: str
    source_url: str
    resolver: str = ""
    variant: str = ""
    tenant: str = ""
    run_id: str = ""
    content_type: str | None = None
    fetched_at: datetime | None = None
    sha256: str | None = None
    metadata: dict[str, Any] = {}


def from_manifest(manifest: Path, about: About) -> Iterator[Candidate | PassedOver]:
    """Candidates that a manifest lists, in its order; a bad row is reported with its number, the rest goes on.

    Parameters
    ----------
    manifest
        JSON lines, or Parquet by the ending ``.parquet``.
    about
        What applies where a row is silent.
    """
    folder = os.path.dirname(os.path.realpath(manifest))
    for number, row in enumerate(_rows(manifest), 1):
        where = f"{manifest.name}, row {number}"
        try:
            given = msgspec.json.decode(row) if isinstance(row, bytes) else row
            if not isinstance(given, dict):
                raise InvalidInput("it is not a JSON object")
            facts = msgspec.convert({k: v for k, v in given.items() if v is not None}, ManifestRow)
            extra = {key: value for key, value in given.items() if key not in ManifestRow.__struct_fields__}
            arrival = Arrival(
                artifact_id=facts.artifact_id,
                source_url=facts.source_url,
                resolver=facts.resolver or about.resolver,
                variant=facts.variant or about.variant,
                tenant=facts.tenant or about.tenant,
                run_id=facts.run_id or about.run_id,
                content_type=facts.content_type or "",
                fetched_at=facts.fetched_at,
                metadata=facts.metadata | extra,
            )
            expected = None if facts.sha256 is None else Digest.parse(facts.sha256)
        except (msgspec.DecodeError, InvalidInput, ValueError) as problem:
            yield PassedOver(where, f"the row is not acceptable: {problem}", failed=True)
            continue
        path = os.path.normpath(os.path.join(folder, facts.path))
        try:
            about_file = os.stat(path)
        except (OSError, ValueError) as problem:
            yield PassedOver(path_text(path), f"{where}: it cannot be looked at: {problem}", failed=True)
            continue
        yield Candidate(path, arrival, Stamp.of(about_file), in_order=False, expected=expected)


def _rows(manifest: Path) -> Iterator[bytes | dict[str, Any]]:
    if not manifest.is_file():
        raise InvalidInput(f"there is no manifest {manifest}")
    if manifest.suffix == ".parquet":
        import polars as pl

        try:
            for part in pl.scan_parquet(manifest).collect_batches(chunk_size=10_000):
                yield from part.iter_rows(named=True)
        except pl.exceptions.PolarsError as problem:
            raise InvalidInput(f"{manifest} is not a Parquet file that can be read: {problem}") from None
        return
    with manifest.open("rb") as file:
        for line in file:
            if line.strip():
                yield line


__all__ = ["About", "Candidate", "ManifestRow", "PassedOver", "from_manifest", "from_paths"]
