"""Still pictures: what is drawn has the lengths and areas of the numbers, whatever the figure holds."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import plotly.graph_objects as go
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit import drawing
from catalogkit.pictures import picture
from catalogkit.pictures.fields import squarified
from catalogkit.pictures.scales import Scale
from catalogkit.pictures.words import lines_of, width_of
from catalogkit.ticks import round_step, round_steps

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</svg><script>alert(1)</script> & "x" <b>\''


def drawn(figure: go.Figure) -> ET.Element:
    """The picture of a figure, parsed: it is well-formed."""
    return ET.fromstring(picture(json.loads(figure.to_json()), "A title"))


def boxes(root: ET.Element, color: str) -> list[dict[str, float]]:
    found = [one for one in root.iter(f"{SVG}rect") if one.get("fill") == color]
    return [{name: float(str(one.get(name))) for name in ("x", "y", "width", "height")} for one in found]


def words(root: ET.Element) -> list[str]:
    return ["".join(one.itertext()) for one in root.iter(f"{SVG}text")]


def test_bars_are_as_long_as_their_numbers() -> None:
    """Lying, standing and standing on another; the longest is as long as the axis that ends with it."""
    lying = drawing.figure(200).add_bar(y=[0, 1, 2], x=[40, 10, 20], orientation="h", marker_color="#111111")
    widths = [box["width"] for box in boxes(drawn(lying.update_xaxes(range=[0, 40])), "#111111")]
    assert [round(width / widths[0], 2) for width in widths] == [1.0, 0.25, 0.5]
    standing = drawing.figure(200).update_layout(barmode="stack")
    for color, sizes in {"#111111": [30, 20], "#222222": [10, 5]}.items():
        standing.add_bar(x=["2026-01-01", "2026-02-01"], y=sizes, marker_color=color)
    root = drawn(standing)
    low, high = boxes(root, "#111111"), boxes(root, "#222222")
    assert low[0]["height"] / low[1]["height"] == pytest.approx(1.5, abs=0.02)
    assert high[0]["height"] / low[0]["height"] == pytest.approx(1 / 3, abs=0.02)
    for upper, lower in zip(high, low, strict=True):
        assert upper["y"] + upper["height"] == pytest.approx(lower["y"], abs=0.2)


def test_a_bar_that_has_a_base_begins_there() -> None:
    figure = drawing.figure(200).add_bar(y=[0, 1], x=[10, 4], base=[0, 6], orientation="h", marker_color="#111111")
    whole, part = boxes(drawn(figure.update_xaxes(range=[0, 10])), "#111111")
    assert part["x"] + part["width"] == pytest.approx(whole["x"] + whole["width"], abs=0.2)
    assert part["width"] / whole["width"] == pytest.approx(0.4, abs=0.01)


def test_lines_go_through_their_points_and_steps_stay_level() -> None:
    figure = drawing.figure(300).add_scatter(x=[0, 1, 2], y=[0, 10, 5], mode="lines", line={"color": "#111111"})
    line = next(drawn(figure).iter(f"{SVG}polyline"))
    at = [tuple(map(float, pair.split(","))) for pair in str(line.get("points")).split()]
    assert at[1][0] - at[0][0] == pytest.approx(at[2][0] - at[1][0], abs=0.2)
    assert (at[0][1] - at[2][1]) / (at[0][1] - at[1][1]) == pytest.approx(0.5, abs=0.01)
    figure.update_traces(line_shape="hv", fill="tozeroy", fillcolor="rgba(1,2,3,0.5)")
    stairs = next(drawn(figure).iter(f"{SVG}polyline"))
    path = [tuple(map(float, pair.split(","))) for pair in str(stairs.get("points")).split()]
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(path))
    under = next(drawn(figure).iter(f"{SVG}polygon"))
    assert (under.get("fill"), under.get("fill-opacity")) == ("#010203", "0.5")


def test_cells_without_a_value_stay_free() -> None:
    figure = drawing.figure(300).add_heatmap(
        x=["a", "b"], y=["c"], z=[[3, None]], text=[["three", ""]], colorscale=[[0, "#ffffff"], [1, "#000000"]]
    )
    root = drawn(figure.update_xaxes(type="category").update_yaxes(type="category"))
    assert len(boxes(root, "#ffffff")) == 1 and "three" in words(root)


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=30).map(lambda sizes: sorted(sizes, reverse=True)),
    st.floats(50, 1000),
    st.floats(50, 1000),
)
def test_fields_have_the_areas_of_their_sizes(sizes: list[int], width: float, height: float) -> None:
    """They fill the box, stay inside it, and none lies over another."""
    found = squarified(sizes, (0, 0, width, height))
    whole = sum(sizes)
    for size, (left, top, wide, high) in zip(sizes, found, strict=True):
        share = size / whole if whole else 0
        assert wide * high == pytest.approx(share * width * height, rel=1e-6, abs=1e-3)
        assert left > -1e-6 and top > -1e-6 and left + wide < width + 1e-3 and top + high < height + 1e-3
    for number, (left, top, wide, high) in enumerate(found):
        for other_left, other_top, other_wide, other_high in found[:number]:
            across = min(left + wide, other_left + other_wide) - max(left, other_left)
            down = min(top + high, other_top + other_high) - max(top, other_top)
            assert min(across, down) < 1e-3


def test_whatever_a_name_holds_it_is_text() -> None:
    """In labels, legends, tiles, cells and titles; the picture stays well-formed and has no script."""
    safe = HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    bars = drawing.figure(200).add_bar(y=[0], x=[1], orientation="h", name=safe, text=[safe], textposition="outside")
    bars.update_yaxes(tickvals=[0], ticktext=[safe], title_text=safe)
    bars.update_layout(showlegend=True)
    tiles = drawing.figure(400).add_treemap(labels=[safe], parents=[""], values=[1])
    for figure in (bars, tiles):
        root = drawn(figure)
        assert not list(root.iter(f"{SVG}script"))
        assert HOSTILE in words(root)


def test_arrays_that_plotly_packs_are_unpacked() -> None:
    """Numbers of a Polars column or of an array are drawn like those of a list."""
    listed = drawing.figure(200).add_bar(x=[1, 2, 3], y=[5.0, 2.5, 1.0], marker_color="#111111")
    packed = drawing.figure(200).add_bar(x=pl.Series([1, 2, 3]), y=pl.Series([5.0, 2.5, 1.0]), marker_color="#111111")
    assert "bdata" in packed.to_json()
    assert boxes(drawn(listed), "#111111") == boxes(drawn(packed), "#111111")


def test_a_figure_that_says_little_is_drawn_all_the_same() -> None:
    for trace in (
        go.Bar(y=[1, 2]),
        go.Bar(x=["one", "two"], y=[1, 2]),
        go.Scatter(y=[1, 3]),
        go.Scatter(x=[1], y=[1], mode="markers"),
        go.Scatter(x=["2026-01-01", "2026-03-01"], y=[1, 3], stackgroup="one"),
        go.Heatmap(z=[[1, 2], [3, None]]),
        go.Treemap(labels=["a", "b"], parents=["", "a"], values=[2, 1]),
    ):
        assert len(list(drawn(go.Figure(trace)).iter())) > 3
    assert "Nothing because" in words(drawn(drawing.empty("Nothing because")))


@pytest.mark.parametrize(
    ("days", "labels"),
    [
        (3, ["Jan 02", "Jan 03", "Jan 04"]),
        (75, ["Jan 02", "Jan 16", "Jan 30", "Feb 13", "Feb 27", "Mar 13"]),
        (300, ["Mar 2026", "May 2026", "Jul 2026", "Sep 2026"]),
        (2000, ["2027", "2028", "2029", "2030", "2031"]),
    ],
)
def test_times_are_marked_by_whole_days_months_or_years(days: int, labels: list[str]) -> None:
    start = datetime(2026, 1, 1, 5, tzinfo=UTC)
    end = datetime.fromtimestamp(start.timestamp() + days * 86_400, UTC)
    scale = Scale({}, [start.isoformat(), end.isoformat()], 0, 1000)
    assert [text for _, text in scale.ticks()] == labels
    assert all(0 <= pixel <= 1000 for pixel, _ in scale.ticks())


def test_a_logarithmic_axis_has_equal_room_for_each_power() -> None:
    ticks = Scale({"type": "log", "range": [0, 3]}, [1, 1000], 0, 300).ticks()
    assert [(round(pixel), text) for pixel, text in ticks] == [(0, "1"), (100, "10"), (200, "100"), (300, "1,000")]


@given(st.floats(1e-6, 1e15), st.integers(2, 12))
def test_steps_are_round_and_few(span: float, most: int) -> None:
    step = round_step(span, most)
    assert span / step <= most * (1 + 1e-6)
    assert re.fullmatch(r"[125]\.?0*e[+-]\d+", f"{step:.6e}".replace(".000000", ""))
    assert len(round_steps(0, span, most)) <= most + 1


def test_the_width_of_words_is_that_of_their_longest_line() -> None:
    assert width_of("short<br>a much longer line") == width_of("a much longer line") > width_of("short")
    assert lines_of("<b>a</b> &lt;c&gt;<br>d") == [[("a", True), (" <c>", False)], [("d", False)]]


def test_inks_are_the_readers() -> None:
    """A page can colour text and grid; the bars keep their colours."""
    figure: Any = drawing.figure(200).add_bar(y=[1], x=[1], marker_color="#111111")
    text = picture(json.loads(figure.to_json()))
    assert 'fill="currentColor"' in text and 'stroke="currentColor"' in text
