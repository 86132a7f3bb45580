"""Shared SQL: runs, the verification ledger, and holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from catalogkit.catalog.contract import Due
from catalogkit.catalog.sql.base import Database, chunks, placeholders
from catalogkit.errors import InvalidInput
from catalogkit.model import Digest, check_text, from_us, json_text, to_us

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from catalogkit.model import Check


class Ledger(Database):
    """Who was checked, when and how; which runs there were; what must not go away."""

    def start_run(self, run_id: str, operation: str, *, as_of: datetime) -> None:
        """Note that a run began; a run id may be continued."""
        check_text("a run id", run_id)
        with self.write(operation, to_us(as_of), run_id, alone=False) as db:
            db.execute(
                "INSERT INTO runs (id, operation, started_us) VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET ended_us = NULL",
                (run_id, operation, to_us(as_of)),
            )

    def end_run(self, run_id: str, summary: Mapping[str, Any], *, as_of: datetime) -> None:
        """Note that a run came to its end, with its counts."""
        with self.write("end run", to_us(as_of), run_id, alone=False) as db:
            db.execute(
                "UPDATE runs SET ended_us = ?, summary = ? WHERE id = ?", (to_us(as_of), json_text(summary), run_id)
            )

    def last_run(self, operation: str) -> Mapping[str, Any]:
        """What the newest run of that kind that came to its end was summed up as; empty without one."""
        rows = self.rows(
            "SELECT summary FROM runs WHERE operation = ? AND ended_us IS NOT NULL"
            " ORDER BY ended_us DESC, id DESC LIMIT 1",
            (operation,),
        )
        return dict(json.loads(rows[0][0])) if rows else {}

    def unfinished_run(self, operation: str) -> tuple[str, datetime] | None:
        """The newest run of that kind, if it never ended."""
        rows = self.rows(
            "SELECT id, started_us, ended_us FROM runs WHERE operation = ? ORDER BY started_us DESC, id DESC LIMIT 1",
            (operation,),
        )
        return (rows[0][0], from_us(rows[0][1])) if rows and rows[0][2] is None else None

    def last_check_id(self) -> int:
        """The newest entry of the ledger; entries after it belong to what follows."""
        return int(self.rows("SELECT coalesce(max(id), 0) FROM checks")[0][0])

    def due(
        self,
        *,
        before: datetime,
        limit: int,
        after: tuple[int, int] = (-1, -1),
        up_to_check: int,
        digests: Sequence[Digest] | None = None,
        rarer: Mapping[int, datetime] | None = None,
    ) -> list[Due]:
        """Copies whose last check lies before `before`, longest unchecked first; pages follow `after`.

        Of a store that `rarer` names they are those whose last check lies before that time as well.
        Copies whose newest ledger entry is later than `up_to_check` were checked by the run that asks.
        """
        columns = "SELECT l.id, l.store_id, l.key, l.sha256, b.bytes, l.checked_us, l.changed_us FROM locations l"
        if digests is not None:
            found = []
            with self.read() as db:
                for digest in dict.fromkeys(digests):
                    found += db.execute(
                        columns + " JOIN blobs b ON b.sha256 = l.sha256 WHERE l.sha256 = ? ORDER BY l.id", (digest,)
                    ).fetchall()
            return [Due(row[0], row[1], row[2], Digest(row[3]), *row[4:]) for row in found]
        rare, values = _rarer(rarer)
        rows = self.rows(
            columns + " JOIN blobs b ON b.sha256 = l.sha256 WHERE l.checked_us < ? AND (l.checked_us, l.id) > (?, ?)"
            f" AND l.check_id <= ?{rare} ORDER BY l.checked_us, l.id LIMIT {int(limit)}",
            (to_us(before), *after, up_to_check, *values),
        )
        return [Due(row[0], row[1], row[2], Digest(row[3]), *row[4:]) for row in rows]

    def checked_since(self, location_ids: Sequence[int], check_id: int) -> set[int]:
        """Which of these copies have an entry of the ledger after that one."""
        found: set[int] = set()
        for some in chunks(location_ids):
            sql = f"SELECT id FROM locations WHERE check_id > ? AND id IN ({placeholders(some)})"
            found |= {row[0] for row in self.rows(sql, (check_id, *some))}
        return found

    def due_totals(
        self, *, before: datetime, up_to_check: int, rarer: Mapping[int, datetime] | None = None
    ) -> tuple[int, int]:
        """How many copies are due, and their bytes together."""
        rare, values = _rarer(rarer)
        ((count, size),) = self.rows(
            "SELECT count(*), coalesce(sum(b.bytes), 0) FROM locations l JOIN blobs b USING (sha256)"
            f" WHERE l.checked_us < ? AND l.check_id <= ?{rare}",
            (to_us(before), up_to_check, *values),
        )
        return count, size

    def record_checks(self, checks: Sequence[Check], *, run_id: str = "") -> None:
        """Add results to the ledger and to the copies they are about."""
        with self.write("verify", run_id=run_id) as db:
            (last,) = db.execute("SELECT coalesce(max(id), 0) FROM checks").fetchone()
            db.executemany(
                "INSERT INTO checks (location_id, sha256, checked_us, outcome, bytes, method, detail, run_id)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (c.location_id, c.sha256, to_us(c.checked_at), c.outcome, c.bytes, c.method, c.detail, run_id)
                    for c in checks
                ),
            )
            # The copy may have been written anew or dropped since it was read: then the result is history only.
            db.executemany(
                "UPDATE locations SET checked_us = ?, outcome = ?, check_id = ? WHERE id = ? AND sha256 = ?"
                " AND changed_us = coalesce(?, changed_us)",
                (
                    (to_us(c.checked_at), c.outcome, last + number, c.location_id, c.sha256, c.changed_us)
                    for number, c in enumerate(checks, 1)
                ),
            )

    def checks_by_day(self, *, since: datetime, until: datetime) -> list[tuple[int, str, int, int]]:
        """The ledger from `since` until before `until`: day (since 1970, UTC), outcome, checks, bytes read."""
        return self.rows(
            "SELECT checked_us / 86400000000 AS day, outcome, count(*), sum(bytes) FROM checks"
            " WHERE checked_us >= ? AND checked_us < ? GROUP BY day, outcome ORDER BY day, outcome",
            (to_us(since), to_us(until)),
        )

    def place_hold(
        self,
        reason: str,
        *,
        document_id: int | None = None,
        digest: Digest | None = None,
        placed_by: str = "",
        expires_at: datetime | None = None,
        as_of: datetime,
    ) -> int:
        """Forbid that a document or a blob goes away; say why.

        Raises
        ------
        InvalidInput
            If there is no reason, no such document or blob, or not exactly one of both is named.
        """
        if not reason.strip() or (document_id is None) == (digest is None):
            raise InvalidInput("a hold needs a reason and exactly one of document_id and digest")
        check_text("a hold's reason", reason)
        check_text("the name of who placed a hold", placed_by)
        until_us = None if expires_at is None else to_us(expires_at)
        with self.write("hold", to_us(as_of)) as db:
            there = (
                db.execute("SELECT 1 FROM documents WHERE id = ?", (document_id,))
                if digest is None
                else db.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (digest,))
            ).fetchone()
            if not there:
                raise InvalidInput(f"nothing to hold: there is no {digest or f'document {document_id}'}")
            (hold_id,) = db.execute(
                "INSERT INTO holds (document_id, sha256, reason, placed_by, placed_us, expires_us)"
                " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                (document_id, digest, reason, placed_by, to_us(as_of), until_us),
            ).fetchone()
        return int(hold_id)

    def holds(self, *, as_of: datetime) -> list[dict[str, Any]]:
        """Holds in force: id, subject (a document's id or a digest), reason, placed_by, placed_at, expires_at."""
        rows = self.rows(
            "SELECT id, coalesce(CAST(document_id AS TEXT), lower(hex(sha256))), reason, placed_by, placed_us,"
            " expires_us"
            " FROM holds WHERE released_us IS NULL AND (expires_us IS NULL OR expires_us > ?) ORDER BY id",
            (to_us(as_of),),
        )
        return [
            {
                "id": row[0],
                "subject": row[1],
                "reason": row[2],
                "placed_by": row[3],
                "placed_at": from_us(row[4]),
                "expires_at": None if row[5] is None else from_us(row[5]),
            }
            for row in rows
        ]

    def release_hold(self, hold_id: int, *, as_of: datetime) -> None:
        """End a hold; one that is not there, or was released before, is an error."""
        with self.write("release hold", to_us(as_of)) as db:
            changed = db.execute(
                "UPDATE holds SET released_us = ? WHERE id = ? AND released_us IS NULL", (to_us(as_of), hold_id)
            ).rowcount
        if not changed:
            raise InvalidInput(f"there is no hold {hold_id} in force")


def _rarer(rarer: Mapping[int, datetime] | None) -> tuple[str, list[int]]:
    """A condition for each store whose copies are due less often, and its values."""
    items = (rarer or {}).items()
    return " AND (l.store_id <> ? OR l.checked_us < ?)" * len(items), [
        value for store_id, before in items for value in (store_id, to_us(before))
    ]
