"""Collecting garbage: what is garbage, what never is, and that nothing needed goes, whatever the order of events."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.acts.world import GONE
from catalogkit.apply import apply
from catalogkit.collection import Collection, init, open_collection
from catalogkit.errors import InvalidInput, PlanError, StoreMismatch, StoreUnreachable
from catalogkit.ingest import ingest
from catalogkit.intents import LEASE
from catalogkit.planners.gc import GCPolicy
from catalogkit.planning import gc_incremental, plan_gc, plan_purge, plan_repair, plan_undo, why
from catalogkit.stores.files import Files
from catalogkit.verify import verify
from tests.conftest import Clock, hurry, make_tree
from tests.plans.scene import (
    AT_ONCE,
    broken,
    collect,
    condemn,
    digest_of,
    facts,
    files,
    forget,
    path_of,
    purge,
    put,
    run,
    state_of,
    stored_bytes,
    stray,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {f"{name}.txt": f"content of {name}".encode() for name in ("one", "two", "three")}


# -- whose root, which catalog: hazards 1 to 5 -----------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["docs/store", "./docs/store", "x/../docs/store", "docs/store/", "link/store"])
def test_a_store_however_spelled_has_no_garbage_after_ingest(
    spelling: str, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hazards 1 and 2: a root that is relative, dotted or reached through a link makes nothing an orphan."""
    home, source = tmp_path / "home", make_tree(tmp_path / "source", FILES)
    (home / "docs").mkdir(parents=True)
    (home / "x").mkdir()
    (home / "link").symlink_to("docs")
    monkeypatch.chdir(tmp_path)
    with hurry(init("home", store=f"file:{spelling}", clock=clock)) as collection:
        ingest(collection, source)
        clock.advance(days=100)
        assert plan_gc(collection, AT_ONCE).units == 0
        assert len(files(collection)) == len(FILES)


def test_a_collection_reached_through_a_link_has_no_garbage(tmp_path: Path, clock: Clock) -> None:
    """Hazard 2: the same collection under another name knows its files."""
    with hurry(init(tmp_path / "real", clock=clock)) as collection:
        ingest(collection, make_tree(tmp_path / "source", FILES))
    (tmp_path / "alias").symlink_to("real")
    clock.advance(days=100)
    with open_collection(tmp_path / "alias", clock=clock) as collection:
        assert plan_gc(collection, AT_ONCE).units == 0


