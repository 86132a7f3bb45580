"""The operations that the store needs on one prefix of one bucket, with catalogkit's errors.

Bytes and looks go through obstore, which costs a tenth of a botocore call; what it has no verb for (deleting on a
condition, uploads in parts that can be taken up again, rules of the bucket) goes through botocore. Both get the same
credentials, which stay in the memory of the process: a `Bucket` is made again from its settings in every worker.
Buckets of other services (`catalogkit.stores.s3.clouds`) differ in the verbs of the second kind alone.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from datetime import datetime, timedelta
from functools import cache, cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.errors import Archived, CatalogKitError, InvalidInput, KeyTaken, StoreError, StoreFull, StoreUnreachable
from catalogkit.stores.publishing import OWN
from catalogkit.stores.s3.clients import api_of, customer_key, data_of
from catalogkit.stores.s3.settings import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import obstore.store
    from typing_extensions import Buffer

    from catalogkit.stores.s3.settings import S3Settings

# In which a body is passed on: large enough to be hashed by another thread.
PIECE_BYTES: Final = 1 << 20
_FULL: Final = ("QuotaExceeded", "InsufficientStorage", "StorageFull", "XMinioStorageFull", "507 ")
_ARCHIVED: Final = "InvalidObjectState"
_GONE: Final = ("404", "NoSuchKey", "NotFound")
_TAKEN: Final = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")


class Seen(NamedTuple):
    """An object as the server tells of it, without its bytes."""

    key: str
    bytes: int
    mtime_ns: int
    etag: str
    version: str = ""


class Throttle:
    """Lets so many bytes pass in a second, whoever asks; nothing waits where there is no limit."""

    def __init__(
        self,
        bytes_per_second: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate, self.clock, self.sleep = bytes_per_second, clock, sleep
        self._free_at = clock()
        self._lock = threading.Lock()

    def wait(self, count: int) -> None:
        """Wait until `count` bytes may go."""
        if not self.rate:
            return
        with self._lock:
            self._free_at = max(self._free_at, self.clock())
            begins = self._free_at
            self._free_at += count / self.rate
        self.sleep(max(0.0, begins - self.clock()))


@cache
def bucket_of(settings: S3Settings) -> Bucket:
    """The bucket of these settings, one in a process: its connections are used again.

    Raises
    ------
    InvalidInput
        If what it takes is not installed.
    """
    if not all(map(find_spec, ("boto3", "obstore"))):
        raise InvalidInput(f"{settings.place()} needs more: pip install 'catalogkit[s3]'")
    if not settings.s3:
        from catalogkit.stores.s3.clouds import CloudBucket

        return CloudBucket(settings)
    return Bucket(settings)


class Bucket:
    """One prefix of a bucket. Keys are relative to the prefix."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self.up, self.down = Throttle(settings.bandwidth), Throttle(settings.bandwidth)
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"Bucket({self.settings.place()!r})"

    # -- looks and bytes -----------------------------------------------------------------------------------------

    def head(self, key: str) -> Seen | None:
        """What lies at a key; None where nothing does."""
        import obstore

        try:
            with self._trouble(key):
                return _seen(key, obstore.head(self._data, key))
        except FileNotFoundError:
            return None

    def get(self, key: str, start: int, length: int, etag: str = "") -> bytes:
        """A range of the bytes at a key, of the object with that ETag.

        Raises
        ------
        StoreError
            If there is no object, or another one by now.
        """
        return b"".join(self.stream(key, start, length, etag))

    def stream(self, key: str, start: int, length: int, etag: str = "") -> Iterator[bytes]:
        """The same range, in pieces as they come."""
        import obstore
        from obstore.exceptions import PreconditionError

        if not length:
            return
        self.down.wait(length)
        options: dict[str, Any] = {"range": (start, start + length)} | ({"if_match": etag} if etag else {})
        try:
            with self._trouble(key):
                found = obstore.get(self._data, key, options=options)  # type: ignore[arg-type]
        except FileNotFoundError:
            raise StoreError(
                f"nothing lies at {self.place(key)}; `catalogkit verify` tells what else is gone"
            ) from None
        except PreconditionError:
            raise StoreError(f"another object took the place of {self.place(key)} while it was read") from None
        yield from self._pieces(found, key, length)

    def first(self, key: str, length: int) -> tuple[Seen, Iterator[bytes]] | None:
        """What lies at a key, and its first `length` bytes, or all it has, by one request; None where nothing does.

        The bytes come in pieces, and only once they are asked for.
        """
        import obstore

        try:
            with self._trouble(key):
                found = obstore.get(self._data, key, options={"range": (0, length)})
                about = _seen(key, found.meta)
        except FileNotFoundError:
            return None
        except StoreUnreachable:
            there = self.head(key)
            if there is not None and not there.bytes:
                return there, iter(())  # which has no first byte to ask for
            raise
        self.down.wait(min(length, about.bytes))
        return about, self._pieces(found, key, min(length, about.bytes))

    def _pieces(self, found: obstore.GetResult, key: str, length: int) -> Iterator[bytes]:
        """The body of an answer; an error if it is not `length` bytes long."""
        count = 0
        with self._trouble(key):
            for piece in found.stream(min_chunk_size=PIECE_BYTES):
                count += len(piece)
                yield piece
        if count != length:
            raise StoreUnreachable(f"cannot read {self.place(key)}: {count} bytes came of {length}")

    def put(self, key: str, data: Buffer, *, create: bool, instead_of: Seen | None = None) -> None:
        """Show bytes at a key, with a SHA-256 that the server compares.

        Raises
        ------
        KeyTaken
            If `create` and something lies there, or if what lies there is not what they are to come `instead_of`;
            where the server takes no notice of conditions, if a look says so.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        conditional = self.settings.conditional
        if (create or instead_of) and not conditional:
            there = self.head(key)
            if (there and there.etag) != (instead_of and instead_of.etag):
                raise KeyTaken(f"something lies at {self.place(key)}")
        self.up.wait(memoryview(data).nbytes)
        how: Any = {"mode": "create" if create and conditional else "overwrite"}
        if instead_of and conditional:
            how["mode"] = {"e_tag": instead_of.etag} | ({"version": instead_of.version} if instead_of.version else {})
        if storage_class := self._storage_class(key):
            how["attributes"] = {"Storage-Class": storage_class}
        try:
            with self._trouble(key):
                obstore.put(self._data, key, data, use_multipart=False, **how)
        except (AlreadyExistsError, PreconditionError):
            raise KeyTaken(f"something lies at {self.place(key)}") from None

    def list(self, folder: str = "") -> Iterator[Seen]:
        """Objects below a folder, in order.

        Raises
        ------
        StoreUnreachable
            If the list breaks off: half of one would look like a store that lost the rest.
        """
        import obstore

        with self._trouble(folder):
            for page in obstore.list(self._data, folder or None, chunk_size=1000):
                for one in page:
                    yield _seen(one["path"], one)

    def tops(self) -> Sequence[str]:
        """The first segments of all keys."""
        import obstore

        with self._trouble(""):
            found = obstore.list_with_delimiter(self._data)
        return [*found["common_prefixes"], *(one["path"] for one in found["objects"])]

    def list_all(self) -> Iterator[Seen]:
        """Every object of the prefix, also those with names that no layout has, in order."""
        settings, pages = self.settings, self.api.get_paginator("list_objects_v2")
        prefix = settings.key("")
        with self.asking(""):
            for page in pages.paginate(Bucket=settings.bucket, Prefix=prefix, **self.payer):
                for one in page.get("Contents", ()):
                    key = one["Key"].removeprefix(prefix)
                    yield Seen(key, one["Size"], _ns(one["LastModified"]), one["ETag"])

    def delete(self, key: str, etag: str = "") -> bool:
        """Remove an object if it is the one with that ETag; False where it is not, or is gone.

        A server that takes no notice of conditions is asked just before.
        """
        wanted = {"IfMatch": etag} if etag and self.settings.conditional else {}
        if etag and not self.settings.conditional:
            there = self.head(key)
            if there is None or there.etag != etag:
                return False
        try:
            with self.asking(key):
                self.api.delete_object(**self.at(key), **wanted, **self.payer)
        except (KeyTaken, FileNotFoundError):
            return False
        return True

    def copy(self, source: str, target: str) -> None:
        """Give an object a second key, at the server; over what lies there."""
        settings = self.settings
        extra: dict[str, Any] = self.writing(target)
        if settings.sse == "sse-c":
            extra |= {f"CopySource{name}": value for name, value in self.reading.items()}
        from s3transfer.manager import TransferManager

        # It copies in parts what is too large for one request.
        with self.asking(source), TransferManager(self.api) as manager:
            manager.copy(self.at(source), settings.bucket, settings.key(target), {**extra, **self.payer}).result()

    def presigned(self, key: str, lasts: timedelta) -> str:
        """An address that lets whoever has it read the object for a while."""
        import obstore

        with self._trouble(key):
            return obstore.sign(self._data, "GET", key, lasts)

    def replication_status(self, key: str) -> str:
        """What the server says of an object's replication, such as ``PENDING``; nothing where it says nothing."""
        try:
            with self.asking(key):
                told = self.api.head_object(**self.at(key), **self.reading, **self.payer)
        except FileNotFoundError:
            return "it is missing here, too"
        return str(told.get("ReplicationStatus", ""))

    def place(self, key: str = "") -> str:
        """A place as a person names it."""
        return self.settings.place(key)

    def at(self, key: str) -> dict[str, str]:
        """Bucket and key, as requests of S3 name them."""
        return {"Bucket": self.settings.bucket, "Key": self.settings.key(key)}

    def versioning(self) -> str:
        """Whether old versions are kept: ``Enabled``, ``Suspended``, or nothing where they never were."""
        with self.asking(""):
            return str(self.api.get_bucket_versioning(Bucket=self.settings.bucket).get("Status", ""))

    # -- the two clients -----------------------------------------------------------------------------------------

    @cached_property
    def api(self) -> Any:
        """botocore's client, made when it is first needed."""
        with self._lock:
            return api_of(self.settings)

    @cached_property
    def _data(self) -> obstore.store.S3Store | obstore.store.GCSStore | obstore.store.AzureStore:
        with self._lock:
            return data_of(self.settings)

    # -- what goes with every request ----------------------------------------------------------------------------

    @property
    def payer(self) -> dict[str, str]:
        """Who pays."""
        return {"RequestPayer": "requester"} if self.settings.requester_pays else {}

    def writing(self, key: str) -> dict[str, Any]:
        """How a new object is encrypted and kept."""
        settings = self.settings
        said: dict[str, Any] = dict(self.reading)
        if settings.sse and settings.sse != "sse-c":
            said["ServerSideEncryption"] = settings.sse
        if settings.kms_key:
            said["SSEKMSKeyId"] = settings.kms_key
        if storage_class := self._storage_class(key):
            said["StorageClass"] = storage_class
        return said

    def _storage_class(self, key: str) -> str:
        """The class of documents; what the store keeps for itself has to be readable at any time."""
        return "" if key.startswith(f"{OWN}/") else self.settings.storage_class

    @property
    def reading(self) -> dict[str, Any]:
        """The customer's key, where the server keeps none."""
        if self.settings.sse != "sse-c":
            return {}
        return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": customer_key(self.settings)}

    @contextlib.contextmanager
    def asking(self, key: str) -> Iterator[None]:
        """botocore's errors as ours: `KeyTaken` where a condition fails, `FileNotFoundError` where nothing lies."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as problem:
            error = problem.response.get("Error", {})
            code, said = str(error.get("Code", "")), str(error.get("Message", ""))
            if code in _TAKEN:
                raise KeyTaken(f"another object lies at {self.place(key)}") from None
            if code in _GONE or code == "NoSuchUpload":
                raise FileNotFoundError(key) from None
            raise self._told(key, f"{code}: {said}"[:300]) from None
        except BotoCoreError as problem:
            raise StoreUnreachable(f"cannot reach {self.place(key)}: {str(problem)[:300]}") from None

    @contextlib.contextmanager
    def _trouble(self, key: str) -> Iterator[None]:
        """obstore's errors as ours, but for those that say nothing lies there, or that a condition does not hold."""
        from obstore import exceptions as ex

        try:
            yield
        except (CatalogKitError, ex.AlreadyExistsError, ex.PreconditionError, FileNotFoundError):
            raise
        except (ex.BaseError, OSError, ValueError) as problem:
            raise self._told(key, _short(str(problem)), str(problem)) from None

    def _told(self, key: str, said: str, whole: str = "") -> StoreError:
        if _ARCHIVED in (whole or said):
            return Archived(f"{self.place(key)} lies in an archive: `catalogkit plan tier --back ID` brings it back")
        if "InvalidBucketName" in said:
            return StoreError(f"{self.place()} can be no bucket there: {SERVICES[self.settings.scheme].names}")
        if any(word in said for word in _FULL):
            return StoreFull(f"no room left in {self.place()}: {said}")
        return StoreUnreachable(f"cannot reach {self.place(key)}: {said}")


def _seen(key: str, about: Any) -> Seen:
    # Azure's lists leave out the quotes that a look at one object has.
    etag = about["e_tag"] or ""
    etag = f'"{etag}"' if etag and not etag.endswith('"') else etag
    return Seen(key, about["size"], _ns(about["last_modified"]), etag, about.get("version") or "")


def _ns(when: datetime) -> int:
    """Whole seconds: looking at one object says no more, while lists may."""
    return int(when.timestamp()) * 1_000_000_000


def _short(said: str) -> str:
    """What the server said, where it said something; else the first line of an error that goes on for several."""
    status = re.search(r"status code: (\d+ [A-Za-z ]+)", said)
    words = re.findall(r"<(?:Code|Message)>([^<]*)<", said)
    if status:
        return ": ".join([status[1].strip(), *words])[:300]
    return said.partition("\n")[0].strip()[:300]
