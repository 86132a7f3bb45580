"""The ranking by size and age as a report: it says what it is, and plans nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import nbformat

from catalogkit.reports import ReportResult


def figures(report: ReportResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.json.read_text())["figures"]
    return found


def complaints(report: ReportResult) -> list[Any]:
    outputs = [output for cell in nbformat.read(report.ipynb, 4).cells for output in cell.get("outputs", ())]
    return [one for one in outputs if one.output_type in ("error", "stream")]


def test_the_ranking_says_what_it_is(report_of: Callable[[str], ReportResult]) -> None:
    """The label stands on the page, no chance of reuse does, and nothing is planned or approved."""
    made = report_of("eviction_scoring")
    assert complaints(made) == []
    assert figures(made)["method"] == "size x age" and figures(made)["ranked"] > 100
    page = made.html.read_text()
    assert "Ranked by size × age only" in page and "P(reuse)" not in page and "catalogkit approve" not in page
