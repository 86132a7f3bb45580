"""Contract: documents as they were, what happened to them, and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from catalogkit.catalog.rows import Moment, Position
    from catalogkit.model import DocumentRecord


class Past(Protocol):
    """History, and what is kept of it."""

    def document_at(self, document_id: int, when: datetime) -> DocumentRecord | None:
        """One document as it was at a time; None if there was none then.

        Of several changes at one time the last one counts; ``seen_at`` is the last sighting known to be no later.
        """

    def document_then(self, document_id: int, position: Position) -> DocumentRecord | None:
        """One document as it was at a position; None if there was none then."""

    def documents_at(self, when: datetime | Position, *, ids: tuple[int, int] | None = None) -> pl.DataFrame:
        """Documents as they were at a time or a position: a frame like ``documents``, by id.

        All, or those with ids from the first of `ids` to the second.
        """

    def changed_ids(self, before: Position, after: Position) -> list[int]:
        """Documents that something happened to between two positions; among them all that differ."""

    def differences(self, before: Position, after: Position) -> pl.DataFrame:
        """Documents that differ between two positions: a frame ``differences``, by id."""

    def ended_versions(self, after: datetime) -> pl.DataFrame:
        """Versions of documents that held until some time after that one, and hold no more.

        A frame like ``document_versions``, which has current versions and earlier ones beside them.
        """

    def history(self, document_id: int) -> pl.DataFrame:
        """All that happened to a document, in the sequence it did: a frame ``history``."""

    def position(self) -> Position:
        """Where the history of documents stands now."""

    def keep_moment(
        self,
        kind: str,
        name: str,
        *,
        as_of: datetime,
        expires_at: datetime | None = None,
        at: Position | None = None,
    ) -> Moment:
        """Keep a position, by default the present one: no blob that a document had then is condemned or purged.

        It costs the same however large the catalog is. A past position can be kept as long as nothing of it was
        condemned since; otherwise it is refused.
        """

    def release_moment(self, kind: str, name: str, *, as_of: datetime) -> Moment:
        """Keep a moment no longer; it stays as a fact."""

    def moments(self, kind: str | None = None, *, as_of: datetime | None) -> list[Moment]:
        """Moments in force at a time, oldest first; without a time every one there ever was."""

    def count_moment(self, moment_id: int) -> Moment:
        """Count a moment, if nobody did before; takes as long as there are changes since the last one counted."""

    def held_bytes(self, *, as_of: datetime) -> dict[int, tuple[int, int]]:
        """By moment: bytes that no document has any more and it keeps, and those of them that only it keeps."""
