"""Moves a whole catalog to another engine, and proves that it arrived by counts and digests of every table.

A table is one transaction: a move that broke off goes on with the next one. Until the last one is compared the new
catalog has no identity, and cannot be opened.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from catalogkit.catalog.sql.tables import NUMBERED, TABLES
from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.catalog.sqlite.filling import columns_of
from catalogkit.catalog.urls import file_of, public
from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.model import to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from psycopg import Connection

MOVING = "moving"


@dataclass(slots=True)
class MoveReport:
    """What was moved: for each table how many rows, and the sum (modulo 2 to the 256th) of their SHA-256."""

    source: str
    target: str
    tables: dict[str, tuple[int, str]] = field(default_factory=dict)
    resumed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        tables = {name: {"rows": rows, "digest": digest} for name, (rows, digest) in self.tables.items()}
        return {"source": self.source, "target": self.target, "resumed": self.resumed, "tables": tables}


def move_catalog(source: str, target: str, *, base: Path, as_of: datetime) -> MoveReport:
    """Copy an embedded catalog into an empty PostgreSQL database; the old one stays as it is.

    Parameters
    ----------
    source
        ``sqlite:///file``; nobody can write to it meanwhile.
    target
        ``postgresql://user@host/database``: an empty one, or one to which the same move began.

    Raises
    ------
    InvalidInput
        If the addresses are not of these kinds, or the database is a catalog already.
    CatalogError
        If what arrived is not what there was; the new catalog stays closed.
    """
    import psycopg

    from catalogkit.catalog.postgres.base import connection
    from catalogkit.catalog.postgres.migrations import migrate

    file = file_of(source)
    if file is None or file_of(target) is not None:
        raise InvalidInput("a catalog moves from sqlite:///file to postgresql://user@host/database")
    report = MoveReport(source, public(target))
    with (
        contextlib.closing(SQLiteCatalog(base / file, as_of=as_of)) as old,
        old.write("move catalog") as rows,
        connection(target) as db,
    ):
        migrate(db, to_us(as_of), create=True)
        _claim(db, old.identity, report)
        done = dict(db.execute("SELECT key, value FROM meta WHERE key LIKE 'moved %'").fetchall())
        for table, key in TABLES.items():
            columns = columns_of(rows, table)
            asked = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(key)}"
            if f"moved {table}" in done:
                report.resumed += 1
            else:
                _copy(db, table, columns, rows.execute(asked))
            here = _told(rows.execute(asked))
            with db.transaction(), psycopg.ServerCursor(db, "told") as there:
                there.itersize = 10_000
                found = _told(there.execute(asked))
            if here != found:
                raise CatalogError(
                    f"{table}: {here[0]:,} rows were to move, {found[0]:,} are there, and they are not the same;"
                    f" was {source} changed since the move began? Drop that database, and begin anew"
                )
            report.tables[table] = here
        ends = {table: old.rows(f"SELECT {old.sequence.format(table)}")[0][0] for table in NUMBERED}
        _open(db, old.identity, ends)
    return report


def _claim(db: Connection[Any], identity: str, report: MoveReport) -> None:
    """Begin, or go on; refuse a database that is a catalog, or to which another one is moving."""
    if db.execute("SELECT 1 FROM meta WHERE key = 'identity'").fetchone():
        raise InvalidInput(f"there is a catalog at {report.target} already; name an empty database")
    db.execute("INSERT INTO meta VALUES (%s, %s) ON CONFLICT DO NOTHING", [MOVING, identity])
    if db.execute("SELECT value FROM meta WHERE key = %s", [MOVING]).fetchone() != (identity,):
        raise InvalidInput(f"another catalog is being moved to {report.target}; name another database")


def _copy(db: Connection[Any], table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """One table, whole or not at all. No rule looks at rows that kept it where they come from, history comes along."""
    with db.transaction():
        db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        types = dict(
            db.execute(
                "SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = to_regclass(%s)", [table]
            ).fetchall()
        )
        asked = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)"
        with db.cursor() as cursor, cursor.copy(asked) as copy:
            copy.set_types([types[name] for name in columns])
            for row in rows:
                copy.write_row(row)
        db.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        db.execute("INSERT INTO meta VALUES (%s, '')", [f"moved {table}"])


def _told(rows: Iterable[Sequence[Any]]) -> tuple[int, str]:
    """How many rows, and what they amount to, in whatever sequence they come."""
    count, total, encode = 0, 0, msgspec.json.Encoder().encode
    for row in rows:
        count += 1
        total += int.from_bytes(sha256(encode(row)).digest())
    return count, f"{total % (1 << 256):064x}"


def _open(db: Connection[Any], identity: str, ends: dict[str, int]) -> None:
    """Let numbers go on where they were, and let the catalog be opened."""
    with db.transaction():
        for table, key in TABLES.items():
            if key in (("id",), ("hid",)) and table not in ("runs", "plans"):
                (last,) = db.execute(f"SELECT coalesce(max({key[0]}), 0) FROM {table}").fetchone() or (0,)
                if number := max(last, ends.get(table, 0)):
                    db.execute("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", [table, key[0], number])
        db.execute("DELETE FROM meta WHERE key = %s OR key LIKE 'moved %%'", [MOVING])
        db.execute("INSERT INTO meta VALUES ('identity', %s)", [identity])
    db.execute("ANALYZE")


__all__ = ["MoveReport", "move_catalog"]
