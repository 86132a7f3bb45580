"""Backups in a bucket of a real server: made, listed, proved, come back from, thinned, one writer at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalogkit.backups import bucket as bucket_module
from catalogkit.backups import making, repository
from catalogkit.backups.bucket import LOCK, BucketTarget
from catalogkit.backups.drilling import drill
from catalogkit.backups.listing import list_backups
from catalogkit.backups.making import backup_catalog
from catalogkit.backups.recovering import find_backup, recover_from_backup
from catalogkit.backups.target import target_of
from catalogkit.backups.thinning import thin_backups
from catalogkit.cli import main
from catalogkit.collection import open_collection
from catalogkit.errors import CatalogBusy, CatalogKitError, StoreError
from catalogkit.ingest import ingest
from catalogkit.planners.thin import Keep
from catalogkit.stores.s3 import multipart
from tests.conftest import make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.conftest import Clock
    from tests.s3.server import Server

FILES = {"a.txt": b"one", "b.txt": b"two", "deep/c.txt": b"three" * 1000}


@pytest.fixture
def filled(make_collection: Callable[..., Collection], source: Path) -> Collection:
    """A collection with three documents."""
    collection = make_collection()
    ingest(collection, make_tree(source, FILES), resolver="test")
    return collection


def test_a_backup_comes_back_from_a_bucket(filled: Collection, s3_url: str, clock: Clock, source: Path) -> None:
    """Made, made again with little more, proved, and, once the catalog is lost, the whole catalog again."""
    first = backup_catalog(s3_url, collection=filled, copy_bytes=True)
    clock.advance(hours=1)
    ingest(filled, make_tree(source, {"d.txt": b"four"}), resolver="test")
    second = backup_catalog(s3_url, True, collection=filled, copy_bytes=True)
    assert (first.record_count, second.record_count, second.copied_bytes) == (3, 4, 4)
    assert second.written_bytes < first.written_bytes
    assert [one.name for one in list_backups(s3_url, collection=filled)] == [first.name, second.name]
    assert drill(s3_url, collection=filled).ok and drill(first.path, collection=filled).sample_ok == 3
    documents = filled.frame("documents")
    catalog = filled.path / "catalog.sqlite"
    filled.close()
    for left in filled.path.glob("catalog.sqlite*"):
        left.unlink()
    assert recover_from_backup(s3_url, catalog).changes["only in the backup"] == 4
    recover_from_backup(second.path, catalog, dry_run=False)
    with open_collection(filled.path, clock=clock) as again:
        assert again.frame("documents").equals(documents)


def test_thinning_removes_what_no_rule_keeps(filled: Collection, s3_url: str, clock: Clock) -> None:
    """The older of two goes; the later one, which shares pieces with it, stays whole."""
    backup_catalog(s3_url, collection=filled)
    clock.advance(hours=1)
    filled.catalog.touch([1], as_of=clock())
    second = backup_catalog(s3_url, collection=filled)
    keep = Keep(last=1, daily=0, weekly=0, monthly=0)
    done = thin_backups(target_of(s3_url), keep, collection=filled, as_of=clock())
    assert len(done.removed) == 1
    assert [one.name for one in list_backups(s3_url)] == [second.name] and drill(s3_url, collection=filled).ok


@pytest.mark.parametrize("how", ["flipped", "cut off", "gone"])
def test_damage_in_a_bucket_is_found(
    filled: Collection, s3_url: str, s3_server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Any object of a backup with a flipped byte, its end cut off, or gone: nothing comes back."""
    monkeypatch.setattr(making, "CHUNK_BYTES", 1 << 17)
    backup_catalog(s3_url, collection=filled)
    clock.advance(hours=1)
    filled.catalog.touch([1], as_of=clock())
    made = backup_catalog(s3_url, collection=filled)
    target, client, chance = target_of(s3_url), s3_server.client(), Random(how)
    needed = [f"{made.name}/manifest.json", *(f"pieces/{one}" for one in repository.load(target, made.name).pieces)]
    assert len(needed) > 4
    for key in needed:
        at, content = {"Bucket": "tests", "Key": f"{s3_url.rpartition('/')[2]}/{key}"}, target.get(key)
        place = chance.randrange(len(content))
        if how == "gone":
            client.delete_object(**at)
        else:
            flipped = content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]
            client.put_object(**at, Body=flipped if how == "flipped" else content[:place])
        with pytest.raises(CatalogKitError):
            recover_from_backup(made.path, filled.path / "elsewhere.sqlite", dry_run=False)
        assert not list(filled.path.glob("elsewhere*"))
        if key == needed[-1]:
            assert not drill(s3_url, collection=filled).ok
        client.put_object(**at, Body=content)
    assert drill(s3_url, collection=filled).ok


# Ends as if by the kernel's hand at the so-manieth object that goes up, or comes down.
_KILLED = """
import os, signal, sys
from pathlib import Path
from catalogkit.backups import bucket
from catalogkit.backups.making import backup_catalog
from catalogkit.backups.recovering import find_backup, recover_from_backup
from catalogkit.collection import open_collection
from catalogkit.workers import Inline
words, home, url, left = sys.argv[1], Path(sys.argv[2]), sys.argv[3], [int(sys.argv[4])]
def dying(real):
    def act(*given):
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)
    return act
if words == "back up":
    bucket.BucketTarget.put = dying(bucket.BucketTarget.put)
    backup_catalog(url, collection=open_collection(home), executor=Inline())
else:
    bucket.BucketTarget.get = dying(bucket.BucketTarget.get)
    recover_from_backup(url, home / "catalog.sqlite", dry_run=False)
"""


