"""What a catalog says of itself: notes stored with it, and as of when its answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class About(Protocol):
    """What else a catalog is told, such as where its collection's store is."""

    def noted(self, name: str) -> str | None:
        """What was noted under a name; None for nothing."""

    def note(self, name: str, text: str) -> None:
        """Note something, instead of what was noted under that name before."""

    def current_to(self) -> datetime | None:
        """Until when answers tell everything that was committed: of a replica, its last commit; else None, now."""
