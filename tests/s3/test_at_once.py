"""Over a long way what counts is how many requests are under way at once; memory says how many there may be."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.acts import batch
from catalogkit.layouts import cas_key
from catalogkit.policies import prices
from catalogkit.stores.contract import Asked
from catalogkit.stores.s3 import multipart, reading
from catalogkit.stores.s3 import store as store_module
from catalogkit.stores.s3.room import Room
from catalogkit.stores.s3.store import S3Layout, Sent
from tests.conftest import make_tree
from tests.plans.scene import digest_of
from tests.s3.proxy import proxied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.s3.proxy import Proxy
    from tests.s3.server import Server

# The smallest part that servers take.
PART = 5 << 20
# So many requests boto3 has under way for a large file.
TEN = 10


@pytest.fixture
def proxy(s3_server: Server) -> Iterator[Proxy]:
    """A proxy before the server that can hold requests until others are there."""
    with proxied(s3_server.url, s3_server.client()) as running:
        yield running


@pytest.fixture
def store(proxy: Proxy, s3_url: str) -> S3Layout:
    """A store that is reached through it."""
    return S3Layout.create(f"{s3_url}?endpoint={proxy.url}", name="main", catalog="the catalog")


def files(folder: Path, *contents: bytes) -> list[Sent]:
    sent = []
    for number, content in enumerate(contents):
        (folder / str(number)).write_bytes(content)
        digest = digest_of(content)
        sent.append(Sent(cas_key(digest), str(folder / str(number)), digest, len(content)))
    return sent


def test_parts_of_a_large_file(store: S3Layout, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many are sent at once as boto3 sends, and memory for one more is there: the next one is read meanwhile."""
    most = multipart.IN_FLIGHT_BYTES // multipart.PART_BYTES - 1
    assert most >= TEN
    monkeypatch.setattr(multipart, "PART_BYTES", PART)
    monkeypatch.setattr(multipart, "IN_FLIGHT_BYTES", (most + 1) * PART)
    held = proxy.meet(most, "PUT", "partNumber=")
    (entry,) = files(tmp_path, os.urandom(7) + bytes(most * PART))
    assert store.send([entry])[0]
    assert held.done == most and proxy.meeting and not proxy.meeting.broken
    assert store.holds(entry.key, entry.digest)


def test_ranges_of_a_large_document(
    store: S3Layout, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as there is room for are fetched at once."""
    assert reading.AHEAD >= TEN
    monkeypatch.setattr(reading, "RANGE_BYTES", 1000)
    content = os.urandom(1000 * (reading.AHEAD + 2))
    (entry,) = files(tmp_path, content)
    assert store.send([entry])[0]
    with store.open(entry.key) as file:
        held = proxy.meet(reading.AHEAD, "GET", "cas/")
        assert file.read() == content
    assert held.done == reading.AHEAD and proxy.meeting and not proxy.meeting.broken


@pytest.mark.parametrize("verb", ["PUT", "HEAD", "GET"])
def test_small_documents(store: S3Layout, proxy: Proxy, tmp_path: Path, verb: str) -> None:
    """Sent, looked at, or compared: many at once, for nearly all of each is waiting."""
    count = reading.EXAMINERS if verb == "GET" else store_module.AT_ONCE
    assert count > TEN
    entries = files(tmp_path, *(b"%d" % number for number in range(count)))
    if verb != "PUT":
        assert all(store.send(entries))
    held = proxy.meet(count, verb, "cas/")
    found: list[Any] = (
        store.send(entries)
        if verb == "PUT"
        else store.stats([one.key for one in entries])
        if verb == "HEAD"
        else store.examiner()([Asked(one.key, one.digest, one.bytes) for one in entries])
    )
    assert len(found) == count and all(found)
    assert held.done == count and proxy.meeting and not proxy.meeting.broken


def test_uploads_share_memory(store: S3Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that fit into it together go at once, others in turn: whole files and those in parts."""
    room = Room(3000)
    monkeypatch.setattr(multipart, "_room", room)
    busy, most, lock = 0, 0, threading.Lock()
    put = store.bucket.put

    def counted(key: str, data: Any, *, create: bool) -> None:
        nonlocal busy, most
        with lock:
            busy += len(data)
            most = max(most, busy)
        assert room.free <= 3000 - busy
        put(key, data, create=create)
        with lock:
            busy -= len(data)

    monkeypatch.setattr(store.bucket, "put", counted)
    assert all(store.send(files(tmp_path, *(os.urandom(900 + number) for number in range(12)))))
    assert 900 < most <= 3000 and room.free == 3000


@pytest.mark.parametrize("verb", ["PUT", "GET"])
def test_documents_that_are_moved(
    store: S3Layout,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_collection: Callable[..., Collection],
    verb: str,
) -> None:
    """A plan sends, or fetches, several at once before it writes down what it did."""
    monkeypatch.setattr(batch, "REMOTE_AT_ONCE", 5)
    collection = make_collection()
    ck.add_store(collection, "cloud", store.settings.url.replace("?", "-2?"))
    ck.ingest(collection, make_tree(tmp_path / "source", {str(n): b"%d" % n for n in range(5)}), resolver="test")
    if verb == "GET":
        assert ck.apply(collection, ck.plan_relocate(collection, "cloud"), unapproved=True, max_share=1.0).done
    to, source = ("cloud", "main") if verb == "PUT" else ("main", "cloud")
    plan = ck.plan_relocate(collection, to, source=source)
    held = proxy.meet(5, verb, "cas/")
    done = ck.apply(collection, plan, unapproved=True, max_share=1.0)
    assert (done.failed, held.done) == (0, 5) and proxy.meeting and not proxy.meeting.broken


def test_a_price_counts_the_requests() -> None:
    """What a check is said to cost is what it does."""
    assert prices.RANGE_BYTES == reading.RANGE_BYTES
