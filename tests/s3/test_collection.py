"""A whole collection whose bytes lie in a bucket: taken in, read, proved, audited, collected, quarantined, repaired."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

import catalogkit as ck
from catalogkit.audit_codes import Code
from catalogkit.collection import init, open_collection
from catalogkit.errors import InvalidInput, StoreMismatch
from catalogkit.layouts import cas_key
from catalogkit.stores.s3.store import S3Layout
from tests.conftest import Clock, make_tree
from tests.stores.test_contract import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from catalogkit.collection import Collection
    from tests.s3.server import Server

FILES = {"a.txt": b"one", "b.txt": b"two", "again/a.txt": b"one", "empty": b"", "é/ü ~#?.txt": b"odd name"}


BOTH = pytest.mark.parametrize("collection", ["cas", "policy"], indirect=True)


@pytest.fixture
def clock() -> Clock:
    """A clock that is later than the server's, whatever day it is: what lies there is old."""
    return Clock(datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def collection(request: pytest.FixtureRequest, tmp_path: Path, s3_url: str, clock: Clock) -> Iterator[Collection]:
    """An empty collection whose store lies in a bucket; its layout is `cas` unless the test says otherwise."""
    layout = getattr(request, "param", "cas")
    with init(tmp_path / "collection", store=s3_url, layout=layout, clock=clock) as made:
        made.catalog._db.execute("PRAGMA synchronous = OFF")  # type: ignore[attr-defined]
        yield made


def raw(collection: Collection, server: Server, key: str, content: bytes | None) -> None:
    """Put other bytes, or nothing, at a key, past the store."""
    assert isinstance(collection.store, S3Layout)
    at = {"Bucket": "tests", "Key": collection.store.settings.key(key)}
    server.client().delete_object(**at) if content is None else server.client().put_object(**at, Body=content)


def key_of(collection: Collection, content: bytes) -> str:
    """Where a content lies."""
    return collection.catalog.locations_of(digest_of(content))[0].key


@BOTH
def test_taken_in_read_and_proved(collection: Collection, source: Path) -> None:
    """Every file is a document whose bytes can be read; a second run changes nothing; all copies verify."""
    report = ck.ingest(collection, make_tree(source, FILES), resolver="test")
    assert (report.ingested, report.failed, report.bytes) == (5, 0, sum(map(len, FILES.values())))
    read = [collection.read(number) for number in collection.frame("documents")["id"]]
    assert sorted(read) == sorted(FILES.values())
    assert ck.ingest(collection, source, resolver="test").skipped == 5
    checked = ck.verify(collection)
    assert checked.clean and checked.ok == collection.frame("locations").height
    audited = ck.audit(collection, sample_rate=1.0)
    assert audited.complete and not audited.findings
    assert collection.find(artifact_id="a.txt")["location"][0].startswith("s3://tests/")


def test_moved_and_registered(collection: Collection, source: Path) -> None:
    """Moving removes the source only once its bytes are safe; another version of a document keeps the first one."""
    make_tree(source, {"x": b"first"})
    one = ck.register_or_get(collection, source / "x", artifact_id="x", source_url="https://example.org/x")
    assert not (source / "x").exists() and collection.read(one.id) == b"first"
    make_tree(source, {"x": b"second"})
    two = ck.register_or_get(collection, source / "x", artifact_id="x", source_url="https://example.org/x")
    assert two.id == one.id and collection.read(two.id) == b"second"
    assert len(list(collection.store.keys())) == 2


def test_hazard_40_what_the_uploader_wrote_proves_nothing(
    collection: Collection, source: Path, s3_server: Server
) -> None:
    """Replaced bytes are corrupt, removed ones missing, whatever metadata says; both are findings of an audit, too."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    assert isinstance(collection.store, S3Layout)
    key = collection.store.settings.key(key_of(collection, b"two"))
    said = {"sha256": str(digest_of(b"two"))}
    s3_server.client().put_object(Bucket="tests", Key=key, Body=b"tw0", Metadata=said)
    raw(collection, s3_server, key_of(collection, b"odd name"), None)
    checked = ck.verify(collection)
    assert (checked.corrupt, checked.missing, checked.unknown) == (1, 1, 0)
    codes = {finding.code for finding in ck.audit(collection, sample_rate=1.0).findings}
    assert {Code.WRONG_CONTENT, Code.MISSING_FILE} <= codes


@BOTH
def test_bad_copies_are_replaced_by_taking_in_again(collection: Collection, source: Path, s3_server: Server) -> None:
    """Bytes gone bad are moved aside and kept, and the right ones take their place."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    key = key_of(collection, b"two")
    raw(collection, s3_server, key, b"rotten")
    ck.verify(collection)
    os.utime(source / "b.txt", ns=(1, 1))  # a file that changed is read again
    assert ck.ingest(collection, source, resolver="test").failed == 0
    assert ck.verify(collection).clean
    assert [collection.store.open(one.key).read() for one in collection.store.quarantined()] == [b"rotten"]


@BOTH
def test_garbage_goes_in_two_steps(collection: Collection, source: Path, clock: Clock) -> None:
    """Forgotten, condemned, undone, condemned again, purged: what others need stays, and nothing is left behind."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    (wanted,) = collection.find(artifact_id="b.txt")["id"].to_list()
    key = key_of(collection, b"two")
    go: dict[str, Any] = {"unapproved": True, "max_share": 1.0}
    assert ck.apply(collection, ck.plan_forget(collection, [wanted]), **go).done == 1
    first = ck.plan_gc(collection)
    assert ck.apply(collection, first, **go).done == 1
    assert ck.apply(collection, ck.plan_undo(collection, first.id), **go).done == 1
    assert ck.apply(collection, ck.plan_gc(collection, as_of=clock.advance(seconds=1)), **go).done == 1
    clock.advance(days=30)
    done = ck.apply(collection, ck.plan_purge(collection), **go)
    assert (done.failed, done.removed, done.bytes_freed) == (0, 1, 3)
    assert collection.store.stat(key) is None
    assert ck.verify(collection).clean and not ck.audit(collection, sample_rate=1.0).findings


def test_what_changed_since_it_was_planned_is_not_purged(
    collection: Collection, source: Path, clock: Clock, s3_server: Server
) -> None:
    """An object that somebody replaced after the plan was made stays: it is deleted by its ETag, or not at all."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    (wanted,) = collection.find(artifact_id="b.txt")["id"].to_list()
    key = key_of(collection, b"two")
    go: dict[str, Any] = {"unapproved": True, "max_share": 1.0}
    for plan in (lambda: ck.plan_forget(collection, [wanted]), lambda: ck.plan_gc(collection)):
        ck.apply(collection, plan(), **go)
    clock.advance(days=30)
    purge = ck.plan_purge(collection)
    raw(collection, s3_server, key, b"somebody's")
    done = ck.apply(collection, purge, **go)
    assert done.removed == 0 and done.skipped >= 1
    assert collection.store.open(key).read() == b"somebody's"


def test_strays_are_found_and_foreign_objects_left_alone(
    collection: Collection, source: Path, clock: Clock, s3_server: Server
) -> None:
    """An object that no record knows is condemned once it is old; one that has no layout's form never is."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    stray = cas_key(digest_of(b"stray"))
    raw(collection, s3_server, stray, b"stray")
    raw(collection, s3_server, "somebody/else's", b"foreign")
    codes = sorted(finding.path.rpartition("/")[2] for finding in ck.audit(collection, sample_rate=0.0).findings)
    assert codes == sorted([stray.rpartition("/")[2], "else's"])
    go: dict[str, Any] = {"unapproved": True, "max_share": 1.0}
    assert ck.apply(collection, ck.plan_gc(collection), **go).done == 1
    clock.advance(days=30)
    assert ck.apply(collection, ck.plan_purge(collection), **go).removed == 1
    assert collection.store.stat(stray) is None
    assert [one.key for one in collection.store.survey() if not one.ours] == ["somebody/else's"]  # type: ignore[union-attr]


def test_what_is_for_folders_is_refused(collection: Collection, source: Path) -> None:
    """Objects have one name: there is nothing to link, and no path to show them at."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test", mode="link")
    for act in (
        lambda: ck.plan_migrate(collection, "policy"),
        lambda: ck.make_views(collection),
    ):
        with pytest.raises(InvalidInput, match=r"objects have one name|lead into a folder"):
            act()
    assert ck.plan_dedup(collection).units == 0


