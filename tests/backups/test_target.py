"""What a place for backups must do; a folder does it. Another kind of place joins by one more fixture parameter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from catalogkit.backups.target import Folder, destination_of, target_of
from catalogkit.errors import CatalogBusy, InvalidInput, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.backups.target import Target


@pytest.fixture(params=["folder", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """An empty place."""
    if request.param == "bucket":
        return target_of(request.getfixturevalue("s3_url"))
    return Folder(tmp_path / "deep" / "place")


def test_what_is_put_can_be_got(target: Target) -> None:
    """Parts are joined; a size is known without reading; keys come in order, each below its prefix only."""
    assert target.put("pieces/b", [b"one", memoryview(b"two")]) == 6
    assert target.put("pieces/a", []) == 0
    target.put("other", [b"x"])
    target.settle("pieces")
    assert (target.get("pieces/b"), target.get("pieces/a")) == (b"onetwo", b"")
    assert (target.size("pieces/b"), target.size("pieces/c")) == (6, None)
    assert target.keys("pieces") == ["pieces/a", "pieces/b"]
    assert target.keys("") == ["other", "pieces/a", "pieces/b"]
    assert target.keys("nothing") == []
    assert target.tops() == ["other", "pieces"]


def test_a_put_replaces_whole(target: Target) -> None:
    """What lay at a key is what is there, until all of its successor is."""
    target.put("key", [b"old"])

    def parts() -> Iterator[bytes]:
        yield b"new, but not "
        assert target.get("key") == b"old" and target.keys("") == ["key"]
        raise StoreError("proved wrong at the last moment")

    with pytest.raises(StoreError, match="proved wrong"):
        target.put("key", parts())
    assert target.get("key") == b"old" and target.keys("") == ["key"]
    target.put("key", [b"new"])
    assert target.get("key") == b"new"


def test_what_is_not_there(target: Target) -> None:
    """Getting it is an error, removing it is not."""
    with pytest.raises(StoreError, match="nothing lies at"):
        target.get("nothing")
    target.remove("nothing")
    target.put("a/b", [b"x"])
    target.remove("a/b")
    assert target.keys("") == [] and target.size("a/b") is None
    target.settle("a")


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "a//b", ".hidden", "a/.part-x", "a\x00b"])
def test_keys_do_not_lead_out(target: Target, key: str) -> None:
    """A crafted key is refused by every verb."""
    for act in (target.get, target.size, target.remove, target.settle, lambda key: target.put(key, [b"x"])):
        with pytest.raises(InvalidInput, match="not a key"):
            act(key)


def test_one_at_a_time(target: Target) -> None:
    """The second who wants to write is told so; afterwards it is free again."""
    with target.locked(), pytest.raises(CatalogBusy), target.locked():
        pass
    with target.locked():
        target.put("x", [b"x"])


def test_drafts_of_the_dead_are_swept(tmp_path: Path) -> None:
    """What a crash left of a put is no key, and is removed by the next who writes."""
    folder = Folder(tmp_path)
    (tmp_path / "pieces").mkdir()
    draft = tmp_path / "pieces" / ".part-0123"
    draft.write_bytes(b"half")
    assert folder.keys("") == []
    with folder.locked():
        assert not draft.exists()


def test_what_cannot_be_read_is_not_missing(tmp_path: Path) -> None:
    """A folder that cannot be listed, or a file in a folder's place, is an error, never an empty place."""
    file = tmp_path / "file"
    file.write_text("x")
    for ask in (Folder(file).tops, lambda: Folder(file).keys("")):
        with pytest.raises(InvalidInput, match="is a file"):
            ask()
    with pytest.raises(StoreError, match="cannot write in"), Folder(file / "below").locked():
        pass
    assert target_of(os.fspath(tmp_path)).describe() == str(tmp_path)


def test_where_backups_go(tmp_path: Path) -> None:
    """As given; else as the settings say, a path from the collection's folder and a bucket's URL as it is."""
    assert destination_of("here", tmp_path, "../there") == "here"
    assert destination_of("", tmp_path, "backups") == str(tmp_path / "backups")
    assert destination_of(None, tmp_path, "s3://bucket/prefix") == "s3://bucket/prefix"
    with pytest.raises(InvalidInput, match=r"under \[backup\] in catalogkit.toml"):
        destination_of("", tmp_path, "")
