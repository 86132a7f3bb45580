"""The embedded engine: one SQLite file in WAL mode."""

from __future__ import annotations

from catalogkit.catalog.sqlite.audits import Audits
from catalogkit.catalog.sqlite.contents import Contents
from catalogkit.catalog.sqlite.damage import Damage
from catalogkit.catalog.sqlite.duplicates import Duplicates
from catalogkit.catalog.sqlite.feed import Feeds
from catalogkit.catalog.sqlite.images import Images
from catalogkit.catalog.sqlite.intake import Intake
from catalogkit.catalog.sqlite.ledger import Ledger
from catalogkit.catalog.sqlite.moments import Moments
from catalogkit.catalog.sqlite.past import Past
from catalogkit.catalog.sqlite.plans import Plans
from catalogkit.catalog.sqlite.queries import Queries
from catalogkit.catalog.sqlite.quotas import Quotas

__all__ = ["SQLiteCatalog"]


class SQLiteCatalog(
    Intake, Ledger, Queries, Past, Moments, Feeds, Images, Plans, Audits, Duplicates, Damage, Contents, Quotas
):
    """A `Catalog` in one SQLite file."""
