"""`preview`: what folders hold before they are ingested: how much, of which kinds, and the duplicates.

No collection is needed and nothing is written. Equal files have equal sizes, so only files that share theirs are
opened: of large ones first a little, then all of those that begin and end alike.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.model import path_text
from catalogkit.progress import Progress, quiet
from catalogkit.sources import About, PassedOver, from_paths
from catalogkit.stores.reading import BYTES_PER_THREAD, digest_fd, readers
from catalogkit.stores.taking import Stamp
from catalogkit.workers import Inline, in_turn, processors

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

    from catalogkit.progress import OnProgress

__all__ = ["DuplicateGroup", "FolderPreview", "preview"]

# A file of more than two of these is first told from others by its two ends.
END_BYTES: Final = 16 << 10
# What is read between two looks at whether to stop.
JOB_BYTES, JOB_FILES = 64 << 20, 500
KEPT_FAILURES: Final = 1000
FEW_FILES: Final = 30_000
CHANGED: Final = "it changed while it was read"
# Waits for nobody if something else took the file's place; that it did is seen by its stamp.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class DuplicateGroup(NamedTuple):
    """Files that hold the same bytes.

    `objects` counts those that take room of their own: names of one inode (hard links) are one.
    """

    sha256: str
    bytes: int
    objects: int
    paths: tuple[str, ...]

    @property
    def spare_bytes(self) -> int:
        """What all but one of them take."""
        return self.bytes * (self.objects - 1)


@dataclass(slots=True, kw_only=True)
class FolderPreview:
    """What folders hold.

    Attributes
    ----------
    files, bytes : int
        Files that could be taken in, and their sizes together.
    objects, object_bytes : int
        The same, names of one inode counted once.
    empty : int
        Files without a byte, which are no group.
    read_bytes : int
        What was read to tell which are equal.
    endings : Counter
        Files by the ending of their names, in lower case.
    groups : list of DuplicateGroup
        Contents that several objects have; what takes most room in vain comes first.
    reasons : Counter
        What was passed over, and why.
    failed, failures
        How many of these somebody should look at; path and reason of the first thousand.
    interrupted : bool
        Whether it was stopped: then `groups` are those that were known by then.

    Examples
    --------
    >>> seen = ck.preview(c.path / "store")
    >>> seen.spare_bytes, seen.frame.columns
    (0, ['group', 'sha256', 'bytes', 'path'])
    """

    files: int = 0
    bytes: int = 0
    objects: int = 0
    object_bytes: int = 0
    empty: int = 0
    read_bytes: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    groups: list[DuplicateGroup] = field(default_factory=list, repr=False)
    reasons: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list, repr=False)
    interrupted: bool = False

    @property
    def spare_bytes(self) -> int:
        """What a store that keeps equal bytes once would not need."""
        return sum(group.spare_bytes for group in self.groups)

    @property
    def frame(self) -> pl.DataFrame:
        """A row for each path of a group: ``group`` (from 0, in their order), ``sha256``, ``bytes``, ``path``."""
        import polars as pl

        rows = [(n, one.sha256, one.bytes, path) for n, one in enumerate(self.groups) for path in one.paths]
        kinds = {"group": pl.Int64(), "sha256": pl.String(), "bytes": pl.Int64(), "path": pl.String()}
        return pl.DataFrame(rows, schema=kinds, orient="row")

    def pass_over(self, path: str, reason: str, failed: bool = True) -> None:
        """Count a file that is not looked at."""
        self.reasons[reason] += 1
        self.failed += failed
        if failed and len(self.failures) < KEPT_FAILURES:
            self.failures.append((path_text(path), reason))

    def totals(self) -> dict[str, Any]:
        """The numbers."""
        names = ("files", "bytes", "objects", "object_bytes", "empty", "read_bytes", "failed", "interrupted")
        spare = sum(group.objects - 1 for group in self.groups)
        told = {"groups": len(self.groups), "spare_objects": spare, "spare_bytes": self.spare_bytes}
        return {name: getattr(self, name) for name in names} | told

    def to_dict(self) -> dict[str, Any]:
        """As plain data: `totals`, endings, reasons, failures, and every group."""
        groups = [{**one._asdict(), "spare_bytes": one.spare_bytes} for one in self.groups]
        failures = [{"path": path, "reason": reason} for path, reason in self.failures]
        more = {"endings": dict(self.endings.most_common()), "reasons": dict(self.reasons), "failures": failures}
        return self.totals() | more | {"duplicates": groups}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        return facts("Preview", self.totals())


def preview(
    *paths: str | os.PathLike[str],
    follow_links: bool = False,
    concurrency: int | None = None,
    progress: OnProgress = quiet,
    stop: threading.Event | None = None,
) -> FolderPreview:
    """Report what folders hold before they are ingested: files, sizes, duplicates. Writes nothing.

    Parameters
    ----------
    paths
        Folders and files; looked at are the files that `catalogkit.ingest` would take in.
    follow_links
        Whether to look at what symbolic links point to.
    concurrency
        Files read at once; as many as there are processors without it.
    progress
        Is told now and then how far it is.
    stop
        Once it is set, reading ends, and what is known is returned.

    Raises
    ------
    InvalidInput
        If a path does not exist.

    Examples
    --------
    >>> seen = ck.preview(c.path / "store")
    >>> seen.groups
    []
    """
    found = FolderPreview()
    by_size = _listed(from_paths(paths, About(), follow_links=follow_links), found)
    found.empty = sum(len(file.paths) for file in by_size.pop(0, ()))
    alike = [files for files in by_size.values() if len(files) > 1]
    reader = _Reader(found, concurrency or processors(), progress, stop)
    large = [files for files in alike if files[0].stamp.bytes > 2 * END_BYTES]
    small = [files for files in alike if files[0].stamp.bytes <= 2 * END_BYTES]
    large = [files for _, files in reader.parted(large, ends)]
    for digest, files in reader.parted(small + large, whole):
        names = tuple(sorted(path_text(path) for file in files for path in file.paths))
        found.groups.append(DuplicateGroup(digest.hex(), files[0].stamp.bytes, len(files), names))
    found.groups.sort(key=lambda one: (-one.spare_bytes, one.paths))
    return found


class _File(NamedTuple):
    """What takes room of its own, and its names."""

    stamp: Stamp
    paths: list[str]


def _listed(candidates: Iterator[Any], found: FolderPreview) -> defaultdict[int, list[_File]]:
    """What there is, by size."""
    known: dict[Stamp, _File] = {}
    by_size: defaultdict[int, list[_File]] = defaultdict(list)
    for one in candidates:
        if isinstance(one, PassedOver):
            found.pass_over(one.path, one.reason, one.failed)
            continue
        found.files += 1
        found.bytes += one.stamp.bytes
        found.endings[os.path.splitext(one.name)[1].lower()] += 1
        file = known.get(one.stamp)
        if file is None:
            file = known[one.stamp] = _File(one.stamp, [])
            by_size[one.stamp.bytes].append(file)
        file.paths.append(one.path)
    found.objects, found.object_bytes = len(known), sum(stamp.bytes for stamp in known)
    return by_size


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads files, several at once, and notes those that cannot be read."""

    found: FolderPreview
    concurrency: int
    progress: OnProgress
    stop: threading.Event | None

    def parted(self, groups: list[list[_File]], how: Callable[[int, int], bytes]) -> list[tuple[bytes, list[_File]]]:
        """Part each group by what reading its files gave; what then stands alone is left out."""
        parts: defaultdict[tuple[int, bytes], list[_File]] = defaultdict(list)
        asked = [(number, file) for number, files in enumerate(groups) for file in files]
        for (number, file), key in zip(asked, self._read([file for _, file in asked], how), strict=False):
            if isinstance(key, bytes):
                parts[number, key].append(file)
            else:
                self.found.pass_over(file.paths[0], key)
        return [(key, files) for (_, key), files in parts.items() if len(files) > 1]

    def _read(self, files: Sequence[_File], how: Callable[[int, int], bytes]) -> list[bytes | str]:
        """What reading each gave, in their order; of fewer of them where it was to stop."""
        reads = 2 * END_BYTES if how is ends else None
        total, before = sum(reads or file.stamp.bytes for file in files), self.found.read_bytes
        found: list[bytes | str] = []
        # Threads gain nothing of small files, and processes take as long to start as it takes to read these.
        alone = len(files) < FEW_FILES and total < len(files) * BYTES_PER_THREAD
        with Inline() if alone else readers(self.concurrency, len(files), total) as executor:
            for keys, count in in_turn(executor, partial(look, how), self._jobs(files, reads)):
                found += keys
                self.found.read_bytes += count
                read = self.found.read_bytes - before
                self.progress(Progress("preview", len(found), read, len(files), total, self.found.failed))
        return found

    def _jobs(self, files: Sequence[_File], reads: int | None) -> Iterator[list[tuple[str, Stamp]]]:
        job: list[tuple[str, Stamp]] = []
        size = 0
        for file in files:
            if self.stop is not None and self.stop.is_set():
                self.found.interrupted = True
                return
            job.append((file.paths[0], file.stamp))
            size += reads or file.stamp.bytes
            if size >= JOB_BYTES or len(job) >= JOB_FILES:
                yield job
                job, size = [], 0
        if job:
            yield job


def look(how: Callable[[int, int], bytes], job: Sequence[tuple[str, Stamp]]) -> tuple[list[bytes | str], int]:
    """What reading each file gave, or why it could not be read; and how many bytes that took. Runs in workers."""
    keys: list[bytes | str] = []
    read = 0
    for path, stamp in job:
        try:
            fd = os.open(path, _FLAGS)
        except OSError as problem:
            keys.append(f"it cannot be read: {problem.strerror}")
            continue
        try:
            key = how(fd, stamp.bytes)
            same = Stamp.of(os.fstat(fd)) == stamp
            keys.append(key if same else CHANGED)
            read += min(stamp.bytes, 2 * END_BYTES) if how is ends else stamp.bytes
        except OSError as problem:
            keys.append(f"it cannot be read: {problem.strerror}")
        finally:
            os.close(fd)
    return keys, read


def ends(fd: int, size: int) -> bytes:
    """A digest of how a large file begins and ends."""
    return sha256(os.pread(fd, END_BYTES, 0) + os.pread(fd, END_BYTES, size - END_BYTES)).digest()


def whole(fd: int, size: int) -> bytes:
    """The SHA-256 of a file."""
    return digest_fd(fd, size)[0]
