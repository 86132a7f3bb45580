"""Copy, move, link and reference: what becomes of the source, and what the store has of it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.collection import open_collection
from catalogkit.errors import CatalogKitError, InvalidInput
from catalogkit.ingest import ingest, register_or_get
from catalogkit.ingest_report import IngestReport
from catalogkit.joining import add_store
from catalogkit.planning import plan_relocate
from catalogkit.stores.contract import Asked
from catalogkit.stores.taking import _can_clone
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import Clock, make_tree, read_tree
from tests.plans.scene import run
from tests.stores.quick import Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

FILES = {
    "a/one.txt": b"one",
    "b/two.txt": b"two",
    "b/one again.txt": b"one",
    "none.txt": b"",
    "big.bin": b"12345678" * 200_000,
}
MODES = ("copy", "move", "link", "reference")


def take(collection: Collection, *paths: Path, mode: str = "copy") -> IngestReport:
    return ingest(collection, *paths, mode=mode, executor=Inline())


def contents(collection: Collection) -> dict[str, bytes]:
    """Every document's bytes by its artifact id."""
    return {
        row["artifact_id"]: collection.read(row["id"]) for row in collection.frame("documents").iter_rows(named=True)
    }


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_takes_everything_in(collection: Collection, source: Path, mode: str) -> None:
    """All documents are there, with their bytes, and every copy verifies."""
    make_tree(source, FILES)
    report = take(collection, source, mode=mode)
    assert (report.ingested, report.skipped, report.failed, report.new_blobs) == (5, 0, 0, 4)
    assert report.bytes == sum(len(content) for content in FILES.values())
    assert contents(collection) == {Path(name).name: content for name, content in FILES.items()}
    proof = verify(collection, executor=Inline())
    assert (proof.ok, proof.corrupt + proof.missing + proof.unknown) == (collection.frame("locations").height, 0)


@pytest.mark.parametrize("mode", MODES)
def test_what_becomes_of_the_source(collection: Collection, source: Path, mode: str) -> None:
    """A move ends with the sources gone; every other mode leaves all of their bytes where they are."""
    make_tree(source, FILES)
    take(collection, source, mode=mode)
    assert read_tree(source) == ({} if mode == "move" else FILES)


@pytest.mark.parametrize("mode", MODES)
def test_again_is_nothing_new(collection: Collection, source: Path, mode: str) -> None:
    """The same files once more, read or not, change neither documents nor stored files."""
    make_tree(source, FILES)
    take(collection, source, mode=mode)
    before = collection.frame("documents").drop("seen_at"), collection.frame("locations").drop("inode", "mtime_ns")
    make_tree(source, FILES)  # new time stamps, new inodes
    report = take(collection, source, mode=mode)
    assert (report.ingested, report.skipped, report.failed) == (0, 5, 0)
    assert collection.frame("documents").drop("seen_at").equals(before[0])
    assert collection.frame("locations").drop("inode", "mtime_ns").equals(before[1])


@pytest.mark.parametrize("mode", ["move", "link"])
def test_duplicates_of_what_is_stored(collection: Collection, source: Path, mode: str) -> None:
    """A file whose content is stored already is taken in like any other, by a run of its own."""
    make_tree(source, FILES)
    take(collection, source, mode=mode)
    make_tree(source, {"third.txt": b"one"})
    report = take(collection, source / "third.txt", mode=mode)
    assert (report.ingested, report.new_blobs, report.failures) == (1, 0, [])
    assert (source / "third.txt").exists() == (mode == "link")


def test_move_across_file_systems(collection: Collection, source: Path) -> None:
    """Where a file cannot have one more name it is copied, and the source goes all the same."""

    class OtherDisk(Unsynced):
        def link(self, source: str, target: str) -> None:
            if os.sep + "source" + os.sep in source:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            super().link(source, target)

    make_tree(source, FILES)
    collection.store.files = OtherDisk()
    report = take(collection, source, mode="move")
    assert report.failures == []
    assert read_tree(source) == {}
    assert contents(collection)["big.bin"] == FILES["big.bin"]


