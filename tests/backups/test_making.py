"""Making a backup: complete, consistent, counted in itself, sharing what did not change."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.backups import making, repository
from catalogkit.backups.making import backup_catalog
from catalogkit.backups.manifest import MANIFEST, PIECES
from catalogkit.backups.target import Folder
from catalogkit.catalog.sqlite.images import image_problems
from catalogkit.collection import init
from catalogkit.errors import CatalogBusy, ConstraintError, InvalidInput
from catalogkit.model import Digest
from catalogkit.workers import Inline
from tests.backups.scene import Scene, documents_of, rows, sha256

if TYPE_CHECKING:
    from catalogkit.collection import Collection


def test_a_backup_is_the_catalog_as_it_was(scene: Scene) -> None:
    """Put together again it has the same documents, history and identity, and nothing wrong with it."""
    made = scene.back_up()
    before = scene.documents()
    scene.take("d")
    path = scene.restored(made.name)
    assert documents_of(path) == before != scene.documents()
    assert image_problems(path) == []
    assert made.record_count == len(before) == 3
    assert rows(path, "SELECT value FROM meta WHERE key = 'identity'") == [(scene.collection.identity,)]


def test_the_manifest_says_what_it_is(scene: Scene) -> None:
    """It is JSON that a person can read; its name has the time and the content; pieces are named by their SHA-256."""
    made = scene.back_up(include_storage_uri=True)
    plain = json.loads((scene.dest / made.name / MANIFEST).read_text())
    assert made.name == f"20260301T120000Z-{plain['content_sha256'][:12]}"
    assert plain["catalog"] == scene.collection.identity and plain["counts"]["documents"] == 3
    (store,) = plain["stores"]
    assert store["uri"] == Path(scene.collection.store.root).as_uri()
    for piece, size in plain["pieces"]:
        content = (scene.dest / PIECES / piece).read_bytes()
        assert (len(content), sha256(content)) == (size, piece)
    scene.clock.advance(days=1)
    assert "uri" not in json.loads((scene.dest / scene.back_up().name / MANIFEST).read_text())["stores"][0]


def test_hazard_33_a_reader_that_is_still_open(scene: Scene) -> None:
    """A reader that began long ago keeps the log from being folded in; the backup has the latest commits anyway."""
    with closing(sqlite3.connect(scene.catalog_file)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM documents").fetchone()
        for number in range(10):
            scene.take(f"late {number}")
        with scene.collection.catalog.image(str(scene.top)) as image:
            assert image.copied  # the case this is about
        made = scene.back_up()
        assert made.record_count == 13
        assert documents_of(scene.restored(made.name)) == scene.documents()


def test_without_a_reader_nothing_is_copied(scene: Scene) -> None:
    """The catalog's own file holds still, so a backup costs no second copy of it; and it does, whatever is written."""
    with scene.collection.catalog.image(str(scene.top)) as image:
        assert not image.copied and image.path == str(scene.catalog_file)
        before = Path(image.path).read_bytes()
        for number in range(20):
            scene.take(f"meanwhile {number}", b"x" * 1000 * number)
        scene.collection.catalog._db.execute("PRAGMA wal_checkpoint(PASSIVE)")  # type: ignore[attr-defined]
        assert Path(image.path).read_bytes() == before
    scene.collection.catalog._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[attr-defined]
    assert scene.catalog_file.read_bytes() != before


CHECKPOINTER = """
import fcntl, sys
with open(sys.argv[1], "r+b") as shm:
    fcntl.lockf(shm, fcntl.LOCK_EX, 1, 121)  # WAL_CKPT_LOCK, byte 121 of the index (SQLite, "WAL-mode File Format")
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_program_is_folding_the_log_in(scene: Scene) -> None:
    """While another process holds the lock of checkpoints the file may change at any moment: a copy is made then."""
    command = [sys.executable, "-c", CHECKPOINTER, f"{scene.catalog_file}-shm"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with scene.collection.catalog.image(str(scene.top)) as image:
            assert image.copied
            assert documents_of(Path(image.path)) == scene.documents()
        other.communicate("")
    with scene.collection.catalog.image(str(scene.top)) as image:
        assert not image.copied


def test_hazard_34_counts_come_from_the_backup(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed between the copy and the counting is in neither."""
    real = making.image_facts

    def late(path: str) -> Any:
        scene.take("late")
        return real(path)

    monkeypatch.setattr(making, "image_facts", late)
    made = scene.back_up()
    assert made.record_count == len(documents_of(scene.restored(made.name))) == 3
    assert len(scene.documents()) == 4


