"""Remembers which files of this batch were read and hashed, and whether they still are the same files.

Reading takes long, and a transaction keeps everybody else waiting. So copies are read before it begins, and inside it
one look at the file tells whether that still holds: size, modification time, change time and inode. That is safe
because whoever writes to a file moves its times, and the times of what counts as proved lie far enough back for that
to show. A copy that does not look the same is read again, then and there.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from catalogkit.model import Outcome
from catalogkit.stores.contract import Asked, Examined
from catalogkit.stores.s3.store import S3Layout
from catalogkit.stores.taking import SETTLED_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.model import Digest
    from catalogkit.stores.contract import ObjectStat, Store


class _Mark(NamedTuple):
    bytes: int
    mtime_ns: int
    ctime_ns: int


def _mark(about: ObjectStat) -> _Mark:
    return _Mark(about.bytes, about.mtime_ns, about.ctime_ns)


def _read(store: Store, asked: Asked) -> Examined:
    """What reading a copy finds; of one in an archive, which nobody can read, whether the right bytes arrived there."""
    (found,) = store.examiner()([asked])
    if found.outcome is Outcome.UNKNOWN and isinstance(store, S3Layout) and store.settings.archive:
        return store.arrived(asked)
    return found


class Proofs:
    """What copies hold, by their inodes: all names of a file are proved by one reading.

    Parameters
    ----------
    ask
        Has somebody do what takes long, and waits for it: a function, and its arguments.
    """

    def __init__(self, ask: Callable[..., Any] | None = None) -> None:
        self._ask = ask
        self._known: dict[tuple[str, int], tuple[_Mark, Digest, Examined]] = {}

    def look(self, store: Store, key: str, digest: Digest, size: int) -> Examined:
        """Whether the bytes at `key` hash right, read now or unchanged since this batch read them."""
        about = store.stat(key)
        known = None if about is None or about.inode is None else self._known.get((store.name, about.inode))
        if about and known and known[:2] == (_mark(about), digest):
            return known[2]
        old = about is not None and time.time_ns() - about.ctime_ns >= SETTLED_NS
        asked = Asked(key, digest, size)
        found: Examined = self._ask(_read, store, asked) if self._ask else _read(store, asked)
        after = store.stat(key)
        if about is None or after is None:
            return found
        if after != about and found.outcome is not Outcome.UNKNOWN:
            return Examined(Outcome.UNKNOWN, found.bytes, "it changed while it was read")
        if old and about.inode is not None and found.outcome in (Outcome.OK, Outcome.CORRUPT):
            self._known[store.name, about.inode] = (_mark(about), digest, found)
        return found

    def prove(self, store: Store, key: str, digest: Digest, size: int) -> Examined:
        """Read a copy ahead of the transaction; one that was touched this very moment is given a moment."""
        about = store.stat(key)
        if about is not None and 0 <= (age := time.time_ns() - about.ctime_ns) < SETTLED_NS:
            time.sleep((SETTLED_NS - age) / 1e9)
        return self.look(store, key, digest, size)

    def touched(self, store: Store, key: str) -> None:
        """We gave the file at `key` one more name, or took one: that alone moved its change time."""
        about = store.stat(key)
        if about is not None and about.inode is not None and (known := self._known.get((store.name, about.inode))):
            mark, digest, found = known
            if mark[:2] == (about.bytes, about.mtime_ns):
                self._known[store.name, about.inode] = (_mark(about), digest, found)
