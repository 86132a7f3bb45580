"""Shared SQL: intents of ingests, from which a later run completes them, and the sources they read."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.catalog.rows import Intent, Registration, SourceRow, SourceStat
from catalogkit.catalog.sql.base import Database
from catalogkit.errors import ConstraintError
from catalogkit.model import Arrival, Digest, Layout, from_us

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.catalog.sql.base import Session

# Which copy of several is named first.
HEALTH: Final = "CASE WHEN outcome IS NULL OR outcome = 'ok' THEN 0 WHEN outcome = 'unknown' THEN 1 ELSE 2 END"


def from_facts(text: str) -> Registration:
    """A registration out of the JSON text it was written as."""
    plain = json.loads(text)
    arrival, source = plain["arrival"], plain["source"]
    fetched_at = arrival["fetched_at"] and datetime.fromisoformat(arrival["fetched_at"])
    return Registration(
        **plain
        | {
            "arrival": Arrival(**arrival | {"fetched_at": fetched_at}),
            "digest": Digest.parse(plain["digest"]),
            "layout": Layout(plain["layout"]),
            "source": SourceStat(**source) if source else None,
        }
    )


# How far documents have come: the last change of one, and the last that was new. What is changed, forgotten or new
# later has a higher number, whatever clocks say.
POSITION: Final = (
    "SELECT (SELECT coalesce(max(hid), 0) FROM documents_history), (SELECT coalesce(max(id), 0) FROM documents)"
)


class Begun(NamedTuple):
    """Where documents stood when an intent was written."""

    changes: int
    last_id: int


def is_overtaken(db: Session, document_id: int, content: bytes, begun: Begun) -> bool:
    """Whether a document that is there was new, or given its content, after that."""
    return document_id > begun.last_id or bool(
        db.execute(
            "SELECT 1 FROM documents_history WHERE id = ? AND hid > ? AND op = 'update' AND sha256 <> ? LIMIT 1",
            (document_id, begun.changes, content),
        ).fetchone()
    )


def stay_forgotten(db: Session, ended: Sequence[tuple[Arrival, Begun]]) -> None:
    """Refuse documents that are not there, and were forgotten after that change, when their ingest had begun.

    Raises
    ------
    ConstraintError
        If one of them was.
    """
    if not ended:
        return
    begun: dict[tuple[str, ...], int] = {}
    for arrival, (changes, _) in ended:
        begun[arrival.identity] = min(changes, begun.get(arrival.identity, changes))
    rows = db.stream(
        "SELECT hid, tenant, artifact_id, source_url, resolver, variant FROM documents_history"
        " WHERE hid > ? AND op = 'delete'",
        (min(begun.values()),),
    )
    for hid, *identity in rows:
        if begun.get(tuple(identity), hid) < hid:
            raise ConstraintError(f"the document {identity[1]} was forgotten after its ingest had begun")


def displace(db: Session, entry: Registration, at_us: int) -> None:
    """A file in its owner's hands has new content: what lay there before is found missing, and no copy any more."""
    row = db.execute(
        "SELECT id, sha256 FROM locations WHERE store_id = ? AND key = ? AND sha256 <> ?",
        (entry.store_id, entry.key, entry.digest),
    ).fetchone()
    if row:
        db.execute(
            "INSERT INTO checks (location_id, sha256, checked_us, outcome, bytes, method, detail, run_id)"
            " VALUES (?, ?, ?, 'missing', 0, 'ingest', 'the file has other content now', ?)",
            (*row, at_us, entry.arrival.run_id),
        )
        db.execute("UPDATE locations SET outcome = 'missing', checked_us = ? WHERE id = ?", (at_us, row[0]))
        db.execute("DELETE FROM locations WHERE id = ?", (row[0],))


def meanwhile(row: Sequence[Any] | None, entry: Registration) -> tuple[int, str]:
    """What became of a document whose ingest others have ended: what they made of it wins."""
    if row is None or row[1] != entry.digest:
        raise ConstraintError(
            f"the ingest of {entry.arrival.artifact_id} was taken for dead, and ended by others; run it again"
        )
    return row[0], "same"


class Intents(Database):
    """What ingest and recovery read of it."""

    def intents(self) -> list[Intent]:
        """Every ingest in flight, oldest first."""
        rows = self.rows("SELECT id, owner, expires_us, facts FROM intents ORDER BY id")
        return [Intent(row[0], row[1], from_us(row[2]), from_facts(row[3])) for row in rows]

    def sources(self, folder: str) -> dict[str, SourceRow]:
        """Remembered source files of one folder by name, only those whose content is still well kept."""
        rows = self.rows(
            "SELECT s.name, s.bytes, s.mtime_ns, s.ctime_ns, s.inode, s.sha256, s.document_id,"
            " d.tenant, d.artifact_id, d.source_url, d.resolver, d.variant"
            " FROM sources s JOIN blobs b ON b.sha256 = s.sha256 AND b.state = 'live'"
            " LEFT JOIN documents d ON d.id = s.document_id AND d.sha256 = s.sha256"
            " WHERE s.folder = ? AND EXISTS (SELECT 1 FROM locations l WHERE l.sha256 = s.sha256"
            " AND (l.outcome IS NULL OR l.outcome IN ('ok', 'unknown')))",
            (folder,),
        )
        return {
            row[0]: SourceRow(
                SourceStat(folder, *row[:5]), Digest(row[5]), row[6], tuple(row[7:]) if row[7] is not None else None
            )
            for row in rows
        }
