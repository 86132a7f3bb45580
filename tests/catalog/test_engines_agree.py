"""Both engines have the same tables, with the same columns; a change to one that the other lacks is noticed here."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from catalogkit.catalog.postgres import migrations
from catalogkit.catalog.sql.tables import OWN, TABLES
from catalogkit.catalog.sqlite.migrations import MIGRATIONS, migrate

if TYPE_CHECKING:
    from tests.pg import Server

Schema = dict[str, set[str]]


@pytest.fixture
def embedded() -> Schema:
    """The tables of the embedded engine and their columns."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, 1, create=True)
        return _schema(db.execute(
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        ).fetchall())  # fmt: skip


@pytest.fixture
def server(pg: Server, pg_template: str) -> Schema:
    """The tables of the server engine and their columns."""
    with psycopg.connect(pg.address(pg_template)) as db:
        return _schema(db.execute(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0"
            " AND NOT a.attisdropped AND a.attgenerated = ''"
        ).fetchall())  # fmt: skip


def _schema(rows: list[Any]) -> Schema:
    found: Schema = {}
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def test_every_table_is_copied_or_told_why_not(embedded: Schema, server: Schema) -> None:
    """A new table has a line in `sql/tables.py`: among those that make up a catalog, or those that are an engine's."""
    for found in (embedded, server):
        named = {name for name in found if not name.startswith(("sqlite_", "search_", "search"))}
        assert named - TABLES.keys() - OWN.keys() == set()
    assert set(TABLES) - embedded.keys() == set() and set(TABLES) - server.keys() == set()


def test_tables_have_the_same_columns(embedded: Schema, server: Schema) -> None:
    """Rows of one engine fit the other's tables."""
    assert {name: embedded[name] for name in TABLES} == {name: server[name] for name in TABLES}


def test_a_migration_of_one_engine_was_thought_of_in_the_other() -> None:
    """Rules and indexes show in no column: who adds a migration says that the server's schema says the same."""
    assert MIGRATIONS[-1].version == migrations.EMBEDDED
