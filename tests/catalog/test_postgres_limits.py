"""Nobody waits for ever: for a lock, a statement, a program that is silent, or a machine that is gone."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog.postgres import PostgresCatalog
from catalogkit.errors import CatalogBusy
from tests.catalog.desk import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pg import Blanks

LIMITS = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'), current_setting(?)"
SILENT = "idle_in_transaction_session_timeout"


@pytest.fixture
def url(pg_blanks: Blanks) -> Iterator[str]:
    """The address of an empty catalog."""
    with pg_blanks.lent() as lent:
        yield lent


def test_every_session_has_limits(url: str) -> None:
    """Each ends by itself; the ends of a connection look whether the other is still there."""
    with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
        assert catalog.rows(LIMITS, (SILENT,)) == [("1min", "15min", "15min")]
        with catalog.read() as session:
            given = session.connection.info.get_parameters()
        assert {name: given[name] for name in given if name.startswith("keepalives_")} == {
            "keepalives_idle": "60", "keepalives_interval": "15", "keepalives_count": "4",
        }  # fmt: skip
        assert "-c tcp_keepalives_idle=60" in given["options"]


def test_the_address_changes_them(url: str) -> None:
    """What it says comes last; a statement that took longer says which limit it was, and can be tried again."""
    more = f"{url}&options=-c%20statement_timeout%3D50ms&keepalives_idle=7"
    with closing(PostgresCatalog(more, create=True, as_of=NOW)) as catalog:
        assert catalog.rows(LIMITS, (SILENT,)) == [("1min", "50ms", "15min")]
        with pytest.raises(CatalogBusy, match="longer than its statement_timeout; try again, or raise it"):
            catalog.rows("SELECT pg_sleep(10)")
        assert catalog.stores() == []
        with catalog.read() as session:
            assert session.connection.info.get_parameters()["keepalives_idle"] == "7"
