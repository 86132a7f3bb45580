"""Shared SQL: snapshots and backups: which documents there were then, and which blobs they keep."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from catalogkit.catalog.contract import Moment, Position
from catalogkit.catalog.sql.base import Database
from catalogkit.catalog.sql.plans import OBJECTS
from catalogkit.errors import ConstraintError, InvalidInput
from catalogkit.model import Digest, check_text, from_us, to_us

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.sql.base import Session

# What a document is, for comparing and for digests; its last sighting is no part of it.
FACTS: Final = (
    "id", "tenant", "artifact_id", "source_url", "resolver", "variant", "sha256", "content_type", "run_id",
    "fetched_us", "metadata", "created_us",
)  # fmt: skip
_MOMENT: Final = (
    "SELECT id, kind, name, changes, last_id, taken_us, expires_us, released_us, documents, blobs, logical_bytes,"
    " stored_bytes, digest FROM moments"
)
_IN_FORCE: Final = "released_us IS NULL AND (expires_us IS NULL OR expires_us > ?)"
# Whether a document had a blob (?1) at a position (?2 changes, ?3 last id). See the view `kept`.
_HAD: Final = (
    "SELECT EXISTS (SELECT 1 FROM documents d WHERE d.sha256 = ?1 AND d.id <= ?3 AND NOT EXISTS"
    " (SELECT 1 FROM documents_history e WHERE e.id = d.id AND e.hid > ?2 AND e.op <> 'older'))"
    " OR EXISTS (SELECT 1 FROM documents_history h WHERE h.sha256 = ?1 AND h.hid > ?2 AND h.id <= ?3"
    " AND (h.op = 'update' OR h.op = 'delete') AND NOT EXISTS (SELECT 1 FROM documents_history e"
    " WHERE e.id = h.id AND e.hid > ?2 AND e.hid < h.hid AND e.op <> 'older'))"
)


def at(changes: str, last_id: str, columns: str, among: str = "") -> str:
    """SQL for the documents there were at a position, as they were; `among` further conditions on ``id``.

    The first change after a position tells what was there before it; what never changed since is there still.
    """
    first = (
        f"SELECT id, min(hid) AS hid FROM documents_history WHERE hid > {changes} AND op <> 'older'{among} GROUP BY id"
    )
    return (
        f"SELECT {columns} FROM documents_history WHERE hid IN (SELECT hid FROM ({first}) f)"
        f" AND op <> 'recall' AND id <= {last_id}"
        f" UNION ALL SELECT {columns} FROM documents WHERE id <= {last_id}{among}"
        f" AND id NOT IN (SELECT id FROM ({first}) f)"
    )


# Documents of which something changed between two positions; among them all that differ.
CHANGED: Final = (
    "SELECT id FROM documents_history WHERE hid > :changes AND op <> 'older' AND id <= :to_id"
    " AND (hid <= :to_changes OR id > :last_id)"
    " UNION SELECT id FROM documents WHERE id > :last_id AND id <= :to_id"
)


class Moments(Database):
    """The catalog's part in snapshots and backups."""

    def position(self) -> Position:
        """Where the history of documents stands now."""
        with self.still() as db:
            return self._position(db)

    def _position(self, db: Session) -> Position:
        last_id = self.sequence.format("documents")
        return Position(
            *db.execute(f"SELECT (SELECT coalesce(max(hid), 0) FROM documents_history), {last_id}").fetchone()
        )

    def keep_moment(
        self,
        kind: str,
        name: str,
        *,
        as_of: datetime,
        expires_at: datetime | None = None,
        at: Position | None = None,
    ) -> Moment:
        """Keep a position, by default the present one: no blob that a document had then is condemned or purged.

        Raises
        ------
        InvalidInput
            If a moment of that kind and name is kept, it would be over at once, or `at` is in the future.
        ConstraintError
            If something of a past position was condemned since.
        """
        check_text("a moment's kind", kind)
        check_text("a moment's name", name)
        if not kind.strip() or not name.strip():
            raise InvalidInput("what is kept needs a name")
        now_us, until_us = to_us(as_of), None if expires_at is None else to_us(expires_at)
        if until_us is not None and until_us <= now_us:
            raise InvalidInput(f"{kind} {name!r} would be over at once; give a later end, or none")
        with self.write(f"keep {kind}", now_us) as db:
            # What has ended makes room for its name.
            db.execute(
                "UPDATE moments SET released_us = expires_us WHERE kind = ? AND name = ? AND released_us IS NULL"
                " AND expires_us <= ?",
                (kind, name, now_us),
            )
            if db.execute(
                "SELECT 1 FROM moments WHERE kind = ? AND name = ? AND released_us IS NULL", (kind, name)
            ).fetchone():
                raise InvalidInput(f"there is a {kind} {name!r} already; take another name, or drop that one first")
            here = self._position(db)
            if at is not None:
                _still_whole(db, at, here, f"{kind} {name!r}")
            where = at or here
            (number,) = db.execute(
                "INSERT INTO moments (kind, name, changes, last_id, taken_us, expires_us) VALUES (?, ?, ?, ?, ?, ?)"
                " RETURNING id",
                (kind, name, where.changes, where.last_id, now_us, until_us),
            ).fetchone()
            return _moment(db, "id = ?", number)

    def release_moment(self, kind: str, name: str, *, as_of: datetime) -> Moment:
        """Keep a moment no longer; it stays as a fact.

        Raises
        ------
        InvalidInput
            If none of that kind and name is kept.
        """
        with self.write(f"release {kind}", to_us(as_of)) as db:
            row = db.execute(
                "UPDATE moments SET released_us = ? WHERE kind = ? AND name = ? AND released_us IS NULL RETURNING id",
                (to_us(as_of), kind, name),
            ).fetchone()
            if row is None:
                raise InvalidInput(f"no {kind} {name!r} is kept")
            return _moment(db, "id = ?", row[0])

    def moments(self, kind: str | None = None, *, as_of: datetime | None) -> list[Moment]:
        """Moments in force at a time, oldest first; without a time every one there ever was."""
        when = [] if as_of is None else [to_us(as_of)]
        rows = self.rows(
            f"{_MOMENT} WHERE (CAST(?1 AS TEXT) IS NULL OR kind = ?1)"
            + (f" AND {_IN_FORCE.replace('?', '?2')}" if when else "")
            + " ORDER BY id",
            [kind, *when],
        )
        return [_told(row) for row in rows]

    def count_moment(self, moment_id: int) -> Moment:
        """Count a moment, if nobody did before; takes as long as there are changes since the last one counted."""
        with self.read() as db:
            moment = _moment(db, "id = ?", moment_id)
            if moment.documents is not None:
                return moment
            row = db.execute(
                f"{_MOMENT} WHERE documents IS NOT NULL AND changes <= ? AND last_id <= ?"
                " ORDER BY changes DESC, last_id DESC LIMIT 1",
                (moment.position.changes, moment.position.last_id),
            ).fetchone()
            counted = _count(db, _told(row) if row else None, moment.position)
        with self.write("count moment") as db:
            db.execute(
                "UPDATE moments SET documents = ?, blobs = ?, logical_bytes = ?, stored_bytes = ?, digest = ?"
                " WHERE id = ?",
                (*counted, moment_id),
            )
            return _moment(db, "id = ?", moment_id)

    def held_bytes(self, *, as_of: datetime) -> dict[int, tuple[int, int]]:
        """By moment: bytes that no document has any more and it keeps, and those of them that only it keeps."""
        kept = self.moments(as_of=as_of)
        if not kept:
            return {}
        rows = self.rows(
            "SELECT moment, sum(size), coalesce(sum(size) FILTER (WHERE keepers = 1), 0) FROM ("
            f" SELECT k.moment, b.bytes * ({OBJECTS}) AS size, count(*) OVER (PARTITION BY b.sha256) AS keepers"
            " FROM blobs b CROSS JOIN kept k ON k.sha256 = b.sha256"
            " WHERE b.garbage_since_us IS NOT NULL AND b.state = 'live' AND b.refs = 0"
            " AND (k.expires_us IS NULL OR k.expires_us > ?) GROUP BY b.sha256, k.moment) held GROUP BY moment",
            (to_us(as_of),),
        )
        found = {moment: (held, only) for moment, held, only in rows}
        return {moment.id: found.get(moment.id, (0, 0)) for moment in kept}

    def root_names(self, kind: str) -> list[str]:
        """The names of all roots of a kind that keep blobs one by one."""
        return [row[0] for row in self.rows("SELECT DISTINCT name FROM roots WHERE kind = ? ORDER BY name", (kind,))]

    def drop_roots(self, kind: str, name: str, *, as_of: datetime) -> None:
        """Let go of the blobs that this root keeps one by one."""
        with self.write("drop roots", to_us(as_of)) as db:
            db.execute("DELETE FROM roots WHERE kind = ? AND name = ?", (kind, name))


