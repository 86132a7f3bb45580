"""The executor: who may apply what, that each step happens once, and that it looks at steps alone."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import stat
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.acts import ACTS, TOGETHER
from catalogkit.apply import apply
from catalogkit.approval import approve_plan
from catalogkit.collection import init, open_collection
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.plan import Plan, StepKind
from catalogkit.planners.gc import GCPolicy
from catalogkit.planning import plan_forget, plan_gc, plan_purge
from tests.conftest import hurry
from tests.plans.scene import (
    AT_ONCE,
    broken,
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
    stray,
)
from tests.plans.steps import step, steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.progress import Progress
    from tests.conftest import Clock

apply_module: Any = inspect.getmodule(apply)


@pytest.fixture
def littered(make_collection: Callable[..., Collection]) -> Collection:
    """A collection of a big kept document, ten that were forgotten, and a stray."""
    collection = make_collection("cas")
    put(collection, "kept", b"kept" * 100)
    forget(collection, *(put(collection, f"g{number}", b"garbage %d" % number) for number in range(10)))
    stray(collection, b"a stray")
    return collection


# -- brakes -----------------------------------------------------------------------------------------------------------


def refused(collection: Collection, plan: Plan, words: str, **more: Any) -> None:
    """Applying this says so, and nothing has happened, not even a note in the journal."""
    before = facts(collection)
    with pytest.raises(PlanError, match=words):
        apply(collection, plan, **{"unapproved": True, **more})
    assert facts(collection) == before


def test_a_plan_for_another_catalog_is_refused(littered: Collection, tmp_path: Path, clock: Clock) -> None:
    """A plan acts on the catalog it was made from and no other."""
    with init(tmp_path / "other", clock=clock) as other:
        refused(other, plan_gc(littered), "for catalog")


def test_a_plan_nobody_approved_is_refused(littered: Collection) -> None:
    """Without an approval the caller has to say in code that it needs none."""
    refused(littered, plan_gc(littered), "nobody approved", unapproved=False)


def test_an_approval_is_bound_to_the_plan_it_was_given_for(littered: Collection, clock: Clock) -> None:
    """Another plan, or the same one edited, needs an approval of its own."""
    plan = plan_gc(littered)
    given = approve_plan(plan, approved_by="somebody", as_of=clock())
    edited = Plan(plan.head, plan.frame.with_columns(bytes=plan.frame["bytes"] * 0))
    refused(littered, edited, "another plan", approval=given, unapproved=False)
    assert apply(littered, plan, approval=given).done == 11


def test_an_expired_plan_is_refused_but_a_begun_one_may_be_finished(littered: Collection, clock: Clock) -> None:
    """After its week a plan is too old to begin; one that was begun in time is finished."""
    late, begun = plan_gc(littered), plan_gc(littered, GCPolicy(max_share=0.4))
    stop = threading.Event()
    apply(littered, begun, unapproved=True, batch=4, stop=stop, progress=lambda _: stop.set())
    clock.advance(days=7)
    refused(littered, late, "expired")
    assert run(littered, begun).done == 7


def test_what_was_not_begun_in_time_is_not_finished(littered: Collection, clock: Clock) -> None:
    """A part that was done in time keeps no door open for the rest; asked again for that part, all is done already."""
    plan = plan_gc(littered)
    part = approve_plan(plan, "reason = 'stray'", approved_by="me", as_of=clock())
    assert apply(littered, plan, approval=part).done == 1
    clock.advance(days=7)
    refused(littered, plan, "expired")
    assert apply(littered, plan, approval=part).already == 1


def test_what_is_gone_on_with_is_unfinished_again(littered: Collection, clock: Clock) -> None:
    """A plan whose first part is done, stopped in the second, is not shown as ended."""
    plan = plan_gc(littered)
    part = approve_plan(plan, "reason = 'stray'", approved_by="me", as_of=clock())
    apply(littered, plan, approval=part)
    stop = threading.Event()
    apply(littered, plan, unapproved=True, batch=2, stop=stop, progress=lambda _: stop.set())
    assert {row.id: row.ended_at for row in littered.catalog.plans()}[plan.id] is None


def test_a_catalog_that_shrank_is_refused(littered: Collection) -> None:
    """A plan made when there was twice as much is about another state of the world."""
    for number in range(3):
        put(littered, f"more{number}", b"more %d" % number)
    plan = plan_gc(littered)
    littered.catalog._db.execute("DELETE FROM documents WHERE artifact_id <> 'more0'")
    refused(littered, plan, "find out where they went")


def test_a_plan_may_shrink_the_catalog_itself_and_be_finished(littered: Collection) -> None:
    """A plan that forgets nearly everything, stopped half way, goes on although the documents are fewer now."""
    records = [put(littered, f"more{number}", b"more %d" % number) for number in range(10)]
    plan, stop = plan_forget(littered, [record.id for record in records]), threading.Event()
    run(littered, plan, batch=7, stop=stop, progress=lambda _: stop.set())
    assert littered.catalog.totals()["documents"] == 4
    assert run(littered, plan).done == 3


def test_what_others_forgot_is_not_what_a_plan_forgot(littered: Collection, clock: Clock) -> None:
    """Approved one by one, its steps may shrink the catalog; when most of it went another way, it is refused."""
    records = [put(littered, f"more{number}", b"more %d" % number) for number in range(9)]
    plan = plan_forget(littered, [record.id for record in records])
    for unit in range(7):
        given = approve_plan(plan, "false", include=[unit], approved_by="me", as_of=clock())
        assert apply(littered, plan, approval=given, max_share=1.0).done == 1
    for number in range(20):
        put(littered, f"others{number}", b"others %d" % number)
    other = plan_forget(littered, [record.id for record in records[7:]])
    given = approve_plan(other, "false", include=[0], approved_by="me", as_of=clock())
    assert apply(littered, other, approval=given, max_share=1.0).done == 1
    littered.catalog._db.execute("DELETE FROM documents WHERE artifact_id LIKE 'others%'")
    refused(littered, other, "find out where they went")


def test_more_than_the_share_is_refused(littered: Collection) -> None:
    """The share is that of all stored bytes; the call says it, else the policy."""
    plan = plan_gc(littered)
    garbage, stored = plan.bytes_freed(), littered.catalog.totals()["physical_bytes"] + len(b"a stray")
    share = garbage / stored
    assert 0.15 < share < 0.25
    refused(littered, plan, "raise the limit", max_share=share - 0.01)
    refused(littered, plan_gc(littered, GCPolicy(max_share=0.1)), "10%")
    assert apply(littered, plan, unapproved=True, max_share=share + 0.01).done == 11


def test_half_is_the_most_where_nobody_says_otherwise(make_collection: Callable[..., Collection]) -> None:
    """Without a policy's word, a plan that takes more than half of all bytes is refused."""
    collection = make_collection("cas")
    records = [put(collection, name, name.encode() * 10) for name in "ab"]
    put(collection, "c", b"c" * 19)
    put(collection, "d", b"d" * 1)
    assert run(collection, plan_forget(collection, [records[0].id]), max_share=None).done == 1
    both = plan_forget(collection, [records[1].id, 3])
    collection.catalog._db.execute("UPDATE blobs SET bytes = bytes")
    assert both.bytes_freed() == 29
    refused(collection, both, "50%", max_share=None)


