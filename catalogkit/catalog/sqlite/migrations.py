"""The schema's versions: which are applied, which are pending, and applying them one by one.

A migration and the note that it happened are one transaction, so a crash leaves the old schema or the new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from catalogkit.catalog.sqlite.history import install_history
from catalogkit.errors import CatalogError, SchemaTooNew

if TYPE_CHECKING:
    import sqlite3

APPLICATION_ID: Final = 0x636B6974  # "ckit", in the header of the database file


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from a schema version to the next: the SQL in the file of that name."""

    version: int
    name: str

    def sql(self) -> str:
        """The statements of this step."""
        return files(__package__).joinpath(f"{self.name}.sql").read_text(encoding="utf-8")


MIGRATIONS: Final = (
    Migration(1, "core"),
    Migration(2, "plans"),
    Migration(3, "copies"),
    Migration(4, "moments"),
    Migration(5, "contents"),
    Migration(6, "quota"),
    Migration(7, "search"),
    Migration(8, "giving_up"),
    Migration(9, "sketches"),
    Migration(10, "accesses"),
    Migration(11, "notes"),
    Migration(12, "late"),
    Migration(13, "sites"),
    Migration(14, "waiting"),
    Migration(15, "overtaking"),
    Migration(16, "stands"),
    Migration(17, "leases"),
    Migration(18, "hidden"),
    Migration(19, "holding"),
)


def applied(db: sqlite3.Connection) -> list[int]:
    """The versions already applied, oldest first."""
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone()
    return [row[0] for row in db.execute("SELECT version FROM migrations ORDER BY version")] if known else []


def pending(db: sqlite3.Connection) -> list[Migration]:
    """The migrations still to apply, in order."""
    done = set(applied(db))
    return [step for step in MIGRATIONS if step.version not in done]


def recognize(db: sqlite3.Connection, *, create: bool = False) -> None:
    """Make sure that the database is a catalog of a schema that this program knows, or an older one.

    Raises
    ------
    SchemaTooNew
        If the database has a version this program does not know; nothing is changed.
    CatalogError
        If the file is some other database, or is empty and `create` is not given.
    """
    # In this order: somebody who makes the same catalog at this moment writes both at once.
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    (application,) = db.execute("PRAGMA application_id").fetchone()
    if tables and application != APPLICATION_ID:
        raise CatalogError("this SQLite file is not a catalogkit catalog; nothing was changed")
    if not tables and not create:
        raise CatalogError("this catalog file is empty; restore a backup, or make a new one with `catalogkit init`")
    newest = max(applied(db), default=0)
    if newest > MIGRATIONS[-1].version:
        raise SchemaTooNew(
            f"this catalog has schema {newest}, this catalogkit knows {MIGRATIONS[-1].version}: upgrade catalogkit"
        )


def migrate(db: sqlite3.Connection, at_us: int, *, create: bool) -> list[int]:
    """Bring the database to this program's schema; the versions applied now.

    Raises
    ------
    SchemaTooNew, CatalogError
        As `recognize` does; nothing is changed.
    """
    recognize(db, create=create)
    done: list[int] = []
    while pending(db):
        # Locked first, then looked at again: of two programs that upgrade at once, the second finds it done.
        db.execute("BEGIN IMMEDIATE")
        try:
            todo = pending(db)
            if todo:
                _apply(db, todo[0], at_us)
                done.append(todo[0].version)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return done


def _apply(db: sqlite3.Connection, step: Migration, at_us: int) -> None:
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(
        "CREATE TABLE IF NOT EXISTS migrations (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL,"
        " applied_us INTEGER NOT NULL) STRICT"
    )
    for statement in statements(step.sql()):
        db.execute(statement)
    # Last, because changing a table can drop its triggers, and history would silently stop.
    install_history(db)
    if broken := db.execute("PRAGMA foreign_key_check").fetchone():
        raise CatalogError(f"schema {step.version} would break references from {broken[0]} to {broken[2]}")
    db.execute("INSERT INTO migrations VALUES (?, ?, ?)", (step.version, step.name, at_us))


def statements(script: str) -> list[str]:
    """The single statements of an SQL script (`executescript` would commit the transaction it runs in)."""
    import sqlite3

    found, current = [], ""
    for line in script.splitlines():
        if not current and (not line.strip() or line.startswith("--")):
            continue
        current += line + "\n"
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    if current.strip():
        raise CatalogError(f"an SQL script ends in the middle of a statement: {current[:60]!r}")
    return found