def _still_whole(db: Session, at: Position, here: Position, what: str) -> None:
    if at.changes > here.changes or at.last_id > here.last_id:
        raise InvalidInput(f"{what} cannot be kept: the catalog has not come that far; it may be an older copy")
    for (digest,) in db.execute(
        "SELECT DISTINCT h.sha256 FROM documents_history h JOIN blobs b ON b.sha256 = h.sha256"
        " WHERE h.hid > ? AND b.state <> 'live'",
        (at.changes,),
    ).fetchall():
        if db.execute(_HAD, (digest, at.changes, at.last_id)).fetchone()[0]:
            raise ConstraintError(f"{what} cannot be kept: {digest.hex()} was condemned since; keep a later moment")


def _count(db: Session, base: Moment | None, to: Position) -> tuple[int, int, int, int, bytes]:
    """Documents, blobs, logical bytes, stored bytes and digest at a position, from the last one that was counted."""
    start = base.position if base else Position(0, 0)
    names = {
        "changes": start.changes, "last_id": start.last_id, "to_changes": to.changes, "to_id": to.last_id,
    }  # fmt: skip
    among, columns = " AND id IN (SELECT id FROM changed)", ", ".join(FACTS)
    before = at(":changes", ":last_id", columns, among)
    after = at(":to_changes", ":to_id", columns, among if base else "")
    documents, logical, total = _before(base)
    encode = msgspec.json.Encoder().encode
    sides: dict[int, set[bytes]] = {-1: set(), 1: set()}
    rows = db.stream(
        f"WITH changed AS MATERIALIZED ({CHANGED})"
        f" SELECT -1, b.bytes, d.* FROM ({before}) d JOIN blobs b ON b.sha256 = d.sha256"
        f" UNION ALL SELECT 1, b.bytes, d.* FROM ({after}) d JOIN blobs b ON b.sha256 = d.sha256",
        names,
    )
    for sign, size, *facts in rows:
        documents += sign
        logical += sign * size
        total += sign * int.from_bytes(sha256(encode(facts)).digest())
        if base:
            sides[sign].add(facts[6])
    if base is None:
        blobs, stored = db.execute(
            "SELECT count(*), coalesce(sum(bytes), 0) FROM blobs WHERE sha256 IN (SELECT sha256 FROM ("
            + at("?1", "?2", "sha256")
            + ") d)",
            (to.changes, to.last_id),
        ).fetchone()
    else:
        blobs, stored = base.blobs or 0, base.stored_bytes or 0
        # What a changed document had before and another has now was there both times; the others are looked up.
        for digest in sides[-1] ^ sides[1]:
            had = digest in sides[-1] or db.execute(_HAD, (digest, start.changes, start.last_id)).fetchone()[0]
            has = digest in sides[1] or db.execute(_HAD, (digest, to.changes, to.last_id)).fetchone()[0]
            if has != had:
                (size,) = db.execute("SELECT bytes FROM blobs WHERE sha256 = ?", (digest,)).fetchone()
                blobs, stored = blobs + has - had, stored + (has - had) * size
    return documents, blobs, logical, stored, (total % (1 << 256)).to_bytes(32)


def _before(base: Moment | None) -> tuple[int, int, int]:
    if base is None:
        return 0, 0, 0
    assert base.documents is not None and base.logical_bytes is not None and base.digest is not None
    return base.documents, base.logical_bytes, int.from_bytes(base.digest)


def _moment(db: Session, where: str, *parameters: Any) -> Moment:
    row = db.execute(f"{_MOMENT} WHERE {where}", parameters).fetchone()
    if row is None:
        raise InvalidInput("there is no such moment")
    return _told(row)


def _told(row: tuple[Any, ...]) -> Moment:
    number, kind, name, changes, last_id, taken, expires, released, documents, blobs, logical, stored, digest = row
    return Moment(
        number,
        kind,
        name,
        Position(changes, last_id),
        from_us(taken),
        None if expires is None else from_us(expires),
        None if released is None else from_us(released),
        documents,
        blobs,
        logical,
        stored,
        None if digest is None else Digest(digest),
    )
