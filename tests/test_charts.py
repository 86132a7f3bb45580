"""Figures: what is drawn is what the frames say, also where there is nothing, one row, or a hostile name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go
import polars as pl
import pytest

from catalogkit import arrivals, charts, stats
from catalogkit.coverage import coverage
from catalogkit.display import TRACES
from catalogkit.model import schema

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "</script><img src=x onerror=alert(1)>"


def frames(contents: list[tuple[str, int, int, int]], *, resolver: str = "core") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Documents and locations; a content is a letter, its bytes, its documents, its objects in one store."""
    documents: list[dict[str, Any]] = []
    locations: list[dict[str, Any]] = []
    for letter, size, needed, stored in contents:
        for _ in range(needed):
            number = len(documents) + 1
            arrived = AS_OF - timedelta(days=10 * number)
            documents.append(
                {"id": number, "artifact_id": f"{letter}-{number}", "resolver": resolver, "media_type": "text/html",
                 "sha256": letter * 64, "bytes": size, "created_at": arrived}
            )  # fmt: skip
        for _ in range(stored):
            number = len(locations) + 1
            locations.append({"id": number, "store": "main", "sha256": letter * 64, "bytes": size, "inode": number})
    return pl.DataFrame(documents, schema=schema("documents")), pl.DataFrame(locations, schema=schema("locations"))


def every_chart(documents: pl.DataFrame, locations: pl.DataFrame) -> dict[str, go.Figure]:
    groups = stats.dedup_groups(documents, locations)
    return {
        "where": charts.where_bytes(stats.dedup_totals(documents, locations)),
        "groups": charts.duplicate_groups(groups),
        "curve": charts.savings_curve(stats.savings_curve(groups)),
        "resolver": charts.by_column(stats.dedup_by(documents, locations, "resolver"), "resolver"),
        "growth": charts.growth(arrivals.growth(documents, "1w")),
        "size_age": charts.size_age(arrivals.size_age(documents, AS_OF)),
        "coverage": charts.coverage(coverage(locations, AS_OF)),
    }


SOME = [("a", 1000, 4, 3), ("b", 50, 2, 1), ("c", 7, 1, 1), ("d", 20, 0, 1), ("e", 5, 1, 0)]


@pytest.mark.parametrize("contents", [[], [("a", 0, 1, 1)], [("a", 1, 1, 1)], [("a", 5, 2, 2)], SOME])
def test_every_chart_can_be_drawn_and_names_its_units(contents: list[tuple[str, int, int, int]]) -> None:
    for name, figure in every_chart(*frames(contents)).items():
        drawn = json.loads(figure.to_json())
        assert {trace["type"] for trace in drawn["data"]} <= TRACES, name
        if not drawn["data"]:
            assert drawn["layout"]["annotations"][0]["text"], name
            continue
        axes = [axis for key, axis in drawn["layout"].items() if key.startswith("xaxis")]
        assert all(axis["title"]["text"] for axis in axes), name
        assert len(json.dumps(drawn)) < 20_000, name


def test_nothing_to_show_says_why() -> None:
    for figure in every_chart(*frames([])).values():
        assert not figure.data
        assert len(figure.layout.annotations[0].text) > 15


def test_the_steps_from_logical_to_physical_add_up() -> None:
    totals = stats.dedup_totals(*frames(SOME))
    steps = dict(charts.byte_steps(totals).select("step", "bytes").iter_rows())
    running = list(accumulate(size for step, size in steps.items() if step not in {"unique", "physical"}))
    assert running[1] == steps["unique"]
    assert running[-1] == steps["physical"] == 3 * 1000 + 50 + 7 + 20

    bars = charts.where_bytes(totals).data[0]
    ends = dict(zip(bars.y, zip(bars.base, bars.x, strict=True), strict=True))
    assert ends["logical"] == (0, steps["logical"])
    assert ends["repeats"] == (steps["unique"], steps["logical"] - steps["unique"])
    assert ends["absent"] == (steps["unique"] - 5, 5)
    assert ends["unreferenced"] == (steps["physical"] - 20, 20)
    assert ends["physical"] == (0, steps["physical"])


def test_groups_come_by_what_they_cost_and_the_rest_is_named() -> None:
    groups = stats.dedup_groups(*frames([("a", 10, 2, 2), ("b", 90, 3, 1), ("c", 40, 2, 1)]))
    figure = charts.duplicate_groups(groups, top=2)
    reclaimable, saved, labels = figure.data
    assert (list(reclaimable.x), list(saved.x)) == ([0, 0], [180, 40])
    assert [text.strip() for text in labels.text] == ["180 B", "40 B"]
    assert list(figure.layout.yaxis.ticktext) == ["b-3 · bbbbbbbb", "c-6 · cccccccc"]
    assert "(not shown: 1 more with 10 B)" in figure.layout.xaxis.title.text


