"""The notes of a catalog engine: a few words by name, which go with the catalog wherever it is opened."""

from __future__ import annotations

from typing import Protocol


class Notes(Protocol):
    """What else a catalog is told, such as where its collection's store is."""

    def noted(self, name: str) -> str | None:
        """What was noted under a name; None for nothing."""

    def note(self, name: str, text: str) -> None:
        """Note something, instead of what was noted under that name before."""
