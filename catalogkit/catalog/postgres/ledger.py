"""The verification ledger on a server, to which many may write at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.catalog.postgres.base import Database
from catalogkit.catalog.sql import ledger
from catalogkit.model import to_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.model import Check


class Ledger(Database, ledger.Ledger):
    """The ledger's questions, and adding to it in bulk."""

    def record_checks(self, checks: Sequence[Check], *, run_id: str = "") -> None:
        """Add results to the ledger and to the copies they are about."""
        rows = [
            (c.location_id, c.sha256, to_us(c.checked_at), str(c.outcome), c.bytes, c.method, c.detail, c.changed_us)
            for c in checks
        ]
        if not rows:
            return
        with self.write("verify", run_id=run_id, alone=False) as db:
            columns = [list(column) for column in zip(*rows, strict=True)]
            # Copies in the order of their ids, as everybody locks them. One may have been written anew or dropped since
            # it was read: then the result is history only. Of two results about one copy the later in the list counts.
            db.execute("SELECT 1 FROM locations WHERE id = ANY(?::bigint[]) ORDER BY id FOR NO KEY UPDATE", columns[:1])
            db.execute(
                "WITH told AS (SELECT * FROM unnest(?::bigint[], ?::bytea[], ?::bigint[], ?::text[], ?::bigint[],"
                " ?::text[], ?::text[], ?::bigint[]) WITH ORDINALITY"
                " AS t (location_id, sha256, checked_us, outcome, bytes, method, detail, changed_us, n)),"
                " noted AS (INSERT INTO checks"
                " (location_id, sha256, checked_us, outcome, bytes, method, detail, run_id)"
                " SELECT location_id, sha256, checked_us, outcome, bytes, method, detail, ?::text FROM told ORDER BY n"
                " RETURNING id, location_id, sha256, checked_us, outcome)"
                " UPDATE locations l SET checked_us = c.checked_us, outcome = c.outcome, check_id = c.id"
                " FROM (SELECT DISTINCT ON (location_id) * FROM noted ORDER BY location_id, id DESC) c"
                " WHERE l.id = c.location_id AND l.sha256 = c.sha256 AND NOT EXISTS"
                " (SELECT 1 FROM told t WHERE t.location_id = l.id AND t.changed_us <> l.changed_us)",
                (*columns, run_id),
            )
