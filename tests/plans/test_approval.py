"""Saying yes: to a rule with exceptions, bound to one plan, by somebody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalogkit.approval import Approval, Selection, approve_plan
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.planning import approve
from tests.plans.frames import NOW, plan

ROWS = (
    {"bytes": 5, "resolver": "core"},
    {"unit": 1, "bytes": 50, "resolver": "core"},
    {"unit": 1, "step": 1, "bytes": 1, "resolver": None},
    {"unit": 2, "bytes": 70, "resolver": "core", "last_copy": True},
)


@pytest.mark.parametrize(
    ("rule", "units"),
    [
        ("", {0, 1, 2}),
        ("NOT last_copy", {0, 1}),
        ("bytes > 10", {2}),
        ("resolver = 'core'", {0, 2}),
        ("resolver = 'core' AND bytes < 10", {0}),
        ("unit IN (0, 2)", {0, 2}),
        ("1 = 0", set()),
    ],
)
def test_a_rule_takes_units_whose_every_step_fits(rule: str, units: set[int]) -> None:
    """A unit is taken whole or not at all, and what is unknown does not fit."""
    assert set(Selection(rule).units(plan(*ROWS))) == units


def test_exceptions_are_stronger_than_the_rule() -> None:
    """Included units are in, excluded ones out, whatever the rule says."""
    assert set(Selection("bytes > 10", include=(0,), exclude=(2,)).units(plan(*ROWS))) == {0}


@pytest.mark.parametrize("rule", ["bytes >", "nonsense = 1", "bytes", "bytes + 1", "DROP TABLE x"])
def test_a_rule_that_is_no_condition_is_refused(rule: str) -> None:
    """It says which columns there are; nothing is approved."""
    with pytest.raises(InvalidInput, match="not a condition"):
        approve_plan(plan(*ROWS), rule, approved_by="me", as_of=NOW)


def test_an_approval_needs_a_name_and_units_that_exist() -> None:
    """Nobody's yes is none; an exception that is no unit is a slip."""
    with pytest.raises(InvalidInput, match="name"):
        approve_plan(plan(*ROWS), approved_by=" ", as_of=NOW)
    for slip in ({"include": [9]}, {"exclude": [-1]}):
        with pytest.raises(InvalidInput, match="no unit"):
            approve_plan(plan(*ROWS), approved_by="me", as_of=NOW, **slip)


def test_an_approval_is_kept_beside_its_plan(tmp_path: Path) -> None:
    """Saved and loaded it is the same; without one there is None; a torn one is told."""
    made = plan(*ROWS)
    home = made.save(tmp_path)
    assert Approval.load(home) is None
    given = approve(home, "bytes < 60", include=[2], approved_by="Ada", as_of=NOW)
    assert Approval.load(home) == given
    assert (given.plan_id, given.approved_by, set(given.units(made))) == (made.id, "Ada", {0, 1, 2})
    (home / "approval.json").write_text(json.dumps({"plan_id": "x"}))
    with pytest.raises(PlanError, match="approve the plan again"):
        Approval.load(home)
    (home / "approval.json").unlink()
    (home / "approval.json").mkdir()
    with pytest.raises(PlanError, match="approve the plan again"):
        Approval.load(home)


def test_what_was_chosen_by_hand_can_be_said_in_python() -> None:
    """The line that makes the same choice without a widget."""
    said = Selection("bytes > 1", include=(3,)).as_python("plans/x")
    assert said == "ck.approve('plans/x', 'bytes > 1', include=[3])"
