"""Steps that copy, link, drop and put aside: what each does, and what it refuses at the moment it is done."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.acts.placing import NO_FETCHING
from catalogkit.apply import apply
from catalogkit.errors import PlanError, SourceError, StoreFull
from catalogkit.ingest import ingest
from catalogkit.layouts import cas_key
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.plans.scene import broken, condemn, digest_of, files, forget, put, run, stored_bytes, stray
from tests.plans.steps import at, outcomes, seen, spoil, step, steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection
    from catalogkit.model import Digest

A = b"the bytes of a"
HOME, CAS, AWAY = "docs/a", cas_key(digest_of(A)), "docs/away/a"


@pytest.fixture
def one(make_collection: Callable[..., Collection]) -> Collection:
    """A document at a readable path, and some more that is stored."""
    collection = make_collection("policy", template="{artifact_id}")
    put(collection, "a", A)
    put(collection, "kept", b"kept" * 100)
    return collection


@pytest.fixture
def two(one: Collection) -> Collection:
    """The document's bytes twice, in two files."""
    assert run(one, steps(one, step(one, "copy", A, AWAY, HOME))).done == 1
    return one


def does(collection: Collection, *rows: Any, **more: Any) -> str:
    """Apply a plan of these steps; the first words about one of them, nothing where there are none."""
    report = run(collection, steps(collection, *rows), **more)
    assert not list(broken(collection, whole=False))
    return next(iter(report.why), "")


def inode(collection: Collection, key: str) -> int:
    return at(collection, key).lstat().st_ino


# -- copy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [AWAY, CAS])
def test_a_copy_is_a_file_of_its_own_recorded_as_healthy(key: str, one: Collection) -> None:
    """The bytes lie at the new key, read-only, in another inode, in the ledger too; nothing temporary is left."""
    assert does(one, step(one, "copy", A, key, HOME)) == ""
    assert at(one, key).read_bytes() == A
    assert inode(one, key) != inode(one, HOME)
    assert stat.S_IMODE(at(one, key).stat().st_mode) == 0o444
    assert outcomes(one, A) == {HOME: None, key: "ok"}
    assert one.frame("checks").select("outcome", "method", "bytes").rows() == [("ok", "apply", len(A))]
    assert not list(Path(one.store.root, ".catalogkit", "tmp").iterdir())


def test_a_copy_never_comes_from_bytes_that_are_not_right_now(one: Collection) -> None:
    """A source that went bad since the plan was made is found out while it is copied."""
    spoil(one, HOME)
    report = run(one, steps(one, step(one, "copy", A, AWAY, HOME)))
    assert report.why == {"the copy it should come from does not hold these bytes now": 1}
    assert not at(one, AWAY).exists()


def test_a_source_that_is_gone_fails_and_may_be_tried_again(one: Collection) -> None:
    """Nothing to read now is a failure, not a decision."""
    path = at(one, HOME)
    path.rename(path.with_suffix(".x"))
    plan = steps(one, step(one, "copy", A, AWAY, HOME))
    assert run(one, plan).failed == 1
    path.with_suffix(".x").rename(path)
    assert run(one, plan).done == 1


def test_right_bytes_at_the_target_are_only_recorded(one: Collection) -> None:
    """As a crash between file and record leaves them."""
    stray(one, A, key=AWAY)
    before = inode(one, AWAY)
    assert does(one, step(one, "copy", A, AWAY, HOME)) == ""
    assert (inode(one, AWAY), outcomes(one, A)[AWAY]) == (before, "ok")


@pytest.mark.parametrize("content", [b"other bytes", b""])
def test_other_bytes_at_the_target_stay(content: bytes, one: Collection) -> None:
    """A file that no record knows, whatever it is, is not written over."""
    stray(one, content, key=AWAY)
    assert does(one, step(one, "copy", A, AWAY, HOME)) == "other bytes lie there"
    assert at(one, AWAY).read_bytes() == content


