"""Collections with documents in them, and where their copies lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.ingest import ingest
from tests.conftest import make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from catalogkit.collection import Collection


@pytest.fixture
def stock(source: Path) -> Callable[..., Collection]:
    """Takes files into a collection: so many small ones, or those that are given by name."""

    def fill(collection: Collection, files: int | Mapping[str, bytes], mode: str = "copy") -> Collection:
        given = {f"{n:03d}.txt": b"document %d" % n for n in range(files)} if isinstance(files, int) else files
        report = ingest(collection, make_tree(source, given), mode=mode)
        assert report.failed == 0
        return collection

    return fill
