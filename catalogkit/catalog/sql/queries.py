"""Shared SQL: single records by index, whole tables as frames."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.sql.base import LAST, Database, framed
from catalogkit.errors import InvalidInput
from catalogkit.model import Digest, DocumentRecord, Layout, LocationRecord, Outcome, from_us, schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import polars as pl

    from catalogkit.catalog.sql.base import Session

_DOCUMENT: Final = (
    "d.id, d.tenant, d.artifact_id, d.source_url, d.resolver, d.variant, {sha256}, b.bytes, b.media_type,"
    " d.content_type, d.run_id, d.fetched_us, d.created_us, d.changed_us, d.seen_us, d.metadata"
    " FROM documents d JOIN blobs b ON b.sha256 = d.sha256"
)
_FRAMES: Final = {
    "documents": "SELECT id, tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id,"
    " fetched_us, created_us, changed_us, seen_us, metadata FROM documents ORDER BY id",
    "sightings": "SELECT id, seen_us FROM documents ORDER BY id",
    "later_sightings": "SELECT id, seen_us FROM documents WHERE seen_us <> changed_us ORDER BY id",
    "blobs": "SELECT sha256, bytes, media_type, state, refs, created_us, changed_us FROM blobs ORDER BY sha256",
    "locations": "SELECT l.id, (SELECT name FROM stores WHERE id = l.store_id), l.key, l.layout, l.sha256, l.inode,"
    " l.mtime_ns, l.created_us, nullif(l.checked_us, 0), l.outcome FROM locations l ORDER BY l.id",
    "checks": "SELECT id, location_id, sha256, checked_us, outcome, bytes, method, detail, run_id"
    " FROM checks ORDER BY id",
    "accesses": "SELECT document_id, at_us, kind, count, bytes FROM accesses ORDER BY document_id, at_us, kind",
    "evictions": "SELECT e.sha256, b.bytes, e.plan_id, e.evicted_us, e.returned_us FROM evictions e"
    " JOIN blobs b ON b.sha256 = e.sha256 ORDER BY e.id",
    "contents": "SELECT sha256, extractor, version, CASE reason WHEN '' THEN 'ok' ELSE 'refused' END,"
    " nullif(reason, ''), detail, media_type, title, authors, language, detected_language,"
    " page_count, created_us, modified_us, encrypted,"
    " text_chars, warnings, preview, schema, more, extracted_us FROM contents ORDER BY sha256",
    "elsewhere": "SELECT e.sha256, s.name, e.copies, e.outcome, nullif(e.checked_us, 0), nullif(e.told_us, 0)"
    " FROM elsewhere e JOIN sites s ON s.id = e.site_id ORDER BY e.sha256, s.name",
    # Of several documents of one content the first speaks for all.
    "wanted": "SELECT b.sha256, b.bytes, b.media_type, d.id, d.artifact_id, d.resolver, d.tenant"
    " FROM blobs b JOIN documents d ON d.id = (SELECT min(id) FROM documents WHERE sha256 = b.sha256)"
    " WHERE b.state = 'live' AND NOT EXISTS (SELECT 1 FROM locations l WHERE l.sha256 = b.sha256"
    " AND (l.outcome IS NULL OR l.outcome IN ('ok', 'unknown')))"
    " AND EXISTS (SELECT 1 FROM elsewhere e WHERE e.sha256 = b.sha256 AND e.copies > 0)"
    " ORDER BY b.bytes, b.sha256",
    "roots": "SELECT sha256, kind, name FROM (SELECT sha256, kind, name FROM roots"
    " UNION ALL SELECT sha256, 'ingest', owner FROM intents) r ORDER BY sha256, kind, name",
    "document_versions": "SELECT v.id, v.tenant, v.artifact_id, v.source_url, v.resolver, v.variant,"
    " v.sha256, v.content_type, v.operation, v.changed_us, v.ended_us, v.seen_us"
    " FROM (SELECT id, tenant, artifact_id, source_url, resolver, variant, sha256, content_type,"
    " CASE op WHEN 'older' THEN op ELSE operation END AS operation, changed_us, ended_us, seen_us, hid"
    " FROM documents_history WHERE op <> 'recall'"
    " UNION ALL SELECT id, tenant, artifact_id, source_url, resolver, variant, sha256, content_type, 'current',"
    f" changed_us, NULL, seen_us, {LAST} FROM documents) v ORDER BY v.id, v.hid",
}
# What the blob of a row tells. Of whole tables that is joined in Polars: to look it up row by row takes a database as
# long as to read the rows.
_TOLD: Final = {
    "documents": ("bytes", "media_type"),
    "document_versions": ("bytes", "media_type"),
    "locations": ("bytes",),
}
_FILTERS: Final = {
    "tenant": "d.tenant", "artifact_id": "d.artifact_id", "source_url": "d.source_url", "resolver": "d.resolver",
    "variant": "d.variant", "run_id": "d.run_id", "media_type": "b.media_type", "sha256": "d.sha256",
}  # fmt: skip


class Queries(Database):
    """The reading half."""

    def document(self, document_id: int) -> DocumentRecord | None:
        """One document, if it lives."""
        rows = self.rows(f"SELECT {_DOCUMENT.format(sha256='d.sha256')} WHERE d.id = ?", (document_id,))
        return record(rows[0]) if rows else None

    def find(self, *, limit: int = 100, after_id: int = 0, **filters: str | Digest | None) -> list[DocumentRecord]:
        """Documents by tenant, artifact_id, source_url, resolver, variant, run_id, media_type or sha256, by id.

        Raises
        ------
        InvalidInput
            If a filter is unknown or `limit` is negative.
        """
        unknown = sorted(set(filters) - set(_FILTERS))
        if unknown or limit < 0:
            raise InvalidInput(f"cannot find by {', '.join(unknown) or 'a negative limit'}; use {', '.join(_FILTERS)}")
        given = {name: value for name, value in filters.items() if value is not None}
        if isinstance(digest := given.get("sha256"), str):
            given["sha256"] = Digest.parse(digest)
        after = {"d.id > ?": after_id} if after_id else {}
        asked = after | {f"{_FILTERS[name]} = ?": value for name, value in given.items()}
        where = f" WHERE {' AND '.join(asked)}" if asked else ""
        # How few rows are wanted stands in the statement: a server that plans for any number reads far too many.
        sql = f"SELECT {_DOCUMENT.format(sha256='d.sha256')}{where} ORDER BY d.id LIMIT {int(limit)}"
        return [record(row) for row in self.rows(sql, tuple(asked.values()))]

    def locations_of(self, digest: Digest) -> list[LocationRecord]:
        """Every copy of a blob."""
        with self.read() as db:
            return copies_of(db, digest)

    def digests_like(self, prefix: str, limit: int = 2) -> list[Digest]:
        """Contents whose digest begins with these hex digits, in order, at most so many.

        Raises
        ------
        InvalidInput
            If `prefix` is empty, longer than a digest, or has anything but hex digits.
        """
        if not re.fullmatch("[0-9a-fA-F]{1,64}", prefix):
            raise InvalidInput(f"{prefix!r} does not begin a digest; give its first hex digits")
        first, last = (bytes.fromhex(prefix.ljust(64, end)) for end in "0f")
        question = "SELECT sha256 FROM blobs WHERE sha256 BETWEEN ? AND ? ORDER BY sha256 LIMIT ?"
        return [Digest(row[0]) for row in self.rows(question, (first, last, limit))]

    def digests_of(self, document_ids: Sequence[int]) -> dict[int, Digest]:
        """The content of these documents; ids that do not exist are left out."""
        found: dict[int, Digest] = {}
        with self.read() as db:
            for document_id in document_ids:
                row = db.execute("SELECT sha256 FROM documents WHERE id = ?", (document_id,)).fetchone()
                if row:
                    found[document_id] = Digest(row[0])
        return found

    def frame(self, table: str) -> pl.DataFrame:
        """A whole table with the schema `model.schema(table)`.

        Raises
        ------
        InvalidInput
            If there is no frame of that name.
        """
        if table not in _FRAMES:
            raise InvalidInput(f"there is no frame {table!r}; choose one of {', '.join(_FRAMES)}")
        columns = schema(table)
        told = _TOLD.get(table)
        if told is None:
            return self.frame_of(_FRAMES[table], columns)
        own = {name: kind for name, kind in columns.items() if name not in told}
        blob = {name: columns[name] for name in ("sha256", *told)}
        with self.read() as db:  # one moment for both
            rows = framed(db.stream(_FRAMES[table]), own)
            blobs = framed(db.stream(f"SELECT {', '.join(blob)} FROM blobs"), blob)
        return rows.join(blobs, on="sha256", how="left", maintain_order="left").select(list(columns))

    def versions(self, document_id: int) -> pl.DataFrame:
        """Every version of a document, oldest first, the current one last (its ``valid_to`` is null)."""
        return self.frame_of(
            "SELECT id, sha256, run_id, operation, changed_us, ended_us FROM ("
            " SELECT id, sha256, run_id, CASE op WHEN 'older' THEN op ELSE operation END AS operation, changed_us,"
            " ended_us, hid FROM documents_history WHERE id = ?1 AND op <> 'recall'"
            f" UNION ALL SELECT id, sha256, run_id, 'current', changed_us, NULL, {LAST}"
            " FROM documents WHERE id = ?1) v ORDER BY hid",
            schema("versions"),
            (document_id,),
        )


def record(row: Iterable[Any]) -> DocumentRecord:
    (
        document_id, tenant, artifact_id, source_url, resolver, variant, sha256, size, media_type,
        content_type, run_id, fetched_us, created_us, changed_us, seen_us, metadata,
    ) = row  # fmt: skip
    return DocumentRecord(
        id=document_id,
        tenant=tenant,
        artifact_id=artifact_id,
        source_url=source_url,
        resolver=resolver,
        variant=variant,
        sha256=Digest(sha256),
        bytes=size,
        media_type=media_type,
        content_type=content_type,
        run_id=run_id,
        fetched_at=None if fetched_us is None else from_us(fetched_us),
        created_at=from_us(created_us),
        changed_at=from_us(changed_us),
        seen_at=from_us(seen_us),
        metadata=json.loads(metadata),
    )


def copies_of(db: Session, digest: Digest) -> list[LocationRecord]:
    """Every copy of a blob."""
    rows = db.execute(
        "SELECT l.id, s.name, l.key, l.layout, b.bytes, l.inode, l.mtime_ns, l.checked_us, l.outcome"
        " FROM locations l JOIN stores s ON s.id = l.store_id JOIN blobs b ON b.sha256 = l.sha256"
        " WHERE l.sha256 = ? ORDER BY l.id",
        (digest,),
    )
    return [
        LocationRecord(
            id=row[0],
            store=row[1],
            key=row[2],
            layout=Layout(row[3]),
            sha256=digest,
            bytes=row[4],
            inode=row[5],
            mtime_ns=row[6],
            checked_at=from_us(row[7]) if row[7] else None,
            outcome=Outcome(row[8]) if row[8] else None,
        )
        for row in rows
    ]
