"""The way back: everything but a purge can be undone, and nothing comes back without its bytes."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.errors import InvalidInput
from catalogkit.layouts import cas_key
from catalogkit.planning import plan_forget, plan_gc, plan_purge, plan_undo
from tests.plans.scene import AT_ONCE, broken, condemn, digest_of, files, forget, path_of, put, run, state_of, stray
from tests.plans.steps import at, seen, spoil, step, steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection


def undo(collection: Collection, plan_id: str) -> Any:
    return run(collection, plan_undo(collection, plan_id))


@pytest.fixture
def kept(collection: Collection) -> Collection:
    """A collection that has something nobody wants to lose."""
    put(collection, "kept", b"kept" * 100)
    return collection


def test_a_condemned_blob_and_stray_are_taken_back(kept: Collection) -> None:
    """After the undo nothing is condemned, and a purge finds nothing to do."""
    forget(kept, put(kept, "a", b"a"))
    path = stray(kept, b"stray")
    report = condemn(kept)
    assert state_of(kept, b"a") == "condemned"
    taken_back = undo(kept, report.plan_id)
    assert (taken_back.done, state_of(kept, b"a"), kept.catalog.strays()) == (2, "live", [])
    assert plan_purge(kept, AT_ONCE).units == 0
    assert path.exists() and path_of(kept, b"a").exists()


def test_a_forgotten_document_comes_back_as_it_was(kept: Collection) -> None:
    """Same id, same facts, same content, its history told; also when its blob was condemned meanwhile."""
    record = put(kept, "a", b"a", resolver="core", content_type="text/plain", metadata={"n": 1}, tenant="t")
    shared = put(kept, "b", b"a")
    report = forget(kept, record, shared)
    condemn(kept)
    assert state_of(kept, b"a") == "condemned"
    assert undo(kept, report.plan_id).done == 2
    back = kept.catalog.document(record.id)
    assert back is not None
    fields = [name for name in record.__slots__ if name != "changed_at"]
    assert [getattr(back, name) for name in fields] == [getattr(record, name) for name in fields]
    assert kept.read(shared.id) == b"a"
    assert state_of(kept, b"a") == "live"
    assert kept.catalog.versions(record.id)["operation"].to_list() == ["apply", "current"]
    assert not list(broken(kept))


def test_what_was_purged_stays_purged_and_the_rest_comes_back(kept: Collection) -> None:
    """Undo after a partial purge: documents whose bytes are gone are told, the others are back."""
    gone, left = put(kept, "gone", b"gone"), put(kept, "left", b"left")
    forgetting = forget(kept, gone, left)
    condemning = condemn(kept)
    plan = plan_purge(kept, AT_ONCE)
    (unit,) = plan.frame.filter(sha256=str(digest_of(b"gone")))["unit"]
    from catalogkit.approval import approve_plan

    purging = run(
        kept,
        plan,
        unapproved=False,
        approval=approve_plan(plan, f"unit = {unit}", approved_by="me", as_of=plan.head.as_of),
    )
    assert purging.removed == 1
    nothing = plan_undo(kept, purging.plan_id)
    assert (nothing.units, nothing.head.complete) == (0, "1 step cannot be undone: purge x 1")
    report = undo(kept, forgetting.plan_id)
    assert (report.done, report.why) == (1, {"its bytes were purged": 1})
    assert kept.catalog.document(gone.id) is None
    assert kept.read(left.id) == b"left"
    report = undo(kept, condemning.plan_id)
    assert (report.done, report.skipped) == (0, 2)
    assert (state_of(kept, b"gone"), state_of(kept, b"left")) == ("purged", "live")
    assert not list(broken(kept))


def test_a_document_that_was_downloaded_again_is_not_overwritten(kept: Collection) -> None:
    """The new one stays as it is, with its new id; the old blob stays condemned."""
    old = put(kept, "a", b"old")
    report = forget(kept, old)
    new = put(kept, "a", b"new")
    condemn(kept)
    assert undo(kept, report.plan_id).skipped == 1
    assert (kept.read(new.id), kept.catalog.document(old.id)) == (b"new", None)
    assert state_of(kept, b"old") == "condemned"


@pytest.mark.parametrize("what", ["blob", "document"])
def test_nothing_is_taken_back_whose_bytes_a_broken_purge_removed(
    what: str, kept: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge that dies between file and record leaves a condemned blob without bytes: undo must see that."""
    forgetting = forget(kept, put(kept, "a", b"a"))
    condemning = condemn(kept)
    hand = kept.catalog.hand

    def cut(*args: Any, **kwargs: Any) -> Any:
        return Cut(hand(*args, **kwargs))

    class Cut:
        def __init__(self, whole: Any) -> None:
            self.whole = whole

        def __enter__(self) -> Any:
            return self.whole.__enter__()

        def __exit__(self, *exc: object) -> None:
            self.whole.__exit__(sqlite3.OperationalError, sqlite3.OperationalError("disk I/O error"), None)

    monkeypatch.setattr(kept.catalog, "hand", cut)
    path = path_of(kept, b"a")
    with pytest.raises(Exception, match="I/O"):
        run(kept, plan_purge(kept, AT_ONCE))
    monkeypatch.undo()
    assert (state_of(kept, b"a"), path.exists()) == ("condemned", False)
    report = undo(kept, (condemning if what == "blob" else forgetting).plan_id)
    assert report.why == {"no copy of its bytes is left": 1}
    assert not list(broken(kept))
    assert kept.read(put(kept, "a", b"a").id) == b"a"  # ingest notices, too
    assert not list(broken(kept))


