"""The clone step: two files share their data on disk (reflink); the kernel compares the bytes under its own locks.

See ioctl_fideduperange(2) and Documentation/filesystems/fiemap.rst of Linux for the structures and numbers.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING, Final

from catalogkit.acts.world import GONE, NOT_PLANNED, OWNERS, Brought, Result, Step, World, unless
from catalogkit.errors import StoreUnreachable
from catalogkit.stores.reading import OPEN_FLAGS

if TYPE_CHECKING:
    from catalogkit.stores.local import LocalStore

_FIDEDUPERANGE: Final = 0xC0189436
_RANGE: Final = struct.Struct("=QQHHI qQQiI")  # struct file_dedupe_range with one struct file_dedupe_range_info
_DIFFERS: Final = 1
# btrfs does at most this much in one call.
_PIECE_BYTES: Final = 16 << 20
_FIEMAP: Final = 0xC020660B
_FIEMAP_HEAD: Final = struct.Struct("=QQIIII")
_EXTENT: Final = struct.Struct("=QQQ2QI3I")
_SYNC: Final = 1
_LAST, _SHARED = 0x1, 0x2000
_EXTENTS: Final = 512

NO_SHARING: Final = "the file system cannot share data between files"
DIFFERS: Final = "their bytes differ"
# What the ioctl says where the file system, or one of the two files, is not made for it.
_CANNOT: Final = (errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EPERM)


def prepare_clone(world: World, step: Step) -> None:
    """Do it: nothing that anybody can read changes, so it needs no transaction."""
    target = world.local(step.store)
    if target is None or step.from_store not in (None, step.store):
        result = unless(OWNERS if target is None else "only files of one store can share their data")
    elif why := world.changed(step):
        result = unless(GONE if why == GONE else NOT_PLANNED)
    else:
        result = _share(target, step.origin, step.key)
    world.brought[step.unit, step.step] = Brought(result=result)


def clone(world: World, step: Step) -> Result:
    """Let a file share its data with the one at `from_key`; its inode, times and mode stay."""
    done = world.brought.get((step.unit, step.step), Brought(result=Result("failed", "it cannot be looked at now")))
    return done.result


def own_bytes(store: LocalStore, key: str) -> int | None:
    """How many bytes of a file's data no other file shares; None where its file system cannot share data.

    Raises
    ------
    StoreError
        If the file cannot be looked at.
    """
    with store.open(key) as file:
        fd = file.fileno()
        try:
            _dedupe(fd, fd, 0, 0)  # of nothing: only to be told whether it could be done
            return _own_bytes(fd, os.fstat(fd).st_size)
        except OSError as problem:
            if problem.errno in _CANNOT:
                return None
            raise StoreUnreachable(f"cannot look at {store.describe(key)}: {problem.strerror}") from problem


def _share(store: LocalStore, from_key: str, key: str) -> Result:
    source = target = -1
    try:
        source, target = os.open(store.path(from_key), OPEN_FLAGS), os.open(store.path(key), OPEN_FLAGS)
        size = os.fstat(target).st_size
        if os.fstat(source).st_size != size:
            return unless(DIFFERS)
        if os.path.sameopenfile(source, target):
            return unless("they are one file already")
        own = _own_bytes(target, size)
        position = 0
        while position < size:
            shared = _dedupe(source, target, position, min(_PIECE_BYTES, size - position))
            if not shared:
                return unless(DIFFERS)
            position += shared
        return Result("done", freed=own - _own_bytes(target, size))
    except OSError as problem:
        if problem.errno in _CANNOT:
            return unless(NO_SHARING)
        return Result("failed", f"they cannot share their data: {problem.strerror}")
    finally:
        for fd in (source, target):
            if fd >= 0:
                os.close(fd)


def _dedupe(source: int, target: int, position: int, length: int) -> int:
    """Share a range; the bytes that now are shared, 0 where they differ."""
    request = bytearray(_RANGE.pack(position, length, 1, 0, 0, target, position, 0, 0, 0))
    fcntl.ioctl(source, _FIDEDUPERANGE, request)
    shared, status = _RANGE.unpack(request)[7:9]
    if status < 0:
        raise OSError(-status, os.strerror(-status))
    return 0 if status == _DIFFERS else int(shared)


def _own_bytes(fd: int, size: int) -> int:
    """How many bytes of a file's data no other file shares."""
    own = position = 0
    while position < size:
        head = _FIEMAP_HEAD.pack(position, size - position, _SYNC, 0, _EXTENTS, 0)
        answer = bytearray(head + bytes(_EXTENTS * _EXTENT.size))
        fcntl.ioctl(fd, _FIEMAP, answer)
        count = _FIEMAP_HEAD.unpack_from(answer)[3]
        if not count:
            break
        for number in range(count):
            start, _, length, _, _, flags, *_ = _EXTENT.unpack_from(answer, _FIEMAP_HEAD.size + number * _EXTENT.size)
            own += 0 if flags & _SHARED else min(length, size - start)
            position = start + length
            if flags & _LAST:
                return own
    return own
