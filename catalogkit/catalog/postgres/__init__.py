"""The server engine: a schema of a PostgreSQL database."""

from __future__ import annotations

from typing import Final

from catalogkit.catalog.postgres.base import again
from catalogkit.catalog.postgres.images import Images
from catalogkit.catalog.postgres.intake import Intake
from catalogkit.catalog.postgres.ledger import Ledger
from catalogkit.catalog.postgres.replica import About
from catalogkit.catalog.postgres.search import Search
from catalogkit.catalog.postgres.soundness import Soundness
from catalogkit.catalog.sql.accesses import Accesses
from catalogkit.catalog.sql.contents import Contents
from catalogkit.catalog.sql.damage import Damage
from catalogkit.catalog.sql.duplicates import Duplicates
from catalogkit.catalog.sql.feed import Feeds
from catalogkit.catalog.sql.leases import Leases
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

__all__ = ["PostgresCatalog"]

# What lasts as long as its caller likes cannot be done anew behind the caller's back.
_LASTING: Final = ("feed", "image", "export", "hand", "write", "read", "apart", "still", "close", "rows", "frame_of")


class PostgresCatalog(
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
    """A `Catalog` on a PostgreSQL server."""


# Every other method of the contract is one transaction, or one after the other of which each may be done twice.
for _name in dir(PostgresCatalog):
    if not _name.startswith("_") and _name not in _LASTING and callable(_method := getattr(PostgresCatalog, _name)):
        setattr(PostgresCatalog, _name, again(_method))
