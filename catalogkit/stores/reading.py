"""Reading fast: one buffer that is used again, and no more calls per file than it takes.

A fresh `bytearray` of this size comes from the kernel a few bytes into a page, which makes every copy into it up to
five times slower on some processors; an anonymous map is page-aligned. It is private, because a shared one would
be written by a forked child too.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
import threading
from typing import TYPE_CHECKING, Final

from catalogkit.model import Digest, Outcome
from catalogkit.stores.contract import Asked, Examined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BUFFER_BYTES: Final = 1 << 20
_local = threading.local()
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
# O_NONBLOCK so that a FIFO that took a file's place cannot hang the reader; on regular files it changes nothing.
OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | _NOFOLLOW | os.O_NONBLOCK


def buffer() -> memoryview:
    """This thread's read buffer."""
    view: memoryview | None = getattr(_local, "view", None)
    if view is None:
        view = _local.view = memoryview(mmap.mmap(-1, BUFFER_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    return view


def chunks(fd: int) -> Iterator[memoryview]:
    """The contents of an open file, in pieces of the buffer; each is overwritten by the next."""
    view = buffer()
    while True:
        count = os.readv(fd, [view])
        if count:
            yield view[:count]
        if count < len(view):
            # A short read is the end of a regular file, but only another read proves it for one that grows.
            count = os.readv(fd, [view])
            if not count:
                return
            yield view[:count]


def digest_fd(fd: int) -> tuple[Digest, int]:
    """SHA-256 and length of what an open file holds from its current position."""
    view = buffer()
    count = os.readv(fd, [view])
    if count < len(view) and not os.readv(fd, [view[count:]]):
        return Digest(hashlib.sha256(view[:count]).digest()), count
    os.lseek(fd, 0, os.SEEK_SET)
    sha256, total = hashlib.sha256(), 0
    for chunk in chunks(fd):
        sha256.update(chunk)
        total += len(chunk)
    return Digest(sha256.digest()), total


def examine(root: str, locate: Callable[[str], str], owned: bool, batch: Sequence[Asked]) -> list[Examined]:
    """Read each copy and compare; the names of one folder are opened relative to it.

    Where a folder is gone, its files are missing if the store owns it, and unknown if not (a disk not mounted?).
    """
    results: list[Examined] = []
    folder: str | None = None
    folder_fd = -1
    try:
        for asked in batch:
            path = locate(asked.key)
            head, _, name = path.rpartition("/")
            if head != folder:
                if folder_fd >= 0:
                    os.close(folder_fd)
                folder, folder_fd = None, -1
                try:
                    folder_fd = os.open(os.path.join(root, head), os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
                except OSError as problem:
                    refused = _refused(problem)
                    if refused.outcome is Outcome.MISSING and not owned:
                        refused = Examined(Outcome.UNKNOWN, 0, "its folder is not there; is the disk mounted?")
                    results.append(refused)
                    continue
                folder = head
            results.append(_examine_one(name, folder_fd, asked))
    finally:
        if folder_fd >= 0:
            os.close(folder_fd)
    return results


def _examine_one(name: str, folder_fd: int, asked: Asked) -> Examined:
    try:
        fd = os.open(name, OPEN_FLAGS, dir_fd=folder_fd)
    except OSError as problem:
        return _refused(problem)
    try:
        found, size = digest_fd(fd)
        if found == asked.digest and size == asked.bytes:
            return Examined(Outcome.OK, size)
        return _second_look(fd, asked, found, size)
    except OSError as problem:
        return _refused(problem)
    finally:
        os.close(fd)


def _second_look(fd: int, asked: Asked, found: Digest, size: int) -> Examined:
    """Read again, from the disk rather than the page cache, before crying wolf."""
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        return Examined(Outcome.CORRUPT, 0, "something that is not a regular file lies there")
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.lseek(fd, 0, os.SEEK_SET)
    again, size_again = digest_fd(fd)
    if again == asked.digest and size_again == asked.bytes:
        return Examined(Outcome.OK, size + size_again, f"the first of two reads gave {found}; suspect the hardware")
    if (again, size_again) != (found, size):
        return Examined(Outcome.UNKNOWN, size + size_again, "two reads gave two different contents; is it being written?")
    what = f"{size} bytes instead of {asked.bytes}" if size != asked.bytes else f"SHA-256 {found}"
    return Examined(Outcome.CORRUPT, size + size_again, f"holds {what}")


def _refused(problem: OSError) -> Examined:
    if problem.errno in (errno.ENOENT, errno.ENOTDIR):
        return Examined(Outcome.MISSING, 0, "nothing lies there")
    if problem.errno == errno.ELOOP:
        return Examined(Outcome.CORRUPT, 0, "a symbolic link lies there")
    if problem.errno == errno.EISDIR:
        return Examined(Outcome.CORRUPT, 0, "a folder lies there")
    return Examined(Outcome.UNKNOWN, 0, f"cannot be read: {problem.strerror or problem}")
