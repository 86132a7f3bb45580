"""The rows that catalogs take and return: one plain value for each kind, the same for every engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from catalogkit.model import Arrival, BlobState, Digest, Layout, Outcome

    # Document id, time, kind, bytes, and how often, which is once without it.
    Access = tuple[int, datetime, str, int | None] | tuple[int, datetime, str, int | None, int]


@dataclass(frozen=True, slots=True)
class StoreRow:
    """A store as the catalog knows it; the token is what the store itself must carry."""

    id: int
    name: str
    kind: str
    token: str


@dataclass(frozen=True, slots=True)
class Quota:
    """How many documents, and bytes of documents, there may be (None: as many as you like), and how many there are.

    Each document counts with all its bytes, shared ones too: what a tenant may keep does not hang on what others have.
    """

    max_documents: int | None
    max_bytes: int | None
    documents: int
    bytes: int

    @property
    def full(self) -> bool:
        """Whether not even an empty document finds room."""
        return (self.max_documents is not None and self.documents >= self.max_documents) or (
            self.max_bytes is not None and self.bytes > self.max_bytes
        )


@dataclass(frozen=True, slots=True)
class SourceStat:
    """What a source file looked like when it was read; equal stats mean it need not be read again."""

    folder: str
    name: str
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A remembered source: its stat, its content, and the document it last became (None once that changed)."""

    stat: SourceStat
    digest: Digest
    document_id: int
    identity: tuple[str, str, str, str, str] | None


