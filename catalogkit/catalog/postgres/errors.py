"""Turns the PostgreSQL driver's errors into catalogkit's, with what to do next and without secrets."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from catalogkit.errors import CatalogBusy, CatalogError, ConstraintError, InvalidInput, QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTA: Final = "quota of "  # how triggers begin to say that one is used up


class Undone(CatalogBusy):
    """Nothing of a transaction happened, for a reason that lies in the moment: it may be tried again as it was."""


# The server chose this transaction to give way to another.
_GAVE_WAY: Final = (errors.SerializationFailure, errors.DeadlockDetected)
_FULL: Final = (errors.DiskFull, errors.OutOfMemory)
_LOST: Final = (
    errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.IdleInTransactionSessionTimeout,
    errors.IdleSessionTimeout, errors.TooManyConnections, psycopg.InterfaceError,
)  # fmt: skip


@contextlib.contextmanager
def driver_errors(url: str) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except psycopg.Error as problem:
        raise translated(problem, url) from problem
    except (OverflowError, UnicodeEncodeError) as problem:
        raise InvalidInput(f"a value does not fit the catalog: {problem}") from problem


def translated(problem: psycopg.Error, url: str) -> CatalogError | InvalidInput:
    """Our error for one of the driver's; `url` is the catalog's address as it may be shown."""
    text = problem.diag.message_primary or type(problem).__name__
    if isinstance(problem, _GAVE_WAY):
        return Undone(f"another program was writing to {url} at the same time; try again")
    if isinstance(problem, errors.LockNotAvailable):
        return CatalogBusy(f"another program has been writing to {url} for too long; try again")
    if isinstance(problem, errors.QueryCanceled):
        return CatalogBusy(f"{url} took longer than its statement_timeout; try again, or raise it in the address")
    if isinstance(problem, psycopg.IntegrityError):
        if text.startswith(QUOTA):
            return QuotaExceeded(f"the {text} is used up; forget some first, or have it raised")
        return ConstraintError(f"the catalog refused the change: {text}")
    if isinstance(problem, _FULL):
        return CatalogError(f"no room left for {url}: {text}; free some space, nothing was lost")
    if isinstance(problem, psycopg.DataError | errors.ProgramLimitExceeded | errors.UntranslatableCharacter):
        return InvalidInput(f"a value does not fit the catalog: {text}")
    if isinstance(problem, errors.ReadOnlySqlTransaction):
        return CatalogError(f"{url} can only be read: it is a replica; write to the primary server")
    if isinstance(problem, errors.InsufficientPrivilege):
        return CatalogError(f"the database does not let this user do that: {text}")
    if isinstance(problem, PoolClosed):
        return CatalogError(f"the catalog {url} was closed; open it again")
    if isinstance(problem, PoolTimeout | TooManyRequests):
        return Undone(f"{url} cannot be reached, or all connections are in use; try again")
    if isinstance(problem, _LOST) or (isinstance(problem, psycopg.OperationalError) and problem.sqlstate is None):
        return Undone(f"the connection to {url} was lost; try again")
    return CatalogError(f"{url}: {text}")
