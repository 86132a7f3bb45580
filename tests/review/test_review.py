"""Saying yes and having it done: states, brakes, the typed phrase, one shot, stop and go on, the receipt."""

from __future__ import annotations

import sys
import threading
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from catalogkit.approval import FILE, Approval
from catalogkit.collection import Collection
from catalogkit.errors import PlanError
from catalogkit.model import Digest
from catalogkit.plan import Plan
from catalogkit.review import Review, State
from tests.conftest import Clock
from tests.review.conftest import AS_OF, made_up, mixed

Garbage = tuple[Collection, Plan]


def looked_at(plan: Plan, **more: object) -> Review:
    return Review(plan, clock=lambda: AS_OF, **more)  # type: ignore[arg-type]


def tree(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in folder.rglob("*")}


def test_looking_changes_nothing(garbage: Garbage, tmp_path: Path) -> None:
    """Opening a review, filtering and selecting in it write nothing anywhere."""
    collection, plan = garbage
    before = tree(tmp_path / "collection" / "store")
    review = Review(plan, collection)
    review.set_filter("bytes > 0")
    review.exclude_filtered()
    review.include_filtered()
    review.why(0)
    assert review.state is State.DRAFT
    assert tree(tmp_path / "collection" / "store") == before
    assert not (tmp_path / "collection" / "plans").exists()
    assert collection.catalog.plans()[0].kind == "forget"


def test_draft_approved_applied(garbage: Garbage) -> None:
    """The three states follow each other; the approval is bound to the plan, the receipt says what came of it."""
    collection, plan = garbage
    review = Review(plan, collection)
    with pytest.raises(PlanError, match="not approved"):
        review.apply()
    review.toggle(0)
    approval = review.approve("ada", typed="CONDEMN 5")
    assert review.state is State.APPROVED
    assert review.folder is not None
    assert Approval.load(review.folder) == approval
    assert approval.plan_id == plan.id
    assert review.apply().done == 5
    assert review.state is State.APPLIED
    facts = review.receipt()
    assert (facts["done"], facts["skipped"], facts["undo"]) == (5, 0, f"catalogkit plan undo {plan.id[:12]}")
    assert facts["approved"].startswith("ada, ")
    assert facts["selected"] == "NOT last_copy; 1 unit left out by hand"
    assert collection.frame("blobs").filter(state="condemned").height == 5
    with pytest.raises(PlanError, match="applied once"):
        review.apply()


def test_a_saved_review_is_found_as_it_was_left(garbage: Garbage) -> None:
    """Whoever opens the plan again sees the approved selection, and after applying, the receipt."""
    collection, plan = garbage
    first = Review(plan, collection)
    first.set_filter("bytes > 280")
    first.only_filtered()
    first.toggle(0)
    first.approve("ada", typed=first.phrase)
    again = Review(first.folder or "", collection)
    assert again.state is State.APPROVED
    assert again.selection == first.selection
    again.apply()
    assert Review(again.folder or "", collection).receipt() == again.receipt()


def test_another_selection_is_not_approved(garbage: Garbage) -> None:
    """A changed selection is a draft again and cannot be applied; the same one, chosen again, is approved."""
    collection, plan = garbage
    review = Review(plan, collection)
    review.approve("ada", typed="CONDEMN 6")
    review.toggle(3)
    assert review.state is State.DRAFT
    with pytest.raises(PlanError, match="not approved"):
        review.apply()
    review.toggle(3)
    assert review.state is State.APPROVED
    review.withdraw()
    assert review.state is State.DRAFT
    assert not (Path(review.folder or "") / FILE).exists()


@pytest.mark.parametrize("typed", ["", "condemn 9", "CONDEMN 10", "CONDEMN", "yes"])
def test_only_the_phrase_approves(tmp_path: Path, typed: str) -> None:
    """Anything but the phrase, to the letter, approves nothing and writes nothing."""
    review = looked_at(mixed(), folder=tmp_path)
    with pytest.raises(PlanError, match="type CONDEMN 9 to approve"):
        review.approve("ada", typed=typed)
    assert not list(tmp_path.iterdir())


