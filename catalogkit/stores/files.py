"""The few file calls that durable writing needs, in one place, so that a test can make each of them fail.

What a step promises: data written is safe after `sync_file` or `sync_all`; a name made, moved or removed is safe
after `sync_folder` or `sync_all`.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

READ_ONLY: Final = 0o444
# For more at once the kernel looks for longer stretches of free memory. A virtual machine has given those back to its
# host, and getting them again costs up to eight times as much as the copy itself.
WRITE_BYTES: Final = 128 << 10
# Since 5.8 Linux's syncfs reports data that could not be written (syncfs(2)); before, an error could go unseen.
_SYNCFS_REPORTS: Final = (5, 8)


class Files:
    """The real file system. A double with the same methods stands in for it in tests."""

    def create(self, path: str) -> int:
        """A new file, open for writing; it is an error if the name is taken."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)

    def write(self, fd: int, data: memoryview | bytes) -> None:
        """All of `data`, however many calls it takes."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view[:WRITE_BYTES]) :]

    def protect(self, fd: int) -> None:
        """Make the open file read-only for everybody."""
        os.fchmod(fd, READ_ONLY)

    def protect_path(self, path: str) -> None:
        """Make the file at `path` read-only for everybody."""
        os.chmod(path, READ_ONLY)

    def sync_file(self, path: str) -> None:
        """Wait until the data of `path` is on stable storage."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_folder(self, path: str) -> None:
        """Wait until the names in the folder `path` are on stable storage."""
        self.sync_file(path)

    def sync_all(self, root: str) -> bool:
        """Wait until everything in the file system of `root` is on stable storage; False where that cannot be asked."""
        syncfs = _syncfs()
        if syncfs is None:
            return False
        fd = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if syncfs(fd) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), root)
        finally:
            os.close(fd)
        return True

    def link(self, source: str, target: str) -> None:
        """A second name for the same file; `FileExistsError` where the target is taken, which makes it atomic."""
        os.link(source, target, follow_symlinks=False)

    def symlink(self, to: str, path: str) -> None:
        """A symbolic link at `path` that leads to `to`."""
        os.symlink(to, path)

    def rename(self, source: str, target: str) -> None:
        """Move a name, over whatever stands at the target."""
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        os.unlink(path)

    def make_folder(self, path: str) -> bool:
        """Make a folder; False where it was there."""
        try:
            os.mkdir(path)
        except FileExistsError:
            return False
        return True


REAL: Final = Files()


@cache
def _syncfs() -> Callable[[int], int] | None:
    release = os.uname().release.split(".") if hasattr(os, "uname") else []
    if len(release) < 2 or not release[0].isdigit() or not release[1].split("-")[0].isdigit():
        return None
    if (int(release[0]), int(release[1].split("-")[0])) < _SYNCFS_REPORTS or not hasattr(ctypes, "CDLL"):
        return None
    function = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if function is None:
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function  # type: ignore[no-any-return]


def parents(paths: Iterable[str]) -> list[str]:
    """The folders of `paths`, each once."""
    return list(dict.fromkeys(os.path.dirname(path) for path in paths))


def out_of_room(problem: OSError) -> bool:
    """Whether an error says that no space or no quota is left."""
    return problem.errno in (errno.ENOSPC, errno.EDQUOT)
