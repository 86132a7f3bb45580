"""Moving to content addresses: everything arrives, readers never miss anything, and there is a way back."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

import catalogkit as ck
from catalogkit.collection import open_collection
from catalogkit.errors import InvalidInput
from catalogkit.layouts import cas_key
from catalogkit.migrating import migrate_to_cas_gradual, rollback_migration
from catalogkit.planning import plan_forget, plan_gc, plan_migrate, plan_undo
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.migration.scene import CONTENTS, layouts, located, moved, old_path, settle, stored, unreadable, wrong
from tests.plans.scene import AT_ONCE, condemn, digest_of, put, run, stray
from tests.plans.steps import spoil

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.progress import Progress
    from tests.conftest import Clock


@pytest.fixture
def policy(tmp_path: Path, clock: Clock) -> Iterator[Collection]:
    """A collection at readable paths."""
    with settle(tmp_path / "collection", clock) as collection:
        yield collection


def go(collection: Collection, *args: Any, **more: Any) -> Any:
    """Migrate; the clock moves on, as it would."""
    report = migrate_to_cas_gradual(*args, collection=collection, **more)
    collection.clock.advance(seconds=1)  # type: ignore[attr-defined]
    return report


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_everything_is_moved_and_everything_can_be_read(batch_size: int, policy: Collection) -> None:
    """Each content lies at its address once, old paths are views of it, and every digest is right."""
    before = located(policy)
    report = go(policy, batch_size)
    assert (report.moved, report.skipped, report.failed, report.left, report.stopped) == (len(before), 0, 0, 0, "")
    assert report.batches == -(-len(before) // batch_size)
    assert report.verified >= len(moved(policy))
    assert located(policy) == moved(policy)
    assert stored(policy) == dict.fromkeys(moved(policy), False) | dict.fromkeys(before, True)
    assert verify(policy, executor=Inline()).ok == len(moved(policy))
    assert wrong(policy) == []


def test_new_documents_follow_once_everything_is_moved(policy: Collection) -> None:
    """The last step changes the setting, for this client and for whoever opens the collection later; nothing else."""
    settings = policy.path / "catalogkit.toml"
    settings.write_text("# ours\n" + settings.read_text() + "\n[retention]\nage_days = 9\n")
    asked = []
    go(policy, 3, progress=lambda _: asked.append(settings.read_text().count('layout = "policy"')))
    assert set(asked) == {1}
    assert settings.read_text().startswith("# ours\n")
    put(policy, "new", b"new")
    with open_collection(policy.path) as other:
        assert (other.layout, other.config.retention) == ("cas", {"age_days": 9})
        put(other, "newer", b"newer")
    assert {cas_key(digest_of(content)) for content in (b"new", b"newer")} < located(policy).keys()


def test_what_came_in_meanwhile_is_moved_too(policy: Collection) -> None:
    """An ingest that began before the switch goes on at readable paths, and its documents are not forgotten."""
    late = threading.Event()

    def meanwhile(progress: Progress) -> None:
        if not late.is_set():
            late.set()
            put(policy, "late", b"late")

    report = go(policy, 4, progress=meanwhile)
    assert (report.left, layouts(policy)) == (0, {"cas"})
    assert located(policy) == moved(policy) | {cas_key(digest_of(b"late")): str(digest_of(b"late"))}


def test_a_second_migration_changes_nothing(policy: Collection) -> None:
    """Hazard 74: once is enough, and the report says that there was nothing to do."""
    go(policy)
    before = (located(policy), stored(policy), policy.catalog.plans())
    report = go(policy)
    assert (report.moved, report.batches, report.left) == (0, 0, 0)
    assert (located(policy), stored(policy), policy.catalog.plans()) == before


def test_a_dry_run_only_counts(policy: Collection) -> None:
    """It says how much there is to move, and changes nothing."""
    before = (located(policy), stored(policy))
    report = go(policy, dry_run=True)
    assert (report.dry_run, report.left, report.moved) == (True, len(before[0]), 0)
    assert report.bytes == sum(map(len, [*CONTENTS.values(), b"forgotten"]))
    assert (located(policy), stored(policy), policy.layout) == (*before, "policy")


def test_without_views_old_paths_are_gone(policy: Collection) -> None:
    """Whoever wants no links gets none; documents are read by their id and their place all the same."""
    go(policy, views=False)
    assert stored(policy) == dict.fromkeys(moved(policy), False)
    assert unreadable(policy, paths=False) == []


def test_old_names_may_stay_copies_until_they_are_given_up(policy: Collection) -> None:
    """`keep` only adds names, of the same files; a later plan without it gives the old ones up."""
    before = located(policy)
    first = plan_migrate(policy, keep=True)
    assert set(first.frame["kind"]) == {"link"}
    run(policy, first)
    assert located(policy) == before | moved(policy)
    assert plan_migrate(policy, keep=True).units == 0
    inode = old_path(policy, "a").stat().st_ino
    assert inode == os.stat(policy.store.path(cas_key(digest_of(b"alpha")))).st_ino
    run(policy, plan_migrate(policy))
    assert located(policy) == moved(policy)
    assert wrong(policy) == []


def test_it_needs_no_collection_where_one_is(policy: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called as its authors sketched it: three arguments by position, the collection found by itself."""
    monkeypatch.setenv("CATALOGKIT_HOME", str(policy.path))
    report = ck.migrate_to_cas_gradual(100, True, True)
    assert (report.moved, report.layout) == (10, "cas")
    with pytest.raises(InvalidInput, match="at least 1"):
        ck.migrate_to_cas_gradual(0)


