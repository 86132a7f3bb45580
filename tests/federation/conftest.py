"""Collections whose catalogs are on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.collection import Collection, init
from tests.conftest import hurry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Clock
    from tests.pg import Server


@pytest.fixture
def on_server(pg: Server, pg_template: str, tmp_path: Path, clock: Clock) -> Iterator[Callable[[str], Collection]]:
    """Makes a collection with its catalog in a new database."""
    made: list[tuple[Collection, str]] = []

    def make(name: str) -> Collection:
        url = pg.database(pg_template)
        made.append((hurry(init(tmp_path / name, catalog=url, clock=clock)), url))
        return made[-1][0]

    yield make
    for collection, url in made:
        collection.close()
        pg.drop(url)
