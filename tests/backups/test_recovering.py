"""Coming back from a backup: from loss and damage, past old logs, everything shown first, nothing thrown away."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from catalogkit.backups.listing import list_backups
from catalogkit.backups.recovering import recover_from_backup
from catalogkit.catalog.sqlite.images import image_problems
from catalogkit.collection import init, open_collection
from catalogkit.errors import CatalogBusy, CatalogError, InvalidInput, SchemaTooNew, StoreMismatch
from catalogkit.model import Digest
from catalogkit.snapshots import take_snapshot
from catalogkit.verify import verify
from catalogkit.versions import folder_of, read_manifest
from tests.backups.scene import Scene, documents_of, rows, sha256


def beside(scene: Scene) -> list[str]:
    """What lies beside the catalog and has its name."""
    return sorted(path.name for path in scene.home.glob("catalog.sqlite*"))


def test_hazard_30_a_lost_catalog(scene: Scene) -> None:
    """The catalog is gone, with everything of it: it comes back as it was, and everything works."""
    made, before = scene.back_up(), scene.documents()
    scene.close()
    for path in scene.home.glob("catalog.sqlite*"):
        path.unlink()
    with pytest.raises(CatalogError, match="there is no catalog"):
        open_collection(scene.home)
    found = scene.recover(made)
    assert (found.was, found.applied, found.kept) == ("lost", True, None)
    assert scene.documents() == before
    assert verify(scene.collection).ok == 3
    scene.take("d")
    assert scene.collection.catalog.integrity() == []


def test_hazard_31_an_old_log_does_not_undo_it(scene: Scene) -> None:
    """A log full of later changes lies beside the catalog: what comes back is the backup, not those."""
    made, before = scene.back_up(), scene.documents()
    for number in range(50):
        scene.take(f"later {number}")
    # As a killed process leaves it: the log beside the catalog, nothing folded in.
    killed = scene.top / "killed"
    shutil.copytree(scene.home, killed)
    scene.close()
    shutil.rmtree(scene.home)
    shutil.move(killed, scene.home)
    assert "catalog.sqlite-wal" in beside(scene)
    found = scene.recover(made)
    assert scene.documents() == before
    # And what it replaced has those changes, in one file.
    assert found.kept is not None and len(documents_of(Path(found.kept))) == 53
    assert not Path(f"{found.kept}-wal").exists()


@pytest.mark.parametrize("lost", ["gone", "empty"])
def test_hazard_31_the_log_of_a_lost_catalog(scene: Scene, lost: str) -> None:
    """Only the log is left of a catalog: it does not get into what comes back, and it is kept."""
    made, before = scene.back_up(), scene.documents()
    scene.take("later")
    killed = scene.top / "killed"
    shutil.copytree(scene.home, killed)
    scene.close()
    shutil.rmtree(scene.home)
    shutil.move(killed, scene.home)
    scene.catalog_file.unlink()
    if lost == "empty":
        scene.catalog_file.touch()
    log = Path(f"{scene.catalog_file}-wal").read_bytes()
    assert log
    scene.recover(made, dry_run=True)
    scene.recover(made)
    assert scene.documents() == before
    assert (scene.home / "catalog.sqlite.replaced-20260301T120000Z-wal").read_bytes() == log


@pytest.mark.parametrize("damage", ["cut off", "noise inside", "no database", "empty"])
def test_hazard_32_a_damaged_catalog(scene: Scene, damage: str) -> None:
    """A catalog that cannot be read, or not all of it, is replaced and kept as it is."""
    for number in range(100):
        scene.take(f"more {number}")
    made, before = scene.back_up(), scene.documents()
    scene.close()
    content = scene.catalog_file.read_bytes()
    middle = len(content) // 2
    bad = {
        "cut off": content[:middle],
        "noise inside": content[:middle] + b"noise" * 1000 + content[middle + 5000 :],
        "no database": b"this is a text",
        "empty": b"",
    }[damage]
    scene.catalog_file.write_bytes(bad)
    found = scene.recover(made)
    assert found.was.startswith("damaged") and found.kept is not None
    assert scene.documents() == before
    assert scene.collection.catalog.integrity() == []
    if damage in ("no database", "empty"):
        assert Path(found.kept).read_bytes() == bad


def test_hazard_32_every_replaced_catalog_is_kept(scene: Scene) -> None:
    """Coming back again and again, in the same second, never overwrites what was kept before."""
    made = scene.back_up()
    kept = []
    for number in range(3):
        scene.take(f"later {number}")
        found = scene.recover(made)
        assert found.kept is not None
        kept.append(Path(found.kept))
    assert len(set(kept)) == 3
    for number, path in enumerate(kept):
        assert [row[0] for row in documents_of(path)] == ["a", "b", "c", f"later {number}"]
        assert image_problems(path) == []


def test_by_default_nothing_is_changed(scene: Scene) -> None:
    """Without `dry_run=False` it tells what would change, and leaves every file as it is."""
    made = scene.back_up()
    scene.take("b", b"b has changed")
    scene.take("new")
    scene.forget("a")
    scene.close()
    before = {path: path.read_bytes() for path in scene.home.rglob("*") if path.is_file()}
    found = recover_from_backup(made.path, scene.catalog_file)
    assert not found.applied
    assert found.changes == {"only in the backup": 1, "only in the catalog": 1, "changed": 1}
    told = {(row["change"], row["artifact_id"]) for row in found.differences().rows(named=True)}
    assert told == {("only in the backup", "a"), ("only in the catalog", "new"), ("changed", "b")}
    assert {path: path.read_bytes() for path in scene.home.rglob("*") if path.is_file()} == before


def test_somebody_has_it_open(scene: Scene) -> None:
    """While a program has the catalog open, in this process or another one, it is not replaced; nothing is changed."""
    made, before = scene.back_up(), scene.documents()
    scene.take("d")
    with pytest.raises(CatalogBusy, match="is open elsewhere; close the programs and notebooks"):
        recover_from_backup(made.path, scene.catalog_file, dry_run=False)
    scene.close()
    code = (
        "import sys; from catalogkit.collection import open_collection\n"
        f"c = open_collection({str(scene.home)!r}); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline() == b"open\n"
        with pytest.raises(CatalogBusy):
            recover_from_backup(made.path, scene.catalog_file, dry_run=False)
        other.communicate()
    assert len(scene.documents()) == len(before) + 1
    assert beside(scene) == ["catalog.sqlite"]


def test_who_opened_it_before_writes_into_nothing(scene: Scene) -> None:
    """A connection that was made just before the swap, and had not begun, cannot write into the replaced catalog."""
    made = scene.back_up()
    scene.close()
    with closing(sqlite3.connect(scene.catalog_file, isolation_level=None, timeout=0)) as late:
        found = recover_from_backup(made.path, scene.catalog_file, dry_run=False)
        assert found.applied
        with pytest.raises(sqlite3.OperationalError, match="readonly"):  # SQLite sees that the file was moved
            late.execute("INSERT INTO meta VALUES ('late', '1')")
    for path in (scene.catalog_file, Path(found.kept or "")):
        assert rows(path, "SELECT value FROM meta WHERE key = 'late'") == []


def test_another_catalogs_backup_is_refused(scene: Scene) -> None:
    """A backup does not replace a catalog it is not of, nor take over a store that is not its own."""
    made = scene.back_up()
    with init(scene.top / "other") as other:
        place = other.path / "catalog.sqlite"
    with pytest.raises(InvalidInput, match="a backup of another catalog"):
        recover_from_backup(made.path, place, dry_run=False)
    place.unlink()
    with pytest.raises(StoreMismatch):
        recover_from_backup(made.path, place, dry_run=False)
    assert not place.exists()
    with pytest.raises(InvalidInput, match="is a folder"):
        recover_from_backup(made.path, other.path)
    with pytest.raises(InvalidInput, match="there is no folder"):
        recover_from_backup(made.path, scene.top / "nowhere" / "catalog.sqlite")
    os.mkfifo(place)
    with pytest.raises(InvalidInput, match="is not a file"):
        recover_from_backup(made.path, place)


def test_hazard_65_schemas(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup by an older catalogkit is brought up to date the usual way; one by a newer is refused, and says so."""
    from catalogkit.catalog.sqlite import migrations

    class Next(migrations.Migration):
        def sql(self) -> str:
            return "CREATE TABLE of_tomorrow (id INTEGER) STRICT;\n"

    today = migrations.MIGRATIONS
    tomorrow = (*today, Next(today[-1].version + 1, "tomorrow"))
    older = scene.back_up()
    scene.close()
    monkeypatch.setattr(migrations, "MIGRATIONS", tomorrow)
    scene.recover(older)
    assert rows(scene.catalog_file, "SELECT max(version) FROM migrations") == [(tomorrow[-1].version,)]
    assert [row[0] for row in scene.documents()] == ["a", "b", "c"]
    newer = scene.back_up()
    scene.close()
    monkeypatch.setattr(migrations, "MIGRATIONS", today)
    before = scene.catalog_file.read_bytes()
    with pytest.raises(SchemaTooNew, match="upgrade catalogkit"):
        recover_from_backup(newer.path, scene.catalog_file, dry_run=False)
    assert scene.catalog_file.read_bytes() == before
    assert [name for name in beside(scene) if "recovering" in name] == []


