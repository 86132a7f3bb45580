"""The nouns: digests, documents, blobs, locations, checks; and the schemas of their frames."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from catalogkit.columns import COLUMNS
from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    import polars as pl

_HEX64: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Digest(bytes):
    """A SHA-256 digest: 32 bytes, written as 64 lower-case hex digits.

    Examples
    --------
    >>> Digest.parse("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    Digest('e3b0c442…')
    """

    __slots__ = ()

    def __new__(cls, raw: bytes) -> Self:
        if len(raw) != 32:
            raise InvalidInput(f"a SHA-256 digest has 32 bytes, not {len(raw)}")
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read 64 lower-case hex digits; anything else is refused.

        Raises
        ------
        InvalidInput
            If `text` is anything but 64 lower-case hexadecimal digits.
        """
        if not _HEX64.fullmatch(text):
            raise InvalidInput(f"not a SHA-256 digest: {text[:80]!r}; give 64 lower-case hex digits")
        return cls(bytes.fromhex(text))

    def __str__(self) -> str:
        return self.hex()

    def __repr__(self) -> str:
        return f"Digest('{self.hex()[:8]}…')"


class BlobState(enum.StrEnum):
    """Where a blob is in its life: ``incoming -> live -> condemned -> purged``."""

    INCOMING = "incoming"
    LIVE = "live"
    CONDEMNED = "condemned"
    PURGED = "purged"


class Outcome(enum.StrEnum):
    """What a check found. ``unknown`` (unreachable, forbidden, timed out) never leads to deletion."""

    OK = "ok"
    CORRUPT = "corrupt"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Layout(enum.StrEnum):
    """How a key names its bytes: by content, by a readable path, or where a user keeps them."""

    CAS = "cas"
    POLICY = "policy"
    REFERENCE = "reference"


class Mode(enum.StrEnum):
    """How ingest takes a file in."""

    COPY = "copy"
    MOVE = "move"
    LINK = "link"
    REFERENCE = "reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What is known about a document that arrives: the *why* of its bytes.

    ``(tenant, artifact_id, source_url, resolver, variant)`` is its identity.
    """

    artifact_id: str
    source_url: str
    resolver: str = ""
    variant: str = ""
    tenant: str = "default"
    run_id: str = ""
    content_type: str = ""
    fetched_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("tenant", "artifact_id", "source_url"):
            if not getattr(self, name):
                raise InvalidInput(f"a document needs a non-empty {name}")
        for name in ("tenant", "artifact_id", "source_url", "resolver", "variant", "run_id", "content_type"):
            check_text(name, getattr(self, name))
        if self.fetched_at is not None:
            to_us(self.fetched_at)
        if not isinstance(self.metadata, Mapping):
            raise InvalidInput(f"metadata must be named values for JSON, not {type(self.metadata).__name__}")
        if self.metadata:
            json_text(self.metadata)

    @property
    def identity(self) -> tuple[str, str, str, str, str]:
        """The five fields that make a document the same document."""
        return (self.tenant, self.artifact_id, self.source_url, self.resolver, self.variant)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRecord:
    """One document as the catalog knows it now, or as it was between two times."""

    id: int
    tenant: str
    artifact_id: str
    source_url: str
    resolver: str
    variant: str
    sha256: Digest
    bytes: int
    media_type: str
    content_type: str
    run_id: str
    fetched_at: datetime | None
    created_at: datetime
    changed_at: datetime
    seen_at: datetime
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationRecord:
    """One copy of a blob: a key in a store."""

    id: int
    store: str
    key: str
    layout: Layout
    sha256: Digest
    bytes: int
    inode: int | None
    mtime_ns: int | None
    checked_at: datetime | None
    outcome: Outcome | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One entry of the verification ledger: this copy, then, gave this.

    `changed_us` is the copy's own before it was looked at. One that was written anew since is not what was looked at:
    what is known of it stays. None where whoever looked kept others from writing.
    """

    location_id: int
    sha256: Digest
    checked_at: datetime
    outcome: Outcome
    bytes: int = 0
    method: str = "read"
    detail: str = ""
    changed_us: int | None = None


def check_text(name: str, value: object) -> None:
    """Refuse what not every database can hold as text: other types, NUL, unpaired surrogates."""
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} has a character that is not Unicode text: {value[:80]!r}") from None
    if "\x00" in value:
        raise InvalidInput(f"{name} has a NUL in it: {value[:80]!r}")


