"""Stand-ins for a store, a catalog and a pool of workers, which tests use to slow down, fail and watch reading."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from catalogkit.catalog.contract import Due
from catalogkit.config import Config
from catalogkit.model import Digest, Outcome
from catalogkit.stores.contract import Asked, Examined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor, Future

    from catalogkit.collection import Collection


class Around:
    """A collection's store with something around its reading; everything else is the store's own."""

    def __init__(self, collection: Collection, around: Callable[[Any, Sequence[Asked]], list[Examined]]) -> None:
        self.real, self.around = collection.store, around
        collection._stores[collection.store_id(self.real.name)] = self  # type: ignore[assignment]
        collection.store = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        read = self.real.examiner()
        return lambda batch: self.around(read, batch)


class Gate:
    """Holds every read until `wanted` are under way at once, or, failing that, for some seconds.

    What is measured is overlap, so a slow machine changes nothing.
    """

    def __init__(self, wanted: int, patience: float = 5.0) -> None:
        self.wanted, self.patience = wanted, patience
        self.peak = self._now = 0
        self._changed = threading.Condition()

    def __call__(self, read: Callable[[Sequence[Asked]], list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
        with self._changed:
            self._now += 1
            self.peak = max(self.peak, self._now)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.peak >= self.wanted, timeout=self.patience)
        try:
            return read(batch)
        finally:
            with self._changed:
                self._now -= 1


class Held:
    """Holds every read until it is let go; `began` tells that one is under way."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, read: Callable[[Sequence[Asked]], list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
        self.began.set()
        assert self.go.wait(timeout=60)
        return read(batch)


class Counting(ThreadPoolExecutor):
    """Threads that count calls, and the most that were ever unfinished at a time."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.calls = self.peak = 0
        self._unfinished: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self._unfinished = [one for one in self._unfinished if not one.done()] + [future]
        self.peak = max(self.peak, len(self._unfinished))
        self.calls += 1
        return future


class ManyCopies:
    """A collection of `count` copies that no disk has, all of them well; it watches how many are in memory at once."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.handed = self.written = self.peak = 0
        self.store, self.catalog = self, self
        self.stores = {1: self}
        self.name, self.kind, self.config = "main", "local", Config()

    # as a catalog ---------------------------------------------------------------------------------------------
    def last_check_id(self) -> int:
        return 0

    def due(self, *, limit: int, after: tuple[int, int] = (-1, -1), **_: object) -> list[Due]:
        first = max(after[1] + 1, 1)
        numbers = range(first, min(first + limit, self.count + 1))
        self.handed += len(numbers)
        self.peak = max(self.peak, self.handed - self.written)
        return [Due(number, 1, f"key-{number}", Digest(bytes(32)), 1, 0, 0) for number in numbers]

    def due_totals(self, **_: object) -> tuple[int, int]:
        return self.count, self.count

    def record_checks(self, checks: Sequence[object], *, run_id: str = "") -> None:
        self.written += len(checks)

    def start_run(self, *_: object, **__: object) -> None: ...

    def end_run(self, *_: object, **__: object) -> None: ...

    def coverage(self, **_: object) -> None: ...

    # as a store -----------------------------------------------------------------------------------------------
    def reach(self) -> None: ...

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        return lambda batch: [Examined(Outcome.OK, asked.bytes) for asked in batch]

    def executor(self, concurrency: int, count: int, total_bytes: int) -> Executor:
        raise AssertionError("the test brings its own")
