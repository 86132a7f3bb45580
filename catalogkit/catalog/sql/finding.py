"""What the engines share of finding documents by their words: what is indexed, what is told of what was found."""

from __future__ import annotations

import json
import unicodedata
import zlib
from typing import Any, Final

from catalogkit.catalog.rows import Found
from catalogkit.catalog.sql.base import Database
from catalogkit.model import from_us
from catalogkit.words import FORM

# So many documents at most are ranked: where more have all the words, the newest, and those whose title, authors or
# names have them all. To rank takes 3 µs a document, and by words that most have nothing is told from anything.
RANKED: Final = 5000
# Whatever changes how words are found: how they are folded, by which Unicode, and how the index keeps them.
INDEX_FORM: Final = f"{FORM}-{unicodedata.unidata_version}"
SOURCE: Final = (
    "SELECT d.id, d.artifact_id, d.source_url, d.resolver, d.variant, json_extract(d.metadata, '$.title'),"
    " c.id, c.title, coalesce(c.authors, '[]'), t.text"
    " FROM documents d LEFT JOIN contents c ON c.sha256 = d.sha256 LEFT JOIN content_texts t ON t.content_id = c.id"
)
COLUMNS: Final = {
    "id": "d.id", "tenant": "d.tenant", "artifact_id": "d.artifact_id", "source_url": "d.source_url",
    "resolver": "d.resolver", "variant": "d.variant", "run_id": "d.run_id", "content_type": "d.content_type",
    "media_type": "coalesce(c.media_type, b.media_type)", "sha256": "d.sha256", "bytes": "b.bytes",
    "fetched_at": "d.fetched_us", "created_at": "d.created_us", "changed_at": "d.changed_us",
    "title": "coalesce(nullif(c.title, ''), json_extract(d.metadata, '$.title'))",
    "language": "coalesce(c.language, c.detected_language)", "page_count": "c.page_count",
    "detected_language": "c.detected_language", "text_chars": "c.text_chars", "encrypted": "c.encrypted",
    "subject": "json_extract(c.more, '$.subject')", "description": "json_extract(c.more, '$.description')",
    "written_at": "c.created_us", "modified_at": "c.modified_us", "extractor": "c.extractor", "reason": "c.reason",
    "metadata": "d.metadata", "more": "c.more",
}  # fmt: skip
# What a document has several of, as JSON: a filter holds if it does of one of them, `!=` if it is none of them.
LISTS: Final = {
    "author": "coalesce(c.authors, '[]')",
    "keyword": "coalesce(json_extract(c.more, '$.keywords'), '[]')",
    "warning": "coalesce(c.warnings, '[]')",
}
FOUND: Final = (
    "d.id, d.tenant, d.artifact_id, d.source_url, d.resolver, d.variant, d.sha256, b.bytes,"
    f" {COLUMNS['media_type']}, {COLUMNS['title']}, c.authors, {COLUMNS['language']}, c.page_count, d.created_us,"
    " c.preview"
)


class Finding(Database):
    """How far the index is behind."""

    def unindexed(self) -> int:
        """How many documents cannot be found as they are now, at most."""
        ((last_id, form),) = self.rows("SELECT last_id, form FROM search_state")
        since = last_id if form == INDEX_FORM else 0
        ((new, due),) = self.rows(
            "SELECT (SELECT count(*) FROM documents WHERE id > ?), (SELECT count(*) FROM search_due)", (since,)
        )
        return int(new) + (int(due) if since else 0)

    def behind(self) -> bool:
        """Whether there is anything to index; asked before every search."""
        ((behind,),) = self.rows(
            "SELECT form <> ? OR last_id < (SELECT coalesce(max(id), 0) FROM documents)"
            " OR EXISTS (SELECT 1 FROM search_due) FROM search_state",
            (INDEX_FORM,),
        )
        return bool(behind)


def columns(
    artifact_id: str, url: str, resolver: str, variant: str, given: Any, title: str | None, authors: str,
    text: bytes | None,
) -> tuple[str, str, str, str]:  # fmt: skip
    """What a document is found by: titles, authors, names, text."""
    titles = " \n ".join(dict.fromkeys(str(one) for one in (title, given) if one))
    return (
        titles,
        " \n ".join(json.loads(authors)),
        f"{artifact_id} \n {url} \n {resolver} \n {variant}",
        zlib.decompress(text).decode() if text else "",
    )


def found(
    score: float, document_id: int, tenant: str, artifact_id: str, source_url: str, resolver: str, variant: str,
    sha256: bytes, size: int, media_type: str, title: Any, authors: str | None, language: str | None,
    page_count: int | None, created_us: int, preview: str | None,
) -> Found:  # fmt: skip
    """What is told of a document, out of a row of `FOUND`."""
    return Found(
        id=document_id, score=score, tenant=tenant, artifact_id=artifact_id, source_url=source_url, resolver=resolver,
        variant=variant, sha256=sha256.hex(), bytes=size, media_type=media_type,
        title=None if title is None else str(title), authors=tuple(json.loads(authors or "[]")), language=language,
        page_count=page_count, created_at=from_us(created_us), preview=preview or "",
    )  # fmt: skip
