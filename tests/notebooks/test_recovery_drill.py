"""The drill as a report: on the demo it brings a backup back and shows it; the demo itself is not touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.backups import repository
from catalogkit.backups.making import backup_catalog
from catalogkit.backups.target import Folder
from catalogkit.collection import open_collection
from catalogkit.demo import demo_collection
from catalogkit.reports import ReportResult, run_report
from tests.notebooks.conftest import AS_OF, figures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def shown(report_of: Callable[[str], ReportResult]) -> ReportResult:
    """The notebook with no parameters: on the demo."""
    return report_of("recovery_drill")


def test_the_report_tells_of_a_drill(shown: ReportResult) -> None:
    """The newest of five backups comes back whole, and what would change is shown."""
    told = figures(shown)
    assert told["ok"] is True and told["backups"] == 5
    assert told["sampled"] == told["sample_ok"] == 100
    page = shown.html.read_text()
    for words in ("the backup come back", "never tried", "proved by a drill", "if this backup came back"):
        assert words.lower() in page.lower(), words
    assert len(page.encode()) < 1_000_000


def test_the_demo_is_not_touched(shown: ReportResult) -> None:
    """Nothing of those backups is known to the demo's own catalog."""
    with demo_collection() as demo:
        assert demo.catalog.moments("backup", as_of=None) == []


@pytest.mark.browser
def test_the_page_draws_and_asks_for_nothing(shown: ReportResult, new_page: Callable[..., Any]) -> None:
    """Three charts, no request, no complaint."""
    page = new_page()
    page.open(shown.html)
    assert page.types() == [["bar", "bar"], ["bar", "bar", "scatter"], ["bar"]]
    assert page.complaints == [] and [url for url in page.requests if not url.startswith("file:")] == []


def test_a_collection_of_ones_own(surroundings: None, tmp_path: Path) -> None:
    """With a collection and its settings it drills the backups these name, and leaves the proof beside the newest."""
    import shutil

    with demo_collection() as demo:
        shutil.copytree(demo.path, tmp_path / "own", symlinks=True)
    with open_collection(tmp_path / "own") as own:
        made = backup_catalog(tmp_path / "backups", collection=own, as_of=AS_OF)
    with (tmp_path / "own" / "catalogkit.toml").open("a") as settings:
        settings.write('[backup]\ndestination = "../backups"\n')
    run_report("recovery_drill", {"sample": 7}, tmp_path / "reports", collection=str(tmp_path / "own"), as_of=AS_OF)
    proof = repository.read_proof(Folder(tmp_path / "backups"), made.name)
    assert proof is not None and proof.ok and proof.facts["sampled"] == 7
