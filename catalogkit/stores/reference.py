"""Files that stay where their owner keeps them (mode `reference`)."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from catalogkit.model import Mode, path_text, text_path
from catalogkit.stores.reading import OPEN_FLAGS, examine, look_at, open_file, readers
from catalogkit.stores.surveying import look
from catalogkit.stores.taking import Taker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor
    from typing import BinaryIO

    from catalogkit.audit import Listed, Look, Unlisted
    from catalogkit.stores.contract import Asked, Examined, ObjectStat


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
        return look_at(key, self.path(key), follow=True)

    def open(self, key: str) -> BinaryIO:
        """The file, for reading.

        Raises
        ------
        StoreError
            If no file lies there, or it cannot be read.
        """
        return open_file(self.path(key), OPEN_FLAGS & ~getattr(os, "O_NOFOLLOW", 0))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Nothing: what else lies on somebody's disk is none of the catalog's business."""
        return iter(())

    def survey(self) -> Iterator[Listed | Unlisted]:
        """Nothing, for the same reason."""
        return iter(())

    def look(self, key: str) -> Look | None:
        """What lies at `key`, without reading it; None where nothing does. Links lead where they lead."""
        return look(self.path(key), follow=True)

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        """Reads files and compares them; see `catalogkit.stores.reading`."""
        return partial(examine, "/", text_path, False)

    def executor(self, concurrency: int, count: int, total_bytes: int) -> Executor:
        """The workers that suit reading `count` files of `total_bytes` together."""
        return readers(concurrency, count, total_bytes)

    def taker(self, folder: str = "/") -> Taker:
        """What reads files where they are."""
        return Taker("/", "/", Mode.REFERENCE)
