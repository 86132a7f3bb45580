"""Reads objects in ranges, some ahead, all of one version of the object, and compares digests."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final

from catalogkit.errors import StoreError, StoreUnreachable
from catalogkit.model import Outcome
from catalogkit.sniff import HEAD_BYTES, sniff
from catalogkit.stores.contract import Asked, Examined, Identified
from catalogkit.stores.hashing import Hashing
from catalogkit.stores.s3.bucket import bucket_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from catalogkit.stores.s3.bucket import Bucket, Seen
    from catalogkit.stores.s3.settings import S3Settings

RANGE_BYTES: Final = 4 << 20
# Ranges that are kept in memory before anybody wants them, in the whole process: 48 MiB, however many read at once.
# Over a long way a connection carries little, so there are many.
AHEAD: Final = 12
EXAMINERS: Final = 16
# What glibc keeps (see `_keep_freed`).
KEPT_BYTES: Final = 16 << 20
_ahead: Final = threading.BoundedSemaphore(AHEAD)


@cache
def _threads(purpose: str, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix=f"catalogkit-s3-{purpose}")


def ranges(bucket: Bucket, about: Seen, first: Iterable[Buffer] = (), here: int = 0) -> Generator[Buffer]:
    """The bytes of an object, in order: `first`, which are its first `here` bytes, then the rest, range by range.

    The next ranges are fetched meanwhile, as long as there is room for them; else they are passed on as they come.

    Raises
    ------
    StoreError
        If another object takes its place, or it cannot be read.
    """
    starts = deque(range(here, about.bytes, RANGE_BYTES))
    running: deque[Future[deque[bytes]]] = deque()

    def next_one() -> tuple[str, int, int, str]:
        start = starts.popleft()
        return about.key, start, min(RANGE_BYTES, about.bytes - start), about.etag

    def fetch_ahead() -> None:
        _keep_freed()
        while starts and _ahead.acquire(blocking=False):
            running.append(_threads("range", AHEAD).submit(_fetched, bucket, *next_one()))

    try:
        if len(starts) > 1 or here:
            fetch_ahead()
        yield from first
        while running or starts:
            if running:
                pieces = running[0].result()
                while pieces:
                    yield pieces.popleft()
                running.popleft()
                _ahead.release()
            else:
                yield from bucket.stream(*next_one())
            fetch_ahead()
    finally:
        for future in running:
            future.cancel()
            _ahead.release()


@cache
def _keep_freed() -> None:
    """Have the memory of ranges kept for the next, where memory is glibc's.

    What is free beyond twice the largest block that was ever mapped and unmapped goes back to the system (mallopt(3),
    M_MMAP_THRESHOLD). Pieces alone make that 2 MiB, and most pages of each range would be fresh ones, which cost more
    than to fill them. This one is never touched.
    """
    bytes(KEPT_BYTES)


def _fetched(bucket: Bucket, key: str, start: int, length: int, etag: str) -> deque[bytes]:
    return deque(bucket.stream(key, start, length, etag))


class PieceReader(io.BufferedIOBase):
    """Pieces, joined, as a file, for reading from its beginning to its end; in `pieces` nothing is copied."""

    def __init__(self, pieces: Generator[Buffer]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    @property
    def pieces(self) -> Iterator[Buffer]:
        """What is left of it, piece by piece."""
        while self._more():
            rest, self._rest = self._rest, memoryview(b"")
            yield rest

    def read(self, size: int | None = -1, /) -> bytes:
        """The next `size` bytes, fewer at the end; all that is left without a size."""
        if size is None or size < 0:
            return b"".join(self.pieces)
        parts = []
        while size and self._more():
            parts.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(parts[-1])
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def read1(self, size: int = -1, /) -> bytes:
        """What is at hand of the next `size` bytes."""
        return self.read(min(size, len(self._rest)) if size >= 0 and self._more() else size)

    def readinto(self, target: Buffer, /) -> int:
        """Fill `target`, unless the end comes first."""
        view, count = memoryview(target).cast("B"), 0
        while count < len(view) and self._more():
            part = self._rest[: len(view) - count]
            view[count : count + len(part)] = part
            self._rest, count = self._rest[len(part) :], count + len(part)
        return count

    def _more(self) -> bool:
        """Whether anything is left; then some of it is at hand."""
        if self.closed:
            raise ValueError("reading from a closed object")
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        return bool(self._rest)

    def close(self) -> None:
        """Fetch nothing more."""
        if not self.closed:
            self._pieces.close()
        super().close()


def examine(settings: S3Settings, batch: Sequence[Asked]) -> list[Examined]:
    """Read each copy and compare, several at a time: most of it is waiting."""
    bucket = bucket_of(settings)
    if len(batch) == 1:
        return [_examine(bucket, batch[0])]
    return list(_threads("examine", EXAMINERS).map(lambda asked: _examine(bucket, asked), batch))


def _examine(bucket: Bucket, asked: Asked) -> Examined:
    read = 0
    try:
        found = bucket.first(asked.key, RANGE_BYTES)
        if found is None:
            return Examined(Outcome.MISSING, 0, "nothing lies there")
        about, pieces = found
        if about.bytes != asked.bytes:
            return Examined(Outcome.CORRUPT, 0, f"holds {about.bytes} bytes instead of {asked.bytes}")
        first = _digest(ranges(bucket, about, pieces, min(RANGE_BYTES, about.bytes)))
        read = about.bytes
        if first == asked.digest:
            return Examined(Outcome.OK, read)
        # Once more before crying wolf: it may have been the line.
        again = _digest(ranges(bucket, about))
        read += about.bytes
        if again == asked.digest:
            return Examined(Outcome.OK, read, f"the first of two reads gave {first.hex()}; suspect the network")
        if again != first:
            return Examined(Outcome.UNKNOWN, read, "two reads gave two contents")
        return Examined(Outcome.CORRUPT, read, f"holds SHA-256 {first.hex()}")
    except StoreUnreachable as problem:
        return Examined(Outcome.UNKNOWN, read, f"cannot be read: {problem}")
    except StoreError as problem:
        return Examined(Outcome.UNKNOWN, read, str(problem))


def identify(settings: S3Settings, keys: Sequence[str]) -> list[Identified]:
    """What lies at each key of a bucket, several read at a time."""
    bucket = bucket_of(settings)
    return list(_threads("examine", EXAMINERS).map(lambda key: _identify(bucket, key), keys))


def _identify(bucket: Bucket, key: str) -> Identified:
    try:
        found = bucket.first(key, RANGE_BYTES)
        if found is None:
            return Identified(key, f"nothing lies at {bucket.place(key)} any more")
        about, pieces = found
        sha256, head = Hashing(), b""
        for piece in ranges(bucket, about, pieces, min(RANGE_BYTES, about.bytes)):
            head = head or bytes(memoryview(piece)[:HEAD_BYTES])
            sha256.update(piece)
    except StoreError as problem:
        return Identified(key, f"{bucket.place(key)} cannot be read: {problem}")
    media_type = sniff(head, about.bytes <= HEAD_BYTES)
    number = number_of(key, about.etag)
    return Identified(key, "", sha256.digest(), media_type, about.bytes, about.mtime_ns, number)


def number_of(key: str, etag: str) -> int:
    """What stands for an inode: by key and ETag, for two objects with equal bytes have one ETag and are two."""
    return int.from_bytes(hashlib.sha256(f"{key}\n{etag}".encode()).digest()[:8], "big") >> 1


def _digest(pieces: Iterable[Buffer]) -> bytes:
    sha256 = Hashing()
    for piece in pieces:
        sha256.update(piece)
    return sha256.digest()
