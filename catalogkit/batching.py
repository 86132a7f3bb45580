"""Batches of files that are ingested together, so that they share their syncs, and the jobs that read them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from catalogkit.stores.taking import Taken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from catalogkit.model import Digest
    from catalogkit.sources import Candidate

BATCH_FILES: Final = 2000
BATCH_BYTES: Final = 256_000_000
JOB_FILES: Final = 64
JOB_BYTES: Final = 16_000_000
_SERIAL: Final = itertools.count()


class Batch:
    """Candidates that are settled together; a file that several documents share is read once."""

    def __init__(self) -> None:
        self.items: list[tuple[Candidate, Digest | None]] = []
        self.bytes = 0
        self._first: dict[str, int] = {}
        self._serial = next(_SERIAL)  # two batches are under way at a time, and share a folder

    def __len__(self) -> int:
        return len(self.items)

    @property
    def full(self) -> bool:
        """Whether it is time to settle it."""
        return len(self.items) >= BATCH_FILES or self.bytes >= BATCH_BYTES

    def add(self, item: Candidate, known: Digest | None) -> None:
        """Add a candidate; `known` is its content where that need not be read again."""
        if known is None and self._first.setdefault(item.path, len(self.items)) == len(self.items):
            self.bytes += item.stamp.bytes
        self.items.append((item, known))

    def to_take(self) -> Iterator[tuple[str, str, int]]:
        """(path, temporary name, size in bytes) of every file to read."""
        for path, number in self._first.items():
            yield path, f"{self._serial}-{number}", self.items[number][0].stamp.bytes

    def with_taken(self, taken: Iterable[Taken]) -> Iterator[tuple[Candidate, Taken]]:
        """Each candidate with what reading its file gave; a file's temporary name goes to its first candidate."""
        by_path = {one.path: one for one in taken}
        for number, (item, known) in enumerate(self.items):
            if known is not None:
                yield item, Taken(item.path, known, stamp=item.stamp)
            elif self._first[item.path] == number:
                yield item, by_path[item.path]
            else:
                yield item, by_path[item.path]._replace(temp=None)


def jobs(batch: Batch) -> Iterator[list[tuple[str, str]]]:
    """(path, temporary name) of the files of a batch, in lists that are worth sending to a worker."""
    job: list[tuple[str, str]] = []
    size = 0
    for path, name, count in batch.to_take():
        job.append((path, name))
        size += count
        if len(job) >= JOB_FILES or size >= JOB_BYTES:
            yield job
            job, size = [], 0
    if job:
        yield job
