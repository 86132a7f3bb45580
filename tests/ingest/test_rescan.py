"""Taking the same folders in again: what is unchanged is not read, what has changed is noticed."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.ingest import ingest
from catalogkit.ingest_report import IngestReport
from catalogkit.workers import Inline
from tests.conftest import Clock, make_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

FILES = {f"{folder}/{name}.txt": f"{folder} {name}".encode() for folder in "abc" for name in range(5)}


@pytest.fixture
def taken(collection: Collection, source: Path) -> Collection:
    """A collection that has taken the files in."""
    assert take(collection, make_tree(source, FILES)).ingested == len(FILES)
    return collection


def take(collection: Collection, *paths: Path, **settings: str) -> IngestReport:
    return ingest(collection, *paths, executor=Inline(), **settings)


def content(collection: Collection, name: str) -> bytes:
    (row,) = collection.catalog.find(artifact_id=name)
    return collection.read(row.id)


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can read a byte of a file."""

    def refuse(*args: object) -> int:
        raise AssertionError("a file was read")

    monkeypatch.setattr(os, "preadv", refuse)


def test_unchanged_files_are_not_read(taken: Collection, source: Path, blind: None, clock: Clock) -> None:
    """A rescan reads zero bytes, and notes that every document was seen."""
    now = clock.advance(days=1)
    report = take(taken, source)
    assert (report.ingested, report.failed, dict(report.reasons)) == (0, 0, {"unchanged": len(FILES)})
    assert set(taken.frame("documents")["seen_at"]) == {now}


def test_unchanged_files_of_another_document_are_not_read(taken: Collection, source: Path, blind: None) -> None:
    """The same files for another resolver become documents of their own, without being read."""
    report = take(taken, source, resolver="other")
    assert (report.ingested, report.new_blobs, report.failures) == (len(FILES), 0, [])
    assert take(taken, source, resolver="other").reasons == {"unchanged": len(FILES)}
    assert take(taken, source).reasons == {"unchanged": len(FILES)}


@pytest.mark.parametrize("change", ["size", "mtime", "inode", "ctime"])
def test_a_change_is_noticed(taken: Collection, source: Path, change: str) -> None:
    """Another size, time stamp or inode has a file read again, also where all but the change time was put back."""
    path = source / "a" / "0.txt"
    was = path.stat()
    if change == "size":
        path.write_bytes(b"longer than it was")
    elif change == "mtime":
        path.write_bytes(b"A 0")
        os.utime(path, ns=(was.st_mtime_ns, was.st_mtime_ns + 1))
    elif change == "inode":
        path.rename(source / "moved away.txt")
        path.write_bytes(b"A 0")
        (source / "moved away.txt").unlink()
        os.utime(path, ns=(was.st_mtime_ns, was.st_mtime_ns))
    else:
        path.write_bytes(b"A 0")
        os.utime(path, ns=(was.st_mtime_ns, was.st_mtime_ns))
        now = path.stat()
        assert (now.st_size, now.st_mtime_ns, now.st_ino) == (was.st_size, was.st_mtime_ns, was.st_ino)
    wrote = path.read_bytes()
    report = take(taken, source)
    assert (report.ingested, report.reasons["unchanged"]) == (1, len(FILES) - 1)
    (row,) = taken.catalog.find(source_url=f"file://{path}")
    assert taken.read(row.id) == wrote
    assert taken.catalog.versions(row.id).height == 2


def test_hazard_24_the_old_version_stays(taken: Collection, source: Path) -> None:
    """A changed file is a new version; the bytes of the old one are still stored under their own address."""
    path = source / "a" / "0.txt"
    path.write_bytes(b"the second version")
    take(taken, source)
    (row,) = taken.catalog.find(source_url=f"file://{path}")
    versions = taken.catalog.versions(row.id)["sha256"]
    stored = [
        taken.store.open(key) for digest in versions for key in taken.frame("locations").filter(sha256=digest)["key"]
    ]
    read = []
    for file in stored:
        with file:
            read.append(file.read())
    assert read == [b"a 0", b"the second version"]


def test_back_to_an_earlier_version(taken: Collection, source: Path) -> None:
    """A file that goes back to what it once was is current with its old bytes, and history has all three steps."""
    path = source / "a" / "0.txt"
    for wrote in (b"second", b"a 0"):
        path.write_bytes(wrote)
        take(taken, source)
    (row,) = taken.catalog.find(source_url=f"file://{path}")
    assert taken.read(row.id) == b"a 0"
    assert taken.catalog.versions(row.id).height == 3


def test_touched_files_are_read_but_not_new(taken: Collection, source: Path) -> None:
    """A file with a new time stamp and the old content changes no document."""
    os.utime(source / "a" / "0.txt")
    report = take(taken, source)
    assert (report.ingested, report.reasons["already known"]) == (0, 1)
    assert take(taken, source).reasons == {"unchanged": len(FILES)}


def test_a_copy_that_is_known_bad_is_no_reason_to_skip(taken: Collection, source: Path) -> None:
    """An unchanged file whose stored copy was found corrupt is read again and heals it."""
    ((number, key),) = taken.catalog.rows("SELECT id, key FROM locations LIMIT 1")  # type: ignore[attr-defined]
    path = Path(taken.store.path(key))
    was = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(b"spoilt")
    taken.catalog.rows(f"UPDATE locations SET outcome = 'corrupt' WHERE id = {number}")  # type: ignore[attr-defined]
    report = take(taken, source)
    assert report.reasons["unchanged"] == len(FILES) - 1
    assert path.read_bytes() == was


def test_folders_are_forgotten_in_time(
    make_collection: Callable[..., Collection], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more folders than are remembered at a time, a rescan still finds everything unchanged."""
    monkeypatch.setattr(import_module("catalogkit.ingest"), "KEPT_FOLDERS", 2)
    collection = make_collection("cas")
    make_tree(source, {f"{folder}/{name}": b"x" for folder in range(6) for name in range(3)})
    take(collection, source)
    assert take(collection, source).reasons == {"unchanged": 18}
