"""SHA-256 in a thread beside the work: one piece is hashed while the next is written, sent or fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final

from catalogkit.model import Digest

if TYPE_CHECKING:
    from typing import BinaryIO

    from typing_extensions import Buffer

# A smaller piece is hashed sooner than it is handed over.
LARGE_BYTES: Final = 256 << 10
CHUNK_BYTES: Final = 1 << 20


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, thread_name_prefix="catalogkit-hash")


class Hashing:
    """The SHA-256 of pieces in their order; at most one of them waits, so that memory stays small."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._under_way: Future[None] | None = None

    def update(self, piece: Buffer) -> None:
        """Add a piece, which must not change before the next one is added."""
        self._wait()
        if memoryview(piece).nbytes < LARGE_BYTES:
            self._sha256.update(piece)
        else:
            self._under_way = _threads().submit(self._sha256.update, piece)

    def digest(self) -> Digest:
        """The digest of all that was added."""
        self._wait()
        return Digest(self._sha256.digest())

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None


def pieces_of(source: BinaryIO) -> Iterable[Buffer]:
    """What a file holds, in pieces: those in which it comes, where it comes in large ones."""
    own: Iterator[Buffer] | None = getattr(source, "pieces", None)
    return iter(lambda: source.read(CHUNK_BYTES), b"") if own is None else own
