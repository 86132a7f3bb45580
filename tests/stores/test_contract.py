"""What every store promises to those who read from it."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.errors import StoreError, StoreUnreachable
from catalogkit.layouts import cas_key
from catalogkit.model import Digest, Outcome
from catalogkit.stores.contract import Asked, Store
from catalogkit.stores.local import LocalStore, Publication, ReferenceStore
from catalogkit.stores.memory import MemoryStore
from catalogkit.stores.reading import BUFFER_BYTES
from catalogkit.stores.s3.store import S3Layout, Sent

if TYPE_CHECKING:
    from tests.s3.server import Server

CONTENTS = {
    "empty": b"",
    "small": b"a small document",
    "one buffer": b"x" * BUFFER_BYTES,
    "more": b"0123456789" * (BUFFER_BYTES // 4),
}


@dataclass
class Given:
    """A store to test: how bytes get into it, and how it goes away."""

    store: Store
    put: Callable[[bytes], str]
    lose: Callable[[], None]
    spoil: Callable[[str, bytes | None], None]
    """Puts other bytes, or nothing, in the place of a key."""


def local(folder: Path) -> Given:
    """A folder of ours."""
    store = LocalStore.create(folder / "store", name="main", catalog="the catalog")

    def put(content: bytes) -> str:
        key = cas_key(digest_of(content))
        (folder / "temp").write_bytes(content)
        store.publish([Publication(key, str(folder / "temp"))])
        (folder / "temp").unlink()
        return key

    return Given(store, put, lambda: shutil.move(store.root, folder / "elsewhere"), partial(spoil, store))


def in_place(folder: Path) -> Given:
    """Files in their owner's hands."""
    store = ReferenceStore()
    home = folder / "home"
    home.mkdir()

    def put(content: bytes) -> str:
        path = home / hashlib.sha256(content).hexdigest()
        path.write_bytes(content)
        return store.key(str(path))

    return Given(store, put, lambda: shutil.move(home, folder / "elsewhere"), partial(spoil, store))


def in_memory(folder: Path) -> Given:
    """No folder at all."""
    store = MemoryStore()

    def put(content: bytes) -> str:
        key = cas_key(digest_of(content))
        store.objects[key] = content
        return key

    def spoil(key: str, content: bytes | None) -> None:
        store.objects.pop(key)
        if content is not None:
            store.objects[key] = content

    return Given(store, put, lambda: store.faults.update({"": "unplugged"}), spoil)


def in_a_bucket(folder: Path, url: str, server: Server) -> Given:
    """Objects of a real server."""
    store, client = S3Layout.create(url, name="bucket", catalog="the catalog"), server.client()

    def spoil(key: str, content: bytes | None) -> None:
        client.delete_object(Bucket="tests", Key=store.settings.key(key))
        if content is not None:
            client.put_object(Bucket="tests", Key=store.settings.key(key), Body=content)

    def lose() -> None:
        client.delete_object(Bucket="tests", Key=store.settings.key(".catalogkit/store.json"))

    return Given(store, partial(send, store, folder / "source"), lose, spoil)


def in_a_cloud(folder: Path, url: str) -> Given:
    """Objects of a service that does not speak S3."""
    store = S3Layout.create(url, name="bucket", catalog="the catalog")

    def spoil(key: str, content: bytes | None) -> None:
        assert store.bucket.delete(key)
        if content is not None:
            store.bucket.put(key, content, create=True)

    put, lose = partial(send, store, folder / "source"), partial(store.bucket.delete, ".catalogkit/store.json")
    return Given(store, put, lose, spoil)


def at_google(folder: Path, url: str) -> Given:
    """Objects of Google's, as far as a double goes."""
    return in_a_cloud(folder, url)


def at_azure(folder: Path, url: str) -> Given:
    """Objects of Azure's, at Azurite."""
    return in_a_cloud(folder, url)


def spoil(store: LocalStore | ReferenceStore, key: str, content: bytes | None) -> None:
    Path(store.path(key)).unlink()
    if content is not None:
        Path(store.path(key)).write_bytes(content)


def send(store: S3Layout, source: Path, content: bytes) -> str:
    """Send `content` by way of the file `source`; its key."""
    key = cas_key(digest_of(content))
    source.write_bytes(content)
    (shown,) = store.send([Sent(key, str(source), digest_of(content), len(content))])
    assert shown
    return key


def digest_of(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).digest())


def asked(key: str, content: bytes) -> Asked:
    return Asked(key, digest_of(content), len(content))


BUCKETS = [in_a_bucket, at_google, at_azure]


@pytest.fixture(params=[local, in_place, in_memory, *BUCKETS], ids=lambda factory: factory.__name__)
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Given:
    if request.param is in_a_bucket:
        return in_a_bucket(tmp_path, request.getfixturevalue("s3_url"), request.getfixturevalue("s3_server"))
    if request.param in BUCKETS:
        return request.param(tmp_path, request.getfixturevalue("gs_url" if request.param is at_google else "az_url"))
    return request.param(tmp_path)


@pytest.mark.parametrize("name", CONTENTS)
def test_what_was_put_is_read(given: Given, name: str) -> None:
    """Stat, open and examine agree on content of any size."""
    content = CONTENTS[name]
    key = given.put(content)
    about = given.store.stat(key)
    assert about is not None and (about.key, about.bytes) == (key, len(content))
    with given.store.open(key) as file:
        assert file.read() == content
    (found,) = given.store.examiner()([asked(key, content)])
    assert (found.outcome, found.bytes) == (Outcome.OK, len(content))


