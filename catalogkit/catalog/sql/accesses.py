"""Shared SQL: the access log, and evictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalogkit.catalog.rows import AccessFile, Eviction
from catalogkit.catalog.sql.base import Database
from catalogkit.errors import InvalidInput
from catalogkit.model import Digest, check_text, from_us, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalogkit.catalog.rows import Access

_ADD: Final = (
    "INSERT INTO accesses (document_id, at_us, kind, bytes, count) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (document_id, at_us, kind) DO UPDATE SET count = accesses.count + excluded.count,"
    " bytes = CASE WHEN accesses.bytes IS NULL THEN excluded.bytes"
    " ELSE accesses.bytes + coalesce(excluded.bytes, 0) END"
)


class Accesses(Database):
    """The catalog's part in knowing who asked for what, and in letting it go."""

    def record_accesses(self, accesses: Iterable[Access], *, file: AccessFile | None = None) -> bool:
        """Add (document id, time, kind, bytes), or with how often at the end; what is alike is added up.

        What was read from a file is added once: False, and nothing is changed, where that file was before.
        """
        rows = []
        for document, when, kind, size, *more in accesses:
            count = more[0] if more else 1
            check_text("the kind of an access", kind)
            if count < 1 or (size is not None and size < 0):
                raise InvalidInput(f"an access is counted once or more, and its bytes are not below 0: {count}, {size}")
            rows.append((document, to_us(when), kind, size, count))
        with self.write("access") as db:
            if file is not None and not db.execute(
                "INSERT INTO access_files (sha256, bytes, name, entries, matched, first_us, last_us, imported_us)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (
                    file.sha256, file.bytes, file.name, file.entries, file.matched,
                    None if file.first_at is None else to_us(file.first_at),
                    None if file.last_at is None else to_us(file.last_at), to_us(file.imported_at),
                ),
            ).rowcount:  # fmt: skip
                return False
            db.executemany(_ADD, rows)
        return True

    def access_files(self) -> list[AccessFile]:
        """The files that the log was read from, in the sequence they were."""
        return [
            AccessFile(
                sha256=Digest(row[0]), bytes=row[1], name=row[2], entries=row[3], matched=row[4],
                first_at=None if row[5] is None else from_us(row[5]),
                last_at=None if row[6] is None else from_us(row[6]), imported_at=from_us(row[7]),
            )
            for row in self.rows(
                "SELECT sha256, bytes, name, entries, matched, first_us, last_us, imported_us FROM access_files"
                " ORDER BY imported_us, sha256"
            )
        ]  # fmt: skip

    def evictions(self, digest: Digest | None = None) -> list[Eviction]:
        """Contents that were evicted, the latest first, of one or of all; those that came back say when."""
        which, given = ("", ()) if digest is None else (" WHERE e.sha256 = ?", (digest,))
        rows = self.rows(
            "SELECT e.sha256, b.bytes, e.plan_id, e.evicted_us, e.returned_us FROM evictions e"
            f" JOIN blobs b ON b.sha256 = e.sha256{which} ORDER BY e.id DESC",
            given,
        )
        return [
            Eviction(Digest(row[0]), row[1], row[2], from_us(row[3]), None if row[4] is None else from_us(row[4]))
            for row in rows
        ]

    def blob_bytes(self, digest: Digest) -> int | None:
        """How long a blob is, wherever it lies or does not; None where there is no such blob."""
        rows = self.rows("SELECT bytes FROM blobs WHERE sha256 = ?", (digest,))
        return int(rows[0][0]) if rows else None

    def fetch_outcomes(self) -> list[tuple[str, int, int]]:
        """By resolver: how often fetching one of its documents again was tried and done, and how often it failed."""
        return self.rows(
            "SELECT coalesce(d.resolver, h.resolver, ''), sum(CASE j.outcome WHEN 'done' THEN 1 ELSE 0 END),"
            " sum(CASE j.outcome WHEN 'failed' THEN 1 ELSE 0 END)"
            " FROM journal j LEFT JOIN documents d ON d.id = j.document_id"
            " LEFT JOIN documents_history h ON d.id IS NULL"
            " AND h.hid = (SELECT max(hid) FROM documents_history WHERE id = j.document_id)"
            " WHERE j.kind = 'fetch' AND j.outcome IN ('done', 'failed') GROUP BY 1 ORDER BY 1"
        )
