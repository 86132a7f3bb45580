"""The manifest of a backup: one small file, written last, so that a backup with a manifest is complete.

A backup is an *image*, the bytes of a catalog's file at one moment, cut into *chunks* of equal length. A chunk is the
exclusive or of its *pieces*: the first is the chunk as it once was, each further one what changed since. Pieces are
files named by their SHA-256; backups share them. The backup's folder is named by its time and its image's digest. The
manifest ends with the SHA-256 of all that comes before, so that one that is not what it was is noticed, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from catalogkit.errors import StoreError
from catalogkit.model import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
PIECES: Final = "pieces"
# Set into the JSON object as its last member, so that no byte of the file is outside of what is checked.
_END: Final = ', "sha256": "{}"}}\n'
NAME: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}", re.ASCII)


class Piece(NamedTuple):
    """A file of the repository: the SHA-256 of what lies in it, compressed, and its length."""

    sha256: str
    bytes: int

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"{PIECES}/{self.sha256}"


class Chunk(NamedTuple):
    """A part of the image: the SHA-256 of its bytes, and the pieces that make it."""

    sha256: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All that is known of a backup without reading it.

    Attributes
    ----------
    catalog, engine, schema
        Whose catalog it is, what kind of file, and the version of its schema.
    as_of
        When it was made.
    changes, last_id
        How far the catalog's history of documents went.
    counts
        ``documents``, ``blobs``, ``locations``, ``checks``, ``logical_bytes``; counted in the image.
    image_bytes, chunk_bytes, content_sha256
        The image's length, that of its chunks, and the SHA-256 over the chunks' digests.
    stores
        Name, kind, token and, if it was asked for, the URI of each store.
    with_bytes, lacking
        Whether the documents' bytes were copied, too; how many blobs could not be.
    written_bytes
        What this backup added to the repository; the rest it shares with earlier ones.
    """

    catalog: str
    engine: str
    schema: int
    as_of: datetime
    tool: str
    changes: int
    last_id: int
    counts: dict[str, int]
    image_bytes: int
    chunk_bytes: int
    content_sha256: str
    stores: list[dict[str, str]]
    with_bytes: bool
    lacking: int
    written_bytes: int
    chunks: tuple[Chunk, ...]

    def encode(self) -> bytes:
        """As the file that is kept."""
        pieces = list(dict.fromkeys(piece for chunk in self.chunks for piece in chunk.pieces))
        number = {piece: place for place, piece in enumerate(pieces)}
        plain: dict[str, Any] = {"format": FORMAT}
        plain |= {name: getattr(self, name) for name in self.__slots__ if name != "chunks"}
        plain["as_of"] = self.as_of.astimezone(UTC).isoformat()
        plain["pieces"] = pieces
        plain["chunks"] = [[chunk.sha256, [number[piece] for piece in chunk.pieces]] for chunk in self.chunks]
        body = json.dumps(plain, ensure_ascii=False).encode()[:-1]
        return body + _END.format(hashlib.sha256(body).hexdigest()).encode()

    @property
    def name(self) -> str:
        """What the backup is called."""
        return f"{self.as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}-{self.content_sha256[:12]}"

    @property
    def pieces(self) -> dict[str, int]:
        """Every piece it is made of, with its length."""
        return {piece.sha256: piece.bytes for chunk in self.chunks for piece in chunk.pieces}


def decode(data: bytes, where: str) -> Manifest:
    """Read a manifest.

    Raises
    ------
    StoreError
        If it is damaged, or a newer catalogkit wrote it.
    """
    body = data[: -len(_END.format("0" * 64))]
    try:
        if data != body + _END.format(hashlib.sha256(body).hexdigest()).encode():
            raise ValueError("its bytes are not what they were")
        plain = json.loads(body + b"}")
        if plain.pop("format") != FORMAT:
            raise StoreError(f"{where} was written by a newer catalogkit: upgrade it to read this backup")
        pieces = [Piece(Digest.parse(sha256).hex(), int(size)) for sha256, size in plain.pop("pieces")]
        chunks = tuple(
            Chunk(Digest.parse(sha256).hex(), tuple(pieces[number] for number in numbers))
            for sha256, numbers in plain.pop("chunks")
        )
        return msgspec.convert(plain | {"chunks": ()}, _Head).whole(chunks)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, msgspec.ValidationError) as problem:
        raise StoreError(f"{where} is damaged: {problem}; use an earlier backup") from None


class _Head(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    catalog: str
    engine: str
    schema: int
    as_of: datetime
    tool: str
    changes: int
    last_id: int
    counts: dict[str, int]
    image_bytes: int
    chunk_bytes: int
    content_sha256: str
    stores: list[dict[str, str]]
    with_bytes: bool
    lacking: int
    written_bytes: int
    chunks: tuple[()]

    def whole(self, chunks: tuple[Chunk, ...]) -> Manifest:
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return Manifest(**values | {"chunks": chunks})


def content_of(chunks: Iterable[str]) -> str:
    """The digest of an image: SHA-256 over the digests of its chunks."""
    whole = hashlib.sha256()
    for chunk in chunks:
        whole.update(bytes.fromhex(chunk))
    return whole.hexdigest()
