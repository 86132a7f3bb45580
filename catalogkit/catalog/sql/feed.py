"""Shared SQL: what changed since a cursor, for a copy of the catalog elsewhere, all from one moment.

New rows have ids above the highest there was; changed and deleted ones left a row of history; checks are in the ledger;
what is inside a blob gets a new id whenever somebody looks into it again, and goes when the blob's state changes.
So nothing has to be written for the sake of a copy, and finding the changes costs as much as there are changes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.feed import PAGE
from catalogkit.catalog.sql.base import Database, framed
from catalogkit.model import fed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import polars as pl

    from catalogkit.catalog.sql.base import Session

# Where each sequence stands, and what its last row was about: a catalog that was restored from a backup and went on
# has the same numbers for other rows.
_ENDS: Final = {
    "documents": "SELECT seq, (SELECT created_us || source_url FROM documents WHERE id = seq)"
    " FROM (SELECT {documents} AS seq) e",
    "locations": "SELECT seq, (SELECT created_us || key FROM locations WHERE id = seq)"
    " FROM (SELECT {locations} AS seq) e",
    "checks": "SELECT id, checked_us || '' || location_id FROM checks ORDER BY id DESC LIMIT 1",
    "contents": "SELECT seq, (SELECT extracted_us || hex(sha256) FROM contents WHERE id = seq)"
    " FROM (SELECT {contents} AS seq) e",
    **{
        f"{table}_history": f"SELECT hid, ended_us || hex(sha256) FROM {table}_history ORDER BY hid DESC LIMIT 1"
        for table in ("documents", "locations", "blobs")
    },
}
_SAME: Final = {
    "documents": "SELECT created_us || source_url FROM documents WHERE id = ?",
    "locations": "SELECT created_us || key FROM locations WHERE id = ?",
    "checks": "SELECT checked_us || '' || location_id FROM checks WHERE id = ?",
    "contents": "SELECT extracted_us || hex(sha256) FROM contents WHERE id = ?",
    **{
        f"{table}_history": f"SELECT ended_us || hex(sha256) FROM {table}_history WHERE hid = ?"
        for table in ("documents", "locations", "blobs")
    },
}
_KEYS: Final = {
    "documents": "SELECT id FROM documents_history WHERE hid > :documents_history"
    " UNION SELECT id FROM documents WHERE id > :documents",
    "locations": "SELECT id FROM locations_history WHERE hid > :locations_history"
    " UNION SELECT id FROM locations WHERE id > :locations"
    " UNION SELECT location_id FROM checks WHERE id > :checks",
    "checks": "SELECT id FROM checks WHERE id > :checks",
    "contents": "SELECT sha256 FROM contents WHERE id > :contents"
    " UNION SELECT sha256 FROM blobs_history WHERE hid > :blobs_history",
}
# A blob changes with its documents, its copies, their checks, and its own state.
_KEYS["blobs"] = (
    "SELECT sha256 FROM blobs_history WHERE hid > :blobs_history"
    " UNION SELECT sha256 FROM documents_history WHERE hid > :documents_history"
    f" UNION SELECT sha256 FROM documents WHERE id IN ({_KEYS['documents']})"
    " UNION SELECT sha256 FROM locations_history WHERE hid > :locations_history"
    f" UNION SELECT sha256 FROM locations WHERE id IN ({_KEYS['locations']})"
)
_ROWS: Final = {
    "documents": "SELECT d.id, d.tenant, d.artifact_id, d.source_url, d.resolver, d.variant, d.sha256,"
    " d.content_type, d.run_id, d.fetched_us, d.created_us, d.changed_us, d.metadata FROM {}documents d{}",
    # One in flight is no fact yet, unless a copy of it lies somewhere.
    "blobs": "SELECT d.sha256, d.bytes, d.media_type, d.state, d.refs, d.created_us, d.changed_us, d.garbage_since_us"
    " FROM {}blobs d{} WHERE d.state <> 'incoming' OR EXISTS (SELECT 1 FROM locations WHERE sha256 = d.sha256)",
    "locations": "SELECT d.id, (SELECT name FROM stores WHERE id = d.store_id), d.key, d.layout, d.sha256, d.inode,"
    " d.mtime_ns, d.created_us, nullif(d.checked_us, 0), d.outcome FROM {}locations d{}",
    "checks": "SELECT d.id, d.location_id, d.sha256, d.checked_us, d.outcome, d.bytes, d.method, d.detail, d.run_id"
    " FROM {}checks d{}",
    "contents": "SELECT d.sha256, d.extractor, d.version, CASE d.reason WHEN '' THEN 'ok' ELSE 'refused' END,"
    " nullif(d.reason, ''), d.detail, d.media_type, d.title, d.authors, d.language, d.detected_language,"
    " d.page_count, d.created_us, d.modified_us, d.encrypted, d.text_chars, d.warnings,"
    " d.preview, d.schema, d.more, d.extracted_us"
    " FROM {}contents d{}",
}
# What is known by its digest; all else has an id.
_BY_DIGEST: Final = ("blobs", "contents")


class Feeds(Database):
    """The catalog's part in its copies."""

    @contextlib.contextmanager
    def feed(self, since: Mapping[str, Any] | None) -> Iterator[Feed]:
        """Everything that changed since a cursor, from one moment, by a connection of its own: nobody waits for it."""
        sequences = {table: self.sequence.format(table) for table in ("documents", "locations", "contents")}
        ends = {name: sql.format(**sequences) for name, sql in _ENDS.items()}
        with self.apart() as db:
            feed = Feed(db, ends, (self.id_table, self.digest_table), None if self.replica else since)
            if self.replica:
                # Something with a lower number may still be on its way: nobody can go on from here.
                feed.cursor = {"at": {}, "about": {}}
            yield feed


