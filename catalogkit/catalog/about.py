"""What a catalog says of itself: notes stored with it, and as of when its answers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a look at a catalog's health asks of it; each is found by an index, however much there is.

    Attributes
    ----------
    stored : bool
        Whether any copy is known.
    newest_at, checked_at : datetime or None
        When the last change was, by the clock of whoever wrote it, and when the last check of a copy was.
    ingests : tuple of (str, int, datetime)
        Who has announced documents and not finished them: owner, how many, until when the promise holds.
    plans : tuple of (str, str, datetime, bool)
        Every plan that was begun: id, kind, when, and whether it is over.
    contested : int
        Documents of which sites said different things.
    """

    stored: bool
    newest_at: datetime | None
    checked_at: datetime | None
    ingests: tuple[tuple[str, int, datetime], ...]
    plans: tuple[tuple[str, str, datetime, bool], ...]
    contested: int


class About(Protocol):
    """What else a catalog is told, such as where its collection's store is."""

    def noted(self, name: str) -> str | None:
        """What was noted under a name; None for nothing."""

    def note(self, name: str, text: str) -> None:
        """Note something, instead of what was noted under that name before."""

    def schemas(self) -> tuple[int, int]:
        """The number of its schema, and of the one that this program writes."""

    def vitals(self) -> Vitals:
        """What a look at its health asks: nothing is counted or summed up that grows with the documents."""

    def note_instead(self, name: str, text: str, before: str | None) -> bool:
        """Note something if `before` is what was noted under that name until now (None: nothing); whether it was."""

    def current_to(self) -> datetime | None:
        """Until when answers tell everything that was committed: of a replica, its last commit; else None, now."""
