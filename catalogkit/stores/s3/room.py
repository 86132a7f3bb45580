"""Memory that uploads share: whoever is about to fill some waits until there is enough of it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Room:
    """Room for so many bytes, which is given in turn: small ones do not keep a large one waiting for ever."""

    def __init__(self, total_bytes: int) -> None:
        self.bytes = self.free = total_bytes
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, count: int) -> Iterator[None]:
        """Have room for `count` bytes, or all there is where that is less, as long as this is open."""
        count = min(count, self.bytes)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self.free >= count)
            self.free -= count
        try:
            yield
        finally:
            with self._changed:
                self.free += count
                self._changed.notify()
