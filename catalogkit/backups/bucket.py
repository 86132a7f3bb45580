"""Backups in a bucket: the verbs of `backups.target` over S3, Google or Azure."""

from __future__ import annotations

import contextlib
import json
import math
import threading
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from catalogkit.backups.target import plain
from catalogkit.errors import CatalogBusy, KeyTaken, StoreError
from catalogkit.owners import new_owner, process_is_gone, retire
from catalogkit.stores.s3 import multipart
from catalogkit.stores.s3.bucket import bucket_of
from catalogkit.stores.s3.settings import S3Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from catalogkit.stores.s3.bucket import Bucket, Seen

LOCK: Final = ".lock"
# Renewed far more often than it runs out, by the server's clock: for machines that sleep, and networks that hang.
LEASE: Final = timedelta(minutes=30)
RENEWED: Final = timedelta(minutes=5)


class BucketTarget:
    """One prefix of a bucket (see `catalogkit.backups.target.Target`).

    What the server has acknowledged is durable and shows whole, so there is nothing to settle and there are no drafts.
    """

    def __init__(self, place: S3Settings | str) -> None:
        self.settings = S3Settings.parse(place) if isinstance(place, str) else place
        self._renewed: float | None = None

    @property
    def bucket(self) -> Bucket:
        """The bucket; every process has its own."""
        return bucket_of(self.settings)

    def put(self, key: str, parts: Iterable[bytes | memoryview]) -> int:
        """Show the parts at `key`, over what lay there."""
        return multipart.stream(self.bucket, _checked(key), parts)

    def settle(self, prefix: str) -> None:
        """Nothing: it is. But who slept for longer than a lease may not be alone any more, and goes no further."""
        _checked(prefix)
        if self._renewed is not None and _now() - self._renewed >= LEASE.total_seconds():
            raise CatalogBusy(f"the lock on the backups in {self.describe()} ran out meanwhile; run it again")

    def get(self, key: str) -> bytes:
        """All that lies at `key`."""
        there = self.bucket.head(_checked(key))
        if there is None:
            raise StoreError(f"nothing lies at {self.describe(key)}")
        return bytes(self.bucket.get(key, 0, there.bytes, there.etag)) if there.bytes else b""

    def size(self, key: str) -> int | None:
        """How many bytes lie at `key`, or None where nothing does."""
        there = self.bucket.head(_checked(key))
        return None if there is None else there.bytes

    def keys(self, prefix: str) -> list[str]:
        """Every key below `prefix`, in order."""
        names = (one.key for one in self.bucket.list(_checked(prefix)))
        return sorted(name for name in names if not any(part.startswith(".") for part in name.split("/")))

    def tops(self) -> list[str]:
        """The first segments of all keys, in order."""
        return sorted(name for name in self.bucket.tops() if not name.startswith("."))

    def remove(self, key: str) -> None:
        """Remove the object at `key`, if there is one."""
        self.bucket.delete(_checked(key))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes here while this is open: an object says so, renewed until it is removed.

        One whose program is gone, or that nobody renewed for half an hour, is taken over. Uploads in parts that a
        crash left are given up first.
        """
        owner, began = new_owner(), _now()
        try:
            self._take(owner)
            self._renewed = began
            over = threading.Event()
            renewing = threading.Thread(target=self._renew, args=(owner, over), daemon=True)
            renewing.start()
            try:
                for left in multipart.dangling(self.bucket):
                    multipart.give_up(self.bucket, left.key, left.upload)
                yield
            finally:
                over.set()
                renewing.join()
                self._renewed = None
                with contextlib.suppress(StoreError):  # it runs out by itself
                    there, holder = self._held()
                    if there is not None and holder == owner:
                        self.bucket.delete(LOCK, there.etag)
        finally:
            retire(owner)

    def describe(self, key: str = "") -> str:
        """A URL that leads there again."""
        return replace(self.settings, prefix=self.settings.key(key).rstrip("/")).url

    def parent(self) -> tuple[BucketTarget, str]:
        """The place that this one lies in, and its name there."""
        head, _, name = self.settings.prefix.rpartition("/")
        return BucketTarget(replace(self.settings, prefix=head)), name

    def _take(self, owner: str) -> None:
        said = json.dumps({"owner": owner}).encode()
        for _ in range(2):
            try:
                self.bucket.put(LOCK, said, create=True)
                return
            except KeyTaken:
                self._take_over()
        raise self._busy()

    def _take_over(self) -> None:
        """Remove a lock that nobody holds any more."""
        there, holder = self._held()
        if there is None:
            return
        if not process_is_gone(holder) and self._now_ns() - there.mtime_ns < LEASE.total_seconds() * 1e9:
            raise self._busy()
        self.bucket.delete(LOCK, there.etag)

    def _held(self) -> tuple[Seen | None, str]:
        """The lock, and whose it is, where that can be read."""
        there = self.bucket.head(LOCK)
        if there is None:
            return None, ""
        try:
            return there, str(json.loads(bytes(self.bucket.get(LOCK, 0, there.bytes, there.etag)))["owner"])
        except (StoreError, ValueError, KeyError, TypeError):
            return there, ""

    def _busy(self) -> CatalogBusy:
        return CatalogBusy(f"another program writes to the backups in {self.describe()}; try again")

    def _now_ns(self) -> int:
        """What time it is at the server, whose clock the lock's age is told by."""
        key = f".clock-{uuid.uuid4().hex}"
        self.bucket.put(key, b"", create=False)
        there = self.bucket.head(key)
        self.bucket.delete(key)
        return there.mtime_ns if there else 0

    def _renew(self, owner: str, over: threading.Event) -> None:
        while not over.wait(RENEWED.total_seconds()):
            with contextlib.suppress(StoreError):
                began = _now()
                there, holder = self._held()
                if there is None or holder not in (owner, ""):  # somebody took it over
                    self._renewed = -math.inf
                    return
                self.bucket.put(LOCK, json.dumps({"owner": owner}).encode(), create=False)
                self._renewed = began


def _now() -> float:
    """Seconds on a clock that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _checked(key: str) -> str:
    plain(key)
    return key
