"""An audit's figures: they add up, and there is one for nothing, too."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from catalogkit import audit_charts
from catalogkit.audit import AuditReport
from catalogkit.audit_codes import GROUPS, Code
from catalogkit.audit_sample import Sampling
from catalogkit.display import Chart, Table


def report_of(*codes: Code) -> AuditReport:
    report = AuditReport(datetime(2026, 5, 1, tzinfo=UTC))
    for code in codes:
        report.add(code, "document 1", "" if code.startswith("A4") else "/a/<b>$x$", "because <i>")
    return report


SOME = (Code.MISSING_FILE, Code.MISSING_FILE, Code.ORPHAN_FILE, Code.FOREIGN_FILE, Code.HOLD_TO_NOTHING)


@pytest.mark.parametrize("codes", [(), SOME, tuple(Code)])
def test_groups_add_up(codes: tuple[Code, ...]) -> None:
    """Every group has a row; its kinds are all that are looked for; its findings are all that were found."""
    report = report_of(*codes)
    frame = audit_charts.groups(report)
    assert frame.height == len(GROUPS)
    kinds = frame.select(pl.sum_horizontal(pl.col("^kinds_.*$"))).to_series()
    assert kinds.sum() == len(Code)
    assert frame["findings"].sum() == report.counts.total() == len(codes)
    drawn = audit_charts.by_group(report)
    assert sum(sum(trace.x) for trace in drawn.data if trace.type == "bar") == len(Code)


def test_kinds_come_worst_first() -> None:
    """Errors before warnings before infos, each with what it is and what to do."""
    frame = audit_charts.codes(report_of(*SOME))
    assert frame["severity"].to_list() == ["error", "warning", "warning", "info"]
    assert frame["findings"].to_list() == [2, 1, 1, 1]
    assert frame.filter(code="A201")["what_to_do"].item() == Code.MISSING_FILE.todo
    assert audit_charts.codes(report_of()).schema == frame.schema


def test_the_listing_says_where() -> None:
    """A finding without a path is told by what it is about."""
    frame = audit_charts.listing(report_of(*SOME))
    assert frame.columns == ["severity", "code", "where", "detail"]
    assert frame.filter(code="A404")["where"].to_list() == ["document 1"]
    assert frame.filter(code="A102")["where"].to_list() == ["/a/<b>$x$"]


@pytest.mark.parametrize("codes", [(), SOME, tuple(Code) * 2])
def test_every_figure_can_be_shown(codes: tuple[Code, ...]) -> None:
    """A chart of nothing says so; a long list names how many kinds it leaves out."""
    report = report_of(*codes)
    for figure, table in (
        (audit_charts.by_group(report), audit_charts.groups(report)),
        (audit_charts.by_code(report), audit_charts.codes(report)),
    ):
        assert Chart(figure, "title", "caption", table)._repr_mimebundle_()
    if len(codes) > 15:
        assert "more kinds" in audit_charts.by_code(report).layout.xaxis.title.text


@pytest.mark.parametrize("copies, read", [(0, 0), (10, 0), (10, 10), (10, 1), (10**6, 10**5)])
def test_odds(copies: int, read: int) -> None:
    """Chances never fall with more bad copies; where there is no chance about it, the figure says so."""
    sampling = Sampling(copies, read)
    chances = audit_charts.chances(sampling)["share_met"].to_list()
    assert chances == sorted(chances) and all(0 < chance <= 1 for chance in chances)
    figure = audit_charts.odds(sampling)
    assert bool(figure.data) == (0 < read < copies)


def test_a_whole_table_clips_nothing() -> None:
    """Paths are shown in full, in HTML and in text; other tables shorten them."""
    path = "/a" * 200
    frame = pl.DataFrame({"where": [path]})
    whole, short = Table(frame, whole=True), Table(frame)
    assert path in str(whole) and path in whole._repr_mimebundle_()["text/html"]
    assert path not in str(short) and path not in short._repr_mimebundle_()["text/html"]