def test_move_leaves_what_changed_meanwhile(collection: Collection, source: Path) -> None:
    """A source that is no longer what was read is not removed."""

    class Late(Unsynced):
        def unlink(self, path: str) -> None:
            super().unlink(path)
            if ".catalogkit" in path:  # a temporary name: the bytes are in place, the sources go next
                one = source / "one.txt"
                one.unlink()
                one.write_bytes(b"a later download")

    make_tree(source, {"one.txt": b"one", "two.txt": b"two"})
    collection.store.files = Late()
    report = take(collection, source, mode="move")
    assert report.failures == []
    assert read_tree(source) == {"one.txt": b"a later download"}
    assert contents(collection) == {"one.txt": b"one", "two.txt": b"two"}


def test_move_that_cannot_remove_says_so(collection: Collection, source: Path) -> None:
    """A source that cannot be removed is reported, the others are moved, and every document is safe."""

    class Guarded(Unsynced):
        def unlink(self, path: str) -> None:
            if path.endswith("source/one.txt"):
                raise PermissionError(errno.EACCES, "Permission denied")
            super().unlink(path)

    make_tree(source, {"one.txt": b"one", "two.txt": b"two"})
    collection.store.files = Guarded()
    report = take(collection, source, mode="move")
    assert (report.ingested, report.failed) == (1, 1)
    assert "safe in the store" in report.failures[0][1]
    assert read_tree(source) == {"one.txt": b"one"}
    assert contents(collection) == {"one.txt": b"one", "two.txt": b"two"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", ["the store", "a folder in it", "a link to it", "a file in it"])
def test_the_store_does_not_eat_itself(collection: Collection, source: Path, mode: str, where: str) -> None:
    """The store's own files, by whatever path, are refused, and above all never moved away."""
    make_tree(source, FILES)
    take(collection, source)
    root = Path(collection.store.root)
    (source.parent / "link").symlink_to(root)
    path = {
        "the store": root,
        "a folder in it": root / ("cas" if collection.layout == "cas" else "docs"),
        "a link to it": source.parent / "link",
        "a file in it": root / next(collection.store.keys()),
    }[where]
    before = read_tree(root)
    with pytest.raises(InvalidInput, match="own"):
        take(collection, path, mode=mode)
    assert read_tree(root) == before


@pytest.mark.parametrize("mode", ["move", "link", "reference"])
def test_a_manifest_cannot_move_the_store_either(collection: Collection, source: Path, mode: str) -> None:
    """Rows that name stored files, directly or through a linked folder, fail one by one and nothing is lost."""
    make_tree(source, FILES)
    take(collection, source)
    root = Path(collection.store.root)
    (source / "link").symlink_to(root)
    before = read_tree(root)
    stored = [str(root / key) for key in collection.store.keys()]  # noqa: SIM118 - a store is no dictionary
    rows = [*stored, *(path.replace(str(root), str(source / "link")) for path in stored)]
    manifest = source / "manifest.jsonl"
    manifest.write_text(
        "".join(f'{{"path": "{path}", "artifact_id": "x", "source_url": "u:{path}"}}\n' for path in rows)
    )
    report = ingest(collection, manifest=manifest, mode=mode, executor=Inline())
    assert (report.failed, report.ingested) == (len(rows), 0)
    assert read_tree(root) == before


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_no_store_of_a_collection_is_eaten(
    make_collection: Callable[..., Collection], source: Path, tmp_path: Path, mode: str
) -> None:
    """A second store is not taken in either: by a folder around it, by one in it, or by a list."""
    collection, disk = make_collection(), tmp_path / "disk"
    take(collection, make_tree(source, FILES))
    add_store(collection, "second", f"file:{disk}/second")
    run(collection, plan_relocate(collection, "second", keep=True))
    before, manifest = read_tree(disk), source / "manifest.jsonl"
    stored = next(path for path in (disk / "second" / "cas").rglob("*") if path.is_file())
    manifest.write_text(f'{{"path": "{stored}", "artifact_id": "x", "source_url": "u"}}\n')
    report = take(collection, disk, mode=mode)
    assert (report.ingested, report.failed) == (0, 0)
    with pytest.raises(InvalidInput, match="own"):
        take(collection, disk / "second" / "cas", mode=mode)
    assert ingest(collection, manifest=manifest, mode=mode, executor=Inline()).failed == 1
    assert read_tree(disk) == before and len(before) > 4


@pytest.mark.parametrize("linked", [False, True])
def test_a_file_of_the_store_is_in_nobodys_hands(linked: bool, collection: Collection, source: Path) -> None:
    """It cannot be a document where it lies: once it is garbage for the store, it would be gone for the document."""
    root = Path(collection.store.root)
    path = make_tree(root, {"docs/stray": b"only here"}) / "docs/stray"
    if linked:
        (source / "link").symlink_to(path)
        path = source / "link"
    with pytest.raises(CatalogKitError, match="store itself"):
        register_or_get(collection, path, artifact_id="a", source_url="https://example.org/a", mode="reference")
    assert collection.frame("documents").is_empty()


def test_hazard_29_link_shares_and_protects(make_collection: Callable[..., Collection], source: Path) -> None:
    """A linked file is one inode with the stored one, or shares its data; either way the stored file is read-only."""
    collection = make_collection("cas")
    make_tree(source, {"one.txt": b"one"})
    take(collection, source, mode="link")
    (key,) = collection.store.keys()
    stored, mine = os.stat(collection.store.path(key)), (source / "one.txt").stat()
    assert stat.S_IMODE(stored.st_mode) == 0o444
    with open(source / "one.txt", "rb") as file:
        if _can_clone(file.fileno(), (mine.st_dev, str(source))):  # file systems that share data keep the two apart
            assert stored.st_ino != mine.st_ino
        else:
            assert stored.st_ino == mine.st_ino and stat.S_IMODE(mine.st_mode) == 0o444


def test_linked_files_are_not_read_again(collection: Collection, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linking changes the source's change time, which is no reason to read it again."""
    make_tree(source, FILES)
    take(collection, source, mode="link")
    monkeypatch.setattr(os, "preadv", None)
    report = take(collection, source, mode="link")
    assert (report.skipped, report.reasons["unchanged"]) == (5, 5)


def test_reference_leaves_the_store_empty(collection: Collection, source: Path) -> None:
    """In reference mode nothing is written to the store, and the place of a document is its file."""
    make_tree(source, FILES)
    take(collection, source, mode="reference")
    assert list(collection.store.keys()) == []
    places = {row["artifact_id"]: row["location"] for row in collection.find().iter_rows(named=True)}
    assert places["two.txt"] == str(source / "b" / "two.txt")


def test_reference_changed_in_place(collection: Collection, source: Path, clock: Clock) -> None:
    """A referenced file that changes becomes a new version; the old one is known, and known to be gone."""
    make_tree(source, {"page.html": b"<html>first"})
    take(collection, source, mode="reference")
    (row,) = collection.frame("documents").to_dicts()
    first = row["sha256"]
    clock.advance(days=1)
    make_tree(source, {"page.html": b"<html>second"})
    report = take(collection, source, mode="reference")
    assert (report.ingested, report.new_blobs) == (1, 1)
    assert collection.read(row["id"]) == b"<html>second"
    versions = collection.catalog.versions(row["id"])["sha256"].to_list()
    assert versions[0] == first and len(versions) == 2
    assert collection.frame("locations").filter(sha256=first).is_empty()
    assert collection.frame("checks").filter(sha256=first, outcome="missing").height == 1


def test_reference_and_copy_are_two_wishes(collection: Collection, source: Path) -> None:
    """A file known in place is still copied when a copy is asked for, and the other way round; then both are done."""
    make_tree(source, FILES)
    for mode in ("reference", "copy"):
        take(collection, source, mode=mode)
    stores = dict(collection.frame("locations").group_by("store").len().rows())
    assert stores == {"in-place": 5, "main": 4 if collection.layout == "cas" else 5}
    more = make_tree(source / "more", {"later.txt": b"later", "one more.txt": b"one"})
    for mode in ("copy", "reference"):
        take(collection, more, mode=mode)
    kept = collection.frame("locations").filter(store="in-place")["key"].to_list()
    assert str(more / "later.txt").removeprefix("/") in kept and str(more / "one more.txt").removeprefix("/") in kept
    assert take(collection, source, mode="copy").reasons == {"unchanged": 7}


def test_a_damaged_copy_is_healed(collection: Collection, source: Path, clock: Clock) -> None:
    """Good bytes that are taken in again replace a copy that has gone bad, is gone, or was cut short."""
    make_tree(source, {"one.txt": b"one", "two.txt": b"two", "three.txt": b"three"})
    take(collection, source)
    places = {row["artifact_id"]: Path(row["location"]) for row in collection.find().iter_rows(named=True)}
    for path in places.values():
        path.chmod(0o644)
    places["one.txt"].write_bytes(b"ONE")
    places["two.txt"].unlink()
    places["three.txt"].write_bytes(b"")
    clock.advance(days=1)
    assert verify(collection, executor=Inline()).ok == 0
    report = take(collection, source)
    assert (report.failures, report.ingested) == ([], 0)
    assert contents(collection) == {"one.txt": b"one", "two.txt": b"two", "three.txt": b"three"}
    assert verify(collection, executor=Inline()).ok == 3
    quarantine = Path(collection.store.root, ".catalogkit", "quarantine")
    assert sorted(path.read_bytes() for path in quarantine.iterdir()) == [b"", b"ONE"]


def test_a_copy_is_not_trusted_by_its_looks_alone(collection: Collection, source: Path) -> None:
    """Bytes that changed on the disk, which nobody has noticed yet, are read before a new document relies on them."""
    make_tree(source, {"one.txt": b"one"})
    take(collection, source)
    ((place,),) = collection.find().select("location").rows()
    Path(place).chmod(0o644)
    Path(place).write_bytes(b"ONE")
    make_tree(source, {"again.txt": b"one"})
    take(collection, source)
    places = [collection.store.path(key) for key in collection.frame("locations")["key"]]
    assert b"one" in [Path(path).read_bytes() for path in places]
    if collection.layout == "cas":
        assert places == [place], "and where the bytes have one address only, they are right again for everybody"


def test_a_source_goes_only_for_a_copy_that_was_read(collection: Collection, source: Path) -> None:
    """Bytes that rotted without a trace are put right by the good ones that are moved in, not the end of these."""
    make_tree(source, {"one.txt": b"one"})
    take(collection, source)
    ((place,),) = collection.find().select("location").rows()
    was = os.stat(place)
    Path(place).chmod(0o644)
    Path(place).write_bytes(b"ONE")
    os.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns))
    make_tree(source, {"again.txt": b"one"})
    assert take(collection, source / "again.txt", mode="move").failures == []
    places = [Path(collection.store.path(key)) for key in collection.frame("locations")["key"]]
    assert b"one" in [path.read_bytes() for path in places]


