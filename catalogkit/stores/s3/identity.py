"""The identity of a store in a bucket: which catalog it belongs to, and the mark of the run that was there last."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from catalogkit.errors import KeyTaken, StoreUnreachable
from catalogkit.stores.publishing import OWN
from catalogkit.stores.s3.bucket import bucket_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from catalogkit.stores.s3.bucket import Bucket, Seen
    from catalogkit.stores.s3.settings import S3Settings

IDENTITY: Final = f"{OWN}/store.json"
MARK: Final = f"{OWN}/mark"
_MARK_BYTES: Final = 1 << 10


def identity_in(settings: S3Settings) -> dict[str, object]:
    """What the store in a bucket says of itself.

    Raises
    ------
    StoreUnreachable
        If there is none, or it cannot be read.
    """
    bucket, place = bucket_of(settings), settings.place()
    about = bucket.head(IDENTITY)
    if about is None:
        raise StoreUnreachable(f"no store at {place}; is the name right, does the bucket exist?")
    try:
        found = json.loads(bytes(bucket.get(IDENTITY, 0, about.bytes, about.etag)))
    except ValueError as problem:
        raise StoreUnreachable(f"the store at {place} cannot be read: {problem}") from None
    return found if isinstance(found, dict) else {}


def mark_in(bucket: Bucket) -> tuple[Seen | None, list[str]]:
    """The object of the store's mark, and what it says; one that says nothing was never written by us."""
    found = bucket.first(MARK, _MARK_BYTES)
    return (None, []) if found is None else (found[0], b"".join(found[1]).decode("ascii", "replace").split())


def exchange_mark(bucket: Bucket, seen: Sequence[str], new: str) -> bool:
    """Leave a mark in place of the one that was `seen`; False where it is there no more."""
    about, there = mark_in(bucket)
    if there != list(seen):
        return False
    try:
        bucket.put(MARK, new.encode("ascii"), create=about is None, instead_of=about)
    except KeyTaken:
        return False
    return True
