"""Conflicts: all values are listed, and a plan chooses among them, at all sites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from catalogkit.apply import apply
from catalogkit.federation.conflicts import conflicts, plan_reconcile
from catalogkit.federation.syncing import sync
from catalogkit.planners.reconcile import CONFLICTS, ReconcilePolicy
from tests.federation.scene import add, agree, change, document, drop, lost, sha, texts
from tests.plans.scene import collect, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection


@pytest.fixture(params=["ff", "pp"])
def pair(
    request: pytest.FixtureRequest, sites: Callable[[str], tuple[Collection, Collection]]
) -> tuple[Collection, Collection]:
    """Two sites that changed a document apart, and one deleted what the other changed."""
    east, west = sites(request.param)
    add(east, "one", "first")
    add(east, "two", "second")
    add(east, "three", "third", metadata={"n": 1})
    sync(east, west)
    change(east, "one", "of the east", metadata={"from": "east"})
    change(west, "one", "of the west", metadata={"from": "west"})
    drop(east, "two")
    change(west, "two", "second, edited")
    sync(east, west)
    agree(east, west)
    return east, west


def test_every_value_is_in_the_report(pair: tuple[Collection, Collection]) -> None:
    """Which is shown, where each was written, and what it is."""
    for site in pair:
        report = conflicts(site)
        assert dict(report.frame.schema) == dict(CONFLICTS) and site.catalog.vitals().contested == report.documents
        assert (report.documents, report.groups()) == (2, {"content": 1, "life": 1, "notes": 1})
        rows = report.frame.filter(pl.col("group") == "content").select("shown", "site", "value").rows()
        assert [(shown, name, value[:8]) for shown, name, value in rows] == [
            (name == "west", name, sha(f"of the {name}")) for name in [row[1] for row in rows]
        ]
        lives = report.frame.filter(pl.col("group") == "life").select("site", "shown", "value").sort("site").rows()
        assert lives == [("east", False, "deleted"), ("west", True, "lives")]
        assert report.to_dict()["documents"] == 2


def test_what_is_shown_is_kept(pair: tuple[Collection, Collection]) -> None:
    """The default plan writes what everybody sees; then nothing waits anywhere, and the losers are garbage."""
    east, west = pair
    before = texts(east)
    plan = plan_reconcile(east)
    assert (plan.units, plan.frame["kind"].unique().to_list(), plan.bytes_freed()) == (2, ["resolve"], 0)
    assert run(east, plan).done == 3
    assert sync(east, west).conflicts == 0
    agree(east, west)
    assert texts(west) == before and conflicts(west).documents == 0
    sync(east, west)
    collect(east)
    assert lost(east, west) == []
    assert sha("of the east") not in {text[:8] for text in east.catalog.frame("locations")["sha256"]}


def test_a_site_may_be_preferred(pair: tuple[Collection, Collection]) -> None:
    """What was written there wins, and is at both sites with all that belongs to it."""
    east, west = pair
    assert run(west, plan_reconcile(west, ReconcilePolicy(site="east"))).done == 3
    sync(west, east)
    agree(east, west)
    assert texts(east)["one"] == sha("of the east") and "two" in texts(east)
    assert document(west, "one").metadata == {"from": "east"}


def test_deletions_may_win(pair: tuple[Collection, Collection]) -> None:
    """If somebody says so."""
    east, west = pair
    assert run(west, plan_reconcile(west, ReconcilePolicy(deletions=True))).done == 3
    sync(west, east)
    agree(east, west)
    assert texts(east).keys() == {"one", "three"}


def test_a_hold_is_a_decision(pair: tuple[Collection, Collection]) -> None:
    """Who placed one on what was deleted decided that it lives; a plan that did not know of it stops there."""
    east, west = pair
    plan = plan_reconcile(west, ReconcilePolicy(deletions=True))
    west.catalog.place_hold("case", document_id=document(west, "two").id, as_of=west.now())
    report = run(west, plan)
    assert (report.done, report.skipped) == (2, 1) and "two" in texts(west)
    assert sync(west, east).conflicts == 0
    agree(east, west)


def test_a_plan_is_about_the_values_it_saw(pair: tuple[Collection, Collection]) -> None:
    """What somebody wrote since is not written over by a plan that did not know of it."""
    east, west = pair
    plan = plan_reconcile(east)
    change(west, "one", "a third value")
    sync(west, east)
    report = apply(east, plan, unapproved=True)
    assert report.skipped == 2 and report.done == 1 and texts(east)["one"] == sha("a third value")


def test_both_decide_at_once(pair: tuple[Collection, Collection]) -> None:
    """Two decisions that did not know of each other are a conflict again, where they differ."""
    east, west = pair
    run(east, plan_reconcile(east, ReconcilePolicy(site="east")))
    run(west, plan_reconcile(west))
    assert sync(east, west).conflicts == 1
    agree(east, west)
    assert conflicts(east).groups() == {"content": 1, "notes": 1}
