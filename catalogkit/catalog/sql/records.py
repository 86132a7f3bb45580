"""Converts rows of the catalog to records of `federation.merging`, and back.

A record that is whole of one change has no values of its own: they are those of its document, which is why whatever was
changed here is numbered (`note_changes`) before a record is read, in the same transaction.
"""

from __future__ import annotations

import itertools
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from catalogkit.catalog.sql.base import Database, chunks, placeholders
from catalogkit.federation import merging
from catalogkit.federation.merging import Content, Life, Notes, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from catalogkit.catalog.sql.base import Session
    from catalogkit.catalog.sql.sites import Here
    from catalogkit.federation.merging import Identity, Write

IDENTITY: Final = ("tenant", "artifact_id", "source_url", "resolver", "variant")
ROOT: Final = "conflict"
# A record and its document, as `record_of` and `content_of` read them.
KNOWN: Final = (
    "r.document_id, r.site_id, r.number, r.at_us, r.state, d.sha256, b.bytes, b.media_type, d.content_type, d.run_id,"
    " d.fetched_us, d.metadata, d.seen_us"
)
_PUT: Final = (
    "document_id", "seq", "site_id", "number", "at_us", "from_id", "contested", "state", *IDENTITY,
)  # fmt: skip
_ROWS: Final = 500  # in one statement; SQLite takes 32,766 values
_decode: Final = msgspec.json.Decoder(Record).decode
_encode: Final = msgspec.json.Encoder().encode


def on(one: str, other: str) -> str:
    """SQL for two rows being about one document, by the index that leads with the address."""
    names = ("source_url", "artifact_id", "resolver", "variant", "tenant")
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in names)


def values_of(row: Sequence[Any]) -> tuple[Content, Notes]:
    """The values of a document: digest, bytes, media type, content type, run, time of fetching, metadata."""
    digest, size, media_type, content_type, run_id, fetched_us, metadata = row
    return Content(bytes(digest), size, media_type, content_type, run_id, fetched_us), Notes(metadata)


def record_of(row: Sequence[Any], here: Here) -> Record:
    """A record, from the columns `KNOWN`."""
    _, site, number, at_us, state, *values, seen_us = row
    if state is not None:
        record = _decode(state)
        return record if seen_us is None else msgspec.structs.replace(record, seen_us=max(record.seen_us, seen_us))
    content, notes = values_of(values)
    return merging.new((here.names[site], number), at_us, content, notes, seen_us)


class Records:
    """Records that are to be written at the end of a transaction."""

    def __init__(self, db: Session, here: Here) -> None:
        self._db, self._here = db, here
        self._rows: list[tuple[Any, ...]] = []
        self._old: list[int] = []
        self._loose: list[tuple[str]] = []
        self._roots: list[tuple[str, str, bytes]] = []

    def put(
        self,
        document_id: int,
        identity: Identity,
        record: Record,
        *,
        seq: int,
        before: int | None = None,
        source: int | None = None,
        was_contested: bool = True,
    ) -> bool:
        """Write a record under a number, instead of the one that its document had before; whether it is contested.

        `source` is the site that it was taken over from as it is.
        """
        shown, contested = merging.shown(record), bool(merging.contested(record))
        whole = merging.plain(record) if shown.live else None
        named = (None,) * 5 if shown.live else identity
        writes: tuple[Write[Any], ...] = (*record.content, *record.notes, *record.life)
        site, number, at_us = whole or (self._here.site, 0, max(one.at_us for one in writes))
        state = None if whole else _encode(record).decode()
        self._rows.append(
            (document_id, seq, self._here.numbers[site], number, at_us, source, int(contested), state, *named)
        )
        if before is not None:
            self._old.append(before)
        if contested or was_contested:
            name = root_name(identity)
            self._loose.append((name,))
            losers = {one.value.sha256 for one in record.content} - {shown.content.value.sha256 if shown.live else b""}
            self._roots += [(ROOT, name, one) for one in sorted(losers) if contested]
        return contested

    def write(self) -> None:
        """Write them all."""
        for part in chunks(self._old):
            self._db.execute(f"DELETE FROM records WHERE document_id IN ({placeholders(part)})", part)
        insert(self._db, "records", _PUT, self._rows)
        self._db.executemany(f"DELETE FROM roots WHERE kind = '{ROOT}' AND name = ?", self._loose)
        insert(self._db, "roots", ("kind", "name", "sha256"), self._roots, "ON CONFLICT DO NOTHING")


class Reading(Database):
    """Single records, and those that somebody should look at."""

    def record_of(self, identity: Identity) -> Record | None:
        """What is known of a document by all sites; None where there is no such, or it was never told of."""
        from catalogkit.catalog.sql.sites import Here

        given = dict(zip(IDENTITY, identity, strict=True))
        where = " AND ".join(f"{{0}}.{name} = :{name}" for name in given)
        with self.read() as db:
            row = db.execute(
                f"SELECT {KNOWN} FROM documents d JOIN records r ON r.document_id = d.id"
                f" JOIN blobs b ON b.sha256 = d.sha256 WHERE {where.format('d')}",
                given,
            ).fetchone()
            if row is None:
                row = db.execute(
                    "SELECT document_id, site_id, number, at_us, state, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
                    f" FROM records r WHERE {where.format('r')}",
                    given,
                ).fetchone()
            return None if row is None else record_of(row, Here(db))


def root_name(identity: Identity) -> str:
    """The name under which a conflict keeps the contents that are not shown."""
    return sha256(_encode(identity)).hexdigest()[:16]


def insert(db: Session, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], more: str = "") -> None:
    """Add many rows, hundreds in a statement: what triggers look at, they look at together."""
    marks = f"({placeholders(columns)})"
    for part in chunks(rows, _ROWS):
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([marks] * len(part))} {more}"
        db.execute(sql, list(itertools.chain.from_iterable(part)))


__all__ = ["IDENTITY", "KNOWN", "Life", "Reading", "Records", "insert", "on", "record_of", "values_of"]
