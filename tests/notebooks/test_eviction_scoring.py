"""The ranking by size and age as a report: it says what it is, and plans nothing."""

from __future__ import annotations

from collections.abc import Callable

from catalogkit.reports import ReportResult
from tests.notebooks.conftest import complaints, figures


def test_without_a_log_it_says_so(report_of: Callable[[str], ReportResult]) -> None:
    """On the demo there is no log: size and age, no chance of reuse, a plan of what lies elsewhere, nothing applied."""
    made = report_of("eviction_scoring")
    assert complaints(made) == []
    told = figures(made)
    assert told["method"] == "size x age" and told["may_go"] > 100 and told["units"] > 0
    page = made.html.read_text()
    assert "Ranked by size × age only" in page and "Expected back" in page and "not known" in page
    assert "catalogkit approve" in page and "Nothing was evicted yet" in page
    assert "No plan of evictions was applied yet" in page
