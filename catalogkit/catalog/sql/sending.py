"""Shared SQL: what changed here, for another site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.sql.base import Database, chunks, placeholders
from catalogkit.catalog.sql.records import IDENTITY, KNOWN, record_of
from catalogkit.catalog.sql.sites import Here, reach_of_all, refuse_older, refuse_other
from catalogkit.catalog.sql.stamping import note_changes
from catalogkit.federation.changes import Changes, Copies, Entry, Hold, Reach, Site
from catalogkit.model import to_us

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from catalogkit.catalog.sql.base import Session

_ENTRIES: Final = (
    f"SELECT r.seq, r.from_id, {KNOWN}, {{}} FROM records r LEFT JOIN documents d ON d.id = r.document_id"
    " LEFT JOIN blobs b ON b.sha256 = d.sha256 WHERE r.seq > ? ORDER BY r.seq LIMIT ?"
).format(", ".join(f"coalesce(d.{name}, r.{name})" for name in IDENTITY))
_HOLDS: Final = (
    "SELECT s.uid, h.reason, h.placed_by, h.placed_us, h.expires_us, h.released_us, h.sha256,"
    f" {', '.join(f'coalesce(d.{name}, w.{name})' for name in IDENTITY)}"
    " FROM shared_holds s JOIN holds h ON h.id = s.hold_id LEFT JOIN documents d ON d.id = h.document_id"
    " LEFT JOIN documents_history w ON w.hid ="
    " (SELECT max(hid) FROM documents_history WHERE id = h.document_id AND d.id IS NULL)"
    " WHERE s.seq > ? ORDER BY s.seq"
)
# What lies here of a content: good copies, and the best that is known of them.
_OWN: Final = (
    "SELECT b.sha256, count(l.id) FILTER (WHERE l.outcome IS NULL OR l.outcome IN ('ok', 'unknown')),"
    " max(CASE l.outcome WHEN 'ok' THEN 4 WHEN 'unknown' THEN 2 WHEN 'corrupt' THEN 1 WHEN 'missing' THEN 0"
    " ELSE CASE WHEN l.id IS NULL THEN -1 ELSE 3 END END),"
    " max(CASE WHEN l.outcome = 'ok' THEN l.checked_us ELSE 0 END),"
    " (SELECT 1 FROM evictions e WHERE e.sha256 = b.sha256 AND e.returned_us IS NULL)"
    " FROM blobs b LEFT JOIN locations l ON l.sha256 = b.sha256 WHERE b.sha256 IN ({}) GROUP BY b.sha256"
)
_OUTCOMES: Final = {4: "ok", 3: None, 2: "unknown", 1: "corrupt", 0: "missing", -1: None}
_THERE: Final = "SELECT site_id, sha256, copies, outcome, checked_us, told_us, stand FROM elsewhere"
_MOVED: Final = (
    "SELECT sha256 FROM locations WHERE id > :locations"
    " UNION SELECT sha256 FROM locations_history WHERE hid > :locations_history"
    " UNION SELECT sha256 FROM checks WHERE id > :checks"
)


class Sending(Database):
    """The half that tells."""

    def changes_since(
        self,
        since: int,
        *,
        marks: dict[str, int] | None = None,
        limit: int = 20_000,
        skip: Collection[str] = (),
        as_of: datetime,
    ) -> Changes:
        """What changed here after change `since`, at most so many documents."""
        # A transaction that writes, so that nothing is changed between its getting a number and its being read.
        with self.write("tell site", to_us(as_of)) as db:
            here = Here(db)
            note_changes(db, here, self.sequence.format("documents"))
            if since > here.seq:
                refuse_older(here, {"": {here.site: Reach(since)}})
            refuse_other(db, here, marks or {})
            now = self._marks(db, here)
            stand = now["locations"] + now["locations_history"] + now["checks"]
            rows = db.execute(_ENTRIES, (since, limit)).fetchall()
            complete = len(rows) < limit
            skipped = {here.numbers[site] for site in skip if site in here.numbers}
            told = [row for row in rows if row[1] not in skipped]
            entries = _with_copies(db, here, [_entry(row, here) for row in told], to_us(as_of), stand)
            return Changes(
                site=here.site,
                since=since,
                upto=here.seq if complete else rows[-1][0],
                complete=complete,
                skipped=tuple(sorted(skip)),
                entries=entries,
                holds=[_hold(row) for row in db.execute(_HOLDS, (since,)).fetchall()] if complete else [],
                # The first time, they come with their documents.
                copies=_moved(db, here, marks, skipped, to_us(as_of), stand) if complete and marks else [],
                sites=[Site(*row) for row in db.execute("SELECT site, name, follows FROM sites ORDER BY id")],
                reach=reach_of_all(db, here),
                marks=now,
            )

    def _marks(self, db: Session, here: Here) -> dict[str, int]:
        """Where copies and checks stand."""
        locations = self.sequence.format("locations")
        row = db.execute(
            f"SELECT {locations}, (SELECT coalesce(max(hid), 0) FROM locations_history),"
            " (SELECT coalesce(max(id), 0) FROM checks)"
        ).fetchone()
        return dict(zip(("locations", "locations_history", "checks"), row, strict=True)) | {
            "seq": here.seq,
            "token": here.token(db, here.seq),
            "changes": here.changes,
        }


def _entry(row: tuple[Any, ...], here: Here) -> Entry:
    return Entry(tuple(row[15:]), record_of(row[2:15], here))


def _with_copies(db: Session, here: Here, entries: list[Entry], told_us: int, stand: int) -> list[Entry]:
    """Entries with who has the bytes of what they show."""
    digests = {one.value.sha256 for entry in entries for one in entry.record.content}
    known: dict[bytes, list[Copies]] = {}
    for one in own_copies(db, here, digests, told_us, stand):
        known.setdefault(one.sha256, []).append(one)
    for part in chunks(digests):
        for site, digest, *rest in db.execute(f"{_THERE} WHERE sha256 IN ({placeholders(part)})", part):
            known.setdefault(bytes(digest), []).append(Copies(here.names[site], bytes(digest), *rest))
    return [
        Entry(
            entry.identity,
            entry.record,
            tuple(copies for one in entry.record.content for copies in known.get(one.value.sha256, ())),
        )
        for entry in entries
    ]


def own_copies(db: Session, here: Here, digests: Iterable[bytes], told_us: int, stand: int) -> list[Copies]:
    """What lies here of these contents."""
    found = []
    for part in chunks(digests):
        for digest, copies, best, checked_us, evicted in db.execute(_OWN.format(placeholders(part)), part):
            outcome = "evicted" if evicted and not copies else _OUTCOMES[best]
            found.append(Copies(here.site, bytes(digest), copies, outcome, checked_us, told_us, stand))
    return found


def _moved(db: Session, here: Here, marks: dict[str, int], skipped: set[int], told_us: int, stand: int) -> list[Copies]:
    """Where bytes came, went or were read since: here, and elsewhere as far as it was told here."""
    found = own_copies(db, here, {bytes(row[0]) for row in db.execute(_MOVED, marks).fetchall()}, told_us, stand)
    rows = db.execute(f"{_THERE} WHERE seq > :seq", marks)
    return found + [
        Copies(here.names[site], bytes(digest), *rest) for site, digest, *rest in rows if site not in skipped
    ]


def _hold(row: tuple[Any, ...]) -> Hold:
    uid, reason, placed_by, placed, expires, released, digest, *identity = row
    named = None if identity[0] is None else tuple(identity)
    return Hold(uid, reason, placed_by, placed, expires, released, None if digest is None else bytes(digest), named)
