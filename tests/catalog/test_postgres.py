"""The PostgreSQL engine keeps the contract, on a real server."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog.postgres import PostgresCatalog
from tests.catalog.contract import CatalogContract
from tests.catalog.desk import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.catalog.desk import Connect, New
    from tests.pg import Blanks


@pytest.fixture
def new(pg_blanks: Blanks) -> New:
    """Makes catalogs, each in a database of its own."""

    @contextlib.contextmanager
    def make() -> Iterator[Connect]:
        with pg_blanks.lent() as url:

            def connect(*, busy_seconds: float = 60) -> PostgresCatalog:
                return PostgresCatalog(url, create=True, as_of=NOW, busy_seconds=busy_seconds)

            yield connect

    return make


class TestPostgres(CatalogContract):
    """The contract, on a PostgreSQL server."""