def test_bytes_that_were_purged_since(scene: Scene) -> None:
    """Bytes that are nowhere any more are listed, with the documents that will miss them; the rest comes back."""
    made = scene.back_up(copy_bytes=True)
    (place,) = scene.collection.find(artifact_id="a")["location"]
    scene.close()
    Path(place).unlink()
    found = scene.recover(made, dry_run=True)
    (missing,) = found.missing
    assert (missing.sha256, missing.documents, missing.in_backup) == (sha256(b"a"), 1, True)
    assert (found.missing_blobs, found.missing_bytes) == (1, 1)
    Path(place).write_bytes(b"somewhat longer")
    assert scene.recover(made, dry_run=True).missing_blobs == 1, "other bytes at its place are not its bytes"


def test_a_store_that_is_away_is_not_missing(scene: Scene) -> None:
    """When the disk is not mounted nothing is said to be missing: it is not known."""
    made = scene.back_up()
    scene.close()
    (scene.home / "store").rename(scene.top / "unplugged")
    found = recover_from_backup(made.path, scene.catalog_file)
    assert found.missing_blobs == 0 and any("is the disk mounted" in why for why in found.away)


def test_its_store_goes_on_with_it(scene: Scene) -> None:
    """A run that came after the backup left a mark that it does not know; what it replaced is a copy from now on."""
    made = scene.back_up()
    scene.clock.advance(days=1)
    scene.take("later")
    found = scene.recover(made)
    scene.take("d")
    scene.close()
    assert found.kept
    os.replace(found.kept, scene.catalog_file)
    scene.reopen()
    with pytest.raises(StoreMismatch, match="another copy of this catalog"):
        scene.take("e")


