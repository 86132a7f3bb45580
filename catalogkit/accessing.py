"""Who asked for what: the part of a collection that is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.errors import InvalidInput, StoreUnreachable

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog
    from catalogkit.model import DocumentRecord


class Accessing:
    """The access log of a collection."""

    catalog: Catalog

    def now(self) -> datetime:
        """The collection's clock, in UTC."""
        raise NotImplementedError

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


def not_there(catalog: Catalog, record: DocumentRecord) -> StoreUnreachable:
    """Why nothing of a document can be read, for people: it was evicted, or every copy is known to be bad."""
    gone = [one for one in catalog.evictions(record.sha256) if one.returned_at is None]
    if gone and not catalog.locations_of(record.sha256):
        return StoreUnreachable(
            f"document {record.id} was evicted on {gone[0].evicted_at:%Y-%m-%d} by plan {gone[0].plan_id[:12]};"
            f" `catalogkit plan fetch {record.id}` brings it back from where it came from"
        )
    return StoreUnreachable(f"every copy of document {record.id} is known to be bad; run `catalogkit verify`")
