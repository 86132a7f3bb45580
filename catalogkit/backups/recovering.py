"""Recovery from a backup: build it beside the catalog, check it, show what would change, then swap it in."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.backups import blobs, repository
from catalogkit.backups.keeping import KIND, keep, root_name
from catalogkit.backups.swapping import swap, trouble
from catalogkit.backups.target import split, target_of
from catalogkit.catalog import open_catalog
from catalogkit.catalog.sqlite import restoring
from catalogkit.config import read_config
from catalogkit.errors import (
    CatalogBusy,
    CatalogError,
    InvalidInput,
    NotACollection,
    StoreError,
    StoreUnreachable,
)
from catalogkit.marks import accept
from catalogkit.model import Digest, to_us
from catalogkit.signals import operation
from catalogkit.stores.files import REAL, Files
from catalogkit.stores.opening import OWN, open_store
from catalogkit.stores.reference import ReferenceStore
from catalogkit.workers import processors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from catalogkit.backups.manifest import Manifest
    from catalogkit.backups.target import Target
    from catalogkit.stores.opening import AnyStore

BESIDE: Final = ".recovering-"
# So many differences and missing blobs are kept whole; all are counted.
SHOWN: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Bytes that documents of the backup have and no store has any more; `in_backup` says that the backup has them."""

    sha256: str
    bytes: int
    documents: int
    in_backup: bool


@dataclass(slots=True, kw_only=True)
class Recovery:
    """What coming back from a backup would change, or has changed.

    Attributes
    ----------
    backup, backup_as_of, documents
        Which backup, when it was made, how many documents it has.
    catalog
        The catalog's file.
    was
        What is there now: ``whole``, ``lost``, or ``damaged: ...``.
    changes
        How many documents are ``only in the backup``, ``only in the catalog`` or ``changed``.
    missing, missing_bytes, missing_blobs
        Bytes the backup's documents have that lie nowhere any more: the first of them, and all of them counted.
    away
        Stores that cannot be reached: nothing is known about their bytes.
    gone
        Of the blobs that the backup's documents have, how many were condemned, and purged, since.
    applied, kept, carried
        Whether it was done; where the replaced catalog is; how many blobs that the backup did not know were taken over.
    """

    backup: str
    backup_as_of: datetime
    documents: int
    catalog: str
    was: str
    changes: dict[str, int] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    missing_blobs: int = 0
    missing_bytes: int = 0
    away: list[str] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)
    applied: bool = False
    kept: str | None = None
    carried: int = 0
    rows: list[tuple[Any, ...]] = field(default_factory=list, repr=False)

    def differences(self) -> pl.DataFrame:
        """What would change, a row a document: ``change``, who it is, digest and time in backup and catalog.

        Of more than 100,000 the first; `changes` counts all.
        """
        import polars as pl

        raw = {name: pl.Int64() if name.endswith("_at") else pl.String() for name in _COLUMNS}
        rows = pl.DataFrame(self.rows, schema=raw, orient="row")
        times = [name for name in _COLUMNS if name.endswith("_at")]
        return rows.with_columns(pl.col(times).cast(pl.Datetime("us", "UTC")))

    def to_dict(self) -> dict[str, Any]:
        """As plain data; of the missing bytes the first hundred."""
        names = [name for name in self.__slots__ if name not in ("rows", "missing", "changes", "gone")]
        changes = {name.replace(" ", "_"): count for name, count in self.changes.items()}
        missing = [{"sha256": one.sha256, "bytes": one.bytes, "documents": one.documents} for one in self.missing[:100]]
        return {name: getattr(self, name) for name in names} | changes | {"missing": missing} | self.gone

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import brief

        return brief("Recovery", self.to_dict())


_COLUMNS: Final = (
    "change", "tenant", "artifact_id", "source_url", "resolver", "variant", "sha256_in_backup", "sha256_in_catalog",
    "changed_in_backup_at", "changed_in_catalog_at",
)  # fmt: skip
KINDS: Final = ("only in the backup", "only in the catalog", "changed")


