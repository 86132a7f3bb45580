"""The local store: a folder of read-only files, published durably and never overwritten."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import uuid
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalogkit.errors import InvalidInput, StoreError, StoreFull, StoreMismatch, StoreUnreachable
from catalogkit.layouts import layout_of
from catalogkit.model import Mode, Outcome, inode_of, path_text, text_path
from catalogkit.stores.contract import Asked, ObjectStat
from catalogkit.stores.files import REAL, Files, out_of_room, parents
from catalogkit.stores.reading import OPEN_FLAGS, examine
from catalogkit.stores.taking import Taker
from catalogkit.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from catalogkit.model import Digest
    from catalogkit.stores.contract import Examined

OWN: Final = ".catalogkit"
# Why a file cannot have one more name: the limit is reached, the file system has none, or it is gone meanwhile.
_NO_MORE_NAMES: Final = (errno.EMLINK, errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.ENOENT)
FEW: Final = 16
SYNC_THREADS: Final = 16
# Starting worker processes costs about as much as reading this much in threads.
SMALL_COUNT: Final = 1000
SMALL_BYTES: Final = 256_000_000


@dataclass(frozen=True, slots=True)
class Publication:
    """One file to show at `key`: its bytes lie at the temporary path `source`.

    Where equal bytes are published already at the path `share`, they get another name instead, if the file system
    can; `source` may be None then.
    """

    key: str
    source: str | None
    share: str | None = None


class LocalStore:
    """A folder that keeps bytes under keys (see `catalogkit.stores.contract.Store`).

    The store's own files lie in ``.catalogkit``: who it is, temporary names, quarantine.

    Parameters
    ----------
    root
        The folder; made absolute and resolved here, once.
    name, token
        What the catalog calls it, and the token the folder must carry.
    """

    kind = "local"
    writable = True

    def __init__(self, root: Path | str, *, name: str, token: str, files: Files = REAL) -> None:
        self.root = os.path.realpath(root)
        self.name, self.token, self.files = name, token, files
        self._folders: set[str] = set()
        self._lock = threading.Lock()

    @classmethod
    def create(cls, root: Path | str, *, name: str, catalog: str, files: Files = REAL) -> LocalStore:
        """Make a store in an empty or new folder.

        Raises
        ------
        StoreMismatch
            If a store is there already, for it belongs to another catalog.
        StoreError
            If the folder cannot be written or its file system has no hard links.
        """
        own = os.path.join(os.path.realpath(root), OWN)
        if os.path.exists(os.path.join(own, "store.json")):
            raise StoreMismatch(f"{root} already is the store of a catalog; open that one, or choose another folder")
        try:
            os.makedirs(os.path.join(own, "tmp"), exist_ok=True)
            probe = os.path.join(own, f"probe-{uuid.uuid4().hex}")
            Path(probe).touch()
            try:
                # Publishing needs a second name for one file: it is the only atomic step that never overwrites.
                os.link(probe, f"{probe}-2")
                os.unlink(f"{probe}-2")
            finally:
                os.unlink(probe)
        except OSError as problem:
            raise StoreError(f"{root} cannot hold a store: {problem}; choose a folder that has hard links") from problem
        store = cls(root, name=name, token=uuid.uuid4().hex, files=files)
        identity = json.dumps({"format": 1, "token": store.token, "catalog": catalog}, indent=1) + "\n"
        draft = os.path.join(own, "store.json.new")
        Path(draft).write_text(identity, encoding="utf-8")
        files.sync_file(draft)
        files.rename(draft, os.path.join(own, "store.json"))
        for folder in (own, store.root, os.path.dirname(store.root)):
            files.sync_folder(folder)
        return store

    def reach(self) -> None:
        """Raise unless the folder is there and carries the token the catalog expects."""
        try:
            with open(os.path.join(self.root, OWN, "store.json"), encoding="utf-8") as file:
                found = json.load(file)
        except FileNotFoundError:
            raise StoreUnreachable(f"no store at {self.root}; is the disk mounted, is the path right?") from None
        except (OSError, ValueError) as problem:
            raise StoreUnreachable(f"the store at {self.root} cannot be read: {problem}") from problem
        if not isinstance(found, dict) or found.get("token") != self.token:
            raise StoreMismatch(f"the store at {self.root} belongs to another catalog; nothing was touched")

    def path(self, key: str) -> str:
        """The absolute path of `key`.

        Raises
        ------
        InvalidInput
            If `key` does not have the form of a layout, so that no crafted key leads out of the store.
        """
        if layout_of(key) is None:
            raise InvalidInput(f"not a key of this store: {key[:100]!r}")
        return os.path.join(self.root, key)

    def describe(self, key: str) -> str:
        """The absolute path, as text."""
        return path_text(self.path(key))

    # -- reading -----------------------------------------------------------------------------------------------

    def stat(self, key: str) -> ObjectStat | None:
        """The object at `key` without reading it, or None where nothing lies."""
        try:
            about = os.lstat(self.path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return ObjectStat(key, about.st_size, about.st_mtime_ns, inode_of(about))

    def open(self, key: str) -> BinaryIO:
        """The bytes at `key`, for reading."""
        return os.fdopen(os.open(self.path(key), OPEN_FLAGS), "rb")

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every published key that has the form of a layout, in order."""
        for top in ("cas", "docs"):
            for folder, folders, names in os.walk(os.path.join(self.root, top)):
                folders.sort()
                for name in sorted(names):
                    key = os.path.relpath(os.path.join(folder, name), self.root)
                    if key.startswith(prefix) and key.isprintable() and layout_of(key):
                        yield key

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        """Reads copies and compares them; see `catalogkit.stores.reading`."""
        return partial(examine, self.root, _same, True)

    def executor(self, concurrency: int, count: int, total_bytes: int) -> Executor:
        """Threads for a little, processes for much: below about 64 kB a file, threads gain nothing (the GIL)."""
        if count < SMALL_COUNT and total_bytes < SMALL_BYTES:
            return ThreadPoolExecutor(concurrency)
        return Workers(concurrency)

    # -- writing -----------------------------------------------------------------------------------------------

    def scratch(self, owner: str, name: str) -> str:
        """The folder `name` for temporary files, with a note of whose they are."""
        folder = os.path.join(self.root, OWN, "tmp", name)
        os.makedirs(folder, exist_ok=True)
        Path(folder, "owner").write_text(owner, encoding="utf-8")
        return folder

    def scratches(self) -> list[tuple[str, str, datetime]]:
        """Every folder of temporary files: its name, its owner, when it was last used."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(os.path.join(self.root, OWN, "tmp")) as folders:
            for folder in folders:
                owner = Path(folder.path, "owner")
                text = owner.read_text(encoding="utf-8") if owner.exists() else ""
                found.append((folder.name, text, datetime.fromtimestamp(folder.stat().st_mtime, UTC)))
        return found

    def sweep(self, name: str) -> None:
        """Remove a folder of temporary files; they were never published, or have another name by now."""
        folder = os.path.join(self.root, OWN, "tmp", name)
        with contextlib.suppress(FileNotFoundError):
            for file in os.listdir(folder):
                self.files.unlink(os.path.join(folder, file))
            os.rmdir(folder)

    def taker(self, folder: str, mode: Mode, peek: bool) -> Taker:
        """What takes files into this store by way of the scratch folder, safe to send to another process."""
        return Taker(self.root, folder, mode, peek, self.files)

    def holds(self, key: str, digest: Digest) -> ObjectStat | None:
        """The object at `key` if reading it proves that it holds `digest`; None where it does not, or is not there."""
        about = self.stat(key)
        if about is None:
            return None
        (found,) = self.examiner()([Asked(key, digest, about.bytes)])
        return about if found.outcome is Outcome.OK else None

    def publish(self, entries: Sequence[Publication]) -> list[bool]:
        """Show each file at its key, durably; False where a file already lies there (nothing was changed then).

        The order is what makes it safe: the data is on stable storage before any name shows it, and the names are
        before this returns, so that the catalog never knows of bytes that a power cut could take.
        """
        try:
            self._sync_data([entry.source for entry in entries if entry.source])
            done = [self._show(entry) for entry in entries]
            self._sync_names([entry.key for entry in entries])
        except OSError as problem:
            if out_of_room(problem):
                raise StoreFull(f"no room left in {self.root}; nothing was lost, free some space and go on") from None
            raise StoreError(f"cannot publish in {self.root}: {problem}") from problem
        for entry in entries:
            if entry.source:
                self.discard(entry.source)
        return done

    def discard(self, temp: str) -> None:
        """Remove a temporary name."""
        with contextlib.suppress(FileNotFoundError):
            self.files.unlink(temp)

    def _show(self, entry: Publication) -> bool:
        target = self.path(entry.key)
        self._make_folders(entry.key)
        for source in (entry.share, entry.source):
            if source is not None:
                try:
                    self.files.link(source, target)
                except FileExistsError:
                    return False
                except OSError as problem:
                    if source is entry.source or entry.source is None or problem.errno not in _NO_MORE_NAMES:
                        raise
                else:
                    return True
        raise StoreError(f"nothing to publish at {entry.key}")

    def _make_folders(self, key: str) -> None:
        path = self.root
        for part in key.split("/")[:-1]:
            path = os.path.join(path, part)
            if path not in self._folders:
                self.files.make_folder(path)
                with self._lock:
                    self._folders.add(path)

    def _sync_data(self, paths: list[str]) -> None:
        if len(paths) > FEW and self.files.sync_all(self.root):
            return
        self._each(self.files.sync_file, paths)

    def _sync_names(self, keys: list[str]) -> None:
        if len(keys) > FEW and self.files.sync_all(self.root):
            return
        folders: dict[str, None] = {}
        for folder in parents(self.path(key) for key in keys):
            # A folder may be new, and then its own name is, up to the root.
            while len(folder) >= len(self.root):
                folders[folder] = None
                folder = os.path.dirname(folder)
        self._each(self.files.sync_folder, list(folders))

    def _each(self, act: Callable[[str], None], paths: list[str]) -> None:
        if len(paths) <= 1:
            for path in paths:
                act(path)
            return
        with ThreadPoolExecutor(min(SYNC_THREADS, len(paths))) as threads:
            list(threads.map(act, paths))

    def settle(self, key: str) -> None:
        """Wait until what lies at `key`, and its name, are on stable storage."""
        self._sync_data([self.path(key)])
        self._sync_names([key])

    def quarantine(self, key: str) -> str:
        """Move bad bytes aside, out of every layout's reach, and keep them; returns where they are."""
        folder = os.path.join(self.root, OWN, "quarantine")
        os.makedirs(folder, exist_ok=True)
        target = os.path.join(folder, f"{uuid.uuid4().hex}-{os.path.basename(key)}"[:250])
        self.files.rename(self.path(key), target)
        return target


