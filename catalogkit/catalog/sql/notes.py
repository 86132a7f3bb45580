"""Notes."""

from __future__ import annotations

from catalogkit.catalog.sql.base import Database


class Notes(Database):
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
