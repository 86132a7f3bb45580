"""The demo manifest, whose numbers were worked out without catalogkit."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from catalogkit.ingest import ingest
from tests.conftest import DEMO

if TYPE_CHECKING:
    from pathlib import Path

    from catalogkit.collection import Collection

EXPECTED = json.loads((DEMO / "expected.json").read_text())
ROWS = [json.loads(line) for line in (DEMO / "manifest.jsonl").read_text().splitlines()]


def as_parquet(folder: Path) -> Path:
    """The demo manifest as a downloader with data frames would write it."""
    frame = pl.DataFrame([row | {"path": str(DEMO / row["path"])} for row in ROWS], infer_schema_length=None)
    path = folder / "manifest.parquet"
    frame.with_columns(pl.col("fetched_at").str.to_datetime(time_zone="UTC")).write_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_the_demo_gives_its_known_numbers(collection: Collection, kind: str, tmp_path: Path) -> None:
    """Documents, versions, sizes and shares come out as counted from the files and the rows alone."""
    report = ingest(collection, manifest=DEMO / "manifest.jsonl" if kind == "jsonl" else as_parquet(tmp_path))
    assert report.failures == []
    assert report.ingested + report.skipped == EXPECTED["rows"]
    assert report.new_blobs == EXPECTED["all_blobs"]
    documents, blobs, locations = (collection.frame(table) for table in ("documents", "blobs", "locations"))
    current = blobs.filter(pl.col("refs") > 0)
    assert documents.height == EXPECTED["documents"]
    assert current.height == EXPECTED["current_blobs"]
    assert blobs.height == EXPECTED["all_blobs"]
    assert documents["bytes"].sum() == EXPECTED["logical_bytes"]
    assert current["bytes"].sum() == EXPECTED["unique_bytes"]
    assert blobs["bytes"].sum() == EXPECTED["all_blob_bytes"]
    assert (current["refs"] > 1).sum() == EXPECTED["duplicate_groups"]
    by_resolver = {
        row["resolver"]: {"documents": row["documents"], "logical_bytes": row["bytes"]}
        for row in documents.group_by("resolver").agg(pl.len().alias("documents"), pl.col("bytes").sum()).to_dicts()
    }
    assert by_resolver == EXPECTED["by_resolver"]
    assert locations.unique(["inode"])["bytes"].sum() == EXPECTED["all_blob_bytes"], "equal bytes are stored once"
    assert sorted(collection.store.keys()) == sorted(locations["key"])


def test_every_version_can_be_read(collection: Collection) -> None:
    """After all rows, each file's content is at the place that the catalog says, byte for byte."""
    ingest(collection, manifest=DEMO / "manifest.jsonl")
    for path in {row["path"] for row in ROWS}:
        content = (DEMO / path).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        keys = collection.frame("locations").filter(sha256=digest)["key"]
        assert keys.len() > 0
        for key in keys:
            with collection.store.open(key) as file:
                assert file.read() == content


def test_the_same_manifest_twice_changes_nothing(collection: Collection) -> None:
    """A second ingest of a manifest finds everything known, and leaves documents and their versions alone."""
    ingest(collection, manifest=DEMO / "manifest.jsonl")
    before = {
        table: collection.frame(table).drop("seen_at", strict=False) for table in ("documents", "blobs", "locations")
    }
    versions = [collection.catalog.versions(number).height for number in before["documents"]["id"]]
    report = ingest(collection, manifest=DEMO / "manifest.jsonl")
    assert (report.ingested, report.failed, report.skipped) == (0, 0, EXPECTED["rows"])
    for table, frame in before.items():
        assert collection.frame(table).drop("seen_at", strict=False).equals(frame), table
    assert [collection.catalog.versions(number).height for number in before["documents"]["id"]] == versions