def test_nothing_is_stored_and_something_would_go(make_collection: Callable[..., Collection]) -> None:
    """Where the catalog knows no bytes, strays are all there is, and all of it is more than half."""
    collection = make_collection("cas")
    put(collection, "kept", b"k")
    stray(collection, b"very much" * 100)
    refused(collection, plan_gc(collection, AT_ONCE), "more than the 50%")


def test_batches_have_at_least_one_step(littered: Collection) -> None:
    """A batch of nothing would never end."""
    with pytest.raises(InvalidInput, match="at least 1"):
        apply(littered, plan_gc(littered), unapproved=True, batch=0)


# -- once, in batches, resumable: hazard 50 ---------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_a_second_apply_repeats_nothing(batch: int, littered: Collection) -> None:
    """A plan is done once: applied again it finds every step decided, and the journal is as it was."""
    plan = plan_gc(littered)
    first = apply(littered, plan, unapproved=True, batch=batch)
    journal = littered.catalog.journal(plan.id)
    second = apply(littered, plan, unapproved=True, batch=batch)
    assert (first.done, first.already, second.done, second.already) == (11, 0, 0, 11)
    assert littered.catalog.journal(plan.id) == journal
    assert littered.catalog.plans()[0].ended_at is not None


@pytest.mark.parametrize("at", range(1, 12))
def test_stopped_anywhere_the_union_of_the_work_is_the_plan(at: int, littered: Collection) -> None:
    """Hazard 50: stop after any step, resume: what both did together is the plan, each step once."""
    plan, stop = plan_gc(littered), threading.Event()

    def watch(progress: Progress) -> None:
        if progress.done >= at:
            stop.set()

    first = apply(littered, plan, unapproved=True, batch=1, stop=stop, progress=watch)
    done = {row[0] for row in littered.catalog.journal(plan.id)}
    assert len(done) == first.done == at
    assert (first.stopped == "stopped") == (at < 11)
    assert (littered.catalog.plans()[0].ended_at is None) == (at < 11)
    second = apply(littered, plan, unapproved=True)
    assert (second.already, second.done) == (at, 11 - at)
    assert {row[0] for row in littered.catalog.journal(plan.id)} == set(range(11))
    assert littered.catalog.plans()[0].ended_at is not None


