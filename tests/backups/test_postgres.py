"""A catalog on a server is backed up, proved, lost, and brought back: into a file first, then to a new database."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.audit_codes import Code
from catalogkit.backups.recovering import recover_from_backup
from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.cli import main
from catalogkit.collection import catalog_file, init, open_collection
from catalogkit.errors import InvalidInput
from tests.conftest import make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.conftest import Clock
    from tests.pg import Server

FILES = {"a.txt": b"one", "b.txt": b"two", "deep/c.txt": b"three" * 1000}
GO: dict[str, Any] = {"unapproved": True, "max_share": 1.0}


@pytest.fixture
def database(pg: Server) -> Iterator[Callable[[], str]]:
    """Makes empty databases."""
    made: list[str] = []

    def make() -> str:
        made.append(pg.database())
        return made[-1]

    yield make
    for url in made:
        pg.drop(url)


@pytest.fixture
def collection(tmp_path: Path, source: Path, database: Callable[[], str], clock: Clock) -> Iterator[Collection]:
    """A collection with three documents, whose catalog is on the server."""
    with init(tmp_path / "collection", catalog=database(), clock=clock) as made:
        ck.ingest(made, make_tree(source, FILES), resolver="test")
        yield made


def run(home: Path, *words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A command, and what it answers."""
    monkeypatch.setattr(sys, "argv", ["catalogkit", "-C", str(home), *words, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code in (None, 0, 2), said.err
    return json.loads(said.out)


def test_lost_and_brought_back(
    collection: Collection, database: Callable[[], str], tmp_path: Path, source: Path, clock: Clock,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Two backups and a drill; then the database is gone, and every document, its past and its bytes come back."""
    home, dest = collection.path, str(tmp_path / "backups")
    first = ck.backup_catalog(dest, collection=collection)
    clock.advance(hours=1)
    ck.ingest(collection, make_tree(source, {"a.txt": b"one, changed"}), resolver="test")
    second = ck.backup_catalog(dest, True, collection=collection)
    assert (first.record_count, second.record_count, second.catalog) == (3, 3, collection.identity)
    assert [one.name for one in ck.list_backups(dest, collection=collection)] == [first.name, second.name]
    proof = ck.drill(dest, collection=collection)
    assert proof.ok and proof.sample_ok == 3
    documents, past = collection.frame("documents"), collection.catalog.history(1)
    collection.close()

    def ask(*words: str) -> Any:
        return run(home, *words, monkeypatch=monkeypatch, capsys=capsys)

    with pytest.raises(InvalidInput, match="--into"):
        catalog_file(home)
    into = str(home / "recovered.sqlite")
    shown = ask("recover", dest, "--into", into)
    assert shown["documents"] == 3 and not shown["applied"] and not (home / "recovered.sqlite").exists()
    assert ask("recover", dest, "--into", into, "--apply")["applied"]
    anew = database()
    assert ask("migrate-catalog", f"sqlite:///{into}", anew)["tables"]["documents"]["rows"] == 3
    settings = home / "catalogkit.toml"
    was = next(line for line in settings.read_text().splitlines() if line.startswith("catalog ="))
    settings.write_text(settings.read_text().replace(was, f'catalog = "{anew}"'))
    (home / "recovered.sqlite").rename(tmp_path / "put away.sqlite")
    with open_collection(home, clock=clock) as again:
        assert again.frame("documents").equals(documents) and again.catalog.history(1).equals(past)
        assert ck.verify(again).clean
        # It was recovered by the real clock, which is later than this one.
        assert {one.code for one in ck.audit(again, sample_rate=1.0).findings} <= {Code.CLOCK_SKEW, Code.TIME_IN_FUTURE}
        # The backup is still kept: what only it has cannot be collected.
        ck.apply(again, ck.plan_forget(again, [2]), **GO)
        clock.advance(days=90)
        assert ck.plan_gc(again).units == 0
        third = ck.backup_catalog(dest, collection=again)
        assert third.record_count == 2 and ck.drill(dest, collection=again).ok


def test_a_later_backup_is_small(collection: Collection, tmp_path: Path, source: Path, clock: Clock) -> None:
    """A copy is built upon the one before: changed, new and forgotten documents add little, and all of it is right."""
    dest = str(tmp_path / "backups")
    ck.ingest(
        collection, make_tree(source, {f"{number}.txt": b"%d" % number for number in range(400)}), resolver="test"
    )
    first = ck.backup_catalog(dest, collection=collection)
    clock.advance(hours=1)
    ck.ingest(collection, make_tree(tmp_path / "more", {"x": b"new", "y": b"newer", "z": b"3"}), resolver="test")
    collection.catalog.place_hold("why", document_id=9, as_of=clock())
    ck.apply(collection, ck.plan_forget(collection, [5]), **GO)
    second = ck.backup_catalog(dest, collection=collection)
    assert (first.record_count, second.record_count) == (403, 405)
    # Most of it, in so small a catalog, are the triggers, which are taken out and put back.
    assert second.written_bytes * 3 < first.written_bytes
    assert ck.drill(dest, collection=collection).ok
    recover_from_backup(second.path, tmp_path / "anew.sqlite", dry_run=False)
    with contextlib.closing(SQLiteCatalog(tmp_path / "anew.sqlite", as_of=clock())) as anew:
        for table in ("documents", "blobs", "locations", "checks", "document_versions"):
            assert anew.frame(table).equals(collection.frame(table)), table
        assert anew.integrity() == []


def test_an_earlier_copy_that_is_no_good(collection: Collection, tmp_path: Path, clock: Clock) -> None:
    """Where the backup before cannot be read any more, the next one is a full one, and right."""
    dest = tmp_path / "backups"
    first = ck.backup_catalog(str(dest), collection=collection)
    for piece in (dest / "pieces").iterdir():
        piece.unlink()
    clock.advance(hours=1)
    collection.catalog.place_hold("why", document_id=1, as_of=clock())
    second = ck.backup_catalog(str(dest), collection=collection)
    assert second.written_bytes > first.written_bytes / 2 and ck.drill(second.path, collection=collection).ok


def test_rebuilt_from_the_store(collection: Collection, clock: Clock) -> None:
    """Without any backup the store tells what there is, in a file that can be brought to a server."""
    ck.take_snapshot(collection, "kept")
    identity, documents = collection.identity, collection.frame("documents")
    collection.close()
    with pytest.raises(InvalidInput, match="on a server"):
        ck.rebuild_catalog(collection.path, dry_run=False)
    into = collection.path / "rebuilt.sqlite"
    found = ck.rebuild_catalog(collection.path, into=into, dry_run=False)
    assert (found.documents, found.named, found.applied) == (3, 3, True)
    settings = collection.path / "catalogkit.toml"
    was = next(line for line in settings.read_text().splitlines() if line.startswith("catalog ="))
    settings.write_text(settings.read_text().replace(was, 'catalog = "sqlite:///rebuilt.sqlite"'))
    with open_collection(collection.path, clock=clock) as again:
        assert again.identity == identity
        names = ["artifact_id", "source_url", "sha256"]
        assert sorted(again.frame("documents").select(names).rows()) == sorted(documents.select(names).rows())
