"""The report as data, and the arithmetic of samples."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import combinations
from math import comb, nan

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.audit import (
    KEPT,
    AuditReport,
    Copy,
    DataIssue,
    HashMismatch,
    Look,
    MissingFile,
    OrphanFile,
    compare,
    drift,
    finding,
)
from catalogkit.audit_codes import Code
from catalogkit.audit_sample import Sampling, sample_size
from catalogkit.errors import InvalidInput

WHEN = datetime(2026, 5, 1, tzinfo=UTC)
COPY = Copy(1, 1, "cas/x", b"\x01" * 32, 10, 5, 1_000_000_000, 0, 0, None, 0)
LOOK = Look("file", 10, 1_000_000_000, 0, 5, 1, False)


@pytest.mark.parametrize(
    "look, code",
    [
        (None, Code.MISSING_FILE),
        (LOOK._replace(kind="folder", bytes=4096), Code.WRONG_TYPE),
        (LOOK._replace(bytes=9, inode=6), Code.WRONG_SIZE),
        (LOOK._replace(inode=6, mtime_ns=5), None),
    ],
)
def test_the_worst_fault_stands_for_those_that_follow(look: Look | None, code: Code | None) -> None:
    """A folder has another size, too, and a missing file another everything: one fault, one code."""
    verdict = compare(COPY, look)
    assert (verdict and verdict[0]) == code


def test_drift_is_told_in_words() -> None:
    """Inode and time that changed are named, with what they were; unknown ones are no change."""
    assert drift(COPY, LOOK) == ""
    assert drift(COPY._replace(inode=None, mtime_ns=None), LOOK) == ""
    assert drift(COPY, LOOK._replace(inode=6)) == "inode 6 instead of 5"
    assert drift(COPY, LOOK._replace(mtime_ns=3_500_000_000)) == "modified 2.5 s later"
    assert drift(COPY, LOOK._replace(mtime_ns=0)) == "modified 1 s earlier"


@given(st.floats(0, 1), st.integers(0, 10_000))
def test_a_sample_is_never_rounded_down(rate: float, copies: int) -> None:
    """At least the rate, less than one copy more; something as soon as there is a rate; never more than all."""
    size = sample_size(rate, copies)
    assert rate * copies - 1e-5 <= size < rate * copies + 1 or size == 1
    assert size <= copies
    assert (size > 0) == (rate > 0 and copies > 0)


@pytest.mark.parametrize("rate, copies, size", [(0.1, 100, 10), (0.1, 101, 11), (0.1, 3, 1), (1, 7, 7), (1e-9, 5, 1)])
def test_sizes_of_samples(rate: float, copies: int, size: int) -> None:
    """A tenth of a hundred is ten, whatever binary fractions make of a tenth."""
    assert sample_size(rate, copies) == size


@pytest.mark.parametrize("rate", [-0.1, 1.1, 10, nan, "0.1", None, True])
def test_a_wrong_rate_is_refused(rate: object) -> None:
    """Anything but a number between 0 and 1 is told."""
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        sample_size(rate, 10)  # type: ignore[arg-type]


@given(st.integers(1, 8), st.data())
def test_the_odds_are_those_of_counting(copies: int, data: st.DataObject) -> None:
    """The chance to have met a bad copy is the share of all ways to place them that the sample meets."""
    read = data.draw(st.integers(0, copies))
    bad = data.draw(st.integers(0, copies))
    met = sum(any(place < read for place in places) for places in combinations(range(copies), bad))
    sampling = Sampling(copies, read)
    assert sampling.chance(bad) == pytest.approx(met / comb(copies, bad))
    assert sampling.chance(1) == pytest.approx(sampling.share)


def test_the_odds_at_the_edges() -> None:
    """Nothing stored, nothing read, everything read: no number is made up."""
    assert (Sampling(0, 0).chance(1), Sampling(0, 0).share, Sampling(0, 0).runs_until_all) == (None, None, 0)
    assert (Sampling(5, 0).chance(1), Sampling(5, 0).runs_until_all) == (0.0, None)
    assert (Sampling(5, 5).chance(1), Sampling(5, 5).runs_until_all) == (1.0, 1)
    assert (Sampling(11, 5).runs_until_all, Sampling(5, 5).chance(9)) == (3, None)
    assert Sampling(10**9, 10**8).chance(100) == pytest.approx(1 - 0.9**100)
    assert ">99.9 %" in Sampling(10**9, 10**8).in_words()
    json.dumps([Sampling(0, 0).to_dict(), Sampling(3, 1).to_dict()], allow_nan=False)


def test_findings_come_in_their_classes() -> None:
    """The class says what a finding is; severity and advice come from its code."""
    kinds = {
        Code.ORPHAN_FILE: OrphanFile,
        Code.FOREIGN_FILE: OrphanFile,
        Code.MISSING_FILE: MissingFile,
        Code.WRONG_SIZE: HashMismatch,
        Code.WRONG_REFS: DataIssue,
    }
    for code, kind in kinds.items():
        one = finding(code, "x", "/x", "because")
        assert type(one) is kind
        assert one.to_dict() == {
            "code": code.value,
            "severity": code.severity.value,
            "object": "x",
            "path": "/x",
            "detail": "because",
        }


@pytest.mark.parametrize("filled", [False, True])
def test_frames_have_a_schema(filled: bool) -> None:
    """An empty frame of findings has the columns and types of a full one; worst come first."""
    report = AuditReport(WHEN)
    if filled:
        report.add(Code.FOREIGN_FILE, "file", "/a", "x")
        report.add(Code.ORPHAN_FILE, "file", "/b", "x")
        report.add(Code.MISSING_FILE, "location 1", "/c", "x")
        report.miss("/d", "Permission denied")
    frame = report.frame()
    columns = ["code", "severity", "object", "path", "detail", "what", "todo"]
    assert dict(frame.schema) == dict.fromkeys(columns, pl.String())
    assert frame["code"].to_list() == (["A201", "A102", "A103"] if filled else [])
    assert dict(report.unseen_frame().schema) == dict.fromkeys(("what", "why"), pl.String())
    assert report.unseen_frame().height == (1 if filled else 0)


def test_what_is_not_kept_is_counted() -> None:
    """Beyond what is kept whole, every finding still counts, and the report says how many it left out."""
    report = AuditReport(WHEN)
    for number in range(KEPT + 5):
        report.add(Code.ORPHAN_FILE, "file", f"/{number}", "x")
    report.add(Code.MISSING_FILE, "location 1", "/c", "x")
    assert (len(report.findings), report.counts["A102"], report.counts["A201"]) == (KEPT, KEPT + 5, 1)
    values = report.to_dict()
    assert (values["left_out"], values["error"], values["warning"]) == (6, 1, KEPT + 5)


def test_what_makes_a_report_clean() -> None:
    """Infos leave it clean; warnings, and what was not seen, do not."""
    report = AuditReport(WHEN)
    report.add(Code.FOREIGN_FILE, "file", "/a", "x")
    assert report.clean and report.complete
    report.miss("/d", "Permission denied")
    assert not report.clean and not report.complete
    report = AuditReport(WHEN)
    report.add(Code.ORPHAN_FILE, "file", "/a", "x")
    assert not report.clean and report.complete


def test_the_repr_names_findings_and_what_was_not_seen() -> None:
    """In a notebook and a terminal the report shows its findings, with their paths in full."""
    report = AuditReport(WHEN)
    report.add(Code.MISSING_FILE, "location 1", "/" + "long/" * 60 + "x", "nothing lies there")
    report.miss("/d", "Permission denied")
    shown = report._repr_mimebundle_()
    for text in shown.values():
        assert "long/" * 60 in text and "Permission denied" in text
