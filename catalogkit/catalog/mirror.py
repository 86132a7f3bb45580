"""The mirror: a columnar copy of the catalog in a DuckDB file beside it, for questions about millions of rows.

It has the tables ``documents``, ``blobs``, ``locations``, ``checks`` and ``contents`` (what is inside blobs) with the
columns of `model.mirrored`, and those that `catalogkit.catalog.mirroring` adds, so that duplicates come from counts and
numbers, and nobody hashes millions of digests. What no history tells, when a document was last seen, is not in it.

A refresh writes a copy of the newest file, replaces the rows that changed, with the cursor they go up to, and publishes
the copy under the next number; whoever reads the one before goes on reading it. So nobody waits, and a crash leaves the
old file or the new one. Losing the mirror loses nothing: it is built anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.answers import Answer, plain
from catalogkit.catalog.mirroring import create, take_in
from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.model import from_us, mirrored, to_us
from catalogkit.signals import operation
from catalogkit.units import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import duckdb
    import polars as pl

    from catalogkit.catalog.contract import Catalog
    from catalogkit.catalog.feed import Feed
    from catalogkit.catalog.figures import Figures

FORMAT: Final = 3
# What deleted rows leave behind grows with every refresh; a file of more than this many times its first size, or a
# refresh of more than this share of all documents, is built anew.
GROWN: Final = 2.0
MUCH: Final = 0.3
# What DuckDB may hold in memory while it writes: a third of what it would take by itself (80 % of what the machine or
# its container has), and no more than that. It puts what does not fit into a folder beside the file.
MEMORY_BYTES: Final = 1 << 30
_NO_NETWORK: Final = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


class Mirror:
    """The columnar copy of a catalog.

    Parameters
    ----------
    catalog
        The catalog it is a copy of.
    folder
        Where its files lie; anything in it may be deleted at any time.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self.catalog, self.folder = catalog, folder

    # -- asking ------------------------------------------------------------------------------------------------

    @operation("query", query="sql")
    def sql(
        self,
        query: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        refresh: bool = True,
        as_of: datetime,
    ) -> Answer:
        """Ask in DuckDB's SQL. It can read the mirror and nothing else: no file, no network, no setting.

        Parameters
        ----------
        query
            One statement.
        parameters
            Values for ``?`` or ``$1`` (a sequence), or for ``$name`` (a mapping).
        refresh
            Whether what changed since is taken in first. Where another program is just doing that, the answer is
            from before, and says as of when.
        as_of
            What time it is.

        Raises
        ------
        InvalidInput
            If it is not one statement, or DuckDB cannot carry it out.
        """
        import polars as pl

        engine = _duckdb()
        fresh = self.refresh(as_of=as_of, wait=False) if refresh else False
        try:
            if len(engine.extract_statements(query)) != 1:
                raise InvalidInput("give one SQL statement, without any other before or after it")
        except engine.Error as problem:
            raise InvalidInput(f"this is no SQL: {_first_line(problem)}") from None
        with self._reading(as_of) as (db, when):
            try:
                found = db.execute(query, parameters)
                frame: pl.DataFrame = found.pl() if found.description else _nothing()
            except (engine.IOException, engine.FatalException, engine.InternalException) as problem:
                raise CatalogError(
                    f"the mirror is damaged: {_first_line(problem)}; delete {self.folder}, it is made anew"
                ) from None
            except pl.exceptions.PolarsError:
                what = "a frame has no place for a length of time (INTERVAL); ask for epoch(...), its seconds"
                raise InvalidInput(f"the mirror cannot answer: {what}") from None
            except engine.CatalogException as problem:
                tables = ", ".join(row[0] for row in db.execute("SELECT table_name FROM duckdb_tables()").fetchall())
                raise InvalidInput(
                    f"the mirror cannot answer: {_first_line(problem)}; its tables are {tables}"
                ) from None
            except (engine.Error, ValueError) as problem:
                raise InvalidInput(f"the mirror cannot answer: {_first_line(problem)}") from None
        return Answer(plain(frame), when, not fresh)

    def frame(self, table: str, *, as_of: datetime) -> pl.DataFrame:
        """A whole table as a frame, by id or digest, with the schema `model.mirrored`."""
        names = list(mirrored(table))
        return self.sql(f"SELECT {', '.join(names)} FROM {table} ORDER BY {names[0]}", as_of=as_of).frame

    def figures(self, *, as_of: datetime) -> Figures:
        """The figures of reports, all from this moment: what changed since is taken in first."""
        from catalogkit.catalog.figures import Figures

        self.refresh(as_of=as_of)
        return Figures(*self._opened(as_of))

    # -- keeping up --------------------------------------------------------------------------------------------

    @operation("mirror_refresh")
    def refresh(self, *, as_of: datetime, wait: bool = True, anew: bool = False) -> bool:
        """Take in what changed since.

        Parameters
        ----------
        as_of
            The time to note.
        wait
            Whether to wait for another program that is doing the same; without that, and with an older mirror at hand,
            False is returned.
        anew
            Whether to build the mirror from nothing.

        Raises
        ------
        CatalogError
            If it cannot be written, as on a full disk; the catalog, and the mirror before, are what they were.
        """
        try:
            return self._refresh(as_of, wait, anew)
        except (OSError, _duckdb().Error) as problem:
            raise CatalogError(f"the mirror in {self.folder} cannot be written: {_first_line(problem)}") from problem

    def _refresh(self, as_of: datetime, wait: bool, anew: bool) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        newest = self._newest()
        with self._lock(wait or newest is None) as ours:
            if not ours:
                return False
            newest = self._newest()
            known = None if anew or newest is None else self._known(newest)
            with self.catalog.feed(known and known["cursor"]) as feed:
                if known and not feed.changed:
                    return True
                if known and newest and not feed.whole and self._worth_it(newest, known, feed):
                    self._write(feed, newest, known, as_of)
                    return True
            with self.catalog.feed(None) as feed:
                self._write(feed, None, None, as_of)
            return True

    def _worth_it(self, newest: Path, known: Mapping[str, Any], feed: Feed) -> bool:
        grown = newest.stat().st_size > GROWN * known["first_bytes"] + (1 << 24)
        changed = feed.keys("documents").height
        return not grown and changed <= max(MUCH * known["documents"], 1000)

    def _write(self, feed: Feed, base: Path | None, known: Mapping[str, Any] | None, as_of: datetime) -> None:
        """Write the next file, from the one before or from nothing, and publish it."""
        number = 1 + max((int(path.stem) for path in self.folder.glob("*.duckdb")), default=0)
        unfinished = self.folder / f"{number}.part"
        self._sweep()
        try:
            self._fill(unfinished, feed, base, known, as_of)
        except BaseException:
            self._sweep()  # it may be the room that is lacking
            raise
        os.rename(unfinished, self.folder / f"{number}.duckdb")
        for path in self._files()[1:]:
            path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what was begun and not finished: a file, its log, the folder of what did not fit into memory."""
        for leftover in self.folder.glob("*.part*"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()

    def _fill(
        self, unfinished: Path, feed: Feed, base: Path | None, known: Mapping[str, Any] | None, as_of: datetime
    ) -> None:
        if base is not None:
            shutil.copyfile(base, unfinished)
        with contextlib.closing(_written(unfinished)) as db:
            if base is None:
                # No transaction: it would hold all that was ever registered with it in memory until its end.
                create(db)
            else:
                db.execute("BEGIN")
            take_in(db, feed)
            documents = db.execute("SELECT count(*) FROM documents").fetchall()[0][0]
            about = {
                "format": FORMAT, "duckdb": _duckdb().__version__, "catalog": self.catalog.identity,
                "cursor": dict(feed.cursor), "refreshed_us": to_us(as_of), "documents": documents,
                "first_bytes": known["first_bytes"] if known else 0,
            }  # fmt: skip
            db.execute("DELETE FROM about")
            db.execute("INSERT INTO about VALUES (?)", [json.dumps(about)])
            if base is not None:
                db.execute("COMMIT")
            db.execute("CHECKPOINT")
        if base is None:
            # The size it has without deleted rows is what later ones are compared with.
            with contextlib.closing(_written(unfinished)) as db:
                about["first_bytes"] = unfinished.stat().st_size
                db.execute("UPDATE about SET told = ?", [json.dumps(about)])

    # -- files -------------------------------------------------------------------------------------------------

    def _files(self) -> list[Path]:
        """The mirror's files, newest first."""
        found = [path for path in self.folder.glob("*.duckdb") if re.fullmatch(r"\d+", path.stem)]
        return sorted(found, key=lambda path: int(path.stem), reverse=True)

    def _newest(self) -> Path | None:
        return next(iter(self._files()), None)

    def _known(self, path: Path) -> dict[str, Any] | None:
        """What a file says of itself; None where it is of another catalog, another version, or damaged."""
        engine = _duckdb()
        try:
            with contextlib.closing(_open(path)) as db:
                about: dict[str, Any] = json.loads(db.execute("SELECT told FROM about").fetchall()[0][0])
        except (engine.Error, IndexError, ValueError, OSError):
            return None
        ours = (FORMAT, engine.__version__, self.catalog.identity)
        return about if (about.get("format"), about.get("duckdb"), about.get("catalog")) == ours else None

    @contextlib.contextmanager
    def _reading(self, as_of: datetime) -> Iterator[tuple[duckdb.DuckDBPyConnection, datetime]]:
        db, when = self._opened(as_of)
        with contextlib.closing(db):
            yield db, when

    def _opened(self, as_of: datetime) -> tuple[duckdb.DuckDBPyConnection, datetime]:
        """The newest file, opened so that nothing but reading it is possible, and as of when it is."""
        for again in (True, True, False):
            path = self._newest()
            known = self._known(path) if path else None
            if path is None or known is None:
                # Nothing that can be read: it is gone, damaged, or of another version.
                self.refresh(as_of=as_of)
                continue
            try:
                db = _open(path)
            except _duckdb().Error as problem:
                if again:
                    continue  # replaced, and removed, since it was looked up
                raise CatalogError(f"the mirror {path} cannot be read: {_first_line(problem)}") from None
            return db, from_us(known["refreshed_us"])
        raise CatalogError(f"the mirror in {self.folder} cannot be read; delete that folder and try again")

    @contextlib.contextmanager
    def _lock(self, wait: bool) -> Iterator[bool]:
        """Only one program writes a mirror at a time."""
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def _written(path: Path) -> duckdb.DuckDBPyConnection:
    """A file to write, within so much memory, and by one thread: rows that several bring in make it a fourth larger."""
    config = {**_NO_NETWORK, "temp_directory": f"{path}.spilled", "threads": "1"}
    db = _connected(str(path), config)
    ((own,),) = db.execute("SELECT value FROM duckdb_settings() WHERE name = 'memory_limit'").fetchall()
    db.execute(f"SET memory_limit = '{min(MEMORY_BYTES, parse_bytes(own) // 3)}B'")
    return db


def _open(path: Path) -> duckdb.DuckDBPyConnection:
    db = _connected(":memory:", _NO_NETWORK)
    try:
        name = str(path).replace("'", "''")
        for statement in (
            f"ATTACH '{name}' AS mirror (READ_ONLY)", "USE mirror",
            "SET enable_external_access = false", "SET lock_configuration = true",
        ):  # fmt: skip
            db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


def _connected(path: str, config: dict[str, str]) -> duckdb.DuckDBPyConnection:
    db: duckdb.DuckDBPyConnection = _duckdb().connect(path, config=config)
    # In a notebook DuckDB would draw a bar, in the midst of a report, or of what its command says to a machine.
    db.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    return db


def _nothing() -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame()


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().partition("\n")[0]


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise InvalidInput("the mirror needs DuckDB: pip install 'catalogkit[report]'") from None
    return duckdb
