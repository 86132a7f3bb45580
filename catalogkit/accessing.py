"""Who asked for what, and letting somebody ask: the part of a collection that is about readers elsewhere."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from catalogkit.errors import InvalidInput, StoreUnreachable
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog
    from catalogkit.model import DocumentRecord
    from catalogkit.stores.opening import AnyStore


class Accessing:
    """The access log of a collection, and links for those who have no keys."""

    catalog: Catalog

    if TYPE_CHECKING:  # the collection's own

        @property
        def stores(self) -> dict[int, AnyStore]: ...

        def now(self) -> datetime: ...

    def record_access(
        self,
        document_id: int,
        at: datetime | None = None,
        *,
        kind: str = "read",
        count: int = 1,
        bytes: int | None = None,
    ) -> None:
        """Note that a document was asked for; what is alike is added up.

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
        """An address under which whoever has it may read a document for a while, without any key.

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
