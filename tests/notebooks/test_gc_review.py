"""The review notebook under papermill and as a report: a static form, no widget, nothing changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

from catalogkit.collection import open_collection
from catalogkit.demo import demo_collection
from catalogkit.errors import ReportError
from catalogkit.plan import Plan
from catalogkit.planning import approve
from catalogkit.reports import ReportResult, run_report
from tests.notebooks.conftest import figures, outputs

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "gc_review.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def folder(surroundings: None, tmp_path: Path) -> Path:
    """A copy of the demo's collection that may be changed."""
    with demo_collection() as demo:
        shutil.copytree(demo.path, tmp_path / "collection", symlinks=True)
    return tmp_path / "collection"


@pytest.fixture(scope="module")
def shown(report_of: Callable[[str], ReportResult]) -> ReportResult:
    """The notebook with no parameters: on the demo."""
    return report_of("gc_review")


def test_the_report_shows_a_plan_with_something_in_it(shown: ReportResult) -> None:
    """On the demo the plan has the eight contents that only history refers to, and a form that can be read."""
    told = figures(shown)
    assert told["units"] == told["selected_units"] == 8
    assert (Path(told["path"]) / "plan.json").is_file()
    page = shown.html.read_text()
    for words in (
        "8 of 8",
        "no document refers to these bytes any more",
        "catalogkit approve",
        "Everything here can be undone",
    ):
        assert words in page
    assert len(page.encode()) < 750_000


def test_headless_there_is_no_widget(shown: ReportResult) -> None:
    """A run without a person has no widget output, no error, and nothing waited for an answer."""
    found = outputs(shown.ipynb)
    assert not [output for output in found if WIDGET in output.get("data", {})]
    assert not [output for output in found if output.output_type in ("error", "stream")]
    assert "widgets" not in nbformat.read(shown.ipynb, 4).metadata


def test_a_dry_run_changes_nothing(shown: ReportResult) -> None:
    """The report condemns nothing and approves nothing; it leaves a plan that somebody can approve."""
    home = Path(figures(shown)["path"])
    assert sorted(path.name for path in home.iterdir()) == ["plan.json", "plan.parquet"]
    with demo_collection() as demo:
        assert demo.catalog.plans() == []
        assert demo.frame("blobs").filter(state="condemned").is_empty()


def test_it_applies_only_what_was_approved(folder: Path, tmp_path: Path) -> None:
    """Not a dry run: it fails without an approval, and applies the very plan that was approved before."""
    given = {"dry_run": False, "limit": 5}
    as_of = datetime.now(UTC).replace(microsecond=0)  # whether a plan expired is up to the real clock

    def run() -> ReportResult:
        return run_report("gc_review", given, tmp_path / "reports", collection=str(folder), as_of=as_of)

    with pytest.raises(ReportError, match="not approved"):
        run()
    [home] = (folder / "plans").glob(f"gc-{as_of:%Y%m%dT%H%M%SZ}-*")
    assert Plan.load(home).units == 5
    approve(home, "NOT last_copy", exclude=[0], approved_by="ada", as_of=as_of)
    run()
    with open_collection(folder) as opened:
        [row] = opened.catalog.plans()
        assert (row.id, row.done) == (Plan.load(home).id, 4)


def test_plain_papermill_runs_it(folder: Path, tmp_path: Path) -> None:
    """It runs under plain papermill with parameters, and shows the form."""
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(tmp_path / "out.ipynb"), "--no-progress-bar"]
    command += ["-p", "collection", str(folder), "-p", "limit", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    shown = [output.data for output in outputs(tmp_path / "out.ipynb") if "ck-review-form" in str(output.get("data"))]
    assert len(shown) == 1
    assert "6 more units were left out" in shown[0]["text/plain"]
