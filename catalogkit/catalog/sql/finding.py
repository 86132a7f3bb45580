"""Shared SQL: full-text search: what is indexed, and what is returned."""

from __future__ import annotations

import json
import unicodedata
import zlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.rows import Found
from catalogkit.catalog.sql.base import Database, chunks, placeholders
from catalogkit.errors import InvalidInput
from catalogkit.model import from_us
from catalogkit.words import FORM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from catalogkit.catalog.sql.base import Session
    from catalogkit.filters import Filter
    from catalogkit.words import Term

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


_TOLD: Final = (
    f"SELECT {FOUND} FROM documents d JOIN blobs b ON b.sha256 = d.sha256 LEFT JOIN contents c ON c.sha256 = d.sha256"
)
_TEXTS: Final = (
    "SELECT d.id, t.text FROM documents d JOIN contents c ON c.sha256 = d.sha256"
    " JOIN content_texts t ON t.content_id = c.id"
)
_DUE: Final = "(SELECT document_id FROM search_due ORDER BY document_id LIMIT ?)"


class Finding(Database):
    """The catalog's part in finding; engines say how words are kept, looked for and ranked."""

    def index_documents(self, limit: int = 500) -> int:
        """Index some of the documents that are not, or not as they are now; how many, 0 when nothing is left to do."""
        if limit < 1:
            raise InvalidInput("limit must be at least 1")
        if not self.behind():
            return 0
        # Alone: a document that changed between the look at it and its words would be found as it was.
        with self.write("index") as db:
            last_id = self._indexed_to(db)
            rows = db.execute(f"{SOURCE} WHERE d.id IN {_DUE} ORDER BY d.id", (limit,)).fetchall()
            due = db.execute(f"DELETE FROM search_due WHERE document_id IN {_DUE}", (limit,)).rowcount
            new = db.execute(f"{SOURCE} WHERE d.id > ? ORDER BY d.id LIMIT ?", (last_id, limit - due)).fetchall()
            self._index(db, [*rows, *new])
            if new:
                db.execute("UPDATE search_state SET last_id = ?", (new[-1][0],))
        return due + len(new)

    def search(
        self, terms: Sequence[Term], filters: Sequence[Filter] = (), *, limit: int = 20, offset: int = 0
    ) -> list[Found]:
        """Indexed documents with every term that is wanted and none that is not, the best first; all filters hold."""
        if limit < 1 or offset < 0:
            raise InvalidInput("limit must be at least 1, offset at least 0")
        if not any(term.wanted for term in terms):
            raise InvalidInput("there is no word to look for")
        with self.read() as db:
            scores = self._scores(db, terms, filters)
            if len(scores) == RANKED:
                for number, score in self._scores(db, terms, filters, by_name=True).items():
                    scores[number] = max(score, scores.get(number, score))
            best = sorted(((score, number) for number, score in scores.items()), reverse=True)[offset : offset + limit]
            told = {row[0]: row for row in _rows(db, _TOLD, [number for _, number in best])}
        return [found(score, *told[number]) for score, number in best]

    def texts_of(self, document_ids: Sequence[int]) -> dict[int, str]:
        """The texts of these documents, as they are kept; documents without any are left out."""
        with self.read() as db:
            return {number: zlib.decompress(text).decode() for number, text in _rows(db, _TEXTS, document_ids)}

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

    def _indexed_to(self, db: Session) -> int:
        """The last document that was indexed; an index of another form, or one that is worn, is begun anew."""
        ((last_id, form),) = db.execute("SELECT last_id, form FROM search_state").fetchall()
        if form == INDEX_FORM and not self._worn(db):
            return int(last_id)
        db.execute("DELETE FROM search_rows")
        db.execute("DELETE FROM search_due")
        db.execute("UPDATE search_state SET last_id = 0, form = ?", (INDEX_FORM,))
        self._anew(db)
        return 0

    def _worn(self, db: Session) -> bool:
        """Whether the index has to be made anew for its own sake."""
        return False

    def _anew(self, db: Session) -> None:
        """What else there is to do where an index begins."""

    @abstractmethod
    def _index(self, db: Session, rows: Sequence[Any]) -> None:
        """Give documents their rows of the index; what each has is a row of `SOURCE`."""

    @abstractmethod
    def _scores(
        self, db: Session, terms: Sequence[Term], filters: Sequence[Filter], *, by_name: bool = False
    ) -> dict[int, float]:
        """Documents that match, at most `RANKED`, the newest, and how well: the higher, the better.

        By name, if every word that is wanted is in the title, among the authors or in the names.
        """


def _rows(db: Session, sql: str, ids: Sequence[int]) -> Iterator[Any]:
    """What a statement says of these documents."""
    for some in chunks(ids):
        yield from db.execute(f"{sql} WHERE d.id IN ({placeholders(some)})", some)


def conditions(
    filters: Iterable[Filter], condition: Callable[[Filter], tuple[str, list[Any]]]
) -> tuple[str, list[Any]]:
    """The filters as conditions of a statement, each as an engine says it, and their values."""
    clauses, values = list[str](), list[Any]()
    for one in filters:
        clause, more = condition(one)
        clauses.append(f" AND {clause}")
        values += more
    return "".join(clauses), values


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