def test_hazard_36_writers_in_threads(scene: Scene) -> None:
    """Each backup made while threads write is some committed state: both documents of a transaction, or neither."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            count = 0
            while not stop.is_set() and count < 400:
                pair(scene.collection, number, count)
                count += 1
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        names = []
        for _ in range(5):
            scene.clock.advance(minutes=1)
            names.append(backup_catalog(scene.dest, collection=scene.collection).name)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    counts = [whole_pairs(scene.restored(name)) for name in names]
    assert counts == sorted(counts) and counts[-1] > counts[0]


WRITER = """
import sys
from pathlib import Path
from catalogkit.collection import open_collection
from tests.backups.test_making import pair
with open_collection(Path(sys.argv[1])) as c:
    print("ready", flush=True)
    for number in range(100_000):
        pair(c, 9, number)
"""


def test_hazard_36_a_writer_in_another_process(scene: Scene) -> None:
    """The same with a process that writes and checkpoints as it likes."""
    command = [sys.executable, "-c", WRITER, str(scene.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout and writer.stdout.readline() == "ready\n"
            names = []
            for _ in range(4):
                scene.clock.advance(minutes=1)
                names.append(backup_catalog(scene.dest, collection=scene.collection).name)
        finally:
            writer.kill()
    counts = [whole_pairs(scene.restored(name)) for name in names]
    assert counts == sorted(counts) and counts[-1] > counts[0]


def pair(collection: Collection, writer: int, number: int) -> None:
    """Two documents in one transaction."""
    from catalogkit.catalog.contract import Registration
    from catalogkit.layouts import cas_key
    from catalogkit.model import Arrival, Layout

    entries = []
    for half in ("left", "right"):
        name = f"{writer}-{number}-{half}"
        digest = Digest.parse(sha256(name.encode()))
        arrival = Arrival(artifact_id=name, source_url=f"pair:{name}")
        store_id = collection.store_id("main")
        entries.append(
            (None, Registration(arrival, digest, len(name), "text/plain", store_id, cas_key(digest), Layout.CAS))
        )
    collection.catalog.commit(entries, as_of=collection.now())


def whole_pairs(path: Path) -> int:
    """How many pairs a catalog has; none of them is half."""
    assert image_problems(path) == []
    names = {row[0] for row in rows(path, "SELECT artifact_id FROM documents WHERE source_url LIKE 'pair:%'")}
    left = {name.removesuffix("-left") for name in names if name.endswith("-left")}
    assert left == {name.removesuffix("-right") for name in names if name.endswith("-right")}
    return len(left)


def test_the_second_backup_adds_what_changed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unchanged catalog adds nothing, one more document adds little, and every backup is whole by itself."""
    monkeypatch.setattr(making, "CHUNK_BYTES", 1 << 16)
    first = scene.back_up()
    scene.clock.advance(days=1)
    second = scene.back_up()
    scene.take("d")
    scene.clock.advance(days=1)
    third = scene.back_up()
    # The moment the catalog keeps for each backup is a change, too.
    assert second.written_bytes < first.written_bytes / 10
    assert third.written_bytes < first.written_bytes / 3
    for made, count in ((first, 3), (second, 3), (third, 4)):
        assert len(documents_of(scene.restored(made.name))) == count


