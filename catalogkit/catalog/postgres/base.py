"""The connection to a PostgreSQL server: opening, transactions, writers beside each other, retries.

**Isolation.** Readers see one moment (REPEATABLE READ) and never wait. Writers are READ COMMITTED, and begin with an
advisory lock: whoever may take away what another relies on (the executor's hand, holds, moments, an audit's second
look) writes *alone*, as on the embedded engine; whoever only adds facts (ingest, checks, accesses, runs) shares the
lock with others of the kind. The lock is the first statement and each one after it sees all that was committed before,
so a lone writer's transaction is serial with every other one, and needs no retries. Those that share it meet on rows
only, which they lock in one order; where the server ends one all the same (a deadlock, a key that another just
took), nothing of it happened, and it is done anew.

**Numbers in sequence.** Ids and history are numbered before they are committed. Who asks where history stands waits
for a moment without shared writers (a second lock), so that no lower number can appear later.

**Lost connections.** Before COMMIT was sent nothing happened: methods are repeated. Afterwards the server is asked
what became of the transaction (`fate.py`).
"""

from __future__ import annotations

import contextlib
import functools
import threading
import uuid
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
import tenacity
from psycopg.raw_cursor import RawCursor
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper, IntLoader
from psycopg.types.string import BytesBinaryDumper
from psycopg_pool import ConnectionPool

from catalogkit.catalog.postgres.errors import Undone, driver_errors
from catalogkit.catalog.postgres.fate import NAMED, Name, commit
from catalogkit.catalog.postgres.hands import LOOK, Promise, over
from catalogkit.catalog.postgres.lists import Lists
from catalogkit.catalog.postgres.migrations import LOCK, MIGRATIONS, STILL, WRITE, migrate, pending
from catalogkit.catalog.postgres.session import Session
from catalogkit.catalog.sql.base import Database as Common
from catalogkit.catalog.urls import parameters, public
from catalogkit.errors import CatalogError
from catalogkit.model import to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

BUSY_SECONDS: Final = 60.0
CONNECTIONS: Final = 8
# A statement that runs for so long has gone wrong; one that waits for its program holds up others.
STATEMENT_SECONDS: Final = 900
IDLE_SECONDS: Final = 900
# A machine that is gone without a word is taken for gone within two minutes, at either end: what a program at one end
# holds locked, and what one at the other waits for, ends with it.
_ALIVE: Final = {"keepalives_idle": 60, "keepalives_interval": 15, "keepalives_count": 4}
_BEGIN: Final = (
    "BEGIN; SELECT {lock}, set_config('catalogkit.at_us', %s, true), set_config('catalogkit.operation', %s, true),"
    f" set_config('catalogkit.run_id', %s, true), {NAMED}; "
    + LOOK  # a statement of its own, which sees what was committed before the lock was there
)
_ALONE: Final = _BEGIN.format(lock=f"pg_advisory_xact_lock({LOCK}, {WRITE})")
_SHARED: Final = _BEGIN.format(
    lock=f"pg_advisory_xact_lock_shared({LOCK}, {WRITE}), pg_advisory_xact_lock_shared({LOCK}, {STILL})"
)
_WHO: Final = (
    "SELECT value, 'postgresql:' || system_identifier || '/' || current_database() || '/' || current_schema()"
    " FROM meta, pg_control_system() WHERE key = 'identity'"
)
# A catalog that is still being moved here gets its identity at the end.
_NEW: Final = (
    "INSERT INTO meta SELECT 'identity', %s WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = 'moving')"
    " ON CONFLICT DO NOTHING"
)
_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

R = TypeVar("R")


