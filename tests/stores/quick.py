"""File calls without their waiting, importable by worker processes."""

from __future__ import annotations

import os

from catalogkit.stores.files import Files


class Unsynced(Files):
    """The real file calls, but nothing waits for the disk: for tests that are not about power cuts."""

    def sync_file(self, path: str) -> None:
        os.stat(path)

    def sync_all(self, root: str) -> bool:
        os.stat(root)
        return True
