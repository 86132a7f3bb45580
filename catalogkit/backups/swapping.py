"""Replaces a catalog by a new one in one atomic step, and keeps the old one.

Every step leaves either catalog whole at its name. What is replaced is copied aside with its log folded in, durable
before the new one appears; a log without its catalog would otherwise be replayed into the new one, and undo it.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from catalogkit.catalog.sqlite.restoring import REPLACED, carry_over, taken
from catalogkit.errors import CatalogBusy, CatalogError, StoreError, StoreFull
from catalogkit.model import to_us
from catalogkit.stores.files import Files, out_of_room

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

# What SQLite keeps beside a catalog: the write-ahead log and its index, and the journal of the other mode.
_LOGS = ("-wal", "-journal")
_INDEX = "-shm"
PART_BYTES = 1 << 20


def swap(new: str, catalog: str, *, as_of: datetime, files: Files) -> tuple[str | None, int]:
    """Make `new` the catalog; where the old one is kept (None where there was none), and what was carried over.

    Raises
    ------
    CatalogBusy
        If somebody has the catalog open; nothing was changed.
    """
    folder = os.path.dirname(catalog)
    kept = free_name(f"{catalog}.replaced-{as_of:%Y%m%dT%H%M%SZ}")
    with trouble(folder):
        if not os.path.exists(catalog):
            # A log whose catalog is lost may be all that is left of the last changes: it is kept, but out of the way.
            _move_logs(catalog, kept, files)
            _show(new, catalog, files)
            return None, 0
        with contextlib.ExitStack() as held:
            # Closed last: closing a file gives up the locks this process has on it, SQLite's too.
            fd = os.open(catalog, os.O_RDONLY | os.O_CLOEXEC)
            held.callback(os.close, fd)
            try:
                old = held.enter_context(taken(catalog))
            except CatalogBusy:
                raise
            except CatalogError:  # damaged: there is no log to fold in, and nobody who could have it open
                _keep_damaged(catalog, kept, files)
                _show(new, catalog, files)
                return kept, 0
            try:
                carried = carry_over(old, new, REPLACED, os.path.basename(kept), to_us(as_of))
            except CatalogError:
                carried = 0  # damaged somewhere inside: it can be kept, not read
            _copy(fd, kept, files)
            files.sync_folder(folder)
            _show(new, catalog, files)
            return kept, carried


def free_name(path: str) -> str:
    """`path`, or with a number where that is taken: what was kept is never overwritten."""
    number, found = 1, path
    while any(os.path.lexists(found + end) for end in ("", *_LOGS)):
        number += 1
        found = f"{path}-{number}"
    return found


def _show(new: str, catalog: str, files: Files) -> None:
    files.sync_file(new)
    files.rename(new, catalog)
    files.sync_folder(os.path.dirname(catalog))


def _keep_damaged(catalog: str, kept: str, files: Files) -> None:
    """Keep a catalog that SQLite cannot read, as it is, with its logs; then put the logs out of the way."""
    for end in ("", *_LOGS):
        if os.path.exists(catalog + end):
            fd = os.open(catalog + end, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _copy(fd, kept + end, files)
            finally:
                os.close(fd)
    files.sync_folder(os.path.dirname(catalog))
    for end in (*_LOGS, _INDEX):
        if os.path.exists(catalog + end):
            files.unlink(catalog + end)
    # Gone for good before the new catalog appears, or a power cut could bring a log back beside it.
    files.sync_folder(os.path.dirname(catalog))


def _copy(source: int, path: str, files: Files) -> None:
    """Copy an open file to a name that is free, which is seen only once all of it is there."""
    draft, position = f"{path}.part", 0
    fd = files.create(draft)
    try:
        while part := os.pread(source, PART_BYTES, position):
            files.write(fd, part)
            position += len(part)
    finally:
        os.close(fd)
    files.sync_file(draft)
    files.rename(draft, path)


def _move_logs(catalog: str, kept: str, files: Files) -> None:
    for end in _LOGS:
        if os.path.exists(catalog + end):
            files.rename(catalog + end, kept + end)
    if os.path.exists(catalog + _INDEX):
        files.unlink(catalog + _INDEX)
    files.sync_folder(os.path.dirname(catalog))


@contextlib.contextmanager
def trouble(folder: str) -> Iterator[None]:
    """Errors of the file system as ours."""
    try:
        yield
    except OSError as problem:
        if out_of_room(problem):
            raise StoreFull(f"no room left in {folder}; the catalog is what it was, free some space") from None
        raise StoreError(f"cannot write in {folder}: {problem}; the catalog is the old one or the new one") from problem