def test_a_place_that_is_given_away_is_not_taken(one: Collection) -> None:
    """Other content's key, a name that differs by case alone, another content's address: refused by words."""
    put(one, "b", b"b")
    other = cas_key(digest_of(b"b"))
    assert does(one, step(one, "copy", A, "docs/b", HOME)) == "other bytes have this place"
    assert does(one, step(one, "copy", A, "docs/B", HOME)) == "a name that differs by case alone has this place"
    assert does(one, step(one, "copy", A, other, HOME)) == "it is the content address of other bytes"
    assert len(outcomes(one, A)) == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_copy_gone_bad_is_replaced_and_kept_aside(known: bool, two: Collection) -> None:
    """Bad bytes at a recorded copy's key make room, and are in quarantine; at no moment was there nothing."""
    spoil(two, AWAY)
    if known:
        verify(two, executor=Inline())
    assert does(two, step(two, "copy", A, AWAY, HOME)) == ""
    assert (at(two, AWAY).read_bytes(), outcomes(two, A)[AWAY]) == (A, "ok")
    assert [path.read_bytes() for path in Path(two.store.root, ".catalogkit", "quarantine").iterdir()] == [b"spoilt"]


def test_a_copy_that_is_missing_comes_back(two: Collection) -> None:
    """Nothing at a recorded copy's key is a place to copy to."""
    at(two, AWAY).unlink()
    verify(two, executor=Inline())
    assert outcomes(two, A)[AWAY] == "missing"
    assert does(two, step(two, "copy", A, AWAY, HOME)) == ""
    assert (at(two, AWAY).read_bytes(), outcomes(two, A)[AWAY]) == (A, "ok")


def test_a_shared_inode_gets_one_of_its_own(one: Collection) -> None:
    """Copying from a name to another name of the same file parts them: the way back from a link."""
    assert does(one, step(one, "link", A, AWAY, HOME)) == ""
    assert inode(one, AWAY) == inode(one, HOME)
    assert does(one, step(one, "copy", A, AWAY, HOME)) == ""
    assert inode(one, AWAY) != inode(one, HOME)
    assert at(one, AWAY).read_bytes() == A
    recorded = {row.key: row.inode for row in one.catalog.locations_of(digest_of(A))}
    assert recorded == {key: inode(one, key) for key in (AWAY, HOME)}


def test_a_copy_crosses_stores(make_collection: Callable[..., Collection], source: Path) -> None:
    """What lies in its owner's hands is copied in; nothing is ever copied there."""
    collection = make_collection("cas")
    (source / "a.txt").write_bytes(A)
    ingest(collection, source, mode="reference")
    (copy,) = collection.catalog.locations_of(digest_of(A))
    row = step(collection, "copy", A, CAS, copy.key, from_store=copy.store)
    assert does(collection, row) == ""
    assert (at(collection, CAS).read_bytes(), (source / "a.txt").read_bytes()) == (A, A)
    back = row | {"store": copy.store, "key": copy.key, "from_store": None, "from_key": CAS}
    assert does(collection, back) == "it is in its owner's hands, where nothing is changed"


