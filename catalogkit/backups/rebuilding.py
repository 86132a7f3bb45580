"""Rebuilds a catalog from the stores alone, when there is no backup: every copy is read and hashed.

What the documents were is told by a table of facts, if there is one: the columns of the ``documents`` frame, as a
snapshot's Parquet files have them. Bytes that nobody tells anything about become documents named by their digest.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.backups.recovering import alone, beside
from catalogkit.backups.swapping import swap
from catalogkit.catalog import open_catalog
from catalogkit.catalog.contract import Registration
from catalogkit.collection import catalog_file, home_of
from catalogkit.config import read_config
from catalogkit.errors import InvalidInput, StoreMismatch
from catalogkit.layouts import digest_of, layout_of
from catalogkit.marks import accept
from catalogkit.model import Arrival
from catalogkit.progress import OnProgress, Progress, quiet
from catalogkit.signals import operation
from catalogkit.stores.files import REAL, Files
from catalogkit.stores.opening import open_store, whose_store
from catalogkit.versions import MANIFEST, when_taken
from catalogkit.workers import in_turn, processors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from catalogkit.catalog.contract import Catalog
    from catalogkit.model import Digest
    from catalogkit.stores.contract import Identified
    from catalogkit.stores.opening import Own

BATCH: Final = 1000
UNKNOWN: Final = "unknown:"
SNAPSHOTS: Final = "snapshots"  # in the collection's folder


@dataclass(slots=True, kw_only=True)
class Rebuild:
    """What was, or would be, rebuilt.

    Attributes
    ----------
    catalog, facts
        The catalog's file, and where the facts were found.
    files, bytes
        What was read in the stores, and was right.
    documents, named
        Documents of the new catalog, and those of them that the facts named.
    without_bytes
        Documents of the facts whose bytes are in no store: they are not in the new catalog.
    problems
        Copies that could not be read, or that are not what their name says.
    applied, kept
        Whether it was done; where the catalog that was there is kept.
    """

    catalog: str
    facts: str = ""
    files: int = 0
    bytes: int = 0
    documents: int = 0
    named: int = 0
    without_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    applied: bool = False
    kept: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import brief

        return brief("Rebuild", self.to_dict())


@operation("rebuild")
def rebuild_catalog(
    path: str | Path | None = None,
    *,
    facts: str | os.PathLike[str] | None = None,
    into: str | os.PathLike[str] | None = None,
    dry_run: bool = True,
    as_of: datetime | None = None,
    progress: OnProgress = quiet,
    files: Files = REAL,
) -> Rebuild:
    """Rebuild a catalog from the collection's stores alone; by default only show what it would be.

    Parameters
    ----------
    path
        The collection's folder, whose settings are still there; else ``$CATALOGKIT_HOME`` or the current folder.
    facts
        A Parquet file, or a folder of them, that says what the documents were; without it the newest snapshot.
    into
        The catalog's file, if it is not that of the settings, such as for a catalog on a server.
    dry_run
        Whether to leave everything as it is.

    Raises
    ------
    StoreUnreachable
        If one of the stores is not where the settings say.
    StoreMismatch
        If one of them belongs to another catalog than the first one.
    CatalogBusy
        If somebody has the catalog open.
    """
    when = as_of or datetime.now(UTC)
    home = home_of(path)
    config, catalog = read_config(home), os.path.abspath(into or catalog_file(path))
    identity, stores = _stores({config.store.name: config.store.url, **config.stores}, home)
    told = _tables(Path(facts or home / SNAPSHOTS))
    if facts and not told:
        raise InvalidInput(f"there is no Parquet file in {facts}; name one that says what the documents were")
    known = _facts(told)
    found = Rebuild(catalog=catalog, facts=str(told[0].parent) if known else "")
    with alone(catalog), beside(catalog, files) as new:
        url = f"sqlite:///{new}"
        made = open_catalog(url, base=home, create=True, as_of=when, identity=identity)
        with contextlib.closing(made):
            _fill(found, made, stores, known, when, progress)
            if problems := made.integrity():
                raise InvalidInput(f"the rebuilt catalog is not whole: {problems[0]}; this is a bug, please report it")
            found.documents = made.totals()["documents"]
            for store in stores:
                accept(made, store)
        if not dry_run:
            found.kept, _ = swap(new, catalog, as_of=when, files=files)
            found.applied = True
    return found


def _stores(urls: dict[str, str], home: Path) -> tuple[str, list[Own]]:
    """The stores at these URLs, and the identity of the catalog they all belong to, by what they say themselves."""
    whose = {name: whose_store(url, home) for name, url in urls.items()}
    identity = next(iter(whose.values()))[1]
    if strange := [name for name, (_, catalog) in whose.items() if catalog != identity]:
        raise StoreMismatch(f"store {strange[0]!r} belongs to another catalog; take it out of the settings first")
    return identity, [open_store(url, home, name=name, token=whose[name][0]) for name, url in urls.items()]


def _fill(
    found: Rebuild,
    catalog: Catalog,
    stores: Sequence[Own],
    known: dict[str, list[Arrival]],
    when: datetime,
    progress: OnProgress,
) -> None:
    """Register what lies in the stores, a batch at a time, each copy read first."""
    told: dict[str, Arrival] = {}
    for store in stores:
        store_id = catalog.add_store(store.name, store.kind, store.token).id
        with store.executor(processors(), 1 << 20, 1 << 20) as workers:
            for results in in_turn(workers, store.identifier(), _batched(store.keys(), BATCH)):
                entries = [
                    (None, Registration(arrival, digest, one.bytes, one.media_type, store_id, one.key, layout,
                                        one.inode, one.mtime_ns))
                    for one in results
                    if (digest := _right(found, store, one)) and (layout := layout_of(one.key))
                    for arrival in _arrivals(found, digest, one.key, known, told)
                ]  # fmt: skip
                if entries:
                    catalog.commit(entries, as_of=when, run_id="rebuild")
                progress(Progress("rebuild", found.files, found.bytes, 0, 0, len(found.problems)))
    found.without_bytes = sum(len(arrivals) for digest, arrivals in known.items() if digest not in told)


def _right(found: Rebuild, store: Own, one: Identified) -> Digest | None:
    """What lies at a key, if it could be read and is what its name says."""
    named = digest_of(one.key)
    if one.digest is None or (named and named != one.digest):
        wrong = f"{store.describe(one.key)} holds {one.digest}, not what its name says"
        found.problems.append(one.problem or wrong)
        return None
    found.files, found.bytes = found.files + 1, found.bytes + one.bytes
    return one.digest


def _arrivals(
    found: Rebuild, digest: Digest, key: str, known: dict[str, list[Arrival]], told: dict[str, Arrival]
) -> list[Arrival]:
    """The documents of a content; a second copy of it that has no name of its own is one more copy of the same ones."""
    text = str(digest)
    arrivals = known.get(text) or [told[text] if text in told and digest_of(key) else _unknown(digest, key)]
    if text not in told:
        found.named += len(arrivals) if text in known else 0
        told[text] = arrivals[0]
    return arrivals


def _batched(keys: Iterator[str], size: int) -> Iterator[list[str]]:
    while batch := list(islice(keys, size)):
        yield batch


def _unknown(digest: Digest, key: str) -> Arrival:
    """The document of bytes that nobody tells anything about: named by its digest, or by its readable path."""
    name = str(digest) if digest_of(key) else key.removeprefix("docs/")
    return Arrival(artifact_id=name, source_url=f"{UNKNOWN}{digest}", run_id="rebuild")


def _tables(place: Path) -> list[Path]:
    """The Parquet files at a place; of a folder of snapshots, those of the newest."""
    if not place.is_dir():
        return [place] if place.is_file() else []
    # A snapshot's manifest is written last: without one a crash left a part of it.
    # By when they were taken: after coming back from a backup numbers are given anew.
    snapshots = sorted((when_taken(path.parent), path.with_name("documents")) for path in place.glob(f"*/{MANIFEST}"))
    return sorted((snapshots[-1][1] if snapshots else place).rglob("*.parquet"))


def _facts(files: list[Path]) -> dict[str, list[Arrival]]:
    """What tables of documents say, by digest."""
    if not files:
        return {}
    from catalogkit import parquet

    known: dict[str, list[Arrival]] = {}
    needed = {"sha256", "artifact_id", "source_url"}
    for file in files:
        frame = parquet.read(file)
        if not needed <= set(frame.columns):
            continue
        for row in frame.iter_rows(named=True):
            arrival = Arrival(
                **{name: row[name] for name in _TEXTS if row.get(name)},
                fetched_at=row.get("fetched_at"),
                metadata=json.loads(row.get("metadata") or "{}"),
            )
            known.setdefault(row["sha256"], []).append(arrival)
    if not known:
        raise InvalidInput(f"{files[0]} says nothing about documents; what it takes is {', '.join(sorted(needed))}")
    return known


_TEXTS: Final = ("artifact_id", "source_url", "resolver", "variant", "tenant", "run_id", "content_type")