def test_undo_is_a_plan_like_any_other(kept: Collection) -> None:
    """It is made from the journal: what was skipped or not approved is not in it; twice undone is once undone."""
    first, second = put(kept, "a", b"a"), put(kept, "b", b"b")
    forget(kept, first, second)
    plan = plan_gc(kept, AT_ONCE)
    put(kept, "b", b"b")
    report = run(kept, plan)
    assert (report.done, report.skipped) == (1, 1)
    back = plan_undo(kept, report.plan_id[:10])
    assert back.units == 1
    assert run(kept, back).done == 1
    again = plan_undo(kept, report.plan_id)
    assert run(kept, again).why == {"it is not condemned": 1}


def test_a_step_that_was_taken_back_may_be_taken_again(kept: Collection) -> None:
    """After an undo the garbage is garbage still, and a new plan condemns it."""
    forget(kept, put(kept, "a", b"a"))
    undo(kept, condemn(kept).plan_id)
    assert condemn(kept).done == 1


@pytest.mark.parametrize("name", ["", "f" * 12, "zz"])
def test_a_plan_that_was_never_applied_cannot_be_undone(name: str, kept: Collection) -> None:
    """Nor can one that is not named clearly."""
    plan_forget(kept, [1])
    with pytest.raises(InvalidInput, match="applied plans"):
        plan_undo(kept, name)


def test_undoing_needs_no_journal_of_strays_that_went(make_collection: Callable[..., Collection]) -> None:
    """A stray that was taken in, or purged, since is simply not condemned any more."""
    collection = make_collection("cas")
    put(collection, "kept", b"kept" * 100)
    stray(collection, b"one")
    stray(collection, b"two")
    report = condemn(collection)
    put(collection, "one", b"one")
    run(collection, plan_purge(collection, AT_ONCE))
    assert undo(collection, report.plan_id).why == {"it is not condemned": 2}
    assert len(files(collection)) == 2


# -- copies -----------------------------------------------------------------------------------------------------------


B, HOME, CAS, AWAY = b"the bytes of b", "docs/b", cas_key(digest_of(b"the bytes of b")), "docs/away/b"


