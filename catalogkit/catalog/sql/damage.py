"""Shared SQL: what repair needs to know: bad copies, other copies of their bytes, and their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.catalog.sql.base import LAST, Database

if TYPE_CHECKING:
    import polars as pl

    from catalogkit.model import Digest


class Damage(Database):
    """The catalog's part in repair."""

    def impaired(self) -> pl.DataFrame:
        """Every copy of the live blobs that have a bad one: the columns of `planners.repair.COPIES`."""
        from catalogkit.planners.repair import COPIES

        sql = (
            "SELECT l.sha256, b.bytes, b.media_type, s.name, s.kind, l.key, l.inode,"
            " nullif(l.checked_us, 0), l.outcome, coalesce(d.artifact_id, h.artifact_id),"
            " coalesce(d.resolver, h.resolver), coalesce(d.tenant, h.tenant)"
            " FROM locations l JOIN blobs b ON b.sha256 = l.sha256 JOIN stores s ON s.id = l.store_id"
            " LEFT JOIN documents d ON d.id = (SELECT min(id) FROM documents WHERE sha256 = l.sha256)"
            " LEFT JOIN documents_history h ON d.id IS NULL"
            " AND h.hid = (SELECT max(hid) FROM documents_history WHERE sha256 = l.sha256)"
            " WHERE b.state = 'live'"
            " AND l.sha256 IN (SELECT sha256 FROM locations WHERE outcome = 'corrupt' OR outcome = 'missing')"
            " ORDER BY l.sha256, l.id"
        )
        return self.frame_of(sql, COPIES)

    def origins_of(self, digest: Digest) -> list[tuple[int, str]]:
        """Documents that have, or had, this content, and where they came from: living ones first, then the latest."""
        return self.rows(
            f"SELECT id, source_url FROM (SELECT id, source_url, {LAST} AS until FROM documents"
            " WHERE sha256 = ?1 UNION ALL SELECT id, source_url, max(hid) FROM documents_history WHERE sha256 = ?1"
            " GROUP BY id, source_url) o GROUP BY id, source_url ORDER BY max(until) DESC, id",
            (digest,),
        )
