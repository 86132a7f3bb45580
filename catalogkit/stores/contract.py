"""The store contract: what every store must do. The suite in ``tests/stores`` runs against each of them.

A store knows keys and bytes, never documents. Its promises:

* ``publish`` shows the whole bytes at a key or nothing, never overwrites, and returns once they are durable.
* ``examine`` says ``missing`` only when the store itself could be reached and the key is not there.
* No method deletes published bytes; bad ones are moved aside by ``quarantine``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from catalogkit.model import Digest, Outcome

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor
    from typing import BinaryIO

    from catalogkit.audit import Listed, Look, Unlisted


class ObjectStat(NamedTuple):
    """What a store says of the object at a key; `inode` is None where there is no such thing.

    `ctime_ns` moves with every change of the file, its names included, and cannot be set back; 0 where nothing has it.
    `etag` is what an object store tells a version by; the `inode` is a number made of it there.
    """

    key: str
    bytes: int
    mtime_ns: int
    inode: int | None
    ctime_ns: int = 0
    etag: str = ""


class FileFacts(NamedTuple):
    """What a file system says of a file: what `ObjectStat` says, and whose it is, where, and how many names it has."""

    bytes: int
    inode: int
    mtime_ns: int
    device: int
    owner: str
    mode: int
    links: int


@dataclass(frozen=True, slots=True)
class Examined:
    """What reading a copy found. `bytes` were read; `detail` says what is wrong, in words."""

    outcome: Outcome
    bytes: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A copy to examine: its key, and what it should be."""

    key: str
    digest: Digest
    bytes: int


class Identified(NamedTuple):
    """What lies at a key, told by reading all of it; or why it cannot be read (`problem`), and then nothing else."""

    key: str
    problem: str = ""
    digest: Digest | None = None
    media_type: str = ""
    bytes: int = 0
    mtime_ns: int = 0
    inode: int | None = None


def mtime_of(about: os.stat_result) -> int:
    """The modification time in nanoseconds, as the signed 64-bit number that a database column holds."""
    found = about.st_mtime_ns
    return found if abs(found) < 1 << 63 else (1 << 63) - 1 if found > 0 else -(1 << 63)


class Store(Protocol):
    """A place that keeps bytes under keys."""

    name: str
    kind: str
    token: str
    writable: bool

    def reach(self) -> None:
        """Raise `StoreUnreachable` unless the store is there and is the one it should be."""

    def stat(self, key: str) -> ObjectStat | None:
        """The object at `key` without reading it, or None where nothing lies."""

    def open(self, key: str) -> BinaryIO:
        """The bytes at `key`, for reading."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every published key, in order; the store's own files are not among them."""

    def survey(self) -> Iterator[Listed | Unlisted]:
        """Everything that lies in the store, foreign things too, in no order; and what could not be listed."""

    def look(self, key: str) -> Look | None:
        """What lies at `key`, without reading it; None where nothing does."""

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        """A function, safe to send to another process, that reads copies and compares them."""

    def executor(self, concurrency: int, count: int, total_bytes: int) -> Executor:
        """The kind of workers that suits reading `count` copies of `total_bytes` together."""

    def describe(self, key: str) -> str:
        """The place of `key` as a person would name it."""
