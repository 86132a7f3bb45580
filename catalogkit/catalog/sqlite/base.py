"""The SQLite connection: opening, transactions, errors, identity."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from catalogkit.catalog.sql.base import Database as Common
from catalogkit.catalog.sqlite.migrations import MIGRATIONS, migrate, recognize
from catalogkit.errors import CatalogBusy, CatalogError, ConstraintError, InvalidInput, QuotaExceeded
from catalogkit.model import from_us, to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime


BUSY_SECONDS: Final = 60.0
QUOTA: Final = "quota of "  # how triggers begin to say that one is used up
MINIMUM_SQLITE: Final = (3, 37, 0)  # STRICT tables


def sqlite_version() -> tuple[int, ...]:
    """The version of the SQLite that this Python has."""
    return sqlite3.sqlite_version_info


class Connection(sqlite3.Connection):
    """A connection with the words that the engines share."""

    def stream(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        """Ask for many rows: SQLite never has more than one of them in its hands."""
        return self.execute(sql, parameters)

    def attempt(self, sql: str, parameters: Sequence[Any]) -> int | str:
        """How many rows a statement changed, or by which rule it was refused, which undoes the statement alone."""
        try:
            return self.execute(sql, parameters).rowcount
        except sqlite3.IntegrityError as problem:
            if str(problem).startswith(QUOTA):  # no guard of one step: it ends the transaction
                raise
            return str(problem)


class Database(Common):
    """One SQLite file, opened once; safe to use from several threads, one statement batch at a time.

    Parameters
    ----------
    path
        The database file.
    create
        Whether a file that is not there may be made; otherwise a mistyped path would become an empty catalog.
    identity
        Whose catalog a new one is; a name of its own without it.
    as_of
        When a new catalog is made, or an older one upgraded.
    busy_seconds
        How long to wait while another program writes.
    looking
        Whether it is opened for a look only: an older schema stays as it is, and nothing is written.

    Raises
    ------
    CatalogError
        If the file is missing, is not a catalog, or SQLite is too old.
    SchemaTooNew
        If a newer catalogkit wrote it.
    """

    # FULL: a committed row outlives a power cut; the bytes it names were made durable before it.
    synchronous: ClassVar[str] = "FULL"
    sequence = "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{}')"
    id_table = "CREATE TEMP TABLE {} (key INTEGER PRIMARY KEY)"
    digest_table = "CREATE TEMP TABLE {} (key BLOB PRIMARY KEY) WITHOUT ROWID"
    schema = "main."
    listed = "SELECT value FROM json_each({})"
    text_column = "TEXT NOT NULL"
    newest_schema = MIGRATIONS[-1].version

    def __init__(
        self,
        path: Path | str,
        *,
        create: bool = False,
        as_of: datetime,
        busy_seconds: float = BUSY_SECONDS,
        identity: str | None = None,
        looking: bool = False,
    ) -> None:
        if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
            raise CatalogError(f"SQLite {sqlite3.sqlite_version} is too old; catalogkit needs 3.37 or newer")
        self.path = Path(path).absolute()
        self._new = identity or uuid.uuid4().hex
        self.url = f"sqlite:///{self.path}"
        self.home = os.path.realpath(self.path)
        if not create and not self.path.is_file():
            raise CatalogError(
                f"there is no catalog at {self.path}; where one was lost, `catalogkit recover BACKUP` brings it back,"
                " without a backup `catalogkit rebuild`; a new collection is made with `catalogkit init`"
            )
        if create:
            if self.path.exists() and not self.path.is_file():
                raise CatalogError(f"{self.path} is not a file; choose a place where nothing lies yet")
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise CatalogError(f"no folder for a catalog at {self.path}: {problem.strerror}") from problem
        self._lock = threading.RLock()
        with driver_errors(self.path):
            # mode=rw: a file that goes away at this moment is not made anew, empty, either. Who only looks, copies back
            # no log that a crash left; without one, a reader would leave an empty log behind, and a writer does not.
            there = looking and os.path.exists(f"{self.home}-wal")
            mode = "rwc" if create else "ro" if there else "rw"
            self._db = sqlite3.connect(
                f"{self.path.as_uri()}?mode={mode}", uri=True, timeout=busy_seconds,
                isolation_level=None, check_same_thread=False, cached_statements=256, factory=Connection,
            )  # fmt: skip
            try:
                self._db.create_function("utc", 1, _utc, deterministic=True)
                self._db.execute(f"PRAGMA synchronous = {self.synchronous}")
                self._db.create_function("ckit_folded", 1, _folded, deterministic=True)
                self._db.execute("PRAGMA recursive_triggers = ON")
                self._db.execute("PRAGMA secure_delete = OFF")
                self._db.execute("PRAGMA temp_store = MEMORY")
                self._db.execute("PRAGMA cache_size = -65536")
                # A batch of ingest is more than the default 1000 pages: each would wait for a checkpoint of its own.
                self._db.execute("PRAGMA wal_autocheckpoint = 4000")
                if looking:
                    recognize(self._db)
                else:
                    migrate(self._db, to_us(as_of), create=create)
                # Only now: a migration may have to take a table apart that others refer to, and checks at its end.
                self._db.execute("PRAGMA foreign_keys = ON")
                # Only now, so that a file that is no catalog was not touched.
                if not looking:
                    self._log_ahead()
                self.identity = self._identity(create)
            except BaseException:
                self._db.close()
                raise

    def _log_ahead(self) -> None:
        """Switch to write-ahead logging, which the file keeps; of several that open it at once, one sees to it."""
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as problem:
            if "locked" not in str(problem):
                raise

    def _identity(self, create: bool) -> str:
        if create:
            self._db.execute("INSERT INTO meta VALUES ('identity', ?) ON CONFLICT DO NOTHING", (self._new,))
        row = self._db.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        if row is None:
            raise CatalogError(f"{self.path} has no identity; it is not a whole catalog: restore it from a backup")
        return str(row[0])

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        with self._lock:
            self._db.close()

    # -- transactions ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def write(
        self, operation: str, at_us: int | None = None, run_id: str = "", *, alone: bool = True
    ) -> Iterator[Connection]:
        """A transaction that knows it will write (so that it never fails half way for want of the lock).

        Here every writer is `alone`.
        """
        with self._lock, driver_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.execute("UPDATE txn SET at_us = ?, operation = ?, run_id = ?", (at_us, operation, run_id))
                yield self._db
                self._db.execute("UPDATE txn SET at_us = NULL, operation = NULL, run_id = NULL")
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view for several statements; inside a transaction of this thread, that one's."""
        with self._lock, driver_errors(self.path):
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("ROLLBACK")

    @contextlib.contextmanager
    def apart(self) -> Iterator[Connection]:
        """One consistent view by a connection of its own: nobody waits for it."""
        with driver_errors(self.path):
            db = sqlite3.connect(
                f"{self.path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False,
                factory=Connection,
            )  # fmt: skip
            with contextlib.closing(db):
                db.execute("PRAGMA temp_store = MEMORY")
                db.execute("PRAGMA cache_size = -65536")
                db.execute("BEGIN")
                yield db

    def rows(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        with self._lock, driver_errors(self.path):
            return self._db.execute(sql, parameters).fetchall()

    def integrity(self) -> list[str]:
        """What SQLite finds wrong with its file and its references; empty is good."""
        return problems(self.rows)


def problems(ask: Callable[[str], Iterable[Any]]) -> list[str]:
    """What SQLite finds wrong with a file and its references; empty is good."""
    found = [row[0] for row in ask("PRAGMA integrity_check") if row[0] != "ok"]
    broken = ask("PRAGMA foreign_key_check")
    return found + [f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there" for row in broken]


def _utc(us: int) -> str | None:
    """A time in words, to the second; None where the calendar has no such year."""
    try:
        return f"{from_us(us - us % 1_000_000):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return None


def _folded(value: object) -> str | None:
    """What `words.folded` makes of a value, for statements."""
    from catalogkit.words import folded

    return None if value is None else folded(str(value))


@contextlib.contextmanager
def driver_errors(path: Path) -> Iterator[None]:
    """Turn the driver's errors into ours, each with what to do next."""
    try:
        yield
    except sqlite3.IntegrityError as problem:
        if str(problem).startswith(QUOTA):
            raise QuotaExceeded(f"the {problem} is used up; forget some first, or have it raised") from problem
        raise ConstraintError(f"the catalog refused the change: {problem}") from problem
    except sqlite3.ProgrammingError as problem:
        if "closed" in str(problem):
            raise CatalogError(f"the catalog {path} was closed; open it again") from problem
        raise InvalidInput(f"a value does not fit the catalog: {problem}") from problem
    except sqlite3.OperationalError as problem:
        text = str(problem)
        if "locked" in text or "busy" in text:
            raise CatalogBusy(f"another program has been writing to {path} for too long; try again") from problem
        if "full" in text:
            raise CatalogError(f"no room left for {path}: {text}; free some space, nothing was lost") from problem
        if not os.access(path.parent, os.W_OK, effective_ids=True):
            raise CatalogError(
                f"{path} cannot be used: its folder cannot be written, and SQLite needs that even for reading;"
                " copy the collection to where it can"
            ) from problem
        raise CatalogError(f"{path}: {text}") from problem
    except (sqlite3.DataError, OverflowError, UnicodeEncodeError) as problem:
        raise InvalidInput(f"a value does not fit the catalog: {problem}") from problem
    except sqlite3.DatabaseError as problem:
        raise CatalogError(
            f"{path} is damaged or not a catalog: {problem}; `catalogkit recover BACKUP` brings it back"
        ) from problem