class Database(Common):
    """A catalog in one schema of a PostgreSQL database; safe to use from several threads, each with its connection.

    Parameters
    ----------
    url
        ``postgresql://user@host:port/database``; a password is better left to ``~/.pgpass`` or ``PGPASSWORD``.
    create
        Whether an empty database becomes a catalog.
    identity
        Whose catalog a new one is; a name of its own without it.
    password
        The user's, where the address has none.
    reader
        Whether it is opened for a reader, from whom the server keeps others' rows. For everybody else the server is
        told to refuse rather than to leave rows out: who saw a part only would take the rest for garbage.
    looking
        Whether it is opened for a look only: an older schema stays as it is, and the server refuses changes.
    as_of
        When a new catalog is made, or an older one upgraded.
    busy_seconds
        How long to wait while another program writes, and for a server that is not there.

    Raises
    ------
    CatalogError
        If the server cannot be reached, or there is no catalog in the database.
    SchemaTooNew
        If a newer catalogkit wrote it.
    """

    sequence = "(SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {}_id_seq)"
    id_table = "CREATE TEMP TABLE {} (key bigint PRIMARY KEY) ON COMMIT DROP"
    digest_table = "CREATE TEMP TABLE {} (key bytea PRIMARY KEY) ON COMMIT DROP"
    schema = ""
    listed = "SELECT CAST(json_array_elements_text(CAST({} AS json)) AS bigint)"
    text_column = 'text COLLATE "C" NOT NULL'
    newest_schema = MIGRATIONS[-1].version

    def __init__(
        self,
        url: str,
        *,
        create: bool = False,
        as_of: datetime,
        busy_seconds: float = BUSY_SECONDS,
        identity: str | None = None,
        password: str | None = None,
        reader: bool = False,
        looking: bool = False,
    ) -> None:
        given: dict[str, Any] = ({"password": password} if password else {}) | parameters(url)
        self.url, self._seconds = public(url), max(busy_seconds, 1.0)
        limits = {
            "lock_timeout": max(round(busy_seconds * 1000), 1),
            "statement_timeout": STATEMENT_SECONDS * 1000,
            "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
            **{f"tcp_{name}": value for name, value in _ALIVE.items()},
            **({"default_transaction_read_only": "on"} if reader or looking else {}),
            **({} if reader else {"row_security": "off"}),
        }
        options = " ".join(f"-c {name}={value}" for name, value in limits.items())
        given |= {"options": f"{options} {given.get('options', '')}".strip(), "autocommit": True}
        settings: dict[str, Any] = {"application_name": "catalogkit", "connect_timeout": 10} | _ALIVE | given
        with reached(self.url), psycopg.connect(**settings) as db, driver_errors(self.url):
            if looking:
                pending(db)
            else:
                migrate(db, to_us(as_of), create=create)
            row = db.execute(_WHO).fetchone()
            self.replica: bool = db.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
            if row is None and create and not self.replica:
                db.execute(_NEW, [identity or uuid.uuid4().hex])
                row = db.execute(_WHO).fetchone()
        if row is None:
            raise CatalogError(f"{self.url} has no identity; it is not a whole catalog: restore it from a backup")
        self.identity, self.home = row
        self._local = threading.local()
        # Not kept as it is: there may be a password in it.
        self._beside: Callable[[], psycopg.Connection[Any]] = lambda: psycopg.connect(**settings)
        self._pool = ConnectionPool(
            kwargs={**settings, "cursor_factory": RawCursor}, min_size=1, max_size=CONNECTIONS, timeout=self._seconds,
            configure=_configure, name="catalogkit", open=True,
        )  # fmt: skip
        # Asked before its first connection is there, it would open a second one, and go on with both by turns.
        with driver_errors(self.url):
            self._pool.wait(self._seconds)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def close(self) -> None:
        """Give the connections back; closing twice is fine."""
        self._pool.close()

    # -- transactions ------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def write(
        self, operation: str, at_us: int | None = None, run_id: str = "", *, alone: bool = True
    ) -> Iterator[Session]:
        """A transaction that writes, `alone` or beside others that only add facts."""
        if self._open_session() is not None:
            raise CatalogError("a transaction is open in this thread already")
        with driver_errors(self.url), self._borrowed() as db:
            about = ["" if at_us is None else str(at_us), operation, run_id]
            with psycopg.ClientCursor(db) as cursor:
                cursor.execute(_ALONE if alone else _SHARED, about)
                cursor.nextset()
                name = Name(*cursor.fetchone()[-2:])  # type: ignore[index]
                cursor.nextset()
                hands = cursor.fetchall()
            with self._session(db) as session:
                if hands and not over(db, hands):
                    raise Undone(f"a program that removes bytes has lost its connection to {self.url}; try again")
                yield session
                session.end(functools.partial(commit, db, self.url, name, self._elsewhere))

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent view for several statements; inside a transaction of this thread, that one's."""
        if (within := self._open_session()) is not None:
            yield within
            return
        with driver_errors(self.url), self._borrowed() as db:
            db.execute(_READ)
            with self._session(db) as session:
                yield session
                session.end(functools.partial(db.execute, "COMMIT"))

    @contextlib.contextmanager
    def apart(self) -> Iterator[Session]:
        """One consistent view that begins when no numbered change is half way; nobody waits for its end.

        A replica cannot wait for that: whoever goes by numbers there takes all there is.
        """
        if self.replica:
            with self.read() as session:
                yield session
            return
        with driver_errors(self.url), self._borrowed() as db:
            db.execute(f"SELECT pg_advisory_lock({LOCK}, {STILL})")
            try:
                db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                db.execute("SELECT count(*) FROM migrations")
            finally:
                db.execute(f"SELECT pg_advisory_unlock({LOCK}, {STILL})")
            with self._session(db, ours=False) as session:
                yield session
                session.end(functools.partial(db.execute, "ROLLBACK"))

    @contextlib.contextmanager
    def still(self) -> Iterator[Session]:
        """A view that begins when no numbered change is half way; inside a transaction of this thread, that one's."""
        if (within := self._open_session()) is not None:
            yield within
            return
        with self.apart() as session:
            yield session

    def rows(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        if (within := self._open_session()) is not None:
            return within.execute(sql, parameters).fetchall()
        db = None
        try:  # plainly, for what is asked thousands of times
            db = self._pool.getconn()
            return Session(db).execute(sql, parameters).fetchall()
        except (psycopg.Error, OverflowError, UnicodeEncodeError):
            with driver_errors(self.url):
                raise
        finally:
            if db is not None:
                self._give_back(db)

    def _open_session(self) -> Session | None:
        return getattr(self._local, "session", None)

    @contextlib.contextmanager
    def _session(self, db: psycopg.Connection[Any], *, ours: bool = True) -> Iterator[Session]:
        """A session, which reads of this thread join if it is `ours`, until it ends."""
        session = Session(db)
        if ours:
            self._local.session = session
        try:
            yield session
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                session.end(functools.partial(db.execute, "ROLLBACK"))
            raise
        finally:
            if ours:
                self._local.session = None

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[psycopg.Connection[Any]]:
        db = self._pool.getconn()
        try:
            yield db
        finally:
            self._give_back(db)

    def _give_back(self, db: psycopg.Connection[Any]) -> None:
        lost = db.broken
        self._pool.putconn(db)
        if lost:  # the others are likely lost as well: each is looked at before it is used again
            self._pool.check()

    @contextlib.contextmanager
    def promise(self) -> Iterator[Promise]:
        """The word that nobody else begins to need bytes while a transaction removes some."""
        made = Promise(self.url, self._beside)
        with made.lasting(self._patiently):
            yield made

    # -- trying again ------------------------------------------------------------------------------------------

    def _patiently(self, act: Callable[[], R]) -> R:
        """Do what may be done again, until it is not undone or the time is over."""
        with contextlib.suppress(Undone):  # nearly always the first time, which pays for no machinery
            return act()
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Undone),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=2.0),
            stop=tenacity.stop_after_delay(self._seconds),
            reraise=True,
        )(act)

    def _elsewhere(self, ask: Callable[[psycopg.Connection[Any]], R]) -> R:
        """Ask by another connection, until there is an answer or the time is over."""

        def once() -> R:
            with driver_errors(self.url), self._borrowed() as db:
                return ask(db)

        return self._patiently(once)


