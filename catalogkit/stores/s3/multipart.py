"""Uploads: one request for small objects, parts for large ones, hashed on the way, visible whole or not at all.

An upload in parts is invisible until it is completed, which happens only once all that went through had the digest it
should have, and on the condition that nothing lies at the key. One that was cut off is taken up again by the next who
uploads to that key: parts that are there already, and equal, are not sent a second time. What nobody takes up is
swept once it was not touched for a while.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import zlib
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.errors import KeyTaken, SourceError, StoreError, StoreUnreachable
from catalogkit.stores.s3 import archive
from catalogkit.stores.s3.clouds import DRAFTS, CloudBucket
from catalogkit.stores.s3.reading import PieceReader
from catalogkit.stores.s3.room import Room

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from typing_extensions import Buffer

    from catalogkit.model import Digest
    from catalogkit.stores.s3.bucket import Bucket

# What one request carries at most; and each part of more. A connection over a long way carries so little that many
# have to be at work; a request takes botocore 0.75 ms of a processor, as long as hashing 1.3 MB does.
WHOLE_BYTES: Final = 16 << 20
PART_BYTES: Final = 8 << 20
# Amazon S3, "Multipart upload limits".
MOST_PARTS: Final = 10_000
# Parts of one upload in memory: one is read while the others are sent.
IN_FLIGHT_BYTES: Final = 96 << 20
# What one call of the system sends, which has to be done in READ_SECONDS.
PIECE_BYTES: Final = 256 << 10
CHANGED: Final = "it changed while it was taken in; run it again"
_room: Final = Room(IN_FLIGHT_BYTES)


class Dangling(NamedTuple):
    """An upload in parts that was begun and neither completed nor given up."""

    key: str
    upload: str
    used_at: datetime


def upload(bucket: Bucket, key: str, source: BinaryIO, size: int, digest: Digest, *, create: bool) -> None:
    """Show `size` bytes of `source` at `key`, if they have that digest.

    Raises
    ------
    SourceError
        If they do not: nothing was shown then.
    KeyTaken
        If `create` and something lies there, which may be these bytes: where an answer was lost, nobody knows.
    StoreUnreachable
        If the server cannot be reached, or refuses.
    """
    try:
        if size <= WHOLE_BYTES:
            with _room.taken(size):
                data = source.read(size + 1)
                if len(data) != size or hashlib.sha256(data).digest() != digest:
                    raise SourceError(CHANGED)
                bucket.put(key, data, create=create)
        elif bucket.settings.archive and size <= archive.MOST_BYTES:
            archive.put_whole(bucket, key, source, size, digest, create=create)
        else:
            part_bytes = max(PART_BYTES, -(-size // MOST_PARTS))
            spare: deque[Any] = deque()
            parts = _proved(_parts(source, part_bytes, spare), size, digest)
            with _room.taken(min(size, IN_FLIGHT_BYTES)):
                _send(bucket, key, parts, part_bytes, spare, create=create)
    except StoreUnreachable:
        # A time-out says nothing about whether it was done.
        there = bucket.head(key) if create else None
        if there is not None and there.bytes == size:
            raise KeyTaken(f"something lies at {bucket.place(key)}") from None
        raise


def stream(bucket: Bucket, key: str, pieces: Iterable[Buffer]) -> int:
    """Show the pieces, joined, at `key`, over what lies there; nothing of it where making them raises.

    Returns
    -------
    int
        How many bytes that were.
    """
    spare: deque[Any] = deque()
    parts = _parts(PieceReader(piece for piece in pieces), PART_BYTES, spare)
    first = next(parts, memoryview(b""))
    if len(first) < PART_BYTES:
        bucket.put(key, first, create=False)
        return len(first)
    with _room.taken(IN_FLIGHT_BYTES):
        return _send(bucket, key, itertools.chain([first], parts), PART_BYTES, spare, create=False)


def _send(
    bucket: Bucket, key: str, parts: Iterable[memoryview], part_bytes: int, spare: deque[Any], *, create: bool
) -> int:
    at_once = max(1, IN_FLIGHT_BYTES // part_bytes - 1)
    if isinstance(bucket, CloudBucket):
        return bucket.put_parts(key, parts, part_bytes, create=create, at_once=at_once)
    return _Parts(bucket, key, at_once, spare).send(parts, create=create)


def dangling(bucket: Bucket) -> Iterator[Dangling]:
    """Uploads in parts that nobody completed, and when each was last added to.

    Where there is no S3 that is what was uploaded, and not yet copied to its key.
    """
    if isinstance(bucket, CloudBucket):
        for one in bucket.list(DRAFTS):
            yield Dangling(one.key, "", datetime.fromtimestamp(one.mtime_ns // 1_000_000_000, UTC))
        return
    settings, api = bucket.settings, bucket.api
    prefix = settings.key("")
    with bucket.asking(""):
        pages = api.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=settings.bucket, Prefix=prefix, **bucket.payer):
            for one in page.get("Uploads", ()):
                key = one["Key"].removeprefix(prefix)
                times = [one["Initiated"]]
                with contextlib.suppress(FileNotFoundError):  # completed meanwhile
                    times += [part["LastModified"] for part in _listed(bucket, key, one["UploadId"]).values()]
                yield Dangling(key, one["UploadId"], max(times).astimezone(UTC))


def give_up(bucket: Bucket, key: str, upload: str) -> None:
    """Remove the parts of an upload that will not be completed."""
    if isinstance(bucket, CloudBucket):
        bucket.delete(key)
        return
    with contextlib.suppress(FileNotFoundError), bucket.asking(key):
        bucket.api.abort_multipart_upload(**bucket.at(key), UploadId=upload, **bucket.payer)


class _Parts:
    """One upload in parts, so many at once, whose memory is `spare` again once they were sent."""

    def __init__(self, bucket: Bucket, key: str, at_once: int, spare: deque[Any]) -> None:
        self.bucket, self.key, self.at_once, self.spare = bucket, key, at_once, spare
        self.there: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}

    def send(self, parts: Iterable[memoryview], *, create: bool) -> int:
        """Send all parts, and complete the upload; given up where making them raises. How many bytes they have."""
        self.upload, count = self._take_up() or self._begin(), 0
        try:
            with ThreadPoolExecutor(self.at_once) as threads:
                running: set[Future[None]] = set()
                try:
                    for number, data in enumerate(parts, 1):
                        while len(running) >= self.at_once:
                            ready, running = wait(running, return_when=FIRST_COMPLETED)
                            for one in ready:
                                one.result()
                        running.add(threads.submit(self._part, number, data))
                        count += len(data)
                    for one in running:
                        one.result()
                finally:
                    for one in running:
                        one.cancel()
            self._complete(create=create)
        except StoreUnreachable:
            raise  # the parts stay, for whoever takes it up again
        except BaseException:
            with contextlib.suppress(StoreError):  # what went wrong first is what is told
                give_up(self.bucket, self.key, self.upload)
            raise
        return count

    def _begin(self) -> str:
        bucket = self.bucket
        with bucket.asking(self.key):
            made = bucket.api.create_multipart_upload(
                **bucket.at(self.key), ChecksumAlgorithm="CRC32", **bucket.writing(self.key), **bucket.payer
            )
        return str(made["UploadId"])

    def _take_up(self) -> str:
        """An upload to this key that was cut off, and its parts."""
        bucket = self.bucket
        with bucket.asking(self.key):
            found = bucket.api.list_multipart_uploads(
                Bucket=bucket.settings.bucket, Prefix=bucket.settings.key(self.key), MaxUploads=10, **bucket.payer
            )
        for one in found.get("Uploads", ()):
            if one["Key"] == bucket.settings.key(self.key):
                with contextlib.suppress(FileNotFoundError):
                    self.there = _listed(bucket, self.key, one["UploadId"])
                    return str(one["UploadId"])
        return ""

    def _part(self, number: int, data: memoryview) -> None:
        # What goes through here is hashed as a whole; of each part the server compares what is quicker to compute.
        checksum = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
        part = {"PartNumber": number, "ChecksumCRC32": checksum}
        known = self.there.get(number)
        if known and known["Size"] == len(data) and _equal(known, data):
            etag = known["ETag"]
        else:
            bucket = self.bucket
            bucket.up.wait(len(data))
            with bucket.asking(self.key):
                etag = bucket.api.upload_part(
                    **bucket.at(self.key),
                    UploadId=self.upload,
                    Body=_Body(data),
                    **part,
                    **bucket.reading,
                    **bucket.payer,
                )["ETag"]
        self.done[number] = {**part, "ETag": etag}
        self.spare.append(data.obj)

    def _complete(self, *, create: bool) -> None:
        bucket = self.bucket
        wanted = {"IfNoneMatch": "*"} if create and bucket.settings.conditional else {}
        if create and not wanted and bucket.head(self.key) is not None:
            raise KeyTaken(f"something lies at {bucket.place(self.key)}")
        parts = [self.done[number] for number in sorted(self.done)]
        try:
            with bucket.asking(self.key):
                bucket.api.complete_multipart_upload(
                    **bucket.at(self.key),
                    UploadId=self.upload,
                    MultipartUpload={"Parts": parts},
                    **wanted,
                    **bucket.reading,
                    **bucket.payer,
                )
        except FileNotFoundError:
            # Asked a second time, because the first answer was lost; or somebody else completed it, or swept it.
            if bucket.head(self.key) is not None:
                raise KeyTaken(f"something lies at {bucket.place(self.key)}") from None
            raise StoreUnreachable(f"the upload to {bucket.place(self.key)} is gone; run it again") from None


class _Body:
    """A part as botocore takes one, which it sends once the server says that it may; nothing of it is copied."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def __len__(self) -> int:
        return len(self._data)

    def read(self, size: int = -1, /) -> memoryview:
        # Whatever is asked for: urllib3 would send 128 kB at a time.
        piece = self._data[self._at : self._at + PIECE_BYTES]
        self._at += len(piece)
        return piece

    def tell(self) -> int:
        return self._at

    def seek(self, at: int, /) -> None:
        self._at = at


