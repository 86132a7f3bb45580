"""The store in a bucket, S3's, Google's or Azure's: objects under one prefix, published whole and never overwritten.

An object has no second name and no temporary one. So a file is hashed first, uploaded from where it lies, hashed again
on the way, and shown only if both agree; what tells one object from another is its ETag, and the `inode` of a location
is a number made of that.
"""

from __future__ import annotations

import contextlib
import errno
import json
import uuid
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from catalogkit.audit import Listed, Look, Unlisted
from catalogkit.errors import (
    InvalidInput,
    KeyTaken,
    SourceError,
    StoreError,
    StoreMismatch,
    StoreUnreachable,
)
from catalogkit.layouts import layout_of, segment
from catalogkit.model import Mode, Outcome
from catalogkit.stores.contract import Asked, ObjectStat
from catalogkit.stores.files import REAL, Files
from catalogkit.stores.publishing import OWN, QUARANTINE
from catalogkit.stores.s3 import archive, multipart, reading
from catalogkit.stores.s3.bucket import bucket_of
from catalogkit.stores.s3.identity import IDENTITY, exchange_mark, identity_in, mark_in
from catalogkit.stores.s3.reading import PieceReader, examine, identify, number_of
from catalogkit.stores.s3.settings import S3Settings
from catalogkit.stores.taking import Taker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime, timedelta
    from typing import BinaryIO

    from catalogkit.model import Digest
    from catalogkit.stores.contract import Examined, Identified
    from catalogkit.stores.s3.bucket import Seen

# What is uploaded, or looked at, at once: over a long way nearly all of it is waiting. Memory has a limit of its own.
AT_ONCE: Final = 32
READERS: Final = 4
_UPLOAD: Final = "upload/"


class Sent(NamedTuple):
    """A file to show at `key`, if it still is `bytes` long and has that digest.

    `replace` says that what lies at the key is a copy of these bytes gone bad, which is moved aside.
    """

    key: str
    path: str
    digest: Digest
    bytes: int
    replace: bool = False


