"""Shared SQL: applies another site's changes, one transaction a part; repeating one changes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.federation import Contest, Taken
from catalogkit.catalog.sql.base import Database, chunks, placeholders
from catalogkit.catalog.sql.records import IDENTITY, KNOWN, Records, insert, on, record_of
from catalogkit.catalog.sql.sites import Here, hear, meet, reach_out, refuse_older
from catalogkit.catalog.sql.stamping import note_changes
from catalogkit.errors import CatalogError
from catalogkit.federation import merging
from catalogkit.federation.changes import SAME, Copies, Reach
from catalogkit.federation.merging import Life
from catalogkit.model import to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from catalogkit.catalog.sql.base import Session
    from catalogkit.federation.changes import Changes, Entry, Hold
    from catalogkit.federation.merging import Content, Identity, Record, Write

# What is known here of the documents of a change set: by the document, else by the identity of what is gone.
_KNOWN: Final = (
    f"SELECT i.n, r.contested, {KNOWN} FROM told i CROSS JOIN documents d ON {on('d', 'i')}"
    " JOIN records r ON r.document_id = d.id JOIN blobs b ON b.sha256 = d.sha256"
)
_GONE: Final = (
    "SELECT i.n, r.contested, r.document_id, r.site_id, r.number, r.at_us, r.state,"
    " NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
    f" FROM told i CROSS JOIN records r ON {on('r', 'i')} WHERE r.source_url IS NOT NULL"
)
_DOCUMENT: Final = (
    *IDENTITY, "sha256", "content_type", "run_id", "fetched_us", "metadata", "created_us", "changed_us", "seen_us",
)  # fmt: skip
_EXPECT: Final = (
    "ON CONFLICT (sha256) DO UPDATE SET bytes = excluded.bytes,"
    " state = CASE WHEN blobs.state IN ('incoming', 'live') THEN blobs.state WHEN blobs.state = 'condemned' AND EXISTS"
    " (SELECT 1 FROM locations WHERE locations.sha256 = blobs.sha256) THEN 'live' ELSE 'incoming' END,"
    " changed_us = excluded.changed_us, garbage_since_us = excluded.changed_us"
    " WHERE blobs.bytes <> excluded.bytes OR blobs.state IN ('condemned', 'purged')"
)
_ELSEWHERE: Final = (
    "ON CONFLICT (sha256, site_id) DO UPDATE SET copies = excluded.copies, outcome = excluded.outcome,"
    " checked_us = excluded.checked_us, told_us = excluded.told_us, stand = excluded.stand, seq = CASE WHEN"
    " elsewhere.copies <> excluded.copies OR elsewhere.checked_us <> excluded.checked_us"
    " OR coalesce(elsewhere.outcome, '') <> coalesce(excluded.outcome, '') THEN excluded.seq ELSE elsewhere.seq END"
    " WHERE elsewhere.stand < excluded.stand"
)


@dataclass(slots=True)
class _Work:
    """What is to be written, gathered before anything is."""

    taken: Taken = field(default_factory=Taken)
    contents: dict[bytes, Write[Content]] = field(default_factory=dict)
    losers: set[bytes] = field(default_factory=set)
    added: list[tuple[int | None, Identity, Record, int | None, int | None]] = field(default_factory=list)
    updates: list[tuple[Any, ...]] = field(default_factory=list)
    sightings: list[tuple[int, int]] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)


class Receiving(Database):
    """The half that is told."""

    def take_changes(self, changes: Changes, *, as_of: datetime) -> Taken:
        """Join what another site tells with what is known here."""
        with self.write("sync", to_us(as_of)) as db:
            here = Here(db, self.text_column)
            if changes.site == here.site:
                raise CatalogError(SAME)
            refuse_older(here, changes.reach)
            note_changes(db, here, self.sequence.format("documents"))
            for site in changes.sites:
                meet(db, here, site, as_of)
            sender = here.numbers[changes.site]
            heard = db.execute(
                "SELECT seq, marks FROM reaches WHERE site_id = ? AND origin_id = ?", (here.number, sender)
            ).fetchone() or (0, "{}")
            if changes.since > heard[0]:
                raise CatalogError(
                    f"changes {heard[0] + 1:,} to {changes.since:,} of that site are missing here; they come first"
                )
            taken = _take(db, here, sender, changes, to_us(as_of))
            _arrive(db, here, sender, changes, heard, to_us(as_of))
            here.stand(db, self.sequence.format("documents"))
            return taken

    def contests(self) -> list[Contest]:
        """Documents that somebody should look at, by identity."""
        with self.read() as db:
            if not db.execute("SELECT 1 FROM records WHERE contested = 1").fetchone():
                return []
            here = Here(db)
            names = ", ".join(f"d.{name}" for name in IDENTITY)
            rows = db.execute(
                # What was deleted here, and was not told yet, is decided.
                f"SELECT {KNOWN}, d.id, {names} FROM records r JOIN documents d ON d.id = r.document_id"
                " JOIN blobs b ON b.sha256 = d.sha256 WHERE r.contested = 1"
            ).fetchall()
            found = [Contest(tuple(row[14:]), row[13], record_of(row[:13], here)) for row in rows]
        return sorted(found, key=lambda one: one.identity)


def _take(db: Session, here: Here, sender: int, changes: Changes, at_us: int) -> Taken:
    known = _known(db, here, changes.entries)
    held = _held(db, [row[1] for row in known.values() if row[2] is not None], at_us)
    work, records = _Work(), Records(db, here)
    for number, entry in enumerate(changes.entries):
        before = known.get(number)
        mine = None if before is None else before[3]
        record = entry.record if mine is None else merging.join(mine, entry.record)
        if mine is not None and _equal(record, mine):
            if before is not None and before[2] is not None and record.seen_us > mine.seen_us:
                work.sightings.append((record.seen_us, before[2]))
            continue
        source = sender if record == entry.record else None
        _decide(here, work, records, entry.identity, record, before, held, at_us, source)
    copies = [one for entry in changes.entries for one in entry.copies] + changes.copies
    _write(db, here, sender, work, records, copies, at_us)
    work.taken.holds = sum(_hold(db, here, hold) for hold in changes.holds)
    work.taken.parts = 1
    return work.taken


def _equal(one: Record, other: Record) -> bool:
    return (one.context, one.content, one.notes, one.life) == (other.context, other.content, other.notes, other.life)


def _known(db: Session, here: Here, entries: Sequence[Entry]) -> dict[int, tuple[bool, int, int | None, Record]]:
    """For each entry that is known here: contested, number of its record, its document (None: gone), the record."""
    _tell(db, here, [entry.identity for entry in entries])
    found = {}
    for sql, lives in ((_GONE, False), (_KNOWN, True)):
        for row in db.execute(sql).fetchall():
            found[row[0]] = (bool(row[1]), row[2], row[2] if lives else None, record_of(row[2:], here))
    db.execute("DROP TABLE told")
    return found


def _tell(db: Session, here: Here, identities: Sequence[Identity]) -> None:
    """Put identities into a table that is dropped when it was asked about."""
    columns = ", ".join(f"{name} {here.text}" for name in IDENTITY)
    db.execute(f"CREATE TEMP TABLE told (n BIGINT PRIMARY KEY, {columns})")
    insert(db, "told", ("n", *IDENTITY), [(n, *identity) for n, identity in enumerate(identities)])


def _held(db: Session, documents: Sequence[int], at_us: int) -> set[int]:
    """Those of these documents on which a hold is in force."""
    if not db.execute("SELECT 1 FROM holds WHERE released_us IS NULL LIMIT 1").fetchone():
        return set()
    found: set[int] = set()
    for part in chunks(documents):
        rows = db.execute(
            f"SELECT document_id FROM holds WHERE document_id IN ({placeholders(part)})"
            " AND released_us IS NULL AND (expires_us IS NULL OR expires_us > ?)",
            (*part, at_us),
        )
        found.update(row[0] for row in rows)
    return found


def _decide(
    here: Here,
    work: _Work,
    records: Records,
    identity: Identity,
    record: Record,
    before: tuple[bool, int, int | None, Record] | None,
    held: set[int],
    at_us: int,
    source: int | None,
) -> None:
    """What a record that is other than before makes of its document."""
    number = here.next()
    shown = merging.shown(record)
    document = None if before is None else before[2]
    if document is not None and before is not None and not shown.live:
        # A hold wins; and who deleted it did not know that it was seen again since.
        deletions = [one for one in record.life if not one.value.live]
        if document in held or before[3].seen_us > max(one.value.seen_us for one in deletions):
            over = tuple(one.dot for one in deletions)
            record = merging.written(record, (here.site, number), at_us, life=Life(over=over))
            shown, source = merging.shown(record), None
            work.taken.overruled += 1
    contested, was_contested = bool(merging.contested(record)), before is not None and before[0]
    work.taken.contested += contested
    work.taken.documents += 1
    wanted = record.content if contested else (shown.content,) if shown.live else ()
    work.contents |= {one.value.sha256: one for one in wanted}
    work.losers |= {one.value.sha256 for one in wanted} if contested else set()
    if document is None and shown.live:
        old = None if before is None else before[1]
        work.added.append((old, identity, record, number, source))
        work.taken.new += 1
        return
    if document is not None and not shown.live:
        work.removed.append(document)
        work.taken.gone += 1
    elif document is not None and before is not None:
        content, notes = shown.content.value, shown.notes.value
        mine = merging.shown(before[3])
        if (content, notes) != (mine.content.value, mine.notes.value):
            facts = (content.sha256, content.content_type, content.run_id, content.fetched_us, notes.metadata)
            work.updates.append((*facts, at_us, document))
            work.taken.changed += 1
        work.sightings.append((record.seen_us, document))
    # What was never here has a number all the same.
    home = before[1] if before is not None else -number
    old = None if before is None else home
    records.put(home, identity, record, seq=number, before=old, source=source, was_contested=was_contested)


def _write(
    db: Session, here: Here, sender: int, work: _Work, records: Records, copies: Iterable[Copies], at_us: int
) -> None:
    expected = [
        (digest, one.value.size_bytes, one.value.media_type, "incoming", at_us, at_us)
        for digest, one in sorted(work.contents.items())
    ]
    insert(db, "blobs", ("sha256", "bytes", "media_type", "state", "created_us", "changed_us"), expected, _EXPECT)
    work.taken.copies = _note_copies(db, here, sender, copies, work.contents)
    for part in chunks(work.contents):
        db.execute(
            "UPDATE blobs SET state = 'live', changed_us = ? WHERE state = 'incoming' AND sha256 IN"
            f" ({placeholders(part)})",
            (at_us, *part),
        )
    # First what goes: a document that changed its number would be there twice.
    for gone in chunks(work.removed):
        db.execute(f"DELETE FROM documents WHERE id IN ({placeholders(gone)})", gone)
    db.executemany(
        "UPDATE documents SET sha256 = ?, content_type = ?, run_id = ?, fetched_us = ?, metadata = ?, changed_us = ?"
        " WHERE id = ?",
        work.updates,
    )
    db.executemany(
        "UPDATE documents SET seen_us = ?1 WHERE id = ?2 AND seen_us < ?1",
        [one for one in work.sightings if one[0]],
    )
    _add(db, here, work, records, at_us)
    records.write()
    for part in chunks(sorted(work.losers)):
        db.execute(
            "UPDATE blobs SET garbage_since_us = ? WHERE refs = 0 AND garbage_since_us IS NULL AND state = 'live'"
            f" AND sha256 IN ({placeholders(part)})",
            (at_us, *part),
        )


def _add(db: Session, here: Here, work: _Work, records: Records, at_us: int) -> None:
    """New documents; one that was here before comes back under its old number."""
    rows: dict[bool, list[tuple[Any, ...]]] = {True: [], False: []}
    for old, identity, record, _, _ in work.added:
        shown = merging.shown(record)
        content, notes = shown.content.value, shown.notes.value
        facts = (content.sha256, content.content_type, content.run_id, content.fetched_us, notes.metadata)
        again = old is not None and old > 0
        row = (*identity, *facts, at_us, at_us, record.seen_us or at_us)
        rows[again].append((old, *row) if again else row)
    insert(db, "documents", _DOCUMENT, rows[False])
    insert(db, "documents", ("id", *_DOCUMENT), rows[True])
    ids = _ids(db, here, [identity for _, identity, *_ in work.added])
    for (old, identity, record, number, source), document in zip(work.added, ids, strict=True):
        assert number is not None
        records.put(document, identity, record, seq=number, before=old, source=source, was_contested=old is not None)


def _ids(db: Session, here: Here, identities: Sequence[Identity]) -> list[int]:
    _tell(db, here, identities)
    sql = f"SELECT i.n, d.id FROM told i CROSS JOIN documents d ON {on('d', 'i')} ORDER BY i.n"
    found = [row[1] for row in db.execute(sql).fetchall()]
    db.execute("DROP TABLE told")
    return found


def _note_copies(
    db: Session, here: Here, sender: int, copies: Iterable[Copies], contents: Mapping[bytes, Write[Content]]
) -> int:
    """Note who has what; of what nobody is said to have, the sender may know more."""
    told: dict[tuple[bytes, int], Copies] = {}
    for one in sorted(copies, key=lambda one: one.stand):
        if one.site != here.site:
            told[one.sha256, here.numbers[one.site]] = one
    for digest in contents.keys() - {digest for digest, _ in told}:
        # Older than any word of its own.
        told[digest, sender] = Copies(here.names[sender], digest, 0, "unknown", told_us=contents[digest].at_us)
    number = here.next() if told else 0
    rows = [
        (digest, site, one.copies, one.outcome, one.checked_us, one.told_us, one.stand, number)
        for (digest, site), one in sorted(told.items(), key=lambda item: item[0])
    ]
    columns = ("sha256", "site_id", "copies", "outcome", "checked_us", "told_us", "stand", "seq")
    insert(db, "elsewhere", columns, rows, _ELSEWHERE)
    return len(rows)


def _hold(db: Session, here: Here, hold: Hold) -> int:
    """A hold of another site; one that was released there is released here."""
    known = db.execute("SELECT hold_id, released FROM shared_holds WHERE uid = ?", (hold.uid,)).fetchone()
    if known is not None:
        if hold.released_us is None or known[1]:
            return 0
        sql = "UPDATE holds SET released_us = ? WHERE id = ? AND released_us IS NULL"
        db.execute(sql, (hold.released_us, known[0]))
        db.execute("UPDATE shared_holds SET released = 1, seq = ? WHERE uid = ?", (here.next(), hold.uid))
        return 1
    document = None
    if hold.identity is not None:
        row = db.execute(
            "SELECT id FROM documents d WHERE " + " AND ".join(f"{name} = ?" for name in IDENTITY), hold.identity
        ).fetchone()
        if row is None:
            return 0  # released with its document, long ago
        document = row[0]
    elif hold.sha256 is None:
        return 0
    # One on a content that is not known here waits for it, and is told to others, who may have it.
    (number,) = db.execute(
        "INSERT INTO holds (document_id, sha256, reason, placed_by, placed_us, expires_us, released_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (document, hold.sha256, hold.reason, hold.placed_by, hold.placed_us, hold.expires_us, hold.released_us),
    ).fetchone()
    db.execute(
        "INSERT INTO shared_holds (uid, hold_id, released, seq) VALUES (?, ?, ?, ?)",
        (hold.uid, number, int(hold.released_us is not None), here.next()),
    )
    if hold.released_us is None:  # it wins: what was condemned, and is still here, is alive again
        db.execute(
            "UPDATE blobs SET state = 'live' WHERE sha256 = ? AND state = 'condemned'"
            " AND EXISTS (SELECT 1 FROM locations l WHERE l.sha256 = blobs.sha256)",
            (hold.sha256,),
        )
    return 1


def _arrive(db: Session, here: Here, sender: int, changes: Changes, heard: tuple[int, str], at_us: int) -> None:
    """Note how far this site has come with the other one's changes, and what that one knows of all."""
    marks = json.loads(heard[1])
    # Where history stood there counts once nothing is left out.
    (stood,) = db.execute(
        "SELECT coalesce(max(changes), 0) FROM reaches WHERE site_id = ? AND origin_id = ?", (here.number, sender)
    ).fetchone()
    stands = changes.marks.get("changes", 0) if changes.complete else stood
    reach_out(db, here.number, sender, Reach(changes.upto, stands))
    if changes.complete or not marks:
        sql = "UPDATE reaches SET marks = ? WHERE site_id = ? AND origin_id = ?"
        db.execute(sql, (json.dumps(changes.marks), here.number, sender))
    if not changes.complete:
        return
    db.execute("UPDATE sites SET heard_us = ?, expired_us = NULL WHERE id = ?", (at_us, sender))
    hear(db, here, changes.reach)
    if set(changes.skipped) <= {here.site}:
        # Whoever knows all that another one knows has come as far as that one has, with everybody.
        for origin, reach in changes.reach.get(changes.site, {}).items():
            if origin not in (here.site, changes.site):
                reach_out(db, here.number, here.numbers[origin], reach)


__all__ = ["Receiving"]
