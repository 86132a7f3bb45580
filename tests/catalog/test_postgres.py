"""The PostgreSQL engine keeps the contract, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog.postgres import PostgresCatalog
from tests.catalog.contract import CatalogContract
from tests.catalog.desk import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.catalog.desk import Connect
    from tests.pg import Server


@pytest.fixture
def new(pg: Server, pg_template: str) -> Iterator[Callable[[], Connect]]:
    """Makes catalogs, each in a database of its own."""
    made: list[str] = []

    def make() -> Connect:
        url = pg.database(pg_template)
        made.append(url)

        def connect(*, busy_seconds: float = 60) -> PostgresCatalog:
            return PostgresCatalog(url, create=True, as_of=NOW, busy_seconds=busy_seconds)

        return connect

    yield make
    for url in made:
        pg.drop(url)


class TestPostgres(CatalogContract):
    """The contract, on a PostgreSQL server."""
