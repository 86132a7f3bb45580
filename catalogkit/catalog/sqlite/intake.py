"""What ingest writes: intents before the bytes appear, facts once they are durable."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from catalogkit.catalog.contract import Committed, Known, Registration
from catalogkit.catalog.sql.facts import (
    HEALTH,
    POSITION,
    Begun,
    Intents,
    displace,
    is_overtaken,
    meanwhile,
    stay_forgotten,
)
from catalogkit.catalog.sql.versions import facts_of, put_version
from catalogkit.catalog.sqlite.base import Connection, Database
from catalogkit.layouts import fold
from catalogkit.model import Arrival, BlobState, Digest, Layout, Outcome, json_text, to_us

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence


class Intake(Database, Intents):
    """The writing half that ingest and recovery use."""

    def known(self, store_id: int, digests: Iterable[Digest]) -> dict[Digest, Known]:
        """What is known of these blobs; of several copies in the store the healthiest is named."""
        found: dict[Digest, Known] = {}
        with self.read() as db:
            for digest in digests:
                row = db.execute(
                    "SELECT state, key, inode, mtime_ns, outcome FROM blobs"
                    " LEFT JOIN locations ON locations.sha256 = blobs.sha256 AND store_id = ?"
                    f" WHERE blobs.sha256 = ? ORDER BY {HEALTH}, locations.id LIMIT 1",
                    (store_id, digest),
                ).fetchone()
                if row:
                    outcome = Outcome(row[4]) if row[4] else None
                    found[digest] = Known(BlobState(row[0]), row[1], row[2], row[3], outcome)
        return found

    def holders(self, store_id: int, folds: Iterable[str]) -> dict[str, tuple[str, Digest]]:
        """Which readable paths are taken, by their fold: key and content."""
        found: dict[str, tuple[str, Digest]] = {}
        with self.read() as db:
            for fold in folds:
                row = db.execute(
                    "SELECT key, sha256 FROM locations WHERE store_id = ? AND fold = ?", (store_id, fold)
                ).fetchone()
                if row:
                    found[fold] = (row[0], Digest(row[1]))
        return found

    def stage(
        self, registrations: Sequence[Registration], *, owner: str, expires_at: datetime, as_of: datetime
    ) -> list[int]:
        """Write intents before bytes appear: blobs become ``incoming``, a condemned one is re-armed."""
        at_us, until_us = to_us(as_of), to_us(expires_at)
        with self.write("stage", at_us) as db:
            _expect(db, registrations, at_us)
            # This transaction is the only writer, so the ids that come next are its own to give.
            (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'intents'").fetchone()
            ids = list(range(last + 1, last + 1 + len(registrations)))
            position = db.execute(POSITION).fetchone()
            db.executemany(
                "INSERT INTO intents (id, owner, store_id, key, sha256, facts, created_us, expires_us, changes,"
                " last_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (number, owner, one.store_id, one.key, one.digest, json_text(one), at_us, until_us, *position)
                    for number, one in zip(ids, registrations, strict=True)
                ],
            )
        return ids

    def commit(
        self,
        staged: Sequence[tuple[int | None, Registration]],
        *,
        as_of: datetime,
        run_id: str = "",
        late: bool = False,
    ) -> list[Committed]:
        """The bytes are durable: locations appear, blobs live, documents point at them, intents end.

        Raises
        ------
        ConstraintError
            If a rule forbids it, or an intent has ended already: somebody took this ingest for dead, completed or
            dropped it, and others went on from there. Where that made the document what it would become, it is
            ``same``. Or if it comes `late`, and the document was forgotten meanwhile. Nothing is changed.
        """
        at_us = to_us(as_of)
        with self.write("ingest", at_us, run_id) as db:
            ends = [_end(db, intent) if intent is not None else None for intent, _ in staged]
            gone = [intent is not None and end is None for (intent, _), end in zip(staged, ends, strict=True)]
            if late:
                ended = [(entry.arrival, end) for (_, entry), end in zip(staged, ends, strict=True) if end]
                stay_forgotten(db, [one for one in ended if _document_of(db, one[0]) is None])
            # Before anything of this is written: it does not overtake itself.
            overtaken = [end and _overtaken(db, entry, end) for (_, entry), end in zip(staged, ends, strict=True)]
            entries = [entry for (_, entry), lost in zip(staged, gone, strict=True) if not lost]
            # Without an intent to protect them, blobs may have been condemned or forgotten meanwhile.
            _expect(db, [entry for intent, entry in staged if intent is None], at_us)
            _locate(db, entries, at_us)
            fresh = _bring_alive(db, entries, at_us)
            documents = [
                meanwhile(_document_of(db, entry.arrival), entry) if lost else _put_document(db, entry, at_us, late_by)
                for (_, entry), lost, late_by in zip(staged, gone, overtaken, strict=True)
            ]
            _remember(db, [entry for _, entry in staged], documents)
        done = []
        for (_, entry), (document_id, outcome) in zip(staged, documents, strict=True):
            done.append(Committed(document_id, outcome, entry.digest in fresh))
            fresh.discard(entry.digest)  # new with the first of its documents only
        return done

    def abandon(self, intents: Iterable[int]) -> None:
        """End intents whose bytes never appeared; their blobs are forgotten if nothing else wants them."""
        with self.write("abandon") as db:
            for intent in intents:
                row = db.execute("DELETE FROM intents WHERE id = ? RETURNING sha256", (intent,)).fetchone()
                if row:
                    db.execute(
                        "DELETE FROM blobs WHERE sha256 = ? AND state = 'incoming'"
                        " AND NOT EXISTS (SELECT 1 FROM intents WHERE intents.sha256 = blobs.sha256)"
                        " AND NOT EXISTS (SELECT 1 FROM locations WHERE locations.sha256 = blobs.sha256)",
                        row,
                    )

    def current(self, arrivals: Sequence[Arrival]) -> list[tuple[int, Digest] | None]:
        """For each arrival the document of the same identity and its content, if there is one."""
        with self.read() as db:
            rows = [_document_of(db, arrival) for arrival in arrivals]
        return [(row[0], Digest(row[1])) if row else None for row in rows]

    def touch(self, document_ids: Sequence[int], *, as_of: datetime) -> None:
        """These documents were seen again, unchanged."""
        at_us = to_us(as_of)
        with self.write("touch", at_us) as db:
            db.executemany(
                "UPDATE documents SET seen_us = max(seen_us, ?) WHERE id = ?", [(at_us, i) for i in document_ids]
            )


def _end(db: sqlite3.Connection, intent: int) -> Begun | None:
    """End an intent; where documents stood when it was written, None where it is not there any more."""
    row = db.execute("DELETE FROM intents WHERE id = ? RETURNING changes, last_id", (intent,)).fetchone()
    return row and Begun(*row)


def _overtaken(db: Connection, entry: Registration, begun: Begun) -> bool:
    """Whether its document was given another version since; nobody asks where versions come in their order."""
    row = None if entry.in_order else _document_of(db, entry.arrival)
    return row is not None and is_overtaken(db, row[0], row[1], begun)


def _expect(db: sqlite3.Connection, entries: Sequence[Registration], at_us: int) -> None:
    """Make the blobs such that may receive bytes: new, or taken back from the condemned or the purged.

    One that is known with another size is refused by the rule that what a blob is never changes.
    """
    db.executemany(
        "INSERT INTO blobs (sha256, bytes, media_type, state, created_us, changed_us)"
        " VALUES (?1, ?2, ?3, 'incoming', ?4, ?4) ON CONFLICT (sha256) DO UPDATE SET bytes = excluded.bytes,"
        " state = CASE WHEN state IN ('incoming', 'live') THEN state WHEN state = 'condemned' AND EXISTS"
        " (SELECT 1 FROM locations WHERE locations.sha256 = blobs.sha256) THEN 'live' ELSE 'incoming' END,"
        " changed_us = excluded.changed_us, garbage_since_us = excluded.changed_us"
        " WHERE bytes <> excluded.bytes OR state IN ('condemned', 'purged')",
        [(entry.digest, entry.bytes, entry.media_type, at_us) for entry in entries],
    )


def _locate(db: Connection, entries: Sequence[Registration], at_us: int) -> None:
    """Write down where the bytes lie; a key that holds other content is refused by the rule that none changes it."""
    for entry in entries:
        if entry.layout is Layout.REFERENCE:
            displace(db, entry, at_us)
    db.executemany(
        "INSERT INTO locations (store_id, key, layout, fold, sha256, inode, mtime_ns, created_us, changed_us)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT (store_id, key) DO UPDATE SET"
        # Published anew over a copy that was bad or gone: what the last check said is no longer about these bytes.
        " sha256 = excluded.sha256, inode = excluded.inode, mtime_ns = excluded.mtime_ns,"
        " changed_us = excluded.changed_us, outcome = NULL, checked_us = 0"
        " WHERE sha256 <> excluded.sha256 OR inode IS NOT excluded.inode OR mtime_ns IS NOT excluded.mtime_ns",
        [
            (
                entry.store_id, entry.key, entry.layout, fold(entry.key) if entry.layout == "policy" else None,
                entry.digest, entry.inode, entry.mtime_ns, at_us,
            )
            for entry in entries
        ],
    )  # fmt: skip


def _bring_alive(db: sqlite3.Connection, entries: Sequence[Registration], at_us: int) -> set[Digest]:
    """Make the blobs live that were incoming; which they are."""
    sql = "UPDATE blobs SET state = 'live', changed_us = ? WHERE sha256 = ? AND state = 'incoming'"
    return {digest for digest in {entry.digest for entry in entries} if db.execute(sql, (at_us, digest)).rowcount}


def _remember(db: sqlite3.Connection, entries: Sequence[Registration], documents: Sequence[tuple[int, str]]) -> None:
    """Note what the source files looked like, so that they need not be read again."""
    db.executemany(
        "INSERT OR REPLACE INTO sources VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                stat.folder, stat.name, stat.bytes, stat.mtime_ns, stat.ctime_ns, stat.inode, entry.digest, document_id,
            )
            for entry, (document_id, _) in zip(entries, documents, strict=True)
            if (stat := entry.source)
        ],
    )  # fmt: skip


def _document_of(db: sqlite3.Connection, arrival: Arrival) -> Any:
    return db.execute(
        "SELECT id, sha256, fetched_us, changed_us FROM documents"
        " WHERE source_url = ? AND artifact_id = ? AND resolver = ? AND variant = ? AND tenant = ?",
        (arrival.source_url, arrival.artifact_id, arrival.resolver, arrival.variant, arrival.tenant),
    ).fetchone()


def _put_document(db: Connection, entry: Registration, at_us: int, overtaken: bool | None) -> tuple[int, str]:
    arrival = entry.arrival
    facts = facts_of(entry)
    row = _document_of(db, arrival)  # rather than ON CONFLICT, which would use up an id
    if row is None:
        cursor = db.execute(
            "INSERT INTO documents (tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id,"
            " fetched_us, metadata, created_us, changed_us, seen_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*arrival.identity, *facts, at_us, at_us, at_us),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid, "new"
    document_id, content, *known = row
    if content == entry.digest:
        db.execute("UPDATE documents SET seen_us = max(seen_us, ?) WHERE id = ?", (at_us, document_id))
        return document_id, "same"
    return document_id, put_version(db, entry, facts, (document_id, *known), overtaken, at_us)