def test_progress_tells_how_far_it_is(littered: Collection) -> None:
    """After each batch: steps decided in this run, of those that are approved and were not decided before."""
    told: list[tuple[int, int | None]] = []
    plan = plan_gc(littered)
    some = approve_plan(plan, "unit < 7", approved_by="me", as_of=plan.head.as_of)
    apply(littered, plan, approval=some, batch=3, progress=lambda one: told.append((one.done, one.total)))
    assert told == [(3, 7), (6, 7), (7, 7)]
    told.clear()
    apply(littered, plan, unapproved=True, batch=3, progress=lambda one: told.append((one.done, one.total)))
    assert told == [(3, 4), (4, 4)]


def test_a_failed_step_is_tried_again_and_a_plan_with_one_is_not_ended(
    littered: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be removed is reported, keeps its record, and is done by the next apply."""
    condemn(littered)
    plan = plan_purge(littered, AT_ONCE)
    unlink, bad = littered.store.files.unlink, littered.store.path(plan.frame["key"][3])

    def sometimes(path: str) -> None:
        if path == bad:
            raise PermissionError(1, "Operation not permitted")
        unlink(path)

    monkeypatch.setattr(littered.store.files, "unlink", sometimes)
    report = run(littered, plan)
    assert (report.done, report.failed, report.removed) == (10, 1, 10)
    assert report.notes[0]["outcome"] == "failed" and "Operation not permitted" in report.notes[0]["why"]
    assert littered.catalog.plans()[0].ended_at is None
    monkeypatch.undo()
    report = run(littered, plan)
    assert (report.already, report.done, report.failed) == (10, 1, 0)
    assert littered.catalog.plans()[0].ended_at is not None


def test_a_file_that_cannot_be_looked_at_fails_alone(littered: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown never leads to deletion, and one unreadable folder does not stop the rest."""
    condemn(littered)
    plan = plan_purge(littered, AT_ONCE)
    bad, real = littered.store.path(plan.frame["key"][0]), os.lstat

    def fails(path: object, *args: object, **kwargs: object) -> os.stat_result:
        if path == bad:
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "lstat", fails)
    report = run(littered, plan)
    monkeypatch.undo()
    assert (report.done, report.failed) == (10, 1)
    assert os.path.exists(bad)


