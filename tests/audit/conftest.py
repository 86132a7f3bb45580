"""Collections with documents in them, by a clock that goes with the file system's."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from catalogkit.ingest import ingest
from tests.conftest import Clock, make_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection

CONTENTS = {f"{n}.txt": b"document %d" % n for n in range(6)} | {"again.txt": b"document 0"}


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still now: the time of files is part of what is audited."""
    return Clock(datetime.now(UTC))


@pytest.fixture
def stock(make_collection: Callable[..., Collection], source: Path) -> Callable[..., Collection]:
    """A collection of seven documents with six contents, fetched two hours ago and taken in an hour ago."""

    def fill(layout: str = "cas", mode: str = "copy", **settings: str) -> Collection:
        collection = make_collection(layout, **settings)
        as_of = collection.now() - timedelta(hours=1)
        for path in make_tree(source, CONTENTS).iterdir():
            os.utime(path, (as_of.timestamp() - 3600,) * 2)
        took = ingest(collection, source, mode=mode, as_of=as_of)
        assert (took.ingested, took.failed) == (7, 0)
        return collection

    return fill
