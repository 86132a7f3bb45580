"""Notes, beside the catalog's identity."""

from __future__ import annotations

from catalogkit.catalog.sql.base import Database

_KEY = "note "  # what the engines write for themselves has other names


class Notes(Database):
    """A few words by name."""

    def noted(self, name: str) -> str | None:
        """What was noted under a name; None for nothing."""
        rows = self.rows("SELECT value FROM meta WHERE key = ?", (_KEY + name,))
        return str(rows[0][0]) if rows else None

    def note(self, name: str, text: str) -> None:
        """Note something, instead of what was noted under that name before."""
        with self.write("note") as db:
            db.execute(
                "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (_KEY + name, text),
            )