def test_stopped_and_gone_on_with(policy: Collection) -> None:
    """A stop ends after a whole batch; both layouts are read in between; the next call moves the rest."""
    stop = threading.Event()
    report = go(policy, 3, stop=stop, progress=lambda _: stop.set())
    assert (report.moved, report.left, report.stopped, report.layout) == (3, 7, "stopped", "policy")
    assert layouts(policy) == {"cas", "policy"}
    assert wrong(policy) == []
    report = go(policy, 3)
    assert (report.moved, report.left, report.layout) == (7, 0, "cas")
    assert located(policy) == moved(policy)


def test_readers_never_miss_anything(policy: Collection) -> None:
    """Another client reads everything, by id, by place and by old path, all the while."""
    done, missed, rounds = threading.Event(), [], 0

    def read() -> None:
        nonlocal rounds
        with open_collection(policy.path) as reader:
            while not done.is_set() or not rounds:
                missed.extend(unreadable(reader, patient=True))
                rounds += 1

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(6):
        go(policy, 1)
        rollback_migration(policy)
    done.set()
    thread.join()
    assert (missed, rounds > 1) == ([], True)


def test_garbage_collection_keeps_off_what_is_in_flight(policy: Collection) -> None:
    """A document that is forgotten in the middle of a migration is condemned after it, not before."""
    counts: list[int] = []

    def meanwhile(progress: Progress) -> None:
        if not counts:
            run(policy, plan_forget(policy, [1]))
            counts.append(condemn(policy).done)

    go(policy, 2, progress=meanwhile)
    assert counts == [0]
    assert run(policy, plan_gc(policy, AT_ONCE)).done == 2  # and what was forgotten before


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_copy_that_is_known_to_be_bad_stays_and_is_told(policy: Collection) -> None:
    """Nothing is made of bad bytes; the plan says that it left them out."""
    spoil(policy, "docs/a")
    verify(policy, executor=Inline())
    plan = plan_migrate(policy)
    assert plan.head.complete == "1 copies that are known to be bad stay; repair them first"
    assert go(policy).moved == 9
    assert old_path(policy, "a").read_bytes() == b"spoilt"


def test_a_copy_that_is_bad_and_nobody_knows_is_found_out(policy: Collection) -> None:
    """The bytes are read before a name is made; the others are moved, and what stays is told."""
    spoil(policy, "docs/a")
    report = go(policy)
    assert (report.moved, report.skipped, report.left) == (9, 1, 1)
    assert "the copy it should come from does not hold these bytes now" in report.why
    assert cas_key(digest_of(b"alpha")) not in located(policy)


def test_other_bytes_at_a_content_address_are_not_taken_for_ours(policy: Collection) -> None:
    """Hazards 18, 23: what lies where a copy should go is read first; it stays, and so does the old copy."""
    stray(policy, b"foreign", key=cas_key(digest_of(b"alpha")))
    report = go(policy)
    assert (report.moved, report.left) == (9, 1)
    assert old_path(policy, "a").read_bytes() == b"alpha"
    assert unreadable(policy) == []