class Feed:
    """What changed, table by table; see the contract."""

    def __init__(
        self, db: Session, asked: Mapping[str, str], tables: tuple[str, str], since: Mapping[str, Any] | None
    ) -> None:
        self._db = db
        ends = {name: db.execute(sql).fetchone() or (0, None) for name, sql in asked.items()}
        self.cursor: Mapping[str, Any] = {
            "at": {name: end or 0 for name, (end, _) in ends.items()},
            "about": {name: about for name, (_, about) in ends.items()},
        }
        self.whole = since is None or not self._follows(since)
        self.changed = self.whole or since is None or since["at"] != self.cursor["at"]
        if since is not None and not self.whole:
            for name, sql in _KEYS.items():
                db.execute(tables[name in _BY_DIGEST].format(f"changed_{name}"))
                db.execute(f"INSERT INTO changed_{name} {sql}", since["at"])

    def _follows(self, since: Mapping[str, Any]) -> bool:
        """Whether the catalog is the one that the cursor is of, and went on from there."""
        if set(since["at"]) != set(self.cursor["at"]):
            return False
        for name, end in since["at"].items():
            if end > self.cursor["at"][name]:
                return False
            row = self._db.execute(_SAME[name], (end,)).fetchone()
            # A row that is there must be what it was; one that went since tells nothing.
            if row is not None and since["about"][name] not in (None, row[0]):
                return False
        return True

    def keys(self, table: str) -> pl.DataFrame:
        """The rows to be replaced: their ids, or digests."""
        name = "sha256" if table in _BY_DIGEST else "id"
        return framed(self._db.stream(f"SELECT key FROM changed_{table}"), {name: fed(table)[name]})

    def rows(self, table: str) -> Iterator[pl.DataFrame]:
        """The rows as they are now, in pages; of a whole feed all there are."""
        key = "sha256" if table in _BY_DIGEST else "id"
        # In SQLite a cross join begins with what changed, which is little, and looks the rest up.
        some = ("", "") if self.whole else (f"changed_{table} c CROSS JOIN ", f" ON d.{key} = c.key")
        cursor = self._db.stream(_ROWS[table].format(*some))
        columns = fed(table)
        while not (page := framed(cursor, columns, PAGE)).is_empty():
            yield page