def test_written_to_by_an_open_hand(make_collection: Callable[..., Collection], source: Path) -> None:
    """A program that still has the moved file open and writes to it is found out before the catalog believes it."""
    collection = make_collection("cas")
    make_tree(source, {"one.txt": b"one", "two.txt": b"two"})

    class Meanwhile(Unsynced):
        def sync_file(self, path: str) -> None:
            if os.path.isfile(path) and os.path.samestat(os.stat(path), os.fstat(still_open.fileno())):
                still_open.write(b"and more")
                still_open.flush()

    with open(source / "one.txt", "ab") as still_open:
        collection.store.files = Meanwhile()
        report = take(collection, source, mode="move")
    assert [Path(path).name for path, _ in report.failures] == ["one.txt"]
    assert contents(collection) == {"two.txt": b"two"}
    (key,) = collection.store.keys()
    assert Path(collection.store.path(key)).read_bytes() == b"two", "no address shows wrong bytes"
    assert (source / "one.txt").read_bytes() == b"oneand more"


def test_a_document_can_be_read_after_reopening(collection: Collection, source: Path) -> None:
    """Another process that opens the collection sees what was taken in."""
    make_tree(source, FILES)
    take(collection, source)
    with open_collection(collection.path) as again:
        assert contents(again) == {Path(name).name: content for name, content in FILES.items()}
        for row in again.catalog.rows("SELECT key, sha256, bytes FROM locations JOIN blobs USING (sha256)"):  # type: ignore[attr-defined]
            assert [one.outcome for one in again.store.examiner()([Asked(*row)])] == ["ok"]
