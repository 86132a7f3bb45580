"""Google Cloud Storage and Azure Blob Storage: the same operations through obstore.

Three things differ from S3. What is large goes up under a name of the store's own and is copied to its key by the
server, on the condition that nothing lies there, for an upload in parts knows no condition. What is deleted is looked
at just before, for obstore cannot delete on a condition. And no request carries a SHA-256 that the server compares:
TLS protects what is on its way, and `verify` reads it back.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NoReturn

from catalogkit.errors import InvalidInput, KeyTaken, StoreError
from catalogkit.stores.publishing import OWN
from catalogkit.stores.s3 import clients
from catalogkit.stores.s3.bucket import Bucket, Seen
from catalogkit.stores.s3.settings import SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import obstore.store
    from typing_extensions import Buffer

    from catalogkit.stores.s3.settings import S3Settings

DRAFTS: Final = f"{OWN}/uploads"


class CloudBucket(Bucket):
    """One prefix of a bucket that does not speak S3. Keys are relative to the prefix."""

    @property
    def api(self) -> NoReturn:
        """None: what only S3 has is refused."""
        raise InvalidInput(
            f"{self.place()} does not speak S3: rules, replication, inventories and evidence are for s3:// buckets;"
            f" {SERVICES[self.settings.scheme].name} has tools of its own for them"
        )

    @cached_property
    def _data(self) -> obstore.store.GCSStore | obstore.store.AzureStore:
        with self._lock:
            return data_of(self.settings)

    def list_all(self) -> Iterator[Seen]:
        """Every object of the prefix, in order."""
        return self.list()

    def delete(self, key: str, etag: str = "") -> bool:
        """Remove an object if a look just before finds the one with that ETag; False where it does not."""
        import obstore

        if etag:
            there = self.head(key)
            if there is None or there.etag != etag:
                return False
        try:
            with self._trouble(key):
                obstore.delete(self._data, key)
        except FileNotFoundError:
            return False
        return True

    def copy(self, source: str, target: str, *, create: bool = False) -> None:
        """Give an object a second key, at the server; over what lies there, unless it is to be created.

        Raises
        ------
        KeyTaken
            If `create` and something lies there.
        FileNotFoundError
            If there is no object.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with self._trouble(source):
                obstore.copy(self._data, source, target, overwrite=not create)
        except (AlreadyExistsError, PreconditionError):
            raise KeyTaken(f"something lies at {self.place(target)}") from None

    def put_parts(self, key: str, pieces: Iterable[Buffer], part_bytes: int, *, create: bool, at_once: int = 1) -> int:
        """Show the pieces, joined, at `key`, by so many requests at once; nothing of them where making them raises.

        How many bytes they have.
        """
        import obstore

        draft, count = f"{DRAFTS}/{uuid.uuid4().hex}", 0

        def counted() -> Iterator[Buffer]:
            nonlocal count
            for piece in pieces:
                length = memoryview(piece).nbytes
                self.up.wait(length)
                count += length
                yield piece

        try:
            with self._trouble(key):
                obstore.put(
                    self._data,
                    draft,
                    counted(),
                    use_multipart=True,
                    chunk_size=part_bytes,
                    max_concurrency=at_once,
                )
            self.copy(draft, key, create=create)
        finally:
            with contextlib.suppress(StoreError):  # swept later
                self.delete(draft)
        return count


def data_of(settings: S3Settings) -> obstore.store.GCSStore | obstore.store.AzureStore:
    """obstore's client, which finds keys in the environment, or asks the machine it runs on.

    Raises
    ------
    InvalidInput
        If the environment does not say enough.
    """
    import obstore.store
    from obstore.exceptions import BaseError

    common: Any = {"prefix": settings.prefix or None, **clients.how(settings.endpoint)}
    said: Any
    try:
        if settings.scheme == "gs":
            said = {"base_url": settings.endpoint} if settings.endpoint else {}
            return obstore.store.GCSStore(settings.bucket, config=said, **common)
        account = settings.account or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
        if not account:
            raise InvalidInput(f"whose container is {settings.place()}? say so: ?account=NAME")
        said = {"account_name": account, **({"endpoint": settings.endpoint} if settings.endpoint else {})}
        return obstore.store.AzureStore(settings.bucket, config=said, **common)
    except (BaseError, ValueError) as problem:
        first = str(problem).partition("\n")[0][:200]
        keys = SERVICES[settings.scheme].keys
        raise InvalidInput(f"{settings.place()} cannot be spoken to ({first}); keys belong into {keys}") from None
