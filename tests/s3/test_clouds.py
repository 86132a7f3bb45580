"""Google's buckets and Azure's containers: whole collections in them, and what differs from S3.

Azure is Azurite; Google a double, for what that costs see `tests.s3.google`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.audit_codes import Code
from catalogkit.cli import main
from catalogkit.collection import init, open_collection
from catalogkit.errors import InvalidInput, KeyTaken, StoreError, StoreUnreachable
from catalogkit.layouts import Template, cas_key
from catalogkit.model import Arrival, Outcome
from catalogkit.plan import Plan
from catalogkit.replicas import compare_replica
from catalogkit.stores.contract import Asked
from catalogkit.stores.s3 import clients, multipart, reading
from catalogkit.stores.s3.bucket import Bucket, bucket_of
from catalogkit.stores.s3.clouds import DRAFTS, CloudBucket
from catalogkit.stores.s3.probing import probe
from catalogkit.stores.s3.settings import S3Settings
from catalogkit.stores.s3.store import S3Layout, Sent
from tests.conftest import Clock, make_tree
from tests.s3 import proxy as faults
from tests.s3.proxy import proxied
from tests.s3.test_relocate import GO, kill_after, sound, where
from tests.stores.test_contract import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.s3.azure import Azure
    from tests.s3.google import Google
    from tests.s3.proxy import Proxy

PART = 1 << 20  # neither the double nor Azurite has a smallest one
LARGE = os.urandom(2 * PART + 7)
FILES = {"a.txt": b"one", "b.txt": b"two", "again/a.txt": b"one", "empty": b"", "é/ü ~#?.txt": b"odd", "large": LARGE}
DELETE_ALL: dict[str, Any] = {"unapproved": True, "max_share": 1.0}


@pytest.fixture
def clock() -> Clock:
    """A clock that is later than the server's, whatever day it is."""
    return Clock(datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture(params=["gs_url", "az_url"], ids=["google", "azure"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in one of them; what is larger than 1 MiB is large there."""
    monkeypatch.setattr(multipart, "WHOLE_BYTES", PART)
    monkeypatch.setattr(multipart, "PART_BYTES", PART)
    monkeypatch.setattr(reading, "RANGE_BYTES", PART)
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def store(url: str) -> S3Layout:
    """A store in that place."""
    return S3Layout.create(url, name="main", catalog="the catalog")


@pytest.fixture
def proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before the server, and clients that are not patient."""
    monkeypatch.setattr(clients, "RETRIES", 2)
    monkeypatch.setattr(clients, "READ_SECONDS", 5)
    target = S3Settings.parse(url).endpoint
    with proxied(target.removesuffix("/papers"), None) as running:
        yield running


@pytest.fixture
def spoiled(proxy: Proxy, url: str) -> S3Layout:
    """A store that is reached through the proxy."""
    at = url.replace(proxy.target, proxy.url)
    assert at != url
    return S3Layout.create(at, name="main", catalog="the catalog")


def send(store: S3Layout, folder: Path, content: bytes, key: str = "") -> object:
    digest = digest_of(content)
    (folder / "source").write_bytes(content)
    return store.send([Sent(key or cas_key(digest), str(folder / "source"), digest, len(content))])[0]


def drafts(store: S3Layout) -> list[str]:
    """What is uploaded, and not yet at its key."""
    return [one.key for one in store.bucket.list(DRAFTS)]


@pytest.mark.parametrize("layout", ["cas", "policy"])
def test_a_collection_there(url: str, layout: str, tmp_path: Path, source: Path, clock: Clock) -> None:
    """Taken in, read, proved, audited, forgotten, condemned, purged; opened again by what its settings say."""
    with init(tmp_path / "collection", store=url, layout=layout, clock=clock) as made:
        report = ck.ingest(made, make_tree(source, FILES), resolver="test")
        assert (report.ingested, report.failed) == (6, 0) and ck.ingest(made, source, resolver="test").skipped == 6
        assert sorted(made.read(number) for number in made.frame("documents")["id"]) == sorted(FILES.values())
        sound(made, 6)
        gone = made.find(artifact_id="large")["id"].to_list() + made.find(artifact_id="b.txt")["id"].to_list()
        for make in (lambda: ck.plan_forget(made, gone), lambda: ck.plan_gc(made)):
            ck.apply(made, make(), **DELETE_ALL)
        clock.advance(days=30)
        done = ck.apply(made, ck.plan_purge(made), **DELETE_ALL)
        assert (done.failed, done.removed, done.bytes_freed) == (0, 2, len(LARGE) + 3)
        store = made.store
        assert isinstance(store, S3Layout) and drafts(store) == []
    with open_collection(tmp_path / "collection", clock=clock) as again:
        sound(again, 4)


def test_from_a_folder_and_back(
    make_collection: Callable[..., Collection], url: str, source: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A plan moves everything there, and another one back; what only S3 has is told, not tried."""
    made = make_collection()
    ck.ingest(made, make_tree(source, FILES), resolver="test")
    ck.add_store(made, "cloud", url)
    assert ck.apply(made, ck.plan_relocate(made, "cloud"), **GO).failed == 0 and where(made) == {"cloud": 5}
    sound(made, 6)
    with pytest.raises(InvalidInput, match="no stores in a bucket"):
        compare_replica(made, url)
    monkeypatch.setattr(sys, "argv", ["catalogkit", "-C", str(made.path), "store", "lifecycle", "--json"])
    with pytest.raises(SystemExit):
        main()
    assert json.loads(capsys.readouterr().out) == {"stores": []}
    assert ck.apply(made, ck.plan_relocate(made, "main", source="cloud"), **GO).failed == 0
    assert where(made) == {"main": 5}
    sound(made, 6)


def test_backups_there(
    make_collection: Callable[..., Collection], url: str, source: Path, clock: Clock, tmp_path: Path
) -> None:
    """Made, listed, proved, come back from."""
    made = make_collection()
    ck.ingest(made, make_tree(source, FILES), resolver="test")
    backup = ck.backup_catalog(url, collection=made, copy_bytes=True)
    assert [one.name for one in ck.list_backups(url, collection=made)] == [backup.name]
    assert ck.drill(url, collection=made).ok
    assert ck.recover_from_backup(url, tmp_path / "other.sqlite").changes["only in the backup"] == 6


@pytest.mark.parametrize("size", [3, len(LARGE)])
def test_a_key_is_given_once(store: S3Layout, size: int) -> None:
    """Of eight who create it at once one does, small or large; nothing of the others is left."""
    made: list[int] = []

    def create(number: int) -> None:
        content = bytes([number]) * size
        try:
            if size > PART:
                assert isinstance(store.bucket, CloudBucket)
                store.bucket.put_parts("cas/x", iter([content[:PART], content[PART:]]), PART, create=True)
            else:
                store.bucket.put("cas/x", content, create=True)
            made.append(number)
        except KeyTaken:
            pass

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8 if size < PART else 3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(made) == 1 and bytes(store.bucket.get("cas/x", 0, 3)) == bytes(made) * 3
    assert drafts(store) == []


def test_what_changed_on_its_way_shows_nowhere(store: S3Layout, tmp_path: Path) -> None:
    """A file that is not what was hashed, and one whose sending is interrupted: no object, and no draft."""
    (tmp_path / "source").write_bytes(LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
    digest = digest_of(LARGE)
    (told,) = store.send([Sent(cas_key(digest), str(tmp_path / "source"), digest, len(LARGE))])
    assert isinstance(told, str) and "changed" in told

    def interrupted() -> Iterator[bytes]:
        yield LARGE[:PART]
        raise KeyboardInterrupt

    assert isinstance(store.bucket, CloudBucket)
    with pytest.raises(KeyboardInterrupt):
        store.bucket.put_parts(cas_key(digest), interrupted(), PART, create=True)
    assert store.stat(cas_key(digest)) is None and drafts(store) == []


def test_a_draft_that_was_left_is_swept(url: str, tmp_path: Path, source: Path, clock: Clock) -> None:
    """What a program that died between upload and copy left is no document, and goes with the next ingest."""
    with init(tmp_path / "collection", store=url, clock=clock) as made:
        store = made.store
        assert isinstance(store, S3Layout)
        store.bucket.put(f"{DRAFTS}/left", b"half", create=True)
        assert [one.code for one in ck.audit(made).findings] == [Code.LEFT_TEMPORARY]
        ck.ingest(made, make_tree(source, {"x": b"x"}), resolver="test")
        assert drafts(store) == []


def test_only_what_was_looked_at_is_deleted(store: S3Layout, tmp_path: Path) -> None:
    """Another object at the key stays; what is gone is gone. Lists and looks tell one version by one name."""
    send(store, tmp_path, b"a document")
    (listed,) = store.bucket.list("cas")
    seen = store.bucket.head(listed.key)
    assert seen is not None and listed[:4] == seen[:4]
    store.bucket.put(listed.key, b"another", create=False)
    assert not store.bucket.delete(listed.key, listed.etag)
    there = store.bucket.head(listed.key)
    assert there is not None and store.bucket.delete(listed.key, there.etag)
    assert not store.bucket.delete(listed.key, there.etag) and not store.bucket.delete(listed.key)


def test_an_object_that_takes_its_place_is_not_read_on(store: S3Layout, tmp_path: Path) -> None:
    """Half of one object and half of another are never one document."""
    send(store, tmp_path, LARGE)
    key = cas_key(digest_of(LARGE))
    with store.open(key) as file:
        file.read(10)
        store.bucket.put(key, LARGE[::-1], create=False)
        with pytest.raises(StoreError, match="another object"):
            store.bucket.get(key, 0, 5, '"0"')


@pytest.mark.parametrize("name", ["../../up", "ünïcode/日本", "a b+c&d=e?f#g%20h", "\u202e.pdf", "~", "x" * 500])
def test_any_id_has_a_safe_key(store: S3Layout, tmp_path: Path, name: str) -> None:
    """Whatever a document is called, its readable path is one object of the prefix, and comes back from a list."""
    arrival = Arrival(artifact_id=name, source_url="https://example.org/x", resolver=name)
    key = Template().key(arrival, name, digest_of(b"x"))
    assert send(store, tmp_path, b"x", key)
    assert list(store.keys()) == [key]
    with store.open(key) as file:
        assert file.read() == b"x"


def test_check_store_says_what_they_do_instead(url: str, capsys: pytest.CaptureFixture[str],
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """They can hold a store; what they have not is told, and what S3 alone has is not asked for."""
    found = {one.name: one.works for one in probe(S3Settings.parse(url)).found}
    assert found["creates without overwriting"] and found["completes uploads in parts without overwriting"]
    assert found["replaces only what was looked at"]
    assert found["deletes only what was looked at"] is False and found["refuses bytes with a wrong SHA-256"] is False
    monkeypatch.setattr(sys, "argv", ["catalogkit", "check-store", url])
    with pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr().out
    assert ended.value.code == 0 and "one looks just before" in out and "can hold a store" in out
    assert list(bucket_of(S3Settings.parse(url)).list()) == []


def test_a_container_that_overwrites_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes no notice of the condition holds no store."""
    put = Bucket.put
    monkeypatch.setattr(Bucket, "put", lambda self, key, data, **conditions: put(self, key, data, create=False))
    with pytest.raises(StoreError, match="overwrites where it was told not to"):
        S3Layout.create(url, name="main", catalog="x")


@pytest.mark.parametrize(
    ("content", "kind"), [(b"small", faults.STORM), (LARGE, faults.STORM), (LARGE, faults.CUT_UPLOAD)]
)
def test_a_short_storm_is_waited_out(
    spoiled: S3Layout, proxy: Proxy, tmp_path: Path, kind: str, content: bytes
) -> None:
    """A refusal, or a body that breaks off, and then it works: nobody is told."""
    fault = proxy.fault(kind, "PUT", times=1)
    send(spoiled, tmp_path, content)
    assert fault.done == 1 and spoiled.holds(cas_key(digest_of(content)), digest_of(content))
    assert drafts(spoiled) == []


@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
def test_a_long_storm_is_an_error(spoiled: S3Layout, proxy: Proxy, tmp_path: Path, content: bytes) -> None:
    """A server that refuses for good: one clear error, nothing shows; afterwards it works, and nothing is left over."""
    proxy.fault(faults.STORM, "PUT|POST")
    with pytest.raises(StoreUnreachable, match="cannot reach"):
        send(spoiled, tmp_path, content)
    proxy.faults.clear()
    assert spoiled.stat(cas_key(digest_of(content))) is None
    assert send(spoiled, tmp_path, content) and drafts(spoiled) == []


@pytest.mark.parametrize("kind", [faults.LOSE_ANSWER, faults.TIME_OUT])
@pytest.mark.parametrize("content", [b"small", LARGE], ids=["small", "large"])
def test_an_answer_that_is_lost(
    proxy: Proxy, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, kind: str
) -> None:
    """The object is there, and nobody said so: it is told as "something lies there", which reading back settles."""
    monkeypatch.setattr(clients, "READ_SECONDS", 1)
    spoiled = S3Layout.create(url.replace(proxy.target, proxy.url), name="main", catalog="the catalog")
    fault = proxy.fault(kind, "PUT", "cas/|cas%2F", times=1)
    send(spoiled, tmp_path, content)
    digest = digest_of(content)
    assert fault.done == 1 and spoiled.holds(cas_key(digest), digest) is not None and drafts(spoiled) == []


@pytest.mark.parametrize("kind", [faults.CONFLICT, faults.PRECONDITION])
def test_a_conflict_is_looked_into(
    proxy: Proxy, url: str, tmp_path: Path, source: Path, clock: Clock, kind: str
) -> None:
    """Told that something lies there when nothing does: that file fails, or is taken in at the second try."""
    place = url.replace(proxy.target, proxy.url)
    with init(tmp_path / "collection", store=place, clock=clock) as made:
        fault = proxy.fault(kind, "PUT", "cas/|cas%2F", times=1)
        report = ck.ingest(made, make_tree(source, {"x": b"x"}), resolver="test")
        assert fault.done == 1
        if report.failed:
            assert made.frame("documents").is_empty()
            assert ck.ingest(made, source, resolver="test").ingested == 1
        sound(made, 1)


def test_a_stale_list_condemns_nothing(proxy: Proxy, url: str, tmp_path: Path, source: Path, clock: Clock) -> None:
    """A list from before an upload makes garbage of nothing, and finds no fault."""
    with init(tmp_path / "collection", store=url.replace(proxy.target, proxy.url), clock=clock) as made:
        ck.ingest(made, make_tree(source, {"x": b"x"}), resolver="test")
        assert ck.plan_gc(made).units == 0 and [one for one in proxy.kept if re.search("comp=list|list-type", one[1])]
        ck.ingest(made, make_tree(source, {"y": b"y"}), resolver="test")
        fault = proxy.fault(faults.STALE, "GET", "comp=list|list-type")
        assert ck.plan_gc(made).units == 0 and fault.done
        sound(made, 2)


def test_a_part_that_is_lost(spoiled: S3Layout, proxy: Proxy, tmp_path: Path) -> None:
    """A server that says it has a part, and has not, cannot make a document of what is left."""
    proxy.fault(faults.LOSE_PART, "PUT", "partNumber=2|comp=block&|blockid=", times=1)
    with pytest.raises(StoreError):
        send(spoiled, tmp_path, LARGE)
    assert spoiled.stat(cas_key(digest_of(LARGE))) is None
    assert send(spoiled, tmp_path, LARGE) and drafts(spoiled) == []


@pytest.mark.parametrize("content", [b"a document" * 100, LARGE], ids=["small", "large"])
def test_a_body_that_breaks_off(spoiled: S3Layout, proxy: Proxy, tmp_path: Path, content: bytes) -> None:
    """Half a document is neither right nor corrupt."""
    send(spoiled, tmp_path, content)
    asked = Asked(cas_key(digest_of(content)), digest_of(content), len(content))
    proxy.fault(faults.CUT_BODY, "GET", "cas/|cas%2F")
    assert spoiled.examiner()([asked])[0].outcome is Outcome.UNKNOWN
    proxy.faults.clear()
    assert spoiled.examiner()([asked])[0].outcome is Outcome.OK


@pytest.mark.parametrize("kind", [faults.STORM, faults.SKEWED])
def test_what_cannot_be_reached_is_unknown(spoiled: S3Layout, proxy: Proxy, tmp_path: Path, kind: str) -> None:
    """A server that refuses, or does not believe our clock, has lost nothing."""
    send(spoiled, tmp_path, b"one")
    proxy.fault(kind)
    (found,) = spoiled.examiner()([Asked(cas_key(digest_of(b"one")), digest_of(b"one"), 3)])
    assert found.outcome is Outcome.UNKNOWN
    for ask in (spoiled.reach, lambda: list(spoiled.keys())):
        with pytest.raises(StoreUnreachable):
            ask()


@pytest.mark.parametrize("calls", [2, *(pytest.param(number, marks=pytest.mark.stress) for number in (0, 1, 3, 4))])
def test_killed_while_moving(make_collection: Callable[..., Collection], url: str, source: Path, calls: int) -> None:
    """Whichever change was the last, every document can be read, and the same plan goes on to its end."""
    made = make_collection()
    ck.add_store(made, "cloud", url)
    large = os.urandom((16 << 20) + 7)  # the process that dies knows of no smaller parts
    ck.ingest(made, make_tree(source, {"a": b"a", "b": b"b", "large": large}), resolver="test")
    path = ck.plan_relocate(made, "cloud").save(made.path / "plans")
    assert kill_after(made, calls, "apply", str(path)) == -signal.SIGKILL
    assert len([made.read(number) for number in made.frame("documents")["id"]]) == 3
    assert ck.apply(made, Plan.load(path), **GO).failed == 0 and where(made) == {"cloud": 3}
    ck.use_store(made, "cloud")
    ck.ingest(made, make_tree(source, {"c": b"c"}), resolver="test")  # sweeps what the dead left
    sound(made, 4)


@pytest.mark.parametrize(
    "place",
    [
        "gs://papers",
        "gs://papers/a/b?bandwidth=20",
        "az://papers/x?account=acme",
        "az://p-x?account=acme&endpoint=http://x",
    ],
)
def test_a_url_says_it_all(place: str) -> None:
    """Settings come back from the URL that they make, unchanged."""
    settings = S3Settings.parse(place)
    assert S3Settings.parse(settings.url) == settings and settings.url == place and not settings.s3


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("gs://papers/x?region=eu", "no setting 'region'; use bandwidth, endpoint"),
        ("gs://papers/x?sse=AES256", "no setting 'sse'"),
        ("az://papers/x?profile=me", "no setting 'profile'"),
        ("az://papers/x?account=Not.A/Name", "storage account"),
        ("az://papers/../x", "plain names"),
        ("abfs://papers/x", "not the URL"),
        ("az://acme:hunter2@papers/x", "no place for keys.*AZURE_STORAGE_ACCOUNT_KEY"),
        ("az://papers/x?sas_token=hunter2", "no place for keys"),
        ("gs://papers/x?service_account_secret=hunter2", "no place for keys.*GOOGLE_APPLICATION_CREDENTIALS"),
    ],
)
def test_what_a_url_cannot_say(place: str, said: str) -> None:
    """What belongs to another service, or is a secret, is refused, and not repeated."""
    with pytest.raises(InvalidInput, match=said) as told:
        S3Settings.parse(place)
    assert "hunter2" not in str(told.value)


def test_who_asks(azure_server: Azure, az_url: str, gs_url: str, google_server: Google,
                  monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    """Without an account, with a key that is none: an error. Another key opens nothing, and none shows anywhere."""
    caplog.set_level(logging.DEBUG)
    shown = []
    for place in (az_url, gs_url):
        store = S3Layout.create(place, name="main", catalog="x")
        shown += [repr(store), repr(store.settings), repr(store.bucket), store.settings.url]
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "QUJD")
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "another")
    for place in (az_url, gs_url):
        with pytest.raises(StoreUnreachable) as told:
            Bucket.head(CloudBucket(S3Settings.parse(place)), "x")
        shown.append(str(told.value))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "no base64!")
    with pytest.raises(InvalidInput, match="AZURE_STORAGE_ACCOUNT_KEY"):
        CloudBucket(S3Settings.parse(az_url)).head("x")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    with pytest.raises(InvalidInput, match="account=NAME"):
        CloudBucket(S3Settings.parse(az_url)).head("x")
    assert not [text for text in [*shown, caplog.text] if azure_server.key in text or google_server.token in text]


def test_a_link_for_a_while(az_url: str, tmp_path: Path) -> None:
    """Whoever has it reads the object without keys; with one letter changed it opens nothing."""
    store = S3Layout.create(az_url, name="main", catalog="x")
    send(store, tmp_path, b"a document")
    link = store.presigned(cas_key(digest_of(b"a document")), timedelta(minutes=5))
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"a document"
    spoiled = link.replace("&sig=", "&sig=0", 1)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(spoiled)
