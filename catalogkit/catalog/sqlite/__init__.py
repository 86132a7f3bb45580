"""The embedded engine: one SQLite file in WAL mode."""

from __future__ import annotations

from catalogkit.catalog.sql.about import About
from catalogkit.catalog.sql.accesses import Accesses
from catalogkit.catalog.sql.contents import Contents
from catalogkit.catalog.sql.damage import Damage
from catalogkit.catalog.sql.duplicates import Duplicates
from catalogkit.catalog.sql.feed import Feeds
from catalogkit.catalog.sql.leases import Leases
from catalogkit.catalog.sql.ledger import Ledger
from catalogkit.catalog.sql.moments import Moments
from catalogkit.catalog.sql.past import Past
from catalogkit.catalog.sql.plans import Plans
from catalogkit.catalog.sql.queries import Queries
from catalogkit.catalog.sql.quotas import Quotas
from catalogkit.catalog.sql.receiving import Receiving
from catalogkit.catalog.sql.records import Reading
from catalogkit.catalog.sql.sending import Sending
from catalogkit.catalog.sql.sites import Sites
from catalogkit.catalog.sql.sketches import Sketches
from catalogkit.catalog.sql.stores import Stores
from catalogkit.catalog.sql.totals import Totals
from catalogkit.catalog.sqlite.images import Images
from catalogkit.catalog.sqlite.intake import Intake
from catalogkit.catalog.sqlite.search import Search
from catalogkit.catalog.sqlite.soundness import Soundness

__all__ = ["SQLiteCatalog"]


class SQLiteCatalog(
    Stores,
    Intake,
    Ledger,
    Queries,
    Totals,
    Past,
    Moments,
    Feeds,
    Images,
    Plans,
    Soundness,
    Duplicates,
    Damage,
    Contents,
    Quotas,
    Search,
    Sketches,
    Accesses,
    Leases,
    About,
    Sites,
    Reading,
    Sending,
    Receiving,
):
    """A `Catalog` in one SQLite file."""
