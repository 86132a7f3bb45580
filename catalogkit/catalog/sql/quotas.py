"""Shared SQL: quotas: how much may be ingested, and how much there is."""

from __future__ import annotations

from catalogkit.catalog.rows import Quota
from catalogkit.catalog.sql.base import Database
from catalogkit.errors import InvalidInput


class Quotas(Database):
    """What triggers count, and refuse."""

    def quota(self) -> Quota | None:
        """The quota, and how much of it is used; None where there is none."""
        rows = self.rows("SELECT max_documents, max_bytes, documents, bytes FROM quota")
        return Quota(*rows[0]) if rows else None

    def set_quota(self, *, documents: int | None, bytes: int | None) -> Quota | None:
        """Limit what may be taken in; what is there already stays, be it more."""
        if any(limit is not None and limit < 0 for limit in (documents, bytes)):
            raise InvalidInput("a quota cannot be negative; 0 lets nothing in, None everything")
        with self.write("set quota") as db:
            db.execute("DELETE FROM quota")
            if documents is not None or bytes is not None:
                db.execute(
                    "INSERT INTO quota SELECT 1, CAST(? AS BIGINT), CAST(? AS BIGINT), count(*),"
                    " coalesce(sum(bytes), 0) FROM documents JOIN blobs USING (sha256)",
                    (documents, bytes),
                )
        return self.quota()
