"""Compares S3 Inventory lists with the catalog.

A list has no digest of any bytes, so nothing in it proves a copy good. It shows what is gone, or has another length or
another ETag than what was written; each such object is looked at once more before that is believed, for a list is a
day old or more. What is missing, or has another length, then is a row of the ledger; the rest is only counted.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote_plus

from catalogkit.errors import InvalidInput, StoreError
from catalogkit.model import Outcome
from catalogkit.stores.publishing import OWN
from catalogkit.stores.s3.reading import number_of
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    import os
    from concurrent.futures import Executor

    from catalogkit.audit import Copy
    from catalogkit.collection import Collection

METHOD: Final = "s3-inventory"
PAGE: Final = 10_000
AT_ONCE: Final = 16
KEPT: Final = 1000
# Amazon S3 User Guide, "Amazon S3 Inventory list": names of columns in CSV, and in Parquet.
_NAMES: Final = {
    "Bucket": "bucket", "Key": "key", "Size": "size", "ETag": "e_tag", "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}  # fmt: skip


class Entry(NamedTuple):
    """An object in a list; its size and ETag where the list has them."""

    key: str
    bytes: int | None
    etag: str


@dataclass(slots=True)
class InventoryReport:
    """How a list compares with the catalog.

    Attributes
    ----------
    same
        Copies that are listed with the length, and the ETag if it lists that, that are on record: they were there.
    missing, corrupt
        Copies that are not listed, or with another length, and that a look now confirms: rows of the ledger.
    changed
        Other objects than those on record, of the right length: `verify` reads them.
    recovered
        Not as listed by now: what was listed wrong is right when looked at.
    unsure
        Could not be looked at.
    foreign
        Objects listed that no record is about.
    """

    run_id: str
    listed_at: datetime
    same: int = 0
    missing: int = 0
    corrupt: int = 0
    changed: int = 0
    recovered: int = 0
    unsure: int = 0
    foreign: int = 0
    findings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {name: getattr(self, name) for name in self.__slots__} | {"listed_at": self.listed_at.isoformat()}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        return facts("Inventory", {name: getattr(self, name) for name in self.__slots__[1:-1]})


def import_inventory(collection: Collection, manifest: str | os.PathLike[str]) -> InventoryReport:
    """Compare a list of S3 Inventory with the catalog, and note what is gone or has another length.

    Parameters
    ----------
    manifest
        The ``manifest.json`` of a list in CSV or Parquet. Its files lie beside it, or below it as their keys say.

    Raises
    ------
    InvalidInput
        If it is no such list, a file of it is missing or damaged, or it is of another bucket; nothing is noted then.
    """
    path = Path(manifest)
    about = _about(path)
    ours = [one for one in collection.stores.values() if isinstance(one, S3Layout) and one.settings.s3]
    stores = [one for one in ours if one.settings.bucket == about["sourceBucket"]]
    if not stores:
        raise InvalidInput(f"{path} is a list of the bucket {about['sourceBucket']}, in which no store of ours lies")
    files = [_file(path, one) for one in about["files"]]
    listed_at = datetime.fromtimestamp(int(about["creationTimestamp"]) / 1000, UTC)
    report = InventoryReport(f"{METHOD}-{listed_at:%Y%m%dT%H%M%S}Z", listed_at)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="catalogkit-inventory") as threads:
        for store in stores:
            _Comparison(collection, store, report, threads).over(files, about)
    return report


class _Comparison:
    """One store's part of a list."""

    def __init__(self, collection: Collection, store: S3Layout, report: InventoryReport, threads: Executor) -> None:
        self.collection, self.catalog = collection, collection.catalog
        self.store_id, self.store = collection.store_id(store.name), store
        self.report, self.threads = report, threads
        self.seen = bytearray()  # a bit for each location's id: a list may have hundreds of millions of objects

    def over(self, files: list[Path], about: dict[str, Any]) -> None:
        prefix = self.store.settings.key("")
        page: dict[str, Entry] = {}
        for file in files:
            for entry in _entries(file, about):
                key = entry.key.removeprefix(prefix)
                if entry.key.startswith(prefix) and key.partition("/")[0] != OWN:
                    page[key] = entry
                if len(page) >= PAGE:
                    self._page(page)
        self._page(page)
        self._rest()

    def _page(self, page: dict[str, Entry]) -> None:
        copies = self.catalog.copies_at(self.store_id, list(page))
        odd = []
        for key, entry in page.items():
            copy = copies.get(key)
            if copy is None:
                self.report.foreign += 1
                continue
            self._mark(copy.location_id)
            wrong = entry.bytes is not None and entry.bytes != copy.bytes
            if wrong or (entry.etag and number_of(key, f'"{entry.etag}"') != copy.inode):
                odd.append(copy)
            else:
                self.report.same += 1
        self._look(odd)
        page.clear()

    def _rest(self) -> None:
        """What is on record and was not listed."""
        after = (self.store_id, "")
        while page := [one for one in self.catalog.copies(after=after, limit=PAGE) if one.store_id == self.store_id]:
            after = (self.store_id, page[-1].key)
            self._look([copy for copy in page if not self._marked(copy.location_id)])

    def _look(self, copies: list[Copy]) -> None:
        """Look at what a list tells something odd of; note what is so."""
        checks = []
        when = self.collection.now()
        for copy, (outcome, detail) in zip(copies, self.threads.map(self._found, copies), strict=True):
            name = outcome.value if outcome in (Outcome.MISSING, Outcome.CORRUPT) else detail
            setattr(self.report, name, getattr(self.report, name) + 1)
            if name == "recovered":
                continue
            if len(self.report.findings) < KEPT:
                self.report.findings.append(f"{name}: {self.store.describe(copy.key)}")
            if outcome is not Outcome.UNKNOWN:
                checks.append(copy.check(when, outcome, METHOD, detail=detail))
        if checks:
            self.catalog.record_checks(checks, run_id=self.report.run_id)

    def _found(self, copy: Copy) -> tuple[Outcome, str]:
        try:
            there = self.store.stat(copy.key)
        except StoreError:
            return Outcome.UNKNOWN, "unsure"
        if there is None:
            return Outcome.MISSING, "nothing lies there, nor was it listed"
        if there.bytes != copy.bytes:
            return Outcome.CORRUPT, f"holds {there.bytes} bytes instead of {copy.bytes}"
        return Outcome.UNKNOWN, "recovered" if there.inode == copy.inode else "changed"

    def _mark(self, number: int) -> None:
        if number >= 8 * len(self.seen):
            self.seen.extend(bytes(number // 8 + 1 - len(self.seen)))
        self.seen[number // 8] |= 1 << number % 8

    def _marked(self, number: int) -> bool:
        return number < 8 * len(self.seen) and bool(self.seen[number // 8] >> number % 8 & 1)


def _about(path: Path) -> dict[str, Any]:
    """What a manifest says; `InvalidInput` where it is none."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        missing = {"sourceBucket", "creationTimestamp", "fileFormat", "fileSchema", "files"} - set(about)
    except OSError as problem:
        raise InvalidInput(f"{path} cannot be read: {problem.strerror}") from None
    except (ValueError, TypeError) as problem:
        raise InvalidInput(f"{path} is no manifest of S3 Inventory: {problem}") from None
    if missing:
        raise InvalidInput(f"{path} is no manifest of S3 Inventory: it has no {', '.join(sorted(missing))}")
    if about["fileFormat"] not in ("CSV", "Parquet"):
        raise InvalidInput(f"{path} is a list in {about['fileFormat']}; CSV and Parquet can be read")
    return dict(about)


def _file(manifest: Path, one: dict[str, Any]) -> Path:
    """Where a file of a list lies, whole."""
    key = Path(one["key"])
    places = [manifest.parent / key.name, manifest.parent / "data" / key.name, manifest.parent / key]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InvalidInput(f"{key.name}, a file of the list, does not lie beside {manifest}; fetch all of them")
    with found.open("rb") as file:
        md5 = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
    if md5 != one.get("MD5checksum", md5):
        raise InvalidInput(f"{found} is not what the manifest names: its MD5 is another one; fetch it again")
    return found


def _entries(file: Path, about: dict[str, Any]) -> Iterator[Entry]:
    """The objects that one file lists: current ones, not markers of what was deleted."""
    rows = _csv(file, about["fileSchema"]) if about["fileFormat"] == "CSV" else _parquet(file)
    for row in rows:
        # In Parquet they are true or false, in CSV the words for that; a list of current versions has neither.
        said = {name: str(row.get(name)).lower() for name in ("is_latest", "is_delete_marker")}
        if said["is_latest"] != "false" and said["is_delete_marker"] != "true":
            size = row.get("size")
            yield Entry(row["key"], None if size in (None, "") else int(size), str(row.get("e_tag") or "").strip('"'))


def _csv(file: Path, schema: str) -> Iterator[dict[str, Any]]:
    """Rows of a packed CSV file without a head line; keys are written as in a URL."""
    names = [_NAMES.get(name.strip(), name.strip()) for name in schema.split(",")]
    if "key" not in names:
        raise InvalidInput(f"{file} lists no keys: its columns are {schema}")
    try:
        with gzip.open(file, "rt", encoding="utf-8", newline="") as text:
            for number, values in enumerate(csv.reader(text), 1):
                if len(values) != len(names):
                    raise InvalidInput(f"{file}, line {number}: {len(values)} columns instead of {len(names)}")
                row = dict(zip(names, values, strict=True))
                yield row | {"key": unquote_plus(row["key"])}
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as problem:
        raise InvalidInput(f"{file} cannot be read: {problem}") from None


def _parquet(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of a Parquet file, some at a time."""
    import polars as pl

    try:
        lazy = pl.scan_parquet(file)
        names = [name for name in lazy.collect_schema().names() if name in _NAMES.values()]
        if "key" not in names:
            raise InvalidInput(f"{file} lists no keys")
        start = 0
        while (rows := lazy.select(names).slice(start, PAGE).collect()).height:
            yield from rows.iter_rows(named=True)
            start += PAGE
    except pl.exceptions.PolarsError as problem:
        raise InvalidInput(f"{file} cannot be read: {problem}") from None
