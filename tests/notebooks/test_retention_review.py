"""The retention notebook under papermill and as a report: its charts, its slider, and a review that changes nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalogkit.collection import open_collection
from catalogkit.demo import demo_collection
from catalogkit.display import PLOTLY_MIME
from catalogkit.errors import ReportError
from catalogkit.plan import Plan
from catalogkit.planning import approve
from catalogkit.reports import ReportResult, run_report
from tests.notebooks.conftest import figures, outputs

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "retention_review.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def shown(report_of: Callable[[str], ReportResult]) -> ReportResult:
    """The notebook with no parameters: on the demo."""
    return report_of("retention_review")


def test_the_report_shows_decisions_curve_past_and_review(shown: ReportResult) -> None:
    """On the demo each chart has something to draw, and the page has the form and fits in an e-mail."""
    told = figures(shown)
    assert 0 < told["forgotten"] < told["documents"] == 294
    assert told["bytes_freed"] > 0 and told["regretted"] > 0
    charts = [output for output in outputs(shown.ipynb) if PLOTLY_MIME in output.get("data", {})]
    assert len(charts) == 4
    assert all(chart.data[PLOTLY_MIME]["data"] for chart in charts)
    assert not [o for o in outputs(shown.ipynb) if o.output_type == "error" or o.get("name") == "stderr"]
    assert not [o for o in outputs(shown.ipynb) if WIDGET in o.get("data", {})]
    page = shown.html.read_text()
    for words in ("due by a content type rule", "catalogkit approve", "Everything here can be undone"):
        assert words in page
    assert len(page.encode()) < 750_000


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_slider_works_in_the_page(new_page: Callable[..., Any], shown: ReportResult, scheme: str) -> None:
    """Without any kernel: a click on the slider moves the mark and says the numbers; nothing is asked from anywhere."""
    opened = new_page(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    opened.open(shown.html)
    plot = opened.page.locator(".ck-plot", has=opened.page.locator(".slider-container"))
    before = plot.locator(".annotation-text").text_content()
    assert before.startswith("90 days: ")
    ink = plot.locator(".slider-label").first.evaluate("label => getComputedStyle(label).fill")
    assert (sum(map(int, ink[4:-1].split(","))) > 384) == (scheme == "dark")
    rail = plot.locator(".slider-rail-touch-rect")
    rail.scroll_into_view_if_needed()
    box = rail.bounding_box()
    opened.page.mouse.click(box["x"] + 1, box["y"] + box["height"] / 2)
    said = plot.locator(".annotation-text").filter(has_text="7 days: ")
    said.wait_for(state="attached", timeout=10_000)
    assert plot.evaluate("plot => plot.data[1].x[0]") == 7
    assert opened.requests == [shown.html.as_uri()]
    assert opened.complaints == []


def test_an_approved_plan_is_applied(surroundings: None, tmp_path: Path) -> None:
    """Looking changes nothing; with `dry_run` false only what was approved is forgotten; a policy may be tried."""
    folder, as_of = tmp_path / "collection", datetime.now(UTC)
    with demo_collection() as demo:
        shutil.copytree(demo.path, folder, symlinks=True)
    proposed = tmp_path / "proposed.toml"
    proposed.write_text("age_days = 200\n")
    values = {"collection": str(folder), "policy": str(proposed), "dry_run": False}
    with pytest.raises(ReportError, match="approve"):
        run_report("retention_review", values, tmp_path / "reports", as_of=as_of)
    with open_collection(folder) as opened:
        assert opened.catalog.totals()["documents"] == 294
    homes = [path.parent for path in folder.glob("plans/retention-*/plan.json")]
    (home,) = [path for path in homes if Plan.load(path).head.as_of == as_of]
    assert Plan.load(home).head.policy["age_days"] == 200
    approve(home, "", include=[0], exclude=range(1, Plan.load(home).units), approved_by="ada", as_of=as_of)
    run_report("retention_review", values, tmp_path / "reports", as_of=as_of)
    with open_collection(folder) as opened:
        assert opened.catalog.totals()["documents"] == 293


@pytest.mark.stress  # `make test` asks the same of gc_review
def test_plain_papermill_runs_it(surroundings: None, tmp_path: Path) -> None:
    """With parameters, and no catalogkit around it."""
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), str(tmp_path / "out.ipynb"), "--no-progress-bar"]
    command += ["-p", "limit", "2", "-p", "backtest_days", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert any("ck-review-form" in str(output.get("data")) for output in outputs(tmp_path / "out.ipynb"))
