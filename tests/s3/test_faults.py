"""What a network and a server do wrong: nothing is lost, nothing shows that is not right, every leftover is swept."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.collection import init
from catalogkit.errors import StoreError, StoreUnreachable
from catalogkit.layouts import cas_key
from catalogkit.model import Digest, Outcome
from catalogkit.stores.contract import Asked
from catalogkit.stores.s3 import bucket as bucket_module
from catalogkit.stores.s3 import clients, multipart, reading
from catalogkit.stores.s3.probing import probe
from catalogkit.stores.s3.settings import S3Settings
from catalogkit.stores.s3.store import S3Layout, Sent
from tests.conftest import Clock, make_tree
from tests.s3 import proxy as faults
from tests.s3.proxy import proxied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.s3.proxy import Proxy
    from tests.s3.server import Server

# The smallest part that servers take.
PART = 5 << 20
FILES = {"a": b"one", "b": b"two", "c": b"three"}


@pytest.fixture
def proxy(s3_server: Server) -> Iterator[Proxy]:
    """A proxy before the server, without faults so far."""
    with proxied(s3_server.url, s3_server.client()) as running:
        yield running


@pytest.fixture
def store(proxy: Proxy, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> S3Layout:
    """A store that is reached through the proxy, by clients that are not patient."""
    monkeypatch.setattr(clients, "RETRIES", 3)
    monkeypatch.setattr(clients, "READ_SECONDS", 5)
    monkeypatch.setattr(multipart, "WHOLE_BYTES", PART)
    monkeypatch.setattr(multipart, "PART_BYTES", PART)
    monkeypatch.setattr(reading, "RANGE_BYTES", PART)
    return S3Layout.create(f"{s3_url}?endpoint={proxy.url}", name="main", catalog="the catalog")


@pytest.fixture
def collection(proxy: Proxy, store: S3Layout, tmp_path: Path) -> Iterator[Collection]:
    """A collection in another place of the same bucket, reached through the same proxy."""
    clock = Clock(datetime(2100, 1, 1, tzinfo=UTC))
    with init(tmp_path / "collection", store=store.settings.url.replace("?", "-2?"), clock=clock) as made:
        yield made


def content_of(size: int = 100) -> tuple[bytes, Digest]:
    content = os.urandom(size)
    return content, Digest(hashlib.sha256(content).digest())


def send(store: S3Layout, folder: Path, content: bytes) -> object:
    digest = Digest(hashlib.sha256(content).digest())
    (folder / "source").write_bytes(content)
    return store.send([Sent(cas_key(digest), str(folder / "source"), digest, len(content))])[0]


def seen(store: S3Layout, server: Server, digest: Digest) -> bytes | None:
    """What lies at a content address, past proxy and store."""
    client = server.client()
    try:
        return client.get_object(Bucket="tests", Key=store.settings.key(cas_key(digest)))["Body"].read()  # type: ignore[no-any-return]
    except client.exceptions.NoSuchKey:
        return None


@pytest.mark.parametrize("kind", [faults.LOSE_ANSWER, faults.TIME_OUT])
@pytest.mark.parametrize("size", [100, PART + 5])
def test_an_answer_that_is_lost(
    s3_url: str, proxy: Proxy, tmp_path: Path, s3_server: Server, monkeypatch: pytest.MonkeyPatch, size: int, kind: str
) -> None:
    """The upload was done, and nobody said so: it is told as "something lies there", which reading back settles."""
    monkeypatch.setattr(clients, "READ_SECONDS", 1)
    monkeypatch.setattr(multipart, "WHOLE_BYTES", PART)
    monkeypatch.setattr(multipart, "PART_BYTES", PART)
    store = S3Layout.create(f"{s3_url}?endpoint={proxy.url}", name="main", catalog="the catalog")
    content, digest = content_of(size)
    where = "uploadId=" if size > PART else "cas/"
    fault = proxy.fault(kind, "POST" if size > PART else "PUT", where, times=1)
    assert send(store, tmp_path, content) is None or seen(store, s3_server, digest) == content
    assert fault.done == 1 and store.holds(cas_key(digest), digest) is not None
    assert list(multipart.dangling(store.bucket)) == []


@pytest.mark.parametrize("kind", [faults.STORM, faults.CUT_UPLOAD])
def test_a_short_storm_is_waited_out(
    store: S3Layout, proxy: Proxy, tmp_path: Path, s3_server: Server, kind: str
) -> None:
    """Two refusals, or parts that break off, and then it works: nobody is told."""
    content, digest = content_of(PART + 5)
    where = "" if kind == faults.STORM else "partNumber"
    fault = proxy.fault(kind, "PUT|POST", where, times=2)
    assert send(store, tmp_path, content) is not None
    assert fault.done == 2 and seen(store, s3_server, digest) == content


def test_memory_of_parts_is_used_again(
    store: S3Layout, proxy: Proxy, tmp_path: Path, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only once they are there: also of parts that break off and are sent again, all that arrives is right."""
    made: list[int] = []
    monkeypatch.setattr(multipart, "IN_FLIGHT_BYTES", 2 * PART)
    monkeypatch.setattr(multipart, "bytearray", lambda size: made.append(size) or bytearray(size), raising=False)
    content, digest = content_of(5 * PART + 5)
    fault = proxy.fault(faults.CUT_UPLOAD, "PUT", "partNumber", times=2)
    assert send(store, tmp_path, content) is not None
    assert fault.done == 2 and seen(store, s3_server, digest) == content
    assert 1 < len(made) <= 3 and set(made) == {PART}