def test_a_link_to_a_document(collection: Collection, source: Path, make_collection: Callable[..., Collection]) -> None:
    """Whoever has it reads the document; what lies in no bucket, or bad, and other lengths of time have none."""
    from datetime import timedelta
    from urllib.request import urlopen

    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    number = collection.frame("documents")["id"][0]
    with urlopen(collection.link(number)) as answer:
        assert answer.read() == collection.read(number)
    for document_id, lasts in ((number, timedelta(days=8)), (number, timedelta(0)), (99, timedelta(hours=1))):
        with pytest.raises(InvalidInput):
            collection.link(document_id, lasts)
    plain = make_collection(name="plain")
    ck.ingest(plain, source, resolver="test")
    with pytest.raises(InvalidInput, match="bucket"):
        plain.link(1)


def test_a_catalog_is_rebuilt_from_buckets_and_folders(
    collection: Collection, source: Path, tmp_path: Path, s3_server: Server, clock: Clock
) -> None:
    """Once the catalog is lost, what lies in the bucket and in a second store is all known again, each copy read."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    ck.take_snapshot(collection, "kept")
    ck.ingest(collection, make_tree(source, {"late.txt": b"after the snapshot"}), resolver="test")
    ck.add_store(collection, "second", f"file://{tmp_path}/second")
    assert ck.apply(collection, ck.plan_relocate(collection, "second", keep=True), unapproved=True).failed == 0
    documents, locations = collection.frame("documents"), collection.frame("locations")
    rotten = cas_key(digest_of(b"two"))
    raw(collection, s3_server, rotten, b"rotten")
    collection.close()
    for path in collection.path.glob("catalog.sqlite*"):
        path.unlink()
    dry = ck.rebuild_catalog(collection.path)
    assert not dry.applied and not (collection.path / "catalog.sqlite").exists()
    found = ck.rebuild_catalog(collection.path, dry_run=False)
    assert (found.documents, found.named, found.without_bytes) == (6, 5, 0)
    (problem,) = found.problems
    assert problem.startswith("s3://tests/") and "not what its name says" in problem
    with open_collection(collection.path, clock=clock) as again:
        known = again.frame("documents").filter(pl.col("artifact_id") != str(digest_of(b"after the snapshot")))
        names = ["artifact_id", "source_url", "resolver", "sha256", "bytes", "media_type"]
        expected = documents.filter(pl.col("artifact_id") != "late.txt")
        assert sorted(known.select(names).rows()) == sorted(expected.select(names).rows())
        copies, before = (frame.select("store", "key").rows() for frame in (again.frame("locations"), locations))
        assert sorted(copies) == sorted(set(before) - {("main", rotten)})
        assert ck.verify(again).clean and ck.verify(again).ok == len(copies)


def test_a_store_of_another_catalog_is_not_rebuilt_from(collection: Collection, tmp_path: Path, clock: Clock) -> None:
    """Settings that name somebody else's store are refused; nothing is made."""
    with init(tmp_path / "other", clock=clock) as other:
        folder = other.store.root
    settings = collection.path / "catalogkit.toml"
    settings.write_text(settings.read_text() + f'\n[stores]\nother = "file://{folder}"\n')
    collection.close()
    with pytest.raises(StoreMismatch, match="'other' belongs to another catalog"):
        ck.rebuild_catalog(collection.path, dry_run=False)