@dataclass(frozen=True, slots=True)
class Registration:
    """All that one arrived document makes true: its bytes lie at `key`, and it is about `arrival`."""

    arrival: Arrival
    digest: Digest
    bytes: int
    media_type: str
    store_id: int
    key: str
    layout: Layout
    inode: int | None = None
    mtime_ns: int | None = None
    source: SourceStat | None = None
    in_order: bool = True
    """False where arrivals may come out of order, so that one fetched earlier must not replace one fetched later."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the catalog knows of a blob, and one copy of it in the store asked about."""

    state: BlobState
    key: str | None
    inode: int | None
    mtime_ns: int | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a registration: ``new``, ``changed``, ``same`` or ``older`` (kept as an earlier version)."""

    document_id: int
    outcome: str
    new_blob: bool


@dataclass(frozen=True, slots=True)
class Intent:
    """An ingest in flight, or one whose process died."""

    id: int
    owner: str
    expires_at: datetime
    registration: Registration


@dataclass(frozen=True, slots=True)
class Due:
    """A copy to check: where it is, what it should be."""

    location_id: int
    store_id: int
    key: str
    digest: Digest
    bytes: int
    checked_us: int
    changed_us: int


@dataclass(frozen=True, slots=True)
class DueContent:
    """A blob to look into."""

    digest: Digest
    bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class ContentText:
    """The text of a blob, empty where none is kept; `number` tells in which sequence they were noted."""

    number: int
    digest: Digest
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A document that a search found; the higher the score, the better, among those of one answer."""

    id: int
    score: float
    tenant: str
    artifact_id: str
    source_url: str
    resolver: str
    variant: str
    sha256: str
    bytes: int
    media_type: str
    title: str | None
    authors: tuple[str, ...]
    language: str | None
    page_count: int | None
    created_at: datetime
    preview: str


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan that was applied, is being applied, or was given up (why): when, and what came of its steps so far.

    `waits_since` is when the first of those that wait began to, and `waits_until` when the last of them may be over, as
    far as that is known.
    """

    id: str
    kind: str
    begun_at: datetime
    ended_at: datetime | None
    done: int
    skipped: int
    failed: int
    bytes_freed: int
    waiting: int = 0
    waits_since: datetime | None = None
    waits_until: datetime | None = None
    given_up: str = ""
    policy: Mapping[str, Any] = field(default_factory=dict)

    @property
    def waits(self) -> str:
        """How many steps wait for bytes out of an archive, since when, until about when; empty where none does."""
        if not self.waiting:
            return ""
        since = f" since {self.waits_since:%Y-%m-%d %H:%M}" if self.waits_since else ""
        until = f", until about {self.waits_until:%Y-%m-%d %H:%M} UTC" if self.waits_until else ""
        return f"{self.waiting:,} waiting{since}{until}"


class JournalRow(NamedTuple):
    """A step of a plan that was carried out, or not (`why`): what it was about, and its `effect`.

    The digest is in hex, `at_us` in microseconds. (A plain tuple, since a plan can have very many.)
    """

    unit: int
    step: int
    kind: str
    outcome: str
    why: str
    sha256: str | None
    document_id: int | None
    store: str | None
    key: str | None
    bytes: int
    at_us: int
    from_store: str | None
    from_key: str | None
    effect: str


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the history of documents: so many changes were made, and the last new document had this id.

    Unlike a time it says exactly what was and what was not, whatever the clocks of the writers said.
    """

    changes: int
    last_id: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A position that somebody keeps, and with it every blob that a document had then.

    Attributes
    ----------
    kind, name : str
        Whose it is, ``snapshot`` or ``backup``, and what they call it; one of a name is kept at a time.
    documents, blobs : int or None
        How many documents there were, and how many distinct contents they had; None until they are counted.
    logical_bytes, stored_bytes : int or None
        The bytes of the documents, each with a copy of its own, and of the distinct contents.
    digest : Digest or None
        The sum, modulo 2 to the 256th, of the SHA-256 of each document's facts: equal documents give equal digests.
    """

    id: int
    kind: str
    name: str
    position: Position
    taken_at: datetime
    expires_at: datetime | None
    released_at: datetime | None
    documents: int | None = None
    blobs: int | None = None
    logical_bytes: int | None = None
    stored_bytes: int | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what is stored was proved lately: the honest counterpart of "100 % passed".

    Bytes are physical (paths that share an inode are one object, checked when the newest of its checks was). A copy
    counts as verified if its last check was ``ok`` and lies within the window, not in the future.
    """

    days: int
    bytes: int
    verified_bytes: int
    never_checked_bytes: int
    never_checked: int
    bad: int
    oldest_check: datetime | None

    @property
    def share(self) -> float | None:
        """Verified share of the bytes, 0 to 1; None where nothing is stored."""
        return self.verified_bytes / self.bytes if self.bytes else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, with the share."""
        return asdict(self) | {"share": self.share}

    def in_words(self) -> dict[str, object]:
        """As named facts for a person."""
        share = "nothing is stored" if self.share is None else f"{100 * self.share:.1f} % of bytes"
        oldest = "never checked" if self.never_checked else self.oldest_check or "-"
        return {f"verified within {self.days} days": share, "oldest check": oldest}


@dataclass(frozen=True, slots=True)
class Image:
    """A catalog's file that holds still; `copied` says that it is a copy rather than the catalog's own file."""

    path: str
    bytes: int
    copied: bool


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a catalog's file says of itself: whose it is, its schema, how much there is, how far its history goes.

    `changes` and `last_id` are its position in the history of documents; `stores` are name, kind and token.
    """

    identity: str
    schema: int
    counts: dict[str, int]
    changes: int
    last_id: int
    stores: list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFile:
    """A file that the access log was read from: the digest of so many bytes of it, and what it told.

    A log that grows is known by its beginning.
    """

    sha256: Digest
    bytes: int
    name: str
    entries: int
    matched: int
    first_at: datetime | None
    last_at: datetime | None
    imported_at: datetime


@dataclass(frozen=True, slots=True)
class Eviction:
    """A content whose last copy was let go on purpose; `returned_at` is when its bytes came back."""

    sha256: Digest
    bytes: int
    plan_id: str
    evicted_at: datetime
    returned_at: datetime | None