@operation("recover")
def recover_from_backup(
    backup_path: str | os.PathLike[str],
    catalog_db: str | os.PathLike[str],
    dry_run: bool = True,
    *,
    as_of: datetime | None = None,
    files: Files = REAL,
) -> Recovery:
    """Recover a catalog from a backup; by default only show what that would change.

    It works when the catalog is lost or damaged. Everything is checked before: each piece of the backup, the database,
    its content. The catalog that is replaced is kept beside the new one, and where bytes lie by now is taken over.

    Parameters
    ----------
    backup_path
        A backup's folder, or a folder of backups, of which the newest is meant; or the URL of either in a bucket.
    catalog_db
        The catalog's file: ``catalog.sqlite`` in the collection's folder. It need not exist.
    dry_run
        Whether to leave everything as it is.

    Raises
    ------
    InvalidInput
        If there is no such backup, or it is of another catalog.
    StoreError
        If the backup is damaged in any way. Nothing is changed.
    CatalogBusy
        If somebody has the catalog open. Nothing is changed.
    """
    when = as_of or datetime.now(UTC)
    target, manifest = find_backup(backup_path)
    catalog = os.path.abspath(catalog_db)
    if os.path.isdir(catalog):
        raise InvalidInput(f"{catalog} is a folder; name the catalog's file, such as {catalog}/catalog.sqlite")
    if os.path.lexists(catalog) and not os.path.isfile(catalog):
        # A pipe or a device would be waited for, for ever.
        raise InvalidInput(f"{catalog} is not a file; name the catalog's file, or a place where nothing lies yet")
    if not os.path.isdir(os.path.dirname(catalog)):
        raise InvalidInput(f"there is no folder {os.path.dirname(catalog)}; name the catalog's file in its collection")
    with alone(catalog), beside(catalog, files) as new:
        restore(target, manifest, new, files)
        found = _compare(manifest, catalog, new)
        _look_for_bytes(found, target, manifest, catalog, new)
        if not dry_run:
            _renew(new, manifest, os.path.dirname(catalog), target.describe(), when)
            if found.was != "whole":
                found.carried = _carry_later(new, target, manifest, when, files)
            found.kept, carried = swap(new, catalog, as_of=when, files=files)
            found.carried += carried
            found.applied = True
    return found


def find_backup(path: str | os.PathLike[str]) -> tuple[Target, Manifest]:
    """The backup at a path, or the newest of a folder of backups that has a good manifest."""
    parent, name = split(path)
    if repository.is_name(name):
        return parent, repository.load(parent, name)
    target = target_of(path)
    good, bad = repository.loaded(target)
    if not good:
        why = f"; {len(bad)} are damaged" if bad else ""
        raise InvalidInput(
            f"there is no backup in {target.describe()}{why}; name a folder that `catalogkit backup` wrote to"
        )
    return target, good[-1]


def restore(target: Target, manifest: Manifest, path: str, files: Files = REAL) -> None:
    """Put a backup together at `path`, a file that is not there yet, and check all of it.

    Raises
    ------
    StoreError
        If anything is missing or is not what it was.
    """
    with trouble(os.path.dirname(path)):
        fd = files.create(path)
        try:
            for part in repository.parts(target, manifest):
                files.write(fd, part)
        finally:
            os.close(fd)
    if problems := repository.differs(path, manifest):
        raise StoreError(f"the backup {manifest.name} is damaged: {'; '.join(problems[:5])}; use an earlier one")


