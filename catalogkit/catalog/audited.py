"""Contract: questions of an audit about facts that contradict each other, for all rows or a random sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from catalogkit.audit import BadCopy, Copy, Fact
    from catalogkit.audit_codes import Code
    from catalogkit.audit_sample import Drawn


class Audited(Protocol):
    """What an audit asks of the catalog."""

    def draw(self, size: int, *, seed: int) -> Drawn:
        """So many documents and so many copies, each with the same chance; the same ones for the same seed."""

    def copies_of_ids(self, location_ids: Sequence[int]) -> list[Copy]:
        """These copies, by store and key; those that are gone are left out."""

    def faults(
        self, code: Code, *, as_of: datetime, future: datetime, stale: timedelta, limit: int, among: Drawn | None = None
    ) -> list[Fact]:
        """Facts that contradict each other in the way that `code` stands for, at most so many.

        Where `among` is given, what `audit_sample.DRAWN_FROM` has is looked for there only.
        """

    def bad_copies(self, *, after: tuple[bytes, int] = (b"", -1), limit: int) -> list[BadCopy]:
        """Copies of contents that documents need and that the last check found bad; pages follow `after`."""

    def owners(self) -> list[tuple[int, str, datetime, str | None, str]]:
        """Every ingest in flight: intent, owner, until when its promise holds, store and key."""