def test_a_partly_approved_plan_does_that_part_and_the_rest_later(littered: Collection, clock: Clock) -> None:
    """Units that nobody approved stay; approved later, they are done then, and the first are not repeated."""
    plan = plan_gc(littered)
    some = approve_plan(plan, "reason = 'stray'", include=[0], approved_by="me", as_of=clock())
    first = apply(littered, plan, approval=some)
    assert first.done == 2
    states = [state_of(littered, b"garbage %d" % number) for number in range(10)]
    assert states.count("condemned") == 1
    rest = approve_plan(plan, "", exclude=[1], approved_by="me", as_of=clock())
    second = apply(littered, plan, approval=rest)
    assert (second.already, second.done) == (2, 8)
    assert apply(littered, plan, unapproved=True).done == 1


def test_two_collections_applying_the_same_plan_do_each_step_once(littered: Collection, clock: Clock) -> None:
    """Two clients begin the same plan; the journal is one, and no step is done by both."""
    condemn(littered)
    plan = plan_purge(littered, AT_ONCE)
    with open_collection(littered.path, clock=clock) as other:
        reports: list[Any] = []

        def interrupt(progress: Progress) -> None:
            if not reports:
                reports.append(run(other, plan, batch=2))

        reports.append(run(littered, plan, batch=2, progress=interrupt))
    journal = littered.catalog.journal(plan.id)
    assert len(journal) == 11
    assert sum(report.removed for report in reports) == 11
    assert sum(row[9] for row in journal) == plan.bytes_freed()


# -- steps, not kinds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gc", "purge", "weather"])
def test_the_kind_of_a_plan_means_nothing_to_the_executor(kind: str, littered: Collection) -> None:
    """The same steps under any kind do the same."""
    condemn(littered)
    plan = plan_purge(littered, AT_ONCE)
    named = Plan(replace(plan.head, kind=kind), plan.frame)
    assert run(littered, named).removed == 11
    assert list(files(littered)) == [str(path_of(littered, b"kept" * 100).relative_to(littered.store.root))]


