"""Contract: the locations of copies, and what is on record at a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.audit import Copy
    from catalogkit.model import Digest


class Copies(Protocol):
    """Copies on record."""

    def copies(self, *, after: tuple[int, str] = (-1, ""), limit: int) -> list[Copy]:
        """Copies by store and key; pages follow `after`."""

    def copy_count(self) -> int:
        """How many copies are on record."""

    def unchanged(self, copies: Sequence[Copy]) -> set[int]:
        """Which of these locations are on record as they were; asked at a moment when nobody is writing."""

    def standing(self, location_ids: Sequence[int]) -> set[int]:
        """Which of these copies are on record at a moment when nobody is half way through removing one."""

    def copies_at(self, store_id: int, keys: Sequence[str]) -> dict[str, Copy]:
        """The copies at these keys of a store, by key; keys where none is on record are left out."""

    def recorded(self, store_id: int, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that a location, an intent or a condemned stray is about."""

    def digest_at(self, store_id: int, key: str) -> Digest | None:
        """The content of a location."""

    def checked_since(self, location_ids: Sequence[int], check_id: int) -> set[int]:
        """Which of these copies have an entry of the ledger after that one."""
