"""What every notebook keeps to, and what the first one shows under each runner."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from catalogkit.demo import LABEL
from catalogkit.display import PLOTLY_MIME
from catalogkit.params import declared
from catalogkit.reports import ReportResult
from tests.notebooks.conftest import figures, outputs

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DEDUP = ROOT / "notebooks" / "dedup_analytics.ipynb"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_thin_and_clean(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(id_.replace("-", "").isalpha() for id_ in ids), "ids are words, so that they stay"
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].source.startswith("# ")
    assert code[0].metadata.tags == ["parameters"]
    assert {"collection", "as_of", "dry_run"} <= {parameter.name for parameter in declared(path)}
    assert all(parameter.help for parameter in declared(path))
    assert "p = params()" in code[1].source
    forbidden = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    for cell in code:
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, forbidden)]
        assert ".show(" not in cell.source


def test_the_report_shows_every_chart_with_words_and_numbers(report: ReportResult) -> None:
    charts = [output for output in outputs(report.ipynb) if PLOTLY_MIME in output.get("data", {})]
    assert len(charts) == 9
    for chart in charts:
        assert chart.data[PLOTLY_MIME]["data"], "the demo has something to show in every chart"
        assert len(chart.metadata.catalogkit.caption) > 40
        assert "<table" in chart.data["text/html"] and chart.data["image/svg+xml"] in chart.data["text/html"]
        assert chart.data["text/plain"].startswith(chart.metadata.catalogkit.title)
    assert not [
        output for output in outputs(report.ipynb) if output.output_type == "error" or output.get("name") == "stderr"
    ]
    page = report.html.read_text()
    assert len(page.encode()) < 750_000
    assert LABEL in page


def test_the_figures_of_the_demo_are_those_of_the_hand_count(report: ReportResult) -> None:
    expected = json.loads((ROOT / "tests" / "data" / "demo" / "expected.json").read_text())
    told = figures(report)
    for name in ("documents", "logical_bytes", "unique_bytes"):
        assert told[name] == expected[name]
    assert told["duplicate_share"] == pytest.approx(1 - expected["unique_bytes"] / expected["logical_bytes"])


def papermill(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "papermill", str(DEDUP), str(out), "--no-progress-bar", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=out.parent, check=False)


def test_plain_papermill_runs_it_and_stock_nbconvert_shows_the_numbers(surroundings: None, tmp_path: Path) -> None:
    out = tmp_path / "out.ipynb"
    done = papermill(out, "-p", "top", "5")
    assert done.returncode == 0, done.stderr
    [title] = [
        output.metadata.catalogkit.title
        for output in outputs(out)
        if "Duplicate groups" in output.metadata.get("catalogkit", {}).get("title", "")
    ]
    assert title.endswith("(at most 5)")

    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--no-input", str(out)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert made.returncode == 0, made.stderr
    page = out.with_suffix(".html").read_text()
    assert page.count('<div class="ck-chart">') == 9
    assert "the steps add up exactly" in page


def test_plain_papermill_stops_at_wrong_parameters(surroundings: None, tmp_path: Path) -> None:
    done = papermill(tmp_path / "out.ipynb", "-p", "dry_rnu", "True")
    assert done.returncode == 1
    assert "InvalidInput" in done.stderr
    assert "did you mean 'dry_run'" in done.stderr


def test_plain_papermill_lists_the_parameters(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "papermill", "--help-notebook", str(DEDUP)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    for parameter in declared(DEDUP):
        assert f"{parameter.name}: {parameter.type.__name__}" in done.stdout
        assert parameter.help in done.stdout
