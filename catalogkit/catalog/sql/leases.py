"""Shared SQL: leases: rows that are removed when the work is done, and expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.catalog.sql.base import Database, chunks
from catalogkit.model import from_us, to_us

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Leases(Database):
    """The catalog's part in sharing work out."""

    def lease(self, work: str, items: Sequence[str], *, owner: str, expires_at: datetime, as_of: datetime) -> set[str]:
        """Take items on that nobody else has, or whose lease ran out; which of them are the owner's now."""
        until_us, now_us = to_us(expires_at), to_us(as_of)
        taken: set[str] = set()
        wanted = sorted(set(items))  # two that want the same wait for one another in one order
        with self.write("lease", alone=False) as db:
            for some in chunks(wanted):
                rows = db.execute(
                    f"INSERT INTO leases (work, item, owner, until_us) VALUES {', '.join(['(?, ?, ?, ?)'] * len(some))}"
                    " ON CONFLICT (work, item) DO UPDATE SET owner = excluded.owner, until_us = excluded.until_us"
                    " WHERE leases.owner = excluded.owner OR leases.until_us <= ? RETURNING item",
                    [value for item in some for value in (work, item, owner, until_us)] + [now_us],
                ).fetchall()
                taken.update(item for (item,) in rows)
        return taken

    def renew(self, work: str, owner: str, *, expires_at: datetime) -> None:
        """Hold on to all that the owner has of that work, until then."""
        with self.write("renew", alone=False) as db:
            sql = "UPDATE leases SET until_us = ? WHERE work = ? AND owner = ?"
            db.execute(sql, (to_us(expires_at), work, owner))

    def release(self, work: str, owner: str, items: Sequence[str] | None = None) -> None:
        """Give items back, or all that the owner has; what is somebody else's by now stays his."""
        with self.write("release", alone=False) as db:
            if items is None:
                db.execute("DELETE FROM leases WHERE work = ? AND owner = ?", (work, owner))
            else:
                db.executemany(
                    "DELETE FROM leases WHERE work = ? AND item = ? AND owner = ?",
                    [(work, item, owner) for item in sorted(items)],
                )

    def lessees(self, work: str) -> list[tuple[str, datetime]]:
        """Everybody who has something of that work, and until when."""
        sql = "SELECT owner, max(until_us) FROM leases WHERE work = ? GROUP BY owner ORDER BY owner"
        return [(owner, from_us(until_us)) for owner, until_us in self.rows(sql, (work,))]
