"""Snapshots: named moments of a catalog, and the past of single documents.

A snapshot is a position in the catalog's history, not a copy: taking one costs in proportion to what changed since the
last one. While it is kept, no blob that a document had then can be condemned or purged; the database sees to that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Final, Self

from catalogkit.collection import Collection, open_collection
from catalogkit.errors import InvalidInput
from catalogkit.model import DocumentRecord
from catalogkit.signals import operation

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from catalogkit.catalog.contract import Moment, Position

SNAPSHOT: Final = "snapshot"


@dataclass(frozen=True, slots=True)
class CatalogSnapshot:
    """The catalog at one moment.

    Attributes
    ----------
    timestamp : datetime
        When it was taken.
    record_count : int
        How many documents there were.
    storage_size : int
        Bytes of their distinct contents, one copy of each.
    label : str
        Its name.
    logical_bytes : int
        What the documents would take, each with a copy of its own.
    blobs : int
        How many distinct contents there were.
    digest : str
        64 hex digits; equal documents give equal digests (see docs/time.md for how).
    expires_at : datetime or None
        Until when it is kept; None until somebody drops it.
    """

    timestamp: datetime
    record_count: int
    storage_size: int
    label: str
    logical_bytes: int
    blobs: int
    digest: str
    expires_at: datetime | None
    moment_id: int
    position: Position
    _collection: Collection = field(repr=False, compare=False)

    @property
    def protected(self) -> bool:
        """Whether it is kept until somebody drops it."""
        return self.expires_at is None

    def query_at(self, record_id: int) -> DocumentRecord | None:
        """A document as it was then; None if there was none."""
        return self._collection.catalog.document_then(record_id, self.position)

    def documents(self) -> pl.DataFrame:
        """All documents as they were then; a frame with the columns of ``documents``."""
        return self._collection.catalog.documents_at(self.position)

    def files(self) -> list[str]:
        """The Parquet files that hold its documents, for ``polars.scan_parquet``, DuckDB, Spark; written if need be."""
        from catalogkit.versions import read_manifest, write_version

        folder = write_version(self._collection, self)
        return [str(folder / file["path"]) for file in read_manifest(folder)["files"]]

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        names = ("label", "timestamp", "record_count", "storage_size", "logical_bytes", "blobs", "digest", "expires_at")
        return {name: getattr(self, name) for name in names} | {"protected": self.protected}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        return facts(f"Snapshot {self.label}", {k: v for k, v in self.to_dict().items() if k != "label"})


@operation("snapshot")
def take_snapshot(
    collection: Collection,
    label: str,
    *,
    expires_at: datetime | None = None,
    parquet: bool = True,
    as_of: datetime | None = None,
) -> CatalogSnapshot:
    """Take a snapshot: keep this moment of a catalog under a name.

    Parameters
    ----------
    label
        Its name; a name is used for one kept snapshot at a time.
    expires_at
        Until when it is kept; without it until it is dropped.
    parquet
        Whether it is written as Parquet files, too; `CatalogSnapshot.files` does that later.

    Raises
    ------
    InvalidInput
        If the label is taken or empty, or the end is not in the future.

    Examples
    --------
    >>> ck.take_snapshot(c, "before-the-cleanup").record_count
    3
    """
    when = as_of or collection.now()
    # First it is kept, then it is counted: what is kept at once cannot go while somebody counts.
    moment = collection.catalog.keep_moment(SNAPSHOT, label, expires_at=expires_at, as_of=when)
    snapshot = _told(collection, moment)
    if parquet:
        from catalogkit.versions import drop_versions, write_version

        write_version(collection, snapshot)
        drop_versions(collection, as_of=when)
    return snapshot


def list_snapshots(collection: Collection, *, as_of: datetime | None = None) -> list[CatalogSnapshot]:
    """Every snapshot that is kept, oldest first.

    Examples
    --------
    >>> kept = ck.take_snapshot(c, "before-the-cleanup")
    >>> [snapshot.label for snapshot in ck.list_snapshots(c)]
    ['before-the-cleanup']
    """
    moments = collection.catalog.moments(SNAPSHOT, as_of=as_of or collection.now())
    return [_told(collection, moment) for moment in moments]


def snapshot_facts(collection: Collection, *, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """What every snapshot that was ever taken and counted left behind, also of those not kept any more; oldest first.

    Returns
    -------
    list of dict
        ``label``, ``taken_at``, ``documents``, ``logical_bytes``, ``unique_bytes`` (of the distinct contents, one copy
        each), and whether it is ``kept``: what `catalogkit.trends.trend` takes.
    """
    when = as_of or collection.now()
    kept = {moment.id for moment in collection.catalog.moments(SNAPSHOT, as_of=when)}
    return [
        {
            "label": one.name,
            "taken_at": one.taken_at,
            "documents": one.documents,
            "logical_bytes": one.logical_bytes,
            "unique_bytes": one.stored_bytes,
            "kept": one.id in kept,
        }
        for one in collection.catalog.moments(SNAPSHOT, as_of=None)
        if one.taken_at <= when and one.documents is not None
    ]


def get_snapshot(collection: Collection, label: str, *, as_of: datetime | None = None) -> CatalogSnapshot:
    """The snapshot of that name.

    Raises
    ------
    InvalidInput
        If none is kept under it.
    """
    for moment in collection.catalog.moments(SNAPSHOT, as_of=as_of or collection.now()):
        if moment.name == label:
            return _told(collection, moment)
    raise InvalidInput(f"no snapshot {label!r} is kept; `catalogkit snapshot list` names those that are")


def drop_snapshot(collection: Collection, label: str, *, as_of: datetime | None = None) -> None:
    """Keep a snapshot no longer: what only it needed is garbage from now on, and its Parquet files go.

    Raises
    ------
    InvalidInput
        If none is kept under that name.

    Examples
    --------
    >>> kept = ck.take_snapshot(c, "monday")
    >>> ck.drop_snapshot(c, "monday")
    >>> ck.list_snapshots(c)
    []
    """
    from catalogkit.versions import drop_versions

    when = as_of or collection.now()
    collection.catalog.release_moment(SNAPSHOT, label, as_of=when)
    drop_versions(collection, as_of=when)


def diff_snapshots(
    collection: Collection, before: str, after: str | None = None, *, as_of: datetime | None = None
) -> pl.DataFrame:
    """Which documents differ between two snapshots, or between one and now.

    Returns
    -------
    DataFrame
        A row for each document that was ``added``, ``changed`` or ``forgotten`` (column ``difference``), by id, with
        its content and bytes before and after. A document that went and came back as it was does not differ.

    Raises
    ------
    InvalidInput
        If one of them is not kept, or they are not given in the order in which they were taken.

    Examples
    --------
    >>> kept = ck.take_snapshot(c, "monday")
    >>> ck.apply(c, ck.plan_forget(c, [3]), unapproved=True, max_share=1.0).done
    1
    >>> ck.diff_snapshots(c, "monday").select("difference", "artifact_id").rows()
    [('forgotten', 'c.txt')]
    """
    catalog = collection.catalog
    first = get_snapshot(collection, before, as_of=as_of).position
    second = catalog.position() if after is None else get_snapshot(collection, after, as_of=as_of).position
    if first.changes > second.changes or first.last_id > second.last_id:
        raise InvalidInput(f"snapshot {before!r} is later than {after!r}; name the earlier one first")
    return catalog.differences(first, second)


def query_at(collection: Collection, record_id: int, when: datetime | date) -> DocumentRecord | None:
    """A document as it was at a time; None if there was none then.

    Parameters
    ----------
    when
        A time with its zone, or a date, which means the end of that day in UTC.

    Examples
    --------
    >>> ck.query_at(c, 3, c.now()).artifact_id
    'c.txt'
    """
    return collection.catalog.document_at(record_id, moment_of(when))


def moment_of(when: datetime | date) -> datetime:
    """A time; of a date its last microsecond, in UTC."""
    return when if isinstance(when, datetime) else datetime.combine(when, time.max, UTC)


class CatalogWithHistory:
    """The catalog of a collection with its snapshots and its past, in one short door.

    Parameters
    ----------
    collection
        A collection, or its folder; without one, ``$CATALOGKIT_HOME``, else the current folder.

    Examples
    --------
    >>> with ck.CatalogWithHistory(c) as catalog:
    ...     catalog.history(3)["what"].to_list()
    ['arrived']
    """

    def __init__(self, collection: Collection | Path | str | None = None) -> None:
        self._own = not isinstance(collection, Collection)
        self.collection = collection if isinstance(collection, Collection) else open_collection(collection)

    def take_snapshot(self, label: str, *, expires_at: datetime | None = None) -> CatalogSnapshot:
        """Keep this moment under a name; see `take_snapshot`."""
        return take_snapshot(self.collection, label, expires_at=expires_at)

    def list_snapshots(self) -> list[CatalogSnapshot]:
        """Every snapshot that is kept, oldest first."""
        return list_snapshots(self.collection)

    def query_at(self, record_id: int, when: datetime | date) -> DocumentRecord | None:
        """A document as it was at a time; see `query_at`."""
        return query_at(self.collection, record_id, when)

    def query_historical(self, record_id: int, date: datetime | date) -> DocumentRecord | None:
        """The same as `query_at`."""
        return query_at(self.collection, record_id, date)

    def history(self, record_id: int) -> pl.DataFrame:
        """All that happened to a document: who changed what, when, in which run or plan."""
        return self.collection.catalog.history(record_id)

    def diff(self, before: str, after: str | None = None) -> pl.DataFrame:
        """Which documents differ between two snapshots, or between one and now."""
        return diff_snapshots(self.collection, before, after)

    def close(self) -> None:
        """Give back what was opened here."""
        if self._own:
            self.collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _told(collection: Collection, moment: Moment) -> CatalogSnapshot:
    counted = collection.catalog.count_moment(moment.id)
    assert counted.documents is not None and counted.stored_bytes is not None
    assert counted.logical_bytes is not None and counted.blobs is not None
    return CatalogSnapshot(
        timestamp=counted.taken_at,
        record_count=counted.documents,
        storage_size=counted.stored_bytes,
        label=counted.name,
        logical_bytes=counted.logical_bytes,
        blobs=counted.blobs,
        digest=str(counted.digest),
        expires_at=counted.expires_at,
        moment_id=counted.id,
        position=counted.position,
        _collection=collection,
    )
