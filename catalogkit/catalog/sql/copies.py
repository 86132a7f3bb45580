"""Shared SQL: locations of copies, page by page, by key or by id; which exist, and which are bad."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from catalogkit.audit import BadCopy, Copy
from catalogkit.catalog.sql.base import Database, chunks, placeholders

if TYPE_CHECKING:
    from collections.abc import Sequence

_COPIES: Final = (
    "SELECT l.id, l.store_id, l.key, l.sha256, b.bytes, l.inode, l.mtime_ns, l.created_us, l.checked_us, l.outcome,"
    " l.changed_us"
    " FROM locations l LEFT JOIN blobs b ON b.sha256 = l.sha256"
)


class Copies(Database):
    """The catalog's part about copies, for whoever looks at them."""

    def copies(self, *, after: tuple[int, str] = (-1, ""), limit: int) -> list[Copy]:
        """Copies by store and key; pages follow `after`."""
        rows = self.rows(
            f"{_COPIES} WHERE (l.store_id, l.key) > (?, ?) ORDER BY l.store_id, l.key LIMIT {int(limit)}", after
        )
        return [Copy(*row) for row in rows]

    def copies_at(self, store_id: int, keys: Sequence[str]) -> dict[str, Copy]:
        """The copies at these keys of a store, by key; keys where none is on record are left out."""
        found: dict[str, Copy] = {}
        with self.read() as db:
            for part in chunks(keys):
                sql = f"{_COPIES} WHERE l.store_id = ? AND l.key IN ({placeholders(part)})"
                found.update((row[2], Copy(*row)) for row in db.execute(sql, (store_id, *part)))
        return found

    def copies_of_ids(self, location_ids: Sequence[int]) -> list[Copy]:
        """These copies, by store and key; those that are gone are left out."""
        drawn = self.listed.format(":drawn")
        sql = f"{_COPIES} WHERE l.id IN ({drawn}) ORDER BY l.store_id, l.key"
        return [Copy(*row) for row in self.rows(sql, {"drawn": json.dumps(list(location_ids))})]

    def copy_count(self) -> int:
        """How many copies are on record."""
        return int(self.rows("SELECT count(*) FROM locations")[0][0])

    def unchanged(self, copies: Sequence[Copy]) -> set[int]:
        """Which of these locations are on record as they were; asked at a moment when nobody is writing."""
        with self.write("audit") as db:  # waits for whoever is half way through removing a copy
            return {
                copy.location_id
                for copy in copies
                if db.execute(
                    "SELECT sha256, inode, mtime_ns, changed_us FROM locations WHERE id = ?", (copy.location_id,)
                ).fetchone()
                == (copy.digest, copy.inode, copy.mtime_ns, copy.changed_us)
            }

    def standing(self, location_ids: Sequence[int]) -> set[int]:
        """Which of these copies are on record at a moment when nobody is half way through removing one."""
        found: set[int] = set()
        with self.write("look", alone=False) as db:
            for some in chunks(location_ids):
                sql = f"SELECT id FROM locations WHERE id IN ({placeholders(some)})"
                found |= {row[0] for row in db.execute(sql, tuple(some))}
        return found

    def bad_copies(self, *, after: tuple[bytes, int] = (b"", -1), limit: int) -> list[BadCopy]:
        """Copies of contents that documents need and that the last check found bad; pages follow `after`."""
        bad = "l.outcome IN ('corrupt', 'missing')"
        rows = self.rows(
            "SELECT l.id, s.name, l.key, l.sha256, l.outcome, l.checked_us,"
            " (SELECT count(*) FROM locations o WHERE o.sha256 = l.sha256),"
            " (SELECT count(*) FROM locations o WHERE o.sha256 = l.sha256 AND o.outcome IN ('corrupt', 'missing'))"
            " FROM locations l LEFT JOIN stores s ON s.id = l.store_id"
            " JOIN blobs b ON b.sha256 = l.sha256 AND b.refs > 0"
            f" WHERE {bad} AND (l.sha256, l.id) > (?, ?) ORDER BY l.sha256, l.id LIMIT {int(limit)}",
            after,
        )
        return [BadCopy(*row) for row in rows]