@contextlib.contextmanager
def alone(catalog: str) -> Iterator[None]:
    """One recovery of a catalog at a time."""
    fd = os.open(os.path.dirname(catalog), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise CatalogBusy(f"{catalog} is being recovered by another program") from None
    finally:
        os.close(fd)


@contextlib.contextmanager
def beside(catalog: str, files: Files) -> Iterator[str]:
    """A name beside the catalog, on the same disk, for its successor; whatever was left of one is removed."""
    folder, name = os.path.split(catalog)
    prefix = f"{name}{BESIDE}"

    def sweep() -> None:
        for one in os.listdir(folder):
            if one.startswith(prefix) or (one.startswith(f"{name}.replaced-") and one.endswith(".part")):
                files.unlink(os.path.join(folder, one))

    with trouble(folder):
        sweep()
    try:
        yield os.path.join(folder, f"{prefix}{uuid.uuid4().hex}")
    finally:
        # A dead process tidies nothing; the next recovery does.
        with contextlib.suppress(OSError):
            sweep()


def _compare(manifest: Manifest, catalog: str, new: str) -> Recovery:
    """What would change of the documents, and which of their blobs were given up since."""
    found = Recovery(
        backup=manifest.name,
        backup_as_of=manifest.as_of,
        documents=manifest.counts["documents"],
        catalog=catalog,
        was="whole",
    )
    if not os.path.exists(catalog):
        found.was, found.changes = "lost", dict(zip(KINDS, (found.documents, 0, 0), strict=True))
        return found
    try:
        identity = restoring.identity_of(catalog)
        if identity != manifest.catalog:
            raise InvalidInput(f"{manifest.name} is a backup of another catalog than {catalog}; nothing was changed")
        counts: Counter[str] = Counter()
        for row in restoring.differences(catalog, new):
            counts[row[0]] += 1
            if len(found.rows) < SHOWN:
                found.rows.append(row)
        found.changes = {kind: counts[kind] for kind in KINDS}
        states = Counter(state for _, state, _ in restoring.gone_since(catalog, new))
        found.gone = {state: states[state] for state in ("condemned", "purged")}
    except CatalogBusy:
        raise
    except CatalogError as problem:
        found.was = f"damaged: {problem}"
        found.changes = dict(zip(KINDS, (found.documents, 0, 0), strict=True))
    return found


def _look_for_bytes(found: Recovery, target: Target, manifest: Manifest, catalog: str, new: str) -> None:
    """Look whether every blob of the backup's documents lies where it should, and is as long, without reading it."""
    stores = stores_of(manifest, os.path.dirname(catalog))
    for token, store in list(stores.items()):
        try:
            store.reach()
        except StoreUnreachable as problem:
            found.away.append(str(problem))
            del stores[token]
    known = {store["token"]: store["name"] for store in manifest.stores}

    def lies(size: int, copies: list[tuple[str, str]]) -> bool | None:
        unknown = False
        for token, key in copies:
            try:
                if token not in stores:
                    unknown = True
                elif (about := stores[token].stat(key)) is not None and about.bytes == size:
                    return True
            except StoreError:
                unknown = True
        return None if unknown else False

    unseen: Counter[str] = Counter()
    with ThreadPoolExecutor(2 * processors()) as threads, restoring.places(catalog, found.was == "whole") as now:
        for some in _batches(restoring.image_copies(new)):
            seen = list(threads.map(lies, [size for _, size, *_ in some], [copies for *_, copies in some]))
            for (digest, size, refs, copies), here in zip(some, seen, strict=True):
                # Bytes may have moved since the backup.
                there = here or lies(size, now(digest))
                if there:
                    continue
                if here is None or there is None:
                    unseen.update({token for token, _ in copies if token not in stores})
                    continue
                found.missing_blobs += 1
                found.missing_bytes += size
                if len(found.missing) < SHOWN:
                    kept = blobs.whole(target, digest)
                    found.missing.append(Missing(sha256=str(digest), bytes=size, documents=refs, in_backup=kept))
    found.away += [f"store {known.get(token, token)}: {count} blobs not looked for" for token, count in unseen.items()]


def _batches(rows: Iterator[tuple[bytes, int, int, str, str]]) -> Iterator[list[Any]]:
    """Blobs with all their copies, some hundreds at a time."""
    batch: list[tuple[Digest, int, int, list[tuple[str, str]]]] = []
    for (digest, size, refs), copies in groupby(rows, key=lambda row: row[:3]):
        batch.append((Digest(digest), size, refs, [(row[3], row[4]) for row in copies if row[3] is not None]))
        if len(batch) >= 512:
            yield batch
            batch = []
    yield batch


def stores_of(manifest: Manifest, folder: str) -> dict[str, AnyStore]:
    """The stores of a backup by their tokens: where the collection says, else where the backup says they are."""
    try:
        settings = read_config(Path(folder))
        here = {settings.store.name: settings.store.url, **settings.stores}
    except NotACollection:
        here = {}
    found: dict[str, AnyStore] = {}
    for store in manifest.stores:
        url = here.get(store["name"]) or store.get("uri", "")
        if store["kind"] == "reference":
            found[store["token"]] = ReferenceStore(token=store["token"])
        elif url:
            found[store["token"]] = open_store(url, Path(folder), name=store["name"], token=store["token"])
    return found


def _renew(new: str, manifest: Manifest, folder: str, where: str, when: datetime) -> None:
    """Open the restored catalog the usual way, which brings its schema up to date, and have it keep the backup."""
    with contextlib.closing(open_catalog(f"sqlite:///{new}", base=Path(new).parent, as_of=when)) as catalog:
        # Other sites may have seen more of it than it has now, under the same numbers.
        catalog.renew_site(as_of=when)
        # A person says that this is the catalog that goes on; what is away is taken over once it is there.
        for store in stores_of(manifest, folder).values():
            if isinstance(store, OWN):
                with contextlib.suppress(StoreUnreachable):
                    accept(catalog, store)
        keep(catalog, manifest, where, when)


def _carry_later(new: str, target: Target, manifest: Manifest, when: datetime, files: Files) -> int:
    """Where no catalog tells of what came after a backup, the newest of the later backups does, if it is whole."""
    later = [one for one in repository.loaded(target)[0] if one.as_of > manifest.as_of]
    if not later:
        return 0
    image, name = f"{new}-later", root_name(later[-1].name, target.describe())
    try:
        restore(target, later[-1], image, files)
        return restoring.carry_from(image, new, KIND, name, to_us(when))
    except (StoreError, CatalogError):
        return 0  # it cannot be brought back any more: there is nothing to keep for it
    finally:
        with contextlib.suppress(OSError):
            files.unlink(image)
