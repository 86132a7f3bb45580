"""Finds out whether a transaction was committed whose connection was lost during COMMIT.

One that crashed has forgotten which numbers it had given to transactions that never reached its log, and gives them to
others. So since when a server runs belongs to a transaction's name; where it was started anew, a number that was not
committed is ours for certain, and one that was may be another's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg

from catalogkit.catalog.postgres.errors import Undone
from catalogkit.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg import Connection

    # Asks by another connection, and again until it answers.
    Elsewhere = Callable[[Callable[[Connection[Any]], "Fate"]], "Fate"]

# SQL for the columns of a `Name`, asked in the transaction.
NAMED: Final = "extract(epoch FROM pg_postmaster_start_time())::text, pg_current_xact_id()::text"
_FATE: Final = (
    "SELECT here, CASE WHEN here OR $1::xid8 < pg_snapshot_xmax(pg_current_snapshot())"
    " THEN pg_xact_status($1::xid8) END"
    " FROM (SELECT extract(epoch FROM pg_postmaster_start_time())::text = $2 AS here) s"
)


class Name(NamedTuple):
    """What tells a transaction from every other: since when its server runs, and the number that it got there."""

    since: str
    number: str


class Fate(NamedTuple):
    """Whether the server still runs that a transaction ran on, and what became of its number."""

    here: bool
    became: str | None


def commit(db: Connection[Any], url: str, name: Name, elsewhere: Elsewhere) -> None:
    """End a transaction, so that it is known to have happened.

    Raises
    ------
    Undone
        If it is known not to have happened: it may be tried again.
    CatalogError
        If it had failed, or if it cannot be known.
    """
    try:
        status = db.execute("COMMIT").statusmessage
    except psycopg.OperationalError as problem:
        if not db.broken:
            raise
        fate = elsewhere(lambda other: _ask(other, url, name))
        if fate.became != "committed":
            raise Undone(f"the connection to {url} was lost; nothing was changed, try again") from problem
        if not fate.here:
            raise CatalogError(
                f"{url} was started anew at the end of a transaction; whether that happened is not known:"
                " run it again, which changes nothing where it did"
            ) from problem
        return
    if status != "COMMIT":
        raise CatalogError(f"{url}: the transaction had failed; nothing was changed")


def _ask(db: Connection[Any], url: str, name: Name) -> Fate:
    fate = Fate(*db.execute(_FATE, [name.number, name.since]).fetchone())  # type: ignore[misc]
    if fate == (True, "in progress"):
        raise Undone(f"{url} is still ending a transaction")
    return fate


__all__ = ["NAMED", "Fate", "Name", "commit"]
