"""Makes a backup, in an order that survives a crash at any point.

1. The catalog holds still at a moment; its pieces are stored, and on stable storage. Nothing names them yet.
2. The catalog keeps that moment: garbage collection may not take what its documents had. Had it taken something since,
   this is refused, and all begins anew from a later moment.
3. Bytes are copied, if they were asked for.
4. Once those are on stable storage, too, the manifest appears, in one step, and with it the backup.

So a backup that is there always has its moment; a crash leaves at most a moment that keeps too much, and pieces that
nothing names. The next backup, or thinning, removes them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit import __version__
from catalogkit.backups import blobs, repository
from catalogkit.backups.keeping import keep, present, tidy
from catalogkit.backups.manifest import MANIFEST, PIECES, Chunk, Manifest, content_of
from catalogkit.backups.pieces import CHUNK_BYTES, lengths, store_chunk
from catalogkit.backups.target import Target, target_of
from catalogkit.catalog.sqlite.images import ENGINE, image_facts
from catalogkit.collection import Collection, opened
from catalogkit.errors import ConstraintError, InvalidInput
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.signals import operation
from catalogkit.stores.s3.store import S3Layout
from catalogkit.workers import Workers, processors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor, Future
    from datetime import datetime

# How often to begin anew where something of the moment was condemned before it could be kept.
TRIES: Final = 3
# Folders of a collection in which old things are removed.
OWN: Final = ("plans", "snapshots", "mirror", "reports")
SCRATCH: Final = ".backup-"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupMetadata:
    """A backup that was made; every count was made in the backup itself.

    Attributes
    ----------
    name, path
        What it is called, and its folder.
    as_of
        When it was made.
    catalog, schema
        The identity of the catalog, and the version of its schema.
    record_count, blobs, locations, logical_bytes
        What the backup holds.
    content_sha256
        The digest of its content; equal contents have equal ones.
    image_bytes, written_bytes
        The size of the catalog, and what this backup added to the repository.
    with_bytes, copied_bytes, lacking
        Whether the documents' bytes are there, too; how many were copied now; how many blobs could not be.
    seconds
        How long it took.
    """

    name: str
    path: str
    as_of: datetime
    catalog: str
    schema: int
    record_count: int
    blobs: int
    locations: int
    logical_bytes: int
    content_sha256: str
    image_bytes: int
    written_bytes: int
    with_bytes: bool = False
    copied_bytes: int = 0
    lacking: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import brief

        return brief("Backup", self.to_dict())


@operation("backup")
def backup_catalog(
    destination: str | os.PathLike[str] | Target,
    include_storage_uri: bool = False,
    *,
    collection: Collection | None = None,
    copy_bytes: bool = False,
    anew: bool = False,
    as_of: datetime | None = None,
    executor: Executor | None = None,
    progress: OnProgress = quiet,
) -> BackupMetadata:
    """Back up a catalog while others go on writing to it.

    The first backup in a folder is a full one, later ones add what changed. Every document of the backup keeps its
    bytes, whatever happens to it in the catalog, until the backup is thinned.

    Parameters
    ----------
    destination
        A folder for backups of this catalog, made if need be; or a prefix of a bucket, ``s3://bucket/prefix``.
    include_storage_uri
        Whether to write down where the stores are.
    collection
        Whose catalog; without one that at ``$CATALOGKIT_HOME``, else in the current folder.
    copy_bytes
        Whether to copy the documents' bytes, too; those that are there already are not copied again.
    anew
        Whether the backups that were made there before are gone for good, should none be there any more.
    executor
        What reads the catalog's file; by default processes of their own, as `Catalog.image` demands.

    Raises
    ------
    InvalidInput
        If the folder holds something else, or backups of another catalog.
    CatalogBusy
        If another backup into the same folder is being made.
    StoreFull
        If there is no room; earlier backups are whole.
    StoreUnreachable
        If none of the backups is there that were made there before: its disk may be away. Nothing was changed.

    Examples
    --------
    >>> ck.backup_catalog("backups", collection=c).record_count
    3
    """
    began = time.monotonic()
    with opened(collection) as source:
        when = as_of or source.now()
        target = target_of(destination)
        _apart(source, target.describe())
        repository.fitting(target, source.identity)
        if not anew:
            present(source, target, when)
        with target.locked():
            tidy(source, target, when, anew=anew)
            made, copied = _make(source, target, include_storage_uri, copy_bytes, when, executor, progress)
    return BackupMetadata(
        name=made.name,
        path=target.describe(made.name),
        as_of=made.as_of,
        catalog=made.catalog,
        schema=made.schema,
        record_count=made.counts["documents"],
        blobs=made.counts["blobs"],
        locations=made.counts["locations"],
        logical_bytes=made.counts["logical_bytes"],
        content_sha256=made.content_sha256,
        image_bytes=made.image_bytes,
        written_bytes=made.written_bytes,
        with_bytes=made.with_bytes,
        copied_bytes=copied,
        lacking=made.lacking,
        seconds=time.monotonic() - began,
    )


def _apart(source: Collection, place: str) -> None:
    """Refuse a place where what lies there is taken for something else: garbage, old snapshots, documents."""
    own = [os.path.join(source.path, name) for name in OWN]
    own += [store.root for store in source.stores.values() if store.kind == "local"]
    buckets = [store.root for store in source.stores.values() if store.kind == "s3"]
    for folder in [*map(os.path.realpath, own), *buckets]:
        if Path(place.partition("?")[0]).is_relative_to(folder):
            raise InvalidInput(f"{place} lies in {folder}, where backups are not safe; name a folder of their own")


def _make(
    source: Collection,
    target: Target,
    include_storage_uri: bool,
    copy_bytes: bool,
    when: datetime,
    executor: Executor | None,
    progress: OnProgress,
) -> tuple[Manifest, int]:
    before = repository.fitting(target, source.identity)
    for attempt in range(1, TRIES + 1):
        manifest, needed = _store(source, target, before[-1] if before else None, when, copy_bytes, executor, progress)
        if any(one.name == manifest.name for one in before):
            return next(one for one in before if one.name == manifest.name), 0
        # Before the catalog keeps anything: what it keeps of a place where nothing lies, somebody took away.
        target.settle(PIECES)
        try:
            keep(source.catalog, manifest, target.describe(), when)
            break
        except ConstraintError:
            if attempt == TRIES:
                raise
    lacking, copied = blobs.copy(source, target, needed, progress) if copy_bytes else (0, 0)
    stores = _stores(source, include_storage_uri)
    made = replace(manifest, stores=stores, with_bytes=copy_bytes, lacking=lacking)
    target.put(f"{made.name}/{MANIFEST}", [made.encode()])
    target.settle(made.name)
    return made, copied


def _store(
    source: Collection,
    target: Target,
    before: Manifest | None,
    when: datetime,
    copy_bytes: bool,
    executor: Executor | None,
    progress: OnProgress,
) -> tuple[Manifest, blobs.Needed]:
    """Store the catalog's image as it is at one moment; its manifest, and the blobs it needs."""
    with (
        _scratch(source.path) as scratch,
        source.catalog.image(scratch, partial(repository.put_together, target, before) if before else None) as image,
    ):
        cuts = lengths(image.bytes, CHUNK_BYTES)
        earlier = before.chunks if before and before.chunk_bytes == CHUNK_BYTES else ()
        jobs = [(*cut, earlier[n] if n < len(earlier) else None) for n, cut in enumerate(cuts)]
        workers = executor or Workers(min(processors(), len(jobs)))
        try:
            stored = _stored(workers, target, image.path, jobs, progress)
        finally:
            if executor is None:
                workers.shutdown(cancel_futures=True)
        # From the very bytes that were stored, not from the catalog as it is by now.
        facts = image_facts(image.path)
        needed = blobs.needed(image.path) if copy_bytes else blobs.Needed()
    chunks = tuple(chunk for chunk, _ in stored)
    manifest = Manifest(
        catalog=facts.identity,
        engine=ENGINE,
        schema=facts.schema,
        as_of=when,
        tool=f"catalogkit {__version__}",
        changes=facts.changes,
        last_id=facts.last_id,
        counts=facts.counts,
        image_bytes=image.bytes,
        chunk_bytes=CHUNK_BYTES,
        content_sha256=content_of(chunk.sha256 for chunk in chunks),
        stores=[],
        with_bytes=False,
        lacking=0,
        written_bytes=sum(written for _, written in stored),
        chunks=chunks,
    )
    return manifest, needed