def test_parts_by_column_add_up_and_the_tail_is_folded() -> None:
    rows = [(f"r{i}", i, 10 * i, 0, 10 * i, i, 9 * i) for i in range(1, 31)]
    names = [
        "resolver",
        "documents",
        "logical_bytes",
        "duplicate_bytes",
        "saved_bytes",
        "reclaimable_bytes",
        "stored_bytes",
    ]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    figure = charts.by_column(frame, "resolver", top=5)
    kept, spare, saved, _ = figure.data
    assert figure.layout.yaxis.ticktext[-1] == "25 others"
    assert sum(kept.x) + sum(spare.x) == frame["stored_bytes"].sum()
    assert sum(saved.x) == frame["saved_bytes"].sum()


def test_a_name_that_looks_like_a_number_or_is_missing_stays_a_name() -> None:
    for resolver, label in (("123", "123"), ("", "(none)")):
        frame = stats.dedup_by(*frames([("a", 10, 1, 1)], resolver=resolver), "resolver")
        assert charts.by_column(frame, "resolver").layout.yaxis.ticktext == (label,)


def test_the_curve_ends_in_the_whole_and_marks_four_fifths() -> None:
    groups = stats.dedup_groups(*frames([("a", 900, 2, 1), ("b", 50, 2, 2), ("c", 50, 2, 1)]))
    figure = charts.savings_curve(stats.savings_curve(groups))
    saved, spare, mark = figure.data
    assert (saved.y[-1], spare.y[-1]) == (950, 50)
    assert mark.x == (1, 1)
    assert "the first 1 of 3 make up 80 %" in figure.layout.xaxis.title.text


def test_a_long_tail_gets_a_logarithmic_axis() -> None:
    frame = pl.DataFrame({"rank": [1, 500], "saved_bytes": [1, 2], "reclaimable_bytes": [0, 0]})
    assert charts.savings_curve(frame).layout.xaxis.type == "log"


def test_growth_stacks_new_content_and_repeats() -> None:
    growth = arrivals.growth(frames([("a", 100, 2, 1), ("b", 10, 1, 1)])[0], "1d")
    unique, logical, fresh, repeats = charts.growth(growth).data
    assert (unique.y[-1], logical.y[-1]) == (110, 210)
    assert (sum(fresh.y), sum(repeats.y)) == (110, 100)


def test_an_empty_combination_of_size_and_age_stays_empty() -> None:
    heat = charts.size_age(arrivals.size_age(frames([("a", 100, 1, 1)])[0], AS_OF)).data[0]
    values = [value for row in heat.z for value in row]
    assert [value for value in values if value is not None] == [100]


def test_the_last_four_shares_of_coverage_are_the_whole() -> None:
    locations = frames([("a", 12_314_670, 1, 1), ("b", 300, 1, 1)])[1]
    checked = locations.with_columns(
        checked_at=pl.Series([AS_OF - timedelta(days=3), None], dtype=locations.schema["checked_at"]),
        outcome=pl.Series(["ok", None]),
    )
    windows = charts.coverage_windows(coverage(checked, AS_OF, (1, 7)))
    assert windows["bytes"].to_list() == [0, 12_314_670, 12_314_670, 0, 0, 300]
    assert windows["share_of_bytes"].tail(4).sum() == 1.0
    assert charts.coverage_windows(coverage(locations, AS_OF))["share_of_bytes"][-1] == 1.0
    assert charts.coverage_windows(coverage(checked.clear(), AS_OF))["share_of_bytes"].null_count() == 9


def test_a_hostile_name_is_shown_as_text() -> None:
    documents, locations = frames([("a", 10, 2, 2), ("b", 10, 2, 1)], resolver=HOSTILE)
    documents = documents.with_columns(artifact_id=pl.lit(HOSTILE), media_type=pl.lit(HOSTILE))
    for figure in every_chart(documents, locations).values():
        assert "<img" not in figure.to_json()
        assert "</script" not in figure.to_json()


def test_a_long_name_is_shortened_in_its_middle() -> None:
    documents, locations = frames([("a", 10, 2, 1)])
    documents = documents.with_columns(artifact_id=pl.lit("doi:10.5555/" + "x" * 200 + "-v2"))
    label = charts.duplicate_groups(stats.dedup_groups(documents, locations)).layout.yaxis.ticktext[0]
    assert label.startswith("doi:10.5555/")
    assert "-v2 · aaaaaaaa" in label
    assert len(label) < 40
