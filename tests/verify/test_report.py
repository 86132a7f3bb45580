"""What a report says: to a person, to a program, while the run goes on."""

from __future__ import annotations

import html
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from catalogkit.model import Digest, Outcome
from catalogkit.reprs import facts
from catalogkit.verify import KEPT_FINDINGS, Finding, VerifyReport, verify
from catalogkit.workers import Inline

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection
    from catalogkit.progress import Progress
    from tests.conftest import Clock

HOSTILE = "<img src=x onerror=alert(1)>\"'&\x1b[31m\u202e\n<script>"


@pytest.fixture
def bad(make_collection: Callable[..., Collection], stock: Callable[..., Collection]) -> Collection:
    """Six documents; the copies of the last two are gone."""
    collection = stock(make_collection("cas"), 6)
    for record in collection.catalog.find()[-2:]:
        Path(collection.location(record)).unlink()
    return collection


def test_a_report_is_plain_data(bad: Collection, clock: Clock) -> None:
    """`to_dict` survives JSON and says everything: counts, what was left out and why, findings, coverage."""
    verify(bad, [1])
    clock.advance(days=1)
    report = verify(bad, max_age=timedelta(days=7))
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain == report.to_dict()
    assert plain["ok"] + plain["missing"] == plain["checked"] == 5
    assert plain["unchecked"] == {"checked lately enough": 1}
    assert {finding["outcome"] for finding in plain["findings"]} == {"missing"}
    assert plain["coverage"]["oldest_check"].startswith("2026-03-01T12:00:00")


def test_findings_as_a_frame(bad: Collection, make_collection: Callable[..., Collection]) -> None:
    """Findings come as a frame, whose schema is the same where there are none."""
    found = verify(bad).frame()
    assert found["outcome"].to_list() == ["missing", "missing"]
    assert found["place"].to_list() == sorted(found["place"])
    none = verify(make_collection("cas", name="empty")).frame()
    assert none.height == 0 and none.schema == found.schema
    assert found.schema["location_id"] == pl.Int64


def test_coverage_is_that_after_the_run(bad: Collection) -> None:
    """The report's coverage includes the run itself; what is missing is not covered by anything."""
    coverage = verify(bad).coverage
    assert coverage is not None
    assert (coverage.share, coverage.bad, coverage.never_checked) == (1.0, 2, 0)


def test_findings_are_not_kept_without_end() -> None:
    """However many copies are bad, a report keeps so many by name and counts them all."""
    report = VerifyReport()
    for number in range(KEPT_FINDINGS + 5):
        report.add(Outcome.MISSING, 0)
        report.keep(number, Digest(bytes(32)), "place", Outcome.MISSING, "nothing lies there")
    assert report.missing == KEPT_FINDINGS + 5
    assert len(report.findings) == KEPT_FINDINGS


def test_progress_never_goes_back(bad: Collection) -> None:
    """Progress counts up to the whole that was announced, and tells of troubles."""
    seen: list[Progress] = []
    report = verify(bad, executor=Inline(), progress=seen.append)
    assert [step.done for step in seen] == sorted(step.done for step in seen)
    assert [step.bytes for step in seen] == sorted(step.bytes for step in seen)
    assert {(step.verb, step.total, step.total_bytes) for step in seen} == {("verify", 6, 6 * len(b"document 0"))}
    assert (seen[-1].done, seen[-1].troubles) == (6, 2) == (report.checked, report.missing)


def test_progress_of_some_documents(bad: Collection) -> None:
    """A run over some documents announces their copies as its whole."""
    seen: list[Progress] = []
    verify(bad, [1, 2], progress=seen.append)
    assert {step.total for step in seen} == {2}


# -- how it looks ----------------------------------------------------------------------------------------------------


def hostile_report() -> VerifyReport:
    report = VerifyReport("run", ok=1234567, unknown=1, seconds=1.5)
    report.unchecked[HOSTILE] = 3
    report.findings.append(Finding(1, "00", HOSTILE, "unknown", HOSTILE))
    report.findings.append(Finding(2, "00", "/a_b/c_d", "missing", "nothing lies there"))
    return report


def test_hostile_names_are_only_text() -> None:
    """Names and details with markup or control characters are shown, not obeyed, in a notebook and a terminal."""
    bundle = hostile_report()._repr_mimebundle_()
    page, text = bundle["text/html"], bundle["text/plain"]
    assert set(re.findall(r"<(\w+)", page)) == {"table", "caption", "b", "tr", "th", "td"}
    assert "<img src=x onerror=alert(1)>" in html.unescape(page)
    for character in "\x1b\u202e":
        assert character not in text and character not in page
    assert len(text.splitlines()) == len(re.findall("<tr>", page)) + 1


def test_a_report_reads_well() -> None:
    """Numbers have separators, names of counts are words, paths stay as they are."""
    text = hostile_report()._repr_mimebundle_()["text/plain"]
    assert re.search(r"^  ok +1,234,567$", text, re.MULTILINE)
    assert re.search(r"^  /a_b/c_d +nothing lies there$", text, re.MULTILINE)
    shown = facts("Title", {"new_blobs": 1, "share": 0.5, "fine": True, "none": None})["text/plain"]
    assert [line.split() for line in shown.splitlines()] == [
        ["Title"], ["new", "blobs", "1"], ["share", "0.500"], ["fine", "yes"], ["none", "none"],
    ]  # fmt: skip


def test_a_report_of_nothing_can_be_shown() -> None:
    """A fresh report, and a title without facts, have their two forms as well."""
    assert set(VerifyReport()._repr_mimebundle_()) == {"text/plain", "text/html"}
    assert facts("Title", {})["text/plain"] == "Title"