def killed(words: str, home: Path, url: str, at: int) -> bool:
    """Whether a process that does so was killed before it was done."""
    command = [sys.executable, "-c", _KILLED, words, str(home), url, str(at)]
    code = subprocess.run(command, check=False, stderr=subprocess.PIPE).returncode
    assert code in (0, -9)
    return code == -9


@pytest.mark.parametrize("words", ["back up", "recover"])
def test_a_program_that_is_killed(filled: Collection, s3_url: str, source: Path, clock: Clock, words: str) -> None:
    """Killed at any object: no half backup is listed, earlier ones are whole; the catalog is the old or the new one."""
    first = backup_catalog(s3_url, collection=filled)
    old = filled.frame("documents")
    ingest(filled, make_tree(source, {"d.txt": b"four"}), resolver="test")
    new = filled.frame("documents")
    filled.close()
    at, through = 0, False
    while not through:
        at += 1
        through = not killed(words, filled.path, s3_url if words == "back up" else first.path, at)
        names = [one.name for one in list_backups(s3_url)]
        assert names[0] == first.name and len(names) == 1 + (through and words == "back up")
        assert all(find_backup(f"{s3_url}/{name}")[1].name == name for name in names)
        with open_collection(filled.path, clock=clock) as again:
            assert again.frame("documents").equals(old if through and words == "recover" else new)
    assert at > 2 and drill(s3_url).problems == []


def test_commands(
    filled: Collection, s3_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`backup`, `backups`, `drill` and `recover` take the URL of a bucket wherever they take a folder."""

    def run(*words: str) -> tuple[int, dict[str, object]]:
        monkeypatch.setattr(sys, "argv", ["catalogkit", "-C", str(filled.path), *words, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, json.loads(capsys.readouterr().out)  # type: ignore[return-value]

    code, made = run("backup", s3_url)
    assert code == 0 and str(made["path"]).startswith(s3_url)
    assert run("drill", s3_url)[0] == 0
    assert len(run("backups", s3_url)[1]["backups"]) == 1  # type: ignore[arg-type]
    code, found = run("recover", str(made["path"]))
    assert code == 2 and found["documents"] == 3 and not found["applied"]


def test_a_place_inside_the_store_is_refused(filled: Collection, s3_url: str) -> None:
    """Where keys would be taken for foreign objects of a store, backups are not made."""

    class Inside:
        kind, root = "s3", s3_url

    filled._stores[99] = Inside()  # type: ignore[assignment]
    with pytest.raises(ValueError, match="not safe"):
        making._apart(filled, f"{s3_url}/backups?region=x")


def test_a_lock_of_the_dead_is_taken_over(s3_url: str) -> None:
    """A program that was killed while it wrote keeps nobody out; one that lives does, whatever machine it runs on."""
    script = (
        "import os, signal, sys\n"
        "from catalogkit.backups.bucket import BucketTarget\n"
        "with BucketTarget(sys.argv[1]).locked():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    target = BucketTarget(s3_url)
    assert subprocess.run([sys.executable, "-c", script, s3_url], check=False).returncode == -9
    assert target.bucket.head(LOCK) is not None
    with target.locked():
        target.put("x", [b"x"])
    target.bucket.put(LOCK, b'{"owner": "another machine/1/x"}', create=True)
    with pytest.raises(CatalogBusy), target.locked():
        pass


def test_a_lock_that_nobody_renews_runs_out(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever held it on another machine is gone once it was not renewed for its lease, by the server's clock."""
    target = BucketTarget(s3_url)
    target.bucket.put(LOCK, b'{"owner": "another machine/1/x"}', create=True)
    now = target._now_ns()
    monkeypatch.setattr(BucketTarget, "_now_ns", lambda self: now + 1800 * 1_000_000_000)
    with target.locked():
        assert target.bucket.head(LOCK) is not None
    assert target.bucket.head(LOCK) is None


def test_a_lock_is_renewed(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is held, its object becomes younger again."""
    monkeypatch.setattr(bucket_module, "RENEWED", timedelta(seconds=0.2))
    target = BucketTarget(s3_url)
    with target.locked():
        first = target.bucket.head(LOCK)
        assert first is not None
        for _ in range(100):
            now = target.bucket.head(LOCK)
            if now is not None and now.mtime_ns > first.mtime_ns:
                break
            time.sleep(0.1)
        else:
            pytest.fail("it was not renewed")


def test_a_lock_that_was_lost_is_the_others(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever slept too long neither renews nor removes what another one holds by now, and goes no further."""
    monkeypatch.setattr(bucket_module, "RENEWED", timedelta(seconds=0.1))
    target, others = BucketTarget(s3_url), b'{"owner": "another machine/1/x"}'
    with pytest.raises(CatalogBusy, match="ran out"), target.locked():
        for _ in range(100):
            target.bucket.put(LOCK, others, create=False)
            time.sleep(0.1)
            target.settle("pieces")
    assert bytes(target.bucket.get(LOCK, 0, len(others))) == others


def test_a_large_put_is_one_object_or_none(s3_url: str, s3_server: Server) -> None:
    """What takes several parts shows whole, replaces whole, and leaves nothing where making it fails half-way."""
    target, part = BucketTarget(s3_url), bytes(range(256)) * 4096

    def parts(count: int, *, fail: bool = False) -> Iterator[bytes]:
        for _ in range(count):
            yield part
        if fail:
            raise StoreError("proved wrong at the last moment")

    assert target.put("large", parts(40)) == 40 * len(part)
    with pytest.raises(StoreError, match="proved wrong"):
        target.put("large", parts(40, fail=True))
    assert target.get("large") == part * 40
    assert list(multipart.dangling(target.bucket)) == []
    assert target.put("large", parts(2)) == 2 * len(part) and target.get("large") == part * 2
