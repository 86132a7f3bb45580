"""What an ingest does when the quota is used up: it says so once, keeps what fits, and leaves nothing lying about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.errors import QuotaExceeded, SourceError
from catalogkit.ingest import ingest, register_or_get
from catalogkit.workers import Inline
from tests.conftest import make_tree, read_tree

if TYPE_CHECKING:
    from pathlib import Path

    from catalogkit.collection import Collection

FILES = {"a.txt": b"four", "b.txt": b"fives", "c.txt": b"sixsix", "d.txt": b"nine nine"}


def stored(collection: Collection) -> list[bytes]:
    from pathlib import Path

    tree = read_tree(Path(collection.store.root))
    return sorted(content for name, content in tree.items() if not name.startswith(".catalogkit"))


@pytest.mark.parametrize("mode", ["copy", "move", "link"])
def test_what_fits_is_taken_in(collection: Collection, tmp_path: Path, mode: str) -> None:
    """Documents up to the quota are taken in, the run ends with one error, refused bytes lie nowhere in the store."""
    source = make_tree(tmp_path / "in", FILES)
    collection.catalog.set_quota(documents=2, bytes=None)
    with pytest.raises(QuotaExceeded, match=r"quota of 2 documents is used up.*what was taken in stays"):
        ingest(collection, source, mode=mode, executor=Inline())
    assert collection.find()["artifact_id"].to_list() == ["a.txt", "b.txt"]
    assert stored(collection) == [b"fives", b"four"]
    assert collection.catalog.intents() == []
    left = {"c.txt", "d.txt"} if mode == "move" else set(FILES)
    assert set(read_tree(source)) == left
    collection.catalog.set_quota(documents=4, bytes=None)
    assert ingest(collection, source, mode=mode, executor=Inline()).ingested == 2


def test_a_smaller_one_may_still_fit(collection: Collection, tmp_path: Path) -> None:
    """Of bytes, each document is looked at by itself; and a run that brings nothing new is no error."""
    source = make_tree(tmp_path / "in", {"a.txt": b"123456", "b.txt": b"12345678", "c.txt": b"12"})
    collection.catalog.set_quota(documents=None, bytes=8)
    with pytest.raises(QuotaExceeded, match="quota of 8 bytes leaves 2"):
        ingest(collection, source, executor=Inline())
    assert collection.find()["artifact_id"].to_list() == ["a.txt", "c.txt"]
    (source / "b.txt").unlink()
    again = ingest(collection, source, executor=Inline())
    assert (again.skipped, again.failed) == (2, 0)


def test_a_downloader_is_told(collection: Collection, tmp_path: Path) -> None:
    """A single document over the quota is refused with the reason, and its file stays where it is."""
    source = make_tree(tmp_path / "in", {"a.txt": b"123456"})
    collection.catalog.set_quota(documents=None, bytes=5)
    with pytest.raises((SourceError, QuotaExceeded), match="quota of 5 bytes"):
        register_or_get(collection, source / "a.txt", artifact_id="a", source_url="https://example.org/a")
    assert (source / "a.txt").exists() and stored(collection) == []
