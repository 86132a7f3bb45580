"""What the shared SQL needs from an engine: transactions, and the few things that each writes differently."""

from __future__ import annotations

import contextlib
import itertools
import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
    from contextlib import AbstractContextManager

    import polars as pl

CHUNK: Final = 1_000
LAST: Final = 9223372036854775807  # what is there now comes after every change
T = TypeVar("T")


class Cursor(Protocol):
    """The rows of a statement."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def fetchmany(self, size: int, /) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Session(Protocol):
    """A transaction. Parameters are ``?``, ``?1`` or ``:name``."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor:
        """Carry out one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Carry out one statement for each row of parameters."""

    def stream(self, sql: str, parameters: Any = ...) -> Cursor:
        """Ask for more rows than should stand in memory at once."""

    def attempt(self, sql: str, parameters: Sequence[Any]) -> int | str:
        """How many rows a statement changed, or by which rule it was refused; the transaction goes on."""


class Promise:
    """The word of a transaction that nobody else begins to need bytes while it removes some."""

    def renew(self, db: Session) -> None:
        """Before bytes go: give the word, or renew it. A lock that its program alone can end needs none."""

    def end(self, db: Session) -> None:
        """The last act of the transaction."""


class Database:
    """An open catalog of some engine."""

    # SQL for the highest id that a table ever gave, 0 for none.
    sequence: ClassVar[str]
    # SQL that makes a table of keys, ids or digests, which goes with the transaction or the connection.
    id_table: ClassVar[str]
    digest_table: ClassVar[str]
    # What stands before a table's name where a common table expression has the same one.
    schema: ClassVar[str]
    # SQL for the numbers of a list that comes as JSON.
    listed: ClassVar[str]
    # How a column of text is declared that is compared as the catalog's own are.
    text_column: ClassVar[str]
    # The number of the schema that this program writes.
    newest_schema: ClassVar[int]
    # Whether it follows another server, where a lower number may appear after a higher one.
    replica: bool = False

    @abstractmethod
    def write(
        self, operation: str, at_us: int | None = None, run_id: str = "", *, alone: bool = True
    ) -> AbstractContextManager[Session]:
        """A transaction that changes something.

        Where an engine lets several write at once, nobody does beside one that is `alone`; the others only add facts,
        and never take away what a third one may rely on.
        """

    @abstractmethod
    def read(self) -> AbstractContextManager[Session]:
        """One consistent view for several statements."""

    def still(self) -> AbstractContextManager[Session]:
        """A consistent view in which no change is missing that has a lower number than one that is there."""
        return self.read()

    @abstractmethod
    def apart(self) -> AbstractContextManager[Session]:
        """One consistent view for as long as it takes, by a connection of its own; temporary tables can be made."""

    @abstractmethod
    def rows(self, sql: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        """All rows of one statement."""

    @contextlib.contextmanager
    def promise(self) -> Iterator[Promise]:
        """What a transaction that removes bytes gives its word by."""
        yield Promise()

    def frame_of(self, sql: str, columns: Mapping[str, pl.DataType], parameters: Any = ()) -> pl.DataFrame:
        """All rows of one statement as a frame."""
        with self.read() as db:
            return framed(db.stream(sql, parameters), columns)


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Items in lists of at most so many."""
    source = iter(items)
    while part := list(itertools.islice(source, size)):
        yield part


def placeholders(values: Sized) -> str:
    """A ``?`` for each of these values."""
    return ", ".join("?" * len(values))


def framed(cursor: Cursor, columns: Mapping[str, pl.DataType], limit: float = math.inf) -> pl.DataFrame:
    """The next rows of a statement, by default all, as a frame: digests, which travel as bytes, become hex digits,
    and JSON becomes lists.

    Where there are more than `limit`, just as many come: in chunks, so that a table of millions never stands in memory
    as Python objects.
    """
    import polars as pl

    stored = {pl.Datetime: pl.Int64(), pl.Boolean: pl.Int64(), pl.List: pl.String()}
    raw = {name: stored.get(type(kind), kind) for name, kind in columns.items()}
    if "sha256" in raw:
        raw["sha256"] = pl.Binary()
    parts, height = [pl.DataFrame(schema=raw)], 0
    while height < limit and (rows := cursor.fetchmany(int(min(CHUNK, limit - height)))):
        # Column by column, and few rows at a time: that costs a fifth less than whole rows, which Polars has to part.
        columnar = zip(raw.items(), zip(*rows, strict=True), strict=True)
        parts.append(pl.DataFrame([pl.Series(name, values, dtype=kind) for (name, kind), values in columnar]))
        height += len(rows)
    whole = pl.concat(parts)
    if "sha256" in raw:
        # A statement that made text of them already would have that turned into hex digits once more.
        assert not (whole["sha256"].bin.size() != 32).any(), "digests come as bytes"
        whole = whole.with_columns(pl.col("sha256").bin.encode("hex"))
    lists = [pl.col(name).str.json_decode(kind) for name, kind in columns.items() if isinstance(kind, pl.List)]
    return whole.with_columns(lists).cast(columns)  # type: ignore[arg-type]
