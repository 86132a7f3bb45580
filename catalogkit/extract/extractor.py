"""`MetadataExtractor`: extracts single documents."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING, Self

from catalogkit.collection import IN_PLACE
from catalogkit.content import enriched
from catalogkit.errors import InvalidInput, SourceError, StoreError
from catalogkit.extract.reading import read
from catalogkit.extract.sandbox import Sandbox, kept
from catalogkit.model import Digest, DocumentRecord, path_text
from catalogkit.policies.extract import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from catalogkit.collection import Collection
    from catalogkit.content import ContentMetadata, EnrichedDocumentRecord
    from catalogkit.extract.worker import Answer
    from catalogkit.model import LocationRecord
    from catalogkit.stores.opening import AnyStore

    Source = str | os.PathLike[str] | bytes | Digest | int | DocumentRecord
    Asked = tuple[Source, Digest | None]


class MetadataExtractor:
    """Extracts what is inside a document: a file, some bytes, or a blob of a collection.

    Parameters
    ----------
    collection
        Where digests, document ids and records are looked up; its settings have the limits.
    limits
        What one document may take; the collection's, or the usual ones, without it.
    isolated
        Whether documents are read in a process of their own, which may crash and hang; only for documents that are
        known to be harmless it may be this one.
    concurrency
        How many documents are read at once by `extract_many`.

    Examples
    --------
    >>> with ck.MetadataExtractor() as extractor:
    ...     extractor.extract(b"<title>On birds</title><p>Birds fly.").title
    'On birds'
    """

    def __init__(
        self,
        collection: Collection | None = None,
        *,
        limits: Limits | None = None,
        isolated: bool = True,
        concurrency: int = 1,
    ) -> None:
        self._collection = collection
        self.limits = limits or (collection.config.extract if collection else Limits())
        self._count = concurrency
        self._isolated = isolated
        self._sandbox: Sandbox | None = None

    def extract(self, file_path: Source) -> ContentMetadata:
        """What is inside one document, or (``reason``) why that cannot be told.

        Parameters
        ----------
        file_path
            A file's path; or bytes; or, of the collection, a digest, a document's id or its record.

        Raises
        ------
        SourceError
            If a file is not there, is no regular file, or cannot be read.
        StoreError
            If no copy of a blob can be read, or one does not hold the bytes it should.
        InvalidInput
            If a blob or a document is not known, or there is no collection to know it.
        """
        return next(self.extract_many([file_path]))[1]

    def extract_many(self, sources: Iterable[Source]) -> Iterator[tuple[Source, ContentMetadata]]:
        """What is inside each of several documents, in no order; errors are those of `extract`."""
        for (source, digest), answer in self._answers((source, self._digest(source)) for source in sources):
            if answer.problem:
                raise (SourceError if digest is None else StoreError)(answer.problem)
            if digest is not None and answer.sha256 != digest:
                raise StoreError(f"what was read is not {digest}; run `catalogkit verify`")
            assert answer.content is not None
            yield source, answer.content

    def enrich(self, document: int | DocumentRecord) -> EnrichedDocumentRecord:
        """A document of the collection with what is inside it: as the catalog has it, else as it is told now.

        Raises
        ------
        InvalidInput
            If there is no such document, or no collection.
        StoreError
            If nobody looked into it yet, and it cannot be read.
        """
        digest = self._digest(document)
        assert self._collection is not None and digest is not None
        record = document if isinstance(document, DocumentRecord) else self._collection.catalog.document(document)
        assert record is not None
        return enriched(record, self._collection.catalog.content_of(digest) or self.extract(digest))

    def _answers(self, asked: Iterable[Asked]) -> Iterator[tuple[Asked, Answer]]:
        if self._isolated:
            if self._sandbox is None:
                self._sandbox = Sandbox(self.limits, self._count)
            yield from self._sandbox.read(asked, self._open)
            return
        from catalogkit.extract.worker import Answer

        for one in asked:
            with self._open(one) as file:
                data = file.read()
            yield one, Answer(hashlib.sha256(data).digest(), len(data), read(data, self.limits))

    def _open(self, asked: Asked) -> BinaryIO:
        source, digest = asked
        if digest is not None:
            assert self._collection is not None
            return open_blob(self._collection, digest)[0]
        if isinstance(source, bytes | bytearray | memoryview):
            return kept(bytes(source))
        assert not isinstance(source, int | DocumentRecord)
        return open_regular(os.fspath(source))

    def _digest(self, source: Source) -> Digest | None:
        """The digest of what stands for a blob; None for anything else."""
        if not isinstance(source, Digest | int | DocumentRecord):
            return None
        if self._collection is None:
            raise InvalidInput("a digest or a document is known to a collection: MetadataExtractor(collection)")
        if isinstance(source, int):
            record = self._collection.catalog.document(source)
            if record is None:
                raise InvalidInput(f"there is no document {source}")
            return record.sha256
        return source if isinstance(source, Digest) else source.sha256

    def close(self) -> None:
        """End the processes; another document starts new ones."""
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def open_regular(path: str | bytes) -> BinaryIO:
    """A file, for reading; a FIFO or a device, which might never end, is an error."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as problem:
        raise SourceError(f"{path_text(path)} cannot be read: {problem.strerror}") from problem
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SourceError(f"{path_text(path)} is not a regular file")
    return os.fdopen(fd, "rb")


def open_blob(collection: Collection, digest: Digest) -> tuple[BinaryIO, LocationRecord]:
    """The best copy of a blob that can be opened, of those that are not known to be bad, as a file of the system.

    Raises
    ------
    StoreError
        If there is none.
    """
    return open_first({store.name: store for store in collection.stores.values()}, good_copies(collection, digest))


def good_copies(collection: Collection, digest: Digest) -> list[LocationRecord]:
    """The copies of a blob that are not known to be bad, the best first."""
    copies = [one for one in collection.catalog.locations_of(digest) if one.outcome in (None, "ok", "unknown")]
    return sorted(copies, key=lambda one: (one.outcome == "unknown", one.store == IN_PLACE, one.id))


def open_first(stores: Mapping[str, AnyStore], copies: Sequence[LocationRecord]) -> tuple[BinaryIO, LocationRecord]:
    """The first of some copies that can be opened, as a file of the system.

    Raises
    ------
    StoreError
        If none can.
    """
    problems: list[StoreError] = []
    for copy in copies:
        try:
            return as_file(stores[copy.store].open(copy.key)), copy
        except KeyError:
            problems.append(StoreError(f"there is no store {copy.store!r} here"))
        except StoreError as problem:
            problems.append(problem)
    raise problems[0] if problems else StoreError("there is no good copy of it; run `catalogkit verify`")


def as_file(file: BinaryIO) -> BinaryIO:
    """A file of the system: what comes over a network, or out of memory, is copied into one."""
    try:
        file.fileno()
    except OSError:
        with file:
            return kept(file.read())
    return file
