"""Finds the documents to ingest, in folders, file lists and manifests, without reading them."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote_from_bytes

import msgspec

from catalogkit.errors import InvalidInput
from catalogkit.model import Arrival, Digest, from_us, path_text
from catalogkit.stores.taking import Stamp

if TYPE_CHECKING:
    from collections.abc import Collection as Group
    from collections.abc import Iterable, Iterator

# What browsers, wget, curl and downloaders call a file that is not whole yet.
UNFINISHED: Final = (".part", ".partial", ".crdownload", ".download", ".tmp", ".filepart")
LOCK: Final = "~$"  # how office programs mark a document that is open
# The last moment that a date can name.
_LATEST_US: Final = 253_402_300_799_999_999
# Names that are the same as text and in a URL, as most are.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]+", re.ASCII)

Identity = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that is not taken in; `failed` says whether somebody should look.

    `arrival` is what a list says that a file which is not there is about.
    """

    path: str
    reason: str
    failed: bool = False
    arrival: Arrival | None = None
    expected: Digest | None = None


@dataclass(frozen=True, slots=True)
class About:
    """What a folder's documents have in common; `alone` says that no other tenant's may be among them."""

    resolver: str = ""
    run_id: str = ""
    tenant: str = "default"
    variant: str = ""
    alone: bool = False

    def identity(self, name: str, url: str) -> Identity:
        """The identity of a file: its name is the artifact id, the ``file:`` URL of its path the source URL."""
        return (self.tenant, name, url, self.resolver, self.variant)

    def arrival(self, identity: Identity, mtime_ns: int) -> Arrival:
        """What a file of that identity is about; the time of its last change counts as its fetch time."""
        tenant, artifact_id, source_url, resolver, variant = identity
        return Arrival(
            artifact_id=artifact_id,
            source_url=source_url,
            resolver=resolver,
            run_id=self.run_id,
            tenant=tenant,
            variant=variant,
            fetched_at=from_us(min(max(mtime_ns // 1000, 0), _LATEST_US)),
        )


class Candidate(NamedTuple):
    """A file to take in and what it is about. (A plain tuple, since a rescan makes very many.)

    `folder` and `name` are its path as the catalog writes it. `facts` is its arrival, or what its folder has in common,
    which is enough for a file that turns out to be known. `in_order` is as in `Registration`; `expected` is the digest
    that a manifest claims.
    """

    path: str
    folder: str
    name: str
    stamp: Stamp
    identity: Identity
    facts: Arrival | About
    in_order: bool = True
    expected: Digest | None = None

    @property
    def arrival(self) -> Arrival:
        """What the file is about, in full."""
        if isinstance(self.facts, Arrival):
            return self.facts
        return self.facts.arrival(self.identity, self.stamp.mtime_ns)

    @classmethod
    def listed(
        cls, path: str, stamp: Stamp, arrival: Arrival, *, in_order: bool = True, expected: Digest | None = None
    ) -> Candidate:
        """A file that comes with its arrival."""
        folder, name = (path_text(part) for part in os.path.split(path))
        return cls(path, folder, name, stamp, arrival.identity, arrival, in_order, expected)


def from_paths(
    paths: Iterable[str | os.PathLike[str]], about: About, *, follow_links: bool = False, own: Group[str] = ()
) -> Iterator[Candidate | PassedOver]:
    """Candidates below folders and among files, in a stable order.

    Symbolic links are passed over unless `follow_links`; then loops end at the second visit.

    Parameters
    ----------
    own
        Real paths of the collection's own folders and files, which are never documents.

    Raises
    ------
    InvalidInput
        At once, if a path named by the caller does not exist, or is the collection's own.
    """
    real = []
    for given in paths:
        # The caller named this place: a link here is meant.
        try:
            path = os.path.realpath(os.fspath(given))
        except ValueError as problem:
            raise InvalidInput(f"{os.fspath(given)!r} is no path: {problem}") from None
        if not os.path.exists(path):
            raise InvalidInput(f"{path_text(os.fspath(given))} does not exist; nothing was taken in")
        if _belongs(path, own):
            raise InvalidInput(f"{path_text(path)} is the collection's own; nothing was taken in")
        real.append(path)
    return _found(real, about, follow_links, own)


def _found(paths: list[str], about: About, follow_links: bool, own: Group[str]) -> Iterator[Candidate | PassedOver]:
    visited: set[tuple[int, int]] = set()
    for path in paths:
        if os.path.isdir(path):
            yield from _walk(path, about, follow_links, own, visited)
        else:
            yield _Folder.of(os.path.dirname(path)).candidate(path, os.path.basename(path), about)


def _belongs(path: str, own: Group[str]) -> bool:
    """Whether a real path is one of the collection's own, or lies below one."""
    return any(path == one or path.startswith(one + os.sep) for one in own)


def _walk(
    folder: str, about: About, follow_links: bool, own: Group[str], visited: set[tuple[int, int]]
) -> Iterator[Candidate | PassedOver]:
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        try:
            here = os.stat(folder)
            with os.scandir(folder) as found:
                entries = sorted(found, key=_name, reverse=True)
        except OSError as problem:
            yield PassedOver(folder, f"the folder cannot be read: {problem.strerror}", failed=True)
            continue
        if (here.st_dev, here.st_ino) in visited:
            yield PassedOver(folder, "it was visited already, by another name")
            continue
        visited.add((here.st_dev, here.st_ino))
        this, below = _Folder.of(folder), []
        while entries:
            entry = entries.pop()  # let go of at once: in a folder of very many files, what they keep adds up
            if entry.path in own:
                continue
            if entry.is_symlink():
                if not follow_links:
                    yield PassedOver(entry.path, "it is a symbolic link")
                    continue
                if not os.path.exists(entry.path):
                    yield PassedOver(entry.path, "it is a link to nowhere")
                    continue
                if _belongs(os.path.realpath(entry.path), own):
                    continue
            if entry.is_dir():
                below.append(entry.path)
            elif entry.name.endswith(UNFINISHED) or entry.name.startswith(LOCK):
                yield PassedOver(entry.path, "its name says that it is not whole yet")
            else:
                yield this.candidate(entry.path, entry.name, about, entry)
        waiting.extend(reversed(below))


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


class _Folder(NamedTuple):
    """What the paths of a folder's files begin with, as text and as URL."""

    text: str
    url: str

    @classmethod
    def of(cls, folder: str) -> _Folder:
        return cls(path_text(folder), file_url(folder.rstrip("/")) + "/")

    def candidate(
        self, path: str, name: str, about: About, entry: os.DirEntry[str] | None = None
    ) -> Candidate | PassedOver:
        try:
            found = os.stat(path) if entry is None else entry.stat()
        except FileNotFoundError:
            return PassedOver(path, "it is gone")
        except OSError as problem:
            return PassedOver(path, f"it cannot be looked at: {problem.strerror}", failed=True)
        if not stat.S_ISREG(found.st_mode):
            return PassedOver(path, "it is a FIFO, a socket or a device, not a file")
        text = url = name
        if not _PLAIN.fullmatch(name):
            text, url = path_text(name), quote_from_bytes(os.fsencode(name))
        return Candidate(path, self.text, text, Stamp.of(found), about.identity(text, self.url + url), about)


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

    Raises
    ------
    InvalidInput
        At once, if there is no such manifest or it cannot be read.
    """
    if not manifest.is_file():
        raise InvalidInput(f"there is no manifest {manifest}")
    rows = _parquet(manifest) if manifest.suffix == ".parquet" else _lines(manifest)
    return _listed(manifest, rows, about)


def _listed(manifest: Path, rows: Iterable[tuple[int, bytes]], about: About) -> Iterator[Candidate | PassedOver]:
    folder = os.path.dirname(os.path.realpath(manifest))
    for number, row in rows:
        where = f"{manifest.name}, row {number}"
        try:
            path, arrival, expected = _row(row, about)
        except (msgspec.DecodeError, UnicodeDecodeError, InvalidInput, RecursionError) as problem:
            yield PassedOver(where, f"the row is not acceptable: {problem}", failed=True)
            continue
        path = os.path.normpath(os.path.join(folder, path))
        try:
            about_file = os.stat(path)
        except (OSError, ValueError) as problem:
            why = f"{where}: it cannot be looked at: {getattr(problem, 'strerror', problem)}"
            yield PassedOver(path, why, failed=True, arrival=arrival, expected=expected)
            continue
        yield Candidate.listed(path, Stamp.of(about_file), arrival, in_order=False, expected=expected)


def _row(row: bytes, about: About) -> tuple[str, Arrival, Digest | None]:
    given = msgspec.json.decode(row)
    if not isinstance(given, dict):
        raise InvalidInput("it is not a JSON object")
    facts = msgspec.convert({key: value for key, value in given.items() if value is not None}, ManifestRow)
    if about.alone and facts.tenant not in ("", about.tenant):
        raise InvalidInput(f"it names the tenant {facts.tenant}; this collection is {about.tenant}'s alone")
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
    return facts.path, arrival, None if facts.sha256 is None else Digest.parse(facts.sha256)


def _parquet(manifest: Path) -> Iterator[tuple[int, bytes]]:
    import polars as pl

    from catalogkit.parquet import UNREADABLE

    def unreadable(problem: BaseException) -> InvalidInput:
        return InvalidInput(f"{manifest} is not a Parquet file that can be read: {problem}")

    def rows() -> Iterator[tuple[int, bytes]]:
        try:
            parts = (part for part in frame.collect_batches(chunk_size=10_000))
            # As JSON text, so that a value means the same in both kinds of manifest.
            every = (msgspec.json.encode(row) for part in parts for row in part.iter_rows(named=True))
            yield from enumerate(every, 1)
        except (*UNREADABLE, TypeError, UnicodeDecodeError) as problem:
            raise unreadable(problem) from None  # damaged below its schema; what came before was taken in

    try:
        frame = pl.scan_parquet(manifest)
        frame.collect_schema()
    except UNREADABLE as problem:
        raise unreadable(problem) from None
    return rows()


def _lines(manifest: Path) -> Iterator[tuple[int, bytes]]:
    with manifest.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


__all__ = ["About", "Candidate", "ManifestRow", "PassedOver", "from_manifest", "from_paths"]
