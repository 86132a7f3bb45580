"""S3 Inventory: a list shows what is gone or of another length, once a look confirms it; it proves no bytes."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import catalogkit as ck
from catalogkit.cli import main
from catalogkit.collection import init
from catalogkit.errors import InvalidInput
from catalogkit.inventories import METHOD, import_inventory
from catalogkit.stores.s3.store import S3Layout
from tests.conftest import Clock, make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.s3.server import Server

FILES = {name: name.encode() * 9 for name in "abcdef"}
SCHEMA = ("Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag")
PARQUET = ("bucket", "key", "version_id", "is_latest", "is_delete_marker", "size", "last_modified_date", "e_tag")


@pytest.fixture
def collection(tmp_path: Path, s3_url: str, source: Path, clock: Clock) -> Iterator[Collection]:
    """Six documents in a bucket."""
    with init(tmp_path / "collection", store=s3_url, clock=clock) as made:
        ck.ingest(made, make_tree(source, FILES), resolver="test")
        yield made


def prefix_of(collection: Collection) -> str:
    assert isinstance(collection.store, S3Layout)
    return collection.store.settings.key("")


def listed(collection: Collection, server: Server) -> list[list[Any]]:
    """What Amazon would list of the bucket now, by its documentation."""
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket="tests", Prefix=prefix_of(collection))
    return [
        ["tests", one["Key"], "", True, False, one["Size"], one["LastModified"].isoformat(), one["ETag"].strip('"')]
        for page in pages
        for one in page["Contents"]
    ]


def write(folder: Path, rows: list[list[Any]], form: str = "CSV", **changes: Any) -> Path:
    """A list in two files and its manifest."""
    files = []
    for number, part in enumerate((rows[::2], rows[1::2])):
        key = f"tests/all/data/{number}.{'csv.gz' if form == 'CSV' else 'parquet'}"
        path = folder / "data" / key.rpartition("/")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "CSV":
            with gzip.open(path, "wt", newline="") as file:
                csv.writer(file, quoting=csv.QUOTE_ALL).writerows(
                    [str(one).lower() if isinstance(one, bool) else one for one in row] for row in part
                )
        else:
            pl.DataFrame(part, schema=PARQUET, orient="row").write_parquet(path)
        files.append({"key": key, "size": 1, "MD5checksum": hashlib.md5(path.read_bytes()).hexdigest()})
    about = {
        "sourceBucket": "tests", "destinationBucket": "arn:aws:s3:::lists", "version": "2016-11-30",
        "creationTimestamp": str(int(datetime(2026, 2, 1, tzinfo=UTC).timestamp() * 1000)),
        "fileFormat": form, "fileSchema": ", ".join(SCHEMA), "files": files,
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(about | changes))
    return folder / "manifest.json"


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_a_list_that_agrees(collection: Collection, s3_server: Server, tmp_path: Path, form: str) -> None:
    """Every copy is found, none is called proved, and no check is noted: a list knows no digest."""
    found = import_inventory(collection, write(tmp_path / "list", listed(collection, s3_server), form))
    assert (found.same, found.missing, found.corrupt, found.foreign, found.findings) == (6, 0, 0, 0, [])
    assert collection.frame("checks").is_empty() and found.listed_at == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("form", ["CSV", "Parquet"])
def test_what_is_gone_or_other(collection: Collection, s3_server: Server, tmp_path: Path, form: str) -> None:
    """Gone and of another length: rows of the ledger; other bytes of the right length: told, for `verify` to read."""
    keys, client = list(map(f"{prefix_of(collection)}{{}}".format, collection.store.keys())), s3_server.client()
    client.delete_object(Bucket="tests", Key=keys[0])
    client.put_object(Bucket="tests", Key=keys[1], Body=b"short")
    client.put_object(Bucket="tests", Key=keys[2], Body=b"X" * 9)
    client.put_object(Bucket="tests", Key=f"{keys[3]} ä+", Body=b"foreign")
    rows = listed(collection, s3_server)
    rows.append(["tests", keys[0], "old", False, False, 9, "", "0"])  # an old version is nothing that lies there
    rows.append(["tests", keys[0], "marker", True, True, "" if form == "CSV" else None, "", ""])
    found = import_inventory(collection, write(tmp_path / "list", rows, form))
    assert (found.same, found.missing, found.corrupt, found.changed, found.foreign) == (3, 1, 1, 1, 1)
    checks = collection.frame("checks")
    assert checks.select("outcome", "method").sort("outcome").rows() == [("corrupt", METHOD), ("missing", METHOD)]
    assert len(found.findings) == 3
    again = ck.verify(collection)
    assert (again.ok, again.missing, again.corrupt) == (3, 1, 2)


def test_an_old_list_condemns_nothing(collection: Collection, s3_server: Server, source: Path, tmp_path: Path) -> None:
    """What came after the list was written, and what was another object then, is looked at, and is well."""
    rows = listed(collection, s3_server)
    rows[-2][5], rows[-1][7] = 3, "0" * 32
    ck.ingest(collection, make_tree(source, {"later": b"later"}), resolver="test")
    found = import_inventory(collection, write(tmp_path / "list", rows))
    assert found.missing == found.corrupt == found.changed == 0 and found.recovered >= 2
    assert collection.frame("checks").is_empty()


def test_what_cannot_be_looked_at_is_unsure(
    collection: Collection, s3_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that refuses has lost nothing, whatever a list leaves out."""
    path = write(tmp_path / "list", [])
    with monkeypatch.context() as broken, init(tmp_path / "x") as _:
        assert isinstance(collection.store, S3Layout)
        broken.setattr(collection.store.bucket, "head", _refuse)
        found = import_inventory(collection, path)
    assert (found.unsure, found.missing) == (6, 0) and collection.frame("checks").is_empty()


