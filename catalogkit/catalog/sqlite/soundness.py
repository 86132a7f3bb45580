"""Checks SQLite's own file, its references and its rules."""

from __future__ import annotations

from typing import Final

from catalogkit.audit import Fact
from catalogkit.audit_codes import Code
from catalogkit.catalog.sql.audits import QUESTIONS, Audits
from catalogkit.catalog.sqlite.base import Database

_MOST_PROBLEMS: Final = 10_000
# References that have a question of their own.
_ASKED: Final = {
    ("documents", "blobs"), ("locations", "blobs"), ("locations", "stores"), ("intents", "blobs"),
    ("intents", "stores"), ("roots", "blobs"),
}  # fmt: skip


class Soundness(Database, Audits):
    """The engine's own part in an audit."""

    _checked: tuple[object, list[str]] = (None, [])

    def damage(self, limit: int) -> list[Fact]:
        """Damage to the file, as `PRAGMA integrity_check` tells it."""
        found = self._integrity_check()[:limit]
        # Rows that break a rule are told by themselves, with which.
        return [
            Fact("catalog", None, None, text)
            for text in found
            if text != "ok" and not text.startswith("CHECK constraint failed")
        ]

    def _integrity_check(self) -> list[str]:
        """What the database finds wrong with its file; of a large one that takes a while, so once for each state."""
        state = (self.rows("PRAGMA data_version"), self._db.total_changes)
        if self._checked[0] != state:
            self._checked = state, [row[0] for row in self.rows(f"PRAGMA integrity_check({_MOST_PROBLEMS})")]
        return self._checked[1]

    def with_broken_rules(self, found: list[Fact]) -> list[Fact]:
        """What the database's own check says of rules, for tables of which no row was named."""
        told = self._integrity_check()
        named = {fact.detail.partition(":")[0] for fact in found}
        named |= {"locations"} if self.rows(f"{QUESTIONS[Code.WRONG_KEY]} LIMIT 1") else set()
        named |= {"blobs"} if self.rows("SELECT 1 FROM blobs WHERE refs <> 0 AND state <> 'live' LIMIT 1") else set()
        tables = {text.rpartition(" ")[2] for text in told if text.startswith("CHECK constraint failed")}
        return found + [Fact(f"table {table}", None, None, f"{table}: a row breaks a rule") for table in tables - named]

    def broken_references(self, limit: int) -> list[Fact]:
        """References to nothing, as `PRAGMA foreign_key_check` tells them."""
        rows = [row for row in self.rows("PRAGMA foreign_key_check") if (row[0], row[2]) not in _ASKED]
        return [Fact(f"table {row[0]}", None, None, f"a row refers to one of {row[2]}") for row in rows[:limit]]
