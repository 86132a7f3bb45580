"""Keeps other writers away while bytes are removed, even if the server ends the session that does so.

The executor looks whether anybody needs a file and removes it inside one transaction, whose lock keeps others from
beginning to need it. A server can end a session at any moment, and its locks with it, while the program goes on for
another breath. So before the first removal of a transaction a row is written, by a connection of its own, and then the
session is asked whether it is still there: from then on its end cannot go unnoticed. The transaction takes the row
away as its last act. Whoever gets the lock and finds a row waits until the program is done, or is known to be dead.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

import psycopg

from catalogkit.catalog.postgres.errors import driver_errors
from catalogkit.catalog.sql.base import Promise as Common
from catalogkit.errors import CatalogBusy, CatalogError
from catalogkit.owners import new_owner, process_is_gone, retire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.catalog.sql.base import Session

    Connect = Callable[[], contextlib.AbstractContextManager[psycopg.Connection[Any]]]

# A program renews its row when a removal comes later than that, and removes nothing once it is as old as OLD; whoever
# waits for a program on another machine waits as long as LEASE. Between the two lies what one removal may take.
FRESH, OLD, LEASE = 20.0, 60.0, 180.0
_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
# The last statement of whatever begins a transaction that writes.
LOOK: Final = f"SELECT id, owner, until_us < {_NOW} FROM hands"
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine is suspended


def _now() -> float:
    return time.clock_gettime(_CLOCK)


class Promise(Common):
    """The word of one transaction that removes bytes; `connect` opens connections beside its own."""

    def __init__(self, url: str, connect: Connect) -> None:
        self.url, self._connect = url, connect
        self._id, self._owner, self._since = uuid.uuid4().hex, "", 0.0
        self.given = False

    def renew(self, db: Session) -> None:
        """Before bytes go: give the word, or renew it.

        Raises
        ------
        CatalogBusy
            If the session has ended, or the word is too old to be relied on: nothing more must be removed.
        """
        began = _now()
        if self.given and began - self._since < FRESH:
            return
        if self.given and began - self._since > OLD:
            raise CatalogBusy(f"{self.url}: this batch was held up for too long; run it again")
        self._owner = self._owner or new_owner()
        with driver_errors(self.url), self._connect() as beside:
            until = f"{_NOW} + {LEASE * 1e6:.0f}"
            if self.given:
                renewed = beside.execute(f"UPDATE hands SET until_us = {until} WHERE id = %s", [self._id]).rowcount
                if not renewed:
                    raise CatalogBusy(f"{self.url}: this batch was taken for dead; run it again")
            else:
                self.given = True  # whatever becomes of the statement
                beside.execute(f"INSERT INTO hands VALUES (%s, %s, {until})", [self._id, self._owner])
        # Had the session ended before the row was there, somebody may have come in between.
        db.execute("SELECT 1")
        self._since = began

    def end(self, db: Session) -> None:
        """The last act of a transaction: what it removed is a fact with it."""
        if self.given:
            db.execute("DELETE FROM hands WHERE id = ?", (self._id,))

    @contextlib.contextmanager
    def lasting(self, patiently: Callable[[Callable[[], None]], None]) -> Iterator[Promise]:
        """The word holds as long as this is open, and is taken back where the transaction could not do so."""
        try:
            yield self
        except BaseException:
            if self.given:
                with contextlib.suppress(CatalogError):  # the server is away: the row ends by itself
                    patiently(self._take_back)
            raise
        finally:
            retire(self._owner)

    def _take_back(self) -> None:
        with driver_errors(self.url), self._connect() as beside:
            beside.execute("DELETE FROM hands WHERE id = %s", [self._id])


def over(db: psycopg.Connection[Any], rows: list[tuple[str, str, bool]]) -> bool:
    """Whether all these hands are known to be at it no longer; their rows go then, with the transaction."""
    if not all(late or process_is_gone(owner) for _, owner, late in rows):
        return False
    for number, *_ in rows:
        db.execute("DELETE FROM hands WHERE id = $1", [number])
    return True