@pytest.mark.parametrize("other", [b"a small documenT", b"", b"a small document and more", b"y" * (BUFFER_BYTES + 1)])
def test_other_bytes_are_corrupt(given: Given, other: bytes) -> None:
    """Whatever else lies at a key, of the same length or not, is found corrupt and said to be."""
    key = given.put(CONTENTS["small"])
    given.spoil(key, other)
    (found,) = given.store.examiner()([asked(key, CONTENTS["small"])])
    assert found.outcome is Outcome.CORRUPT and found.detail


def test_results_come_in_the_order_of_the_questions(given: Given) -> None:
    """A batch over several folders, with copies that are missing between good ones, is answered one by one."""
    contents = [b"%d" % number for number in range(30)]
    questions = [asked(given.put(content), content) for content in contents]
    given.spoil(questions[7].key, None)
    outcomes = [found.outcome for found in given.store.examiner()(questions)]
    assert outcomes[7] is Outcome.MISSING
    assert set(outcomes[:7] + outcomes[8:]) == {Outcome.OK}


def test_nothing_there(given: Given) -> None:
    """Where nothing lies, stat says None and open says so in an error of ours."""
    key = given.put(b"something")
    given.spoil(key, None)
    assert given.store.stat(key) is None
    with pytest.raises(StoreError, match="nothing lies"):
        given.store.open(key)


def test_hazard_41_a_store_that_cannot_be_reached_has_lost_nothing(given: Given) -> None:
    """Once the place is gone, no copy is called good, and either the store or each copy is reported as unknown."""
    key = given.put(b"something")
    given.lose()
    try:
        given.store.reach()
    except StoreUnreachable:
        return
    (found,) = given.store.examiner()([asked(key, b"something")])
    assert found.outcome is Outcome.UNKNOWN


def test_an_examiner_can_be_sent_to_another_process(given: Given) -> None:
    """What reads copies survives pickling, and finds the same."""
    key = given.put(b"something")
    examine = pickle.loads(pickle.dumps(given.store.examiner()))
    assert [found.outcome for found in examine([asked(key, b"something"), asked(key, b"else")])] == ["ok", "corrupt"]


@pytest.mark.parametrize("given", [local, in_memory, *BUCKETS], indirect=True)
def test_keys_come_in_order_and_by_prefix(given: Given) -> None:
    """Every key is listed once, in the order of its text; a prefix leaves out the rest."""
    keys = sorted(given.put(b"%d" % number) for number in range(300))
    assert list(given.store.keys()) == keys
    for prefix in ("cas/", "cas/4", "cas/41/", keys[10], "docs/", "ca", "x"):
        assert list(given.store.keys(prefix)) == [key for key in keys if key.startswith(prefix)], prefix


@pytest.mark.parametrize("given", [local, *BUCKETS], indirect=True)
def test_what_lies_at_a_key_is_told_by_reading(given: Given) -> None:
    """Digest, length, media type and looks come from the bytes themselves, in order; what is gone is said so."""
    assert isinstance(given.store, LocalStore | S3Layout)
    contents = [*CONTENTS.values(), b"%PDF-1.7 and so on"]
    keys = [given.put(content) for content in contents]
    found = pickle.loads(pickle.dumps(given.store.identifier()))(keys)
    assert [one.digest for one in found] == [digest_of(content) for content in contents]
    assert [one.bytes for one in found] == [len(content) for content in contents]
    assert [one.media_type for one in found][-2:] == ["text/plain", "application/pdf"]
    looks = [given.store.look(key) for key in keys]
    assert [(one.inode, one.mtime_ns) for one in found] == [(look.inode, look.mtime_ns) for look in looks if look]
    given.spoil(keys[1], None)
    one, two = given.store.identifier()(keys[1:3])
    assert one.digest is None and one.problem and two.digest == digest_of(contents[2])


def test_a_look_reads_nothing(given: Given) -> None:
    """What lies at a key is told by its looks, which agree with its stat; where nothing lies, that."""
    key = given.put(CONTENTS["small"])
    look, about = given.store.look(key), given.store.stat(key)
    assert look is not None and about is not None
    assert (look.kind, look.bytes, look.names) == ("file", about.bytes, 1)
    assert (look.mtime_ns, look.inode) == (about.mtime_ns, about.inode)
    given.spoil(key, None)
    assert given.store.look(key) is None


def test_a_survey_lists_what_is_ours(given: Given) -> None:
    """Every file under a key is listed once, as ours; what stays in its owner's folders is none of the store's."""
    keys = {given.put(b"%d" % number) for number in range(5)}
    seen = list(given.store.survey())
    if isinstance(given.store, ReferenceStore):
        assert seen == []
    else:
        assert len(seen) == 5 and {(one.key, one.kind, one.ours) for one in seen} == {(k, "file", True) for k in keys}


def test_workers_read(given: Given) -> None:
    """The executor that a store proposes runs its examiner."""
    key = given.put(b"something")
    with given.store.executor(2, 10, 1000) as workers:
        (found,) = workers.submit(given.store.examiner(), [asked(key, b"something")]).result()
    assert found.outcome is Outcome.OK


def test_a_place_has_a_name(given: Given) -> None:
    """A person is told a place by text that can be printed."""
    assert given.store.describe(given.put(b"something")).isprintable()


def test_memory_store_faults_are_unknown() -> None:
    """A key with a fault cannot be opened and is unknown, neither missing nor corrupt; its neighbours are fine."""
    store = MemoryStore({"a": b"1", "b": b"2"}, faults={"a": "time-out"})
    found = store.examiner()([asked("a", b"1"), asked("b", b"2"), asked("c", b"3")])
    assert [one.outcome for one in found] == [Outcome.UNKNOWN, Outcome.OK, Outcome.MISSING]
    assert "time-out" in found[0].detail
    with pytest.raises(StoreUnreachable, match="time-out"):
        store.open("a")
