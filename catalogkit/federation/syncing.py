"""Syncs two sites directly between their catalogs.

Each asks the other what changed since it last asked, part by part. A part is one transaction at the end that takes it,
together with how far it has come: whatever ends a sync half way, the next one goes on there, and doing it twice changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.federation import Taken
from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.federation.changes import SAME
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog
    from catalogkit.catalog.federation import SiteRow
    from catalogkit.collection import Collection

# Documents in one part: a transaction of less than a second at either end.
PART: Final = 10_000


@dataclass(slots=True)
class SyncReport:
    """What a sync did.

    Attributes
    ----------
    site : str
        The name of the other site.
    received, sent : Taken
        What this site took in, and what the other one did; None where it takes it in by itself, later.
    written : int
        Bytes of change sets that were left for others.
    conflicts : int
        Documents here that somebody should look at.
    wanted : int
        Contents that documents here have, and whose bytes lie at other sites alone.
    """

    site: str
    received: Taken = field(default_factory=Taken)
    sent: Taken | None = None
    written: int = 0
    conflicts: int = 0
    wanted: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "site": self.site,
            "received": self.received.to_dict(),
            "sent": None if self.sent is None else self.sent.to_dict(),
            "written": self.written,
            "conflicts": self.conflicts,
            "wanted": self.wanted,
        }


@operation("sync")
def sync(
    collection: Collection,
    other: Collection,
    *,
    part: int = PART,
    as_of: datetime | None = None,
    progress: Callable[[Taken], None] | None = None,
) -> SyncReport:
    """Bring this site and another one to the same facts.

    Parameters
    ----------
    other
        The other site's collection, on either engine.
    part
        Documents in one transaction.

    Raises
    ------
    InvalidInput
        If one of them is no site yet.
    CatalogError
        If both are one site, or one was put back to an older state.

    Examples
    --------
    >>> with ck.init("elsewhere") as other:
    ...     sites = [one.catalog.begin_site(name, as_of=c.now()) for name, one in (("east", c), ("west", other))]
    ...     ck.sync(c, other).sent.new
    3
    """
    when = as_of or collection.now()
    here, there = collection.catalog, other.catalog
    mine = site_of(collection)
    theirs = site_of(other)
    if theirs.id == mine.id:
        raise CatalogError(SAME)
    report = SyncReport(theirs.name, sent=Taken())
    assert report.sent is not None
    # First they are told: what comes back then says that they have come so far, and nothing is kept for them any more.
    for source, target, taken in ((here, there, report.sent), (there, here, report.received)):
        for one in pull(target, source, part=part, as_of=when):
            taken.add(one)
            if progress is not None:
                progress(taken)
    report.site = next(one.name for one in here.sites() if one.id == theirs.id)
    return counted(collection, report)


def pull(target: Catalog, source: Catalog, *, part: int, as_of: datetime) -> Any:
    """Take in what changed at a source, part by part; what came of each."""
    me, there = target.own_site(), source.own_site()
    assert me is not None and there is not None
    while True:
        known = next((one for one in target.sites() if one.id == there.id), None)
        seq, marks = (known.heard.seq, known.marks) if known else (0, {})
        changes = source.changes_since(seq, marks=marks or None, limit=part, skip=[me.id], as_of=as_of)
        yield target.take_changes(changes, as_of=as_of)
        if changes.complete:
            return


def counted(collection: Collection, report: SyncReport) -> SyncReport:
    """A report with what waits here."""
    report.conflicts = len(collection.catalog.contests())
    report.wanted = collection.catalog.frame("wanted").height
    return report


def site_of(collection: Collection) -> SiteRow:
    """Which site a collection is; refused where it is none."""
    found = collection.catalog.own_site()
    if found is None:
        at = collection.path
        raise InvalidInput(f"{at} is no site yet; `catalogkit -C {at} sync --as NAME` makes it one")
    return found


__all__ = ["PART", "SyncReport", "counted", "pull", "site_of", "sync"]
