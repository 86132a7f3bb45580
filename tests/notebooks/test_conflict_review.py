"""The review of conflicts as a report: every value is there, and nothing is decided before somebody approved it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from catalogkit.collection import open_collection
from catalogkit.demo_sites import demo_sites
from catalogkit.federation.conflicts import conflicts, plan_reconcile
from catalogkit.planning import approve
from catalogkit.reports import ReportResult, run_report
from tests.notebooks.conftest import complaints, figures


def test_the_conflicts_of_the_demo_can_be_reviewed(report_of: Callable[[str], ReportResult]) -> None:
    """Contents, metadata and lives are in conflict; all values are on the page, and a plan that can be approved."""
    made = report_of("conflict_review")
    assert complaints(made) == []
    said = figures(made)
    assert (said["documents"], said["units"]) == (6, 6)
    assert (said["content_conflicts"], said["notes_conflicts"], said["life_conflicts"]) == (4, 2, 2)
    page = made.html.read_text()
    assert "catalogkit approve" in page and "lisbon" in page and "deleted" in page


def test_conflicts_end_only_when_that_is_approved(surroundings: None, tmp_path: Path) -> None:
    """Not a dry run, and approved: no conflict is left."""
    with demo_sites() as demo:
        shutil.copytree(demo.path, tmp_path / "collection", symlinks=True)
    as_of = datetime.now(UTC).replace(microsecond=0)
    with open_collection(tmp_path / "collection") as opened:
        approve(plan_reconcile(opened, as_of=as_of).save(opened.path / "plans"), "", approved_by="ada", as_of=as_of)
    where = str(tmp_path / "collection")
    run_report("conflict_review", {"dry_run": False}, tmp_path / "out", collection=where, as_of=as_of)
    with open_collection(tmp_path / "collection") as opened:
        assert conflicts(opened).documents == 0
