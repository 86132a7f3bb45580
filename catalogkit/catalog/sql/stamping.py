"""Shared SQL: numbers local changes for other sites, apart from the code that writes documents.

What changed since the last time is told by ids and history, as for every other copy of the catalog (`feed.py`). What
other sites' changes did to documents here is no change of ours: whoever takes them in notes where history stands then.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.sql.base import chunks, placeholders
from catalogkit.catalog.sql.records import IDENTITY, KNOWN, Records, insert, on, record_of, values_of
from catalogkit.federation import merging
from catalogkit.federation.merging import Life

if TYPE_CHECKING:
    from catalogkit.catalog.sql.base import Session
    from catalogkit.catalog.sql.sites import Here

_GONE: Final = (
    "SELECT r.document_id, r.site_id, r.number, r.at_us, r.state, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,"
    " d.id, d.sha256, b.bytes, b.media_type, d.content_type, d.run_id, d.fetched_us, d.metadata, d.changed_us"
    f" FROM documents d CROSS JOIN records r ON {on('r', 'd')} JOIN blobs b ON b.sha256 = d.sha256"
    " WHERE d.id > ? AND r.source_url IS NOT NULL"
)
# New documents, in the sequence of their ids; those that were gone have their record.
_NEW: Final = (
    "INSERT INTO records (document_id, seq, site_id, number, at_us)"
    " SELECT d.id, ?1 + row_number() OVER (ORDER BY d.id), ?2, ?1 + row_number() OVER (ORDER BY d.id), d.changed_us"
    " FROM documents d WHERE {} AND NOT EXISTS (SELECT 1 FROM records r WHERE r.document_id = d.id)"
)
_CHANGED: Final = "SELECT DISTINCT id FROM documents_history WHERE hid > ? AND op <> 'older' AND id <= ? ORDER BY id"
# A record, its document as it is now, and as it was when it was last told of.
_NOW: Final = (
    f"SELECT {KNOWN}, d.changed_us, w.op, w.ended_us, w.seen_us, {', '.join(f'w.{name}' for name in IDENTITY)},"
    " w.sha256, v.bytes, v.media_type, w.content_type, w.run_id, w.fetched_us, w.metadata,"
    " (SELECT max(l.hid) FROM documents_history l WHERE l.id = w.id AND l.op = 'delete')"
    " FROM documents_history w JOIN records r ON r.document_id = w.id LEFT JOIN documents d ON d.id = w.id"
    " LEFT JOIN blobs b ON b.sha256 = d.sha256 LEFT JOIN blobs v ON v.sha256 = w.sha256"
    " WHERE w.hid IN"
    " (SELECT min(hid) FROM documents_history WHERE hid > ? AND op <> 'older' AND id IN ({}) GROUP BY id)"
)
_HOLDS: Final = (
    "SELECT h.id, h.document_id, h.released_us, h.placed_us, s.uid FROM holds h"
    " LEFT JOIN shared_holds s ON s.hold_id = h.id"
    " WHERE s.uid IS NULL OR s.released = 0 AND h.released_us IS NOT NULL ORDER BY h.id"
)


def note_changes(db: Session, here: Here, sequence: str) -> None:
    """Give a number to everything that was changed here since the last time."""
    held, records = _holds(db, here), Records(db, here)
    last, changes = here.marks["last_id"], here.changes
    changed = [row[0] for row in db.execute(_CHANGED, (changes, last)).fetchall()]
    for part in chunks(changed):
        for row in db.execute(_NOW.format(placeholders(part)), (changes, *part)).fetchall():
            _changed(db, here, records, row)
    records.write()
    # Only now: one that went and came has its record by its identity.
    _returned(db, here)
    here.seq += db.execute(_NEW.format("d.id > ?3"), (here.seq, here.number, last)).rowcount
    # One that went before anybody was told of it, and came back.
    for part in chunks(changed):
        among = f"d.id IN ({placeholders(part)})"
        here.seq += db.execute(_NEW.format(among), (here.seq, here.number, *part)).rowcount
    _touched(db, here, held)
    here.stand(db, sequence)


def _returned(db: Session, here: Here) -> None:
    """Documents that were gone, and were taken in again: whoever did knew that, or could have."""
    records = Records(db, here)
    for row in db.execute(_GONE, (here.marks["last_id"],)).fetchall():
        record = record_of(row[:13], here)
        content, notes = values_of(row[14:21])
        number = here.next()
        after = merging.written(record, (here.site, number), row[21], content=content, notes=notes, life=Life())
        identity = db.execute(f"SELECT {', '.join(IDENTITY)} FROM documents WHERE id = ?", (row[13],)).fetchone()
        records.put(row[13], identity, after, seq=number, before=row[0])
    records.write()


def _changed(db: Session, here: Here, records: Records, row: tuple[Any, ...]) -> None:
    """One document that was changed, forgotten or brought back."""
    known, (changed_us, op, ended_us, seen_us), identity = row[:13], row[13:17], row[17:22]
    was, last_deletion = row[22:29], row[29]
    there = known[5] is not None
    if op == "recall":
        record = record_of((*known[:5], *[None] * 8), here)
        known_content, known_notes, lived = None, None, False
    else:
        # What it was when it was last told of, not what it is by now.
        record = record_of((*known[:5], *was, known[12] if there else seen_us), here)
        known_content, known_notes = values_of(was)
        lived = True
    if not there:
        if not lived:
            return  # it came back and went again
        row = db.execute("SELECT ended_us, seen_us FROM documents_history WHERE hid = ?", (last_deletion,)).fetchone()
        ended_us, seen_us = row
        number = here.next()
        gone = merging.written(record, (here.site, number), ended_us, life=Life(live=False, seen_us=seen_us))
        records.put(known[0], identity, gone, seq=number, before=known[0])
        return
    content, notes = values_of(known[5:12])
    changes: dict[str, Any] = {"content": content} if content != known_content else {}
    changes |= {"notes": notes} if notes != known_notes else {}
    if changes or not lived:
        number = here.next()
        # Who writes wants it to live: a deletion that did not know of this does not win.
        after = merging.written(record, (here.site, number), changed_us, **changes, life=Life())
        records.put(known[0], identity, after, seq=number, before=known[0])


def _holds(db: Session, here: Here) -> list[tuple[int, int]]:
    """Holds that were placed or released; the documents on which they were placed, and when."""
    rows = db.execute(_HOLDS).fetchall()
    new = [row for row in rows if row[4] is None]
    told = [(f"{here.site}:{row[0]}", row[0], int(row[2] is not None), here.next()) for row in new]
    insert(db, "shared_holds", ("uid", "hold_id", "released", "seq"), told)
    for row in rows:
        if row[4] is not None:
            db.execute("UPDATE shared_holds SET released = 1, seq = ? WHERE uid = ?", (here.next(), row[4]))
    return [(row[1], row[3]) for row in new if row[1] is not None and row[2] is None]


def _touched(db: Session, here: Here, held: list[tuple[int, int]]) -> None:
    """Whoever places a hold on a document wants it to live: a deletion elsewhere meanwhile meets that."""
    records = Records(db, here)
    for document, placed in itertools.groupby(sorted(held), key=lambda one: one[0]):
        row = db.execute(
            f"SELECT {KNOWN}, {', '.join(f'd.{name}' for name in IDENTITY)} FROM records r"
            " JOIN documents d ON d.id = r.document_id JOIN blobs b ON b.sha256 = d.sha256 WHERE d.id = ?",
            (document,),
        ).fetchone()
        if row is not None:
            number, at_us = here.next(), max(when for _, when in placed)
            after = merging.written(record_of(row[:13], here), (here.site, number), at_us, life=Life())
            records.put(document, row[13:], after, seq=number, before=document)
    records.write()
