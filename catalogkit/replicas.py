"""Compares a second, replicated bucket with what the catalog says is in the first.

A list tells names, sizes and ETags. Bytes are equal for sure where the server tells a SHA-256 of the whole; where an
ETag is the one that was noted when the object was written, or read, the same object was carried over; else only the
size is known, and that is counted by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from catalogkit.errors import InvalidInput
from catalogkit.stores.publishing import OWN
from catalogkit.stores.s3.archive import sha256_at
from catalogkit.stores.s3.bucket import bucket_of
from catalogkit.stores.s3.reading import number_of
from catalogkit.stores.s3.settings import S3Settings
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from catalogkit.audit import Copy
    from catalogkit.collection import Collection
    from catalogkit.stores.s3.bucket import Bucket, Seen

PAGE: Final = 10_000
AT_ONCE: Final = 16
KEPT: Final = 1000


@dataclass(slots=True)
class ReplicaReport:
    """How a second bucket compares with what the catalog says of the first.

    Attributes
    ----------
    by_checksum, by_etag, by_size
        Copies that are there, by what tells that they are equal.
    missing, differing
        Copies that are not there, or are other bytes.
    extra
        Objects there that the catalog has nothing of: purged here since, or somebody else's.
    status
        Of those missing, what the first bucket says of their replication, such as ``PENDING`` or ``FAILED``.
    findings
        The first of what is missing or differs, in words.
    """

    place: str
    replica: str
    by_checksum: int = 0
    by_etag: int = 0
    by_size: int = 0
    missing: int = 0
    differing: int = 0
    extra: int = 0
    status: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everything is there, as far as one can tell."""
        return not self.missing + self.differing

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"status": dict(self.status)}


def compare_replica(
    collection: Collection, url: str, *, store: str | None = None, checksums: bool = False
) -> ReplicaReport:
    """List a second bucket and compare it with the copies that the catalog has in a bucket.

    Parameters
    ----------
    url
        The second bucket, with the prefix that the first one's objects have there.
    store
        The name of the store that is replicated; without it the only one in a bucket.
    checksums
        Ask for the SHA-256 of every object, a request each; without it, of those alone whose ETag is another one.

    Raises
    ------
    InvalidInput
        If there is no such store, or the second bucket is the first one.
    StoreUnreachable
        If a list breaks off.
    """
    found = [
        (number, one)
        for number, one in collection.stores.items()
        if isinstance(one, S3Layout) and one.settings.s3 and store in (None, one.name)
    ]
    if len(found) != 1:
        raise InvalidInput(f"{len(found) or 'no'} stores in a bucket are called {store or 'anything'!r}; name one")
    ((store_id, mine),) = found
    settings = S3Settings.parse(url)
    if settings.place() == mine.settings.place() and settings.endpoint == mine.settings.endpoint:
        raise InvalidInput(f"{settings.place()} is the store itself; name the bucket that it is replicated to")
    replica = bucket_of(settings)
    report = ReplicaReport(mine.root, settings.place())
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="catalogkit-replica") as threads:
        asked: list[tuple[Copy, Seen]] = []
        for copy, seen in _pairs(collection, store_id, replica):
            if copy is None:
                report.extra += 1
            elif seen is None:
                _missing(report, mine, copy)
            elif seen.bytes != copy.bytes:
                report.differing += 1
                _find(report, f"{replica.place(copy.key)}: {seen.bytes} bytes instead of {copy.bytes}")
            elif checksums or number_of(copy.key, seen.etag) != copy.inode:
                asked.append((copy, seen))
                if len(asked) >= PAGE:
                    _ask(report, replica, threads, asked)
            else:
                report.by_etag += 1
        _ask(report, replica, threads, asked)
    return report


def _pairs(collection: Collection, store_id: int, replica: Bucket) -> Iterator[tuple[Copy | None, Seen | None]]:
    """Copies and objects of one key each; both come in the order of their keys, so neither is held."""
    seen = (one for one in replica.list_all() if one.key.partition("/")[0] != OWN)
    there, after = next(seen, None), (store_id, "")
    while page := collection.catalog.copies(after=after, limit=PAGE):
        after = (page[-1].store_id, page[-1].key)
        for copy in page:
            if copy.store_id != store_id:
                after = (copy.store_id, copy.key)
                break
            key = copy.key.encode()
            while there is not None and there.key.encode() < key:
                yield None, there
                there = next(seen, None)
            if there is not None and there.key == copy.key:
                yield copy, there
                there = next(seen, None)
            else:
                yield copy, None
        if after[0] != store_id:
            break
    while there is not None:
        yield None, there
        there = next(seen, None)


def _missing(report: ReplicaReport, mine: S3Layout, copy: Copy) -> None:
    report.missing += 1
    if len(report.findings) >= KEPT:
        return
    status = mine.bucket.replication_status(copy.key) or "no word of its replication"
    report.status[status] += 1
    _find(report, f"{copy.key} is not there: {status}")


def _ask(report: ReplicaReport, replica: Bucket, threads: ThreadPoolExecutor, asked: list[tuple[Copy, Seen]]) -> None:
    """Ask what SHA-256 the server of the replica tells of these."""
    told = threads.map(lambda pair: sha256_at(replica, pair[0].key), asked)
    for (copy, seen), sha256 in zip(asked, told, strict=True):
        if sha256 is not None and sha256 != copy.digest:
            report.differing += 1
            _find(report, f"{replica.place(copy.key)}: SHA-256 {sha256.hex()} instead of {copy.digest.hex()}")
        elif sha256 is not None:
            report.by_checksum += 1
        elif number_of(copy.key, seen.etag) == copy.inode:
            report.by_etag += 1
        else:
            report.by_size += 1
    asked.clear()


def _find(report: ReplicaReport, text: str) -> None:
    if len(report.findings) < KEPT:
        report.findings.append(text)
