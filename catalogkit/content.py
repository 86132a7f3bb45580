"""`ContentMetadata`: what is inside a document, or why it cannot be told.

A fact about bytes, not about why we have them: documents that share a blob share what is inside it, and the same
extractor tells the same of the same bytes. So it may be thrown away, and told again, at any time.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from catalogkit.model import DocumentRecord

PREVIEW_CHARS: Final = 500


class Reason(enum.StrEnum):
    """Why nothing could be told of a document; a refusal stays until its extractor changes."""

    EMPTY = "empty"
    """There are no bytes."""
    UNSUPPORTED = "unsupported"
    """No extractor reads this kind of document."""
    NEEDS_EXTRA = "needs_extra"
    """A package that reads this kind is not installed; once it is, the document is due again."""
    ENCRYPTED = "encrypted"
    """It needs a password."""
    DAMAGED = "damaged"
    """It is not what its first bytes promise, or broken beyond reading."""
    TOO_LARGE = "too_large"
    """It unpacks to more than the limit, or tells more than the limit."""
    TIME = "time"
    """Reading it took longer than the limit."""
    MEMORY = "memory"
    """Reading it took more memory than the limit."""
    CRASHED = "crashed"
    """The process that read it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentMetadata:
    """What an extractor found in a document.

    Attributes
    ----------
    extractor, version : str, int
        Which extractor told this, and its version.
    media_type : str
        What the document is, told from its content.
    reason : Reason or None
        Why nothing could be told; None where something was.
    detail : str
        The reason in words.
    title, authors, subject, description, keywords
        As the document states them, white space apart; None or empty where it does not.
    language : str or None
        As the document states it, a tag such as ``en-GB``.
    detected_language : str or None
        Told from the text: ISO 639-1, or ISO 639-3 where that has none; None where there is too little of it.
    page_count : int or None
        Pages, of documents that have any.
    created_at, modified_at : datetime or None
        As the document states them; UTC where it names no time zone.
    encrypted : bool
        Whether it is encrypted, be it with an empty password.
    outline : tuple of (int, str)
        Level, from 1, and words: bookmarks of a PDF file, headings of a page, the table of contents of a book.
    warnings : tuple of str
        What is wrong with a document that can be read all the same, as words fit for grouping: ``repaired``.
    text : str
        The text, up to a limit; `text_chars` is how long all of it is.
    preview : str
        How the text begins.
    schema : mapping or None
        The JSON Schema of a JSON document, inferred from its values.
    more : mapping
        What only documents of its kind have.
    """

    extractor: str
    version: int
    media_type: str
    reason: Reason | None = None
    detail: str = ""
    title: str | None = None
    authors: tuple[str, ...] = ()
    subject: str | None = None
    description: str | None = None
    keywords: tuple[str, ...] = ()
    language: str | None = None
    detected_language: str | None = None
    page_count: int | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None
    encrypted: bool = False
    outline: tuple[tuple[int, str], ...] = ()
    warnings: tuple[str, ...] = ()
    text: str = ""
    text_chars: int = 0
    preview: str = ""
    schema: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether something could be told."""
        return self.reason is None

    @property
    def author(self) -> str | None:
        """The authors in one text."""
        return "; ".join(self.authors) or None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without the text."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrichedDocumentRecord(DocumentRecord):
    """A document with what is inside it.

    Attributes
    ----------
    metadata : ContentMetadata or None
        What is inside; None where nobody looked yet. What the downloader told is in `given`.
    preview, extracted_text : str or None
        How the text begins, and all that is kept of it.
    schema : mapping or None
        The JSON Schema of a JSON document.
    """

    metadata: ContentMetadata | None  # type: ignore[assignment]  # the name its readers know it by
    given: Mapping[str, Any] = field(default_factory=dict)
    preview: str | None = None
    extracted_text: str | None = None
    schema: Mapping[str, Any] | None = None


def enriched(record: DocumentRecord, content: ContentMetadata | None) -> EnrichedDocumentRecord:
    """A document together with what is inside it."""
    plain = {name: getattr(record, name) for name in DocumentRecord.__slots__ if name != "metadata"}
    told = content if content is not None and content.ok else None
    return EnrichedDocumentRecord(
        **plain,
        metadata=content,
        given=record.metadata,
        preview=told.preview if told else None,
        extracted_text=told.text if told else None,
        schema=told.schema if told else None,
    )
