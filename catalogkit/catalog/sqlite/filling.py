"""A new embedded catalog that is filled with rows as they are, history and all: a copy of a catalog elsewhere."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.catalog.sql.tables import TABLES
from catalogkit.catalog.sqlite.base import driver_errors
from catalogkit.catalog.sqlite.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    # The rows of a table, with these columns.
    Rows = Callable[[str, Sequence[str]], Iterable[Sequence[Any]]]

_LAST: str = "INSERT OR REPLACE INTO sqlite_sequence (name, seq) VALUES (?, ?)"


def fill(path: str, rows: Rows, *, identity: str, ends: dict[str, int], as_of_us: int) -> None:
    """Make a catalog of rows from elsewhere, in one file that is whole by itself.

    No trigger looks at what is copied: it was looked at where it comes from, and its history comes with it.

    Parameters
    ----------
    rows
        Gives the rows of a table, with the columns it is asked for.
    ends
        The highest id that each table ever gave.
    """
    with driver_errors(Path(path)), contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")  # a copy that is not finished is of no use anyway
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA cache_size = -65536")
        migrate(db, as_of_us, create=True)
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        db.execute("BEGIN")
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("INSERT INTO meta VALUES ('identity', ?)", (identity,))
        for table in TABLES:
            columns = columns_of(db, table)
            marks = ", ".join("?" * len(columns))
            db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows(table, columns))
        db.execute("DELETE FROM sqlite_sequence")
        db.executemany(_LAST, ends.items())
        for _, sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")


def columns_of(db: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table of an embedded catalog."""
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
