"""Backups in a bucket of a real server: made, listed, proved, come back from, thinned, one writer at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from catalogkit.backups import bucket as bucket_module
from catalogkit.backups import making
from catalogkit.backups.bucket import LOCK, BucketTarget
from catalogkit.backups.drilling import drill
from catalogkit.backups.listing import list_backups
from catalogkit.backups.making import backup_catalog
from catalogkit.backups.recovering import recover_from_backup
from catalogkit.backups.target import target_of
from catalogkit.backups.thinning import thin_backups
from catalogkit.cli import main
from catalogkit.collection import open_collection
from catalogkit.errors import CatalogBusy, StoreError
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


def test_damage_in_a_bucket_is_found(filled: Collection, s3_url: str, s3_server: Server) -> None:
    """One flipped byte in any piece is told, and nothing comes back from it."""
    backup_catalog(s3_url, collection=filled)
    target, client = target_of(s3_url), s3_server.client()
    piece = target.keys("pieces")[0]
    spoiled = bytearray(target.get(piece))
    spoiled[len(spoiled) // 2] ^= 1
    client.put_object(Bucket="tests", Key=f"{s3_url.rpartition('/')[2]}/{piece}", Body=bytes(spoiled))
    assert not drill(s3_url, collection=filled).ok
    with pytest.raises(StoreError, match="damaged"):
        recover_from_backup(s3_url, filled.path / "elsewhere.sqlite")


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
