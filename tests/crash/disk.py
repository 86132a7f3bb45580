"""A disk that can fail, or lose power, at any call.

It works on a real folder, which shows what a running program sees, and keeps book of what is certain to survive: only
what was synced. After a power cut `Disk.restore` rebuilds the folder as the cut could have left it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import CatalogBusy
from catalogkit.stores.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

# What a power cut does to names that were not synced, and to data that was not.
LOST: Final = "all lost"
KEPT: Final = "all names kept, unsynced data torn"
MIXED: Final = "some lost, some kept"
HAVOCS: Final = (LOST, KEPT, MIXED)

_FOLDER: Final = "folder"
_SYMLINK: Final = -1
_TAKE_ROOM: Final = frozenset({"create", "write", "link", "symlink", "make_folder"})
_CATALOG_WRITES: Final = frozenset(
    {"stage", "commit", "abandon", "touch", "start_run", "end_run", "record_checks", "add_store"}
)


class PowerCut(BaseException):
    """The machine is off: no code may catch this and go on."""


class Node:
    """A file as the disk knows it, whatever its names; `unsynced` data may be torn by a power cut."""

    def __init__(self, unsynced: bool) -> None:
        self.unsynced = unsynced
        self.kept: tuple[bytes, int, int] | None = None  # content, mode, mtime: for one that lost its last name


class Disk(Files):
    """The file calls of a store, counted; call number `at` fails with `error`, or the power goes where it is None.

    Parameters
    ----------
    at
        The number of the call, from 1; None lets everything through.
    error
        An `errno`, or None for a power cut.
    for_good
        Whether every later call that needs room fails too, as on a disk that is full.
    meanwhile
        Called with the disk before that call, instead of failing it.
    """

    def __init__(
        self,
        at: int | None = None,
        error: int | None = None,
        *,
        for_good: bool = False,
        meanwhile: Callable[[Disk], None] | None = None,
    ) -> None:
        self.at, self.error, self.for_good, self.meanwhile = at, error, for_good, meanwhile
        self.count = 0
        self.dead = False
        self.calls: Counter[str] = Counter()
        self._nodes: dict[tuple[int, int], Node] = {}
        # What a name stood for since its folder was last synced: first what is certain, last what is seen.
        self._names: dict[str, list[Node | str | None]] = {}
        self._lock = threading.RLock()

    # -- the calls ---------------------------------------------------------------------------------------------

    def step(self, what: str, path: str = "", spoil: Callable[[], None] | None = None) -> None:
        """Count a call; when its time has come, fail, having done `spoil` first."""
        with self._lock:
            if self.dead:
                raise PowerCut
            self.count += 1
            self.calls[what] += 1
            now = self.count == self.at
            full = self.for_good and self.at is not None and self.count > self.at and what in _TAKE_ROOM
        if now and self.meanwhile:
            # In a thread of its own, as every process has its own read buffer.
            with ThreadPoolExecutor(1) as other:
                other.submit(self.meanwhile, self).result()
            if self.dead:
                raise PowerCut
        elif now or full:
            if spoil:
                spoil()
            if self.error is None:
                self.die()
                raise PowerCut
            raise OSError(self.error, os.strerror(self.error), path)

    def create(self, path: str) -> int:
        self.step("create", path)
        fd = super().create(path)
        about = os.fstat(fd)
        node = self._nodes[about.st_dev, about.st_ino] = Node(unsynced=True)
        self._became(path, node, None)
        return fd

    def write(self, fd: int, data: memoryview | bytes) -> None:
        half = memoryview(data)[: len(data) // 2]
        self.step("write", spoil=lambda: super(Disk, self).write(fd, half))
        super().write(fd, data)
        about = os.fstat(fd)
        self._nodes[about.st_dev, about.st_ino].unsynced = True

    def protect(self, fd: int) -> None:
        self.step("protect")
        super().protect(fd)

    def protect_path(self, path: str) -> None:
        self.step("protect", path)
        super().protect_path(path)

    def sync_file(self, path: str) -> None:
        self.step("sync_file", path)
        node = self._at(path)
        assert isinstance(node, Node), path
        node.unsynced = False

    def sync_folder(self, path: str) -> None:
        self.step("sync_folder", path)
        assert os.path.isdir(path), path
        with self._lock:
            self._names = {name: was for name, was in self._names.items() if os.path.dirname(name) != path}

    def sync_all(self, root: str) -> bool:
        self.step("sync_all", root)
        with self._lock:
            self._names.clear()
            for node in self._nodes.values():
                node.unsynced = False
        return True

    def link(self, source: str, target: str) -> None:
        self.step("link", target)
        node, was = self._at(source), self._at(target)
        super().link(source, target)
        self._became(target, node, was)

    def symlink(self, to: str, path: str) -> None:
        self.step("symlink", path)
        was = self._at(path)
        super().symlink(to, path)
        self._became(path, self._at(path), was)

    def rename(self, source: str, target: str) -> None:
        self.step("rename", target)
        node, was = self._at(source), self._at(target)
        self._keep(target)
        super().rename(source, target)
        self._became(source, None, node)
        self._became(target, node, was)

    def unlink(self, path: str) -> None:
        self.step("unlink", path)
        was = self._at(path)
        self._keep(path)
        super().unlink(path)
        self._became(path, None, was)

    def make_folder(self, path: str) -> bool:
        self.step("make_folder", path)
        was = self._at(path)
        made = super().make_folder(path)
        if made:
            self._became(path, _FOLDER, was)
        return made

    def die(self) -> None:
        """Lose power now."""
        self.dead = True

    def go_on(self) -> None:
        """Let the next process run: only the last one died, and what it did not sync is in memory still."""
        self.dead, self.at = False, None

    # -- the books ---------------------------------------------------------------------------------------------

    def _at(self, path: str) -> Node | str | None:
        """What `path` stands for now; a file met for the first time was there before, safely."""
        try:
            about = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(about.st_mode):
            return _FOLDER
        return self._nodes.setdefault((about.st_dev, about.st_ino), Node(unsynced=False))

    def _became(self, path: str, now: Node | str | None, was: Node | str | None) -> None:
        with self._lock:
            self._names.setdefault(path, [was]).append(now)

    def _keep(self, path: str) -> None:
        """Remember a file that is about to lose a name, for that may be its last, and the name may come back."""
        node = self._at(path)
        if isinstance(node, Node):
            about = os.lstat(path)
            link = stat.S_ISLNK(about.st_mode)
            content = os.fsencode(os.readlink(path)) if link else Path(path).read_bytes()
            node.kept = (content, _SYMLINK if link else stat.S_IMODE(about.st_mode), about.st_mtime_ns)
            if about.st_nlink == 1:
                self._nodes.pop((about.st_dev, about.st_ino), None)  # its number may be given to another file

    # -- after the power cut -----------------------------------------------------------------------------------

    def restore(self, havoc: str, random: Random, side: Path) -> None:
        """Rebuild the folder as the power cut could have left it; `side` is a folder for work, on the same disk."""
        choose = {LOST: lambda was: was[0], KEPT: lambda was: was[-1], MIXED: random.choice}[havoc]
        wanted = {path: choose(was) for path, was in self._names.items()}
        back = {path: node for path, node in wanted.items() if node is not self._at(path)}
        held = {}
        for number, (path, node) in enumerate(back.items()):
            if isinstance(node, Node):
                held[path] = side / str(number)
                self._revive(node, held[path])
        for path in sorted(back, key=len, reverse=True):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(path)
        for path, node in sorted(back.items()):
            if node == _FOLDER and os.path.isdir(os.path.dirname(path)):
                os.mkdir(path)
        for path, copy in held.items():
            if os.path.isdir(os.path.dirname(path)):  # else its folder is lost, and it with it
                os.rename(copy, path)
            else:
                os.unlink(copy)
        self._tear(random, side.parent)

    def _revive(self, node: Node, path: Path) -> None:
        for (device, inode), known in self._nodes.items():
            if known is node:
                for one in _files(path.parent.parent):
                    about = one.lstat()
                    if (about.st_dev, about.st_ino) == (device, inode):
                        os.link(one, path, follow_symlinks=False)
                        return
        assert node.kept is not None
        content, mode, mtime_ns = node.kept
        if mode == _SYMLINK:
            os.symlink(os.fsdecode(content), path)
            about = path.lstat()
            self._nodes[about.st_dev, about.st_ino] = node
            return
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, ns=(mtime_ns, mtime_ns))
        about = path.lstat()
        self._nodes[about.st_dev, about.st_ino] = node

    def _tear(self, random: Random, top: Path) -> None:
        for path in _files(top):
            about = path.lstat()
            node = self._nodes.get((about.st_dev, about.st_ino))
            if node is not None and node.unsynced:
                node.unsynced = False
                content = path.read_bytes()
                half = len(content) // 2
                torn = random.choice(
                    [b"", content[:half], bytes(len(content)), content[:half] + bytes(len(content) - half)]
                )
                path.chmod(0o600)
                path.write_bytes(torn)
                path.chmod(stat.S_IMODE(about.st_mode))
                os.utime(path, ns=(about.st_mtime_ns, about.st_mtime_ns))


def _files(top: Path) -> list[Path]:
    return [Path(folder, name) for folder, _, names in os.walk(top) for name in names]


class Wired:
    """A catalog on the same power line: its writes are calls of the disk too, and it is dead when the disk is.

    What it has committed stays committed, as `synchronous = FULL` promises.
    """

    def __init__(self, catalog: Any, disk: Disk) -> None:
        self._catalog, self._disk = catalog, disk

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._catalog, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._disk.dead:
                raise PowerCut
            if name in _CATALOG_WRITES:
                try:
                    self._disk.step(name)
                except OSError as problem:
                    raise CatalogBusy(f"{name} was made to fail") from problem
            return found(*args, **kwargs)

        return call


__all__ = ["HAVOCS", "KEPT", "LOST", "MIXED", "Disk", "PowerCut", "Wired"]