@contextlib.contextmanager
def reached(url: str) -> Iterator[None]:
    """Say clearly that there is no server, or that it does not let us in, and nothing about how we tried."""
    try:
        yield
    except psycopg.OperationalError as problem:
        refused = any(word in str(problem) for word in ("authentication", "password", "pg_hba"))
        why = (
            "the server does not accept that user or password; see ~/.pgpass and PGPASSWORD"
            if refused
            else "the server does not answer, or has no such database"
        )
    else:
        return
    raise CatalogError(f"{url} cannot be opened: {why}")


@contextlib.contextmanager
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own, for what takes long and is done once."""
    shown, settings = public(url), _ALIVE | parameters(url)
    with reached(shown), psycopg.connect(**settings, autocommit=True) as db, driver_errors(shown):  # type: ignore[arg-type]
        yield db


def _configure(db: psycopg.Connection[Any]) -> None:
    # Numbers always travel as bigint, so that a statement is prepared once; sums come back as numbers, not decimals.
    db.adapters.register_dumper(int, Int8Dumper)
    db.adapters.register_dumper(int, Int8BinaryDumper)
    db.adapters.register_loader("numeric", IntLoader)
    # As text, each of thousands of digests in a list would be looked through for what needs quotes.
    db.adapters.register_dumper(list, Lists)
    # The last that is registered writes bytes for COPY, and the driver's last one looks twice at each.
    db.adapters.register_dumper(bytes, BytesBinaryDumper)
    # A committed row outlives a power cut; the bytes it names were made durable before it.
    db.execute(
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )


def again(method: Callable[..., R]) -> Callable[..., R]:
    """A method that is one transaction, done anew where nothing of it happened for reasons of the moment."""

    @functools.wraps(method)
    def patient(self: Database, *args: Any, **kwargs: Any) -> R:
        if self._open_session() is not None:
            return method(self, *args, **kwargs)
        # What can be gone through once only is kept for the next time.
        held = [list(one) if hasattr(one, "__next__") else one for one in args]
        named = {name: list(one) if hasattr(one, "__next__") else one for name, one in kwargs.items()}
        return self._patiently(lambda: method(self, *held, **named))

    return patient


__all__ = ["Database", "again", "connection"]
