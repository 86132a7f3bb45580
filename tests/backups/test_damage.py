"""Hazard 35: a backup that is not what it was is refused, wherever a byte is wrong, cut off or gone."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.backups import making, repository
from catalogkit.backups.drilling import drill
from catalogkit.backups.recovering import find_backup, recover_from_backup
from catalogkit.backups.target import Folder
from catalogkit.errors import CatalogKitError, InvalidInput, StoreError
from tests.backups.scene import Scene, duplicate

if TYPE_CHECKING:
    from catalogkit.collection import Collection


@dataclass
class Kept:
    """A folder with two backups, the second of which needs pieces of the first; every file with its content."""

    dest: Path
    first: str
    second: str
    files: dict[Path, bytes]
    top: Path

    def needed(self, name: str) -> list[Path]:
        """The files that a backup is made of."""
        manifest = repository.load(Folder(self.dest), name)
        return [self.dest / name / "manifest.json", *(self.dest / "pieces" / piece for piece in manifest.pieces)]

    def refused(self, name: str) -> bool:
        """Whether bringing a backup back is refused, with nothing left behind."""
        home = self.top / "home"
        home.mkdir(exist_ok=True)
        try:
            recover_from_backup(self.dest / name, home / "catalog.sqlite", dry_run=False)
        except CatalogKitError:
            assert list(home.iterdir()) == []
            return True
        shutil.rmtree(home)
        return False


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Two backups, made once; what a test spoils is put right again."""
    from catalogkit.collection import init
    from tests.conftest import NOON, Clock, hurry

    top = tmp_path_factory.mktemp("kept")
    clock = Clock(NOON)
    patch = pytest.MonkeyPatch()
    patch.setattr(making, "CHUNK_BYTES", 1 << 16)
    opened: Collection
    with hurry(init(top / "collection", clock=clock)) as opened:
        scene = Scene(opened, top, clock)
        for number in range(30):
            scene.take(f"document {number}")
        first = scene.back_up().name
        clock.now += timedelta(days=1)
        for number in range(30, 40):
            scene.take(f"document {number}")
        second = scene.back_up().name
    patch.undo()
    dest = duplicate(top / "backups", top / "copy")
    files = {path: path.read_bytes() for path in dest.rglob("*") if path.is_file()}
    return Kept(dest, first, second, files, top)


def test_the_second_needs_the_first(kept: Kept) -> None:
    """What the tests below are about: pieces that both need, and chunks that are made of several."""
    manifest = repository.load(Folder(kept.dest), kept.second)
    assert set(kept.needed(kept.first)) & set(kept.needed(kept.second))
    assert max(len(chunk.pieces) for chunk in manifest.chunks) > 1
    assert not kept.refused(kept.first) and not kept.refused(kept.second)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_hazard_35_any_flipped_byte_is_detected(kept: Kept, data: st.DataObject) -> None:
    """One byte of any file, changed to any other value: the backups that need the file are refused."""
    path = data.draw(st.sampled_from(sorted(set(kept.needed(kept.first) + kept.needed(kept.second)))))
    content = kept.files[path]
    place = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    spoil(kept, path, content[:place] + bytes([value]) + content[place + 1 :])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_hazard_35_any_truncation_is_detected(kept: Kept, data: st.DataObject) -> None:
    """Any file cut off anywhere, or with something added: refused."""
    path = data.draw(st.sampled_from(sorted(set(kept.needed(kept.first) + kept.needed(kept.second)))))
    content = kept.files[path]
    end = data.draw(st.integers(0, len(content) - 1))
    spoil(kept, path, content[:end] if data.draw(st.booleans()) else content + content[:1])


def spoil(kept: Kept, path: Path, content: bytes) -> None:
    """Write that into a file: every backup that needs it is refused, every other one is as good as ever."""
    needing = [name for name in (kept.first, kept.second) if path in kept.needed(name)]
    assert needing
    path.write_bytes(content)
    try:
        for name in (kept.first, kept.second):
            assert kept.refused(name) is (name in needing), (path, name)
    finally:
        path.write_bytes(kept.files[path])


def test_hazard_35_any_missing_piece_is_detected(kept: Kept) -> None:
    """Each file that a backup needs, gone: refused."""
    for name in (kept.first, kept.second):
        for path in kept.needed(name):
            path.unlink()
            try:
                assert kept.refused(name), path
            finally:
                path.write_bytes(kept.files[path])


def test_pieces_that_are_whole_but_swapped(kept: Kept) -> None:
    """Two files that took each other's place are noticed, though each is somebody's right content."""
    one, two = kept.needed(kept.first)[1:3]
    for here, there in ((one, two), (two, one)):
        here.write_bytes(kept.files[there])
    try:
        assert kept.refused(kept.first)
    finally:
        for path in (one, two):
            path.write_bytes(kept.files[path])


def test_a_manifest_of_another_backup(kept: Kept) -> None:
    """A manifest that is whole, but not of the backup in whose folder it lies."""
    path = kept.dest / kept.first / "manifest.json"
    path.write_bytes(kept.files[kept.dest / kept.second / "manifest.json"])
    try:
        with pytest.raises(StoreError, match="is the manifest of"):
            find_backup(kept.dest / kept.first)
    finally:
        path.write_bytes(kept.files[path])


def test_the_newest_good_one_is_found(kept: Kept) -> None:
    """With a folder of backups the newest is meant, of those whose manifest is good; with none, it says what to do."""
    assert find_backup(kept.dest)[1].name == kept.second
    path = kept.dest / kept.second / "manifest.json"
    path.write_bytes(b"{}")
    try:
        assert find_backup(kept.dest)[1].name == kept.first
    finally:
        path.write_bytes(kept.files[path])
    with pytest.raises(InvalidInput, match="there is no backup in"):
        find_backup(kept.top / "collection")


def test_a_drill_tells(kept: Kept) -> None:
    """A drill of a damaged backup fails, says why, and writes that down next to it."""
    path = kept.needed(kept.second)[-1]
    path.write_bytes(kept.files[path][:-1])
    try:
        found = drill(kept.dest)
        assert not found.ok and "is damaged" in found.problems[0]
        proof = repository.read_proof(Folder(kept.dest), kept.second)
        assert proof is not None and not proof.ok
    finally:
        path.write_bytes(kept.files[path])
    assert drill(kept.dest, collection=None).problems == []
