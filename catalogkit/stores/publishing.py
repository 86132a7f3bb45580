"""Publishing in a folder: whole files at their keys, durable, never over other bytes."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from catalogkit.errors import InvalidInput, StoreError, StoreFull, StoreUnreachable
from catalogkit.layouts import layout_of, segment
from catalogkit.model import Digest, inode_of
from catalogkit.stores.contract import mtime_of
from catalogkit.stores.files import Files, out_of_room, parents
from catalogkit.stores.hashing import Hashing, pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

OWN: Final = ".catalogkit"
QUARANTINE: Final = f"{OWN}/quarantine"
# Why a file cannot have one more name: the limit is reached, the file system has none, or it is gone meanwhile.
_NO_MORE_NAMES: Final = (errno.EMLINK, errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.ENOENT)
# Up to so many files are synced one by one, more with one call for the whole file system.
FEW: Final = 16
SYNC_THREADS: Final = 16


class Publication(NamedTuple):
    """One file to show at `key`: its bytes lie at the temporary path `source`.

    Where equal bytes are published already at the path `share`, they get another name instead, if the file system
    can; `source` may be None then. `replace` says that what lies at the key is a copy of these bytes gone bad, which
    is moved aside.
    """

    key: str
    source: str | None
    share: str | None = None
    replace: bool = False


class Publisher:
    """The writing half of a local store: every step in the order that a crash or a power cut cannot spoil."""

    root: str
    files: Files

    def path(self, key: str) -> str:
        """The absolute path of `key`.

        Raises
        ------
        InvalidInput
            If `key` does not have the form of a layout, so that no crafted key leads out of the store.
        """
        if layout_of(key) is None:
            raise InvalidInput(f"not a key of this store: {key[:100]!r}")
        return f"{self.root}/{key}"

    def publish(self, entries: Sequence[Publication]) -> list[bool]:
        """Show each file at its key, durably; False where a file already lies there (nothing was changed then).

        The order is what makes it safe: the data is on stable storage before any name shows it, and the names are
        before this returns, so that the catalog never knows of bytes that a power cut could take. The temporary
        names stay.
        """
        with self._writing():
            self._sync_data(list(dict.fromkeys(entry.source for entry in entries if entry.source)))
            done = [self._show(entry) for entry in entries]
            self._sync_names([entry.key for entry in entries])
        return done

    def receive(self, source: BinaryIO, temp: str) -> Digest:
        """Write all that `source` holds to a new file, read-only; the digest of what was written.

        It is on stable storage only after `settle_temps`.
        """
        sha256 = Hashing()
        with self._writing():
            out = self.files.create(temp)
            try:
                for piece in pieces_of(source):
                    sha256.update(piece)
                    self.files.write(out, memoryview(piece))
                self.files.protect(out)
            except BaseException:
                self.discard(temp)
                raise
            finally:
                os.close(out)
        return sha256.digest()

    def settle_temps(self, temps: Sequence[str]) -> None:
        """Wait until the data of these temporary files is on stable storage."""
        with self._writing():
            self._sync_data(temps)

    def show(self, entry: Publication) -> bool:
        """Show a file whose data is on stable storage at its key; False where another lies there.

        The name is on stable storage only after `settle_names`.
        """
        with self._writing():
            return self._show(entry)

    def link(self, source: str, temp: str) -> None:
        """Give the file at the path `source` a temporary name."""
        with self._writing():
            self.files.link(source, temp)

    def swap(self, temp: str, key: str) -> int:
        """Put the file `temp` in the place of the one at `key`, in one step; returns the bytes that this freed."""
        with self._writing():
            about = os.lstat(self.path(key))
            self.files.rename(temp, self.path(key))
        return about.st_size if about.st_nlink == 1 else 0

    def leave_view(self, key: str, shown: str, temp: str) -> int:
        """Put a symbolic link to the key `shown` in the place of the file at `key`, in one step; the bytes this freed.

        A view is no copy: what reads and lists the store passes over it, while whoever has the path reads on.
        """
        with self._writing():
            self.files.symlink(os.path.relpath(self.path(shown), os.path.dirname(self.path(key))), temp)
        return self.swap(temp, key)

    def view_at(self, key: str) -> str | None:
        """The key that a view at `key` shows; None where no view of this store lies."""
        path = self.path(key)
        try:
            leads = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
        except OSError:
            return None
        shown = leads.removeprefix(f"{self.root}/")
        return shown if shown != leads and layout_of(shown) else None

    def settle(self, keys: Sequence[str]) -> None:
        """Wait until what lies at `keys`, and these names, are on stable storage."""
        with self._writing():
            self._sync_data([self.path(key) for key in keys])
            self._sync_names(keys)

    def discard(self, temp: str) -> None:
        """Remove a temporary name; one that cannot be removed now is swept with its folder later."""
        with contextlib.suppress(OSError):
            self.files.unlink(temp)

    def remove_planned(self, key: str, inode: int | None, mtime_ns: int | None, size: int) -> int | None:
        """Remove the file at `key` if it looks as it did (of no size: of any), for the executor alone.

        Returns
        -------
        int or None
            The bytes that this freed, which is nothing for a name among several; None where another file lies.

        Raises
        ------
        FileNotFoundError, NotADirectoryError
            Where nothing lies.
        OSError
            If it cannot be removed.
        """
        path = self.path(key)
        about = os.lstat(path)
        if (inode_of(about), mtime_of(about), size and about.st_size) != (inode, mtime_ns, size):
            return None
        self.files.unlink(path)
        return about.st_size if about.st_nlink == 1 else 0

    def remove(self, key: str) -> int:
        """Remove the file at `key`, for the executor alone; returns the bytes that this freed.

        A name among several frees nothing, and one that is not there frees nothing either.
        """
        path = self.path(key)
        try:
            about = os.lstat(path)
            self.files.unlink(path)
        except FileNotFoundError:
            return 0
        return about.st_size if about.st_nlink == 1 else 0

    def settle_names(self, keys: Sequence[str]) -> None:
        """Wait until these names, or their removal, are on stable storage: a power cut could undo that before."""
        with self._writing():
            self._sync_names(keys)

    def blocked(self, key: str) -> bool:
        """Whether something that is no folder lies on the way to `key`."""
        folder = os.path.dirname(self.path(key))
        while len(folder) > len(self.root) and not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        return not os.path.isdir(folder)

    def names(self, key: str) -> int:
        """How many names the file at `key` has, in the store or elsewhere; 0 where nothing lies."""
        try:
            return os.lstat(self.path(key)).st_nlink
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as problem:
            raise StoreUnreachable(f"cannot look at {self.path(key)}: {problem.strerror}") from problem

    def quarantine(self, key: str) -> str:
        """Move what lies at `key` aside, out of every layout's reach, and keep it; returns where it is."""
        with self._writing():
            target = self._aside(key)
            self.files.rename(self.path(key), target)
            self._sync_aside()
            self._sync_names([key])
        return target

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            if out_of_room(problem):
                raise StoreFull(f"no room left in {self.root}; nothing was lost, free some space and go on") from None
            raise StoreError(f"cannot write in {self.root}: {problem}") from problem

    def _show(self, entry: Publication) -> bool:
        target = self.path(entry.key)
        if not entry.replace:
            return self._name(entry, target)
        # Bad bytes get a second name before good ones take the first: at no moment is there nothing.
        with contextlib.suppress(FileNotFoundError):
            aside = self._aside(entry.key)
            if stat.S_ISDIR(os.lstat(target).st_mode):
                self.files.rename(target, aside)
            else:
                self.files.link(target, aside)
            self._sync_aside()
        new = f"{entry.source}-new" if entry.source else self._aside(entry.key)
        self._name(entry, new)
        self.files.rename(new, target)
        return True

    def _name(self, entry: Publication, target: str) -> bool:
        for source in (entry.share, entry.source):
            if source is not None:
                try:
                    self._link(source, target)
                except (FileExistsError, NotADirectoryError):  # there, or on the way there
                    return False
                except OSError as problem:
                    if source is entry.source or entry.source is None or problem.errno not in _NO_MORE_NAMES:
                        raise
                else:
                    return True
        raise StoreError(f"nothing to publish at {entry.key}")

    def _link(self, source: str, target: str) -> None:
        """One more name; the folders on its way are made when they turn out to be missing."""
        try:
            self.files.link(source, target)
        except FileNotFoundError:
            path = self.root
            for part in os.path.relpath(target, self.root).split("/")[:-1]:
                path = os.path.join(path, part)
                self.files.make_folder(path)
            self.files.link(source, target)

    def _aside(self, key: str) -> str:
        """A free name in the quarantine."""
        folder = os.path.join(self.root, QUARANTINE)
        if not os.path.isdir(folder):
            self.files.make_folder(folder)
            self.files.sync_folder(os.path.dirname(folder))
        return os.path.join(folder, f"{uuid.uuid4().hex}-{segment(os.path.basename(key))}")

    def _sync_aside(self) -> None:
        self.files.sync_folder(os.path.join(self.root, QUARANTINE))

    def _sync_data(self, paths: Sequence[str]) -> None:
        if len(paths) > FEW and self.files.sync_all(self.root):
            return
        self._each(self.files.sync_file, paths)

    def _sync_names(self, keys: Sequence[str]) -> None:
        if len(keys) > FEW and self.files.sync_all(self.root):
            return
        folders: dict[str, None] = {}
        for folder in parents(self.path(key) for key in keys):
            # A folder may be new, and then its own name is, up to the root.
            while len(folder) >= len(self.root):
                folders[folder] = None
                folder = os.path.dirname(folder)
        self._each(self.files.sync_folder, list(folders))

    def _each(self, act: Callable[[str], None], paths: Sequence[str]) -> None:
        if len(paths) <= 1:
            for path in paths:
                act(path)
            return
        with ThreadPoolExecutor(min(SYNC_THREADS, len(paths))) as threads:
            list(threads.map(act, paths))