def test_hazard_17_keys_of_others_are_refused(collection: Collection) -> None:
    """No key leads out of the prefix, nor to the store's own objects."""
    for key in ("../other/cas/00", "/etc/passwd", "cas/00/short", ".catalogkit/store.json", "docs/../x", "docs//x"):
        for act in (collection.store.stat, collection.store.open, collection.store.look, collection.store.quarantine):
            with pytest.raises(InvalidInput, match="not a key"):
                act(key)


def test_a_store_belongs_to_one_catalog(collection: Collection, tmp_path: Path, s3_url: str, clock: Clock) -> None:
    """A second collection cannot be made in the same place, nor this one opened over another's store."""
    with pytest.raises(StoreMismatch):
        init(tmp_path / "other", store=s3_url, clock=clock)
    assert isinstance(collection.store, S3Layout)
    other = S3Layout(s3_url, name="main", token="another token")
    with pytest.raises(StoreMismatch, match="another catalog"):
        other.reach()


def test_opened_again(collection: Collection, source: Path, clock: Clock) -> None:
    """What a collection is, its settings say, the bucket among them, and no keys."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    text = (collection.path / "catalogkit.toml").read_text()
    for secret in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert os.environ[secret] not in text + repr(collection) + repr(collection.store) + repr(vars(collection.store))
    with open_collection(collection.path, clock=clock) as again:
        assert ck.verify(again).clean
