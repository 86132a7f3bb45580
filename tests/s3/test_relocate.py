"""Several stores in one collection, and moving between them: there and back, kept, refused, cut short, taken back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.audit_codes import Code
from catalogkit.errors import InvalidInput, StoreMismatch
from catalogkit.plan import Plan
from catalogkit.stores.s3.multipart import WHOLE_BYTES
from catalogkit.stores.s3.store import S3Layout
from tests.conftest import Clock, make_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection
    from tests.s3.server import Server

FILES = {"a.txt": b"one", "b.txt": b"two", "again.txt": b"one", "empty": b"", "large": b"0123456789abcdef" * (1 << 17)}
GO: dict[str, Any] = {"unapproved": True}


@pytest.fixture
def clock() -> Clock:
    """A clock that is later than the server's, whatever day it is."""
    return Clock(datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def both(make_collection: Callable[..., Collection], s3_url: str, source: Path) -> Collection:
    """A collection in a folder, filled, that has a bucket as well."""
    collection = make_collection()
    ck.add_store(collection, "cloud", s3_url)
    ck.ingest(collection, make_tree(source, FILES), resolver="test")
    return collection


def cloud_of(collection: Collection) -> S3Layout:
    """The bucket."""
    (found,) = [store for store in collection.stores.values() if isinstance(store, S3Layout)]
    return found


def where(collection: Collection) -> dict[str, int]:
    """How many copies each store has, by the catalog."""
    return dict(collection.frame("locations").group_by("store").len().iter_rows())


def sound(collection: Collection, documents: int = 5) -> None:
    """Every document can be read and every copy proved; nothing lies where it should not."""
    checked = ck.verify(collection)
    assert checked.clean and checked.ok == collection.frame("locations").height
    found = ck.audit(collection, sample_rate=1.0)
    assert found.complete and not found.findings
    assert len([collection.read(number) for number in collection.frame("documents")["id"]]) == documents


def test_there_and_back(both: Collection) -> None:
    """Folder to bucket to folder: after each plan every byte lies in one place only, and is right."""
    there = ck.apply(both, ck.plan_relocate(both, "cloud"), **GO)
    assert (there.failed, there.skipped, there.removed) == (0, 0, 4)
    assert where(both) == {"cloud": 4} and list(both.store.keys()) == []
    sound(both)
    again = ck.plan_relocate(both, "cloud")
    assert again.units == 0
    back = ck.apply(both, ck.plan_relocate(both, "main", source="cloud"), **GO)
    assert (back.failed, back.skipped, back.removed) == (0, 0, 4)
    assert where(both) == {"main": 4} and list(cloud_of(both).keys()) == []
    sound(both)


def test_a_second_copy_is_kept(both: Collection, s3_server: Server) -> None:
    """With `keep` both stores have all; either one repairs the other, and purging a document takes both copies."""
    assert ck.apply(both, ck.plan_relocate(both, "cloud", keep=True), **GO).failed == 0
    assert where(both) == {"main": 4, "cloud": 4} and ck.plan_relocate(both, "cloud", keep=True).units == 0
    sound(both)
    cloud = cloud_of(both)
    keys = list(cloud.keys())
    s3_server.client().put_object(Bucket="tests", Key=cloud.settings.key(keys[0]), Body=b"rotten")
    s3_server.client().delete_object(Bucket="tests", Key=cloud.settings.key(keys[1]))
    Path(both.store.path(keys[2])).unlink()  # type: ignore[union-attr]
    assert not ck.verify(both).clean
    done = ck.apply(both, ck.plan_repair(both), **GO)
    assert done.failed == 0
    assert ck.verify(both).clean and where(both) == {"main": 4, "cloud": 4}
    assert [cloud.open(one.key).read() for one in cloud.quarantined()] == [b"rotten"]


def test_what_was_moved_can_be_taken_back(both: Collection) -> None:
    """Undoing a move makes the copies here anew, and gives up those there."""
    plan = ck.plan_relocate(both, "cloud")
    assert ck.apply(both, plan, **GO).failed == 0
    done = ck.apply(both, ck.plan_undo(both, plan.id), unapproved=True, max_share=1.0)
    assert done.failed == 0 and where(both) == {"main": 4}
    sound(both)


def test_garbage_is_purged_in_both(both: Collection, clock: Clock) -> None:
    """A blob that nothing needs any more loses its copy in the bucket as well as the one in the folder."""
    ck.apply(both, ck.plan_relocate(both, "cloud", keep=True), **GO)
    (wanted,) = both.find(artifact_id="b.txt")["id"].to_list()
    for make in (lambda: ck.plan_forget(both, [wanted]), lambda: ck.plan_gc(both)):
        ck.apply(both, make(), unapproved=True, max_share=1.0)
    clock.advance(days=30)
    assert ck.apply(both, ck.plan_purge(both), unapproved=True, max_share=1.0).removed == 2
    assert where(both) == {"main": 3, "cloud": 3}
    sound(both, 4)


def test_a_copy_is_given_up_only_once_the_other_was_read(both: Collection, s3_server: Server) -> None:
    """A copy in the bucket that is wrong, though it looks as recorded, costs nothing here."""
    ck.apply(both, ck.plan_relocate(both, "cloud", keep=True), **GO)
    plan, cloud = ck.plan_relocate(both, "cloud"), cloud_of(both)
    for key in list(cloud.keys()):
        s3_server.client().put_object(Bucket="tests", Key=cloud.settings.key(key), Body=b"rotten")
    done = ck.apply(both, plan, **GO)
    assert done.removed == 0 and len(list(both.store.keys())) == 4


def test_new_bytes_go_to_the_store_in_use(both: Collection, source: Path) -> None:
    """New documents go to the bucket; what lay in the folder is found there, also when opened again."""
    ck.use_store(both, "cloud")
    ck.ingest(both, make_tree(source, {"new": b"new"}), resolver="test")
    assert where(both) == {"main": 4, "cloud": 1}
    sound(both, 6)
    with ck.open(both.path, clock=both.clock) as again:
        assert again.store.name == "cloud" and {store.name for store in again.stores.values()} == {"main", "cloud"}
    ck.use_store(both, "main")
    assert both.store.name == "main"
    text = (both.path / "catalogkit.toml").read_text()
    assert text.count("[store]") == 1 and text.count("[stores]") == 1


def test_refusals(both: Collection, s3_url: str) -> None:
    """Names that are taken, hostile or unknown, and places that are no stores, change nothing."""
    before = (both.path / "catalogkit.toml").read_text()
    for name, url in (
        ("cloud", f"{s3_url}-2"),
        ("A b", "file:x"),
        ("x", "ftp://x"),
        ("y", "s3://tests/x?secret_key=1"),
    ):
        with pytest.raises(InvalidInput):
            ck.add_store(both, name, url)
    with pytest.raises(StoreMismatch):
        ck.add_store(both, "mine", s3_url)
    for to, source in (("nowhere", None), ("main", None), ("cloud", "in-place")):
        with pytest.raises(InvalidInput):
            ck.plan_relocate(both, to, source=source)
    with pytest.raises(InvalidInput):
        ck.use_store(both, "nowhere")
    assert (both.path / "catalogkit.toml").read_text() == before


VICTIM = """
import itertools, os, signal, sys
from datetime import datetime
import catalogkit as ck
from catalogkit.plan import Plan
from catalogkit.stores.s3.bucket import Bucket
from catalogkit.stores.s3.clouds import CloudBucket

path, last, now, verb, what = sys.argv[1:]
calls = itertools.count()
def counted(method):
    def call(self, *args, **kwargs):
        if next(calls) >= int(last):
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *args, **kwargs)
    return call
for kind in (Bucket, CloudBucket):
    for name in {"put", "delete", "copy", "put_parts"} & set(vars(kind)):
        setattr(kind, name, counted(vars(kind)[name]))
with ck.open(path, clock=lambda: datetime.fromisoformat(now)) as c:
    if verb == "ingest":
        ck.ingest(c, what, resolver="test")
    else:
        ck.apply(c, Plan.load(what), unapproved=True, max_share=1.0)
"""


def kill_after(collection: Collection, calls: int, *words: str) -> int:
    """Run something in a process that dies before its next change of the bucket; its exit code."""
    command = [sys.executable, "-c", VICTIM, str(collection.path), str(calls), collection.now().isoformat(), *words]
    return subprocess.run(command, check=False, capture_output=True, timeout=120).returncode


@pytest.mark.parametrize("calls", [1, *(pytest.param(number, marks=pytest.mark.stress) for number in (0, 2, 3, 4))])
def test_killed_while_moving(both: Collection, calls: int) -> None:
    """Whichever change of the bucket was the last, every document can be read, and the same plan goes on to its end."""
    path = ck.plan_relocate(both, "cloud").save(both.path / "plans")
    code = kill_after(both, calls, "apply", str(path))
    assert code == (-signal.SIGKILL if calls < 4 else 0)
    assert [both.read(number) for number in both.frame("documents")["id"]] and ck.verify(both).clean
    assert ck.apply(both, Plan.load(path), **GO).failed == 0
    assert where(both) == {"cloud": 4}
    sound(both)


@pytest.mark.parametrize("calls", [1, *(pytest.param(number, marks=pytest.mark.stress) for number in (0, 2))])
def test_killed_while_purging(both: Collection, clock: Clock, calls: int) -> None:
    """What was to go may be gone or there; nothing else is, and the same plan goes on to its end."""
    ck.apply(both, ck.plan_relocate(both, "cloud"), **GO)
    gone = both.find(artifact_id="b.txt")["id"].to_list() + both.find(artifact_id="empty")["id"].to_list()
    gone += both.find(artifact_id="large")["id"].to_list()
    for make in (lambda: ck.plan_forget(both, gone), lambda: ck.plan_gc(both)):
        ck.apply(both, make(), unapproved=True, max_share=1.0)
    clock.advance(days=30)
    plan = ck.plan_purge(both)
    path = plan.save(both.path / "plans")
    assert kill_after(both, calls, "apply", str(path)) == -signal.SIGKILL
    assert sorted(both.read(number) for number in both.frame("documents")["id"]) == [b"one", b"one"]
    assert ck.apply(both, plan, unapproved=True, max_share=1.0).failed == 0
    sound(both, 2)
    assert len(list(cloud_of(both).keys())) == 1


@pytest.mark.parametrize("calls", [2, *(pytest.param(number, marks=pytest.mark.stress) for number in (0, 1, 3))])
def test_killed_while_taking_in(both: Collection, tmp_path: Path, calls: int) -> None:
    """What was uploaded is completed by the next ingest, the rest taken in by it; nothing strays."""
    ck.use_store(both, "cloud")
    more = make_tree(tmp_path / "more", {f"{number}": b"more %d" % number for number in range(4)})
    assert kill_after(both, calls, "ingest", str(more)) == -signal.SIGKILL
    report = ck.ingest(both, more, resolver="test")
    assert report.failed == 0 and report.ingested + report.skipped == 4
    sound(both, 9)


def test_a_large_upload_that_was_killed_is_taken_up_again(
    both: Collection, tmp_path: Path, s3_server: Server, clock: Clock
) -> None:
    """Parts that are there are not sent twice; what nobody takes up is swept once its lease is over."""
    script = (
        "import os, signal, sys\n"
        "import catalogkit as ck\n"
        "from catalogkit.stores.s3 import multipart\n"
        "complete = multipart._Parts._complete\n"
        "multipart._Parts._complete = lambda self, **how: os.kill(os.getpid(), signal.SIGKILL)\n"
        "with ck.open(sys.argv[1]) as c:\n"
        "    ck.ingest(c, sys.argv[2], resolver='test')\n"
    )
    ck.use_store(both, "cloud")
    large = make_tree(tmp_path / "more", {"larger": os.urandom(WHOLE_BYTES + 5)})
    command = [sys.executable, "-c", script, str(both.path), str(large)]
    assert subprocess.run(command, check=False, timeout=120).returncode == -signal.SIGKILL
    cloud, client = cloud_of(both), s3_server.client()
    (left,) = cloud.scratches()
    assert "cas/" in cloud.scratch_path(left[0])
    before = client.list_multipart_uploads(Bucket="tests", Prefix=cloud.settings.prefix)["Uploads"]
    sent: list[int] = []
    upload_part = cloud.bucket.api.upload_part
    cloud.bucket.api.upload_part = lambda **how: (sent.append(how["PartNumber"]), upload_part(**how))[1]
    clock.now = datetime.now(UTC)  # within its lease, an upload may be somebody's who lives
    assert ck.ingest(both, large, resolver="test").ingested == 1
    assert len(before) == 1 and sent == [] and cloud.scratches() == []
    assert subprocess.run(
        [*command[:-1], str(make_tree(tmp_path / "x", {"x": os.urandom(WHOLE_BYTES + 5)}))], check=False
    )
    (left,) = cloud.scratches()
    clock.advance(hours=1)
    assert Code.LEFT_TEMPORARY in {one.code for one in ck.audit(both).findings}
    ck.ingest(both, make_tree(tmp_path / "y", {"y": b"y"}), resolver="test")
    assert cloud.scratches() == []