def test_a_job_that_starts_elsewhere_condemns_nothing(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hazard 3: ingested by relative paths, collected from another working directory: no garbage."""
    make_tree(tmp_path / "source", FILES)
    monkeypatch.chdir(tmp_path)
    with hurry(init("home", clock=clock)) as collection:
        ingest(collection, "source")
        ingest(collection, "source", mode="reference", resolver="in place")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    clock.advance(days=100)
    with open_collection("../home", clock=clock) as collection:
        assert plan_gc(collection, AT_ONCE).units == 0
        assert all(key.startswith("cas/") or Path("/" + key).exists() for key in collection.frame("locations")["key"])


def test_an_empty_catalog_beside_a_full_store_is_refused(collection: Collection, clock: Clock) -> None:
    """Hazard 4: a catalog that lost everything is not told that its store is garbage."""
    put(collection, "a", b"a")
    collection.catalog._db.executescript("DROP TRIGGER locations_last; DELETE FROM documents; DELETE FROM locations;")
    clock.advance(days=100)
    with pytest.raises(PlanError, match="right catalog"):
        plan_gc(collection, AT_ONCE)


def test_a_store_of_another_catalog_is_refused(tmp_path: Path, clock: Clock) -> None:
    """Hazard 4: store and catalog carry each other's identity; a stranger's files are not even looked at."""
    with init(tmp_path / "mine", clock=clock) as mine, init(tmp_path / "other", clock=clock) as other:
        put(other, "a", b"a")
        mine.store.root = other.store.root
        with pytest.raises(StoreMismatch, match="another catalog"):
            plan_gc(mine, AT_ONCE)


def test_a_store_that_is_away_makes_nothing_garbage_and_nothing_gone(collection: Collection, tmp_path: Path) -> None:
    """An unmounted disk ends plan and apply with an error; no file counts as gone, no record is dropped."""
    put(collection, "kept", b"kept")
    forget(collection, put(collection, "a", b"a"))
    condemn(collection)
    plan, before = plan_purge(collection, AT_ONCE), facts(collection)["locations"]
    os.rename(collection.store.root, tmp_path / "unmounted")
    Path(collection.store.root).mkdir()
    for act in (lambda: plan_gc(collection), lambda: plan_purge(collection), lambda: run(collection, plan)):
        with pytest.raises(StoreUnreachable, match="mounted"):
            act()
    assert facts(collection)["locations"] == before
    os.rmdir(collection.store.root)
    os.rename(tmp_path / "unmounted", collection.store.root)
    assert run(collection, plan).removed == 1


def test_a_disk_that_goes_away_while_purging_takes_no_record_with_it(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that vanish with their disk in the middle of a batch are not taken for purged."""
    put(collection, "kept", b"kept")
    forget(collection, put(collection, "a", b"a"))
    condemn(collection)
    plan, reach, root = plan_purge(collection, AT_ONCE), collection.store.reach, collection.store.root

    def reach_then_lose() -> None:
        reach()
        if os.path.isdir(os.path.join(root, ".catalogkit")):
            os.rename(root, tmp_path / "unmounted")

    monkeypatch.setattr(collection.store, "reach", reach_then_lose)
    with pytest.raises(StoreUnreachable):
        run(collection, plan)
    assert state_of(collection, b"a") == "condemned"
    os.rename(tmp_path / "unmounted", root)
    monkeypatch.undo()
    assert run(collection, plan).removed == 1


def test_what_the_default_settings_make_outlives_the_process(tmp_path: Path) -> None:
    """Hazard 5: a collection made with defaults by one process is whole in the next, and has no garbage there."""
    make_tree(tmp_path / "source", FILES)
    code = "import sys, catalogkit as ck; c = ck.init(sys.argv[1]); ck.ingest(c, sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, tmp_path / "home", tmp_path / "source"], check=True)
    with open_collection(tmp_path / "home") as collection:
        assert collection.frame("documents").height == len(FILES)
        assert plan_gc(collection, AT_ONCE).units == 0


# -- ingest under way, roots, links, work in progress: hazards 6 to 9 -------------------------------------------------


def test_garbage_collection_between_publishing_and_registering_takes_nothing(
    collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hazard 6: bytes that lie at their key before the catalog knows them are neither condemned nor purged."""
    forget(collection, put(collection, "old", b"old"))
    condemn(collection)
    commit, seen = type(collection.catalog).commit, []

    def collect_first(catalog: object, *args: object, **kwargs: object) -> object:
        with open_collection(collection.path, clock=clock) as other:
            seen.append(len(files(other)))
            condemn(other)
            purge(other)
        return commit(catalog, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(type(collection.catalog), "commit", collect_first)
    for content in (b"new", b"old"):  # one that was never there, one that was condemned
        assert collection.read(put(collection, "again", content).id) == content
    assert seen == [2, 2]
    assert not list(broken(collection))


def test_a_variant_keeps_its_bytes(collection: Collection, clock: Clock) -> None:
    """Hazard 7: bytes that only a variant refers to are no garbage."""
    put(collection, "a", b"as html", variant="html")
    put(collection, "a", b"as pdf", variant="pdf")
    clock.advance(days=100)
    assert plan_gc(collection, AT_ONCE).units == 0


def test_every_table_with_a_key_keeps_the_file_there(collection: Collection) -> None:
    """Hazard 7, the general rule: whatever table names a place in a store, that place holds no stray."""
    db = collection.catalog._db
    tables = [
        name
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if {"store_id", "key"} <= {row[1] for row in db.execute(f"PRAGMA table_info({name})")}
    ]
    # History and the journal tell what was; the rest tell what is, and each keeps its files from being strays.
    assert set(tables) - {"locations_history", "journal"} == {"locations", "intents", "strays"}
    store_id, key = collection.store_id(collection.store.name), "cas/aa/" + "aa" * 32
    assert collection.catalog.recorded(store_id, [key]) == set()
    put(collection, "a", b"a")
    at_a = collection.catalog.locations_of(digest_of(b"a"))[0].key
    assert collection.catalog.recorded(store_id, [key, at_a]) == {at_a}
    path = stray(collection, b"stray")
    condemn(collection)
    assert collection.catalog.recorded(store_id, [str(path.relative_to(collection.store.root))])


def test_every_table_that_names_a_blob_keeps_it(collection: Collection) -> None:
    """Whatever table refers to a blob is a root, is told about here, or only remembers."""
    db = collection.catalog._db
    tables = {
        name
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if name != "blobs" and "sha256" in {row[1] for row in db.execute(f"PRAGMA table_info({name})")}
    }
    memory = {name for name in tables if name.endswith("_history")} | {"checks", "journal", "sources"}
    memory |= {"access_files", "contents", "evictions", "elsewhere"}
    assert tables - memory == {"documents", "locations", "holds", "intents", "roots"}


@pytest.mark.parametrize("root", ["hold", "root", "intent"])
def test_a_root_keeps_garbage_from_being_condemned_and_purged(root: str, collection: Collection, clock: Clock) -> None:
    """Holds, intents and named roots keep a blob that no document refers to: while planning, and in between."""
    put(collection, "other", b"other")
    forget(collection, put(collection, "a", b"a"))
    digest, db = digest_of(b"a"), collection.catalog._db
    early = plan_gc(collection, AT_ONCE)

    def protect() -> None:
        if root == "hold":
            collection.catalog.place_hold("a lawyer asks", digest=digest, as_of=clock())
        elif root == "root":
            db.execute("INSERT INTO roots VALUES ('snapshot', 'before', ?)", (digest,))
        else:
            store_id = collection.store_id(collection.store.name)
            key = collection.catalog.locations_of(digest)[0].key
            db.execute(
                "INSERT INTO intents (owner, store_id, key, sha256, facts, created_us, expires_us)"
                " VALUES ('elsewhere/1/x', ?, ?, ?, '{}', 0, 9000000000000000)",
                (store_id, key, digest),
            )

    protect()
    if root != "intent":  # one of these facts cannot be read as a registration
        assert plan_gc(collection, AT_ONCE).units == 0
        assert any("keeps it" in line for line in why(collection, str(digest)))
    assert run(collection, early).skipped == 1
    assert state_of(collection, b"a") == "live"
    db.execute("DELETE FROM intents")
    db.execute("DELETE FROM roots")
    db.execute("DELETE FROM holds")
    condemn(collection)
    late = plan_purge(collection, AT_ONCE)
    if root == "root":
        with pytest.raises(Exception, match="alive"):
            protect()
        return
    protect()
    assert run(collection, late).skipped == 1
    assert path_of(collection, b"a").read_bytes() == b"a"


def test_a_hold_that_is_over_keeps_nothing(collection: Collection, clock: Clock) -> None:
    """An expired or released hold does not stand in the way."""
    forget(collection, put(collection, "a", b"a"))
    catalog = collection.catalog
    catalog.place_hold("for a day", digest=digest_of(b"a"), expires_at=clock() + timedelta(days=1), as_of=clock())
    hold = catalog.place_hold("for ever", digest=digest_of(b"a"), as_of=clock())
    clock.advance(days=2)
    assert plan_gc(collection).units == 0
    catalog.release_hold(hold, as_of=clock())
    assert condemn(collection).done == 1
    assert purge(collection).removed == 1


def test_a_document_that_became_a_link_is_kept_with_its_target(collection: Collection, clock: Clock) -> None:
    """Hazard 8: a published file that somebody replaced by a link to its bytes is no stray, nor is its target."""
    put(collection, "a", b"a")
    path = path_of(collection, b"a")
    target = stray(collection, b"target")
    target.unlink()
    os.rename(path, target)
    path.symlink_to(target)
    clock.advance(days=100)
    plan = plan_gc(collection, AT_ONCE)
    run(collection, plan)
    assert path.is_symlink() and path.read_bytes() == b"a"
    key = str(path.relative_to(collection.store.root))
    assert key not in plan.frame["key"].to_list()


def test_a_condemned_file_that_became_a_link_is_not_removed(collection: Collection) -> None:
    """Hazard 8: what lies at a condemned key and is not the file that was planned stays."""
    forget(collection, put(collection, "a", b"a"))
    condemn(collection)
    path = path_of(collection, b"a")
    plan = plan_purge(collection, AT_ONCE)
    moved = path.parent / "moved"
    os.rename(path, moved)
    path.symlink_to(moved)
    report = run(collection, plan)
    assert (report.skipped, report.removed) == (1, 0)
    assert path.is_symlink() and moved.read_bytes() == b"a"


def test_work_in_progress_in_the_root_is_never_proposed(tmp_path: Path, clock: Clock) -> None:
    """Hazard 9: temporary and lock files, the catalog itself and foreign names in the root are not ours to delete."""
    home = tmp_path / "home"
    with hurry(init(home, store="file:.", clock=clock)) as collection:
        put(collection, "kept", b"kept")
        root = Path(collection.store.root)
        assert (root / "catalog.sqlite").exists()
        strange = ["cas/aa/x.part", "cas/aa/" + "aa" * 32 + ".tmp", "cas/AA/" + "AA" * 32, "notes.txt", "docs/con.txt"]
        strange += [".catalogkit/tmp/x/0", ".catalogkit/lock", "cas/aa/" + "ab" * 32, "docs/.part"]
        for name in strange:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"not yours")
            os.utime(root / name, (0, 0))
        clock.advance(days=100)
        ours = stray(collection, b"stray")
        plan = plan_gc(collection, AT_ONCE)
        assert plan.frame["key"].to_list() == [str(ours.relative_to(root))]
        collect(collection)
        assert not ours.exists()
        assert [name for name in strange if not (root / name).exists()] == []


@pytest.mark.parametrize("key", ["../outside", "notes.txt", "cas/aa/x.part", ".catalogkit/store.json"])
def test_a_plan_cannot_remove_what_has_no_key(key: str, collection: Collection, clock: Clock) -> None:
    """Hazard 9: the executor refuses a name that no layout has, whoever wrote it into plan and catalog."""
    put(collection, "kept", b"kept")
    stray(collection, b"stray")
    condemn(collection)
    path = Path(collection.store.root, key)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not yours")
    about = path.stat()
    collection.catalog._db.execute(
        "UPDATE strays SET key = ?, bytes = ?, inode = ?, mtime_ns = ?",
        (key, about.st_size, about.st_ino, about.st_mtime_ns),
    )
    with pytest.raises(InvalidInput, match="not a key"):
        plan_purge(collection, AT_ONCE)
    assert path.exists()


# -- how old it must be: hazard 10 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["UTC", "Etc/GMT+12", "Etc/GMT-12"])
def test_a_young_stray_survives_in_every_time_zone(
    zone: str, collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hazard 10: three days are three days, twelve hours east and west of Greenwich; a minute is too young."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        put(collection, "kept", b"kept")
        young = [stray(collection, b"young", days=1 / 1440), stray(collection, b"nearly", days=2.99)]
        old = stray(collection, b"old", days=3.01)
        plan = plan_gc(collection)
        assert plan.frame["key"].to_list() == [str(old.relative_to(collection.store.root))]
        run(collection, plan)
        assert purge(collection, GCPolicy()).done == 0  # condemned just now
        clock.advance(days=13.99)
        assert purge(collection, GCPolicy()).done == 0
        clock.advance(days=0.02)
        assert purge(collection, GCPolicy()).removed == 1
        assert [path.exists() for path in (*young, old)] == [True, True, False]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_grace_counts_from_becoming_garbage_not_from_being_found(collection: Collection, clock: Clock) -> None:
    """A blob that nothing refers to for two weeks may be purged the moment it is condemned; a day less, it stays."""
    put(collection, "kept", b"kept")
    forget(collection, put(collection, "a", b"a"))
    clock.advance(days=13)
    condemn(collection)
    assert plan_purge(collection).units == 0
    clock.advance(days=1)
    assert plan_purge(collection).units == 1


def test_ingest_starts_the_grace_anew(collection: Collection, clock: Clock) -> None:
    """Bytes that were ingested again and let go again have been garbage since then only."""
    put(collection, "kept", b"kept")
    forget(collection, put(collection, "a", b"a"))
    condemn(collection)
    old = plan_purge(collection, AT_ONCE)
    clock.advance(days=20)
    forget(collection, put(collection, "a", b"a"))
    condemn(collection)
    assert plan_purge(collection).units == 0
    assert run(collection, old, as_of=old.head.as_of).skipped == 1
    assert path_of(collection, b"a").exists()


# -- preview and the real run: hazard 11 -----------------------------------------------------------------------------


@pytest.mark.parametrize("again", ["the same document", "another document"])
def test_what_was_ingested_after_the_preview_survives_the_apply(again: str, collection: Collection) -> None:
    """Hazard 11: preview, ingest the same content, apply: the blob lives; so it does between condemn and purge."""
    put(collection, "kept", b"kept")
    name = "a" if again == "the same document" else "b"
    record = put(collection, "a", b"a")
    forget(collection, record)
    plan = plan_gc(collection, AT_ONCE)
    record = put(collection, name, b"a")
    report = run(collection, plan)
    assert (report.done, report.skipped) == (0, 1)
    assert list(report.why) == ["it is not the garbage it was when the plan was made"]
    forget(collection, record)
    condemn(collection)
    plan = plan_purge(collection, AT_ONCE)
    record = put(collection, name, b"a")
    report = run(collection, plan)
    assert (report.done, report.skipped, report.removed) == (0, plan.frame.height, 0)
    assert collection.read(record.id) == b"a"


def test_a_stray_that_is_taken_in_after_all_survives(make_collection: Callable[..., Collection]) -> None:
    """Hazard 11 for strays: one that a record knows by now is neither condemned nor purged."""
    collection = make_collection("cas")
    put(collection, "kept", b"kept")
    stray(collection, b"one")
    condemning = plan_gc(collection, AT_ONCE)
    first = put(collection, "one", b"one")
    assert run(collection, condemning).skipped == 1
    stray(collection, b"two")
    condemn(collection)
    purging = plan_purge(collection, AT_ONCE)
    second = put(collection, "two", b"two")
    assert run(collection, purging).skipped == 1
    assert [collection.read(record.id) for record in (first, second)] == [b"one", b"two"]


# -- counting: hazard 51 --------------------------------------------------------------------------------------------


def test_counts_are_what_the_file_system_lost(collection: Collection, tmp_path: Path) -> None:
    """Hazard 51: files and bytes reported are the difference on disk; what was gone already counts as neither."""
    put(collection, "kept", b"kept" * 100)
    forget(collection, *(put(collection, name, name.encode() * 50) for name in ("a", "b", "c", "d")))
    stray(collection, b"stray" * 7)
    dry = plan_gc(collection, AT_ONCE)
    before, size = files(collection), stored_bytes(collection)
    assert files(collection) == before
    assert dry.bytes_freed() == 4 * 50 + 35
    report = run(collection, dry)
    assert (report.done, report.removed, report.bytes_freed, files(collection)) == (5, 0, 0, before)
    plan = plan_purge(collection, AT_ONCE)
    path_of(collection, b"a" * 50).unlink()
    before, size = files(collection), stored_bytes(collection)
    report = run(collection, plan)
    assert report.done == 5
    assert report.why == {GONE: 1}
    assert report.removed == len(before) - len(files(collection)) == 4
    assert report.bytes_freed == size - stored_bytes(collection) == 3 * 50 + 35
    assert collection.catalog.plans()[0].bytes_freed == report.bytes_freed


def test_a_file_that_was_gone_before_the_plan_frees_nothing(collection: Collection) -> None:
    """Hazard 51: a plan does not promise the bytes of a file that is not there."""
    put(collection, "kept", b"kept")
    forget(collection, put(collection, "a", b"a"))
    condemn(collection)
    path_of(collection, b"a").unlink()
    plan = plan_purge(collection, AT_ONCE)
    assert (plan.units, plan.bytes_freed()) == (1, 0)
    assert run(collection, plan).bytes_freed == 0
    assert state_of(collection, b"a") == "purged"


def test_hard_links_free_bytes_only_with_the_last_name(make_collection: Callable[..., Collection]) -> None:
    """A file with two names in the store is one object; one with a name elsewhere keeps its bytes."""
    collection = make_collection("policy")
    put(collection, "kept", b"kept")
    shared = [put(collection, name, b"shared" * 10) for name in ("a", "b")]
    assert len(set(files(collection).values())) == 2
    linked = put(collection, "c", b"linked" * 10)
    outside = collection.path.parent / "outside"
    os.link(path_of(collection, b"linked" * 10), outside)
    forget(collection, *shared, linked)
    assert plan_gc(collection, AT_ONCE).bytes_freed() == 120  # what a record can know
    condemn(collection)
    plan = plan_purge(collection, AT_ONCE)
    assert (plan.frame.height, plan.units, plan.bytes_freed()) == (3, 2, 60)
    size = stored_bytes(collection)
    report = run(collection, plan)
    assert (report.removed, report.bytes_freed) == (3, 60)
    assert outside.read_bytes() == b"linked" * 10
    assert size - stored_bytes(collection) == 120  # the store lost it, the disk did not


def test_a_stray_with_another_name_frees_nothing(collection: Collection) -> None:
    """A stray is one name; its bytes go only with the last."""
    put(collection, "kept", b"kept")
    path = stray(collection, b"stray")
    os.link(path, collection.path.parent / "outside")
    assert plan_gc(collection, AT_ONCE).bytes_freed() == 0
    condemn(collection)
    plan = plan_purge(collection, AT_ONCE)
    report = run(collection, plan)
    assert (plan.bytes_freed(), report.removed, report.bytes_freed, path.exists()) == (0, 1, 0, False)


def test_files_in_their_owners_hands_are_never_removed(collection: Collection, tmp_path: Path) -> None:
    """A document that was only referenced can be forgotten and purged; its file stays where its owner keeps it."""
    put(collection, "kept", b"kept")
    source = make_tree(tmp_path / "owner", {"theirs.txt": b"theirs"})
    ingest(collection, source, mode="reference")
    (record,) = collection.catalog.find(artifact_id="theirs.txt")
    forget(collection, record)
    assert plan_gc(collection, AT_ONCE).bytes_freed() == 0
    report = collect(collection)
    assert (report.done, report.removed, report.bytes_freed) == (1, 0, 0)
    assert state_of(collection, b"theirs") == "purged"
    assert (source / "theirs.txt").read_bytes() == b"theirs"


# -- dead ingests ---------------------------------------------------------------------------------------------------


class _Killed(BaseException):
    pass


class _Killing(Files):
    """Ends an ingest at its first `link`, before or after."""

    def __init__(self, after: bool) -> None:
        self.after = after

    def link(self, source: str, target: str) -> None:
        if self.after:
            super().link(source, target)
        raise _Killed

    def unlink(self, path: str) -> None:
        raise _Killed


@pytest.mark.parametrize("published", [False, True])
def test_a_dead_ingest_is_completed_or_dropped(
    published: bool, collection: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An intent whose lease ran out is settled: completed where its bytes lie at their key, else dropped."""
    put(collection, "kept", b"kept")
    real, collection.store.files = collection.store.files, _Killing(after=published)
    monkeypatch.setattr(sys.modules["catalogkit.ingest"], "recover", lambda *args, **kwargs: (0, 0))
    with pytest.raises(_Killed):
        put(collection, "late", b"late")
    collection.store.files = real
    collection.catalog._db.execute("UPDATE intents SET owner = 'elsewhere/1/x'")
    assert len(collection.catalog.intents()) == 1
    assert plan_gc(collection, AT_ONCE).units == 0  # it may be alive
    clock.now += LEASE
    plan = plan_gc(collection, AT_ONCE)
    assert plan.frame["kind"].to_list() == ["abandon"]
    assert state_of(collection, b"late") == "incoming"
    report = run(collection, plan)
    assert report.done == 1
    assert collection.catalog.intents() == []
    assert len(collection.catalog.find(artifact_id="late")) == published
    assert state_of(collection, b"late") == ("live" if published else None)
    assert not list(broken(collection))


def test_an_ingest_that_came_back_to_life_is_left_alone(collection: Collection, clock: Clock) -> None:
    """Between plan and apply an ingest may turn out to be alive, or to be done: neither is touched."""
    put(collection, "kept", b"kept")
    forget(collection, put(collection, "a", b"a"))
    from catalogkit.catalog.contract import Registration
    from catalogkit.model import Arrival, Layout

    copy = collection.catalog.locations_of(digest_of(b"a"))[0]
    entry = Registration(
        Arrival(artifact_id="a", source_url="u"),
        copy.sha256,
        copy.bytes,
        "text/plain",
        collection.store_id(copy.store),
        copy.key,
        Layout(copy.layout),
    )
    stage = collection.catalog.stage
    first, second = stage([entry, entry], owner="elsewhere/1/x", expires_at=clock() + timedelta(hours=1), as_of=clock())
    plan = plan_gc(collection, AT_ONCE, as_of=clock() + timedelta(hours=2))
    assert plan.units == 2
    collection.catalog.abandon([second])
    report = run(collection, plan)
    assert (report.skipped, report.done) == (1, 1)
    assert [intent.id for intent in collection.catalog.intents()] == [first]


# -- the short door, and why ----------------------------------------------------------------------------------------


def test_gc_incremental_plans_by_default_and_condemns_when_told(collection: Collection) -> None:
    """A dry run is the plan and changes nothing; the real run condemns in batches and removes no file."""
    put(collection, "kept", b"kept" * 100)
    forget(collection, *(put(collection, str(number), b"%d" % number) for number in range(5)))
    before = facts(collection)
    plan = gc_incremental(collection=collection)
    assert plan.units == 5
    assert facts(collection) == before
    told: list[int] = []
    report = gc_incremental(2, False, collection=collection, progress=lambda one: told.append(one.done))
    assert (report.done, report.removed, told) == (5, 0, [2, 4, 5])
    assert files(collection).keys() == before["files"]
    with pytest.raises(InvalidInput, match="at least 1"):
        gc_incremental(0, collection=collection)


def test_why_tells_what_keeps_bytes_and_what_does_not(collection: Collection, clock: Clock) -> None:
    """By digest, id, key or path: references, holds and the end of the grace are told; strangers are refused."""
    record = put(collection, "a", b"a")
    key = collection.catalog.locations_of(record.sha256)[0].key
    for subject in (str(record.sha256), record.id, key, collection.store.path(key)):
        assert any(f"document {record.id}" in line for line in why(collection, subject))
    collection.catalog.place_hold("a lawyer asks", document_id=record.id, as_of=clock())
    assert any("a lawyer asks" in line for line in why(collection, record.id))
    collection.catalog._db.execute("UPDATE holds SET released_us = 1")
    forget(collection, record)
    clock.advance(days=1)
    said = "\n".join(why(collection, str(record.sha256)))
    assert "is live" in said and "nothing has referred to it since 2026-03-01" in said and "2026-03-15" in said
    condemn(collection)
    assert "is condemned" in why(collection, str(record.sha256))[0]
    for strange in ("ab" * 32, "999", "/no/such/file"):
        with pytest.raises(InvalidInput):
            why(collection, strange)


def test_a_second_plan_finds_nothing_more(collection: Collection) -> None:
    """Condemned things are not condemned again, purged ones not purged again."""
    put(collection, "kept", b"kept")
    forget(collection, put(collection, "a", b"a"))
    stray(collection, b"stray")
    assert condemn(collection).done == 2
    assert plan_gc(collection, AT_ONCE).units == 0
    assert purge(collection).done == 2
    assert plan_purge(collection, AT_ONCE).units == 0


def test_a_changed_download_leaves_its_old_version_to_the_grace(collection: Collection, clock: Clock) -> None:
    """The version before is garbage from the moment of the change, and readable until it is purged."""
    put(collection, "a", b"first")
    clock.advance(days=1)
    put(collection, "a", b"second")
    plan = plan_gc(collection)
    assert plan.frame["sha256"].to_list() == [str(digest_of(b"first"))]
    assert plan.frame.select("artifact_id", "tenant").row(0) == ("a", "default")
    assert plan.frame["since"].to_list() == [clock()]


def test_applying_needs_the_disk_only_for_files(collection: Collection, tmp_path: Path) -> None:
    """Condemning a blob is a fact: it works while the store is away."""
    put(collection, "kept", b"kept")
    forget(collection, put(collection, "a", b"a"))
    plan = plan_gc(collection, AT_ONCE)
    os.rename(collection.store.root, tmp_path / "unmounted")
    assert apply(collection, plan, unapproved=True).done == 1


# -- files that are all that is left, stores that were copied ---------------------------------------------------------


@pytest.mark.parametrize("noticed", ["before", "condemned"])
def test_a_stray_that_is_all_that_is_left_of_a_document_stays(
    noticed: str, make_collection: Callable[..., Collection]
) -> None:
    """A document's file was moved by hand: what no record knows holds its only bytes, and repair needs them."""
    collection = make_collection("policy")
    put(collection, "kept", b"kept" * 100)
    record = put(collection, "moved", b"moved")
    where = path_of(collection, b"moved")
    where.rename(where.with_name("elsewhere"))
    os.utime(where.with_name("elsewhere"), (1, 1))
    if noticed == "condemned":
        condemn(collection)
    verify(collection)
    condemn(collection)
    assert purge(collection).removed == 0
    assert where.with_name("elsewhere").exists()
    run(collection, plan_repair(collection))
    assert collection.read(record.id) == b"moved"
    assert collect(collection).removed == 1, "now it is a stray like any other"
    assert not list(broken(collection))


def test_a_stray_at_the_content_address_of_lost_bytes_stays(make_collection: Callable[..., Collection]) -> None:
    """An older catalog came back: it has bytes at paths they left since, and nobody verified anything yet."""
    collection = make_collection("policy")
    put(collection, "kept", b"kept" * 100)
    put(collection, "moved", b"moved")
    there = stray(collection, b"moved")
    assert plan_gc(collection).units == 1, "a second copy of what lies where it should"
    path_of(collection, b"moved").unlink()
    collect(collection)
    assert there.exists()
    verify(collection)
    run(collection, plan_repair(collection))
    assert not list(broken(collection))


def copied(collection: Collection) -> None:
    """The store was copied to another disk, so that its files are others, with the same times."""
    root = Path(collection.store.root)
    shutil.copytree(root, root.with_name("copy"), symlinks=True)
    shutil.rmtree(root)
    root.with_name("copy").rename(root)


def test_what_was_condemned_comes_back_from_a_copied_store(collection: Collection) -> None:
    """The files are others, but their bytes are right: condemning can be undone as before."""
    put(collection, "kept", b"kept" * 100)
    forget(collection, put(collection, "gone", b"gone"), put(collection, "bad", b"bad"))
    plan = plan_gc(collection, AT_ONCE)
    run(collection, plan)
    copied(collection)
    path_of(collection, b"bad").chmod(0o644)
    path_of(collection, b"bad").write_bytes(b"BAD")
    assert run(collection, plan_undo(collection, plan.id)).why == {"no copy of its bytes is left": 1}
    assert state_of(collection, b"gone") == "live"
    assert state_of(collection, b"bad") == "condemned"


def test_what_was_condemned_is_purged_from_a_copied_store(collection: Collection) -> None:
    """The files are others, but the bytes are those that were condemned; what took the place of some stays."""
    put(collection, "kept", b"kept" * 100)
    forget(collection, put(collection, "gone", b"gone"), put(collection, "bad", b"bad"))
    there = stray(collection, b"a stray")
    condemn(collection)
    copied(collection)
    path_of(collection, b"bad").chmod(0o644)
    path_of(collection, b"bad").write_bytes(b"BAD")
    collect(collection)
    assert (state_of(collection, b"gone"), state_of(collection, b"bad")) == ("purged", "condemned")
    assert not there.exists()


def test_a_condemned_stray_that_was_exchanged_begins_its_grace_anew(collection: Collection, clock: Clock) -> None:
    """It is another file, about which nothing was decided; it is found again, and does not stay for ever."""
    put(collection, "kept", b"kept" * 100)
    stray(collection, b"a stray")
    condemn(collection)
    clock.advance(days=20)
    there = stray(collection, b"a stray", days=5)
    condemn(collection)
    assert plan_purge(collection).units == 0
    clock.advance(days=20)
    assert run(collection, plan_purge(collection)).removed == 1
    assert not there.exists()
