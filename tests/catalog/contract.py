"""What every catalog engine must do, written down as tests. An engine passes them by supplying the fixture ``new``.

``with new() as connect`` is an empty catalog, for as long as that is open, and a function that opens it: each call
``connect()`` is one more connection to the same catalog, ``connect(busy_seconds=0)`` one that does not wait for other
writers.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.catalog.contract_accesses import Accesses
from tests.catalog.contract_audits import Audits
from tests.catalog.contract_backups import Backups
from tests.catalog.contract_contents import Contents
from tests.catalog.contract_copies import Copies
from tests.catalog.contract_damage import Damage
from tests.catalog.contract_documents import Blobs, Documents
from tests.catalog.contract_feeds import Feeds
from tests.catalog.contract_intake import Intake, Sources, Stores
from tests.catalog.contract_leases import Leases
from tests.catalog.contract_ledger import Holds, Ledger
from tests.catalog.contract_moments import Moments
from tests.catalog.contract_notes import Notes
from tests.catalog.contract_past import Past
from tests.catalog.contract_purging import Purging
from tests.catalog.contract_questions import Concurrency, Duplicates, Questions
from tests.catalog.contract_quotas import Quotas
from tests.catalog.contract_search import Search
from tests.catalog.contract_sketches import Sketches
from tests.catalog.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.catalog.contract import Catalog
    from tests.catalog.desk import Connect, New


class CatalogContract(
    Stores,
    Intake,
    Documents,
    Blobs,
    Sources,
    Ledger,
    Leases,
    Holds,
    Moments,
    Backups,
    Past,
    Feeds,
    Questions,
    Duplicates,
    Concurrency,
    Audits,
    Damage,
    Copies,
    Contents,
    Quotas,
    Notes,
    Purging,
    Search,
    Sketches,
    Accesses,
):
    """The suite; an engine's test class inherits it and has a fixture ``new``."""

    @pytest.fixture
    def open_new(self, new: New) -> Iterator[Callable[[], Connect]]:
        """Makes empty catalogs, with every connection closed at the end."""
        with contextlib.ExitStack() as stack:

            def make() -> Connect:
                connect = stack.enter_context(new())

                def open_one(*, busy_seconds: float = 60) -> Catalog:
                    return stack.enter_context(contextlib.closing(connect(busy_seconds=busy_seconds)))

                return open_one

            yield make

    @pytest.fixture
    def anew(self, new: New) -> Iterator[Callable[[], Catalog]]:
        """Makes an empty catalog for each example of a property; the one before is closed and gone."""
        with contextlib.ExitStack() as stack:

            def make() -> Catalog:
                stack.close()
                connect = stack.enter_context(new())
                return stack.enter_context(contextlib.closing(connect()))

            yield make

    @pytest.fixture
    def connect(self, open_new: Callable[[], Connect]) -> Connect:
        return open_new()

    @pytest.fixture
    def catalog(self, connect: Connect) -> Catalog:
        return connect()

    @pytest.fixture
    def desk(self, catalog: Catalog) -> Desk:
        return Desk(catalog)
