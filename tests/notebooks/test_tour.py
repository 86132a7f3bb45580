"""The tour as a report: the whole story, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from catalogkit.collection import open_collection
from catalogkit.demo import demo_collection
from catalogkit.reports import ReportResult, run_report
from tests.notebooks.conftest import AS_OF, complaints, figures


def test_the_tour_tells_its_story_and_leaves_nothing(report_of: Callable[[str], ReportResult], scratch: Path) -> None:
    """Everything is forgotten, condemned, and back again; the scratch folder is gone."""
    made = report_of("tour")
    assert complaints(made) == []
    assert figures(made)["documents"] == 294
    page = made.html.read_text()
    for words in ("151 of 151 copies", "5 documents forgotten", "snapshot before-the-cleanup keeps it", "recalled",
                  "There were 294 on Monday", "storage_overview"):  # fmt: skip
        assert words in page
    assert not list(scratch.glob("catalogkit-tour-*"))


def test_the_tour_is_kept_where_it_is_no_dry_run(
    surroundings: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dry_run=False` keeps the scratch collection; neither the demo nor a collection that is named is touched."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with demo_collection() as demo:
        before = demo.catalog.position()
    run_report("tour", {"dry_run": False}, tmp_path / "reports", collection=str(tmp_path / "not there"), as_of=AS_OF)
    [scratch] = tmp_path.glob("catalogkit-tour-*")
    with open_collection(scratch / "papers") as kept:
        assert kept.catalog.totals()["documents"] == 294
    with demo_collection() as demo:
        assert demo.catalog.position() == before
    assert not (tmp_path / "not there").exists()
