"""Shared SQL: notes in the catalog, and as of when its answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalogkit.catalog.about import Vitals
from catalogkit.catalog.sql.base import Database
from catalogkit.model import from_us

if TYPE_CHECKING:
    from datetime import datetime

# The last rows, by their numbers: a clock that was wrong for a while is of no interest any more.
_CHECKED: Final = "SELECT checked_us FROM checks ORDER BY id DESC LIMIT 1"
_WRITTEN: Final = (
    "SELECT changed_us FROM documents ORDER BY id DESC LIMIT 1",
    "SELECT ended_us FROM documents_history ORDER BY hid DESC LIMIT 1",
    "SELECT max(begun_us) FROM plans",
    _CHECKED,
)


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

    def schemas(self) -> tuple[int, int]:
        """The number of its schema, and of the one that this program writes."""
        return self.rows("SELECT max(version) FROM migrations")[0][0], self.newest_schema

    def vitals(self) -> Vitals:
        """What a look at its health asks."""
        with self.read() as db:
            written = [row[0] for sql in _WRITTEN for row in db.execute(sql).fetchall() if row[0] is not None]
            checked = db.execute(_CHECKED).fetchone()
            ingests = db.execute("SELECT owner, count(*), max(expires_us) FROM intents GROUP BY owner ORDER BY owner")
            told = tuple((owner, count, from_us(until)) for owner, count, until in ingests.fetchall())
            plans = db.execute(
                "SELECT id, kind, begun_us, ended_us IS NOT NULL OR given_up <> '' FROM plans ORDER BY begun_us, id"
            )
            begun = tuple((name, kind, from_us(at), bool(over)) for name, kind, at, over in plans.fetchall())
            return Vitals(
                stored=db.execute("SELECT 1 FROM locations LIMIT 1").fetchone() is not None,
                newest_at=from_us(max(written)) if written else None,
                checked_at=from_us(checked[0]) if checked else None,
                ingests=told,
                plans=begun,
                contested=db.execute("SELECT count(*) FROM records WHERE contested = 1").fetchone()[0],
            )

    def note_instead(self, name: str, text: str, before: str | None) -> bool:
        """Note something if `before` is what was noted under that name until now (None: nothing); whether it was."""
        with self.write("note", alone=False) as db:
            if before is None:
                found = db.execute("INSERT INTO notes VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, text))
            else:
                found = db.execute("UPDATE notes SET text = ? WHERE name = ? AND text = ?", (text, name, before))
            return found.rowcount == 1

    def current_to(self) -> datetime | None:
        """Always: nothing lies between this catalog and the truth."""
        return None
