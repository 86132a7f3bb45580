"""Reads a file for ingest in a worker process: hashes, detects its type, writes it to a temporary name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import time
import uuid
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final, NamedTuple

from catalogkit.errors import StoreFull
from catalogkit.layouts import cas_key
from catalogkit.model import Digest, Mode, inode_of
from catalogkit.sniff import HEAD_BYTES, sniff
from catalogkit.stores.contract import Identified, mtime_of
from catalogkit.stores.files import REAL, Files, out_of_room
from catalogkit.stores.reading import OPEN_FLAGS, at_once, chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FICLONE: Final = 0x40049409  # linux/fs.h
# Why a file cannot have one more name: another file system, too many names, no right or no such thing there.
_NO_MORE_NAMES: Final = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP)
# Why files cannot share data, however often one asks.
_NO_CLONES: Final = (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS)
# Time stamps of files move in steps of the kernel's tick (at most 10 ms): a change within the step that a file was
# stamped in leaves no trace. So a file younger than two steps is looked at once it is older.
SETTLED_NS: Final = 20_000_000
# A file that changes while it is read gets one more chance, one that only gets another name or mode a few.
_CHANGED: Final = 3
_TOUCHED: Final = 1


class Stamp(NamedTuple):
    """What tells a changed file from an unchanged one. (A plain tuple, since a run makes and compares very many.)"""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, about: os.stat_result) -> Stamp:
        """The stamp of a stat result."""
        return cls(about.st_size, mtime_of(about), about.st_ctime_ns, inode_of(about))


class Taken(NamedTuple):
    """A file taken in, or why it was not (`problem`). (A plain tuple, since workers send very many.)

    `temp` is where its bytes lie now; it is None when they were not written: in reference mode, or because a copy
    seems to be stored already. `inode` and `mtime_ns` are those of `temp`.
    """

    path: str
    digest: Digest | None = None
    media_type: str = ""
    stamp: Stamp | None = None
    temp: str | None = None
    inode: int | None = None
    mtime_ns: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes files into the store at `root`; temporary names lie in its folder `folder`.

    Parameters
    ----------
    root, folder
        Absolute paths on one file system.
    mode
        How: see `catalogkit.model.Mode`. Link prefers a reflink, then a hard link, then a copy.
    peek
        Whether to leave out the writing of files whose content address exists already.
    """

    root: str
    folder: str
    mode: Mode
    peek: bool = False
    files: Files = REAL

    def __call__(self, batch: Sequence[tuple[str, str]]) -> list[Taken]:
        """Take each (path, temporary name) in; a file that fails is reported, the rest goes on.

        Raises
        ------
        StoreFull
            When no room is left: the files that follow would fail as well.
        """
        return [self._take(path, f"{self.folder}/{name}") for path, name in batch]

    def _take(self, path: str, temp: str) -> Taken:
        chances = 2 * _CHANGED
        while chances > 0:
            try:
                taken = self._once(path, temp)
            except OSError as problem:
                if out_of_room(problem):
                    raise StoreFull(f"no room left in {self.root}; nothing was lost, free some and go on") from None
                return Taken(path, problem=_in_words(path, problem))
            if isinstance(taken, Taken):
                return taken
            chances -= taken
        return Taken(path, problem="it changed while it was read")

    def _once(self, path: str, temp: str) -> Taken | int:
        """Take the file in, or tell by how much it has changed meanwhile."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                return Taken(path, problem=f"it is a {_kind(about.st_mode)}, not a file")
            if 0 <= (age := time.time_ns() - about.st_ctime_ns) < SETTLED_NS:
                time.sleep((SETTLED_NS - age) / 1e9)
            stamp, kept = Stamp.of(about), None
            shares = self._shares(fd, about.st_dev)
            if shares or self.mode is Mode.REFERENCE:
                digest, media_type, count = _digest(fd)
            else:
                digest, media_type, count, kept = self._copy(fd, about.st_dev, temp)
            now = Stamp.of(os.fstat(fd))
            if now != stamp or count != stamp.bytes:
                self._drop(temp, kept)
                return _TOUCHED if now[:2] == (count, stamp.mtime_ns) else _CHANGED
            if shares and not self._stored(digest):
                # Not before it was read and found unchanged: one more name changes the file's change time.
                kept = self._link(fd, path, temp) or self._copy(fd, about.st_dev, temp)[-1]
                read, stamp = stamp, Stamp.of(os.fstat(fd))
                if (read.bytes, read.mtime_ns) != (stamp.bytes, stamp.mtime_ns):
                    self._drop(temp, kept)
                    return _CHANGED
        finally:
            os.close(fd)
        if kept is None:
            return Taken(path, digest, media_type, stamp)
        return Taken(path, digest, media_type, stamp, temp, kept.inode, kept.mtime_ns)

    def _copy(self, fd: int, device: int, temp: str) -> tuple[Digest, str, int, Stamp | None]:
        """Hash, type and write; what fits the buffer is written only if it is not stored yet."""
        content = at_once(fd)
        if content is not None:
            digest, media_type, count = _known(content)
            if self._stored(digest):
                return digest, media_type, count, None
        out = self.files.create(temp)
        try:
            cloned = _clone(fd, out, (device, self.folder))
            if content is None:
                digest, media_type, count = _digest(fd, None if cloned else partial(self.files.write, out))
            elif not cloned:
                self.files.write(out, content)
            self.files.protect(out)
            kept = Stamp.of(os.fstat(out))
        except BaseException:
            self._drop(temp)
            raise
        finally:
            os.close(out)
        if kept.bytes != count or (content is None and self._stored(digest)):
            self._drop(temp)
            return digest, media_type, kept.bytes, None
        return digest, media_type, count, kept

    def _stored(self, digest: Digest) -> bool:
        return self.peek and os.path.exists(f"{self.root}/{cas_key(digest)}")

    def _shares(self, fd: int, device: int) -> bool:
        """Whether the file is to get one more name, because its data cannot be shared any other way."""
        if self.mode not in (Mode.LINK, Mode.MOVE) or device != _device(self.folder):
            return False
        return self.mode is Mode.MOVE or not _can_clone(fd, (device, self.folder))

    def _link(self, fd: int, path: str, temp: str) -> Stamp | None:
        """One more name for the open file; None where it cannot have one."""
        try:
            self.files.link(os.path.realpath(path) if os.path.islink(path) else path, temp)
        except OSError as problem:
            if problem.errno in _NO_MORE_NAMES:
                return None
            raise
        try:
            if not os.path.samestat(os.fstat(fd), os.lstat(temp)):
                raise OSError(errno.ESTALE, "another file took its place")
            # Whoever edits the source would edit the stored document: with one inode there is one mode, read-only.
            self.files.protect_path(temp)
        except PermissionError:  # somebody else's file
            self._drop(temp)
            return None
        except BaseException:
            self._drop(temp)
            raise
        return Stamp.of(os.lstat(temp))

    def _drop(self, temp: str, kept: Stamp | bool | None = True) -> None:
        if kept:
            with contextlib.suppress(OSError):
                self.files.unlink(temp)


def _known(content: memoryview) -> tuple[Digest, str, int]:
    """What a whole document is, and its length."""
    count = len(content)
    return Digest(hashlib.sha256(content).digest()), sniff(bytes(content[:HEAD_BYTES]), count <= HEAD_BYTES), count


def _digest(fd: int, write: Callable[[memoryview], None] | None = None) -> tuple[Digest, str, int]:
    """What an open file is, read in one go or piece by piece; each piece is handed to `write`."""
    content = at_once(fd)
    if content is not None:
        if write:
            write(content)
        return _known(content)
    sha256, head, count = hashlib.sha256(), b"", 0
    for chunk in chunks(fd):
        head = head or bytes(chunk[:HEAD_BYTES])
        sha256.update(chunk)
        count += len(chunk)
        if write:
            write(chunk)
    return Digest(sha256.digest()), sniff(head), count


# Between which devices and folders files can share data; found out with the first file.
_clones: Final[dict[tuple[int, str], bool]] = {}


def _clone(source: int, target: int, between: tuple[int, str]) -> bool:
    """Share the data of two files until one is written (FICLONE); False where the file system cannot."""
    if not _clones.get(between, True):
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as problem:
        if problem.errno in _NO_CLONES:
            _clones[between] = False
        return False
    _clones[between] = True
    return True


@cache
def _device(folder: str) -> int:
    return os.stat(folder).st_dev


def _can_clone(source: int, between: tuple[int, str]) -> bool:
    """Whether files of this device can share data with ones in this folder."""
    if between not in _clones:
        probe = os.path.join(between[1], f"probe-{uuid.uuid4().hex}")
        target = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _clones[between] = _clone(source, target, between)
        finally:
            os.close(target)
            os.unlink(probe)
    return _clones[between]


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "folder", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFLNK: "symbolic link"}
    return names.get(stat.S_IFMT(mode), "device")


def _in_words(path: str, problem: OSError) -> str:
    if problem.errno == errno.ENOENT and not os.path.lexists(path):
        return "it is gone"
    if problem.errno == errno.ENXIO:
        return "it is a socket or a FIFO, not a file"
    if problem.errno == errno.ESTALE:
        return "it changed while it was read"
    return f"it cannot be taken in: {problem.strerror or problem}"


def identify(root: str, keys: Sequence[str]) -> list[Identified]:
    """What lies at each key of a store in a folder."""
    found = []
    for key in keys:
        path = os.path.join(root, key)
        try:
            fd = os.open(path, OPEN_FLAGS)
            try:
                digest, media_type, count = _digest(fd)
                about = os.fstat(fd)
                found.append(Identified(key, "", digest, media_type, count, mtime_of(about), inode_of(about)))
            finally:
                os.close(fd)
        except OSError as problem:
            found.append(Identified(key, _in_words(path, problem)))
    return found