def to_us(when: datetime) -> int:
    """Microseconds since 1970-01-01 UTC of an aware time.

    Raises
    ------
    InvalidInput
        If `when` has no time zone.
    """
    if when.tzinfo is None:
        raise InvalidInput(f"{when.isoformat()} has no time zone; give an aware time such as {when.isoformat()}+00:00")
    since = when - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds  # half the time of dividing by one


def from_us(us: int) -> datetime:
    """The aware UTC time `us` microseconds after 1970-01-01."""
    return _EPOCH + timedelta(microseconds=us)


def json_text(value: object) -> str:
    """`value` as JSON text; digests are hex digits in it, times and the like as `msgspec` writes them.

    Raises
    ------
    InvalidInput
        If there is something in it that JSON cannot hold.
    """
    try:
        return _encode_json(value).decode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise InvalidInput(f"this cannot be written as JSON: {problem}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Digest):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} has no JSON form")


_encode_json: Final = msgspec.json.Encoder(enc_hook=_plain, order="sorted").encode


def inode_of(about: os.stat_result) -> int:
    """The inode as the signed 64-bit number that a database column holds."""
    return about.st_ino - (1 << 64) if about.st_ino >= 1 << 63 else about.st_ino


def path_text(path: str | bytes | os.PathLike[str]) -> str:
    """A file name as text that any database can hold, reversibly.

    Bytes that are not UTF-8, control characters and the percent sign become ``%XX``; all else stays readable.

    Examples
    --------
    >>> path_text(b"caf\\xe9 100%.pdf")
    'caf%E9 100%25.pdf'
    """
    raw = os.fsencode(path)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode(errors="surrogateescape")
    if text.isprintable() and "%" not in text:
        return text
    return "".join(
        char
        if char.isprintable() and char != "%"
        else "".join(f"%{byte:02X}" for byte in char.encode(errors="surrogateescape"))
        for char in text
    )


def text_path(text: str) -> str:
    """The file name that `path_text` wrote as `text`."""
    if "%" not in text:
        return text
    raw = re.sub(rb"%([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())
    return os.fsdecode(raw)


# -- frames ------------------------------------------------------------------------------------------------------


def schema(table: str) -> dict[str, pl.DataType]:
    """The Polars schema of a frame of `table`; an empty frame has it too.

    Parameters
    ----------
    table
        ``documents``, ``versions``, ``document_versions``, ``blobs``, ``locations``, ``checks``, ``accesses``,
        ``sightings``, ``later_sightings``, ``contents``, ``found`` (what a search answers), ``roots``, ``elsewhere`` or
        ``wanted``.

    Notes
    -----
    Digests are 64 hex digits (String), sizes Int64 named ``bytes``, times ``Datetime("us", "UTC")``.
    """
    import polars as pl

    kinds = {
        "str": pl.String(),
        "strs": pl.List(pl.String()),
        "int": pl.Int64(),
        "float": pl.Float64(),
        "bool": pl.Boolean(),
        "time": pl.Datetime("us", "UTC"),
    }
    return {column: kinds[kind] for column, kind in COLUMNS[table].items()}


def mirrored(table: str) -> dict[str, pl.DataType]:
    """The schema of a table of the mirror: ``documents``, ``blobs``, ``locations``, ``checks`` or ``contents``.

    It is that of the frame of the same name, but for what no history tells, the last sighting of a document; a blob
    has the time since when it is garbage in addition.
    """
    import polars as pl

    columns = {name: kind for name, kind in schema(table).items() if name != "seen_at"}
    return columns | ({"garbage_since": pl.Datetime("us", "UTC")} if table == "blobs" else {})


def fed(table: str) -> dict[str, pl.DataType]:
    """The schema of what a catalog feeds its mirror with: `mirrored` less what a row's blob tells.

    The mirror adds that itself: to look it up row by row would cost an engine more than reading the rows.
    """
    told = {"documents": ("bytes", "media_type"), "locations": ("bytes",)}.get(table, ())
    return {name: kind for name, kind in mirrored(table).items() if name not in told}
