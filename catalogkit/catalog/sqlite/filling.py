"""Fills an embedded catalog with another catalog's rows, history included, or updates an earlier copy.

An earlier copy is brought up to date: rows that did not change are not written, and stay in the pages they are in. That
is what keeps a backup small that shares pages with the one before.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.catalog.sql.tables import TABLES
from catalogkit.catalog.sqlite.base import driver_errors
from catalogkit.catalog.sqlite.migrations import migrate
from catalogkit.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    # The rows of a table, with these columns.
    Rows = Callable[[str, Sequence[str]], Iterable[Sequence[Any]]]

_LAST: str = "INSERT OR REPLACE INTO sqlite_sequence (name, seq) VALUES (?, ?)"


def fill(path: str, rows: Rows, *, identity: str, ends: dict[str, int], as_of_us: int) -> None:
    """Make a catalog of rows from elsewhere, in one file that is whole by itself; or bring an earlier one up to date.

    No trigger looks at what is copied: it was looked at where it comes from, and its history comes with it.

    Parameters
    ----------
    rows
        Gives the rows of a table, with the columns it is asked for.
    ends
        The highest id that each table ever gave.

    Raises
    ------
    CatalogError
        If what is there is of another catalog, or rows cannot take each other's place one by one; it is of no use then.
    """
    earlier = Path(path).exists()
    with driver_errors(Path(path)), contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")  # a copy that is not finished is of no use anyway
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA cache_size = -65536")
        migrate(db, as_of_us, create=not earlier)
        if earlier and db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone() != (identity,):
            raise CatalogError(f"{path} is a copy of another catalog")
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        db.execute("BEGIN")
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        db.execute("INSERT INTO meta VALUES ('identity', ?) ON CONFLICT DO NOTHING", (identity,))
        if earlier:
            # In the reverse order, and all before anything comes in: names that are free again may be taken anew.
            for table in reversed(TABLES):
                _thin(db, table, rows)
        for table in TABLES:
            columns = columns_of(db, table)
            db.executemany(_put(table, columns) if earlier else _add(table, columns), rows(table, columns))
        db.execute("DELETE FROM sqlite_sequence")
        db.executemany(_LAST, ends.items())
        for _, sql in triggers:
            db.execute(sql)
        db.execute("COMMIT")


def columns_of(db: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table of an embedded catalog."""
    return [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _thin(db: sqlite3.Connection, table: str, rows: Rows) -> None:
    """Remove the rows that are not there any more."""
    key = TABLES[table]
    names, marks = ", ".join(key), ", ".join("?" * len(key))
    db.execute(f"CREATE TEMP TABLE there ({names}, PRIMARY KEY ({names})) WITHOUT ROWID")
    db.executemany(f"INSERT INTO there VALUES ({marks})", rows(table, key))
    db.execute(f"DELETE FROM {table} WHERE ({names}) NOT IN (SELECT {names} FROM there)")
    db.execute("DROP TABLE there")


def _add(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _put(table: str, columns: Sequence[str]) -> str:
    """SQL that adds a row, or changes it where it is another one than it was."""
    rest = [name for name in columns if name not in TABLES[table]]
    put = f"{_add(table, columns)} ON CONFLICT ({', '.join(TABLES[table])}) DO "
    if not rest:
        return put + "NOTHING"
    was, now = (", ".join(f"{place}.{name}" for name in rest) for place in (table, "excluded"))
    changes = ", ".join(f"{name} = excluded.{name}" for name in rest)
    return f"{put}UPDATE SET {changes} WHERE ({was}) IS NOT ({now})"
