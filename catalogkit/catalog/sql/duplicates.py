"""Shared SQL: what dedup needs to know: contents with several locations."""

from __future__ import annotations

from typing import Any, Final

from catalogkit.catalog.sql.base import Database

_SEVERAL: Final = "(SELECT sha256 FROM locations GROUP BY sha256 HAVING count(*) > 1)"


class Duplicates(Database):
    """Contents with several locations."""

    def duplicate_counts(self) -> tuple[int, int]:
        """How many contents have more than one location, and how many locations those have; an index tells."""
        rows = self.rows(
            "SELECT count(*), coalesce(sum(n), 0) FROM"
            " (SELECT count(*) AS n FROM locations GROUP BY sha256 HAVING count(*) > 1) several"
        )
        return rows[0][0], rows[0][1]

    def duplicate_copies(self) -> list[tuple[Any, ...]]:
        """Locations of contents that have more than one: rows of `planners.dedup.COPIES`, times in µs."""
        # Read in the order of the file: by way of the index every row would be a page of its own.
        return self.rows(
            "SELECT l.id, s.name, s.kind <> 'reference', lower(hex(l.sha256)), l.key, l.layout, l.inode, l.mtime_ns,"
            " l.created_us, nullif(l.checked_us, 0), l.outcome"
            f" FROM locations l NOT INDEXED CROSS JOIN stores s ON s.id = l.store_id WHERE l.sha256 IN {_SEVERAL}"
        )

    def duplicate_contents(self) -> list[tuple[Any, ...]]:
        """Contents that have more than one location: rows of `planners.dedup.CONTENTS`, times in µs.

        ``resolvers`` is a JSON list; artifact, resolver and tenant are those of the document with the lowest id.
        """
        return self.rows(
            "SELECT lower(hex(b.sha256)), b.bytes, b.media_type, b.refs, a.seen_us, a.resolvers,"
            " f.artifact_id, f.resolver, f.tenant FROM blobs b LEFT JOIN"
            " (SELECT sha256, min(id) AS first, max(seen_us) AS seen_us,"
            " json_group_array(DISTINCT resolver) AS resolvers"
            f" FROM documents WHERE sha256 IN {_SEVERAL} GROUP BY sha256) a ON a.sha256 = b.sha256"
            f" LEFT JOIN documents f ON f.id = a.first WHERE b.sha256 IN {_SEVERAL}"
        )

    def dedup_ratio(self) -> float:
        """Share of the logical bytes that sharing spares, as `catalogkit.stats` defines it; 0.0 for no bytes."""
        ((logical, saved),) = self.rows(
            # Only what several documents have can spare anything; the others' copies need not be looked at.
            "WITH held AS (SELECT sha256, count(DISTINCT store_id || coalesce('i' || inode, 'l' || id)) AS objects,"
            " count(DISTINCT store_id) AS stores FROM locations WHERE coalesce(outcome, '') <> 'missing'"
            " AND sha256 IN (SELECT sha256 FROM blobs WHERE refs > 1) GROUP BY sha256)"
            " SELECT (SELECT coalesce(sum(refs * bytes), 0) FROM blobs), (SELECT"
            " coalesce(sum((refs - 1 - (objects - stores)) * bytes), 0) FROM held JOIN blobs USING (sha256)"
            " WHERE refs - 1 > objects - stores)"
        )
        return saved / logical if logical else 0.0