@pytest.mark.parametrize("size", [100, PART + 5])
def test_a_long_storm_is_an_error(store: S3Layout, proxy: Proxy, tmp_path: Path, s3_server: Server, size: int) -> None:
    """A server that refuses for good: one clear error, nothing shows; afterwards it works, and nothing is left over."""
    content, digest = content_of(size)
    proxy.fault(faults.STORM, "PUT|POST")
    with pytest.raises(StoreUnreachable, match="cannot reach"):
        send(store, tmp_path, content)
    assert seen(store, s3_server, digest) is None
    proxy.faults.clear()
    assert send(store, tmp_path, content) is not None and seen(store, s3_server, digest) == content
    assert list(multipart.dangling(store.bucket)) == []


def test_a_part_that_is_lost(store: S3Layout, proxy: Proxy, tmp_path: Path, s3_server: Server) -> None:
    """A server that says it has a part, and has not, cannot make a document of what is left."""
    content, digest = content_of(2 * PART + 5)
    fault = proxy.fault(faults.LOSE_PART, "PUT", "partNumber=2", times=1)
    with pytest.raises(StoreError):
        send(store, tmp_path, content)
    assert fault.done == 1
    assert seen(store, s3_server, digest) is None
    assert send(store, tmp_path, content) is not None and seen(store, s3_server, digest) == content
    assert list(multipart.dangling(store.bucket)) == []


@pytest.mark.parametrize("kind", [faults.CONFLICT, pytest.param(faults.PRECONDITION, marks=pytest.mark.stress)])
@pytest.mark.parametrize("size", [100, PART + 5])
def test_a_conflict_is_looked_into(
    collection: Collection, proxy: Proxy, source: Path, tmp_path: Path, kind: str, size: int
) -> None:
    """Told that something lies there when nothing does: that file fails, or is taken in at the second try."""
    content, digest = content_of(size)
    fault = proxy.fault(kind, "POST" if size > PART else "PUT", r"uploadId=" if size > PART else "cas/", times=1)
    report = ck.ingest(collection, make_tree(source, {"x": content}), resolver="test")
    assert fault.done == 1
    if report.failed:
        assert collection.frame("documents").is_empty()
        assert ck.ingest(collection, source, resolver="test").ingested == 1
    assert collection.store.holds(cas_key(digest), digest) is not None and ck.verify(collection).clean
    assert list(multipart.dangling(collection.store.bucket)) == []  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [1000, 3 * PART])
def test_a_body_that_breaks_off(store: S3Layout, proxy: Proxy, tmp_path: Path, size: int) -> None:
    """Reading goes on where it can, and is unknown where it cannot; half a document is neither right nor corrupt."""
    content, digest = content_of(size)
    assert send(store, tmp_path, content)
    key = cas_key(digest)
    fault = proxy.fault(faults.CUT_BODY, "GET", "cas/", times=1)
    (found,) = store.examiner()([Asked(key, digest, size)])
    assert found.outcome in (Outcome.OK, Outcome.UNKNOWN) and fault.done == 1
    with store.open(key) as file:
        assert file.read() == content
    proxy.fault(faults.CUT_BODY, "GET", "cas/")
    (found,) = store.examiner()([Asked(key, digest, size)])
    assert found.outcome is Outcome.UNKNOWN
    with pytest.raises(StoreError), store.open(key) as file:
        file.read()


