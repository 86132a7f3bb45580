"""The audit notebook as a report: on the demo it is clean and complete; on a broken collection it says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalogkit.audit_codes import Code
from catalogkit.collection import open_collection
from catalogkit.demo import demo_collection
from catalogkit.display import PLOTLY_MIME
from catalogkit.reports import ReportResult, run_report
from tests.audit.faults import overwrite
from tests.notebooks.conftest import AS_OF, figures, outputs
from tests.plans.scene import stray


@pytest.fixture(scope="module")
def clean(report_of: Callable[[str], ReportResult]) -> ReportResult:
    """The notebook with no parameters: on the demo."""
    return report_of("audit_report")


@pytest.fixture(scope="module")
def broken(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> ReportResult:
    """A copy of the demo's collection with three faults, audited with a sample of all."""
    folder = tmp_path_factory.mktemp("broken")
    with demo_collection() as demo:
        shutil.copytree(demo.path, folder / "collection", symlinks=True)
    with open_collection(folder / "collection", clock=lambda: AS_OF) as opened:
        keys = opened.frame("locations").filter(store="main")["key"].to_list()
        Path(opened.store.path(keys[0])).unlink()
        rotten = Path(opened.store.path(keys[1]))
        overwrite(rotten, bytes(rotten.stat().st_size))
        stray(opened, b"an orphan", key="docs/" + "a-long-name-of-a-folder/" * 5 + "b.pdf")
    given = {"dry_run": False, "sample": 1.0}
    return run_report("audit_report", given, folder / "reports", collection=str(folder / "collection"), as_of=AS_OF)


def test_the_demo_is_clean(clean: ReportResult) -> None:
    """Nothing is found, all was seen, and a dry run read nothing: the ledger is as it was."""
    said = figures(clean)
    assert (said["errors"], said["warnings"], said["infos"], said["unseen"]) == (0, 0, 0, 0)
    assert said["complete"] and said["copies"] > 100 and said["copies_read"] == 0
    page = clean.html.read_text()
    assert "no fault was found" in page and "looked everywhere" in page
    assert len(page.encode()) < 750_000
    assert not [one for one in outputs(clean.ipynb) if one.output_type == "error" or one.get("name") == "stderr"]


def test_the_broken_one_says_what_to_do(broken: ReportResult) -> None:
    """Each fault is listed with its place in full, its kind with what to do; what was read is counted."""
    said, page = figures(broken), broken.html.read_text()
    assert (said["errors"], said["warnings"]) == (2, 1)
    assert said["copies_read"] == said["copies"]
    for code in (Code.MISSING_FILE, Code.WRONG_CONTENT, Code.ORPHAN_FILE):
        assert code.value in page and code.what in page
    assert "docs/" + "a-long-name-of-a-folder/" * 5 + "b.pdf" in page
    assert len(page.encode()) < 1_000_000
    folder = broken.html.parents[2] / "collection"
    with open_collection(folder) as opened:
        outcomes = opened.frame("locations")["outcome"].to_list()
    assert (outcomes.count("missing"), outcomes.count("corrupt")) == (1, 1)


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_drawn_offline(new_page: Callable[..., Any], broken: ReportResult, width: int) -> None:
    """The page is one file that asks for nothing, complains of nothing, and is no wider than the screen."""
    opened = new_page(viewport={"width": width, "height": 900}, is_mobile=width < 500)
    opened.open(broken.html)
    assert opened.requests == [broken.html.as_uri()] and opened.complaints == []
    drawn = [one for one in outputs(broken.ipynb) if PLOTLY_MIME in one.get("data", {})]
    assert len(opened.types()) == len(drawn) == 3
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