class S3Layout:
    """Objects that keep bytes under keys (see `catalogkit.stores.contract.Store`).

    Parameters
    ----------
    place
        The bucket, as a URL (``s3://bucket/prefix?...``, or of Google or Azure) or as settings.
    name, token
        What the catalog calls it, and the token the bucket must carry.
    """

    kind = "s3"
    writable = True
    files: Files = REAL

    def __init__(self, place: S3Settings | str, *, name: str, token: str) -> None:
        self.settings = S3Settings.parse(place) if isinstance(place, str) else place
        self.name, self.token = name, token
        self.root = self.settings.place()
        self.bucket = bucket_of(self.settings)

    def __repr__(self) -> str:
        return f"S3Layout({self.root!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Sent to another machine it takes no key along, and finds its own there.
        return partial(S3Layout, name=self.name, token=self.token), (self.settings,)

    @classmethod
    def create(cls, place: S3Settings | str, *, name: str, catalog: str, home: str = "") -> S3Layout:
        """Make a store in a prefix where none is, for the catalog of that identity.

        Raises
        ------
        StoreMismatch
            If a store is there already, for it belongs to another catalog.
        StoreError
            If the server says that it refuses to overwrite, and does overwrite, or cannot do what a store needs.
        """
        from catalogkit.stores.s3.probing import probe

        store = cls(place, name=name, token=uuid.uuid4().hex)
        if store.bucket.head(IDENTITY) is not None:
            raise _others(store)
        probe(store.settings).refuse()
        about = {"format": 1, "token": store.token, "catalog": catalog, "home": home, "root": store.root}
        try:
            store.bucket.put(IDENTITY, (json.dumps(about, indent=1) + "\n").encode(), create=True)
        except KeyTaken:
            raise _others(store) from None
        return store

    def reach(self) -> None:
        """Raise unless the bucket is there and carries the token the catalog expects."""
        self._about()

    def home(self) -> str:
        """Where the file of its catalog lay when the store was made."""
        return str(self._about().get("home", ""))

    def _about(self) -> dict[str, object]:
        found = identity_in(self.settings)
        if found.get("token") != self.token:
            raise StoreMismatch(f"the store at {self.root} belongs to another catalog; nothing was touched")
        return found

    def marks(self) -> list[str]:
        """What `exchange_mark` left here: nothing in a store that is new."""
        return mark_in(self.bucket)[1]

    def exchange_mark(self, seen: Sequence[str], new: str) -> bool:
        """Leave a mark in place of the one that was `seen`; False where it is there no more."""
        return exchange_mark(self.bucket, seen, new)

    def describe(self, key: str) -> str:
        """The place of `key` as a person would name it."""
        return self.settings.place(key)

    def contains(self, folder: str) -> bool:
        """Whether a folder of this machine lies in the store: none does."""
        return False

    # -- reading -------------------------------------------------------------------------------------------------

    def stat(self, key: str) -> ObjectStat | None:
        """The object at `key` without reading it, or None where nothing lies."""
        about = self.bucket.head(self._readable(key))
        return None if about is None else _stat(about)

    def stats(self, keys: Sequence[str]) -> list[ObjectStat | None]:
        """What lies at each of these keys, several asked for at once."""
        if len(keys) <= 1:
            return [self.stat(key) for key in keys]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(self.stat, keys))

    def open(self, key: str) -> BinaryIO:
        """The bytes at `key`, for reading; ranges are fetched ahead.

        Raises
        ------
        StoreError
            If nothing lies there, or it cannot be read.
        """
        found = self.bucket.first(self._readable(key), reading.RANGE_BYTES)
        if found is None:
            raise StoreError(f"nothing lies at {self.describe(key)}; `catalogkit verify` tells what else is gone")
        about, first = found
        here = min(reading.RANGE_BYTES, about.bytes)
        return PieceReader(reading.ranges(self.bucket, about, first, here))  # type: ignore[return-value]

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every published key that has the form of a layout and begins with `prefix`, in order.

        Raises
        ------
        StoreUnreachable
            If the list breaks off.
        """
        self.reach()
        for top in ("cas", "docs"):
            folder = prefix.rpartition("/")[0] if prefix.startswith(f"{top}/") else top
            if f"{top}/".startswith(prefix) or prefix.startswith(f"{top}/"):
                listed = (one.key for one in self.bucket.list(folder))
                yield from (key for key in listed if key.startswith(prefix) and key.isprintable() and layout_of(key))

    def survey(self) -> Iterator[Listed | Unlisted]:
        """Everything that lies under the prefix, foreign things too; and that it could not be listed."""
        try:
            for one in self.bucket.list_all():
                if one.key.partition("/")[0] != OWN:
                    yield Listed(one.key, "file", one.key.isprintable() and layout_of(one.key) is not None)
        except StoreError as problem:
            yield Unlisted(self.root, str(problem))

    def look(self, key: str) -> Look | None:
        """What lies at `key`, without reading it; None where nothing does."""
        about = self.stat(_known(key))
        return None if about is None else Look("file", about.bytes, about.mtime_ns, 0, about.inode, 1, False)

    def examiner(self) -> Callable[[Sequence[Asked]], list[Examined]]:
        """Reads copies and compares them; it carries no keys, and finds its own where it runs."""
        return partial(examine, self.settings)

    def identifier(self) -> Callable[[Sequence[str]], list[Identified]]:
        """Reads what lies at keys and says what it is."""
        return partial(identify, self.settings)

    def executor(self, concurrency: int, count: int, total_bytes: int) -> Executor:
        """Threads: most of reading is waiting."""
        return ThreadPoolExecutor(max(concurrency, READERS), thread_name_prefix="catalogkit-reader")

    def holds(self, key: str, digest: Digest) -> ObjectStat | None:
        """The object at `key` if reading it proves that it holds `digest`; None where it does not, or is not there."""
        about = self.stat(key)
        if about is None:
            return None
        (found,) = self.examiner()([Asked(key, digest, about.bytes)])
        if found.outcome is Outcome.UNKNOWN:
            raise StoreUnreachable(f"{self.describe(key)}: {found.detail}")
        return about if found.outcome is Outcome.OK else None

    def arrived(self, asked: Asked) -> Examined:
        """Whether right bytes arrived in an archive, by what the server computed then (`archive.arrived`)."""
        return archive.arrived(self.bucket, asked)

    def restore(self, key: str) -> tuple[str, timedelta | None]:
        """Ask for what lies in an archive; when it can be read, in words, and how long that is from now."""
        return archive.restore(self.bucket, _known(key))

    def presigned(self, key: str, lasts: timedelta) -> str:
        """An address under which whoever has it may read the object for a while: a secret as long as it lasts."""
        return self.bucket.presigned(self._readable(key), lasts)

    def names(self, key: str) -> int:
        """How many names the object at `key` has: one, or none where nothing lies."""
        return int(self.stat(key) is not None)

    def quarantined(self) -> Iterator[ObjectStat]:
        """What was moved aside because it was bad. Its keys can be looked at and opened, but nothing else."""
        return (_stat(one) for one in self.bucket.list(QUARANTINE))

    def _readable(self, key: str) -> str:
        folder, _, name = key.rpartition("/")
        return key if folder == QUARANTINE and name not in ("", ".", "..") else _known(key)

    # -- writing -------------------------------------------------------------------------------------------------

    def send(self, entries: Sequence[Sent]) -> list[ObjectStat | str | None]:
        """Show each file at its key: its looks there; None where something lies there; or what is wrong with the file.

        Raises
        ------
        StoreError
            If the server cannot be reached, or refuses; what was shown until then stays.
        """
        with ThreadPoolExecutor(AT_ONCE) as threads:
            begun = [threads.submit(self._send, one) for one in entries]
            try:
                return [one.result() for one in begun]
            except BaseException:
                for future in begun:
                    future.cancel()
                raise

    def _send(self, entry: Sent) -> ObjectStat | str | None:
        try:
            with open(entry.path, "rb") as file:
                return self.receive(file, entry.key, entry.bytes, entry.digest, replace=entry.replace)
        except KeyTaken:
            return None
        except SourceError as problem:
            return str(problem)
        except OSError as problem:
            return f"it cannot be read: {problem.strerror or problem}"

    def receive(self, source: BinaryIO, key: str, size: int, digest: Digest, *, replace: bool = False) -> ObjectStat:
        """Show `size` bytes of `source` at `key`, if they have that digest; the looks of the object.

        Raises
        ------
        KeyTaken
            If something lies there that is not to be replaced.
        SourceError
            If the bytes are not what they should be; nothing was shown then.
        """
        if replace:
            self._aside(key)
        multipart.upload(self.bucket, _known(key), source, size, digest, create=not replace)
        there = self.stat(key)
        if there is None or there.bytes != size:
            raise StoreUnreachable(f"{self.describe(key)} was uploaded, but does not show; run it again")
        return there

    def quarantine(self, key: str) -> str:
        """Move what lies at `key` aside, out of every layout's reach, and keep it; returns where it is."""
        about, target = self.stat(_known(key)), self._aside(key)
        if about is not None:
            self.bucket.delete(key, about.etag)
        return target

    def _aside(self, key: str) -> str:
        target = f"{QUARANTINE}/{uuid.uuid4().hex}-{segment(_known(key).rpartition('/')[2])}"
        with contextlib.suppress(FileNotFoundError):
            self.bucket.copy(key, target)
        return self.describe(target)

    def remove_planned(self, key: str, inode: int | None, mtime_ns: int | None, size: int) -> int | None:
        """Remove the object at `key` if it looks as it did (of no size: of any), for the executor alone.

        Returns
        -------
        int or None
            The bytes that this freed; None where another object lies.

        Raises
        ------
        FileNotFoundError
            Where nothing lies.
        """
        about = self.stat(_known(key))
        if about is None:
            raise FileNotFoundError(errno.ENOENT, "nothing lies there", key)
        if (about.inode, about.mtime_ns, size and about.bytes) != (inode, mtime_ns, size):
            return None
        return about.bytes if self.bucket.delete(key, about.etag) else None

    # -- what a local store does with temporary files --------------------------------------------------------------

    def scratch(self, owner: str) -> str:
        """Nowhere: files are uploaded from where they lie."""
        return "/"

    def scratch_path(self, owner: str) -> str:
        """Where an upload that was cut off leads."""
        return self.describe(owner.removeprefix(_UPLOAD).partition("\n")[0])

    def scratches(self) -> list[tuple[str, datetime]]:
        """Our uploads in parts that nobody completed: a name to sweep each by, and when it was last added to."""
        ours = (one for one in multipart.dangling(self.bucket) if layout_of(one.key) or one.key.startswith(f"{OWN}/"))
        return [(f"{_UPLOAD}{one.key}\n{one.upload}", one.used_at) for one in ours]

    def sweep(self, owner: str) -> None:
        """Give up an upload that was cut off; an ingest that ends has left none."""
        if owner.startswith(_UPLOAD):
            key, _, number = owner.removeprefix(_UPLOAD).partition("\n")
            multipart.give_up(self.bucket, key, number)

    def discard(self, temp: str) -> None:
        """Nothing: there are no temporary files."""

    def settle(self, keys: Sequence[str]) -> None:
        """Nothing: what the server has acknowledged is durable."""

    def settle_names(self, keys: Sequence[str]) -> None:
        """Nothing, for the same reason."""

    def taker(self, folder: str, mode: Mode, peek: bool) -> Taker:
        """What reads files where they are; they are uploaded once it is known what they hold."""
        return Taker("/", "/", Mode.REFERENCE)


def _others(store: S3Layout) -> StoreMismatch:
    return StoreMismatch(f"{store.root} already is the store of a catalog; open that one, or choose another prefix")


def _known(key: str) -> str:
    """`key`, if it has the form of a layout, so that no crafted one leads to anybody else's object."""
    if layout_of(key) is None:
        raise InvalidInput(f"not a key of this store: {key[:100]!r}")
    return key


def _stat(about: Seen) -> ObjectStat:
    return ObjectStat(about.key, about.bytes, about.mtime_ns, number_of(about.key, about.etag), 0, about.etag)
