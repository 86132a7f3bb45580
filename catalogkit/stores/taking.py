"""Taking a file in: one read that hashes, types and writes it to a temporary name. Runs in worker processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalogkit.errors import StoreFull
from catalogkit.layouts import cas_key
from catalogkit.model import Digest, Mode, inode_of
from catalogkit.sniff import HEAD_BYTES, sniff
from catalogkit.stores.files import REAL, Files, out_of_room
from catalogkit.stores.reading import BUFFER_BYTES, buffer, chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

_FICLONE: Final = 0x40049409  # linux/fs.h
# Time stamps of files move in steps of the kernel's tick (at most 10 ms): a change within the step that a file was
# stamped in leaves no trace. So a file younger than two steps is looked at once it is older.
_SETTLED_NS: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a changed file from an unchanged one."""

    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, about: os.stat_result) -> Stamp:
        """The stamp of a stat result."""
        return cls(about.st_size, about.st_mtime_ns, about.st_ctime_ns, inode_of(about))


@dataclass(frozen=True, slots=True)
class Taken:
    """A file taken in, or why it was not (`problem`).

    `temp` is where its bytes lie now; it is None when they were not written: in reference mode, or because a copy
    seems to be stored already.
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
        return [self._take(path, os.path.join(self.folder, name)) for path, name in batch]

    def _take(self, path: str, temp: str) -> Taken:
        for _ in range(2):  # one that changes while it is read gets a second chance
            try:
                taken = self._once(path, temp)
            except OSError as problem:
                self._drop(temp)
                if out_of_room(problem):
                    raise StoreFull(f"no room left in {self.root}; nothing was lost, free some space and go on") from None
                return Taken(path, problem=_in_words(problem))
            if taken is not None:
                return taken
            self._drop(temp)
        return Taken(path, problem="it changed while it was read")

    def _drop(self, temp: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.files.unlink(temp)

    def _once(self, path: str, temp: str) -> Taken | None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            before = os.fstat(fd)
            if not stat.S_ISREG(before.st_mode):
                return Taken(path, problem=f"it is a {_kind(before.st_mode)}, not a file")
            if 0 <= (age := time.time_ns() - before.st_ctime_ns) < _SETTLED_NS:
                time.sleep((_SETTLED_NS - age) / 1e9)
            taken = self._read(fd, path, temp)
            after = os.fstat(fd)
        finally:
            os.close(fd)
        same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        own_change = taken.inode == inode_of(after)  # linking and protecting touched the change time ourselves
        if not same or (before.st_ctime_ns != after.st_ctime_ns and not own_change):
            return None
        return Taken(path, taken.digest, taken.media_type, Stamp.of(after), taken.temp, taken.inode, taken.mtime_ns)

    def _read(self, fd: int, path: str, temp: str) -> Taken:
        if self.mode is Mode.REFERENCE:
            digest, media_type, _ = self._hash(fd, None)
            about = os.fstat(fd)
            return Taken(path, digest, media_type, inode=inode_of(about), mtime_ns=about.st_mtime_ns)
        shared = self.mode is not Mode.COPY and self._link(path, temp)
        out = None if shared else self.files.create(temp)
        try:
            cloned = out is not None and self.mode is not Mode.MOVE and _clone(fd, out)
            digest, media_type, count = self._hash(fd, None if cloned else out)
            if out is not None:
                self.files.protect(out)
        finally:
            if out is not None:
                os.close(out)
        if self.peek and os.path.exists(os.path.join(self.root, cas_key(digest))):
            self._drop(temp)
            return Taken(path, digest, media_type)
        about = os.lstat(temp)
        if about.st_size != count:
            raise OSError(errno.EIO, f"{count} bytes were read and {about.st_size} were written")
        return Taken(path, digest, media_type, temp=temp, inode=inode_of(about), mtime_ns=about.st_mtime_ns)

    def _link(self, path: str, temp: str) -> bool:
        """Share the file itself; False where it lies on another file system or cannot have more names."""
        if self.mode is Mode.LINK and _can_clone(path, self.folder):
            return False
        try:
            self.files.link(os.path.realpath(path), temp)
        except OSError as problem:
            if problem.errno in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
                return False
            raise
        # Whoever edits the source would edit the stored document: with one inode there is one mode, read-only.
        self.files.protect_path(temp)
        return True

    def _hash(self, fd: int, out: int | None) -> tuple[Digest, str, int]:
        view = buffer()
        count = os.readv(fd, [view])
        if count < BUFFER_BYTES and not os.readv(fd, [view[count:]]):  # all of it in one read
            if out is not None and count:
                self.files.write(out, view[:count])
            head = bytes(view[: min(count, HEAD_BYTES)])
            return Digest(hashlib.sha256(view[:count]).digest()), sniff(head, count <= HEAD_BYTES), count
        os.lseek(fd, 0, os.SEEK_SET)
        sha256, total, head = hashlib.sha256(), 0, b""
        for chunk in chunks(fd):
            head = head or bytes(chunk[:HEAD_BYTES])
            sha256.update(chunk)
            if out is not None:
                self.files.write(out, chunk)
            total += len(chunk)
        return Digest(sha256.digest()), sniff(head), total


def _clone(source: int, target: int) -> bool:
    """Share the data of two files until one is written (FICLONE); False where the file system cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _can_clone(path: str, folder: str) -> bool:
    probe = os.path.join(folder, f"probe-{os.getpid()}")
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            return _clone(source, target)
        finally:
            os.close(target)
            os.unlink(probe)
    finally:
        os.close(source)


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "folder", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFLNK: "symbolic link"}
    return names.get(stat.S_IFMT(mode), "device")


def _in_words(problem: OSError) -> str:
    if problem.errno == errno.ENOENT:
        return "it is gone"
    if problem.errno == errno.ENXIO:
        return "it is a socket or a FIFO, not a file"
    return f"it cannot be read: {problem.strerror or problem}"