@contextlib.contextmanager
def _scratch(home: Path) -> Iterator[str]:
    """A folder for a copy of the catalog; what a killed backup left of its own, which nobody holds, is removed."""
    for left in home.glob(f"{SCRATCH}*"):
        with _held(left) as ours:
            if ours:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=home) as scratch, _held(Path(scratch)):
        yield scratch


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder, as long as this is open; False where another backup does, or where it is gone."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = True
        except BlockingIOError:
            ours = False
        yield ours
    finally:
        os.close(fd)


def _stored(
    workers: Executor,
    target: Target,
    path: str,
    jobs: list[tuple[int, int, Chunk | None]],
    progress: OnProgress,
) -> list[tuple[Chunk, int]]:
    """Store the chunks, a few at a time; in their order."""
    found: dict[int, tuple[Chunk, int]] = {}
    running: dict[Future[tuple[Chunk, int]], int] = {}
    total, size = sum(length for _, length, _ in jobs), 0
    for number, (offset, length, before) in enumerate(jobs):
        running[workers.submit(store_chunk, target, path, offset, length, before)] = number
        while len(running) >= 2 * processors() or (running and number == len(jobs) - 1):
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                place = running.pop(future)
                found[place] = future.result()
                size += jobs[place][1]
                progress(Progress("backup", len(found), size, len(jobs), total))
    return [found[number] for number in range(len(jobs))]


def _stores(source: Collection, include_storage_uri: bool) -> list[dict[str, str]]:
    rows = []
    for row in source.catalog.stores():
        facts = {"name": row.name, "kind": row.kind, "token": row.token}
        if include_storage_uri and row.id in source.stores and row.kind == "local":
            facts["uri"] = Path(source.stores[row.id].root).as_uri()
        elif include_storage_uri and row.id in source.stores and isinstance(store := source.stores[row.id], S3Layout):
            facts["uri"] = store.settings.url
        rows.append(facts)
    return rows
