"""Sites whose catalogs are files, or on a server."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from catalogkit.collection import Collection, init
from tests.conftest import hurry
from tests.federation.scene import meet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Clock
    from tests.pg import Blanks


@pytest.fixture
def on_server(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Callable[[str], Collection]]:
    """Makes a collection with its catalog in a database of its own."""
    with contextlib.ExitStack() as ends:

        def make(name: str) -> Collection:
            blanks: Blanks = request.getfixturevalue("pg_blanks")
            url = ends.enter_context(blanks.lent())
            return ends.enter_context(hurry(init(tmp_path / name, catalog=url, clock=clock)))

        yield make


@pytest.fixture
def sites(
    make_collection: Callable[..., Collection], on_server: Callable[[str], Collection]
) -> Callable[[str], tuple[Collection, Collection]]:
    """Makes two sites that never talked: east, then west, by their engines (``f`` for a file, ``p`` for PostgreSQL)."""

    def make(engines: str) -> tuple[Collection, Collection]:
        made = [
            make_collection(name=name) if engine == "f" else on_server(name)
            for name, engine in zip(("east", "west"), engines, strict=True)
        ]
        meet(*made)
        return made[0], made[1]

    return make