def _equal(known: dict[str, Any], data: memoryview) -> bool:
    """Whether a part that is there already has these bytes: its ETag is their MD5, unless the server encrypted it.

    One that it cannot be told of is sent again.
    """
    return bool(known["ETag"].strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest())


def _listed(bucket: Bucket, key: str, upload: str) -> dict[int, dict[str, Any]]:
    with bucket.asking(key):
        pages = bucket.api.get_paginator("list_parts").paginate(**bucket.at(key), UploadId=upload, **bucket.payer)
        return {part["PartNumber"]: part for page in pages for part in page.get("Parts", ())}


def _parts(source: BinaryIO | PieceReader, size: int, spare: deque[Any]) -> Iterator[memoryview]:
    """What a source holds, in parts of `size`, the last one shorter.

    They are read into what is spare: memory that is fresh has to be had from the system page by page.
    """
    while True:
        data, count = memoryview(spare.popleft() if spare else bytearray(size)), 0
        while count < size and (more := source.readinto(data[count:])):  # type: ignore[union-attr]
            count += more
        if count:
            yield data[:count]
        if count < size:
            return


def _proved(parts: Iterable[memoryview], wanted: int, digest: Digest) -> Iterator[memoryview]:
    """The same parts; an error in the end if they are not what was wanted."""
    sha256, count = hashlib.sha256(), 0
    for part in parts:
        sha256.update(part)
        count += len(part)
        if count > wanted:
            break
        yield part
    if count != wanted or sha256.digest() != digest:
        raise SourceError(CHANGED)
