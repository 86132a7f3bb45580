"""Change sets: everything that changed at a site since it was last asked, as bytes to send or store.

It is compressed, and begins with the digest of what follows, so that one that was cut short or damaged is told from one
that is whole. A site reads what another one writes: what is in here is a format, and has a version.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any, Final

import msgspec

from catalogkit.errors import InvalidInput
from catalogkit.federation.merging import Identity, Record

FORM: Final = 1
MAGIC: Final = b"ckitchg1"
# Digests do not compress, and are most of it: what a higher level finds in the rest is 2 % of the whole.
LEVEL: Final = 3


SAME: Final = (
    "both ends are the same site: one of them is a copy of the other; `catalogkit sync --renew` makes the copy a"
    " site of its own"
)


class Site(msgspec.Struct, frozen=True, array_like=True):
    """A site: its id, which is never given twice, and its name. One that came back from a backup `follows` its past."""

    id: str
    name: str
    follows: str = ""


class Reach(msgspec.Struct, frozen=True, array_like=True):
    """How far a site has come with another one's changes: their number, and where history stood there by then."""

    seq: int = 0
    changes: int = 0


class Copies(msgspec.Struct, frozen=True, array_like=True):
    """What a site has of a content: good copies, what they were found to be, when they were read, when it said so.

    The `stand` counts what happened to its copies: a word with a higher one is a later one.
    """

    site: str
    sha256: bytes
    copies: int
    outcome: str | None = None
    checked_us: int = 0
    told_us: int = 0
    stand: int = -1


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A document's identity, what is known of it, and who has its bytes."""

    identity: Identity
    record: Record
    copies: tuple[Copies, ...] = ()


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """A hold under the name that it has everywhere; it is placed once, and released once."""

    uid: str
    reason: str
    placed_by: str
    placed_us: int
    expires_us: int | None = None
    released_us: int | None = None
    sha256: bytes | None = None
    identity: Identity | None = None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What changed at a site after change `since`, up to `upto`.

    Attributes
    ----------
    complete
        Whether that is all there was; what is about whole sites is in the last part only.
    skipped
        Sites whose changes were left out where nothing was added to them: who reads this has those.
    entries, holds, copies
        Documents, holds, and where bytes lie.
    sites, reach
        Every site that is known, and how far each of them had come with each other's changes.
    marks
        Where its copies and checks stood, in its own terms: told back when it is asked again.
    """

    form: int = FORM
    site: str
    since: int
    upto: int
    complete: bool = True
    skipped: tuple[str, ...] = ()
    entries: list[Entry] = []
    holds: list[Hold] = []
    copies: list[Copies] = []
    sites: list[Site] = []
    reach: dict[str, dict[str, Reach]] = {}
    marks: dict[str, int] = {}


def _zstd() -> Any:
    """The module; what only asks for changes needs none."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Changes).decode


def packed(changes: Changes) -> bytes:
    """A change set as bytes."""
    body: bytes = _zstd().compress(_encode(changes), level=LEVEL)
    return MAGIC + hashlib.sha256(body).digest() + body


def unpacked(data: bytes) -> Changes:
    """The change set that `packed` made these bytes of.

    Raises
    ------
    InvalidInput
        If they are none, are damaged, or are of a newer program.
    """
    zstd, body = _zstd(), memoryview(data)[40:]
    if data[:8] != MAGIC or data[8:40] != hashlib.sha256(body).digest():
        raise InvalidInput("this is no change set, or it is damaged or cut short; have it made again")
    try:
        return _decode(zstd.decompress(body))
    except (zstd.ZstdError, msgspec.MsgspecError) as problem:
        raise InvalidInput(f"this change set is of another version of catalogkit: {problem}") from problem
