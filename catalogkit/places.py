"""Groups the documents of a batch by the key that their bytes go to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from catalogkit.model import Outcome

if TYPE_CHECKING:
    from catalogkit.catalog.contract import Known, Registration
    from catalogkit.model import Digest
    from catalogkit.sources import Candidate
    from catalogkit.stores.contract import ObjectStat
    from catalogkit.stores.taking import Taken

_GOOD: Final = (None, Outcome.OK, Outcome.UNKNOWN)


@dataclass(slots=True)
class Work:
    """One document on its way: what was read, where it goes. `problem` says why it does not get there.

    `written` says that its bytes were not there, or not right, and are now.
    """

    item: Candidate
    taken: Taken
    entry: Registration
    intent: int | None = None
    problem: str = ""
    written: bool = False


@dataclass(slots=True)
class Place:
    """A key, the documents of the batch whose bytes belong there, and what lies there.

    `ours` says that whatever else lies there can only be a copy of these bytes gone bad: a content address, or a
    readable path that the catalog has for them. `bad` says that such a thing lies there.
    """

    key: str
    ours: bool
    works: list[Work] = field(default_factory=list)
    there: ObjectStat | None = None
    bad: bool = False
    written: bool = False

    @property
    def digest(self) -> Digest:
        """The content that belongs there."""
        return self.works[0].entry.digest

    def fail(self, problem: str) -> None:
        """None of its documents gets there."""
        for work in self.works:
            work.problem = problem

    def as_written(self, there: ObjectStat, about: Known) -> bool:
        """Whether a copy that was not found bad still looks as it was written."""
        was = (self.works[0].entry.bytes, about.inode, about.mtime_ns)
        return about.outcome in _GOOD and (there.bytes, there.inode, there.mtime_ns) == was
