"""Plans that wait in a collection: listed from their heads, newest first, whatever became of them."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.planning import approve, plan_forget, plan_gc, waiting_plans
from tests.plans.frames import plan
from tests.plans.scene import AT_ONCE, forget, put, run

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from tests.conftest import Clock


def test_the_newest_comes_first_with_what_its_head_says(collection: Collection, clock: Clock) -> None:
    """Kind, units and bytes come from beside the head: no plan's steps are read to list it."""
    records = [put(collection, name, name.encode() * 9) for name in ("a", "b", "c")]
    plans = collection.path / "plans"
    older = plan_forget(collection, [records[0].id])
    older.save(plans)
    clock.advance(seconds=5)
    forget(collection, *records[1:])
    newer = plan_gc(collection, AT_ONCE)
    home = newer.save(plans)
    for steps in plans.glob("*/plan.parquet"):
        steps.unlink()
    facts = {"id": newer.id, "kind": "gc", "units": 2, "bytes_freed": 18, "state": "draft", "path": str(home)}
    assert waiting_plans(collection)[0] == facts
    assert [one["id"] for one in waiting_plans(collection)] == [newer.id, older.id]


def test_states_of_what_waits(collection: Collection, clock: Clock) -> None:
    """A draft, an approved one, one that another plan's approval lies beside, an expired one; a begun one is none."""
    forget(collection, put(collection, "a", b"a"))
    made = plan_gc(collection, AT_ONCE)
    home = made.save(collection.path / "plans")
    assert [one["state"] for one in waiting_plans(collection)] == ["draft"]
    approve(home, approved_by="me", as_of=clock())
    assert [one["state"] for one in waiting_plans(collection)] == ["approved"]
    clock.advance(seconds=1)
    other = plan_gc(collection, AT_ONCE).save(collection.path / "plans")
    shutil.copy(home / "approval.json", other)
    assert [one["state"] for one in waiting_plans(collection)] == ["draft", "approved"]
    run(collection, made)
    assert [one["path"] for one in waiting_plans(collection)] == [str(other)]
    clock.advance(days=7)
    assert [one["state"] for one in waiting_plans(collection)] == ["expired"]


def test_one_that_cannot_be_read_hides_no_other(collection: Collection) -> None:
    """A torn plan is listed as unreadable, last; one of the first format is listed by its steps."""
    plans = collection.path / "plans"
    good = plan({"bytes": 5}, as_of=collection.now(), expires_at=collection.now() + timedelta(days=1)).save(plans)
    torn = plan({"bytes": 6}).save(plans)
    (torn / "plan.json").write_text("{")
    shutil.copytree(Path(__file__).parents[1] / "data" / "plan-format-1", plans / "old")
    found = {Path(one["path"]): (one["state"], one["units"], one["bytes_freed"]) for one in waiting_plans(collection)}
    assert found[good] == ("draft", 1, 5)
    assert found[plans / "old"][1:] == (4, 13)
    assert waiting_plans(collection)[-1] == {
        "id": "", "kind": "", "units": 0, "bytes_freed": 0, "state": "unreadable", "path": str(torn),
    }  # fmt: skip
