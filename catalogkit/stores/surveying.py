"""Lists everything in a store's folder, whether or not it has a layout's form, and what cannot be read."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from catalogkit.audit import Listed, Look, Unlisted
from catalogkit.layouts import layout_of
from catalogkit.model import inode_of, path_text
from catalogkit.stores.contract import mtime_of
from catalogkit.stores.publishing import OWN
from catalogkit.stores.reading import stat_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOPS = ("cas", "docs")


def survey(root: str) -> Iterator[Listed | Unlisted]:
    """Every file, link and device below `root`, in no order; the store's own files are not among them.

    A folder of a layout that cannot be listed is told; any other such folder is a foreign thing like a file.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root, folder) if folder else root) as entries:
                for entry in entries:
                    key = f"{folder}/{entry.name}" if folder else entry.name
                    if key == OWN:
                        continue
                    # What a layout begins with may be a link to a larger disk; publishing follows it, too.
                    if entry.is_dir(follow_symlinks=key in _TOPS):
                        folders.append(key)
                    else:
                        yield _listed(key, _kind_of(entry))
        except FileNotFoundError:
            continue  # it went away meanwhile, or there is nothing yet
        except OSError as problem:
            if not folder or folder.split("/")[0] in _TOPS:
                yield Unlisted(path_text(os.path.join(root, folder)), problem.strerror or str(problem))
            else:
                yield _listed(folder, "folder that cannot be listed")


def look(path: str, *, follow: bool) -> Look | None:
    """What lies at `path`, without reading it; None where nothing does."""
    about = stat_of(path, follow=follow)
    if about is None:
        return None
    return Look(
        kind_of(about.st_mode),
        about.st_size,
        mtime_of(about),
        about.st_ctime_ns,
        inode_of(about),
        about.st_nlink,
        bool(about.st_mode & 0o222),
        about.st_dev,
    )


def kind_of(mode: int) -> str:
    """What a file's mode says it is."""
    if stat.S_ISREG(mode):
        return "file"
    names = {stat.S_IFDIR: "folder", stat.S_IFLNK: "symbolic link", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
    return names.get(stat.S_IFMT(mode), "device")


def _kind_of(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "symbolic link"
    return "file" if entry.is_file(follow_symlinks=False) else "FIFO, socket or device"


def _listed(key: str, kind: str) -> Listed:
    return Listed(path_text(key), kind, kind == "file" and key.isprintable() and layout_of(key) is not None)
