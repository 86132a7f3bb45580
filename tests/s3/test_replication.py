"""Replication: whether a bucket is ready for it, and what has arrived in a second one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.cli import main
from catalogkit.collection import init
from catalogkit.errors import InvalidInput
from catalogkit.replicas import compare_replica
from catalogkit.stores.s3.replication import judged
from catalogkit.stores.s3.settings import S3Settings
from catalogkit.stores.s3.store import S3Layout
from tests.conftest import Clock, make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.s3.server import Server

FILES = {name: name.encode() * 9 for name in "abcdef"}
SETTINGS = S3Settings.parse("s3://tests/papers")
# As Amazon's documentation of GetBucketReplication has it; SeaweedFS keeps no such rules.
RULE = {
    "ID": "all",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "DeleteMarkerReplication": {"Status": "Disabled"},
    "Destination": {"Bucket": "arn:aws:s3:::elsewhere", "StorageClass": "STANDARD_IA"},
}


@pytest.fixture
def collection(tmp_path: Path, s3_url: str, source: Path, clock: Clock) -> Iterator[Collection]:
    """Six documents in a bucket."""
    with init(tmp_path / "collection", store=s3_url, clock=clock) as made:
        ck.ingest(made, make_tree(source, FILES), resolver="test")
        yield made


def carry(collection: Collection, server: Server) -> tuple[str, list[str]]:
    """Do what a server's replication does; the URL of the replica, and the keys in it."""
    assert isinstance(collection.store, S3Layout)
    settings, client = collection.store.settings, server.client()
    keys = list(collection.store.keys())
    for key in (*keys, ".catalogkit/store.json"):
        origin = {"Bucket": "tests", "Key": settings.key(key)}
        client.copy_object(Bucket="tests", Key=f"{settings.prefix}-there/{key}", CopySource=origin)
    return f"s3://tests/{settings.prefix}-there", [f"{settings.prefix}-there/{key}" for key in keys]


@pytest.mark.parametrize(
    ("versions", "rules", "ready", "said"),
    [
        ("Enabled", [RULE], True, ""),
        ("Enabled", [RULE | {"Filter": {"Prefix": "papers/"}}], True, ""),
        ("", [RULE], False, "keeps no versions"),
        ("Suspended", [RULE], False, "keeps no versions"),
        ("Enabled", [], False, "no rule that replicates anything"),
        ("Enabled", [RULE | {"Status": "Disabled"}], False, "no rule replicates all"),
        ("Enabled", [RULE | {"Filter": {"Prefix": "papers/cas/"}}], False, "no rule replicates all"),
        ("Enabled", [RULE | {"Filter": {"Tag": {"Key": "a", "Value": "b"}}}], False, "no rule replicates all"),
        ("Enabled", None, None, "--with URL"),
    ],
)
def test_whether_a_bucket_is_ready(
    versions: str, rules: list[dict[str, Any]] | None, ready: bool | None, said: str
) -> None:
    """It keeps versions, and a rule is about every object of the prefix; what is missing is said."""
    told = judged(SETTINGS, versions, rules)
    assert told.ready is ready and said in " ".join(told.problems) and bool(told.problems) is bool(said)
    if ready:
        assert told.targets == ["elsewhere"] and "stays there" in " ".join(told.notes)


def test_what_a_key_of_ones_own_needs() -> None:
    """Objects that are encrypted with KMS go only if the rule says so."""
    mine = S3Settings.parse("s3://tests/papers?sse=aws:kms")
    assert not judged(mine, "Enabled", [RULE]).ready
    criteria = {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}}}
    assert judged(mine, "Enabled", [RULE | criteria]).ready


def test_what_arrived(collection: Collection, s3_server: Server) -> None:
    """Everything; then with one object gone, one of another length, one of the same with other bytes, one more."""
    url, keys = carry(collection, s3_server)
    found = compare_replica(collection, url)
    assert found.complete and (found.by_etag, found.by_checksum, found.extra) == (6, 0, 0)
    client = s3_server.client()
    client.delete_object(Bucket="tests", Key=keys[0])
    client.put_object(Bucket="tests", Key=keys[1], Body=b"short")
    client.put_object(Bucket="tests", Key=keys[2], Body=b"X" * 9, ChecksumAlgorithm="SHA256")
    client.put_object(Bucket="tests", Key=keys[3], Body=b"X" * 9, ChecksumAlgorithm="CRC32")
    right = collection.store.open(keys[4].partition("/")[2]).read()
    client.put_object(Bucket="tests", Key=keys[4], Body=right, ChecksumAlgorithm="SHA256")
    client.put_object(Bucket="tests", Key=f"{keys[5]}-more", Body=b"more")
    for checksums in (False, True):
        found = compare_replica(collection, url, checksums=checksums)
        assert not found.complete
        assert (found.missing, found.differing, found.by_size, found.extra) == (1, 2, 1, 1)
        # The same bytes have the same ETag, so without being told to nobody asks for their checksum.
        assert found.by_checksum + found.by_etag == 2 and (found.by_checksum > 0) is checksums
        assert len(found.findings) == 3 and sum(found.status.values()) == 1


def test_what_cannot_be_compared(collection: Collection, s3_url: str, tmp_path: Path) -> None:
    """The store with itself, a store that is none, a collection without a bucket."""
    assert isinstance(collection.store, S3Layout)
    for url, store in ((collection.store.settings.url, None), (f"{s3_url}-x", "nowhere")):
        with pytest.raises(InvalidInput):
            compare_replica(collection, url, store=store)
    with init(tmp_path / "plain") as plain, pytest.raises(InvalidInput, match="no stores"):
        compare_replica(plain, s3_url)


def test_the_command(
    collection: Collection, s3_server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with 0 only where all is there, or all is ready; people read why not."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["catalogkit", "-C", str(collection.path), "store", "replication", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().out

    code, out = run()
    assert code == 2 and "put-bucket-versioning" in out
    url, keys = carry(collection, s3_server)
    assert run("--with", url)[0] == 0
    s3_server.client().delete_object(Bucket="tests", Key=keys[0])
    code, out = run("--with", url, "--json")
    assert code == 2 and json.loads(out)["replica"]["missing"] == 1
