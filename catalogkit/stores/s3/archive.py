"""Archive storage classes: uploads at once, reads only hours after a restore was requested.

Nothing can be read back there. So a file goes up in one request, with the SHA-256 of the whole; the server computes it
from what arrives, refuses anything else, and tells it afterwards without reading.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from catalogkit.errors import KeyTaken, SourceError, StoreError
from catalogkit.model import Outcome
from catalogkit.stores.contract import Examined

if TYPE_CHECKING:
    from datetime import timedelta

    from catalogkit.model import Digest
    from catalogkit.stores.contract import Asked
    from catalogkit.stores.s3.bucket import Bucket

# Amazon S3, "Uploading objects": what one request can carry.
MOST_BYTES: Final = 5_000_000_000
# How long what was restored can be read; a plan that waits for it is applied again until then.
DAYS: Final = 7


def put_whole(bucket: Bucket, key: str, source: BinaryIO, size: int, digest: Digest, *, create: bool) -> None:
    """Show `size` bytes of `source` at `key` by one request, if the server finds that they have that digest.

    Raises
    ------
    SourceError
        If they have not; nothing was shown then.
    KeyTaken
        If `create` and something lies there.
    """
    if not source.seekable():  # the request may have to be sent again
        with tempfile.TemporaryFile() as spool:
            shutil.copyfileobj(source, spool, 1 << 20)
            spool.seek(0)
            put_whole(bucket, key, spool, size, digest, create=create)
        return
    wanted = {"IfNoneMatch": "*"} if create and bucket.settings.conditional else {}
    bucket.up.wait(size)
    try:
        with bucket.asking(key):
            bucket.api.put_object(
                **bucket.at(key), Body=source, ContentLength=size,
                ChecksumSHA256=base64.b64encode(digest).decode(), **wanted, **bucket.writing(key), **bucket.payer,
            )  # fmt: skip
    except KeyTaken:
        raise
    except StoreError:
        # Whose fault it was, the source tells: a server says only that it got something else.
        source.seek(0)
        sha256 = hashlib.sha256()
        while piece := source.read(1 << 20):
            sha256.update(piece)
        if sha256.digest() != digest:
            raise SourceError("it changed while it was taken in; run it again") from None
        raise


def arrived(bucket: Bucket, asked: Asked) -> Examined:
    """Whether the server computed the right SHA-256 when an object was written; nothing is read.

    That proves that the right bytes arrived, not that they are still there: it is enough to give up another copy that
    was just read, and is no check.
    """
    try:
        told = _told(bucket, asked.key)
    except FileNotFoundError:
        return Examined(Outcome.MISSING, 0, "nothing lies there")
    said = whole_sha256(told)
    if said is None:
        return Examined(Outcome.UNKNOWN, 0, "it lies in an archive, and the server tells no SHA-256 of the whole")
    if (said, told["ContentLength"]) != (asked.digest, asked.bytes):
        return Examined(Outcome.CORRUPT, 0, f"the server computed SHA-256 {said.hex()}")
    return Examined(Outcome.OK, 0, "by the SHA-256 that the server computed when it was written")


def sha256_at(bucket: Bucket, key: str) -> bytes | None:
    """The SHA-256 of a whole object that the server tells; None where it tells none, or the object is gone."""
    try:
        return whole_sha256(_told(bucket, key))
    except FileNotFoundError:
        return None


def _told(bucket: Bucket, key: str) -> dict[str, Any]:
    with bucket.asking(key):
        told: dict[str, Any] = bucket.api.head_object(
            **bucket.at(key), ChecksumMode="ENABLED", **bucket.reading, **bucket.payer
        )
    return told


def whole_sha256(told: dict[str, object]) -> bytes | None:
    """The SHA-256 of a whole object in an answer; None for one that is made of parts' checksums, and without any."""
    said = str(told.get("ChecksumSHA256") or "")
    if not said or "-" in said or told.get("ChecksumType") == "COMPOSITE":
        return None
    try:
        found = base64.b64decode(said, validate=True)
    except ValueError:
        return None
    return found if len(found) == 32 else None


def restore(bucket: Bucket, key: str) -> tuple[str, timedelta | None]:
    """Ask for an archived object, so that it can be read for `DAYS` days; when that will be, in words, and from now.

    To ask again while the first asking is under way changes nothing, and says nothing of how long it still takes.
    """
    settings = bucket.settings
    request = {"Days": DAYS, "GlacierJobParameters": {"Tier": settings.restore}}
    again = False
    try:
        with bucket.asking(key):
            bucket.api.restore_object(**bucket.at(key), RestoreRequest=request, **bucket.payer)
    except StoreError as problem:
        again = "RestoreAlreadyInProgress" in str(problem)
        if not again:
            raise
    asked = "was asked for before" if again else "was asked for now"
    words = f"its bytes lie in an archive; restoring them {asked} and takes {settings.latency or 'hours'}"
    return words, None if again else settings.wait
