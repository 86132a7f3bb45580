"""Checks the server's own objects: disabled rules, indexes that cannot be trusted."""

from __future__ import annotations

from typing import Final

from catalogkit.audit import Fact
from catalogkit.catalog.postgres.base import Database
from catalogkit.catalog.sql.audits import Audits

_OFF: Final = (
    "SELECT 'trigger ' || tgname || ' of ' || tgrelid::regclass || ' is switched off' FROM pg_trigger"
    " WHERE tgenabled IN ('D', 'R') AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace ="
    " (SELECT relnamespace FROM pg_class WHERE oid = 'documents'::regclass))"
    " UNION ALL SELECT 'index ' || indexrelid::regclass || ' of ' || indrelid::regclass || ' is not valid'"
    " FROM pg_index WHERE NOT (indisvalid AND indisready) AND indrelid IN (SELECT oid FROM pg_class WHERE"
    " relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'documents'::regclass)) ORDER BY 1"
)
_UNPROVED: Final = (
    "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE NOT convalidated AND connamespace ="
    " (SELECT relnamespace FROM pg_class WHERE oid = 'documents'::regclass) ORDER BY 1, 2"
)


class Soundness(Database, Audits):
    """The engine's own part in an audit."""

    def integrity(self) -> list[str]:
        """What the server finds wrong with what keeps the catalog right; empty is good."""
        return [text for (text,) in self.rows(_OFF)] + [
            f"rule {name} of {table} was not checked for the rows that are there"
            for table, name in self.rows(_UNPROVED)
        ]

    def damage(self, limit: int) -> list[Fact]:
        """Rules that are switched off, and indexes that are not whole."""
        return [Fact("catalog", None, None, text) for text in self.integrity()[:limit]]
