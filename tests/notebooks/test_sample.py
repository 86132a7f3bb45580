"""The example run in the repository: small, whole, and what the notebook says today."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalogkit.reports import ReportResult

SAMPLE = Path(__file__).parents[2] / "reports" / "sample"
PAGE, FACTS = SAMPLE / "storage_overview.html", SAMPLE / "storage_overview.json"


def test_the_sample_is_small_and_nobodys() -> None:
    """Page and facts together are below a megabyte, and name no folder of whoever made them."""
    assert sorted(path.name for path in SAMPLE.iterdir()) == [PAGE.name, FACTS.name]
    assert PAGE.stat().st_size + FACTS.stat().st_size < 1_000_000
    for text in (PAGE.read_text(), FACTS.read_text()):
        assert not [word for word in ("/root/", "/home/", "/tmp/", "/work/") if word in text]


def test_the_sample_says_what_the_report_says_today(report_of: Callable[[str], ReportResult]) -> None:
    """Its figures are those of a run for the same moment, and every chart of that run is on its page."""
    today, sample = (json.loads(path.read_text()) for path in (report_of("storage_overview").json, FACTS))
    assert sample["figures"] == today["figures"], "run `make sample`"
    page, fresh = PAGE.read_text(), report_of("storage_overview").html.read_text()
    assert headings(page) == headings(fresh), "run `make sample`"


def headings(page: str) -> list[str]:
    return [part.partition("</h3>")[0] for part in page.split('<div class="ck-chart"><h3>')[1:]]


@pytest.mark.browser
def test_the_sample_opens_offline(new_page: Callable[..., Any]) -> None:
    """As anybody would open it from a checkout: nothing is asked for, nothing is complained of."""
    opened = new_page()
    opened.open(PAGE)
    assert opened.requests == [PAGE.as_uri()] and opened.complaints == []
    assert len(opened.types()) == len(headings(PAGE.read_text())) > 3