class ReferenceStore:
    """Files that stay where their owner keeps them: read and proved, never written, never deleted.

    The key is the absolute path without its leading slash, as `path_text` writes it.
    """

    kind = "reference"
    writable = False

    def __init__(self, *, name: str = "in-place", token: str = "in-place") -> None:
        self.name, self.token, self.root = name, token, "/"

    def reach(self) -> None:
        """Whether one file's disk is there only its own path can tell."""

    def path(self, key: str) -> str:
        """The absolute path that `key` stands for."""
        return "/" + text_path(key)

    def key(self, path: str) -> str:
        """The key of an absolute path."""
        return path_text(os.path.abspath(path)).removeprefix("/")

    def describe(self, key: str) -> str:
        """The absolute path, as text."""
        return "/" + key

    def stat(self, key: str) -> ObjectStat | None:
        """The file without reading it, or None where nothing lies."""
        try:
            about = os.stat(self.path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return ObjectStat(key, about.st_size, about.st_mtime_ns, inode_of(about))

    def open(self, key: str) -> BinaryIO:
        """The file, for reading."""
        return open(self.path(key), "rb")

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Nothing: what else lies on somebody's disk is none of the catalog's business."""
        return iter(())

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        """Reads files and compares them; see `catalogkit.stores.reading`."""
        return partial(examine, "/", text_path, False)

    executor = LocalStore.executor

    def taker(self, folder: str = "/") -> Taker:
        """What reads files where they are."""
        return Taker("/", "/", Mode.REFERENCE)


def _same(key: str) -> str:
    return key
