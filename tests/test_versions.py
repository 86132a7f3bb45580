"""Snapshots as Parquet: what a version has, what versions share, and who can read them."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

import catalogkit as ck
from catalogkit import versions
from catalogkit.collection import open_collection
from catalogkit.errors import InvalidInput
from catalogkit.versions import check_version, folder_of, read_manifest, write_version
from tests.plans.scene import forget, put

if TYPE_CHECKING:
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.snapshots import CatalogSnapshot
    from tests.conftest import Clock


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of three ids."""
    monkeypatch.setattr(versions, "SEGMENT", 3)


@pytest.fixture
def full(collection: Collection) -> Collection:
    """Eight documents: three ranges, the last one not full."""
    for number in range(8):
        put(collection, f"d{number}", f"content {number % 5}".encode())
    return collection


def inodes(collection: Collection, snapshot: CatalogSnapshot) -> dict[str, int]:
    folder = folder_of(collection, snapshot) / "documents"
    return {path.name: path.stat().st_ino for path in sorted(folder.iterdir())}


def everything(snapshot: CatalogSnapshot) -> pl.DataFrame:
    return pl.read_parquet(snapshot.files()).sort("id")


def test_a_version_has_the_documents_of_its_snapshot(full: Collection) -> None:
    """Its manifest says what is in it; its files have the documents as they were, whatever happened since."""
    snapshot = ck.take_snapshot(full, "may")
    manifest = read_manifest(folder_of(full, snapshot))
    expected = full.frame("documents").drop("seen_at")
    forget(full, *[full.catalog.document(number) for number in (1, 2, 3, 7)])  # type: ignore[list-item]
    assert everything(snapshot).equals(expected)
    assert (manifest["documents"], manifest["digest"], manifest["label"]) == (8, snapshot.digest, "may")
    assert [(file["first_id"], file["last_id"], file["rows"]) for file in manifest["files"]] == [
        (1, 3, 3), (4, 6, 3), (7, 8, 2),
    ]  # fmt: skip
    assert check_version(folder_of(full, snapshot)) == []
    assert everything(ck.take_snapshot(full, "june")).equals(full.frame("documents").drop("seen_at"))


def test_polars_and_duckdb_read_the_folder_as_it_is(full: Collection) -> None:
    """A plain folder of Parquet: no list of files is needed, digests are hex, times UTC."""
    snapshot = ck.take_snapshot(full, "may")
    pattern = f"{folder_of(full, snapshot)}/documents/*.parquet"
    assert pl.scan_parquet(pattern).select(pl.len(), pl.col("bytes").sum()).collect().row(0) == (8, 72)
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        sql = f"SELECT count(*), sum(bytes), count(DISTINCT sha256), min(created_at) FROM '{pattern}'"
        row = db.execute(sql).pl().row(0)
    assert row == (8, 72, 5, full.frame("documents")["created_at"].min())


def test_ranges_in_which_nothing_changed_are_shared(full: Collection) -> None:
    """A version takes the files of another one where nothing differs, without room of their own."""
    first = ck.take_snapshot(full, "first")
    put(full, "d4", b"changed")
    put(full, "d8", b"new")
    put(full, "d9", b"new")
    second = ck.take_snapshot(full, "second")
    one, two = inodes(full, first), inodes(full, second)
    assert [one[name] == two[name] for name in one] == [True, False, False]
    assert len(two) == 4
    assert inodes(full, ck.take_snapshot(full, "third")) == two
    kept = everything(second)
    ck.drop_snapshot(full, "first")
    assert not folder_of(full, first).exists()
    assert everything(second).equals(kept)


def test_a_range_without_documents_has_no_file(full: Collection) -> None:
    """Where all documents are forgotten there is nothing to write, and nothing to share."""
    first = ck.take_snapshot(full, "first")
    forget(full, *[full.catalog.document(number) for number in (4, 5, 6)])  # type: ignore[list-item]
    second = ck.take_snapshot(full, "second")
    assert list(inodes(full, second)) == ["000000000001.parquet", "000000000007.parquet"]
    third = ck.take_snapshot(full, "third")
    assert inodes(full, third) == inodes(full, second)
    assert len(inodes(full, first)) == 3


def test_a_version_that_was_lost_is_written_again(full: Collection) -> None:
    """While its snapshot is kept, a version that is gone, or began only, comes back whole."""
    snapshot = ck.take_snapshot(full, "may")
    before, folder = everything(snapshot), folder_of(full, snapshot)
    put(full, "d1", b"changed")
    shutil.rmtree(folder)
    folder.with_name(f"{folder.name}.part").mkdir()
    assert everything(snapshot).equals(before)
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]


@pytest.mark.parametrize("at", range(1, 6))
def test_a_crash_leaves_no_half_version(full: Collection, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Wherever writing ends, nothing stands at the version's place, and the next attempt succeeds."""
    left = [at]

    class Crash(Exception):
        pass

    real = os.fsync

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise Crash
        real(descriptor)

    snapshot = ck.take_snapshot(full, "may", parquet=False)
    with monkeypatch.context() as dying:
        dying.setattr(os, "fsync", fsync)
        with pytest.raises(Crash):
            write_version(full, snapshot)
    assert not folder_of(full, snapshot).exists()
    assert everything(snapshot).height == 8


@pytest.mark.parametrize("how", ["changed", "missing", "strange"])
def test_a_version_can_be_checked(full: Collection, how: str) -> None:
    """A flipped byte, a missing file and one that is none of its are told."""
    folder = folder_of(full, ck.take_snapshot(full, "may"))
    path = folder / "documents" / "000000000004.parquet"
    if how == "changed":
        path.write_bytes(path.read_bytes()[:-9] + b"x" + path.read_bytes()[-8:])
    elif how == "missing":
        path.unlink()
    else:
        (folder / "documents" / "other.parquet").write_bytes(b"")
    (wrong,) = check_version(folder)
    assert {"changed": "has changed", "missing": "is missing", "strange": "does not belong"}[how] in wrong


def test_what_is_no_version(full: Collection, tmp_path: Path) -> None:
    """A folder without a manifest, or of a newer catalogkit, is told apart from a version."""
    with pytest.raises(InvalidInput, match="no snapshot written"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(InvalidInput, match="format 99"):
        read_manifest(tmp_path)


def test_an_empty_snapshot(collection: Collection) -> None:
    """Nothing is a version, too: no files."""
    assert ck.take_snapshot(collection, "nothing").files() == []


def test_what_another_history_wrote_stays(full: Collection, tmp_path: Path, clock: Clock) -> None:
    """Once an older catalog is back, these folders alone tell what came after it; the newest is told by its time."""
    home, older = full.path, tmp_path / "older"
    ck.take_snapshot(full, "may")
    full.close()
    shutil.copy(home / "catalog.sqlite", older)
    with open_collection(home, clock=clock) as later:
        for label in ("june", "july"):
            put(later, label, label.encode())
            ck.take_snapshot(later, label)
    shutil.copy(older, home / "catalog.sqlite")
    clock.advance(days=1)
    with open_collection(home, clock=clock) as again:
        newest = folder_of(again, ck.take_snapshot(again, "august"))
        names = {path.name for path in newest.parent.iterdir()}
        assert names == {"000001-may", "000002-june", "000003-july", "000002-august"}
        ck.drop_snapshot(again, "may")
    assert {path.name for path in newest.parent.iterdir()} == names - {"000001-may"}
    assert ck.rebuild_catalog(home).facts == str(newest / "documents")