def _refuse(key: str) -> None:
    from catalogkit.errors import StoreUnreachable

    raise StoreUnreachable(f"503 for {key}")


def test_what_is_no_list(collection: Collection, s3_server: Server, tmp_path: Path) -> None:
    """No manifest, one of another bucket or in ORC, a file that is missing, or damaged: an error, and nothing noted."""
    rows = listed(collection, s3_server)
    for changes in (
        {"sourceBucket": "other"},
        {"fileFormat": "ORC"},
        {"fileSchema": "Bucket, Size"},
        {"files": [{"key": "x"}]},
    ):
        with pytest.raises(InvalidInput):
            import_inventory(collection, write(tmp_path / "list", rows, **changes))
    path = write(tmp_path / "list", rows)
    data = tmp_path / "list" / "data" / "0.csv.gz"
    data.write_bytes(data.read_bytes()[:-9])
    with pytest.raises(InvalidInput, match="MD5"):
        import_inventory(collection, path)
    for text in ("{}", "no", "[]"):
        path.write_text(text)
        with pytest.raises(InvalidInput):
            import_inventory(collection, path)
    with pytest.raises(InvalidInput):
        import_inventory(collection, tmp_path / "nothing")
    assert collection.frame("checks").is_empty()


def test_the_command(
    collection: Collection, s3_server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It ends with 2 where somebody should look."""

    def run(path: Path) -> tuple[int, dict[str, Any]]:
        words = ["catalogkit", "-C", str(collection.path), "store", "inventory", str(path), "--json"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), json.loads(capsys.readouterr().out)

    path = write(tmp_path / "list", listed(collection, s3_server))
    code, told = run(path)
    assert code == 0 and told["same"] == 6
    s3_server.client().delete_object(Bucket="tests", Key=prefix_of(collection) + next(iter(collection.store.keys())))
    code, told = run(write(tmp_path / "list", listed(collection, s3_server)))
    assert code == 2 and told["missing"] == 1