def test_no_room_stops_cleanly_and_is_gone_on_from(one: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches before are done, nothing temporary is left, the plan is not ended; with room the rest is done."""
    plan = steps(one, step(one, "copy", A, AWAY, HOME), step(one, "copy", b"kept" * 100, "docs/k", "docs/kept"))

    class Full(type(one.store.files)):  # type: ignore[misc]
        def write(self, fd: int, data: Any) -> None:
            if len(data) > 100:
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(fd, data)

    monkeypatch.setattr(one.store, "files", Full())
    with pytest.raises(StoreFull, match="free some"):
        run(one, plan, batch=1)
    monkeypatch.undo()
    assert set(files(one)) == {HOME, AWAY, "docs/kept"}
    assert not list(Path(one.store.root, ".catalogkit", "tmp").iterdir())
    assert one.catalog.plans()[0].ended_at is None
    report = run(one, plan)
    assert (report.already, report.done) == (1, 1)


# -- link -------------------------------------------------------------------------------------------------------------


def test_a_link_is_one_more_name_and_one_more_location(one: Collection) -> None:
    """A new name for the same inode; nothing is freed, and nothing more is stored."""
    before = stored_bytes(one)
    assert does(one, step(one, "link", A, CAS, HOME)) == ""
    assert inode(one, CAS) == inode(one, HOME)
    assert stored_bytes(one) == before
    assert outcomes(one, A) == {HOME: None, CAS: "ok"}


def test_equal_bytes_in_two_files_become_one(two: Collection) -> None:
    """Hazard 20: one inode, two names; the other file's bytes are freed, and the record knows the new inode."""
    report = run(two, steps(two, step(two, "link", A, AWAY, HOME, **seen(two, AWAY))))
    assert (report.done, report.bytes_freed) == (1, len(A))
    assert inode(two, AWAY) == inode(two, HOME)
    recorded = {row.key: (row.inode, row.mtime_ns) for row in two.catalog.locations_of(digest_of(A))}
    assert recorded[AWAY] == recorded[HOME] == (inode(two, HOME), at(two, HOME).stat().st_mtime_ns)
    assert at(two, AWAY).stat().st_nlink == 2
    assert not list(broken(two))


def test_a_file_with_more_names_frees_nothing_yet(two: Collection) -> None:
    """Physical bytes: they go with the last of the names, wherever those are."""
    os.link(at(two, AWAY), two.path / "elsewhere")
    report = run(two, steps(two, step(two, "link", A, AWAY, HOME, **seen(two, AWAY))))
    assert (report.done, report.bytes_freed) == (1, 0)


def test_differing_bytes_are_never_linked(two: Collection) -> None:
    """Hazard 20: both ends are read at the moment of linking; a target, or a source, gone bad is left as it is."""
    for bad, words in ((AWAY, "other bytes lie there"), (HOME, "the copy it should come from does not hold")):
        spoil(two, bad, b"Another text!!")
        plan = steps(two, step(two, "link", A, AWAY, HOME, **seen(two, AWAY)))
        before = inode(two, AWAY)
        report = run(two, plan)
        assert words in next(iter(report.why))
        assert (inode(two, AWAY), at(two, bad).read_bytes()) == (before, b"Another text!!")
        spoil(two, bad, A)


@pytest.mark.parametrize("change", ["time", "inode", "gone"])
def test_a_target_that_is_not_the_planned_one_is_left(change: str, two: Collection) -> None:
    """Its modification time and inode are looked at again; a target that went is no place for a new name."""
    plan = steps(two, step(two, "link", A, AWAY, HOME, **seen(two, AWAY)))
    path = at(two, AWAY)
    if change == "time":
        os.utime(path, (1, 1))
    else:
        path.rename(two.path / "aside")
        if change == "inode":
            path.write_bytes(A)
    report = run(two, plan)
    assert next(iter(report.why)) in ("the file is not the one that was planned", "the file was gone already")
    assert path.exists() == (change != "gone")
    assert change == "gone" or inode(two, AWAY) != inode(two, HOME)


@pytest.mark.parametrize("code", [errno.EMLINK, errno.EXDEV, errno.EPERM])
def test_where_no_more_names_can_be_had(code: int, two: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a new name a proved copy is made instead; two files that are there stay two."""

    class Linkless(type(two.store.files)):  # type: ignore[misc]
        def link(self, source: str, target: str) -> None:
            if ".catalogkit" not in source:
                raise OSError(code, os.strerror(code))
            super().link(source, target)

    monkeypatch.setattr(two.store, "files", Linkless())
    before = inode(two, AWAY)
    why = does(two, step(two, "link", A, CAS, HOME), step(two, "link", A, AWAY, HOME, **seen(two, AWAY)))
    assert why in ("the file has as many names as the file system allows", "they lie on different file systems",
                   "the file system gives this file no more names")  # fmt: skip
    assert inode(two, AWAY) == before
    assert (at(two, CAS).read_bytes(), inode(two, CAS) != inode(two, HOME)) == (A, True)


def test_links_stay_within_a_store(make_collection: Callable[..., Collection], source: Path) -> None:
    """What is in its owner's hands is neither linked into the store nor exchanged for a link."""
    collection = make_collection("cas")
    (source / "a.txt").write_bytes(A)
    ingest(collection, source, mode="reference")
    (copy,) = collection.catalog.locations_of(digest_of(A))
    row = step(collection, "link", A, CAS, copy.key, from_store=copy.store)
    assert does(collection, row) == "it is in its owner's hands, where nothing is changed"
    assert not at(collection, CAS).exists()


# -- drop -------------------------------------------------------------------------------------------------------------


def test_one_of_two_copies_is_dropped(two: Collection) -> None:
    """File and record go; the blob stays alive with the other."""
    report = run(two, steps(two, step(two, "drop", A, HOME, **seen(two, HOME))))
    assert (report.done, report.removed, report.bytes_freed) == (1, 1, len(A))
    assert not at(two, HOME).exists()
    assert outcomes(two, A) == {AWAY: "ok"}
    assert two.read(1) == A
    assert not list(broken(two))


def test_dropping_a_name_of_the_file_that_stays_frees_nothing(one: Collection) -> None:
    """Two names, one inode: a name goes, the bytes stay."""
    unit = [step(one, "link", A, CAS, HOME), step(one, "drop", A, HOME, **seen(one, HOME) | {"users": 2})]
    plan = steps(one, unit)
    assert plan.bytes_freed() == 0
    report = run(one, plan)
    assert (report.done, report.bytes_freed) == (2, 0)
    assert outcomes(one, A) == {CAS: "ok"}
    assert at(one, CAS).stat().st_nlink == 1


def test_the_only_copy_is_never_dropped(one: Collection) -> None:
    """However it was planned."""
    assert does(one, step(one, "drop", A, HOME, **seen(one, HOME))) == "no other copy of it is proved good"
    assert at(one, HOME).exists()


@pytest.mark.parametrize("harm", ["spoilt", "gone"])
def test_a_copy_is_not_dropped_for_one_that_is_bad_now(harm: str, two: Collection) -> None:
    """The other copy is read at this moment; what the last check said does not count."""
    plan = steps(two, step(two, "drop", A, HOME, **seen(two, HOME)))
    spoil(two, AWAY) if harm == "spoilt" else at(two, AWAY).unlink()
    assert run(two, plan).why == {"no other copy of it is proved good": 1}
    assert at(two, HOME).read_bytes() == A


def test_two_drops_of_one_batch_leave_a_copy(two: Collection) -> None:
    """Hazard 12: each of two copies is the other's reason to go; one stays."""
    plan = steps(two, *(step(two, "drop", A, key, **seen(two, key)) for key in (HOME, AWAY)))
    report = run(two, plan)
    assert (report.done, report.skipped) == (1, 1)
    assert two.read(1) == A
    assert not list(broken(two))


def test_a_reference_that_is_the_same_directory_entry_is_no_other_copy(one: Collection) -> None:
    """An owner saved space by a link to the store's own file: that is one file, not two."""
    side = one.path / "side"
    side.mkdir()
    (side / "a.txt").write_bytes(A)
    ingest(one, side, mode="reference")
    assert len(outcomes(one, A)) == 2
    (side / "a.txt").unlink()
    (side / "a.txt").symlink_to(at(one, HOME))
    assert does(one, step(one, "drop", A, HOME, **seen(one, HOME))) == "no other copy of it is proved good"


def test_a_file_in_its_owners_hands_only_leaves_the_catalog(one: Collection, source: Path) -> None:
    """The record goes, the file stays where its owner keeps it."""
    (source / "a.txt").write_bytes(A)
    ingest(one, source, mode="reference")
    copy = next(row for row in one.catalog.locations_of(digest_of(A)) if row.layout == "reference")
    report = run(one, steps(one, step(one, "drop", A, copy.key) | {"store": copy.store}))
    assert (report.done, report.removed) == (1, 0)
    assert (source / "a.txt").read_bytes() == A
    assert list(outcomes(one, A)) == [HOME]


def test_a_file_that_changed_or_belongs_to_others_is_not_dropped(two: Collection) -> None:
    """The file is the one that was planned, and the location still is one of this content."""
    plan = steps(two, step(two, "drop", A, HOME, **seen(two, HOME)))
    os.utime(at(two, HOME), (1, 1))
    assert run(two, plan).why == {"the file is not the one that was planned": 1}
    assert (
        does(two, step(two, "drop", A, "docs/kept", **seen(two, "docs/kept")))
        == "it is no copy of these bytes any more"
    )
    assert set(files(two)) == {HOME, AWAY, "docs/kept"}


def test_a_file_that_cannot_be_removed_keeps_its_record(two: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed on the disk did not happen in the catalog; applied again it does."""
    plan = steps(two, step(two, "drop", A, HOME, **seen(two, HOME)))

    def refuse(key: str) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(two.store, "remove", refuse)
    assert run(two, plan).failed == 1
    assert set(outcomes(two, A)) == {HOME, AWAY}
    monkeypatch.undo()
    assert run(two, plan).done == 1


def test_what_follows_a_step_that_was_not_done_waits_for_it(one: Collection) -> None:
    """A unit is one thing: where its link was skipped its drop is, too; where it failed both are tried again."""
    stray(one, b"foreign", key=AWAY)
    put(one, "second", A)  # another copy there would be
    unit = [step(one, "link", A, AWAY, HOME), step(one, "drop", A, HOME, **seen(one, HOME))]
    report = run(one, steps(one, unit))
    assert report.why == {"other bytes lie there": 1, "an earlier step of its unit was skipped": 1}
    assert at(one, HOME).exists()


def test_what_follows_a_step_that_failed_is_tried_again_with_it(one: Collection) -> None:
    """Nothing of the unit is decided before its first step is."""
    put(one, "second", A)
    plan = steps(one, [step(one, "copy", A, AWAY, HOME), step(one, "drop", A, HOME, **seen(one, HOME))])
    home = at(one, HOME)
    home.rename(one.path / "aside")
    report = run(one, plan)
    assert (report.failed, report.why["an earlier step of its unit failed"]) == (2, 1)
    (one.path / "aside").rename(home)
    assert run(one, plan).done == 2


# -- quarantine and fetch ---------------------------------------------------------------------------------------------


def test_bad_bytes_are_put_aside(two: Collection) -> None:
    """The key is free, the location says so, the bytes are kept for whoever wants to know what happened."""
    spoil(two, AWAY)
    report = run(two, steps(two, step(two, "quarantine", A, AWAY)))
    assert (report.done, report.bytes_freed) == (1, 0)
    assert outcomes(two, A) == {HOME: None, AWAY: "missing"}
    assert "moved to" in two.frame("checks")["detail"][-1]
    assert [path.read_bytes() for path in Path(two.store.root, ".catalogkit", "quarantine").iterdir()] == [b"spoilt"]
    assert two.read(1) == A


def test_a_healthy_copy_is_not_put_aside(two: Collection) -> None:
    """Whatever the plan thought."""
    assert does(two, step(two, "quarantine", A, AWAY)) == "it is healthy"
    assert at(two, AWAY).exists()


def test_bad_bytes_are_all_there_is(two: Collection) -> None:
    """Of a blob that is lost the location stays; while another copy may be good, nothing is touched."""
    spoil(two, AWAY)
    spoil(two, HOME)
    report = run(two, steps(two, step(two, "quarantine", A, AWAY)))
    assert report.why == {"no other copy of it is proved good": 1}
    two.catalog._db.execute("DELETE FROM locations WHERE key = ? AND outcome = 'missing'", (AWAY,))  # type: ignore[attr-defined]
    put(two, "lost", b"lost")
    spoil(two, "docs/lost")
    assert run(two, steps(two, step(two, "quarantine", b"lost", "docs/lost"))).done == 1
    assert outcomes(two, b"lost") == {"docs/lost": "missing"}


def test_nothing_is_fetched_unless_allowed(one: Collection) -> None:
    """Without a fetcher the step fails, and may be tried again with one."""
    spoil(one, HOME)
    plan = steps(one, step(one, "fetch", A, HOME, document_id=1))
    report = run(one, plan)
    assert (report.failed, report.why) == (1, {NO_FETCHING: 1})
    assert run(one, plan, fetcher=lambda _url, path, *_: Path(path).write_bytes(A) and None).done == 1
    assert (at(one, HOME).read_bytes(), outcomes(one, A)) == (A, {HOME: "ok"})


def test_what_was_fetched_counts_only_if_its_digest_is_right(one: Collection) -> None:
    """Other bytes from the same address are not the bytes that were lost; nor does a failing address harm anything."""
    spoil(one, HOME)
    asked = []

    def other(url: str, path: str, digest: Digest, size: int) -> None:
        asked.append((url, digest, size))
        Path(path).write_bytes(b"a newer version")

    def nothing(url: str, path: str, digest: Digest, size: int) -> None:
        raise SourceError("it answered 404")

    plan = steps(one, step(one, "fetch", A, HOME, document_id=1))
    assert run(one, plan, fetcher=other).why == {"https://example.org/a has other bytes now": 1}
    assert asked == [("https://example.org/a", digest_of(A), len(A))]
    assert run(one, plan, fetcher=nothing).why == {"it answered 404": 1}
    assert run(one, plan, fetcher=lambda *_: None).failed == 1
    assert at(one, HOME).read_bytes() == b"spoilt"
    assert not list(Path(one.store.root, ".catalogkit", "tmp").iterdir())


def test_every_source_of_the_bytes_is_tried(one: Collection) -> None:
    """That of the step's document first, then of others that have or had the bytes, also of one that is forgotten."""
    put(one, "twin", A)
    forget(one, put(one, "old", A, source_url="https://me:secret@example.org/old?key=secret"))
    for key in (HOME, "docs/twin"):
        spoil(one, key)
    asked = []

    def fetch(url: str, path: str, digest: Digest, size: int) -> None:
        asked.append(url)
        Path(path).write_bytes(A if url.endswith("old?key=secret") else b"other")

    number = one.catalog.find(artifact_id="twin")[0].id
    assert run(one, steps(one, step(one, "fetch", A, HOME, document_id=number)), fetcher=fetch).done == 1
    assert asked == [
        "https://example.org/twin",
        "https://example.org/a",
        "https://me:secret@example.org/old?key=secret",
    ]
    spoil(one, HOME)
    report = run(one, steps(one, step(one, "fetch", A, HOME)), fetcher=lambda _url, path, *_: Path(path).touch())
    assert "***@example.org/old?*** has other bytes now" in next(iter(report.why))
    assert "secret" not in str(report.to_dict())


@pytest.mark.parametrize("limit", [False, True])
def test_a_link_takes_the_place_of_a_copy_gone_bad(
    limit: bool, two: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad bytes are put aside and the key becomes one more name of the good file, or a copy where it can have none."""
    spoil(two, AWAY, b"rotten")
    rotten = inode(two, AWAY)
    if limit:

        def link(source: str, target: str) -> None:
            if source == two.store.path(HOME):
                raise OSError(errno.EMLINK, "too many")
            os.link(source, target)

        monkeypatch.setattr(two.store.files, "link", link, raising=False)
    assert does(two, step(two, "link", A, AWAY, HOME)) == ""
    assert at(two, AWAY).read_bytes() == A
    assert (inode(two, AWAY) == inode(two, HOME)) is not limit
    assert outcomes(two, A)[AWAY] == "ok"
    for aside in two.store.quarantined():
        with two.store.open(aside.key) as file:
            assert (file.read(), aside.inode) == (b"rotten", rotten)
    assert len(list(two.store.quarantined())) == 1


def test_a_link_waits_for_what_is_to_be_made_good_first(two: Collection) -> None:
    """Where an earlier step of its unit failed and may be tried again, a link whose source is bad fails with it."""
    for key in (HOME, AWAY):
        spoil(two, key)
    rows = [step(two, "fetch", A, HOME), step(two, "link", A, AWAY, HOME)]
    plan = steps(two, rows)
    assert run(two, plan).failed == 2
    report = run(two, plan, fetcher=lambda _url, path, *_: Path(path).write_bytes(A) and None)
    assert (report.done, outcomes(two, A)) == (2, {HOME: "ok", AWAY: "ok"})
    for key in (HOME, AWAY):
        spoil(two, key)
    assert list(run(two, steps(two, rows[1])).why) == ["the copy it should come from does not hold these bytes now"]


# -- brakes and roots -------------------------------------------------------------------------------------------------


def test_the_share_that_may_go_counts_dropped_files(two: Collection) -> None:
    """A drop frees bytes like a purge does."""
    plan = steps(two, step(two, "drop", A, HOME, **seen(two, HOME)))
    with pytest.raises(PlanError, match="would free 14 of"):
        apply(two, plan, unapproved=True, max_share=0.01)


def test_blobs_of_a_plan_under_way_cannot_be_condemned(one: Collection) -> None:
    """From the moment a plan began until it ended, garbage collection leaves its blobs alone."""
    plan, stop = steps(one, step(one, "link", A, CAS, HOME), step(one, "link", A, AWAY, HOME)), threading.Event()
    run(one, plan, batch=1, stop=stop, progress=lambda _: stop.set())
    forget(one, one.catalog.document(1))  # type: ignore[arg-type]
    assert condemn(one).done == 0
    assert one.catalog.root_kinds(digest_of(A), as_of=one.now())["roots"] == [f"plan {plan.id}"]
    assert run(one, plan).done == 1
    assert condemn(one).done == 1
    assert one.catalog.root_kinds(digest_of(A), as_of=one.now())["roots"] == []


def test_nothing_is_done_for_bytes_that_nothing_needs(one: Collection) -> None:
    """A blob that was condemned since gets no new copies, and a purge, not a drop, ends it."""
    copy, drop = step(one, "copy", A, AWAY, HOME), step(one, "drop", A, HOME, **seen(one, HOME))
    forget(one, one.catalog.document(1))  # type: ignore[arg-type]
    condemn(one)
    assert does(one, copy) == "nothing needs these bytes any more"
    assert does(one, drop) == "no other copy of it is proved good"


def test_a_place_that_cannot_be_looked_at_fails_its_step_alone(one: Collection) -> None:
    """A folder that leads round in a circle is trouble of one step, told in words, and the others are done."""
    root = Path(one.store.root)
    (root / "docs" / "round").symlink_to("round")
    rows = step(one, "copy", A, "docs/round/a", HOME), step(one, "copy", A, AWAY, HOME)
    report = run(one, steps(one, *rows))
    assert (report.done, report.failed) == (1, 1)
    assert "cannot look at" in next(iter(report.why))


def test_nothing_is_fetched_over_other_bytes(one: Collection) -> None:
    """Where something else lies by now nobody is asked: in a bucket what comes shows at once, before other guards."""
    asked: list[Any] = []
    rows = step(one, "fetch", A, "docs/kept")
    report = run(one, steps(one, rows), fetcher=lambda *about: asked.append(about))
    assert (report.skipped, asked) == (1, [])