def test_chains_of_changes_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many backups there were, reading one takes at most about twice the bytes of a full one."""
    monkeypatch.setattr(making, "CHUNK_BYTES", 1 << 16)
    for number in range(30):
        for part in range(4):
            scene.take(f"{number}-{part}", bytes([number, part]) * 300)
        scene.clock.advance(days=1)
        made = scene.back_up()
    manifest = scene.manifest(made.name)
    lengths = [len(chunk.pieces) for chunk in manifest.chunks]
    assert max(lengths) > 1
    for chunk in manifest.chunks:
        assert sum(piece.bytes for piece in chunk.pieces) < 2 * chunk.pieces[0].bytes
    assert len(documents_of(scene.restored(made.name))) == 123


def test_what_rotted_is_not_built_upon(scene: Scene) -> None:
    """A later backup does not rely on a piece that went bad: it is whole, and the bad piece is noticed, or healed."""
    first = scene.back_up()
    for piece in (scene.dest / PIECES).iterdir():
        piece.chmod(0o644)
        piece.write_bytes(piece.read_bytes()[:-1] + b"?")
    scene.take("d")
    scene.clock.advance(days=1)
    second = scene.back_up()
    assert len(documents_of(scene.restored(second.name))) == 4
    assert first.name != second.name


def test_hazard_4_another_catalog_is_refused(scene: Scene) -> None:
    """A folder of one catalog's backups takes no other's, and a folder of something else takes none."""
    scene.back_up()
    with init(scene.top / "other") as other, pytest.raises(InvalidInput, match="another catalog"):
        backup_catalog(scene.dest, collection=other)
    strange = scene.top / "photos"
    strange.mkdir()
    (strange / "holiday.jpg").write_bytes(b"sun")
    with pytest.raises(InvalidInput, match=r"holds other files \(holiday.jpg\)"):
        backup_catalog(strange, collection=scene.collection)
    assert [path.name for path in strange.iterdir()] == ["holiday.jpg"]


def test_one_at_a_time(scene: Scene) -> None:
    """Two backups into one folder at once: the second says so."""
    with Folder(scene.dest).locked(), pytest.raises(CatalogBusy, match="another program writes"):
        scene.back_up()


def test_a_moment_that_is_over_is_taken_anew(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was condemned while the backup was made is in no backup: it begins anew, and tries not for ever."""
    real, refused = making.keep, []

    def once(*args: Any) -> None:
        if not refused:
            refused.append(args)
            scene.forget("a")
            raise ConstraintError("a was condemned since")
        real(*args)

    monkeypatch.setattr(making, "keep", once)
    made = scene.back_up()
    assert refused and [row[0] for row in documents_of(scene.restored(made.name))] == ["b", "c"]

    def always(*args: Any) -> None:
        raise ConstraintError("something was condemned since")

    monkeypatch.setattr(making, "keep", always)
    scene.clock.advance(days=1)
    scene.take("d")
    with pytest.raises(ConstraintError):
        scene.back_up()
    assert repository.names(scene.target) == [made.name]


def test_with_bytes(scene: Scene) -> None:
    """Bytes are copied once and proved while they are copied; what is bad in the store is told, not copied."""
    made = scene.back_up(copy_bytes=True)
    assert made.with_bytes and made.copied_bytes == 3 and made.lacking == 0
    for name in "abc":
        digest = Digest.parse(sha256(name.encode()))
        assert scene.target.get(repository.bytes_key(digest)) == name.encode()
    scene.take("d", b"will rot")
    path = Path(scene.collection.find(artifact_id="d")["location"][0])
    path.chmod(0o644)
    path.write_bytes(b"has rott")
    scene.clock.advance(days=1)
    again = scene.back_up(copy_bytes=True)
    assert again.copied_bytes == 0 and again.lacking == 1
    assert not [key for key in scene.target.keys("bytes") if scene.target.get(key) == b"has rott"]


@pytest.mark.parametrize("place", ["store/docs/b", "store/cas/zz", "snapshots", "plans/b", "mirror", "reports"])
def test_where_other_things_are_removed_no_backup_is_made(scene: Scene, place: str) -> None:
    """In a store its pieces would be garbage, and among snapshots an old one: such places are refused."""
    with pytest.raises(InvalidInput, match="backups are not safe"):
        backup_catalog(scene.home / place, collection=scene.collection, executor=Inline())
    assert not list(scene.home.rglob("manifest.json"))
    backup_catalog(scene.home / "backups", collection=scene.collection, executor=Inline())


def test_what_a_killed_backup_left_is_removed(scene: Scene) -> None:
    """A copy of the catalog that nobody holds any more goes with the next backup; that of one under way stays."""
    for name in ("dead", "alive"):
        (scene.home / f".backup-{name}").mkdir()
        (scene.home / f".backup-{name}" / "catalog.sqlite.copy").write_bytes(b"large")
    with making._held(scene.home / ".backup-alive") as ours:
        assert ours
        scene.back_up()
    assert [path.name for path in scene.home.glob(".backup-*")] == [".backup-alive"]
