"""Reads files fast: one reused buffer, and as few calls per file as possible.

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
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from catalogkit.errors import StoreError, StoreUnreachable
from catalogkit.model import Digest, Outcome, inode_of, path_text
from catalogkit.stores.contract import Asked, Examined, ObjectStat, mtime_of
from catalogkit.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

BUFFER_BYTES: Final = 1 << 20
_local = threading.local()
_NOFOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
# O_NONBLOCK so that a FIFO that took a file's place cannot hang the reader; on regular files it changes nothing.
OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | _NOFOLLOW | os.O_NONBLOCK


# Starting worker processes costs about as much as reading so many files in threads.
FEW_FILES: Final = 1000
# A thread needs the interpreter for about as long as hashing 32 kB takes, and the other threads wait for it.
BYTES_PER_THREAD: Final = 64_000


def readers(concurrency: int, count: int, total_bytes: int) -> Executor:
    """Threads for a few files and for large ones, processes for many small ones, where threads gain nothing."""
    if count < FEW_FILES or total_bytes >= count * concurrency * BYTES_PER_THREAD:
        return ThreadPoolExecutor(concurrency, thread_name_prefix="catalogkit-reader")
    return Workers(concurrency)


def look_at(key: str, path: str, *, follow: bool) -> ObjectStat | None:
    """The file at `path` without reading it, or None where nothing lies."""
    about = stat_of(path, follow=follow)
    if about is None:
        return None
    return ObjectStat(key, about.st_size, mtime_of(about), inode_of(about), about.st_ctime_ns)


def stat_of(path: str, *, follow: bool) -> os.stat_result | None:
    """What the file system says of `path`, or None where nothing lies.

    Raises
    ------
    StoreUnreachable
        If that cannot be told.
    """
    try:
        return os.stat(path, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as problem:
        raise StoreUnreachable(f"cannot look at {path_text(path)}: {problem.strerror}") from problem


def open_file(path: str, flags: int) -> BinaryIO:
    """The file at `path`, for reading."""
    try:
        fd = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"nothing lies at {path_text(path)}; `catalogkit verify` tells what else is gone") from None
    except OSError as problem:
        raise StoreUnreachable(f"cannot read {path_text(path)}: {problem.strerror}") from problem
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise StoreError(f"something that is not a regular file lies at {path_text(path)}")
    return os.fdopen(fd, "rb")


def buffer() -> memoryview:
    """This thread's read buffer."""
    view: memoryview | None = getattr(_local, "view", None)
    if view is None:
        view = _local.view = memoryview(mmap.mmap(-1, BUFFER_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    return view


def at_once(fd: int) -> memoryview | None:
    """All that an open file holds, if it fits the buffer; None where it does not. Reads from the beginning."""
    view = buffer()
    count = os.preadv(fd, [view], 0)
    # A short read is the end of a regular file, but only another read proves it for one that grows.
    if count == len(view) or os.preadv(fd, [view[count:]], count):
        return None
    return view[:count]


def chunks(fd: int) -> Iterator[memoryview]:
    """The contents of an open file from its beginning, in pieces of the buffer; each is overwritten by the next."""
    view, position = buffer(), 0
    while count := os.preadv(fd, [view], position):
        yield view[:count]
        position += count


def digest_fd(fd: int, most: int) -> tuple[bytes, int]:
    """SHA-256 and length of what an open file holds; once that is more than `most` bytes, reading ends.

    So a file that grows without end, or a device that took its place, does not hold the reader.
    """
    view, sha256, total = buffer(), hashlib.sha256(), 0
    # A short read is the end of a regular file, but only another read proves it for one that grows.
    while total <= most and (count := os.preadv(fd, [view], total)):
        sha256.update(view[:count])
        total += count
    return sha256.digest(), total


def examine_rows(
    examine: Callable[[Sequence[Asked]], list[Examined]],
    rows: Sequence[tuple[str, bytes, int]],
    timed: bool = False,
) -> tuple[list[int | Examined], list[float]]:
    """Examine (key, digest, bytes) and give the bytes read where all is well: what crosses to a worker and back.

    Between processes a number costs a fraction of an object, and nearly all copies are well. If `timed`, copies are
    examined one by one, and the second list has the milliseconds that each took.
    """
    asked, took = [Asked(key, Digest(digest), size) for key, digest, size in rows], []
    if timed:
        results: list[Examined] = []
        for one in asked:
            began = time.perf_counter()
            results += examine([one])
            took.append(1000 * (time.perf_counter() - began))
    else:
        results = examine(asked)
    return [one.bytes if one.outcome is Outcome.OK and not one.detail else one for one in results], took


def examine(root: str, locate: Callable[[str], str], owned: bool, batch: Sequence[Asked]) -> list[Examined]:
    """Read each copy and compare; the names of one folder are opened relative to it.

    What the store does not own may be a link, and is missing only where it is plain that no disk is away.
    """
    results: list[Examined] = []
    folder: str | None = None
    folder_fd = -1
    flags = OPEN_FLAGS if owned else OPEN_FLAGS & ~_NOFOLLOW
    try:
        for asked in batch:
            head, _, name = locate(asked.key).rpartition("/")
            if head != folder:
                if folder_fd >= 0:
                    os.close(folder_fd)
                folder, folder_fd = None, -1
                try:
                    folder_fd = os.open(os.path.join(root, head), os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
                except OSError as problem:
                    results.append(_folder_refused(problem, owned))
                    continue
                folder = head
            found = _examine_one(name, folder_fd, flags, asked)
            if found.outcome is Outcome.MISSING and not owned and _perhaps_away(name, folder_fd):
                found = Examined(Outcome.UNKNOWN, 0, "nothing lies there now; is the disk mounted?")
            results.append(found)
    finally:
        if folder_fd >= 0:
            os.close(folder_fd)
    return results


def _examine_one(name: str, folder_fd: int, flags: int, asked: Asked) -> Examined:
    try:
        fd = os.open(name, flags, dir_fd=folder_fd)
    except OSError as problem:
        return _refused(problem)
    try:
        found, size = digest_fd(fd, asked.bytes)
        if found == asked.digest and size == asked.bytes:
            return Examined(Outcome.OK, size)
        return _second_look(fd, asked, found, size, name, folder_fd)
    except OSError as problem:
        return _refused(problem)
    finally:
        os.close(fd)


def _second_look(fd: int, asked: Asked, found: bytes, size: int, name: str, folder_fd: int) -> Examined:
    """Read again, from the disk rather than the page cache, before crying wolf."""
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        return Examined(Outcome.CORRUPT, size, "something that is not a regular file lies there")
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    again, size_again = digest_fd(fd, asked.bytes)
    read = size + size_again
    if again == asked.digest and size_again == asked.bytes:
        return Examined(Outcome.OK, read, f"the first of two reads gave {found.hex()}; suspect the hardware")
    if (again, size_again) != (found, size):
        return Examined(Outcome.UNKNOWN, read, "two reads gave two contents; is it being written?")
    if not os.path.samestat(about, os.stat(name, dir_fd=folder_fd)):
        return Examined(Outcome.UNKNOWN, read, "another file took its place while it was read")
    holds = f"SHA-256 {found.hex()}" if size == asked.bytes else f"{about.st_size} bytes instead of {asked.bytes}"
    return Examined(Outcome.CORRUPT, read, f"holds {holds}")


def _folder_refused(problem: OSError, owned: bool) -> Examined:
    refused = _refused(problem)
    if refused.outcome is Outcome.MISSING and not owned:
        return Examined(Outcome.UNKNOWN, 0, "its folder is not there; is the disk mounted?")
    if refused.outcome is Outcome.CORRUPT:
        return Examined(Outcome.UNKNOWN, 0, f"its folder cannot be opened: {problem.strerror}")
    return refused


def _perhaps_away(name: str, folder_fd: int) -> bool:
    """Whether a file may lie on a disk that is away: its folder is empty as a mount point, or a link leads nowhere."""
    try:
        with os.scandir(folder_fd) as entries:
            if next(entries, None) is None:
                return True
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # a folder that cannot be looked into proves nothing
    return True


def _refused(problem: OSError) -> Examined:
    if problem.errno in (errno.ENOENT, errno.ENOTDIR):
        return Examined(Outcome.MISSING, 0, "nothing lies there")
    if problem.errno == errno.ELOOP:
        return Examined(Outcome.CORRUPT, 0, "a symbolic link lies there")
    if problem.errno == errno.EISDIR:
        return Examined(Outcome.CORRUPT, 0, "a folder lies there")
    if problem.errno in (errno.ESPIPE, errno.ENXIO):
        return Examined(Outcome.CORRUPT, 0, "a FIFO, a socket or a device lies there")
    return Examined(Outcome.UNKNOWN, 0, f"cannot be read: {problem.strerror or problem}")
