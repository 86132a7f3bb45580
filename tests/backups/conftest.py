"""A scene for backups: a collection with three documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backups.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.conftest import Clock


@pytest.fixture
def scene(make_collection: Callable[..., Collection], tmp_path: Path, clock: Clock) -> Scene:
    """A collection with the documents a, b and c."""
    made = Scene(make_collection("cas"), tmp_path, clock)
    for name in "abc":
        made.take(name)
    return made
