"""`register_or_get`: what a downloader calls when it has a file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.catalog.contract import Committed
from catalogkit.errors import InvalidInput, SourceError
from catalogkit.ingest import register_or_get
from tests.conftest import make_tree, read_tree
from tests.crash.disk import Disk
from tests.crash.world import leftovers

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.model import DocumentRecord

FACTS: dict[str, Any] = {
    "artifact_id": "doi:10.5555/1", "source_url": "https://example.org/paper.pdf", "resolver": "web", "variant": "v1",
    "tenant": "library", "run_id": "nightly", "content_type": "application/pdf", "metadata": {"pages": 3},
}  # fmt: skip


def hand_over(collection: Collection, source: Path, content: bytes, **settings: Any) -> DocumentRecord:
    path = make_tree(source, {"download": content}) / "download"
    return register_or_get(collection, path, **FACTS | settings)


def test_it_says_what_it_was_told(collection: Collection, source: Path) -> None:
    """The record holds every fact, the type told from the bytes, and its bytes can be read."""
    record = hand_over(collection, source, b"%PDF-1.7 content")
    told = {name: getattr(record, name) for name in FACTS}
    assert told == FACTS
    assert (record.media_type, record.bytes) == ("application/pdf", 16)
    assert collection.read(record.id) == b"%PDF-1.7 content"
    assert ck.register_or_get is register_or_get


@pytest.mark.parametrize("mode", ["move", "copy", "link", "reference"])
def test_twice_is_once(collection: Collection, source: Path, mode: str) -> None:
    """The same call again returns the same document; in move mode also when the file has gone by then."""
    record = hand_over(collection, source, b"content", mode=mode)
    again = register_or_get(collection, source / "download", **FACTS, mode=mode)
    assert again == record
    assert hand_over(collection, source, b"content", mode=mode) == record
    assert collection.catalog.totals()["documents"] == 1
    assert collection.catalog.versions(record.id).height == 1
    assert (source / "download").exists() == (mode != "move")
    assert leftovers(collection) == []


def test_a_file_that_never_was(collection: Collection, source: Path) -> None:
    """No file and no such document is an error, also when another document came from that path."""
    with pytest.raises(SourceError, match="No such file"):
        register_or_get(collection, source / "download", **FACTS)
    hand_over(collection, source, b"content")
    with pytest.raises(SourceError):
        register_or_get(collection, source / "download", **FACTS | {"artifact_id": "another"})
    with pytest.raises(SourceError):
        register_or_get(collection, source / "download", **FACTS, mode="copy")


@pytest.mark.parametrize("odd", [".", "..", "/dev/null"])
def test_what_is_not_a_file(collection: Collection, source: Path, odd: str) -> None:
    """A folder or a device is an error that names it."""
    with pytest.raises(SourceError, match="not a file"):
        register_or_get(collection, source / odd, **FACTS, mode="copy")


def test_a_stored_file_is_not_handed_over_again(collection: Collection, source: Path) -> None:
    """The path of a stored file, as some reader may have it, is refused, and the file stays."""
    record = hand_over(collection, source, b"content")
    (place,) = collection.find(artifact_id=record.artifact_id)["location"]
    with pytest.raises(SourceError, match="store"):
        register_or_get(collection, place, **FACTS)
    assert Path(place).read_bytes() == b"content"


def test_another_name_of_a_stored_file_may_go(collection: Collection, source: Path) -> None:
    """A hard link to a stored file, somewhere else, is a source like any other."""
    record = hand_over(collection, source, b"content")
    (place,) = collection.find(artifact_id=record.artifact_id)["location"]
    (source / "link").hardlink_to(place)
    assert register_or_get(collection, source / "link", **FACTS) == record
    assert not (source / "link").exists() and Path(place).read_bytes() == b"content"


def test_when_it_returns_it_is_durable(collection: Collection, source: Path) -> None:
    """Data before name, name before record, record before the source goes: in this order, each waited for."""
    disk = Disk()
    collection.store.files = disk
    happened: list[str] = []
    real_step, real_commit = disk.step, collection.catalog.commit

    def step(what: str, path: str = "", spoil: Any = None) -> None:
        where = "source" if path.endswith("/download") else "temp" if ".catalogkit" in path else "key"
        happened.append(f"{what} {where}")
        real_step(what, path, spoil)

    def commit(*args: Any, **kwargs: Any) -> list[Committed]:
        happened.append("commit")
        return real_commit(*args, **kwargs)

    disk.step = step  # type: ignore[method-assign]
    collection.catalog.commit = commit  # type: ignore[method-assign]
    hand_over(collection, source, b"content")
    places = [
        happened.index(what) for what in ("sync_file temp", "link key", "sync_folder key", "commit", "unlink source")
    ]
    assert places == sorted(places), happened
    with ck.open(collection.path) as usual:
        ((synchronous,),) = usual.catalog.rows("PRAGMA synchronous")  # type: ignore[attr-defined]
        assert synchronous == 2, "FULL: a committed record outlives a power cut"


def test_many_threads_one_collection(collection: Collection, source: Path) -> None:
    """A downloader's threads share a collection: every file gets its document, equal bytes are stored once."""
    names = [f"{number}.html" for number in range(40)]
    make_tree(source, {name: b"<html>%d" % (number % 7) for number, name in enumerate(names)})

    def finished(name: str) -> DocumentRecord:
        return register_or_get(collection, source / name, artifact_id=name, source_url=f"https://example.org/{name}")

    with ThreadPoolExecutor(8) as threads:
        records = list(threads.map(finished, names))
    assert [record.artifact_id for record in records] == names
    assert [collection.read(record.id) for record in records] == [b"<html>%d" % (n % 7) for n in range(40)]
    assert collection.catalog.totals()["blobs"] == 7
    assert read_tree(source) == {} and leftovers(collection) == []


@pytest.mark.parametrize("mode", ["steal", ""])
def test_bad_modes(collection: Collection, source: Path, mode: str) -> None:
    """A mode that does not exist is bad input, and the file stays."""
    with pytest.raises(InvalidInput, match="mode"):
        hand_over(collection, source, b"content", mode=mode)
    assert (source / "download").read_bytes() == b"content"
