"""Row history: every update or delete leaves the old version behind, with when, what and in which run.

A row says since when it holds (``changed_us``, ``placed_us``); its history row says until when (``ended_us``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

# Table -> columns whose change is worth a version; None means any. What a table says of its last check or sighting
# is left out: the ledger and the access log have it, and a scrub of a million copies is no million changes.
TRACKED: Final[dict[str, tuple[str, ...] | None]] = {
    "documents": (
        "tenant", "artifact_id", "source_url", "resolver", "variant", "sha256",
        "content_type", "run_id", "fetched_us", "metadata",
    ),
    "blobs": ("state",),
    "locations": ("store_id", "key", "layout", "sha256"),
    "holds": None,
}  # fmt: skip
# An incoming blob is no fact yet: its intents tell of it, and the time it becomes live begins its first version.
BORN: Final = {"blobs": "OLD.state <> 'incoming'"}
OWN: Final = ("hid", "op", "ended_us", "operation", "by_run")


def install_history(db: sqlite3.Connection) -> None:
    """Make the history tables and triggers fit the tables as they are now."""
    for table, watched in TRACKED.items():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        _table(db, table, columns)
        born, watched = BORN.get(table, "TRUE"), watched or tuple(columns)
        changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in watched)
        on_update = f"AFTER UPDATE OF {', '.join(watched)} ON {table} WHEN {born} AND ({changed})"
        _trigger(db, table, columns, "update", on_update)
        _trigger(db, table, columns, "delete", f"AFTER DELETE ON {table} WHEN {born}")


def _table(db: sqlite3.Connection, table: str, columns: list[str]) -> None:
    db.execute(
        f"CREATE TABLE IF NOT EXISTS {table}_history (hid INTEGER NOT NULL PRIMARY KEY, op TEXT NOT NULL,"
        " ended_us INTEGER NOT NULL, operation TEXT NOT NULL, by_run TEXT NOT NULL)"
    )
    present = {row[1] for row in db.execute(f"PRAGMA table_info({table}_history)")}
    for column in columns:
        if column not in present:
            db.execute(f"ALTER TABLE {table}_history ADD COLUMN {column}")
    db.execute(f"CREATE INDEX IF NOT EXISTS {table}_history_row ON {table}_history ({columns[0]}, ended_us)")


def _trigger(db: sqlite3.Connection, table: str, columns: list[str], op: str, event: str) -> None:
    db.execute(f"DROP TRIGGER IF EXISTS {table}_history_{op}")
    names = ", ".join(columns)
    old = ", ".join(f"OLD.{column}" for column in columns)
    db.execute(
        f"CREATE TRIGGER {table}_history_{op} {event} BEGIN"
        f" INSERT INTO {table}_history (op, ended_us, operation, by_run, {names})"
        f" SELECT '{op}', at_us, operation, run_id, {old} FROM now; END"
    )