def test_what_came_after_the_backup_is_not_lost(scene: Scene) -> None:
    """Bytes that only the replaced catalog knew are blobs with a root, no strays; later backups still find them."""
    made = scene.back_up()
    scene.take("later", b"came after the backup")
    scene.clock.advance(days=1)
    second = scene.back_up()
    found = scene.recover(made)
    assert found.carried == 1
    digest = Digest.parse(sha256(b"came after the backup"))
    facts = scene.collection.catalog.root_kinds(digest, as_of=scene.clock.now)
    assert facts["state"] == "live" and facts["refs"] == 0
    assert found.kept and facts["roots"] == [f"replaced {Path(found.kept).name}"]
    assert scene.collection.catalog.garbage(as_of=scene.clock.now)["kept_by"].null_count() == 0
    again = scene.recover(second)
    assert again.missing_blobs == 0 and len(scene.documents()) == 4
    assert scene.collection.read(4) == b"came after the backup"


def test_bytes_that_moved_are_found_where_they_are(scene: Scene) -> None:
    """A copy that lies elsewhere since the backup was made is found there, and the catalog that comes back knows it."""
    made = scene.back_up()
    digest = Digest.parse(sha256(b"a"))
    catalog = scene.collection.catalog
    (old,) = catalog.locations_of(digest)
    place = scene.home / "store" / "docs" / "moved.txt"
    place.parent.mkdir()
    (scene.home / "store" / old.key).rename(place)
    with catalog.write("move") as db:  # type: ignore[attr-defined]
        db.execute(
            "INSERT INTO locations (store_id, key, layout, fold, sha256, created_us, changed_us)"
            " VALUES (1, 'docs/moved.txt', 'policy', 'docs/moved.txt', ?, 1, 1)",
            (digest,),
        )
        db.execute("DELETE FROM locations WHERE id = ?", (old.id,))
    found = scene.recover(made)
    assert found.missing_blobs == 0
    assert {copy.key for copy in scene.collection.catalog.locations_of(digest)} == {old.key, "docs/moved.txt"}


