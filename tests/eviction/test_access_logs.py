"""Reading logs: what matches, what does not and is told, and nothing is added twice."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from catalogkit.access_logs import import_accesses
from catalogkit.collection import Collection
from catalogkit.errors import InvalidInput
from tests.plans.scene import put

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


def line(path: str, *, status: int = 200, method: str = "GET", minute: int = 0, tail: str = ' "-" "curl/8"') -> str:
    stamp = (NOON + timedelta(minutes=minute)).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'192.0.2.7 - ada [{stamp}] "{method} {path} HTTP/1.1" {status} 5{tail}'


def log(folder: Path, *lines: str, name: str = "access.log") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def counts(collection: Collection) -> list[tuple[int, str, int, int | None]]:
    return collection.frame("accesses").select("document_id", "kind", "count", "bytes").rows()


def test_a_web_log_is_matched_by_path(collection: Collection, tmp_path: Path) -> None:
    """Reads of documents count, by the minute; errors, uploads and noise do not; what matches nothing is told."""
    a, b = put(collection, "a", b"one"), put(collection, "b", b"two")
    path = log(
        tmp_path, line("/a"), line("/a?x=1"), line("/b", status=206, minute=5), line("/a", tail="", minute=5),
        line("/a", status=404), line("/a", method="PUT"), line("/other"), line("/other"), "noise", "",
    )  # fmt: skip
    told = import_accesses(collection, path)
    assert (told.entries, told.matched, told.unmatched, told.other) == (6, 4, 2, 3)
    assert told.examples == ["/other"] and told.documents == 2 and told.first_at == NOON
    assert counts(collection) == [(a.id, "read", 2, 10), (a.id, "read", 1, 5), (b.id, "read", 1, 5)]


def test_a_log_that_grew_is_read_from_where_it_ended(collection: Collection, tmp_path: Path) -> None:
    """The same file again adds nothing; the same with more lines adds those; packed it is the same file."""
    a = put(collection, "a", b"one")
    path = log(tmp_path, line("/a"))
    assert import_accesses(collection, path).matched == 1
    assert import_accesses(collection, path).again
    log(tmp_path, line("/a"), line("/a", minute=1))
    assert import_accesses(collection, path).matched == 1
    packed = tmp_path / "access.log.2.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert import_accesses(collection, packed).again
    assert [row[:3] for row in counts(collection)] == [(a.id, "read", 1)] * 2
    assert len(collection.catalog.access_files()) == 2


def test_an_s3_log_is_matched_by_key(collection: Collection, tmp_path: Path) -> None:
    """Objects that were read, by their key; other operations are none of ours."""
    a = put(collection, "a", b"one")
    key = collection.catalog.locations_of(a.sha256)[0].key
    entry = (
        'owner bucket [01/Feb/2026:12:00:00 +0000] 192.0.2.3 arn REQ REST.{}.OBJECT {} "GET /x HTTP/1.1" 200 - 3 3 9'
    )
    path = log(tmp_path, entry.format("GET", key), entry.format("PUT", key), entry.format("GET", "else"))
    told = import_accesses(collection, path)
    assert (told.entries, told.matched, told.other) == (2, 1, 1)
    assert counts(collection) == [(a.id, "read", 1, 3)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_table_may_name_ids_digests_or_addresses(collection: Collection, tmp_path: Path, form: str) -> None:
    """Counts are added up; a row without a time, or of no count, is left out and told."""
    a = put(collection, "a", b"one")
    rows = pl.DataFrame(
        {"time": [NOON.isoformat(), NOON.isoformat(), NOON.isoformat(), "never", NOON.isoformat()],
         "object": [str(a.id), str(a.sha256), "https://example.org/a", "1", "1"], "count": [1, 2, 4, 8, 0]}
    )  # fmt: skip
    path = tmp_path / f"log.{form}"
    rows.write_csv(path) if form == "csv" else rows.write_parquet(path)
    told = import_accesses(collection, path, kind="download")
    assert (told.entries, told.matched, told.other) == (7, 7, 2)
    assert counts(collection) == [(a.id, "download", 7, 0)]


def test_seconds_and_times_without_a_zone_are_utc(collection: Collection, tmp_path: Path) -> None:
    """A Parquet file may have times, a CSV file seconds since 1970."""
    put(collection, "a", b"one")
    path = tmp_path / "t.parquet"
    pl.DataFrame({"at": [NOON.replace(tzinfo=None)], "url": ["https://example.org/a"]}).write_parquet(path)
    import_accesses(collection, path)
    log(tmp_path, "time,key", f"{int(NOON.timestamp())},a", name="s.csv")
    import_accesses(collection, tmp_path / "s.csv")
    assert collection.frame("accesses").select("accessed_at", "count").rows() == [(NOON, 2)]


@pytest.mark.parametrize("content", [b"hello\n", b"time,size\n1,2\n", b"\x1f\x8bnot really"])
def test_what_is_no_log_is_refused_and_adds_nothing(collection: Collection, tmp_path: Path, content: bytes) -> None:
    """One clear error."""
    path = tmp_path / ("x.csv" if content[:4] == b"time" else "x.gz" if content[:1] == b"\x1f" else "x.log")
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match="nothing was added"):
        import_accesses(collection, path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        import_accesses(collection, tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="form"):
        import_accesses(collection, path, form="x")
    assert counts(collection) == [] and collection.catalog.access_files() == []


def test_one_access_is_recorded_by_hand(collection: Collection) -> None:
    """``record_access`` takes a count; an unknown document is refused."""
    a = put(collection, "a", b"one")
    collection.record_access(a.id)
    collection.record_access(a.id, count=3, bytes=9)
    assert counts(collection) == [(a.id, "read", 4, 9)]
    with pytest.raises(InvalidInput, match="no document 99"):
        collection.record_access(99)
