"""What ingest writes: intents before the bytes appear, facts once they are durable.

A batch is looked up whole, decided here, and added by COPY. Rows that others may touch at the same time are locked in
one order: documents by id, blobs by digest. Keys that another ingest took since the look are refused by the database;
then nothing of the batch happened, and it is done anew (see `base.py`).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from psycopg import errors

from catalogkit.catalog.postgres.base import Database
from catalogkit.catalog.postgres.documents import (
    KNOWN,
    KNOWN_ONE,
    Put,
    documents_of,
    identity_of,
    next_ids,
    note_seen,
    put_documents,
    wanted,
)
from catalogkit.catalog.postgres.errors import Undone
from catalogkit.catalog.rows import Committed, Known, Registration
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
from catalogkit.errors import ConstraintError
from catalogkit.layouts import fold
from catalogkit.model import BlobState, Digest, Layout, Outcome, json_text, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
    from datetime import datetime

    from catalogkit.catalog.postgres.session import Session
    from catalogkit.model import Arrival

_OTHER_CONTENT: Final = "the catalog refused the change: this key holds other content"
# Keys under which two ingests at once may add the same thing; whoever comes second finds it there when it looks again.
_RACED: Final = ("blobs_pkey", "documents_tenant_identity_key", "locations_key", "sources_pkey")
_LOCATION: Final = ("store_id", "key", "layout", "fold", "sha256", "inode", "mtime_ns", "created_us", "changed_us")
_LOCATION_TYPES: Final = ("int8", "text", "text", "text", "bytea", "int8", "int8", "int8", "int8")
_BLOB: Final = ("sha256", "bytes", "media_type", "state", "refs", "garbage_since_us", "created_us", "changed_us")
_BLOB_TYPES: Final = ("bytea", "int8", "text", "text", "int8", "int8", "int8", "int8")
_SOURCE: Final = ("folder", "name", "bytes", "mtime_ns", "ctime_ns", "inode", "sha256", "document_id")
_SOURCE_TYPES: Final = ("text", "text", "int8", "int8", "int8", "int8", "bytea", "int8")


class Intake(Database, Intents):
    """The writing half that ingest and recovery use."""

    def known(self, store_id: int, digests: Iterable[Digest]) -> dict[Digest, Known]:
        """What is known of these blobs; of several copies in the store the healthiest is named."""
        rows = self.rows(
            "SELECT DISTINCT ON (b.sha256) b.sha256, state, key, inode, mtime_ns, outcome FROM blobs b"
            " LEFT JOIN locations l ON l.sha256 = b.sha256 AND store_id = ?"
            f" WHERE b.sha256 = ANY(?::bytea[]) ORDER BY b.sha256, {HEALTH}, l.id",
            (store_id, list(digests)),
        )
        return {
            Digest(digest): Known(BlobState(state), key, inode, mtime_ns, Outcome(outcome) if outcome else None)
            for digest, state, key, inode, mtime_ns, outcome in rows
        }

    def holders(self, store_id: int, folds: Iterable[str]) -> dict[str, tuple[str, Digest]]:
        """Which readable paths are taken, by their fold: key and content."""
        rows = self.rows(
            "SELECT fold, key, sha256 FROM locations WHERE store_id = ? AND fold = ANY(?::text[])",
            (store_id, list(folds)),
        )
        return {folded: (key, Digest(digest)) for folded, key, digest in rows}

    def stage(
        self, registrations: Sequence[Registration], *, owner: str, expires_at: datetime, as_of: datetime
    ) -> list[int]:
        """Write intents before bytes appear: blobs become ``incoming``, a condemned one is re-armed."""
        at_us, until_us = to_us(as_of), to_us(expires_at)
        with _racing(), self.write("stage", at_us, alone=False) as db:
            new, again = _wanted(registrations, _blobs(db, {entry.digest for entry in registrations}))
            _add(db, new, "incoming", {}, at_us)
            _rearm(db, again, at_us)
            ids = next_ids(db, "intents", len(registrations))
            # Nobody who forgets anything writes beside this.
            (position,) = db.execute(POSITION).fetchall()
            db.copy(
                "intents",
                ("id", "owner", "store_id", "key", "sha256", "facts", "created_us", "expires_us", "changes", "last_id"),
                ("int8", "text", "int8", "text", "bytea", "text", "int8", "int8", "int8", "int8"),
                (
                    (number, owner, one.store_id, one.key, one.digest, json_text(one), at_us, until_us, *position)
                    for number, one in zip(ids, registrations, strict=True)
                ),
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
        with _racing(), self.write("ingest", at_us, run_id, alone=False) as db:
            rows = db.execute(
                "DELETE FROM intents WHERE id = ANY(?::bigint[]) RETURNING id, changes, last_id",
                ([intent for intent, _ in staged if intent is not None],),
            ).fetchall()
            ended = {number: Begun(*position) for number, *position in rows}
            ends = [None if intent is None else ended.get(intent) for intent, _ in staged]
            gone = [intent is not None and end is None for (intent, _), end in zip(staged, ends, strict=True)]
            identities = [identity_of(entry.arrival) for _, entry in staged]
            # Locked before anything is changed, those that lose a document included.
            known = documents_of(db, identities)
            if late:
                mine = zip(identities, staged, ends, strict=True)
                stay_forgotten(db, [(e.arrival, end) for one, (_, e), end in mine if end and one not in known])
            # Before anything of this is written: it does not overtake itself.
            puts = [
                Put(identity, entry, end and _overtaken(db, known.get(identity), entry, end))
                for identity, (_, entry), end, lost in zip(identities, staged, ends, gone, strict=True)
                if not lost
            ]
            blobs = _blobs(db, {entry.digest for _, entry in staged} | {Digest(row[1]) for row in known.values()})
            # Without an intent to protect them, blobs may have been condemned or forgotten meanwhile. Those that
            # nobody heard of come last, and whole.
            whole, again = _wanted([entry for intent, entry in staged if intent is None], blobs)
            incoming = {digest for digest, (_, state) in blobs.items() if state == BlobState.INCOMING}
            incoming |= whole.keys() | _rearm(db, again, at_us)
            if whole:
                db.execute("SET CONSTRAINTS documents_sha256_fkey, locations_sha256_fkey DEFERRED")
            fresh = incoming & {put.entry.digest for put in puts}
            _locate(db, [put.entry for put in puts], incoming, at_us)
            # A document that is new brings its content alive; for what has none it is done here.
            new = {put.identity: put.entry.digest for put in reversed(puts) if put.identity not in known}
            _bring_alive(db, fresh - whole.keys() - set(new.values()), at_us)
            done = put_documents(db, puts, known, at_us)
            _add(db, whole, "live", Counter(content for _, content, *_ in known.values()), at_us)
            documents = [
                meanwhile(known.get(identity), entry) if lost else next(done)
                for identity, (_, entry), lost in zip(identities, staged, gone, strict=True)
            ]
            _remember(db, [entry for _, entry in staged], documents)
        told = []
        for (_, entry), (document_id, outcome) in zip(staged, documents, strict=True):
            told.append(Committed(document_id, outcome, entry.digest in fresh))
            fresh.discard(entry.digest)  # new with the first of its documents only
        return told

    def abandon(self, intents: Iterable[int]) -> None:
        """End intents whose bytes never appeared; their blobs are forgotten if nothing else wants them."""
        # Alone: whether anybody else wants a blob must not change between the question and the end.
        with self.write("abandon") as db:
            rows = db.execute("DELETE FROM intents WHERE id = ANY(?::bigint[]) RETURNING sha256", (list(intents),))
            db.execute(
                "DELETE FROM blobs WHERE sha256 = ANY(?::bytea[]) AND state = 'incoming'"
                " AND NOT EXISTS (SELECT 1 FROM intents WHERE intents.sha256 = blobs.sha256)"
                " AND NOT EXISTS (SELECT 1 FROM locations WHERE locations.sha256 = blobs.sha256)",
                ([digest for (digest,) in rows],),
            )

    def current(self, arrivals: Sequence[Arrival]) -> list[tuple[int, Digest] | None]:
        """For each arrival the document of the same identity and its content, if there is one."""
        asked = [identity_of(arrival) for arrival in arrivals]
        rows = self.rows(KNOWN_ONE, asked[0]) if len(asked) == 1 else self.rows(KNOWN, wanted(asked))
        found = {(row[0], row[1]): row[2:] for row in rows}
        return [(row[0], Digest(row[1])) if (row := found.get(one)) else None for one in asked]

    def digests_of(self, document_ids: Sequence[int]) -> dict[int, Digest]:
        """The content of these documents; ids that do not exist are left out."""
        rows = self.rows("SELECT id, sha256 FROM documents WHERE id = ANY(?::bigint[])", (list(document_ids),))
        return {number: Digest(digest) for number, digest in rows}

    def touch(self, document_ids: Sequence[int], *, as_of: datetime) -> None:
        """These documents were seen again, unchanged."""
        at_us = to_us(as_of)
        with self.write("touch", at_us, alone=False) as db:
            note_seen(db, document_ids, at_us)


def _overtaken(db: Session, row: tuple[Any, ...] | None, entry: Registration, begun: Begun) -> bool:
    """Whether its document was given another version since; nobody asks where versions come in their order."""
    return row is not None and not entry.in_order and is_overtaken(db, row[0], row[1], begun)


@contextlib.contextmanager
def _racing() -> Iterator[None]:
    """Where another ingest was quicker with the same thing, nothing was done, and the next look finds it."""
    try:
        yield
    except ConstraintError as problem:
        cause = problem.__cause__
        if isinstance(cause, errors.UniqueViolation) and cause.diag.constraint_name in _RACED:
            raise Undone("another ingest added the same at the same time; try again") from cause
        # A blob that a dropped intent had promised went away between the look at it and the reference to it.
        if isinstance(cause, errors.ForeignKeyViolation) and cause.diag.table_name in ("intents", "locations"):
            raise Undone("another program dropped what this one refers to; try again") from cause
        raise


def _blobs(db: Session, digests: Iterable[Digest]) -> dict[Digest, tuple[int, str]]:
    """Size and state of these blobs, which nobody else changes from now on."""
    rows = db.execute(
        "SELECT sha256, bytes, state FROM blobs WHERE sha256 = ANY(?::bytea[]) ORDER BY sha256 FOR NO KEY UPDATE",
        (list(digests),),
    ).fetchall()
    return {Digest(digest): (size, state) for digest, size, state in rows}


def _wanted(
    entries: Sequence[Registration], known: dict[Digest, tuple[int, str]]
) -> tuple[dict[Digest, Registration], list[Digest]]:
    """The blobs that are to receive bytes: new ones, and those to be taken back from the condemned or the purged.

    One that is known with another size is refused: what a blob is never changes.
    """
    wanted = {entry.digest: entry for entry in reversed(entries)}
    for entry in entries:
        size, _ = known.get(entry.digest) or (wanted[entry.digest].bytes, "")
        if size != entry.bytes:
            raise ConstraintError("the catalog refused the change: a blob never changes its digest or its size")
    again = [one for one in wanted if one in known and known[one][1] in ("condemned", "purged")]
    return {one: entry for one, entry in wanted.items() if one not in known}, again


def _rearm(db: Session, digests: Sequence[Digest], at_us: int) -> set[Digest]:
    """Take blobs back; which of them are without bytes."""
    if not digests:
        return set()
    rows = db.execute(
        "UPDATE blobs SET state = CASE WHEN state = 'condemned' AND EXISTS"
        " (SELECT 1 FROM locations WHERE locations.sha256 = blobs.sha256) THEN 'live' ELSE 'incoming' END,"
        " changed_us = ?1, garbage_since_us = ?1 WHERE sha256 = ANY(?2::bytea[]) RETURNING sha256, state",
        (at_us, digests),
    )
    return {Digest(digest) for digest, state in rows if state == "incoming"}


def _add(db: Session, new: dict[Digest, Registration], state: str, users: Mapping[bytes, int], at_us: int) -> None:
    """Add blobs: promised ones, or such as have their place and all their documents already."""

    def row(one: Digest) -> tuple[Any, ...]:
        entry, refs = new[one], users.get(one, 0)
        since_us = at_us if state == "live" and not refs else None
        return one, entry.bytes, entry.media_type, state, refs, since_us, at_us, at_us

    if new:
        db.copy("blobs", _BLOB, _BLOB_TYPES, map(row, sorted(new)))


def _locate(db: Session, entries: Sequence[Registration], incoming: Set[Digest], at_us: int) -> None:
    """Write down where the bytes lie; a key that holds other content is refused by the rule that none changes it.

    Nothing lies at the content addresses of blobs that are `incoming`: those need not be looked up.
    """
    for entry in entries:
        if entry.layout is Layout.REFERENCE:
            displace(db, entry, at_us)
    wanted: dict[tuple[int, str], Registration] = {}
    for entry in entries:
        place = (entry.store_id, entry.key)
        if place in wanted and wanted[place].digest != entry.digest:
            raise ConstraintError(_OTHER_CONTENT)
        wanted[place] = entry
    maybe = [one for one, e in wanted.items() if e.layout is not Layout.CAS or e.digest not in incoming]
    rows = db.execute(
        "SELECT store_id, key, id, sha256, inode, mtime_ns FROM locations"
        " WHERE store_id = ANY(?::bigint[]) AND key = ANY(?::text[]) ORDER BY id FOR NO KEY UPDATE",
        (list({store for store, _ in maybe}), [key for _, key in maybe]),
    )
    there = {(row[0], row[1]): row[2:] for row in rows if (row[0], row[1]) in wanted}
    for place, (number, digest, inode, mtime_ns) in there.items():
        entry = wanted[place]
        if (digest, inode, mtime_ns) != (entry.digest, entry.inode, entry.mtime_ns):
            # Published anew over a copy that was bad or gone: what the last check said is no longer about these bytes.
            db.execute(
                "UPDATE locations SET sha256 = ?, inode = ?, mtime_ns = ?, changed_us = ?, outcome = NULL,"
                " checked_us = 0 WHERE id = ?",
                (entry.digest, entry.inode, entry.mtime_ns, at_us, number),
            )
    missing = sorted(wanted.keys() - there.keys())  # which is the order of two indexes

    def row(place: tuple[int, str]) -> tuple[Any, ...]:
        entry, folded = wanted[place], fold(place[1]) if wanted[place].layout == Layout.POLICY else None
        return *place, str(entry.layout), folded, entry.digest, entry.inode, entry.mtime_ns, at_us, at_us

    if missing:
        db.copy("locations", _LOCATION, _LOCATION_TYPES, map(row, missing))


def _bring_alive(db: Session, digests: Set[Digest], at_us: int) -> None:
    """Make these blobs live, which were incoming."""
    if digests:
        db.execute(
            "UPDATE blobs SET state = 'live', changed_us = ? WHERE sha256 = ANY(?::bytea[]) AND state = 'incoming'",
            (at_us, list(digests)),
        )


def _remember(db: Session, entries: Sequence[Registration], documents: Sequence[tuple[int, str]]) -> None:
    """Note what the source files looked like, so that they need not be read again."""
    rows = {
        (stat.folder, stat.name): (stat, entry.digest, document_id)
        for entry, (document_id, _) in zip(entries, documents, strict=True)
        if (stat := entry.source)
    }
    if not rows:
        return
    folders: dict[str, list[str]] = {}
    for folder, name in rows:
        folders.setdefault(folder, []).append(name)
    db.executemany("DELETE FROM sources WHERE folder = ? AND name = ANY(?::text[])", folders.items())
    db.copy(
        "sources",
        _SOURCE,
        _SOURCE_TYPES,
        (
            (stat.folder, stat.name, stat.bytes, stat.mtime_ns, stat.ctime_ns, stat.inode, digest, document_id)
            for stat, digest, document_id in rows.values()
        ),
    )
