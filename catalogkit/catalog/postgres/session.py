"""One transaction on a server, with the interface that the engines share."""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.raw_cursor import RawServerCursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from psycopg import Connection, Cursor

PAGE: Final = 20_000
# Literals stay as they are; a colon before a name is a parameter, two are a cast.
_WORDS: Final = re.compile(r"'(?:[^']|'')*'|::\w+|\?(\d*)|:([a-z_]+)|CROSS JOIN|NOT INDEXED")
# What tells SQLite in which sequence to look; this server finds that out by itself.
_HINTS: Final = {"CROSS JOIN": "JOIN", "NOT INDEXED": ""}


@lru_cache(maxsize=512)
def translated(sql: str) -> tuple[str, tuple[int | str, ...]]:
    """A statement with ``$1``, and which parameter each of these is: a place in a sequence, or a name."""
    order: dict[int | str, int] = {}
    places = iter(range(1_000_000))

    def word(found: re.Match[str]) -> str:
        text = found.group(0)
        if text in _HINTS:
            return _HINTS[text]
        if text[0] == "?":
            name: int | str = int(found.group(1)) - 1 if found.group(1) else next(places)
        elif found.group(2):
            name = found.group(2)
        else:
            return text
        return f"${order.setdefault(name, len(order) + 1)}"

    return _WORDS.sub(word, sql), tuple(order)


class Session:
    """A transaction; it belongs to the thread that began it."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self._streams: list[RawServerCursor[Any]] = []

    def execute(self, sql: str, parameters: Any = (), /) -> Cursor[Any]:
        """Carry out one statement."""
        text, order = translated(sql)
        return self.connection.execute(text, [parameters[name] for name in order])

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Carry out one statement for each row of parameters, without waiting for each."""
        text, order = translated(sql)
        with self.connection.cursor() as cursor:
            cursor.executemany(text, [[row[name] for name in order] for row in parameters])  # type: ignore[index]

    def stream(self, sql: str, parameters: Any = ()) -> RawServerCursor[Any]:
        """Ask for more rows than should stand in memory at once: they stay on the server until they are fetched."""
        text, order = translated(sql)
        cursor: RawServerCursor[Any] = RawServerCursor(self.connection, f"stream_{len(self._streams)}")
        cursor.itersize = PAGE
        self._streams.append(cursor)
        return cursor.execute(text, [parameters[name] for name in order], binary=True)

    def attempt(self, sql: str, parameters: Sequence[Any]) -> int | str:
        """How many rows a statement changed, or by which rule it was refused, which undoes the statement alone."""
        from catalogkit.catalog.postgres.errors import QUOTA

        self.connection.execute("SAVEPOINT attempt")
        try:
            count = self.execute(sql, parameters).rowcount
        except psycopg.IntegrityError as problem:
            why = problem.diag.message_primary or "a rule of the catalog forbids it"
            if why.startswith(QUOTA):  # no guard of one step: it ends the transaction
                raise
            self.connection.execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
            return why
        self.connection.execute("RELEASE SAVEPOINT attempt")
        return count

    def copy(self, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add many rows by the server's bulk protocol, which takes in the first while the next are being made."""
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary)") as copy,
        ):
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def end(self, how: Callable[[], object]) -> None:
        """End the transaction; what was still being fetched ends with it."""
        for cursor in self._streams:
            with contextlib.suppress(psycopg.Error):
                cursor.close()
        self._streams.clear()
        how()
