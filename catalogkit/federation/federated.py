"""`FederatedCatalog`: a primary and its regions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from catalogkit.collection import Collection, open_collection
from catalogkit.errors import InvalidInput
from catalogkit.federation.conflicts import ConflictReport, conflicts
from catalogkit.federation.exchange import exchange
from catalogkit.federation.following import follow
from catalogkit.federation.syncing import SyncReport, sync

if TYPE_CHECKING:
    from collections.abc import Mapping


class FederatedCatalog:
    """A primary and regional catalogs, each with its own stores.

    Every one of them can be written to, and answers by itself; what each did the others hear of by `sync_to_region`.

    Parameters
    ----------
    primary
        A collection, or its folder; without one, ``$CATALOGKIT_HOME``, else the current folder.
    regions
        Collections by the names of their regions, or their folders or addresses; those of the primary's settings
        (``[regions]``) without it.

    Examples
    --------
    >>> with ck.FederatedCatalog(c) as catalog:
    ...     catalog.regions
    []
    """

    def __init__(
        self,
        primary: Collection | Path | str | None = None,
        regions: Mapping[str, Collection | Path | str] | None = None,
    ) -> None:
        self._opened: list[Collection] = []
        self.primary = self._open(primary)
        self._regions: dict[str, Any] = dict(self.primary.config.regions if regions is None else regions)
        if self._regions and self.primary.catalog.own_site() is None:
            self.primary.catalog.begin_site("primary", as_of=self.primary.now())

    @property
    def regions(self) -> list[str]:
        """The names of the regions."""
        return list(self._regions)

    def region(self, name: str) -> Collection:
        """The collection of a region; opened, and made a site of that name, when first asked for.

        Raises
        ------
        InvalidInput
            If there is no such region.
        """
        self._known(name)
        if not isinstance(self._regions[name], Collection):
            place = self._regions[name]
            self._regions[name] = self._open(region_place(self.primary, str(place)))
        found: Collection = self._regions[name]
        if found.catalog.own_site() is None:
            found.catalog.begin_site(name, as_of=found.now())
        return found

    async def sync_to_region(
        self,
        region: str,
        *,
        bytes_budget: int | None = 0,
        copies: int | None = None,
        through: str | None = None,
    ) -> SyncReport:
        """Bring the primary and a region to the same facts; again changes nothing, what was broken off goes on.

        Parameters
        ----------
        bytes_budget
            So many bytes follow their documents into the region, the smallest first; None lets all follow.
        copies
            Of these only what fewer than so many sites have.
        through
            A folder or ``s3://bucket/prefix``, where neither can reach the other's catalog: change sets are left there,
            those of others are taken in, and the region does the same (``catalogkit sync --through``). No bytes follow.

        Raises
        ------
        InvalidInput
            If there is no such region, or bytes are to follow through a place.
        """
        if through is None:
            return await asyncio.to_thread(self._sync, region, bytes_budget, copies)
        if bytes_budget != 0 or copies is not None:
            raise InvalidInput("bytes follow straight between sites; leave bytes_budget and copies out")
        self._known(region)
        return await asyncio.to_thread(exchange, self.primary, through)

    def _sync(self, name: str, bytes_budget: int | None, copies: int | None) -> SyncReport:
        region = self.region(name)
        report = sync(self.primary, region)
        if bytes_budget != 0:
            follow(region, [self.primary], bytes_budget=bytes_budget, copies=copies)
        return report

    async def reconcile_conflicts(self) -> ConflictReport:
        """What regions said without knowing of each other, as the primary knows it.

        All sites show the same value of each, by one rule; the report lists all, and `plan_reconcile` chooses others.
        """
        return await asyncio.to_thread(conflicts, self.primary)

    def _known(self, name: str) -> None:
        if name not in self._regions:
            raise InvalidInput(f"no region {name!r}; there are: {', '.join(self._regions) or 'none'}")

    def _open(self, which: Collection | Path | str | None) -> Collection:
        if isinstance(which, Collection):
            return which
        self._opened.append(open_collection(which))
        return self._opened[-1]

    def close(self) -> None:
        """Give back what was opened here."""
        for one in self._opened:
            one.close()
        self._opened.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def region_place(collection: Collection, place: str) -> str:
    """Where a region is: an address as it is, a folder seen from that of the collection."""
    return place if "://" in place else str(collection.path / place)


__all__ = ["FederatedCatalog", "region_place"]
