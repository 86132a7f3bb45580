"""Shared SQL: the changes that the executor makes, one transaction a batch."""

from __future__ import annotations

import contextlib
import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.sql.base import placeholders
from catalogkit.catalog.sql.queries import copies_of
from catalogkit.catalog.sql.resolving import resolve
from catalogkit.layouts import digest_of, fold, layout_of
from catalogkit.model import Digest, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalogkit.catalog.sql.base import Promise, Session
    from catalogkit.model import LocationRecord

_NOTED: Final = (
    "plan_id, unit, step, kind, outcome, why, sha256, document_id, store_id, key, from_store_id, from_key, bytes,"
    " at_us, effect, until_us"
)

_ASKED: Final = 2000  # in one question; SQLite takes 32,766 values in a statement
# One question for many copies costs less than half of one for each.
_PURGEABLE: Final = (
    "WITH asked (number, sha256, since_us, store_id, key) AS (VALUES {{}})"
    " SELECT number FROM asked a WHERE EXISTS (SELECT 1 FROM blobs b WHERE b.sha256 = a.sha256"
    " AND b.state = 'condemned' AND b.refs = 0 AND b.garbage_since_us = a.since_us)"
    " AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.sha256 = a.sha256)"
    " AND NOT EXISTS (SELECT 1 FROM roots r WHERE r.sha256 = a.sha256)"
    " AND NOT EXISTS (SELECT 1 FROM kept k WHERE k.sha256 = a.sha256 AND {in_force})"
    " AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.sha256 = a.sha256 AND released_us IS NULL AND {in_force})"
    # Where no place is given in any row, an engine with types needs to be told the type.
    " AND (a.key IS NULL OR EXISTS (SELECT 1 FROM locations l"
    " WHERE l.store_id = CAST(a.store_id AS BIGINT) AND l.key = a.key AND l.sha256 = a.sha256))"
).format(in_force="(expires_us IS NULL OR expires_us > ?)")
_END: Final = (
    "UPDATE blobs SET state = 'purged', changed_us = ? WHERE sha256 = ? AND state = 'condemned'"
    " AND NOT EXISTS (SELECT 1 FROM locations WHERE locations.sha256 = blobs.sha256)"
)


