"""Writes a catalog on a server into one SQLite file, so that backups are the same for all engines."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalogkit.catalog.postgres.base import Database
from catalogkit.catalog.rows import Image
from catalogkit.catalog.sql.tables import NUMBERED, TABLES
from catalogkit.errors import CatalogError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class Images(Database):
    """The catalog's part in backups."""

    @contextlib.contextmanager
    def image(self, scratch: str, before: Callable[[str], bool] | None = None) -> Iterator[Image]:
        """A file with everything that was committed at one moment, in `scratch`; nobody waits for it."""
        path = os.path.join(scratch, "catalog.sqlite.copy")
        try:
            if not (before and before(path) and self._update(path)):
                _remove(path)
                self.export(path)
            yield Image(path, os.path.getsize(path), copied=True)
        finally:
            _remove(path)

    def _update(self, path: str) -> bool:
        """Make an earlier image what the catalog is now; False where that is easier from nothing."""
        try:
            self.export(path)
        except CatalogError:
            # It is damaged, another catalog's, or rows gave each other what only one may have.
            return False
        return True

    def export(self, path: str) -> None:
        """Write everything that was committed at one moment into an embedded catalog, a new one or an earlier image."""
        from catalogkit.catalog.sqlite.filling import fill

        with self.apart() as db:

            def rows(table: str, columns: Sequence[str]) -> Iterable[Sequence[Any]]:
                return db.stream(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(TABLES[table])}")

            ends = {name: db.execute(f"SELECT {self.sequence.format(name)}").fetchall()[0][0] for name in NUMBERED}
            ((made_us,),) = db.execute("SELECT max(applied_us) FROM migrations").fetchall()
            fill(path, rows, identity=self.identity, ends=ends, as_of_us=made_us)


def _remove(path: str) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        Path(path + ending).unlink(missing_ok=True)