@pytest.fixture
def copied(make_collection: Callable[..., Collection]) -> Collection:
    """A document whose bytes lie in two files."""
    collection = make_collection("policy", template="{artifact_id}")
    put(collection, "kept", b"kept" * 100)
    put(collection, "b", B)
    assert run(collection, steps(collection, step(collection, "copy", B, AWAY, HOME))).done == 1
    return collection


def there(collection: Collection) -> dict[str, bool]:
    """The keys where those bytes lie, each with whether the file has names besides."""
    copies = collection.catalog.locations_of(digest_of(B))
    assert all(at(collection, one.key).stat().st_ino == one.inode for one in copies)
    return {one.key: at(collection, one.key).stat().st_nlink > 1 for one in copies}


def whole(collection: Collection, plan: Any) -> Any:
    """Apply a plan of which everything must be done."""
    report = run(collection, plan)
    assert (report.skipped, report.failed) == (0, 0), report.why
    assert not list(broken(collection))
    return report


def test_what_was_copied_or_linked_anew_is_dropped_again(copied: Collection) -> None:
    """New names and new files go; what was there before stays."""
    rows = step(copied, "link", B, CAS, HOME), step(copied, "copy", B, "docs/third", HOME)
    report = whole(copied, steps(copied, *rows))
    assert there(copied) == {HOME: True, AWAY: False, CAS: True, "docs/third": False}
    back = plan_undo(copied, report.plan_id)
    assert back.bytes_freed() == len(B)
    assert whole(copied, back).bytes_freed == len(B)
    assert there(copied) == {HOME: False, AWAY: False}
    assert set(files(copied)) == {HOME, AWAY, "docs/kept"}


def test_a_link_that_took_a_files_place_becomes_a_file_again_and_back(copied: Collection) -> None:
    """Undone, both are files of their own; the undo undone, they are one again."""
    report = whole(copied, steps(copied, step(copied, "link", B, AWAY, HOME, **seen(copied, AWAY))))
    assert there(copied) == {HOME: True, AWAY: True}
    report = whole(copied, plan_undo(copied, report.plan_id))
    assert there(copied) == {HOME: False, AWAY: False}
    back = plan_undo(copied, report.plan_id)
    assert back.bytes_freed() == len(B)
    whole(copied, back)
    assert there(copied) == {HOME: True, AWAY: True}


def test_what_was_dropped_is_there_again(copied: Collection) -> None:
    """As one more name of a copy that is left in the same store."""
    report = whole(copied, steps(copied, step(copied, "drop", B, HOME, **seen(copied, HOME))))
    assert there(copied) == {AWAY: False}
    whole(copied, plan_undo(copied, report.plan_id))
    assert there(copied) == {HOME: True, AWAY: True}


def test_a_unit_that_moved_a_name_is_taken_back_whole(copied: Collection) -> None:
    """Link here, drop there: undone in the opposite order, and nothing is freed or stored by it."""
    unit = [step(copied, "link", B, CAS, HOME), step(copied, "drop", B, HOME, **seen(copied, HOME) | {"users": 2})]
    report = whole(copied, steps(copied, unit))
    assert there(copied) == {AWAY: False, CAS: False}
    back = plan_undo(copied, report.plan_id)
    assert back.frame["kind"].to_list() == ["link", "drop"]
    assert back.bytes_freed() == 0
    assert whole(copied, back).bytes_freed == 0
    assert there(copied) == {AWAY: False, HOME: False}


def test_what_left_no_way_back_is_told(copied: Collection) -> None:
    """Put aside, repaired, and dropped from its owner's hands: none can be undone; what changed nothing is not told."""
    spoil(copied, AWAY)
    rows = step(copied, "quarantine", B, AWAY), step(copied, "copy", B, AWAY, HOME), step(copied, "copy", B, HOME, AWAY)
    report = whole(copied, steps(copied, *rows))
    back = plan_undo(copied, report.plan_id)
    assert (back.units, back.head.complete) == (0, "2 steps cannot be undone: copy x 1, quarantine x 1")
