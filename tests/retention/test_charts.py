"""The pictures draw the numbers that stand beside them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from catalogkit import retention_charts as charts
from catalogkit.display import TRACES, Chart
from catalogkit.model import Digest, schema
from catalogkit.policies.backtest import backtest
from catalogkit.policies.deciding import decisions, freed_by_days, freed_bytes
from catalogkit.policies.retention import RetentionPolicy
from tests.retention.frames import DAY, NOW, copies, documents, record, sha

POLICY = RetentionPolicy(90, {"image/png": 400})


def decided(*ages: int, policy: RetentionPolicy = POLICY, **more: Any) -> pl.DataFrame:
    records = [record(n, seen_at=NOW - age * DAY, bytes=1000 * (n + 1), **more) for n, age in enumerate(ages)]
    return decisions(documents(*records), policy, as_of=NOW, copies=copies(*records))


def trace(figure: Any, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = figure.to_dict()["data"][number]
    return found


def test_decisions_by_reason() -> None:
    """A bar for each reason that occurs, keeping first."""
    frame = decided(5, 100, 200)
    assert charts.reasons(frame).select("decision", "reason", "documents").rows() == [
        ("keep", "young", 1),
        ("forget", "due-age", 2),
    ]
    bars = trace(charts.by_reason(charts.reasons(frame)))
    assert (bars["y"], bars["x"]) == (["keep: young", "forget: due-age"], [1, 2])


def test_age_and_size() -> None:
    """Every document is in one class, with what is forgotten of it; an unknown age is the youngest."""
    frame = decided(-5, 29, 30, 91, 400, 800)
    classes = charts.age_size_classes(frame)
    assert classes.height == 30
    assert classes.select(pl.col("documents", "to_forget", "logical_bytes").sum()).row(0) == (6, 3, 21_000)
    small = dict(classes.filter(pl.col("size") == "< 10 kB").select("last_seen", "documents").rows())
    assert small == {"< 30 d": 2, "30 – 90 d": 1, "90 – 180 d": 1, "180 d – 1 y": 0, "1 – 2 y": 1, "≥ 2 y": 1}
    cells = trace(charts.age_size(classes))
    assert cells["z"][0] == [0, 0, 1, None, 1, 1]
    assert cells["text"][0][:4] == ["0 of 2", "0 of 1", "1 of 1", ""]


def test_the_slider_says_what_deciding_again_says() -> None:
    """Each stop of the slider has the numbers of a policy with that many days; it stands at the one in force."""
    frame = decided(5, 33, 100, 200, 400)
    figure = charts.freed_by_days(charts.curve(frame, 90), 90).to_dict()
    (slider,) = figure["layout"]["sliders"]
    stops = {step["label"]: step["args"] for step in slider["steps"]}
    assert slider["steps"][slider["active"]]["label"] == "90"
    assert {"7", "30", "90", "365", "450"} <= set(stops)
    for label, (marker, about, traces) in stops.items():
        again = decided(5, 33, 100, 200, 400, policy=replace(POLICY, age_days=int(label)))
        assert (marker["x"], marker["y"]) == ([[int(label)]], [[freed_bytes(again)]])
        assert f"{(~again['keep']).sum()} documents" in about["annotations[0].text"]
        assert traces == [1]
    line = figure["data"][0]
    assert dict(zip(line["x"], line["y"], strict=True)) == dict(
        freed_by_days(frame, line["x"]).select("days", "freed_bytes").rows()
    )


@pytest.mark.parametrize("oldest,tried", [(0, [7, 90]), (8, [7, 14, 90]), (9999, [*charts._DAYS])])
def test_days_worth_trying(oldest: int, tried: list[int]) -> None:
    """Round values up to the oldest document, and one beyond; always the one in force."""
    assert charts.days_to_try(decided(oldest), 90) == tried


def tried(*ages: int) -> Any:
    rows = [
        dict.fromkeys(schema("document_versions"))
        | {"document_id": n, "tenant": "t", "artifact_id": str(n), "source_url": "u", "resolver": "", "variant": ""}
        | {"sha256": str(Digest.parse(sha(str(n)))), "bytes": 10, "media_type": "text/html", "content_type": ""}
        | {"operation": "current", "valid_from": NOW - age * DAY, "seen_at": NOW - (1 if age > 50 else age) * DAY}
        for n, age in enumerate(ages)
    ]  # fmt: skip
    versions = pl.DataFrame(rows, schema=schema("document_versions"), orient="row").with_columns(stored_bytes="bytes")
    log = pl.DataFrame(schema=schema("accesses"))
    times: dict[str, Any] = {"since": NOW - 60 * DAY, "until": NOW, "step": timedelta(days=1), "as_of": NOW}
    return backtest(versions, log, RetentionPolicy(20), **times)


def test_the_back_test_draws_its_steps() -> None:
    """The line is what is saved; marks only where something was forgotten, or asked for again."""
    report = tried(55, 30)
    figure = charts.backtest(report)
    assert trace(figure)["y"] == report.steps["saved_bytes"].to_list()
    assert trace(figure, 1)["y"] == [1, 1]
    assert (trace(figure, 2)["x"], trace(figure, 2)["y"]) == ([NOW - DAY], [1])
    cards = {label: value for label, value, _ in charts.cards(report)}
    assert cards == {
        "Forgotten": "2", "Saved on average": "7 B", "Saved at the end": "10 B", "Asked for again": "1",
        "Requests for them": "1", "To be stored again": "10 B",
    }  # fmt: skip
    assert "not known whether" in charts.cards(report)[0][2]


def drawn(frame: pl.DataFrame, report: Any) -> list[Any]:
    return [
        charts.by_reason(charts.reasons(frame)),
        charts.age_size(charts.age_size_classes(frame)),
        charts.freed_by_days(charts.curve(frame, 90), 90),
        charts.backtest(report),
    ]


def test_nothing_to_draw_is_said() -> None:
    """No documents, nothing forgotten: a sentence, not an empty frame; and every trace is one that reports can draw."""
    for figure in drawn(decided(), tried()):
        assert len(figure.data) == 0 and figure.layout.annotations
    for figure in drawn(decided(5, 100), tried(40)):
        assert {one.type for one in figure.data} <= TRACES
        Chart(figure, "title", "caption", pl.DataFrame())