class Hand:
    """Changes facts, each guarded by what is true now. Every method returns why not, or an empty text when done."""

    def __init__(self, db: Session, plan_id: str, at_us: int, promise: Promise, sequence: str) -> None:
        self._sequence = sequence
        self._db, self._plan_id, self._at_us, self._promise = db, plan_id, at_us, promise
        self._notes: list[tuple[Any, ...]] = []
        self._told: dict[int, dict[int, str]] = {}  # of the notes that somebody asked about: unit, step, outcome
        self._counted = 0
        self._lost: dict[int, list[Digest]] | None = None

    def note(
        self,
        unit: int,
        step: int,
        kind: str,
        outcome: str,
        why: str,
        subject: tuple[Any, ...],
        freed: int,
        effect: str = "",
        wait: timedelta | None = None,
    ) -> None:
        """Write a step into the journal; `subject` is (digest, document id, store id, key, from store id, from key)."""
        until_us = None if wait is None else self._at_us + wait // timedelta(microseconds=1)
        about = (self._plan_id, unit, step, kind, outcome, why, *subject, freed, self._at_us, effect, until_us)
        self._notes.append(about)

    def write_down(self) -> None:
        """Add the notes to the journal, in the transaction of what they tell."""
        names = _NOTED.split(", ")
        again = ", ".join(f"{name} = excluded.{name}" for name in names[3:])
        self._db.executemany(
            f"INSERT INTO journal ({_NOTED}) VALUES ({placeholders(names)})"
            f" ON CONFLICT (plan_id, unit, step) DO UPDATE SET {again}"
            " WHERE journal.outcome <> 'waiting' OR excluded.outcome <> 'waiting' OR excluded.until_us IS NOT NULL",
            self._notes,
        )

    def _try(self, sql: str, parameters: tuple[Any, ...], otherwise: str) -> str:
        done = self._db.attempt(sql, parameters)
        if isinstance(done, str):  # one of the rules the database keeps by itself
            return done
        return "" if done else otherwise

    def decided(self, first: int, last: int) -> set[tuple[int, int]]:
        """(unit, step) of every step of these units that is decided by now; those that failed or wait are not."""
        sql = (
            "SELECT unit, step FROM journal WHERE plan_id = ? AND unit BETWEEN ? AND ?"
            " AND outcome NOT IN ('failed', 'waiting')"
        )
        return set(self._db.execute(sql, (self._plan_id, first, last)))

    def outcomes_before(self, unit: int, step: int) -> set[str]:
        """The outcomes of a unit's earlier steps, those of this batch included."""
        sql = "SELECT step, outcome FROM journal WHERE plan_id = ? AND unit = ? AND step < ?"
        found = dict(self._db.execute(sql, (self._plan_id, unit, step)).fetchall())
        for _, about, number, _, outcome, *_ in self._notes[self._counted :]:
            self._told.setdefault(about, {})[number] = outcome
        self._counted = len(self._notes)
        found |= {number: outcome for number, outcome in self._told.get(unit, {}).items() if number < step}
        return set(found.values())

    @contextlib.contextmanager
    def tentative(self) -> Iterator[None]:
        """What is changed inside is taken back if it ends with an error."""
        self._db.execute("SAVEPOINT tentative")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK TO tentative")
            raise
        finally:
            self._db.execute("RELEASE tentative")

    def keep_away(self) -> None:
        """Before bytes go: whatever becomes of this transaction, nobody begins to need them meanwhile."""
        self._promise.renew(self._db)

    def state(self, digest: Digest) -> str | None:
        """The state of a blob; None where there is no such blob."""
        row = self._db.execute("SELECT state FROM blobs WHERE sha256 = ?", (digest,)).fetchone()
        return None if row is None else str(row[0])

    def copies(self, digest: Digest) -> list[LocationRecord]:
        """Every copy of a blob."""
        return copies_of(self._db, digest)

    def lost(self, size: int) -> list[Digest]:
        """Live blobs of that size of which every copy is known to be bad; asked once in a transaction."""
        if self._lost is None:
            self._lost = {}
            for digest, length in self._db.execute(
                "SELECT DISTINCT l.sha256, b.bytes FROM locations l JOIN blobs b ON b.sha256 = l.sha256"
                " WHERE (l.outcome = 'corrupt' OR l.outcome = 'missing') AND b.state = 'live' AND NOT EXISTS"
                " (SELECT 1 FROM locations g WHERE g.sha256 = l.sha256"
                " AND (g.outcome IS NULL OR g.outcome IN ('ok', 'unknown')))"
            ):
                self._lost.setdefault(length, []).append(Digest(digest))
        return self._lost.get(size, [])

    def evict(self, digest: Digest) -> str:
        """Note that the last copy of a live blob is about to go on purpose; says why it must not."""
        return self._try(
            "INSERT INTO evictions (sha256, plan_id, evicted_us) VALUES (?, ?, ?)"
            " ON CONFLICT (sha256) WHERE returned_us IS NULL DO UPDATE SET plan_id = excluded.plan_id,"
            " evicted_us = excluded.evicted_us",
            (digest, self._plan_id, self._at_us),
            "",
        )

    def evicted(self, digest: Digest) -> bool:
        """Whether this plan noted that, the bytes did not come back since, and it could be noted at this moment."""
        sql = "SELECT 1 FROM evictions WHERE sha256 = ? AND plan_id = ? AND returned_us IS NULL"
        noted = self._db.execute(sql, (digest, self._plan_id)).fetchone() is not None
        return noted and not self.evict(digest)

    def condemn_blob(self, digest: Digest, since_us: int) -> str:
        """Condemn a blob that has been garbage, without a break, since then."""
        return self._try(
            "UPDATE blobs SET state = 'condemned', changed_us = ? WHERE sha256 = ? AND state = 'live' AND refs = 0"
            " AND garbage_since_us = ?",
            (self._at_us, digest, since_us),
            "it is not the garbage it was when the plan was made",
        )

    def condemn_stray(self, store_id: int, key: str, size: int, inode: int | None, mtime_ns: int | None) -> str:
        """Condemn a file that no record knows; another one than was condemned there begins anew."""
        return self._try(
            "INSERT INTO strays VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (store_id, key) DO UPDATE SET"
            " bytes = excluded.bytes, inode = excluded.inode, mtime_ns = excluded.mtime_ns,"
            " condemned_us = excluded.condemned_us"
            " WHERE strays.bytes <> excluded.bytes"
            " OR coalesce(strays.inode <> excluded.inode, (strays.inode IS NULL) <> (excluded.inode IS NULL))"
            " OR coalesce(strays.mtime_ns <> excluded.mtime_ns,"
            " (strays.mtime_ns IS NULL) <> (excluded.mtime_ns IS NULL))",
            (store_id, key, size, inode, mtime_ns, self._at_us),
            "it was condemned already",
        )

    def rearm_blob(self, digest: Digest) -> str:
        """Take a blob back from the condemned."""
        return self._try(
            "UPDATE blobs SET state = 'live', changed_us = ? WHERE sha256 = ? AND state = 'condemned'",
            (self._at_us, digest),
            "it is not condemned",
        )

    def rearm_stray(self, store_id: int, key: str) -> str:
        """Take a stray back from the condemned."""
        sql = "DELETE FROM strays WHERE store_id = ? AND key = ?"
        return self._try(sql, (store_id, key), "it is not condemned")

    def forget(self, document_id: int, digest: Digest, seen_us: int | None = None) -> str:
        """Forget a document, if it still is what it was, and was not seen after that time, if one is given."""
        row = self._db.execute("SELECT sha256, seen_us FROM documents WHERE id = ?", (document_id,)).fetchone()
        if row is None or row[0] != digest:
            return "it is gone, or has other content now"
        if seen_us is not None and row[1] > seen_us:
            return "it was seen again since the plan was made"
        return self._try("DELETE FROM documents WHERE id = ?", (document_id,), "")

    def recall(self, document_id: int, digest: Digest) -> str:
        """Bring a forgotten document back, under its old id, as it was; its bytes must not have been purged."""
        if self.state(digest) not in ("live", "condemned"):
            return "its bytes were purged"
        columns = (
            "id, tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id, fetched_us,"
            " metadata, created_us"
        )
        self._db.execute("SAVEPOINT recall")
        self.rearm_blob(digest)
        why = self._try(
            f"INSERT INTO documents ({columns}, changed_us, seen_us) SELECT {columns}, ?, seen_us"
            " FROM documents_history WHERE hid = (SELECT max(hid) FROM documents_history"
            " WHERE id = ? AND sha256 = ? AND op = 'delete')"
            " AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.id = documents_history.id)"
            # Whoever was downloaded again meanwhile has a new id, and stays as it is.
            " AND NOT EXISTS (SELECT 1 FROM documents d, documents_history h WHERE h.hid = documents_history.hid"
            " AND d.source_url = h.source_url AND d.artifact_id = h.artifact_id AND d.resolver = h.resolver"
            " AND d.variant = h.variant AND d.tenant = h.tenant)",
            (self._at_us, document_id, digest),
            "there is nothing to bring back, or it is there again",
        )
        if why:
            self._db.execute("ROLLBACK TO recall")
        self._db.execute("RELEASE recall")
        return why

    def resolve(self, document_id: int, group: str, chosen: str, values: str) -> str:
        """Write one of the values that sites left of a document in the knowledge of all."""
        return resolve(self._db, self._sequence, document_id, group, chosen, values, self._at_us)

    def purgeable(self, copies: Sequence[tuple[bytes, int, int | None, str | None]]) -> list[str]:
        """For each (digest, garbage since, store id, key) why it may not be removed; empty where it may."""
        may: set[int] = set()
        for start in range(0, len(copies), _ASKED):
            part = copies[start : start + _ASKED]
            rows = ", ".join(f"({number}, ?, ?, ?, ?)" for number in range(len(part)))
            values = [*itertools.chain.from_iterable(part), self._at_us, self._at_us]
            may.update(start + row[0] for row in self._db.execute(_PURGEABLE.format(rows), values))
        no = "it is not condemned any more, or something needs it again"
        return ["" if number in may else no for number in range(len(copies))]

    def stray_purgeable(self, store_id: int, key: str, since_us: int) -> str:
        """Whether a stray is still condemned since then and no record knows it; says why not."""
        row = self._db.execute(
            "SELECT 1 FROM strays s WHERE store_id = ?1 AND key = ?2 AND condemned_us = ?3"
            " AND NOT EXISTS (SELECT 1 FROM locations l WHERE l.store_id = ?1 AND l.key = ?2)"
            " AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.store_id = ?1 AND i.key = ?2)",
            (store_id, key, since_us),
        ).fetchone()
        return "" if row else "it is not condemned any more, or a record knows it now"

    def drop_copies(self, copies: Sequence[tuple[bytes, int, str]]) -> None:
        """Forget copies (digest, store id, key) whose bytes are gone; with its last one a blob is purged."""
        self._db.executemany("DELETE FROM locations WHERE sha256 = ? AND store_id = ? AND key = ?", copies)
        self._db.executemany(_END, [(self._at_us, digest) for digest, _, _ in copies])

    def end_blob(self, digest: Digest) -> None:
        """Mark a blob without copies as purged; it stays as a fact."""
        self._db.execute(_END, (self._at_us, digest))

    def drop_stray(self, store_id: int, key: str) -> None:
        """Forget a stray whose file is gone."""
        self._db.execute("DELETE FROM strays WHERE store_id = ? AND key = ?", (store_id, key))

    # -- copies --------------------------------------------------------------------------------------------------

    def placeable(self, digest: Digest, store_id: int, key: str) -> str:
        """Whether a live blob may lie at a key: no other content has it, or a name that folds to the same."""
        if digest_of(key) not in (None, digest):
            return "it is the content address of other bytes"
        folded = fold(key) if layout_of(key) is Layout.POLICY else None
        (why,) = self._db.execute(
            "SELECT CASE"
            " WHEN coalesce((SELECT state FROM blobs WHERE sha256 = ?1), '') <> 'live'"
            " THEN 'nothing needs these bytes any more'"
            " WHEN EXISTS (SELECT 1 FROM locations WHERE store_id = ?2 AND key = ?3 AND sha256 <> ?1)"
            " OR EXISTS (SELECT 1 FROM intents WHERE store_id = ?2 AND key = ?3 AND sha256 <> ?1)"
            " THEN 'other bytes have this place'"
            " WHEN EXISTS (SELECT 1 FROM locations WHERE store_id = ?2 AND fold = ?4 AND key <> ?3)"
            " THEN 'a name that differs by case alone has this place'"
            " ELSE '' END",
            (digest, store_id, key, folded),
        ).fetchone()
        return str(why)

    def place(
        self, digest: Digest, store_id: int, key: str, inode: int | None, mtime_ns: int, size: int, *, read: bool = True
    ) -> None:
        """Record that a blob lies at a key, proved good at this moment by reading `size` bytes, or unchecked."""
        layout = layout_of(key) or Layout.REFERENCE
        (location,) = self._db.execute(
            "INSERT INTO locations (store_id, key, layout, fold, sha256, inode, mtime_ns, created_us, changed_us)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT (store_id, key) DO UPDATE SET"
            " sha256 = excluded.sha256, inode = excluded.inode, mtime_ns = excluded.mtime_ns,"
            " changed_us = excluded.changed_us RETURNING id",
            (store_id, key, layout, fold(key) if layout is Layout.POLICY else None, digest, inode, mtime_ns,
             self._at_us),
        ).fetchone()  # fmt: skip
        if read:
            self._check(location, digest, "ok", size, "")
        else:
            sql = "UPDATE locations SET outcome = NULL, checked_us = 0, check_id = 0 WHERE id = ?"
            self._db.execute(sql, (location,))

    def note_missing(self, digest: Digest, store_id: int, key: str, detail: str) -> None:
        """Record that nothing of a blob lies at a key any more; the location stays."""
        (location,) = self._db.execute(
            "SELECT id FROM locations WHERE store_id = ? AND key = ? AND sha256 = ?", (store_id, key, digest)
        ).fetchone()
        self._check(location, digest, "missing", 0, detail)

    def _check(self, location: int, digest: Digest, outcome: str, size: int, detail: str) -> None:
        """Add what a step found to the ledger, and to the location it is about."""
        (check,) = self._db.execute(
            "INSERT INTO checks (location_id, sha256, checked_us, outcome, bytes, method, detail, run_id)"
            " VALUES (?, ?, ?, ?, ?, 'apply', ?, ?) RETURNING id",
            (location, digest, self._at_us, outcome, size, detail, self._plan_id),
        ).fetchone()
        self._db.execute(
            "UPDATE locations SET outcome = ?, checked_us = ?, check_id = ? WHERE id = ?",
            (outcome, self._at_us, check, location),
        )

    def drop_location(self, digest: Digest, store_id: int, key: str) -> str:
        """Forget one of several copies of a live blob; the last that is not known to be bad stays."""
        if self.state(digest) != "live":
            return "it is not live; a purge ends what is condemned"
        taken = "SELECT 1 FROM intents WHERE store_id = ? AND key = ?"
        if self._db.execute(taken, (store_id, key)).fetchone():
            return "an ingest relies on it"
        sql = "DELETE FROM locations WHERE store_id = ? AND key = ? AND sha256 = ?"
        return self._try(sql, (store_id, key, digest), "it is no copy of these bytes any more")
