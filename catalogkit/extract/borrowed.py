"""Extraction on somebody else's workers: any `Executor`, such as a cluster's.

What goes to a worker is where copies lie, and what one document may take. It reads them as it would here, in a process
of its own that may crash and hang, and keeps that process for the next time.
"""

from __future__ import annotations

import atexit
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from catalogkit.extract.extractor import open_first
from catalogkit.extract.sandbox import Sandbox, by_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor, Future
    from typing import BinaryIO

    from catalogkit.extract.worker import Answer
    from catalogkit.model import LocationRecord
    from catalogkit.policies.extract import Limits
    from catalogkit.stores.opening import AnyStore

T = TypeVar("T")

_idle: Final[dict[Limits, list[Sandbox]]] = {}


class Told(NamedTuple):
    """What came of one document, and the copy that was read."""

    answer: Answer
    copy: LocationRecord | None


class Borrowed:
    """Reads documents by an executor, `concurrency` jobs at a time and as many that wait for it."""

    def __init__(self, executor: Executor, stores: Mapping[str, AnyStore], limits: Limits, concurrency: int) -> None:
        self._executor, self._stores, self._limits, self._most = executor, stores, limits, 2 * concurrency

    def read(self, asked: Iterable[T], copies: Callable[[T], Sequence[LocationRecord]]) -> Iterator[tuple[T, Told]]:
        """What came of each document, in no order; nothing is asked for long before it is needed.

        Parameters
        ----------
        asked
            Whatever stands for the documents.
        copies
            Where one may be read, the best first.
        """

        def submit(job: list[T]) -> Future[list[Told]]:
            wanted = [list(copies(one)) for one in job]
            return self._executor.submit(look_into, self._stores, self._limits, wanted)

        return by_jobs(asked, submit, lambda job, told: zip(job, told, strict=True), self._most, lambda size: size + 1)


def look_into(stores: Mapping[str, AnyStore], limits: Limits, wanted: Sequence[Sequence[LocationRecord]]) -> list[Told]:
    """What is inside each of some documents, of which these are the copies (the whole job of a worker)."""
    read: dict[int, LocationRecord] = {}

    def opened(number: int) -> BinaryIO:
        file, read[number] = open_first(stores, wanted[number])
        return file

    with _sandbox(limits) as sandbox:
        found = dict(sandbox.read(range(len(wanted)), opened))
    return [Told(found[number], read.get(number)) for number in range(len(wanted))]


@contextlib.contextmanager
def _sandbox(limits: Limits) -> Iterator[Sandbox]:
    """A sandbox that nobody uses at the moment; it is kept unless something went wrong with it."""
    idle = _idle.setdefault(limits, [])
    try:
        sandbox = idle.pop()
    except IndexError:
        sandbox = Sandbox(limits, 1)
    try:
        yield sandbox
    except BaseException:
        sandbox.close()
        raise
    idle.append(sandbox)


@atexit.register
def _end() -> None:
    for idle in _idle.values():
        while idle:
            idle.pop().close()
