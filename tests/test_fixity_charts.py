"""Fixity as pictures: they draw what the figures say, and say why where there is nothing to draw."""

from __future__ import annotations

from datetime import date

import polars as pl

from catalogkit import fixity, fixity_charts
from tests.test_fixity import AS_OF, locs, ok

FRAME = locs(ok(1), ok(40), {"bytes": 50}, ok(2, outcome="corrupt", store="far"))


def test_the_clock_is_drawn_to_its_end_and_names_the_promise() -> None:
    """The line goes on after the last check, and the share that keeps the promise stands at the dotted line."""
    figure = fixity_charts.clock(fixity.clock(FRAME, AS_OF), 30)
    line, promise = figure.data
    assert line.x[0] == 0 and line.x[-1] > 40 and line.y[-1] == line.y[-2]
    assert list(promise.x) == [30, 30]
    assert figure.layout.annotations[0].text.startswith("<b>28.6 %</b>")


def test_classes_are_stacked_and_only_those_that_occur() -> None:
    """A store is a bar, a class that nothing is in has no colour."""
    figure = fixity_charts.by_class(fixity.classes_by(FRAME, "store", AS_OF), "store")
    names = [trace.name for trace in figure.data if trace.name]
    assert names == ["ok, up to 7 d", "ok, up to 90 d", "corrupt", "never checked"]
    assert sum(sum(trace.x) for trace in figure.data if trace.name) == 350


def test_days_without_checks_have_room() -> None:
    """The axis goes from the first day to the day of the report."""
    rows = [(date(2026, 5, 1), "ok", 3, 300), (date(2026, 5, 3), "missing", 1, 0)]
    figure = fixity_charts.days(pl.DataFrame(rows, schema=fixity.DAYS, orient="row"), AS_OF)
    assert [trace.name for trace in figure.data] == ["ok", "missing"]
    assert [str(end)[:10] for end in figure.layout.xaxis.range] == ["2026-04-30", "2026-06-01"]


def test_nothing_to_draw_is_said() -> None:
    """An empty store, a store nobody has verified, an empty ledger: each has its sentence."""
    assert "No store holds" in fixity_charts.clock(fixity.clock(locs(), AS_OF)).layout.annotations[0].text
    unread = fixity_charts.clock(fixity.clock(locs({}), AS_OF))
    assert "Nothing was verified" in unread.layout.annotations[0].text
    assert fixity_charts.by_class(fixity.classes_by(locs(), "store", AS_OF), "store").layout.annotations
    assert fixity_charts.days(pl.DataFrame(schema=fixity.DAYS), AS_OF).layout.annotations
