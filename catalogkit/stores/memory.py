"""A store in memory that can be told to be slow or faulty, for trying out code that reads copies."""

from __future__ import annotations

import hashlib
import io
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from catalogkit.audit import Listed, Look, Unlisted
from catalogkit.errors import StoreError, StoreUnreachable
from catalogkit.model import Outcome
from catalogkit.stores.contract import Asked, Examined, ObjectStat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO


class MemoryStore:
    """The reading half of a store (see `catalogkit.stores.contract.Store`).

    Parameters
    ----------
    objects
        Bytes by key.
    delay
        Seconds that every read takes.
    faults
        What is wrong, in words, by the key that cannot be read for it; under the empty key, with the whole store.
    """

    kind = "memory"
    writable = False

    def __init__(
        self,
        objects: Mapping[str, bytes] | None = None,
        *,
        name: str = "memory",
        token: str = "memory",
        delay: float = 0,
        faults: Mapping[str, str] | None = None,
    ) -> None:
        self.objects, self.faults = dict(objects or {}), dict(faults or {})
        self.name, self.token, self.delay = name, token, delay

    def reach(self) -> None:
        """Raise `StoreUnreachable` if the whole store has a fault."""
        if "" in self.faults:
            raise StoreUnreachable(f"{self.name}: {self.faults['']}")

    def stat(self, key: str) -> ObjectStat | None:
        """The object at `key`, or None where nothing lies."""
        self.reach()
        return ObjectStat(key, len(self.objects[key]), 0, None) if key in self.objects else None

    def open(self, key: str) -> BinaryIO:
        """The bytes at `key`, for reading."""
        self.reach()
        if key in self.faults:
            raise StoreUnreachable(f"cannot read {self.describe(key)}: {self.faults[key]}")
        if key not in self.objects:
            raise StoreError(f"nothing lies at {self.describe(key)}")
        time.sleep(self.delay)
        return io.BytesIO(self.objects[key])

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every key that begins with `prefix`, in order."""
        self.reach()
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def survey(self) -> Iterator[Listed | Unlisted]:
        """Every key, as if it were a file of a layout."""
        self.reach()
        return (Listed(key, "file", True) for key in sorted(self.objects))

    def look(self, key: str) -> Look | None:
        """What lies at `key`, or None where nothing does."""
        about = self.stat(key)
        return None if about is None else Look("file", about.bytes, 0, 0, None, 1, False)

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        """Reads copies and compares them, each after the delay."""
        return partial(_examine, self.objects, self.faults, self.delay)

    def executor(self, concurrency: int, count: int, total_bytes: int) -> Executor:
        """Threads: waiting is all the work there is."""
        return ThreadPoolExecutor(concurrency)

    def describe(self, key: str) -> str:
        """Name and key."""
        return f"{self.name}:{key}"


def _examine(
    objects: Mapping[str, bytes], faults: Mapping[str, str], delay: float, batch: Sequence[Asked]
) -> list[Examined]:
    return [_look(objects.get(one.key), faults.get("") or faults.get(one.key), delay, one) for one in batch]


def _look(content: bytes | None, fault: str | None, delay: float, asked: Asked) -> Examined:
    time.sleep(delay)
    if fault:
        return Examined(Outcome.UNKNOWN, 0, f"cannot be read: {fault}")
    if content is None:
        return Examined(Outcome.MISSING, 0, "nothing lies there")
    if hashlib.sha256(content).digest() != asked.digest:
        return Examined(Outcome.CORRUPT, len(content), "holds other bytes")
    return Examined(Outcome.OK, len(content))
