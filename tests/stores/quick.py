"""File calls without their waiting, importable by worker processes."""

from __future__ import annotations

import os

from catalogkit.stores.files import Files


class Unsynced(Files):
    """The real file calls, but nothing waits for the disk: for tests that are not about power cuts."""

    def sync_file(self, path: str) -> None:
        assert os.path.exists(path)

    def sync_all(self, root: str) -> bool:
        assert os.path.isdir(root)
        return True
