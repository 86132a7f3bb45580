"""The identity of a store in a bucket: which catalog it belongs to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from catalogkit.errors import StoreUnreachable
from catalogkit.stores.publishing import OWN
from catalogkit.stores.s3.bucket import bucket_of

if TYPE_CHECKING:
    from catalogkit.stores.s3.settings import S3Settings

IDENTITY: Final = f"{OWN}/store.json"


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