def test_a_document_is_read_by_as_many_requests_as_it_has_ranges(store: S3Layout, proxy: Proxy, tmp_path: Path) -> None:
    """Nobody looks first; an empty one, which has no range, costs more, and what is not there is an error at once."""
    for size, requests in ((100, 1), (PART, 1), (PART + 1, 2), (2 * PART + 5, 3), (0, 2)):
        content, digest = content_of(size)
        assert send(store, tmp_path, content)
        proxy.seen.clear()
        with store.open(cas_key(digest)) as file:
            assert file.read(7) == content[:7] and file.read() == content[7:]
        assert len(proxy.seen) == requests, size
    with pytest.raises(StoreError, match="nothing lies at"):
        store.open(cas_key(content_of()[1]))


def test_readers_share_the_room_for_what_is_fetched_ahead(store: S3Layout, proxy: Proxy, tmp_path: Path) -> None:
    """However many read at once, so many ranges wait in memory; others pass on what comes, and closing makes room."""
    content, digest = content_of(5 * PART + 7)
    assert send(store, tmp_path, content)
    proxy.seen.clear()
    readers = [store.open(cas_key(digest)) for _ in range(4)]
    assert [one.read(9) for one in readers] == [content[:9]] * 4
    assert len(proxy.seen) <= len(readers) + reading.AHEAD
    readers.pop().close()
    for reader in readers:
        with reader:
            assert reader.read() == content[9:]
    assert reading._ahead._value == reading.AHEAD  # type: ignore[attr-defined]


def test_a_part_is_compared_by_the_server(store: S3Layout, proxy: Proxy, tmp_path: Path, s3_server: Server) -> None:
    """What arrives otherwise than it was sent is refused there: no part of that, and no document."""
    content, digest = content_of(PART + 5)
    proxy.fault(faults.SPOIL, "PUT", "partNumber=1")
    with pytest.raises(StoreError, match="BadDigest"):
        send(store, tmp_path, content)
    assert seen(store, s3_server, digest) is None


@pytest.mark.parametrize("kind", [faults.STORM, faults.SKEWED])
def test_what_cannot_be_reached_is_unknown(collection: Collection, proxy: Proxy, source: Path, kind: str) -> None:
    """A server that refuses, or does not believe our clock, has lost nothing: unknown, and nothing is planned away."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    proxy.fault(kind)
    checked = ck.verify(collection)
    assert (checked.unknown, checked.corrupt, checked.missing) == (3, 0, 0)
    found = ck.audit(collection)
    assert not found.complete and not [one for one in found.findings if "missing" in one.code.name.lower()]
    with pytest.raises(StoreUnreachable):
        ck.plan_gc(collection)
    proxy.faults.clear()
    assert ck.verify(collection).clean


def test_a_stale_list_condemns_nothing(collection: Collection, proxy: Proxy, source: Path) -> None:
    """A list from before a purge, and from before an upload, makes garbage of nothing, and finds no fault."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    assert ck.plan_gc(collection).units == 0
    before = [key for key in proxy.kept if "list-type=2" in key[1]]
    assert before
    (gone,) = collection.find(artifact_id="b")["id"].to_list()
    go: dict[str, Any] = {"unapproved": True, "max_share": 1.0}
    for make in (lambda: ck.plan_forget(collection, [gone]), lambda: ck.plan_gc(collection)):
        ck.apply(collection, make(), **go)
    collection.clock.advance(days=30)  # type: ignore[attr-defined]
    assert ck.apply(collection, ck.plan_purge(collection), **go).removed == 1
    ck.ingest(collection, make_tree(source, {"d": b"four"}), resolver="test")
    fault = proxy.fault(faults.STALE, "GET", "list-type=2")
    assert ck.plan_gc(collection).units == 0  # the purged one is on the list, and is not there
    assert fault.done
    assert not [one for one in ck.audit(collection).findings if one.code.name != "TIME_IN_FUTURE"]
    assert ck.verify(collection).clean


def test_a_lost_answer_to_a_deletion(collection: Collection, proxy: Proxy, source: Path) -> None:
    """The object is gone and nobody said so: the plan goes on, and what is left agrees with what lies there."""
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    gone = collection.frame("documents")["id"].to_list()[:2]
    go: dict[str, Any] = {"unapproved": True, "max_share": 1.0}
    for make in (lambda: ck.plan_forget(collection, gone), lambda: ck.plan_gc(collection)):
        ck.apply(collection, make(), **go)
    collection.clock.advance(days=30)  # type: ignore[attr-defined]
    plan = ck.plan_purge(collection)
    fault = proxy.fault(faults.LOSE_ANSWER, "DELETE", times=20)
    ck.apply(collection, plan, **go)
    assert fault.done
    proxy.faults.clear()
    ck.apply(collection, plan, **go)
    assert len(list(collection.store.keys())) == 1
    assert ck.verify(collection).clean and ck.audit(collection).complete
    assert collection.catalog.condemned(as_of=collection.now()).is_empty()


