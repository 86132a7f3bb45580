"""Where backups are stored: a few verbs over keys; `Folder` implements them for a local folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from typing import TYPE_CHECKING, Final, Protocol

from catalogkit.errors import CatalogBusy, InvalidInput, StoreError, StoreFull, StoreUnreachable
from catalogkit.stores.files import REAL, Files, out_of_room
from catalogkit.stores.s3.settings import is_bucket

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

_DRAFT: Final = ".part-"


class Target(Protocol):
    """A place for backups. What the suite in ``tests/backups`` demands, every kind must do."""

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> int:
        """Show the parts, joined, at `key`: whole or not at all, whatever happens; over what lay there.

        Where making the parts raises, nothing was changed. Returns how many bytes that were.
        """

    def settle(self, prefix: str) -> None:
        """Wait until what was put or removed below `prefix` outlives a power cut."""

    def get(self, key: str) -> bytes:
        """All that lies at `key`; `StoreError` where nothing does."""

    def size(self, key: str) -> int | None:
        """How many bytes lie at `key`, or None where nothing does."""

    def keys(self, prefix: str) -> list[str]:
        """Every key that begins with `prefix` (whole segments), in order; drafts are not among them."""

    def tops(self) -> list[str]:
        """The first segments of all keys, each once, in order, without looking at what lies below them."""

    def remove(self, key: str) -> None:
        """Remove what lies at `key`, if anything does."""

    def locked(self) -> AbstractContextManager[None]:
        """Nobody else writes here while this is open; `CatalogBusy` where somebody does."""

    def describe(self, key: str = "") -> str:
        """The place of `key` as a person would name it."""


def target_of(destination: str | os.PathLike[str] | Target) -> Target:
    """The place that a path or the URL of a bucket names; a place of any kind is one already."""
    if isinstance(destination, str) and is_bucket(destination):
        from catalogkit.backups.bucket import BucketTarget

        return BucketTarget(destination)
    return Folder(destination) if isinstance(destination, str | os.PathLike) else destination


def split(path: str | os.PathLike[str]) -> tuple[Target, str]:
    """The place that something lies in, and its name there."""
    if isinstance(path, str) and is_bucket(path):
        from catalogkit.backups.bucket import BucketTarget

        return BucketTarget(path).parent()
    head, name = os.path.split(os.path.realpath(path))
    return Folder(head), name


def place_in(folder: Path, destination: str) -> str:
    """A destination of the settings: a path is meant from the collection's folder, a URL as it is."""
    return destination if is_bucket(destination) else str(folder / destination)


def destination_of(given: str | None, folder: Path, configured: str) -> str:
    """Where backups go: as given, else as the settings say; `folder` is the collection's.

    Raises
    ------
    InvalidInput
        If neither names a place.
    """
    if given:
        return given
    if not configured:
        raise InvalidInput(
            'name the folder of backups, or set it once: destination = "..." under [backup] in catalogkit.toml'
        )
    return place_in(folder, configured)


def plain(key: str) -> list[str]:
    """The segments of a key.

    Raises
    ------
    InvalidInput
        If one of them is hidden or leads anywhere else.
    """
    parts = key.split("/") if key else []
    if any(part in ("", ".", "..") or part.startswith(".") or "\x00" in part for part in parts):
        raise InvalidInput(f"not a key of a backup: {key[:100]!r}")
    return parts


class Folder:
    """A folder of the local file system."""

    def __init__(self, root: str | os.PathLike[str], *, files: Files = REAL) -> None:
        self.root, self.files = os.path.realpath(root), files

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> int:
        """Show the parts at `key`: a draft is written and synced, then takes the name."""
        path = self.path(key)
        draft, size = os.path.join(os.path.dirname(path), f"{_DRAFT}{uuid.uuid4().hex}"), 0
        with self._trouble():
            self._make_folder(os.path.dirname(path))
            try:
                fd = self.files.create(draft)
                try:
                    for part in parts:
                        self.files.write(fd, part)
                        size += len(part)
                    self.files.protect(fd)
                finally:
                    os.close(fd)
                self.files.sync_file(draft)
                self.files.rename(draft, path)
            except Exception:
                with contextlib.suppress(OSError):
                    self.files.unlink(draft)
                raise
        return size

    def settle(self, prefix: str) -> None:
        """Wait until names made or removed below `prefix` are on stable storage."""
        folder = self.path(prefix)
        with self._trouble():
            while len(folder) >= len(self.root):
                if os.path.isdir(folder):
                    self.files.sync_folder(folder)
                folder = os.path.dirname(folder)
            self.files.sync_folder(folder)  # the name of the root itself may be new

    def get(self, key: str) -> bytes:
        """All that lies at `key`."""
        try:
            with open(self.path(key), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            raise StoreError(f"nothing lies at {self.path(key)}") from None
        except OSError as problem:
            raise StoreUnreachable(f"cannot read {self.path(key)}: {problem.strerror}") from problem

    def size(self, key: str) -> int | None:
        """How many bytes lie at `key`, or None where nothing does."""
        try:
            return os.stat(self.path(key)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as problem:
            raise StoreUnreachable(f"cannot look at {self.path(key)}: {problem.strerror}") from problem

    def keys(self, prefix: str) -> list[str]:
        """Every key below `prefix`, in order."""
        top = self.path(prefix)
        if os.path.exists(self.root) and not os.path.isdir(self.root):
            raise InvalidInput(f"{self.root} is a file; name a folder for backups")
        found = []
        for folder, _, names in os.walk(top, onerror=_unreadable):
            below = os.path.relpath(folder, self.root)
            found += [name if below == "." else f"{below}/{name}" for name in names if not name.startswith(".")]
        return sorted(found)

    def tops(self) -> list[str]:
        """The names right below the root, in order."""
        try:
            return sorted(name for name in os.listdir(self.root) if not name.startswith("."))
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise InvalidInput(f"{self.root} is a file; name a folder for backups") from None
        except OSError as problem:
            raise StoreUnreachable(f"cannot list {self.root}: {problem.strerror}") from problem

    def remove(self, key: str) -> None:
        """Remove the file at `key`, and its folder once that is empty."""
        path = self.path(key)
        with self._trouble():
            with contextlib.suppress(FileNotFoundError):
                self.files.unlink(path)
            folder = os.path.dirname(path)
            if folder != self.root:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes here while this is open; drafts that a crash left are swept first."""
        with self._trouble():
            self._make_folder(self.root)
            fd = os.open(os.path.join(self.root, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CatalogBusy(f"another program writes to the backups in {self.root}; try again") from None
            with self._trouble():
                for folder, _, names in os.walk(self.root):
                    for name in names:
                        if name.startswith(_DRAFT):
                            self.files.unlink(os.path.join(folder, name))
            yield
        finally:
            os.close(fd)

    def describe(self, key: str = "") -> str:
        """The absolute path."""
        return self.path(key)

    def path(self, key: str) -> str:
        """The absolute path of `key`, which never leads out of the folder."""
        return os.path.join(self.root, *plain(key))

    def _make_folder(self, path: str) -> None:
        if os.path.isdir(path):
            return
        if path == self.root:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        else:
            self._make_folder(os.path.dirname(path))
        self.files.make_folder(path)

    @contextlib.contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if out_of_room(problem):
                raise StoreFull(f"no room left in {self.root}; earlier backups are whole, free some space") from None
            raise StoreError(f"cannot write in {self.root}: {problem}") from problem


def _unreadable(problem: OSError) -> None:
    if not isinstance(problem, FileNotFoundError):
        raise StoreUnreachable(f"cannot list {problem.filename}: {problem.strerror}") from problem
