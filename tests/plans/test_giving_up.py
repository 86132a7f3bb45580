"""A plan that was begun and cannot be finished is given up: its roots go, what it did stays and can be undone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.apply import apply
from catalogkit.collection import open_collection
from catalogkit.errors import CatalogError, InvalidInput, PlanError
from catalogkit.planning import give_up, plan_undo
from catalogkit.review import Review, State
from tests.plans.crashing import PowerCut, build_copies, copies_plan, disk_of
from tests.plans.scene import broken, condemn, digest_of, forget, put, run, state_of
from tests.plans.steps import at, outcomes, step, steps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan
    from tests.conftest import Clock

A, B = b"the bytes of a", b"the bytes of b"
WHY = "the disk it was for is broken"


@pytest.fixture
def one(make_collection: Callable[..., Collection]) -> Collection:
    """Two documents at readable paths, and some more that is stored."""
    collection = make_collection("policy", template="{artifact_id}")
    for name, content in (("a", A), ("b", B), ("kept", b"kept" * 100)):
        put(collection, name, content)
    return collection


def half(collection: Collection) -> Plan:
    """A plan that copies both, stopped after the first."""
    plan = steps(
        collection,
        step(collection, "copy", A, "docs/more/a", "docs/a"),
        step(collection, "copy", B, "docs/more/b", "docs/b"),
    )
    stop = threading.Event()
    assert run(collection, plan, batch=1, stop=stop, progress=lambda _: stop.set()).stopped
    return plan


def ended(collection: Collection, plan: Plan) -> tuple[bool, str]:
    (row,) = [row for row in collection.catalog.plans() if row.id == plan.id]
    return row.ended_at is not None, row.given_up


def test_what_it_kept_is_let_go(one: Collection) -> None:
    """While it is unfinished its bytes cannot be condemned; given up, they can."""
    plan = half(one)
    forget(one, *one.catalog.find(artifact_id="b"))
    assert condemn(one).done == 0
    assert state_of(one, B) == "live"
    assert give_up(one, plan.id[:12], f" {WHY} ").given_up == WHY
    assert ended(one, plan) == (True, WHY)
    assert condemn(one).done == 1
    assert not list(broken(one))


def test_it_is_not_gone_on_with(one: Collection) -> None:
    """Applied again it is refused by one sentence that has the reason; nothing is done, and it stays given up."""
    plan = half(one)
    give_up(one, plan.id, WHY)
    with pytest.raises(PlanError, match=rf"given up \({WHY}\); make a new one"):
        run(one, plan)
    assert ended(one, plan) == (True, WHY)
    assert set(outcomes(one, B)) == {"docs/b"}


def test_what_it_did_can_be_undone(one: Collection) -> None:
    """The journal is there as before: the one copy it made goes again."""
    plan = half(one)
    give_up(one, plan.id, WHY)
    back = plan_undo(one, plan.id)
    assert run(one, back).done == 1
    assert set(outcomes(one, A)) == {"docs/a"} and not at(one, "docs/more/a").exists()


def test_only_what_is_unfinished_is_given_up(one: Collection) -> None:
    """Not what ended, not twice, not what was never begun, and not without a reason."""
    plan = half(one)
    with pytest.raises(InvalidInput, match="say why"):
        give_up(one, plan.id, "  ")
    with pytest.raises(InvalidInput, match="no applied plans"):
        give_up(one, "f" * 64, WHY)
    assert ended(one, plan) == (False, "")
    give_up(one, plan.id, WHY)
    with pytest.raises(InvalidInput, match="has ended"):
        give_up(one, plan.id, "another reason")
    assert ended(one, plan) == (True, WHY)
    done = steps(one, step(one, "copy", B, "docs/more/b", "docs/b"))
    run(one, done)
    with pytest.raises(InvalidInput, match="plan undo"):
        give_up(one, done.id, WHY)
    assert ended(one, done) == (True, "")


def test_whoever_applies_it_meanwhile_is_stopped(one: Collection, clock: Clock) -> None:
    """Another client gives it up between two batches: the next one is not begun, and the plan is not taken up again."""
    plan = steps(one, step(one, "copy", A, "docs/more/a", "docs/a"), step(one, "copy", B, "docs/more/b", "docs/b"))
    with open_collection(one.path, clock=clock) as other, pytest.raises(PlanError, match="given up"):
        run(one, plan, batch=1, progress=lambda _: give_up(other, plan.id, WHY))
    assert ended(one, plan) == (True, WHY)
    assert (set(outcomes(one, A)), set(outcomes(one, B))) == ({"docs/a", "docs/more/a"}, {"docs/b"})


def test_begun_in_the_same_moment_it_stays_given_up(
    one: Collection, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up after an apply looked, and before it began: that apply is refused, and no root comes back."""
    plan, begin = half(one), one.catalog.begin_plan
    with open_collection(one.path, clock=clock) as other:

        def late(*args: Any, **more: Any) -> bool:
            give_up(other, plan.id, WHY)
            return begin(*args, **more)

        monkeypatch.setattr(one.catalog, "begin_plan", late)
        with pytest.raises(PlanError, match="given up"):
            apply(one, plan, unapproved=True, max_share=1.0)
    assert ended(one, plan) == (True, WHY)
    assert one.catalog.root_kinds(digest_of(B), as_of=clock())["roots"] == []


def test_a_power_cut_leaves_it_given_up_or_not(tmp_path: Path, clock: Clock) -> None:
    """Cut before or after the one transaction, roots and reason are both as they were or both gone."""
    for number in (1, 2):
        world = build_copies(tmp_path / str(number), clock, applied=False)
        with world.open() as collection:
            plan, stop = copies_plan(collection), threading.Event()
            run(collection, plan, batch=2, stop=stop, progress=lambda _, stop=stop: stop.set())
        disk = disk_of(world, number)
        cut = world.open(disk)
        with pytest.raises(PowerCut):
            give_up(cut, plan.id, WHY)
        disk.dead = False
        cut.close()
        with world.open() as collection:
            kept = collection.catalog.frame("roots").filter(kind="plan")
            assert ended(collection, plan) == ((False, "") if number == 1 else (True, WHY))
            assert kept.is_empty() == (number == 2)


def test_an_error_leaves_it_as_it_was(tmp_path: Path, clock: Clock) -> None:
    """A catalog that cannot be written says so, and the plan is still one to be finished, or given up."""
    world = build_copies(tmp_path / "world", clock, applied=False)
    with world.open() as collection:
        plan, stop = copies_plan(collection), threading.Event()
        run(collection, plan, batch=2, stop=stop, progress=lambda _: stop.set())
    with world.open(disk_of(world, 1, 5)) as collection, pytest.raises(CatalogError):
        give_up(collection, plan.id, WHY)
    with world.open() as collection:
        assert ended(collection, plan) == (False, "")
        assert give_up(collection, plan.id, WHY).given_up == WHY


def test_the_receipt_says_so(one: Collection, tmp_path: Path) -> None:
    """A review of it has ended, cannot be approved or changed, and says why it was given up and how to undo."""
    plan = half(one)
    home = plan.save(tmp_path)
    give_up(one, plan.id, WHY)
    review = Review(home, one)
    assert (review.state, review.ended) == (State.GIVEN_UP, True)
    assert any(WHY in said for said in review.brakes())
    receipt = review.receipt()
    assert receipt["state"] == f"Given up: {WHY}"
    assert (receipt["done"], receipt["undo"]) == (1, f"catalogkit plan undo {plan.id[:12]}")
    with pytest.raises(PlanError, match="given up"):
        review.must_be_open()