def test_hazard_57_a_file_that_changes_between_two_reads(store: S3Layout, tmp_path: Path, s3_server: Server) -> None:
    """What was hashed is not what is there when it is uploaded: nothing shows, and the file is told."""
    for size in (100, PART + 5):
        content, digest = content_of(size)
        (tmp_path / "source").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        (told,) = store.send([Sent(cas_key(digest), str(tmp_path / "source"), digest, size)])
        assert isinstance(told, str) and "changed" in told
        assert seen(store, s3_server, digest) is None and list(multipart.dangling(store.bucket)) == []


@pytest.mark.parametrize("number", [2, *(pytest.param(number, marks=pytest.mark.stress) for number in (1, 3))])
def test_hazard_55_interrupted_at_any_part(
    store: S3Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3_server: Server, number: int
) -> None:
    """Ctrl-C leaves no parts behind, whichever of them it comes before."""
    content, digest = content_of(2 * PART + 5)
    part = multipart._Parts._part

    def interrupted(self: multipart._Parts, at: int, data: bytes) -> None:
        if at == number:
            raise KeyboardInterrupt
        part(self, at, data)

    monkeypatch.setattr(multipart._Parts, "_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        send(store, tmp_path, content)
    client = s3_server.client()
    assert "Uploads" not in client.list_multipart_uploads(Bucket="tests", Prefix=store.settings.prefix)
    assert seen(store, s3_server, digest) is None


def test_a_server_that_overwrites_is_refused(s3_url: str, proxy: Proxy) -> None:
    """Five of eleven servers take no notice of `If-None-Match`: one of them holds no store, unless one says so."""
    proxy.fault(faults.DEAF)
    with pytest.raises(StoreError, match="overwrites where it was told not to"):
        S3Layout.create(f"{s3_url}?endpoint={proxy.url}", name="main", catalog="x")
    found = {one.name: one.works for one in probe(S3Settings.parse(f"{s3_url}?endpoint={proxy.url}")).found}
    assert not found["creates without overwriting"] and not found["deletes only what was looked at"]
    assert not found["replaces only what was looked at"]
    assert not found["completes uploads in parts without overwriting"] and found["reads ranges"]
    S3Layout.create(f"{s3_url}?endpoint={proxy.url}&conditional=false", name="main", catalog="x").reach()


def test_without_conditions_one_looks_first(s3_url: str, tmp_path: Path, s3_server: Server) -> None:
    """With `conditional=false` no condition is sent, and still nothing is overwritten that was there before."""
    store = S3Layout.create(f"{s3_url}?conditional=false", name="main", catalog="x")
    content, digest = content_of()
    s3_server.client().put_object(Bucket="tests", Key=store.settings.key(cas_key(digest)), Body=b"other")
    assert send(store, tmp_path, content) is None and seen(store, s3_server, digest) == b"other"
    about = store.stat(cas_key(digest))
    assert about is not None and not store.bucket.delete(cas_key(digest), '"another"')
    assert (
        store.remove_planned(cas_key(digest), about.inode, about.mtime_ns, 5) == 5
        and send(store, tmp_path, content) is not None
    )


def test_whoever_asks_pays(s3_url: str, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request about objects says so, whatever it does; only the bucket's own settings are its owner's affair."""
    monkeypatch.setattr(multipart, "WHOLE_BYTES", PART)
    monkeypatch.setattr(multipart, "PART_BYTES", PART)
    url = f"{s3_url}?endpoint={proxy.url}&requester_pays=true"
    store = S3Layout.create(url, name="main", catalog="the catalog")
    for content in (b"small", os.urandom(PART + 5)):
        send(store, tmp_path, content)
    keys = list(store.keys())
    assert [one is not None for one in store.stats(keys)] == [True, True] and len(list(store.survey())) == 2
    for key in keys:
        with store.open(key) as file:
            assert file.read()
    store.quarantine(keys[0])
    assert len(list(store.quarantined())) == 1 and store.scratches() == []
    settings = ("?lifecycle", "?versioning", "?replication")
    assert [one for one in proxy.unpaid if not one[1].endswith(settings)] == []


def test_bandwidth_is_kept_to(s3_url: str) -> None:
    """So many bytes a second pass, whoever asks: what comes later waits for what went before."""
    waited: list[float] = []
    throttle = bucket_module.Throttle(1000, lambda: 0.0, waited.append)
    for count in (500, 1000, 1):
        throttle.wait(count)
    assert waited == [0.0, 0.5, 1.5]
    assert S3Settings.parse(f"{s3_url}?bandwidth=20MB").bandwidth == 20_000_000
