"""How much there is, and how much of it was proved lately: sums over everything, made by the database.

Nearly every content has one copy, which is an object of its own. The others are *odd*: contents with several copies,
which may be names of one file, and contents with a missing one. An index tells which they are; only they are grouped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalogkit.catalog.contract import Coverage
from catalogkit.catalog.sql.base import Database
from catalogkit.model import from_us, to_us

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.sql.base import Session

_ODD: Final = (
    "odd AS MATERIALIZED (SELECT sha256 FROM locations GROUP BY sha256 HAVING count(*) > 1"
    " UNION SELECT sha256 FROM locations WHERE outcome = 'missing')"
)
_NEVER, _LATELY, _ELSE = 0, 1, 2
# The newest check of an object's paths speaks for it, and of two at one moment the worse: time * 4 plus 0 for ok, 1 for
# unknown, 2 for corrupt; null without a check, and one from the future is none.
_CHECK: Final = (
    "CASE WHEN checked_us BETWEEN 1 AND ?2 THEN checked_us * 4"
    " + CASE outcome WHEN 'ok' THEN 0 WHEN 'unknown' THEN 1 ELSE 2 END END"
)
_CLASS: Final = (
    f"CASE WHEN newest IS NULL THEN {_NEVER} WHEN newest & 3 = 0 AND newest >> 2 >= ?1 THEN {_LATELY} ELSE {_ELSE} END"
)
_SUMS: Final = "count(*) AS objects, count(*) FILTER (WHERE newest & 3 = 2) AS bad, min(newest >> 2) AS oldest"


class Totals(Database):
    """Sums over everything."""

    def totals(self) -> dict[str, int]:
        """documents, blobs, locations, logical_bytes, physical_bytes.

        Blobs are those that are live. Physical bytes count each stored object once: paths that share an inode are one
        object, and a copy that was found missing is none.
        """
        with self.read() as db:
            documents, logical, blobs = db.execute(
                "SELECT coalesce(sum(refs), 0), coalesce(sum(refs * bytes), 0),"
                " count(*) FILTER (WHERE state = 'live') FROM blobs"
            ).fetchone()
            (locations,) = db.execute("SELECT count(*) FROM locations").fetchone()
            physical = _physical(db)
        return {
            "documents": documents,
            "blobs": blobs,
            "locations": locations,
            "logical_bytes": logical,
            "physical_bytes": physical,
        }

    def coverage(self, *, as_of: datetime, days: int = 30) -> Coverage:
        """How much of what is stored was proved within so many days."""
        until = to_us(as_of)
        since = until - days * 86_400_000_000
        with self.read() as db:
            physical = _physical(db)
            # To look up the sizes of a million copies takes ten times as long as to count them. So the largest class
            # of single copies is not sized: it has what is left of all bytes.
            rows = db.execute(
                f"WITH {_ODD},"
                f" checked AS (SELECT sha256, {_CHECK} AS newest FROM locations"
                " WHERE sha256 NOT IN (SELECT sha256 FROM odd)),"
                f" single AS (SELECT sha256, newest, {_CLASS} AS class FROM checked),"
                f" counted AS MATERIALIZED (SELECT class, {_SUMS} FROM single GROUP BY class),"
                " sized AS MATERIALIZED (SELECT s.class, sum(b.bytes) AS bytes FROM single s"
                " CROSS JOIN blobs b ON b.sha256 = s.sha256"
                " WHERE s.class <> (SELECT class FROM counted ORDER BY objects DESC, class LIMIT 1) GROUP BY s.class),"
                f" named AS (SELECT max({_CHECK}) AS newest, b.bytes FROM odd JOIN locations l USING (sha256)"
                " JOIN blobs b USING (sha256) WHERE coalesce(l.outcome, '') <> 'missing'"
                " GROUP BY l.store_id, b.sha256, coalesce('i' || l.inode, 'l' || l.id), b.bytes),"
                f" several AS (SELECT newest, bytes, {_CLASS} AS class FROM named)"
                " SELECT c.class, c.objects, s.bytes, c.bad, c.oldest FROM counted c LEFT JOIN sized s USING (class)"
                f" UNION ALL SELECT class, objects, bytes, bad, oldest FROM"
                f" (SELECT class, {_SUMS}, sum(bytes) AS bytes FROM several GROUP BY class) o",
                (since, until),
            ).fetchall()
            (missing,) = db.execute("SELECT count(*) FROM locations WHERE outcome = 'missing'").fetchone()
        objects, sizes, bad, oldest = [0, 0, 0], [0, 0, 0], missing, None
        rest = physical - sum(size or 0 for _, _, size, _, _ in rows)
        for which, count, size, worse, first in rows:
            objects[which] += count
            sizes[which] += rest if size is None else size
            bad += worse
            oldest = first if oldest is None or (first is not None and first < oldest) else oldest
        return Coverage(
            days=days,
            bytes=physical,
            verified_bytes=sizes[_LATELY],
            never_checked_bytes=sizes[_NEVER],
            never_checked=objects[_NEVER],
            bad=bad,
            oldest_check=None if oldest is None else from_us(oldest),
        )


def _physical(db: Session) -> int:
    """Bytes of stored objects: of all contents, less those without a copy, and of odd ones what is really there."""
    known, bare, odd, physical = db.execute(
        f"WITH bare AS MATERIALIZED (SELECT sha256 FROM blobs EXCEPT SELECT sha256 FROM locations"
        f" ORDER BY sha256), {_ODD}"
        " SELECT (SELECT coalesce(sum(bytes), 0) FROM blobs),"
        " (SELECT coalesce(sum(b.bytes), 0) FROM bare JOIN blobs b USING (sha256)),"
        " (SELECT coalesce(sum(b.bytes), 0) FROM odd JOIN blobs b USING (sha256)),"
        " (SELECT coalesce(sum(bytes), 0) FROM (SELECT DISTINCT l.store_id, l.sha256,"
        " coalesce('i' || l.inode, 'l' || l.id), b.bytes FROM odd JOIN locations l USING (sha256)"
        " JOIN blobs b USING (sha256) WHERE coalesce(l.outcome, '') <> 'missing') o)"
    ).fetchone()
    return int(known - bare - odd + physical)
