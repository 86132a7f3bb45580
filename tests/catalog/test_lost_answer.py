"""A server that is killed before it says whether a transaction was committed, and comes back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog.postgres import PostgresCatalog
from catalogkit.errors import CatalogError
from tests import pg as servers
from tests.catalog.desk import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pg import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of our own."""
    made = servers.launch(synchronous_commit="on")
    yield made
    made.stop()


@pytest.mark.parametrize("reused", [False, True])
def test_anothers_transaction_is_not_taken_for_ours(server: Server, reused: bool) -> None:
    """A server that crashed gives numbers of transactions that it lost to others: their commit says nothing of ours."""
    with contextlib.closing(PostgresCatalog(server.database(), create=True, as_of=NOW)) as catalog:
        wanted = pytest.raises(CatalogError, match="is not known" if reused else "nothing was changed")
        with wanted, catalog.write("test", alone=False) as db:
            db.execute("INSERT INTO notes (name, text) VALUES ('ours', '{}')")
            ((number,),) = db.execute("SELECT pg_current_xact_id()::text").fetchall()
            server.kill()
            server.start()
            while reused and int(server.run("SELECT pg_current_xact_id()::text")[0][0]) < int(number):
                pass
        assert catalog.rows("SELECT name FROM notes WHERE name = 'ours'") == []
