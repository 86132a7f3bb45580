"""The review of a migration as a report: what moves where; moved only when somebody approved it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from catalogkit import migration_charts
from catalogkit.collection import open_collection
from catalogkit.demo import demo_collection
from catalogkit.planning import approve, misplaced, plan_migrate
from catalogkit.reports import ReportResult, run_report
from tests.notebooks.conftest import complaints, figures


def test_the_migration_of_the_demo_can_be_reviewed(report_of: Callable[[str], ReportResult]) -> None:
    """The page shows what moves where, and a plan that somebody can approve; nothing is moved."""
    made = report_of("migration_review")
    said = figures(made)
    assert complaints(made) == []
    assert said["to"] == "policy" and said["units"] == said["selected_units"] > 100 and said["bytes_freed"] == 0
    page = made.html.read_text()
    assert "catalogkit approve" in page and "docs/" in page
    with demo_collection() as demo:
        assert demo.catalog.plans() == []


def test_the_migration_is_applied_only_when_approved(surroundings: None, tmp_path: Path) -> None:
    """Not a dry run, and approved: the copies have their readable names, and the way back is a plan."""
    with demo_collection() as demo:
        shutil.copytree(demo.path, tmp_path / "collection", symlinks=True)
    as_of = datetime.now(UTC).replace(microsecond=0)
    with open_collection(tmp_path / "collection") as opened:
        plan = plan_migrate(opened, "policy", limit=3, as_of=as_of)
        approve(plan.save(opened.path / "plans"), "", approved_by="ada", as_of=as_of)
    given = {"dry_run": False, "limit": 3}
    run_report("migration_review", given, tmp_path / "out", collection=str(tmp_path / "collection"), as_of=as_of)
    with open_collection(tmp_path / "collection") as opened:
        [row] = opened.catalog.plans()
        assert row.id == plan.id and not row.failed
        assert opened.frame("locations").filter(layout="policy", store="main").height >= 3


def test_what_moves_adds_up() -> None:
    """The bars sum to the copies of the plan, also where the least types are summed up."""
    with demo_collection() as demo:
        plan, moves = plan_migrate(demo, "policy"), misplaced(demo, "policy")
    whole, few = migration_charts.types(moves), migration_charts.types(moves, top=2)
    assert whole["copies"].sum() == few["copies"].sum() == plan.units
    assert whole["bytes"].sum() == few["bytes"].sum()
    assert few["media_type"].to_list()[-1] == "all others" and few.height == 3
    assert migration_charts.names(plan).height == plan.units
    nothing = migration_charts.types(moves.head(0))
    assert nothing.is_empty() and migration_charts.by_type(nothing).layout.annotations
