"""Shared SQL: notes in the catalog, and as of when its answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.catalog.sql.base import Database

if TYPE_CHECKING:
    from datetime import datetime


class About(Database):
    """A few words by name."""

    def noted(self, name: str) -> str | None:
        """What was noted under a name; None for nothing."""
        rows = self.rows("SELECT text FROM notes WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def note(self, name: str, text: str) -> None:
        """Note something, instead of what was noted under that name before."""
        with self.write("note") as db:
            db.execute(
                "INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET text = excluded.text", (name, text)
            )

    def current_to(self) -> datetime | None:
        """Always: nothing lies between this catalog and the truth."""
        return None
