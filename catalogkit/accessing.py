"""Reading a document's bytes: where they lie, opening them, presigned links, and recording who asked."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from catalogkit.errors import CatalogError, InvalidInput, StoreError, StoreUnreachable
from catalogkit.model import Layout
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog
    from catalogkit.model import DocumentRecord, LocationRecord
    from catalogkit.stores.opening import AnyStore


class Accessing:
    """The part of a collection that hands out bytes."""

    catalog: Catalog

    if TYPE_CHECKING:  # the collection's own

        @property
        def stores(self) -> dict[int, AnyStore]: ...

        def now(self) -> datetime: ...

        def store_id(self, name: str) -> int: ...

    def location(self, record: DocumentRecord) -> str:
        """Where a document's bytes lie: the best copy's place, or an empty text where every copy is known bad.

        A place where a file is seen comes first: one that a plan is just giving up, or gave up before a crash, comes
        last.
        """
        while good := self._good(record):
            for copy in good:
                store = self.stores[self.store_id(copy.store)]
                with contextlib.suppress(StoreError):
                    if store.stat(copy.key) is not None:
                        return store.describe(copy.key)
            if [copy.id for copy in self._good(record)] == [copy.id for copy in good]:
                return self.stores[self.store_id(good[0].store)].describe(good[0].key)
        return ""

    def _good(self, record: DocumentRecord) -> list[LocationRecord]:
        """The copies that are not known to be bad, the best first."""
        copies = [one for one in self.catalog.locations_of(record.sha256) if one.outcome in (None, "ok", "unknown")]
        return sorted(copies, key=lambda one: (one.outcome == "unknown", one.layout is Layout.REFERENCE, one.id))

    def read(self, document_id: int) -> bytes:
        """The bytes of a document, for small ones.

        Raises
        ------
        InvalidInput
            If there is no such document.
        StoreError
            If no copy can be read.
        """
        record = self.catalog.document(document_id)
        if record is None:
            raise InvalidInput(f"there is no document {document_id}")
        problem: StoreError | None = None
        waited = False
        while good := self._good(record):
            for copy in good:
                try:
                    with self.stores[self.store_id(copy.store)].open(copy.key) as file:
                        return file.read()
                except StoreError as found:
                    problem = problem or found
            # A plan may have moved the bytes between the question where they are and the attempt to read them.
            ids = [copy.id for copy in good]
            if problem is not None and [copy.id for copy in self._good(record)] == ids:
                if waited or self.catalog.current_to() is not None:  # nobody can wait at a replica
                    raise problem
                # Its files go before others see that their records went: once whoever moves them is through, they do.
                with contextlib.suppress(CatalogError):  # who cannot wait, or may not, has the problem as it is
                    self.catalog.standing(ids)
                waited = True
        raise not_there(self.catalog, record)

    def record_access(
        self,
        document_id: int,
        at: datetime | None = None,
        *,
        kind: str = "read",
        count: int = 1,
        bytes: int | None = None,
    ) -> None:
        """Record a request for a document; equal entries are added up.

        Parameters
        ----------
        at
            When; now, without it.
        kind
            In which way, such as ``read`` or ``download``.
        count
            How often, where several are told at once, as a counter does.
        bytes
            How much was handed out, if that is known.

        Raises
        ------
        InvalidInput
            If there is no such document, the time has no zone, or the count is below 1.

        Examples
        --------
        >>> c.record_access(3)
        """
        if self.catalog.document(document_id) is None:
            raise InvalidInput(f"there is no document {document_id}; `catalogkit find` lists them")
        self.catalog.record_accesses([(document_id, at or self.now(), kind, bytes, count)])

    def link(self, document_id: int, lasts: timedelta = timedelta(hours=1)) -> str:
        """A presigned URL: whoever has it may read the document for a while.

        It is a secret as long as it lasts, and can be made of what lies in a bucket, and not in an archive of one.

        Raises
        ------
        InvalidInput
            If there is no such document, no good copy of it lies in a bucket, or `lasts` is not between a second and
            the seven days that servers allow.
        """
        record = self.catalog.document(document_id)
        if record is None:
            raise InvalidInput(f"there is no document {document_id}; `catalogkit find` lists them")
        if not timedelta(seconds=1) <= lasts <= timedelta(days=7):
            raise InvalidInput("a link lasts for a second at least, and for 7 days at most")
        stores = {one.name: one for one in self.stores.values() if isinstance(one, S3Layout)}
        for copy in self.catalog.locations_of(record.sha256):
            store = stores.get(copy.store)
            if store is not None and not store.settings.archive and copy.outcome not in ("corrupt", "missing"):
                return store.presigned(copy.key, lasts)
        raise InvalidInput(f"no good copy of document {document_id} lies in a bucket, from where it could be linked to")


def not_there(catalog: Catalog, record: DocumentRecord) -> StoreUnreachable:
    """Why nothing of a document can be read, for people: it was evicted, or every copy is known to be bad."""
    gone = [one for one in catalog.evictions(record.sha256) if one.returned_at is None]
    if gone and not catalog.locations_of(record.sha256):
        return StoreUnreachable(
            f"document {record.id} was evicted on {gone[0].evicted_at:%Y-%m-%d} by plan {gone[0].plan_id[:12]};"
            f" `catalogkit plan fetch {record.id}` brings it back from where it came from"
        )
    if not catalog.locations_of(record.sha256) and (sites := catalog.sites_with(record.sha256)):
        return StoreUnreachable(
            f"the bytes of document {record.id} lie at {', '.join(sites)}, and have not come here;"
            f" `catalogkit sync {sites[0]} --fetch {record.id}` has them come"
        )
    return StoreUnreachable(f"every copy of document {record.id} is known to be bad; run `catalogkit verify`")
