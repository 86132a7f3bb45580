"""Row history: every update or delete leaves the old version behind, with when, what and in which run.

A row says since when it holds (``changed_us``, ``placed_us``); its history row says until when (``ended_us``). Rows
are numbered in the order of the changes (``hid``), whatever clocks say. ``op`` tells how a version ended: ``update`` or
``delete``; or it marks what ended none: ``older``, a version that came late, and ``recall``, a row that came back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.catalog.sql.history import BORN, RETURNING, TRACKED

if TYPE_CHECKING:
    import sqlite3


def install_history(db: sqlite3.Connection) -> None:
    """Make the history tables and triggers fit the tables as they are now."""
    for table, watched in TRACKED.items():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        _table(db, table, columns)
        born, watched = BORN.get(table, "TRUE"), watched or tuple(columns)
        changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in watched)
        on_update = f"AFTER UPDATE OF {', '.join(watched)} ON {table} WHEN {born} AND ({changed})"
        _trigger(db, table, columns, "update", on_update)
        _stamp(db, table, columns, on_update)
        _trigger(db, table, columns, "delete", f"AFTER DELETE ON {table} WHEN {born}")
        if table in RETURNING:
            away = f"EXISTS (SELECT 1 FROM {table}_history WHERE {columns[0]} = NEW.{columns[0]})"
            _trigger(db, table, columns, "recall", f"AFTER INSERT ON {table} WHEN {away}")


def _table(db: sqlite3.Connection, table: str, columns: list[str]) -> None:
    present = {row[1] for row in db.execute(f"PRAGMA table_info({table}_history)")}
    if not present:
        db.execute(
            f"CREATE TABLE {table}_history (hid INTEGER NOT NULL PRIMARY KEY, op TEXT NOT NULL,"
            f" ended_us INTEGER NOT NULL, operation TEXT NOT NULL, by_run TEXT NOT NULL, {', '.join(columns)})"
        )
    for column in columns:
        if present and column not in present:
            db.execute(f"ALTER TABLE {table}_history ADD COLUMN {column}")
    db.execute(f"CREATE INDEX IF NOT EXISTS {table}_history_row ON {table}_history ({columns[0]}, ended_us)")


def _trigger(db: sqlite3.Connection, table: str, columns: list[str], op: str, event: str) -> None:
    names = ", ".join(columns)
    old = ", ".join(f"{'NEW' if op == 'recall' else 'OLD'}.{column}" for column in columns)
    _install(
        db,
        f"{table}_history_{op}",
        f"{event} BEGIN INSERT INTO {table}_history (op, ended_us, operation, by_run, {names})"
        f" SELECT '{op}', at_us, operation, run_id, {old} FROM now; END",
    )


def _stamp(db: sqlite3.Connection, table: str, columns: list[str], event: str) -> None:
    """A change whose writer did not say when it was is dated all the same: versions follow one another without gaps."""
    if "changed_us" in columns:
        _install(
            db,
            f"{table}_history_stamp",
            f"{event} AND OLD.changed_us = NEW.changed_us BEGIN"
            f" UPDATE {table} SET changed_us = (SELECT at_us FROM now) WHERE {columns[0]} = NEW.{columns[0]}; END",
        )


def _install(db: sqlite3.Connection, name: str, text: str) -> None:
    """Make a trigger; one that is as it should be stays, since every change makes SQLite read the whole schema anew."""
    wanted = f"CREATE TRIGGER {name} {text}"
    known = db.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?", (name,)).fetchone()
    if known != (wanted,):
        db.execute(f"DROP TRIGGER IF EXISTS {name}")
        db.execute(wanted)
