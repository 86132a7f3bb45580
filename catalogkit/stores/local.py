"""The local store: a folder of read-only files, published durably and never overwritten."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import uuid
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from catalogkit.errors import StoreError, StoreMismatch, StoreUnreachable
from catalogkit.layouts import layout_of
from catalogkit.model import Outcome, inode_of, path_text
from catalogkit.stores.contract import Asked, FileFacts, ObjectStat, mtime_of
from catalogkit.stores.files import REAL, Files
from catalogkit.stores.publishing import OWN, QUARANTINE, Publication, Publisher
from catalogkit.stores.reading import OPEN_FLAGS, examine, look_at, open_file, readers, stat_of
from catalogkit.stores.reference import ReferenceStore
from catalogkit.stores.surveying import look, survey
from catalogkit.stores.taking import Taker, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor
    from typing import BinaryIO

    from catalogkit.audit import Listed, Look, Unlisted
    from catalogkit.model import Digest, Mode
    from catalogkit.stores.contract import Examined, Identified

_MARK: Final = "mark-"


def identity_at(root: Path | str) -> tuple[str, str]:
    """The token of the store in a folder, and the identity of the catalog it belongs to.

    Raises
    ------
    StoreUnreachable
        If there is no store, or what it says of itself cannot be read.
    """
    found = _said(root)
    try:
        return str(found["token"]), str(found["catalog"])
    except (KeyError, TypeError) as problem:
        raise StoreUnreachable(f"the store at {root} cannot be read: {problem}") from problem


def _said(root: Path | str) -> Any:
    """What a store says of itself, which may be anything."""
    try:
        with open(os.path.join(root, OWN, "store.json"), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise StoreUnreachable(f"no store at {root}; is the disk mounted, is the path right?") from None
    except (OSError, ValueError) as problem:
        raise StoreUnreachable(f"the store at {root} cannot be read: {problem}") from problem


class LocalStore(Publisher):
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

    @classmethod
    def create(cls, root: Path | str, *, name: str, catalog: str, home: str = "", files: Files = REAL) -> LocalStore:
        """Make a store in an empty or new folder, for the catalog of that identity, whose file lies at `home`.

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
        about = {"format": 1, "token": store.token, "catalog": catalog, "home": home, "root": store.root}
        identity = json.dumps(about, indent=1) + "\n"
        draft = os.path.join(own, "store.json.new")
        Path(draft).write_text(identity, encoding="utf-8")
        files.sync_file(draft)
        files.rename(draft, os.path.join(own, "store.json"))
        for folder in (own, store.root, os.path.dirname(store.root)):
            files.sync_folder(folder)
        return store

    def reach(self) -> None:
        """Raise unless the folder is there and carries the token the catalog expects."""
        self._about()

    def home(self) -> str:
        """Where the file of its catalog lay when the store was made; nothing if it was moved or copied since."""
        about = self._about()
        return str(about.get("home", "")) if about.get("root") == self.root else ""

    def _about(self) -> dict[str, object]:
        found = _said(self.root)
        if not isinstance(found, dict) or found.get("token") != self.token:
            raise StoreMismatch(f"the store at {self.root} belongs to another catalog; nothing was touched")
        return found

    def marks(self) -> list[str]:
        """What `exchange_mark` left here: nothing in a store that is new; two where two programs were the first."""
        try:
            names = os.listdir(os.path.join(self.root, OWN))
        except FileNotFoundError:
            raise StoreUnreachable(f"no store at {self.root}; is the disk mounted, is the path right?") from None
        except OSError as problem:
            raise StoreUnreachable(f"the store at {self.root} cannot be read: {problem}") from problem
        return sorted(name.removeprefix(_MARK) for name in names if name.startswith(_MARK))

    def exchange_mark(self, seen: Sequence[str], new: str) -> bool:
        """Leave a mark in place of those that were `seen`; False where they are there no more.

        A mark is the name of a file: of several that move a name away at once one succeeds, also on a network's disk.
        """
        names = [os.path.join(self.root, OWN, _MARK + mark) for mark in (new, *seen)]
        with self._writing():
            try:
                if seen:
                    self.files.rename(names[1], names[0])
                else:
                    os.close(self.files.create(names[0]))
            except FileNotFoundError:
                return False
            for name in names[2:]:
                with contextlib.suppress(FileNotFoundError):
                    self.files.unlink(name)
            self.files.sync_folder(os.path.join(self.root, OWN))
        return True

    def contains(self, folder: str) -> bool:
        """Whether a folder lies in the store, by whatever way it leads there."""
        real = os.path.realpath(folder)
        return real == self.root or real.startswith(self.root + os.sep)

    def describe(self, key: str) -> str:
        """The absolute path, as text; also of a key that is none, for whoever has to tell of it."""
        return path_text(f"{self.root}/{key}")

    # -- reading -----------------------------------------------------------------------------------------------

    def stat(self, key: str) -> ObjectStat | None:
        """The object at `key` without reading it, or None where nothing lies."""
        return look_at(key, self._readable(key), follow=False)

    def stats(self, keys: Sequence[str]) -> list[ObjectStat | None]:
        """What lies at each of these keys."""
        return [self.stat(key) for key in keys]

    def facts(self, key: str) -> FileFacts | None:
        """All that the file system says of the file at `key`, or None where no regular file lies.

        Raises
        ------
        StoreUnreachable
            If it cannot be looked at.
        """
        about = stat_of(self.path(key), follow=False)
        if about is None or not stat.S_ISREG(about.st_mode):
            return None
        owner, mode = f"{about.st_uid}:{about.st_gid}", stat.S_IMODE(about.st_mode)
        return FileFacts(about.st_size, inode_of(about), mtime_of(about), about.st_dev, owner, mode, about.st_nlink)

    def most_links(self) -> int:
        """How many names the file system of this store gives a file at most."""
        return os.pathconf(self.root, "PC_LINK_MAX")

    def open(self, key: str) -> BinaryIO:
        """The bytes at `key`, for reading.

        Raises
        ------
        StoreError
            If no file lies there, or it cannot be read.
        """
        return open_file(self._readable(key), OPEN_FLAGS)

    def quarantined(self) -> Iterator[ObjectStat]:
        """What was moved aside because it was bad. Its keys can be looked at and opened, but nothing else."""
        folder = os.path.join(self.root, QUARANTINE)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            about = self.stat(f"{QUARANTINE}/{name}")
            if about is not None:
                yield about

    def _readable(self, key: str) -> str:
        """The absolute path of a key, or of what lies in quarantine."""
        folder, _, name = key.rpartition("/")
        return f"{self.root}/{key}" if folder == QUARANTINE and name not in ("", ".", "..") else self.path(key)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every published key that has the form of a layout and begins with `prefix`, in order.

        Raises
        ------
        StoreUnreachable
            If a folder cannot be listed: half a list would look like a store that has lost the rest.
        """
        self.reach()
        for top in ("cas", "docs"):
            yield from self._keys_below(top, prefix)
        self.reach()

    def _keys_below(self, folder: str, prefix: str) -> Iterator[str]:
        if not f"{folder}/".startswith(prefix) and not prefix.startswith(f"{folder}/"):
            return
        try:
            with os.scandir(os.path.join(self.root, folder)) as found:
                # A folder sorts by the slash that follows its name, so that keys come in the order of their text.
                names = sorted(
                    f"{one.name}/" if one.is_dir(follow_symlinks=False) else one.name
                    for one in found
                    if one.is_file(follow_symlinks=False) or one.is_dir(follow_symlinks=False)
                )
        except FileNotFoundError:
            return
        except OSError as problem:
            raise StoreUnreachable(f"cannot list {os.path.join(self.root, folder)}: {problem.strerror}") from problem
        for name in names:
            key = f"{folder}/{name}"
            if name.endswith("/"):
                yield from self._keys_below(key[:-1], prefix)
            elif key.startswith(prefix) and key.isprintable() and layout_of(key):
                yield key

    def survey(self) -> Iterator[Listed | Unlisted]:
        """Everything that lies in the store, foreign things too, in no order; and what could not be listed."""
        return survey(self.root)

    def look(self, key: str) -> Look | None:
        """What lies at `key`, without reading it; None where nothing does."""
        return look(self.path(key), follow=False)

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        """Reads copies and compares them; see `catalogkit.stores.reading`."""
        return partial(examine, self.root, str, True)

    def identifier(self) -> Callable[[Sequence[str]], list[Identified]]:
        """Reads what lies at keys and says what it is; safe to send to another process."""
        return partial(identify, self.root)

    def executor(self, concurrency: int, count: int, total_bytes: int) -> Executor:
        """The workers that suit reading `count` copies of `total_bytes` together."""
        return readers(concurrency, count, total_bytes)

    # -- writing -----------------------------------------------------------------------------------------------

    def scratch(self, owner: str) -> str:
        """The folder for `owner`'s temporary files; its name says whose it is from the moment it is there."""
        folder = self.scratch_path(owner)
        with self._writing():
            os.makedirs(folder, exist_ok=True)
        return folder

    def scratch_path(self, owner: str) -> str:
        """Where `owner`'s temporary files lie, if there are any."""
        return os.path.join(self.root, OWN, "tmp", quote(owner, safe=""))

    def scratches(self) -> list[tuple[str, datetime]]:
        """Every folder of temporary files: its owner, and when it was last used."""
        found = []
        tmp = os.path.join(self.root, OWN, "tmp")
        for name in os.listdir(tmp) if os.path.isdir(tmp) else ():
            with contextlib.suppress(FileNotFoundError):  # its owner tidies up right now
                used_at = datetime.fromtimestamp(os.stat(os.path.join(tmp, name)).st_mtime, UTC)
                found.append((unquote(name), used_at))
        return found

    def sweep(self, owner: str) -> None:
        """Remove `owner`'s temporary files; they were never published, or have another name by now."""
        folder = self.scratch_path(owner)
        try:
            for file in os.listdir(folder):
                self.discard(os.path.join(folder, file))
            os.rmdir(folder)
        except OSError as problem:
            # Somebody else sweeps too, or the last worker of a killed ingest has just written: next time, then.
            if problem.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise StoreError(f"cannot clean up {folder}: {problem}") from problem

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


__all__ = ["LocalStore", "Publication", "ReferenceStore"]
