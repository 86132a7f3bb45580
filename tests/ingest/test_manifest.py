"""Manifests: what a downloader's list may say, and what becomes of rows that say it wrongly."""

from __future__ import annotations

import errno
import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from catalogkit import ingest as ingest_function
from catalogkit.errors import InvalidInput
from catalogkit.ingest import ingest
from catalogkit.ingest_report import IngestReport
from catalogkit.workers import Inline
from tests.conftest import make_tree, read_tree
from tests.stores.quick import Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

GOOD = {"path": "one.txt", "artifact_id": "a", "source_url": "https://example.org/one.txt"}
SHA256 = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("one.txt", "two.txt")}


@pytest.fixture
def files(source: Path) -> Path:
    """Two files, each holding its own name."""
    return make_tree(source, {name: name.encode() for name in SHA256})


def take(collection: Collection, folder: Path, *rows: dict[str, Any] | str, **settings: Any) -> IngestReport:
    """Ingest these rows; a text stands for itself."""
    manifest = folder / "manifest.jsonl"
    manifest.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return ingest(collection, manifest=manifest, executor=Inline(), **settings)


BAD = {
    "no JSON": "{not json",
    "half a row": '{"path": "one.txt", "artifact_id"',
    "a list": '["one.txt"]',
    "a number": "7",
    "no path": {"artifact_id": "a", "source_url": "u"},
    "no artifact_id": {"path": "one.txt", "source_url": "u"},
    "no source_url": {"path": "one.txt", "artifact_id": "a"},
    "an empty artifact_id": GOOD | {"artifact_id": ""},
    "a null source_url": GOOD | {"source_url": None},
    "a number for text": GOOD | {"resolver": 7},
    "a NUL": GOOD | {"artifact_id": "a\x00b"},
    "half a surrogate pair": '{"path": "one.txt", "artifact_id": "\\ud800", "source_url": "u"}',
    "no date": GOOD | {"fetched_at": "yesterday"},
    "a date without a zone": GOOD | {"fetched_at": "2026-01-01T00:00:00"},
    "a short digest": GOOD | {"sha256": "abc"},
    "an upper-case digest": GOOD | {"sha256": SHA256["one.txt"].upper()},
    "metadata that is a list": GOOD | {"metadata": [1]},
    "deep nesting": '{"x":' + "[" * 5000 + "]" * 5000 + "}",
    "a NUL in the path": GOOD | {"path": "one\x00.txt"},
    "a path that is a folder": GOOD | {"path": "."},
    "a path to nowhere": GOOD | {"path": "three.txt"},
    "the wrong digest": GOOD | {"sha256": SHA256["two.txt"]},
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_reported_and_the_rest_goes_on(
    make_collection: Callable[..., Collection], files: Path, kind: str
) -> None:
    """The row is a failure that tells where; rows before and after it are taken in."""
    collection = make_collection("cas")
    before, after = GOOD | {"artifact_id": "before"}, GOOD | {"artifact_id": "after"}
    report = take(collection, files, before, BAD[kind], after)
    assert (report.ingested, report.failed) == (2, 1)
    assert sorted(collection.frame("documents")["artifact_id"]) == ["after", "before"]
    ((where, why),) = report.failures
    assert "row 2" in where + why or Path(where) in (files, files / "one.txt"), (where, why)


def test_rows_are_numbered_as_an_editor_shows_them(collection: Collection, files: Path) -> None:
    """Empty lines count, so that the number leads to the line."""
    report = take(collection, files, "", GOOD, "", "", "oops")
    assert report.ingested == 1
    assert report.failures[0][0] == "manifest.jsonl, row 5"


def test_a_claimed_digest_that_fits_is_fine(collection: Collection, files: Path) -> None:
    """A row whose digest is the file's is taken in; for one that is not, nothing of the file stays behind."""
    assert take(collection, files, GOOD | {"sha256": SHA256["one.txt"]}).ingested == 1
    report = take(collection, files, GOOD | {"path": "two.txt", "sha256": SHA256["one.txt"]}, mode="move")
    assert report.failed == 1 and SHA256["two.txt"] in report.failures[0][1]
    assert (files / "two.txt").exists()
    assert list(collection.frame("blobs")["sha256"]) == [SHA256["one.txt"]]
    assert not list(Path(collection.store.root, ".catalogkit", "tmp").iterdir())


def test_what_a_row_says_is_kept(collection: Collection, files: Path) -> None:
    """Every field lands in its column, anything else in the metadata, with its type."""
    row = GOOD | {
        "resolver": "arxiv", "variant": "v2", "tenant": "library", "run_id": "nightly", "content_type": "text/plain",
        "fetched_at": "2026-01-01T01:00:00+01:00", "metadata": {"title": "Größe"}, "pages": 7, "score": 0.5,
        "doi": None, "authors": ["A", "B"],
    }  # fmt: skip
    take(collection, files, row)
    (found,) = collection.catalog.find(tenant="library")
    assert (found.resolver, found.variant, found.run_id, found.content_type) == ("arxiv", "v2", "nightly", "text/plain")
    assert found.fetched_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert found.metadata == {"title": "Größe", "pages": 7, "score": 0.5, "doi": None, "authors": ["A", "B"]}


def test_where_a_row_is_silent(collection: Collection, files: Path) -> None:
    """The call's resolver, tenant and run apply, and only there."""
    rows = [GOOD, GOOD | {"artifact_id": "b", "resolver": "own", "tenant": "own", "run_id": "own"}]
    take(collection, files, *rows, resolver="arxiv", tenant="library", run_id="tonight")
    facts = collection.frame("documents").select("artifact_id", "resolver", "tenant", "run_id").rows()
    assert sorted(facts) == [("a", "arxiv", "library", "tonight"), ("b", "own", "own", "own")]


def test_paths_are_relative_to_the_manifest(
    collection: Collection, files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative path starts at the manifest's folder, not at the working directory; an absolute one is itself."""
    (tmp_path / "lists").mkdir()
    monkeypatch.chdir(tmp_path)
    rows = [GOOD | {"path": "../source/one.txt"}, GOOD | {"path": str(files / "two.txt"), "artifact_id": "b"}]
    report = take(collection, tmp_path / "lists", *rows)
    assert (report.ingested, report.failures) == (2, [])


def test_hazard_24_versions_out_of_order(collection: Collection, files: Path) -> None:
    """A version that was fetched earlier than the current one never replaces it, but is kept."""
    new = GOOD | {"fetched_at": "2026-02-01T00:00:00Z"}
    old = GOOD | {"path": "two.txt", "fetched_at": "2026-01-01T00:00:00Z"}
    take(collection, files, new)
    report = take(collection, files, old)
    assert report.ingested == 1
    (row,) = collection.frame("documents").to_dicts()
    assert row["sha256"] == SHA256["one.txt"]
    assert set(collection.catalog.versions(row["id"])["sha256"]) == set(SHA256.values())
    for order in ([old, new], [new, old]):
        assert take(collection, files, *order).ingested == 0
    assert collection.catalog.versions(row["id"]).height == 2


def test_a_new_version_replaces_the_old_one(collection: Collection, files: Path) -> None:
    """A later fetch of the same document becomes the current version."""
    take(collection, files, GOOD | {"fetched_at": "2026-01-01T00:00:00Z"})
    take(collection, files, GOOD | {"path": "two.txt", "fetched_at": "2026-02-01T00:00:00Z"})
    (row,) = collection.frame("documents").to_dicts()
    assert row["sha256"] == SHA256["two.txt"]
    assert collection.catalog.versions(row["id"])["sha256"].to_list() == [SHA256["one.txt"], SHA256["two.txt"]]


def test_many_rows_about_one_file(collection: Collection, files: Path) -> None:
    """A file that several documents share is one blob, read once, and each document has it."""
    rows = [GOOD | {"artifact_id": f"{number}"} for number in range(20)]
    report = take(collection, files, *rows)
    assert (report.ingested, report.new_blobs) == (20, 1)
    assert collection.catalog.totals()["documents"] == 20


def test_a_move_from_a_list_that_names_files_twice(
    collection: Collection, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every row gets its document although the rows of one file are batches apart; then the files are gone."""
    monkeypatch.setattr(import_module("catalogkit.batching"), "BATCH_FILES", 3)
    rows = [GOOD | {"artifact_id": f"{number}", "path": name} for number in range(5) for name in SHA256]
    rows = [row | {"source_url": f"u:{number}"} for number, row in enumerate(rows)]
    report = take(collection, files, *rows, mode="move")
    assert (report.ingested, report.failures) == (10, [])
    assert set(read_tree(files)) == {"manifest.jsonl"}
    again = take(collection, files, *rows, mode="move")
    assert (again.failed, again.reasons) == (0, {"moved in before": 10})
    assert collection.catalog.totals()["documents"] == 10


def test_a_move_from_a_list_that_cannot_remove(collection: Collection, files: Path) -> None:
    """A source that cannot be removed makes its row a failure, counted once."""

    class Guarded(Unsynced):
        def unlink(self, path: str) -> None:
            if path.endswith("source/one.txt"):
                raise PermissionError(errno.EACCES, "Permission denied")
            super().unlink(path)

    collection.store.files = Guarded()
    report = take(collection, files, GOOD, GOOD | {"path": "two.txt", "artifact_id": "b"}, mode="move")
    assert (report.ingested, report.skipped, report.failed) == (1, 0, 1)
    assert report.bytes == len("two.txt") and "safe in the store" in report.failures[0][1]
    assert collection.catalog.totals()["documents"] == 2


def test_a_move_of_several_versions(collection: Collection, files: Path) -> None:
    """A list that is moved in twice finds every version where it came from, also those that are not current."""
    rows = [GOOD | {"path": name, "fetched_at": f"2026-0{m}-01T00:00:00Z"} for m, name in enumerate(SHA256, 1)]
    for ingested in (2, 0):
        report = take(collection, files, *rows, mode="move")
        assert (report.ingested, report.skipped, report.failures) == (ingested, 2 - ingested, [])


def test_a_moved_file_that_is_gone_is_no_proof_for_another_document(collection: Collection, files: Path) -> None:
    """A row about a file that is not there fails, unless that very document came from that very file."""
    take(collection, files, GOOD, mode="move")
    report = take(collection, files, GOOD, GOOD | {"artifact_id": "other"}, GOOD | {"sha256": "0" * 64}, mode="move")
    assert (report.skipped, report.failed) == (1, 2)


def test_parquet_says_the_same(collection: Collection, files: Path) -> None:
    """Parquet rows mean what JSON rows mean; values that JSON lacks become what they are written as."""
    frame = pl.DataFrame(
        {
            "path": ["one.txt", "two.txt", "three.txt", None],
            "artifact_id": ["a", "b", "c", "d"],
            "source_url": ["u:1", "u:2", "u:3", "u:4"],
            "fetched_at": [datetime(2026, 1, 1, tzinfo=UTC)] * 4,
            "sha256": [SHA256["one.txt"], None, None, None],
            "score": [float("nan"), 0.5, None, None],
            "day": [datetime(2026, 1, 2, tzinfo=UTC).date()] * 4,
            "price": [Decimal("1.50")] * 4,
            "tags": [["x", "y"]] * 4,
        }
    )
    frame.write_parquet(files / "manifest.parquet")
    report = ingest(collection, manifest=files / "manifest.parquet", executor=Inline())
    assert (report.ingested, report.failed) == (2, 2)
    assert "row 3" in report.failures[0][1] and "row 4" in report.failures[1][0]
    one, two = collection.catalog.find()
    assert one.fetched_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert one.metadata == {"score": None, "day": "2026-01-02", "price": "1.50", "tags": ["x", "y"]}
    assert two.metadata["score"] == 0.5


def test_parquet_times_need_a_zone(collection: Collection, files: Path) -> None:
    """A column of times without a zone is refused row by row."""
    frame = pl.DataFrame([GOOD | {"fetched_at": datetime(2026, 1, 1)}])  # noqa: DTZ001 - the naive time is the point
    frame.write_parquet(files / "manifest.parquet")
    report = ingest(collection, manifest=files / "manifest.parquet", executor=Inline())
    assert report.failed == 1 and "zone" in report.failures[0][1]


@pytest.mark.parametrize("name", ["absent.jsonl", "absent.parquet", "one.txt/manifest.jsonl", ".", "broken.parquet"])
def test_a_manifest_that_cannot_be_read_changes_nothing(collection: Collection, files: Path, name: str) -> None:
    """It is bad input, said at once: not even the folder that was named with it is taken in."""
    (files / "broken.parquet").write_bytes(b"PAR1 but not much more PAR1")
    with pytest.raises(InvalidInput):
        ingest(collection, files, manifest=files / name, executor=Inline())
    assert collection.catalog.totals()["documents"] == 0
    assert collection.catalog.unfinished_run("ingest") is None


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "steal"}, {"mode": ""}, {"tenant": ""}, {"tenant": "a\x00"}, {"resolver": "\ud800"},
        {"run_id": "\x00"}, {"concurrency": 0}, {"concurrency": -1},
    ],
)  # fmt: skip
def test_bad_settings_change_nothing(collection: Collection, files: Path, settings: dict[str, Any]) -> None:
    """Settings that are not acceptable are refused before anything is taken in."""
    with pytest.raises(InvalidInput):
        ingest_function(collection, files, **settings)
    assert collection.catalog.totals()["documents"] == 0
    assert collection.catalog.unfinished_run("ingest") is None


def test_bad_paths_change_nothing(collection: Collection, files: Path) -> None:
    """One path that does not exist among several is bad input as a whole; so is none at all."""
    with pytest.raises(InvalidInput, match="absent"):
        ingest(collection, files, files / "absent")
    with pytest.raises(InvalidInput, match="name a folder"):
        ingest(collection)
    assert collection.catalog.totals()["documents"] == 0
