"""What a format's module returns, and the one place that cleans it up."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.content import PREVIEW_CHARS, ContentMetadata, Reason
from catalogkit.extract.language import detect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from catalogkit.policies.extract import Limits

# Far above what documents state in earnest; a hostile one cannot make the catalog large.
WORDS_CHARS: Final = 4_000
LIST_ITEMS: Final = 1_000
OUTLINE_ITEMS: Final = 5_000
# Control characters that stand in no text, lone halves of surrogate pairs, and what Unicode says is no character.
_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_BLANK_LINES: Final = re.compile(r"[ \t\u00a0]*\r?\n(?:[ \t\u00a0]*\r?\n)+")


class RefusedError(Exception):
    """Nothing can be told of a document, for a reason."""

    def __init__(self, reason: Reason, detail: str = "", *, encrypted: bool = False) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.encrypted = reason, detail, encrypted


@dataclass(slots=True)
class Facts:
    """What was found in a document; see `ContentMetadata` for what the fields mean.

    `text_chars` is set where `text` is not all the text there is.
    """

    title: str | None = None
    authors: list[str] = field(default_factory=list)
    subject: str | None = None
    description: str | None = None
    keywords: list[str] = field(default_factory=list)
    language: str | None = None
    page_count: int | None = None
    created_at: datetime | None = None
    modified_at: datetime | None = None
    encrypted: bool = False
    outline: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    text: str = ""
    text_chars: int | None = None
    preview: str = ""
    schema: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict)


def words(text: object, most: int = WORDS_CHARS) -> str | None:
    """A text in one line, without control characters; None where nothing is left.

    Examples
    --------
    >>> words("  On the\\n Origin ")
    'On the Origin'
    """
    if not isinstance(text, str):
        return None
    return " ".join(_NOT_TEXT.sub(" ", text[: 4 * most]).split())[:most] or None


def several(texts: Iterable[object]) -> tuple[str, ...]:
    """Texts in one line each, without empty ones and repetitions."""
    return tuple(dict.fromkeys(one for text in texts if (one := words(text))))[:LIST_ITEMS]


def tidy(text: str) -> str:
    """A text of many lines, without control characters and with no more than one empty line at a time."""
    return _BLANK_LINES.sub("\n\n", _NOT_TEXT.sub(" ", text)).strip()


def plain(value: Any, depth: int = 0) -> Any:
    """A value such that JSON and any database can hold it."""
    if isinstance(value, str):
        return _NOT_TEXT.sub(" ", value)[:WORDS_CHARS]
    if isinstance(value, dict) and depth < 40:
        return {plain(str(key)): plain(one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple) and depth < 40:
        return [plain(one, depth + 1) for one in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else str(value)
    return str(value)[:WORDS_CHARS]


def told(facts: Facts, extractor: str, version: int, media_type: str, limits: Limits) -> ContentMetadata:
    """Tidy facts of what was found."""
    text = tidy(facts.text)
    preview = words(facts.preview or text[: 4 * PREVIEW_CHARS], PREVIEW_CHARS) or ""
    kept = text[: limits.text_chars]
    chars = len(text) if facts.text_chars is None else max(facts.text_chars, len(text))
    return ContentMetadata(
        extractor=extractor,
        version=version,
        media_type=media_type,
        title=words(facts.title),
        authors=several(facts.authors),
        subject=words(facts.subject),
        description=words(facts.description),
        keywords=several(facts.keywords),
        language=words(facts.language, 100),
        detected_language=detect(text),
        page_count=facts.page_count,
        created_at=facts.created_at,
        modified_at=facts.modified_at,
        encrypted=facts.encrypted,
        outline=tuple((level, words(one, 500) or "") for level, one in facts.outline[:OUTLINE_ITEMS]),
        warnings=several(facts.warnings),
        text=kept,
        text_chars=chars,
        preview=preview,
        schema=None if facts.schema is None else plain(facts.schema),
        more={key: plain(value) for key, value in facts.more.items() if value not in (None, "", [], {}, ())},
    )