@pytest.mark.parametrize("rollback", [True, False])
def test_a_copy_that_is_wrong_under_its_new_name_stops_it(
    rollback: bool, policy: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch, and no other, is moved back, or left where it is if that is asked for; nothing is switched."""
    holds, bad = policy.store.holds, cas_key(digest_of(b"gamma"))
    monkeypatch.setattr(policy.store, "holds", lambda key, digest: None if key == bad else holds(key, digest))
    report = go(policy, 2, True, rollback)
    assert "does not hold the bytes it should" in report.stopped
    assert (report.moved, report.rolled_back, report.layout) == ((2, 2, "policy") if rollback else (4, 0, "policy"))
    assert sum(key.startswith("cas/") for key in located(policy)) == report.moved
    assert wrong(policy) == []
    monkeypatch.undo()
    assert go(policy).left == 0
    assert located(policy) == moved(policy)


@pytest.mark.parametrize(("call", "code"), [("link", errno.ENOSPC), ("link", errno.EIO), ("symlink", errno.EIO)])
def test_a_disk_that_fails_in_the_middle_stops_it_cleanly(
    call: str, code: int, policy: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch under way is moved back, earlier ones stay, and the next call goes on."""
    count = 0

    class Failing(type(policy.store.files)):  # type: ignore[misc]
        pass

    def fail(self: Any, source: str, target: str) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise OSError(code, os.strerror(code))
        getattr(super(Failing, self), call)(source, target)

    setattr(Failing, call, fail)
    monkeypatch.setattr(policy.store, "files", Failing())
    report = go(policy, 2)
    monkeypatch.undo()
    assert report.stopped
    assert report.layout == "policy"
    assert 0 < report.moved < 10 and report.moved % 2 == 0
    assert sum(key.startswith("cas/") for key in located(policy)) == report.moved
    assert wrong(policy) == []
    assert go(policy).left == 0
    assert located(policy) == moved(policy)
    assert wrong(policy) == []


# -- the way back -----------------------------------------------------------------------------------------------------


def test_everything_is_moved_back(policy: Collection) -> None:
    """Files, records and the setting are what they were; documents taken in since stay where they are."""
    before, files = located(policy), stored(policy)
    go(policy, 3)
    put(policy, "since", b"since")
    report = rollback_migration(policy)
    since = cas_key(digest_of(b"since"))
    assert (report.moved, report.layout, report.failed) == (10, "policy", 0)
    assert located(policy) == before | {since: str(digest_of(b"since"))}
    assert stored(policy) == files | {since: False}
    policy.clock.advance(seconds=1)  # type: ignore[attr-defined]
    assert (go(policy).moved, policy.layout) == (10, "cas")


def test_what_others_undo_stays_theirs_to_finish(policy: Collection) -> None:
    """An unfinished undo of another plan is not ended, there or back; one of a migration is taken over."""
    records = policy.catalog.find(artifact_id="a") + policy.catalog.find(artifact_id="b")
    other = run(policy, plan_forget(policy, [record.id for record in records])).plan_id
    half = run(policy, plan_migrate(policy, limit=3)).plan_id
    stop = threading.Event()
    for undone in (other, half):
        stop.clear()
        back = plan_undo(policy, undone)
        assert run(policy, back, batch=1, stop=stop, progress=lambda _: stop.set()).stopped
    unfinished = {row.policy["undone"] for row in policy.catalog.plans() if row.ended_at is None}
    assert unfinished == {other, half}
    for move in (go, rollback_migration):
        move(policy)
        assert {row.policy["undone"] for row in policy.catalog.plans() if row.ended_at is None} == {other}
    (theirs,) = [row for row in policy.catalog.plans() if row.ended_at is None]
    assert run(policy, plan_undo(policy, other)).done == 1, theirs


def test_one_plan_is_moved_back(policy: Collection) -> None:
    """A plan of some copies is undone like any other plan."""
    before = located(policy)
    report = run(policy, plan_migrate(policy, limit=3))
    assert sum(key.startswith("cas/") for key in located(policy)) == 3
    run(policy, plan_undo(policy, report.plan_id))
    assert located(policy) == before
    assert wrong(policy) == []


def test_back_to_readable_paths_by_a_plan(policy: Collection) -> None:
    """Documents at content addresses get a readable path each; what no document refers to stays; other bytes' paths
    are left alone.
    """
    go(policy, views=False)
    stray(policy, b"foreign", key="docs/a")
    run(policy, plan_migrate(policy, "policy"))
    policy.use_layout("policy")
    keys = located(policy)
    assert {f"docs/{name}" for name in CONTENTS if name != "a"} < keys.keys()
    assert cas_key(digest_of(b"forgotten")) in keys and cas_key(digest_of(b"alpha")) in keys
    assert old_path(policy, "a").read_bytes() == b"foreign"
    assert unreadable(policy, paths=False) == []


def test_a_layout_that_is_none_is_refused(policy: Collection) -> None:
    """A misspelt layout plans nothing."""
    with pytest.raises(InvalidInput, match="use cas or policy"):
        plan_migrate(policy, "sca")