def test_the_phrase_names_the_magnitude() -> None:
    """The phrase names the act and how many, of what, and last copies; it changes with the selection."""
    review = looked_at(mixed())
    assert review.phrase == "CONDEMN 9"
    review.toggle(9)
    assert review.phrase == "CONDEMN 10 INCLUDING 1 LAST COPY"
    review.set_filter("")
    review.exclude_filtered()
    assert review.phrase == ""
    steps = pl.DataFrame({"unit": [0, 0, 1], "step": [0, 1, 0], "kind": "purge", "key": ["a", "b", "c"]})
    assert looked_at(made_up(steps)).phrase == "PURGE 3 FILES"
    assert looked_at(made_up(steps.filter(unit=1))).phrase == "PURGE 1 FILE"
    assert looked_at(made_up(pl.DataFrame({"unit": [0, 1], "kind": "forget"}))).phrase == "FORGET 2 DOCUMENTS"


@pytest.mark.parametrize(
    ("kinds", "phrase", "said"),
    [
        (("copy", "drop"), "DROP 2", "Everything here can be undone; of what is removed another copy stays."),
        (("copy", "link"), "LINK 2", "Everything here can be undone; of what is removed another copy stays."),
        (("forget", "condemn"), "FORGET 2 DOCUMENTS", "Everything here can be undone; no file is touched."),
        (("copy", "quarantine"), "QUARANTINE 2", "Cannot be undone: 2 bad files will be put aside."),
        (("rearm", "fetch"), "FETCH 2", "Cannot be undone: 2 files will be fetched again."),
        (
            ("abandon", "condemn"),
            "ABANDON 2 INGESTS",
            "Cannot be undone: 2 unfinished ingests",
        ),
        (("condemn", "purge"), "PURGE 2 RECORDS", "Cannot be undone: 2 records of bytes that are gone will be closed."),
    ],
)
def test_the_gravest_step_is_named_wherever_it_stands_in_its_unit(
    kinds: tuple[str, str], phrase: str, said: str
) -> None:
    """A unit that copies first and drops then is approved as one that drops."""
    steps = pl.DataFrame({"unit": [0, 0, 1, 1], "step": [0, 1, 0, 1], "kind": kinds * 2, "bytes": 0})
    review = looked_at(made_up(steps))
    assert review.phrase == phrase
    assert review.consequences().startswith(said)
    assert review.totals().final == (2 if "Cannot" in said else 0)


def test_what_cannot_be_undone_is_said() -> None:
    """Files that are removed are named as lost for good; what can be undone is named so."""
    assert looked_at(mixed()).consequences() == "Everything here can be undone; no file is touched."
    purge = pl.DataFrame({"unit": [0, 1], "kind": "purge", "key": ["a", "b"], "last_copy": [True, False]})
    review = looked_at(made_up(purge))
    assert review.consequences() == "Cannot be undone: 1 file will be removed for good."
    review.toggle(0)
    assert "2 files will be removed for good, 1 row is the last copy" in review.consequences()


def test_an_expired_plan_can_be_looked_at(tmp_path: Path) -> None:
    """An expired plan shows, says so, and cannot be approved."""
    home = mixed().save(tmp_path)
    review = Review(home, clock=lambda: AS_OF + timedelta(days=7))
    assert review.page(0, 3).height == 3
    assert "It expired 2026-03-08" in review.brakes()[0]
    with pytest.raises(PlanError, match="expired"):
        review.approve("ada", typed=review.phrase)
    assert not (home / FILE).exists()


def test_too_much_at_once_cannot_be_approved() -> None:
    """A selection over the allowed share of the store is refused until less is selected."""
    review = looked_at(mixed(physical_bytes=8000))
    assert any("more than the 50%" in brake for brake in review.brakes())
    review.set_filter("bytes > 500")
    review.exclude_filtered()
    assert review.brakes() == []


