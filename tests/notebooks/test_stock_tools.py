"""Stock papermill and nbconvert, given our engine and our exporter by name, make what `catalogkit report` makes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from catalogkit.display import PLOTLY_MIME
from catalogkit.reports import ReportResult, list_reports
from tests.notebooks.conftest import pictures_of, titles_of

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "verification_coverage.ipynb"


def stock(tool: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", tool, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def papermill(out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    engine = ("--engine", "catalogkit", "--no-progress-bar")
    return stock("papermill", *engine, NOTEBOOK, out, *arguments, cwd=out.parent)


def convert(notebook: Path) -> Path:
    done = stock("nbconvert", "--to", "catalogkit-html", notebook.name, cwd=notebook.parent)
    assert done.returncode == 0, done.stderr
    return notebook.with_suffix(".html")


@pytest.fixture(scope="module")
def ran(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook under the engine, with one parameter."""
    out = tmp_path_factory.mktemp("stock") / "out.ipynb"
    done = papermill(out, "-p", "as_of", "2026-11-01T00:00Z")
    assert done.returncode == 0, done.stderr
    assert "without encryption" not in done.stderr
    return out


def test_nbconvert_makes_the_very_page(report_of: Callable[[str], ReportResult], tmp_path: Path) -> None:
    """Of a notebook that `catalogkit report` left, the exporter's page is byte for byte the report's."""
    made = report_of("verification_coverage")
    copy = tmp_path / made.ipynb.name
    copy.write_bytes(made.ipynb.read_bytes())
    assert convert(copy).read_text() == made.html.read_text()


def test_nbconvert_takes_a_notebook_of_anybody(tmp_path: Path) -> None:
    """A notebook that is none of ours, and was never run, becomes a page, too."""
    cells = [nbformat.v4.new_markdown_cell("# Mine"), nbformat.v4.new_code_cell("1 + 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "mine.ipynb")
    page = convert(tmp_path / "mine.ipynb").read_text()
    assert "<title>Mine</title>" in page and "Content-Security-Policy" in page


@pytest.mark.browser
def test_stock_nbconvert_shows_a_picture_of_every_figure(
    report_of: Callable[[str], ReportResult], new_page: Callable[..., Any], tmp_path: Path
) -> None:
    """Of what papermill left, stock nbconvert makes pages that show every figure where no JavaScript runs."""
    for name in list_reports():
        (tmp_path / f"{name}.ipynb").write_bytes(report_of(name).ipynb.read_bytes())
    done = stock("nbconvert", "--to", "html", "--no-input", *sorted(tmp_path.glob("*.ipynb")), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for notebook in tmp_path.glob("*.ipynb"):
        opened = new_page(java_script_enabled=False, viewport={"width": 1280, "height": 900})
        opened.open(notebook.with_suffix(".html"), drawn=False)
        assert pictures_of(opened.page) == titles_of(notebook) != []


def test_the_engine_leaves_the_page_beside_the_notebook(ran: Path) -> None:
    """The page has every chart and its origin; the exporter makes the same page of the notebook."""
    page = ran.with_suffix(".html").read_text()
    drawn = [
        output for cell in nbformat.read(ran, 4).cells for output in cell.get("outputs", ())
        if PLOTLY_MIME in output.get("data", {})
    ]  # fmt: skip
    assert drawn and page.count('type="application/json" id="chart-') == len(drawn)
    assert "2026-11-01T00:00Z" in page
    assert len(page.encode()) < 1_000_000
    assert convert(ran).read_text() == page


def test_the_pages_of_both_ways_say_the_same(ran: Path, report_of: Callable[[str], ReportResult]) -> None:
    """Engine and `catalogkit report` show the same cards, tables and figures for the same moment."""
    ours = report_of("verification_coverage")
    assert shown(ran) == shown(ours.ipynb)


def shown(path: Path) -> list[Any]:
    """What the cells show, without identities and times of a run."""
    plain = [
        output.get("data", {}).get("text/plain")
        for cell in nbformat.read(path, 4).cells
        for output in cell.get("outputs", ())
    ]
    return [re.sub(r"\d\d:\d\d(:\d\d)?", "", text) for text in plain if text]


def test_the_engine_refuses_wrong_parameters(tmp_path: Path) -> None:
    """Before a kernel starts: exit code 1, the reason last, and nothing is written."""
    done = papermill(tmp_path / "out.ipynb", "-p", "promise_days", "x")
    assert done.returncode == 1
    assert "InvalidInput" in done.stderr.splitlines()[-1] and "takes int" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_the_engine_keeps_what_failed(surroundings: None, tmp_path: Path) -> None:
    """A cell that fails ends papermill with 1; notebook and page show the error."""
    done = papermill(tmp_path / "out.ipynb", "-p", "collection", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "NotACollection" in (tmp_path / "out.html").read_text()
    assert "NotACollection" in json.dumps(nbformat.read(tmp_path / "out.ipynb", 4))