def test_a_backup_can_be_made_after_coming_back(scene: Scene) -> None:
    """The catalog that came back keeps the backup it came from, and goes on with new ones in the same folder."""
    made = scene.back_up()
    scene.take("lost")
    scene.recover(made)
    (moment,) = scene.collection.catalog.moments("backup", as_of=scene.clock.now)
    assert moment.name.startswith(made.name)
    scene.take("d")
    scene.clock.advance(days=1)
    later = scene.back_up()
    assert [row[0] for row in documents_of(scene.restored(later.name))] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("label", ["may", "june"])
def test_written_versions_of_a_lost_future_are_not_taken_for_new_ones(scene: Scene, label: str) -> None:
    """After coming back numbers are given anew: a snapshot's Parquet has what it has, not what its namesake had."""
    made = scene.back_up()
    scene.take("a", b"lost")
    take_snapshot(scene.collection, "may")
    scene.clock.advance(hours=1)
    scene.recover(made)
    scene.take("a", b"found")
    snapshot = take_snapshot(scene.collection, label)
    told = pl.read_parquet(snapshot.files()).sort("id")
    assert told.equals(scene.collection.frame("documents").drop("seen_at"))
    assert read_manifest(folder_of(scene.collection, snapshot))["digest"] == snapshot.digest


def test_the_newest_of_one_second_is_the_one_made_last(scene: Scene) -> None:
    """Names tell seconds; which of two backups is the newer one is told by the whole time, not by their digests."""
    for number in range(6):
        scene.take(f"more {number}")
        scene.clock.advance(milliseconds=1)
        scene.back_up()
    assert recover_from_backup(scene.dest, scene.catalog_file, as_of=scene.clock.now).documents == 9
    assert [one.documents for one in list_backups(scene.dest)] == [4, 5, 6, 7, 8, 9]


def test_a_catalog_that_came_back_is_whole(scene: Scene) -> None:
    """What came back once, with blobs that it keeps for the replaced catalog, is compared like any other."""
    made = scene.back_up()
    scene.take("later")
    assert scene.recover(made).carried == 1
    scene.take("again")
    found = scene.recover(made, dry_run=True)
    assert (found.was, found.changes["only in the catalog"]) == ("whole", 1)


def test_holds_that_came_later_stay_in_force(scene: Scene) -> None:
    """Coming back to a time before somebody forbade that something goes away does not allow it; nor twice over."""
    made, catalog, now = scene.back_up(), scene.collection.catalog, scene.clock.now
    (row,) = scene.collection.find(artifact_id="a").rows(named=True)
    catalog.place_hold("court", document_id=row["id"], placed_by="ada", as_of=now)
    catalog.place_hold("court", digest=Digest.parse(sha256(b"b")), as_of=now)
    catalog.release_hold(catalog.place_hold("over", document_id=row["id"], as_of=now), as_of=now)
    for _ in range(2):
        scene.recover(made)
        holds = scene.collection.catalog.holds(as_of=scene.clock.now)
        told = [(hold["subject"], hold["reason"], hold["placed_by"]) for hold in holds]
        assert told == [(str(row["id"]), "court", "ada"), (sha256(b"b"), "court", "")]
