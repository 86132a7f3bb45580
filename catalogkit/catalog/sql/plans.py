"""Shared SQL: what garbage collection needs to know, and the journal of plans."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.contract import JournalRow, PlanRow
from catalogkit.catalog.sql.base import Database, chunks, framed, placeholders
from catalogkit.catalog.sql.hand import Hand
from catalogkit.errors import PlanError
from catalogkit.model import Digest, from_us, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import polars as pl

    from catalogkit.catalog.sql.base import Session

# From one blob in so many versions on, reading all of history is quicker than to look up each blob's.
MANY: Final = 5
_KEPT_BY: Final = (
    "CASE WHEN EXISTS (SELECT 1 FROM holds WHERE holds.sha256 = b.sha256 AND released_us IS NULL"
    " AND (expires_us IS NULL OR expires_us > ?1)) THEN 'hold'"
    " WHEN EXISTS (SELECT 1 FROM intents i WHERE i.sha256 = b.sha256) THEN 'ingest under way'"
    " ELSE coalesce((SELECT kind || ' ' || name FROM roots r WHERE r.sha256 = b.sha256 LIMIT 1),"
    " (SELECT kind || ' ' || name FROM kept k WHERE k.sha256 = b.sha256"
    " AND (expires_us IS NULL OR expires_us > ?1) LIMIT 1)) END"
)
# Whose it was last: what a person needs to decide about bytes that nobody refers to any more. Asked blob by blob, or,
# where most of history is about such blobs, by reading all of it once, which is quicker than to look up each.
_OWNERS: Final = (
    "SELECT h.sha256, h.artifact_id, h.resolver, h.tenant FROM blobs b JOIN documents_history h"
    " ON h.hid = (SELECT max(hid) FROM documents_history WHERE sha256 = b.sha256) WHERE {}"
)
_ALL_OWNERS: Final = "SELECT sha256, artifact_id, resolver, tenant FROM documents_history ORDER BY hid"
# How many objects hold a blob's bytes in stores of ours. Nearly every blob has one copy, which an index can tell;
# only the odd ones, listed once, are looked at row by row.
OBJECTS: Final = (
    "CASE WHEN b.sha256 IN (SELECT sha256 FROM locations GROUP BY sha256 HAVING count(*) > 1 UNION SELECT l.sha256"
    " FROM locations l JOIN stores s ON s.id = l.store_id WHERE l.outcome = 'missing' OR s.kind = 'reference')"
    " THEN (SELECT count(DISTINCT l.store_id || coalesce('i' || l.inode, 'l' || l.id)) FROM locations l"
    " JOIN stores s ON s.id = l.store_id"
    " WHERE l.sha256 = b.sha256 AND s.kind <> 'reference' AND coalesce(l.outcome, '') <> 'missing')"
    " WHEN EXISTS (SELECT 1 FROM locations l WHERE l.sha256 = b.sha256) THEN 1 ELSE 0 END"
)


class Plans(Database):
    """The catalog's part in plan and apply."""

    def garbage(self, *, as_of: datetime) -> pl.DataFrame:
        """Live blobs that no document refers to: the columns of `planners.gc.GARBAGE`."""
        from catalogkit.planners.gc import GARBAGE

        garbage = "b.state = 'live' AND b.refs = 0 AND b.garbage_since_us IS NOT NULL"
        sql = f"SELECT b.sha256, b.bytes, b.media_type, b.garbage_since_us, {OBJECTS}, {_KEPT_BY} FROM blobs b"
        return self._owned(f"{sql} WHERE {garbage}", garbage, GARBAGE, as_of)

    def condemned(self, *, as_of: datetime) -> pl.DataFrame:
        """Condemned blobs, a row for each copy: the columns of `planners.gc.CONDEMNED`, without ``users``."""
        from catalogkit.planners.gc import CONDEMNED

        columns = {name: kind for name, kind in CONDEMNED.items() if name != "users"}
        sql = (
            "SELECT b.sha256, CASE WHEN s.kind <> 'reference' AND coalesce(l.outcome, '') <> 'missing'"
            " THEN b.bytes ELSE 0 END,"
            f" b.media_type, b.garbage_since_us, s.name, l.key, l.inode, l.mtime_ns, {_KEPT_BY}"
            " FROM blobs b LEFT JOIN locations l ON l.sha256 = b.sha256 LEFT JOIN stores s ON s.id = l.store_id"
            " WHERE b.state = 'condemned'"
        )
        return self._owned(sql, "b.state = 'condemned'", columns, as_of)

    def _owned(self, sql: str, which: str, columns: Mapping[str, pl.DataType], as_of: datetime) -> pl.DataFrame:
        """Rows about some blobs, and whose those were last."""
        owner = {name: columns[name] for name in ("sha256", "artifact_id", "resolver", "tenant")}
        own = {name: kind for name, kind in columns.items() if name not in owner or name == "sha256"}
        with self.read() as db:
            found = framed(db.stream(sql, (to_us(as_of),)), own)
            (versions,) = db.execute("SELECT coalesce(max(hid), 0) FROM documents_history").fetchone()
            few = found.height * MANY < versions
            owners = framed(db.stream(_OWNERS.format(which) if few else _ALL_OWNERS), owner)
        return found.join(owners.unique("sha256", keep="last"), on="sha256", how="left").select(list(columns))

    def strays(self) -> list[tuple[Any, ...]]:
        """Condemned strays: store, key, bytes, inode, mtime_ns, condemned at (microseconds)."""
        return self.rows(
            "SELECT s.name, key, bytes, inode, mtime_ns, condemned_us FROM strays JOIN stores s ON s.id = store_id"
        )

    def recorded(self, store_id: int, keys: Sequence[str]) -> set[str]:
        """Those of `keys` that a location, an intent or a condemned stray is about."""
        found: set[str] = set()
        with self.read() as db:
            for table in ("locations", "intents", "strays"):
                for part in chunks(keys):
                    sql = f"SELECT key FROM {table} WHERE store_id = ? AND key IN ({placeholders(part)})"
                    found.update(row[0] for row in db.execute(sql, (store_id, *part)))
        return found

    def digest_at(self, store_id: int, key: str) -> Digest | None:
        """The content of a location."""
        rows = self.rows("SELECT sha256 FROM locations WHERE store_id = ? AND key = ?", (store_id, key))
        return Digest(rows[0][0]) if rows else None

    def root_kinds(self, digest: Digest, *, as_of: datetime) -> dict[str, Any]:
        """Why a blob is kept: state, references, documents, holds, intents, roots, garbage since; empty if unknown."""
        with self.read() as db:
            row = db.execute(
                "SELECT state, refs, garbage_since_us, bytes FROM blobs WHERE sha256 = ?", (digest,)
            ).fetchone()
            if row is None:
                return {}
            documents = db.execute(
                "SELECT id, artifact_id, resolver FROM documents WHERE sha256 = ? ORDER BY id LIMIT 20", (digest,)
            ).fetchall()
            holds = db.execute(
                "SELECT reason FROM holds WHERE released_us IS NULL AND (expires_us IS NULL OR expires_us > ?)"
                " AND (sha256 = ? OR document_id IN (SELECT id FROM documents WHERE sha256 = ?))",
                (to_us(as_of), digest, digest),
            ).fetchall()
            intents = db.execute("SELECT owner FROM intents WHERE sha256 = ?", (digest,)).fetchall()
            roots = db.execute(
                "SELECT kind, name FROM roots WHERE sha256 = ?1 UNION SELECT kind, name FROM kept WHERE sha256 = ?1"
                " AND (expires_us IS NULL OR expires_us > ?2) ORDER BY kind, name",
                (digest, to_us(as_of)),
            ).fetchall()
        return {
            "state": row[0],
            "refs": row[1],
            "garbage_since": None if row[2] is None else from_us(row[2]),
            "bytes": row[3],
            "documents": documents,
            "holds": [hold[0] for hold in holds],
            "intents": [intent[0] for intent in intents],
            "roots": [f"{kind} {name}" for kind, name in roots],
        }

    # -- the journal -------------------------------------------------------------------------------------------

    def begin_plan(
        self,
        plan_id: str,
        kind: str,
        head: Mapping[str, Any],
        approval: Mapping[str, Any],
        *,
        keeps: Iterable[Digest] = (),
        as_of: datetime,
    ) -> bool:
        """Note that a plan is being applied; False where that was noted before (it goes on, it is not repeated)."""
        with self.write("begin plan", to_us(as_of), plan_id) as db:
            _refuse_given_up(db, plan_id)
            db.executemany(
                "INSERT INTO roots SELECT 'plan', ?, sha256 FROM blobs WHERE sha256 = ? AND state IN"
                " ('live', 'incoming') ON CONFLICT DO NOTHING",
                ((plan_id, digest) for digest in keeps),
            )
            db.execute("UPDATE plans SET ended_us = NULL WHERE id = ?", (plan_id,))
            return bool(
                db.execute(
                    "INSERT INTO plans (id, kind, head, approval, begun_us) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (plan_id, kind, json.dumps(head, default=str), json.dumps(approval, default=str), to_us(as_of)),
                ).rowcount
            )

    def end_plan(self, plan_id: str, *, given_up: str = "", as_of: datetime) -> bool:
        """Note that nothing of a plan is left to do, and let go of what it kept; False where it had ended before."""
        with self.write("end plan", to_us(as_of), plan_id) as db:
            db.execute("DELETE FROM roots WHERE kind = 'plan' AND name = ?", (plan_id,))
            sql = "UPDATE plans SET ended_us = ?, given_up = ? WHERE id = ? AND ended_us IS NULL"
            return db.execute(sql, (to_us(as_of), given_up, plan_id)).rowcount > 0

    def plans(self) -> list[PlanRow]:
        """Every plan that was ever applied, newest first, with its counts."""
        rows = self.rows(
            "SELECT id, p.kind, begun_us, ended_us, count(*) FILTER (WHERE outcome = 'done'),"
            " count(*) FILTER (WHERE outcome = 'skipped'), count(*) FILTER (WHERE outcome = 'failed'),"
            " count(*) FILTER (WHERE outcome = 'waiting'), min(at_us) FILTER (WHERE outcome = 'waiting'),"
            " max(until_us) FILTER (WHERE outcome = 'waiting'),"
            " coalesce(sum(bytes) FILTER (WHERE outcome = 'done'), 0), given_up, head"
            " FROM plans p LEFT JOIN journal j ON j.plan_id = p.id GROUP BY p.id ORDER BY begun_us DESC, p.id"
        )
        return [
            PlanRow(
                row[0],
                row[1],
                from_us(row[2]),
                None if row[3] is None else from_us(row[3]),
                done=row[4],
                skipped=row[5],
                failed=row[6],
                waiting=row[7],
                waits_since=None if row[8] is None else from_us(row[8]),
                waits_until=None if row[9] is None else from_us(row[9]),
                bytes_freed=row[10],
                given_up=row[11],
                policy=_policy(row[12]),
            )
            for row in rows
        ]

    def journal(self, plan_id: str) -> list[JournalRow]:
        """A plan's steps so far, by unit and step."""
        rows = self.rows(
            "SELECT unit, step, j.kind, outcome, why, lower(hex(sha256)), document_id, s.name, key, bytes, at_us,"
            " f.name, from_key, effect FROM journal j LEFT JOIN stores s ON s.id = store_id"
            " LEFT JOIN stores f ON f.id = from_store_id WHERE plan_id = ? ORDER BY unit, step",
            (plan_id,),
        )
        return list(map(JournalRow._make, rows))

    def decided(self, plan_id: str, *, units: tuple[int, int] | None = None) -> set[tuple[int, int]]:
        """(unit, step) of every step that was done or skipped; one that failed or waits may be tried again."""
        sql = "SELECT unit, step FROM journal WHERE plan_id = ? AND outcome NOT IN ('failed', 'waiting')"
        among = "" if units is None else " AND unit BETWEEN ? AND ?"
        return {(row[0], row[1]) for row in self.rows(sql + among, (plan_id, *(units or ())))}

    @contextlib.contextmanager
    def hand(self, plan_id: str, *, as_of: datetime) -> Iterator[Hand]:
        """The hand of the executor for one batch: everything it does is one transaction, its notes included."""
        with self.promise() as promise, self.write("apply", to_us(as_of), plan_id) as db:
            _refuse_given_up(db, plan_id)
            hand = Hand(db, plan_id, to_us(as_of), promise, self.sequence.format("documents"))
            yield hand
            hand.write_down()
            promise.end(db)


def _policy(head: str) -> dict[str, Any]:
    """The policy that a plan was noted with; plans of long ago were noted without."""
    found: dict[str, Any] = json.loads(head).get("policy", {})
    return found


def _refuse_given_up(db: Session, plan_id: str) -> None:
    """Refuse a plan that was given up, also by somebody else a moment ago."""
    row = db.execute("SELECT given_up FROM plans WHERE id = ?", (plan_id,)).fetchone()
    if row is not None and row[0]:
        raise PlanError.given_up(row[0])