def test_the_executor_never_reads_the_kind_of_a_plan() -> None:
    """In its code the head's kind stands twice: where the journal is told, and where whoever listens is."""
    tree = ast.parse(inspect.getsource(apply_module))
    kinds = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "kind"
        and ast.unparse(node.value) not in ("step", "collection.store")
    ]
    calls = {ast.unparse(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    told = [*calls["catalog.begin_plan"].args, *(one.value for one in calls["operation"].keywords)]
    assert [ast.unparse(node) for node in kinds] == ["plan.head.kind"] * 2
    assert set(kinds) <= set(told)


def test_every_kind_of_step_can_be_carried_out() -> None:
    """The executor knows all kinds there are."""
    known = {*ACTS, *TOGETHER, StepKind.ABANDON}
    assert known == set(StepKind)


def test_only_the_executor_removes() -> None:
    """No other module of the package calls a store's `remove`, or makes a hand."""
    from pathlib import Path

    import catalogkit

    doors = ("remove", "remove_planned", "hand", "settle_names", "swap")
    for path in Path(catalogkit.__file__).parent.rglob("*.py"):
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in doors
        }
        ours = {call for call in calls if "store" in call or "catalog" in call}
        assert not ours or path.name == "apply.py" or path.parent.name == "acts", (path, ours)


# -- guards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["content", "time", "inode", "size"])
def test_a_file_that_is_not_the_planned_one_stays(change: str, littered: Collection, tmp_path: Path) -> None:
    """Size, modification time and inode are looked at again, for condemned blobs and for strays."""
    condemn(littered)
    plan = plan_purge(littered, AT_ONCE)
    paths = [path_of(littered, b"garbage 0"), path_of(littered, b"garbage 1")]
    strays = [row[1] for row in littered.catalog.strays()]
    from pathlib import Path as P

    paths.append(P(littered.store.root, *strays))
    for path in paths:
        about = path.stat()
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        if change in ("content", "size"):
            path.write_bytes(b"other and longer" if change == "size" else b"x" * about.st_size)
            if change == "size":
                os.utime(path, ns=(about.st_mtime_ns, about.st_mtime_ns))
        elif change == "time":
            os.utime(path, (1, 1))
        else:
            os.rename(path, tmp_path / "aside")
            path.write_bytes((tmp_path / "aside").read_bytes())
            os.utime(path, ns=(about.st_mtime_ns, about.st_mtime_ns))
            assert path.stat().st_ino != about.st_ino
    report = run(littered, plan)
    assert (report.skipped, report.removed) == (3, 8)
    assert all(path.exists() for path in paths)
    assert not list(broken(littered))


def test_a_stray_that_changed_or_went_is_not_condemned(littered: Collection) -> None:
    """What was planned about a file holds for that file only."""
    other = stray(littered, b"another stray")
    plan = plan_gc(littered, AT_ONCE)
    other.unlink()
    os.utime(littered.store.path(plan.frame.filter(reason="stray", bytes=7)["key"][0]), (1, 1))
    report = run(littered, plan)
    assert (report.done, report.skipped) == (10, 2)
    assert littered.catalog.strays() == []


def test_a_document_that_changed_is_not_forgotten(littered: Collection) -> None:
    """Forgetting was approved of what it was; a version that came since is not meant."""
    record = put(littered, "a", b"first")
    plan = plan_forget(littered, [record.id])
    put(littered, "a", b"second")
    report = run(littered, plan)
    assert report.why == {"it is gone, or has other content now": 1}
    assert littered.read(record.id) == b"second"


def test_a_held_document_is_not_forgotten(littered: Collection, clock: Clock) -> None:
    """The database itself refuses, and the step says so."""
    record = put(littered, "a", b"a")
    plan = plan_forget(littered, [record.id])
    littered.catalog.place_hold("a lawyer asks", document_id=record.id, as_of=clock())
    assert run(littered, plan).why == {"a document under a hold cannot be forgotten": 1}


def test_forgetting_a_stranger_is_refused_before_anything(littered: Collection) -> None:
    """A list with an unknown id plans nothing."""
    with pytest.raises(InvalidInput, match="no document 999"):
        plan_forget(littered, [1, 999])


def test_a_rearmed_copy_survives_between_the_batches_of_its_own_unit(
    make_collection: Callable[..., Collection],
) -> None:
    """A blob of two copies whose purge was interrupted after the first is whole again when it is ingested then."""
    collection = make_collection("policy")
    put(collection, "kept", b"kept" * 100)
    forget(collection, put(collection, "a", b"both"), put(collection, "b", b"both"))
    condemn(collection)
    plan, stop = plan_purge(collection, AT_ONCE), threading.Event()
    assert plan.frame.height == 2 and plan.units == 1
    run(collection, plan, batch=1, stop=stop, progress=lambda _: stop.set())
    record = put(collection, "c", b"both")
    report = run(collection, plan)
    assert (report.done, report.skipped) == (0, 1)
    assert collection.read(record.id) == b"both"
    assert not list(broken(collection))


def test_the_journal_says_who_did_what(littered: Collection, clock: Clock) -> None:
    """The journal says what was done to what, when, and with whose approval."""
    plan = plan_gc(littered)
    given = approve_plan(plan, "reason = 'stray'", approved_by="Ada", as_of=clock())
    apply(littered, plan, approval=given)
    (row,) = littered.catalog.journal(plan.id)
    assert row[2:5] == ("condemn", "done", "") and row[7] == littered.store.name and row[8].startswith("cas/")
    (about,) = littered.catalog._db.execute("SELECT approval FROM plans WHERE id = ?", (plan.id,)).fetchone()
    assert '"Ada"' in about
    applied = littered.catalog.plans()[0]
    assert (applied.id, applied.kind, applied.done, applied.begun_at) == (plan.id, "gc", 1, clock())


def test_the_report_shows_itself(littered: Collection) -> None:
    """As plain data and as a table; why-nots are counted by their words."""
    plan = plan_gc(littered)
    put(littered, "again", b"garbage 3")
    report = run(littered, plan)
    assert report.to_dict()["skipped"] == 1
    assert "it is not the garbage it was" in report._repr_mimebundle_()["text/plain"]
    assert report.notes[0]["sha256"] == str(digest_of(b"garbage 3"))


@pytest.mark.parametrize(
    ("kind", "lacks", "words"),
    [
        *((kind, ["sha256"], "which bytes") for kind in ("forget", "recall", "copy", "link", "clone", "drop", "fetch")),
        *((kind, ["key"], "where") for kind in ("copy", "link", "clone", "drop", "quarantine", "fetch", "purge")),
        *((kind, ["store"], "where") for kind in ("copy", "link", "clone", "drop", "quarantine", "fetch")),
        *((kind, ["sha256", "store"], "where") for kind in ("condemn", "rearm", "purge")),
    ],
)
def test_a_step_that_is_about_nothing_fails(kind: str, lacks: list[str], words: str, littered: Collection) -> None:
    """A plan that was made by hand may lack what a step needs; that is told, and nothing is done."""
    row = step(littered, kind, b"kept" * 100, "docs/a", "docs/b") | dict.fromkeys(lacks)
    report = run(littered, steps(littered, row))
    assert report.failed == 1
    assert words in next(iter(report.why))


def test_a_step_for_an_unknown_store_fails(littered: Collection) -> None:
    """A store that the collection does not have is a failure of that step, not of the batch."""
    plan = plan_gc(littered)
    moved = plan.frame.with_columns(store=plan.frame["store"].str.replace(".+", "attic"))
    report = run(littered, Plan(plan.head, moved))
    assert (report.done, report.failed) == (10, 1)


def test_times_without_a_zone_are_refused(littered: Collection, clock: Clock) -> None:
    """A naive time never gets as far as a step."""
    plan = plan_gc(littered)
    with pytest.raises((InvalidInput, TypeError)):
        apply(littered, plan, unapproved=True, as_of=clock().replace(tzinfo=None))
    assert timedelta(days=7) == plan.head.expires_at - plan.head.as_of


def test_a_copied_folder_removes_nothing_from_the_store_of_the_original(tmp_path: Path, clock: Clock) -> None:
    """Of two catalogs with one identity and one store, only the one it was made for may remove, while both exist."""
    with hurry(init(tmp_path / "papers", store=f"file:{tmp_path / 'bytes'}", clock=clock)) as papers:
        record = put(papers, "a", b"a" * 100)
        shutil.copytree(papers.path, tmp_path / "test")
        with hurry(open_collection(tmp_path / "test", clock=clock)) as copy:
            forget(copy, record)
            condemn(copy)
            with pytest.raises(PlanError, match="still there"):
                purge(copy)
        assert not list(broken(papers))
        forget(papers, record)
        condemn(papers)
    moved = (tmp_path / "papers").rename(tmp_path / "moved")
    with hurry(open_collection(moved, clock=clock)) as papers:
        assert purge(papers).removed == 1, "a collection that was moved, not copied, is the only one"


def test_a_collection_copied_with_its_store_is_its_own(make_collection: Callable[..., Collection]) -> None:
    """The store of the fixture's collections is a copy, whose original is still there; that forbids nothing."""
    collection = make_collection("cas")
    forget(collection, put(collection, "a", b"a" * 100))
    condemn(collection)
    assert purge(collection).removed == 1
