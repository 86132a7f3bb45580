"""Contract: leases, by which several machines that share one catalog divide their work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Leases(Protocol):
    """Pieces of work that somebody has taken on, each for a time."""

    def lease(self, work: str, items: Sequence[str], *, owner: str, expires_at: datetime, as_of: datetime) -> set[str]:
        """Take items on that nobody else has, or whose lease ran out; which of them are the owner's now."""

    def renew(self, work: str, owner: str, *, expires_at: datetime) -> None:
        """Hold on to all that the owner has of that work, until then."""

    def release(self, work: str, owner: str, items: Sequence[str] | None = None) -> None:
        """Give items back, or all that the owner has; what is somebody else's by now stays his."""

    def lessees(self, work: str) -> list[tuple[str, datetime]]:
        """Everybody who has something of that work, and until when."""
