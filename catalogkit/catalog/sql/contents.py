"""Shared SQL: metadata and text extracted from blobs."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.rows import DueContent
from catalogkit.catalog.sql.base import Database, chunks, placeholders
from catalogkit.content import ContentMetadata, Reason
from catalogkit.model import Digest, from_us, json_text, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

_COLUMNS: Final = (
    "extractor, version, media_type, reason, detail, title, authors, language, detected_language, page_count,"
    " created_us, modified_us, encrypted, text_chars, warnings, preview, schema, more"
)
# The rest of what is stated has no column of its own.
_MORE: Final = ("subject", "description", "keywords", "outline")
_DUE: Final = (
    " FROM blobs b LEFT JOIN contents c ON c.sha256 = b.sha256 LEFT JOIN ({}) v ON v.column1 = c.extractor"
    " WHERE b.state = 'live' AND (c.id IS NULL OR c.version < v.column2)"
)


class Contents(Database):
    """The catalog's part in extraction."""

    def record_contents(self, contents: Iterable[tuple[Digest, ContentMetadata]], *, as_of: datetime) -> int:
        """Note what is inside blobs, in place of what was noted before; how many were noted."""
        marks = ", ".join("?" * len(_COLUMNS.split(", ")))
        rows = [(digest, _row(one), zlib.compress(one.text.encode()) if one.text else b"") for digest, one in contents]
        count = 0
        with self.write("extract", at := to_us(as_of)) as db:
            for digest, row, text in rows:
                db.execute("DELETE FROM contents WHERE sha256 = ?", (digest,))
                if db.execute("SELECT 1 FROM blobs WHERE sha256 = ? AND state <> 'purged'", (digest,)).fetchone():
                    (number,) = db.execute(
                        f"INSERT INTO contents (sha256, extracted_us, {_COLUMNS}) VALUES (?, ?, {marks}) RETURNING id",
                        (digest, at, *row),
                    ).fetchone()
                    if text:
                        db.execute("INSERT INTO content_texts VALUES (?, ?)", (number, text))
                    count += 1
        return count

    def content_of(self, digest: Digest) -> ContentMetadata | None:
        """What is inside a blob, with its text; None where nobody looked."""
        rows = self.rows(
            f"SELECT {_COLUMNS}, text FROM contents LEFT JOIN content_texts ON content_id = id WHERE sha256 = ?",
            (digest,),
        )
        return _content(*rows[0]) if rows else None

    def contents_due(self, versions: Mapping[str, int], *, after: bytes = b"", limit: int = 10_000) -> list[DueContent]:
        """Live blobs that nobody looked into, or only an extractor whose version was lower; by digest."""
        due, given = _due(versions)
        rows = self.rows(
            f"SELECT b.sha256, b.bytes, b.media_type{due} AND b.sha256 > ? ORDER BY b.sha256 LIMIT ?",
            (*given, after, limit),
        )
        return [DueContent(Digest(digest), size, media_type) for digest, size, media_type in rows]

    def contents_due_totals(self, versions: Mapping[str, int]) -> tuple[int, int]:
        """How many blobs are due, and their bytes together."""
        due, given = _due(versions)
        ((count, size),) = self.rows(f"SELECT count(*), coalesce(sum(b.bytes), 0){due}", given)
        return count, size

    def last_content_id(self) -> int:
        """The number under which a blob was told of last; 0 before the first."""
        ((number,),) = self.rows("SELECT coalesce(max(id), 0) FROM contents")
        return int(number)

    def contents_told(self, digests: Sequence[Digest], *, since: int) -> set[Digest]:
        """Which of these blobs were told of after that number."""
        found: set[Digest] = set()
        for some in chunks(digests):
            sql = f"SELECT sha256 FROM contents WHERE id > ? AND sha256 IN ({placeholders(some)})"
            found.update(Digest(row[0]) for row in self.rows(sql, (since, *some)))
        return found

    def drop_texts(self, digests: Sequence[Digest] | None = None) -> int:
        """Let go of the texts of these blobs, by default of all; everything else about them stays. How many."""
        drop = "DELETE FROM content_texts"
        with self.write("drop texts") as db:
            if digests is None:
                return db.execute(drop).rowcount
            one = drop + " WHERE content_id = (SELECT id FROM contents WHERE sha256 = ?)"
            return sum(db.execute(one, (digest,)).rowcount for digest in digests)


def _due(versions: Mapping[str, int]) -> tuple[str, list[Any]]:
    """SQL for blobs that are due, and its parameters."""
    newest = ", ".join(["(?, CAST(? AS BIGINT))"] * len(versions)) or "('', CAST(0 AS BIGINT))"
    return _DUE.format(f"VALUES {newest}"), [value for pair in versions.items() for value in pair]


def _row(one: ContentMetadata) -> tuple[Any, ...]:
    """A row of `_COLUMNS`."""
    rest = {name: value for name in _MORE if (value := getattr(one, name))}
    return (
        one.extractor,
        one.version,
        one.media_type,
        one.reason or "",
        one.detail,
        one.title,
        json_text(list(one.authors)),
        one.language,
        one.detected_language,
        one.page_count,
        None if one.created_at is None else to_us(one.created_at),
        None if one.modified_at is None else to_us(one.modified_at),
        int(one.encrypted),
        one.text_chars,
        json_text(list(one.warnings)),
        one.preview,
        None if one.schema is None else json_text(one.schema),
        json_text(rest | dict(one.more)),
    )


def _content(
    extractor: str, version: int, media_type: str, reason: str, detail: str, title: str | None, authors: str,
    language: str | None, detected_language: str | None, page_count: int | None, created_us: int | None,
    modified_us: int | None, encrypted: int, text_chars: int, warnings: str, preview: str, schema: str | None,
    more: str, text: bytes | None,
) -> ContentMetadata:  # fmt: skip
    rest = json.loads(more)
    return ContentMetadata(
        extractor=extractor,
        version=version,
        media_type=media_type,
        reason=Reason(reason) if reason else None,
        detail=detail,
        title=title,
        authors=tuple(json.loads(authors)),
        subject=rest.pop("subject", None),
        description=rest.pop("description", None),
        keywords=tuple(rest.pop("keywords", ())),
        language=language,
        detected_language=detected_language,
        page_count=page_count,
        created_at=None if created_us is None else from_us(created_us),
        modified_at=None if modified_us is None else from_us(modified_us),
        encrypted=bool(encrypted),
        outline=tuple((level, words) for level, words in rest.pop("outline", ())),
        warnings=tuple(json.loads(warnings)),
        text=unpacked(text),
        text_chars=text_chars,
        preview=preview,
        schema=None if schema is None else json.loads(schema),
        more=rest,
    )


def unpacked(packed: bytes | None) -> str:
    """A text that is kept; empty where none is."""
    return zlib.decompress(packed).decode() if packed else ""