def test_a_plan_of_another_catalog_is_only_looked_at(garbage: Garbage) -> None:
    """A plan for another catalog can be read, and neither approved nor applied."""
    review = Review(mixed(), garbage[0], clock=lambda: AS_OF)
    assert any("for catalog cccccccc" in brake for brake in review.brakes())
    with pytest.raises(PlanError):
        review.approve("ada", typed=review.phrase)


def test_an_approval_of_another_plan_says_nothing(tmp_path: Path) -> None:
    """An approval that lies beside the plan but is about another one is not taken for a yes."""
    home = mixed().save(tmp_path)
    looked_at(mixed(author="bob"), folder=home).approve("ada", typed="CONDEMN 9")
    assert Review(home, clock=lambda: AS_OF).state is State.DRAFT


def test_a_double_click_applies_once(garbage: Garbage) -> None:
    """While it is being applied a second start does nothing, and no step is in the journal twice."""
    collection, plan = garbage
    review = Review(plan, collection, batch=2)
    review.approve("ada", typed=review.phrase)
    held, seen = threading.Event(), []

    def wait() -> None:
        seen.append(review.running)
        held.wait(30)

    first = review.start(wait)
    second = review.start(wait)
    held.set()
    assert first is not None
    first.join(30)
    assert second is None
    assert seen[0] is True
    assert seen[-1] is False
    assert len(collection.catalog.journal(plan.id)) == 6
    assert collection.catalog.plans()[0].done == 6


def test_stopped_and_resumed(garbage: Garbage) -> None:
    """A stop ends after the batch under way; applying again does the rest, and nothing twice."""
    collection, plan = garbage
    review = Review(plan, collection, batch=2)
    review.approve("ada", typed=review.phrase)
    report = review.apply(review.stop)
    assert (report.done, report.stopped) == (2, "stopped")
    assert review.state is State.APPROVED
    assert review.receipt()["state"].startswith("Stopped")
    assert not review.can_withdraw
    assert review.apply().done == 4
    assert review.state is State.APPLIED
    assert review.receipt()["done"] == 6


def test_what_was_skipped_is_on_the_receipt(garbage: Garbage, tmp_path: Path) -> None:
    """A step the world has overtaken is skipped, counted, and its reason kept with the receipt."""
    collection, plan = garbage
    review = Review(plan, collection)
    review.approve("ada", typed=review.phrase)
    digest = Digest.parse(plan.frame["sha256"][0])
    collection.catalog.place_hold("a lawsuit", digest=digest, as_of=collection.now())
    review.apply()
    assert (review.receipt()["done"], review.receipt()["skipped"]) == (5, 1)
    assert sum(review.reasons_not_done().values()) == 1
    assert Review(review.folder or "", collection).reasons_not_done() == review.reasons_not_done()


def test_an_error_while_applying_is_told(garbage: Garbage, monkeypatch: pytest.MonkeyPatch) -> None:
    """If applying breaks off, whoever waits hears why, and the plan can be applied again."""
    collection, plan = garbage
    review = Review(plan, collection)
    review.approve("ada", typed=review.phrase)

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["catalogkit.review"], "apply", fail)
        with pytest.raises(PlanError, match="the disk is gone"):
            review.apply()
    assert not review.running
    assert review.apply().done == 6


def test_why_says_what_the_plan_and_the_catalog_say(garbage: Garbage, clock: Clock) -> None:
    """The reason of a row is the plan's words and what the catalog knows now."""
    collection, plan = garbage
    said = Review(plan, collection).why(0)
    assert said[0].endswith("no document refers to these bytes any more")
    assert "30 days before the plan was made" in said[1]
    assert any(sentence.startswith("now: nothing has referred to it since") for sentence in said)
    assert "last copy" in looked_at(mixed()).why(9)[-1]
