"""Copies the documents' bytes beside a backup: each content once, verified while it is copied."""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING, Final

from catalogkit.backups.repository import BYTES, bytes_key
from catalogkit.catalog.sqlite.images import image_blobs
from catalogkit.errors import SourceError, StoreError
from catalogkit.model import Digest
from catalogkit.progress import OnProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from catalogkit.backups.target import Target
    from catalogkit.collection import Collection

PART_BYTES: Final = 1 << 20


class Needed:
    """Which blobs a backup's documents have: a digest and a size each, 40 bytes a blob."""

    def __init__(self) -> None:
        self._digests, self._sizes = bytearray(), array("q")

    def add(self, digest: bytes, size: int) -> None:
        """One more."""
        self._digests += digest
        self._sizes.append(size)

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[tuple[Digest, int]]:
        for number, size in enumerate(self._sizes):
            yield Digest(bytes(self._digests[32 * number : 32 * number + 32])), size


def needed(image: str) -> Needed:
    """The blobs that the documents of an image have."""
    found = Needed()
    for digest, size in image_blobs(image):
        found.add(digest, size)
    return found


def copy(source: Collection, target: Target, wanted: Needed, progress: OnProgress) -> tuple[int, int]:
    """Copy the bytes that the target lacks; how many blobs could not be copied, and the bytes that were."""
    lacking = copied = 0
    total = sum(size for _, size in wanted)
    seen = 0
    for number, (digest, size) in enumerate(wanted, 1):
        if target.size(bytes_key(digest)) != size:
            if _copy_one(source, target, digest):
                copied += size
            else:
                lacking += 1
        seen += size
        progress(Progress("bytes", number, seen, len(wanted), total, lacking))
    for folder in sorted({key.rpartition("/")[0] for key in target.keys(BYTES)}):
        target.settle(folder)
    return lacking, copied


def _copy_one(source: Collection, target: Target, digest: Digest) -> bool:
    """Copy a blob from the first of its copies that holds what it should."""
    for copy in source.catalog.locations_of(digest):
        if copy.outcome in (None, "ok", "unknown"):
            try:
                target.put(bytes_key(digest), _proved(source, source.store_id(copy.store), copy.key, digest))
                return True
            except SourceError:
                continue
    return False


def _proved(source: Collection, store_id: int, key: str, digest: Digest) -> Iterator[bytes]:
    """The bytes at a key; in the end, and so before they are shown anywhere, compared with their digest."""
    sha256, store = hashlib.sha256(), source.stores[store_id]
    try:
        with store.open(key) as file:
            while part := file.read(PART_BYTES):
                sha256.update(part)
                yield part
    except (StoreError, OSError) as problem:
        raise SourceError(f"{store.describe(key)} cannot be read: {problem}") from problem
    if sha256.digest() != digest:
        raise SourceError(f"{store.describe(key)} does not hold what it should")


def whole(target: Target, digest: Digest) -> bool:
    """Whether the bytes of a blob lie there and are right."""
    key = bytes_key(digest)
    return target.size(key) is not None and hashlib.sha256(target.get(key)).digest() == digest
