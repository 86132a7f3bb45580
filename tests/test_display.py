"""What a cell shows: every reader gets something, nothing that a catalog holds becomes markup."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit import display
from catalogkit.display import (
    FIGURES_MIME,
    PLOTLY_MIME,
    Cards,
    Chart,
    Notes,
    Notice,
    clip_middle,
    figures_of,
    format_bytes,
    format_share,
    plotly_text,
    table_html,
)
from catalogkit.errors import InvalidInput

HOSTILE = '</script><img src=x onerror=alert(1)> & "q" $x$ {nonce}'


def chart(title: str = "Title", caption: str = "What is counted.", **figure: Any) -> Chart:
    return Chart(go.Figure(**figure), title, caption, pl.DataFrame({"name": [title], "size_bytes": [1234567]}))


@pytest.mark.parametrize(
    "size,text",
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_995, "10.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (-1_500_000, "\N{MINUS SIGN}1.50 MB"),
        (3 * 10**12, "3.00 TB"),
        (2**63 - 1, "9.22 EB"),
        (5 * 10**21, "5000 EB"),
    ],
)
def test_sizes_have_three_digits_and_a_decimal_unit(size: int, text: str) -> None:
    assert format_bytes(size) == text


@settings(deadline=None)
@given(st.integers(0, 2**63))
def test_a_size_is_written_within_half_a_percent(size: int) -> None:
    number, unit = format_bytes(size).split()
    scale = 1000 ** ["B", "kB", "MB", "GB", "TB", "PB", "EB"].index(unit)
    assert float(number) * scale == pytest.approx(size, rel=0.0051)


def test_a_share_near_the_ends_is_not_rounded_to_them() -> None:
    assert [format_share(s) for s in (0.0, 1e-9, 0.5, 0.99999, 1.0, None)] == [
        "0 %", "<0.1 %", "50.0 %", ">99.9 %", "100 %", "n/a",
    ]  # fmt: skip


@settings(deadline=None)
@given(st.text(max_size=80), st.integers(5, 40))
def test_a_long_name_loses_its_middle_only(text: str, width: int) -> None:
    clipped = clip_middle(text, width)
    assert len(clipped) <= max(width, 0)
    head, _, tail = clipped.partition("…") if clipped != text else (text, "", "")
    assert text.startswith(head)
    assert text.endswith(tail)


def test_plotly_shows_text_as_it_is() -> None:
    assert plotly_text("<b>&$x$") == "&lt;b&gt;&amp;&#36;x&#36;"


def test_a_chart_is_a_figure_a_table_and_a_text() -> None:
    data, about = chart(data=[go.Bar(y=[1, 2])])._repr_mimebundle_()
    assert data[PLOTLY_MIME]["data"][0]["type"] == "bar"
    assert data[PLOTLY_MIME]["config"]["showSendToCloud"] is False
    assert "What is counted." in data["text/html"]
    assert "1,234,567" in data["text/html"]
    assert data["text/plain"].splitlines()[:2] == ["Title", "What is counted."]
    assert "1,234,567" in data["text/plain"]
    assert about["catalogkit"]["title"] == "Title"
    json.dumps(data)


def test_title_and_caption_get_room_of_their_own() -> None:
    figure = go.Figure(data=[go.Bar(y=[1])], layout={"height": 300, "margin": {"t": 10}})
    data, about = Chart(figure, "T", "word " * 60, pl.DataFrame())._repr_mimebundle_()
    layout, head = data[PLOTLY_MIME]["layout"], about["catalogkit"]["head_px"]
    assert (layout["height"], layout["margin"]["t"]) == (300 + head, 10 + head)
    assert layout["title"]["subtitle"]["text"].count("<br>") == 2
    assert figure.layout.height == 300  # the figure itself is as it was


def test_a_trace_that_reports_cannot_draw_is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot draw sunburst; choose among bar"):
        chart(data=[go.Sunburst()])


@pytest.mark.parametrize(
    "shown", [chart(HOSTILE, HOSTILE), Cards([(HOSTILE, HOSTILE, HOSTILE)]), Notes([HOSTILE]), Notice(HOSTILE)]
)
def test_nothing_shown_becomes_markup(shown: Any) -> None:
    bundle = shown._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "<img" not in data["text/html"]
    assert "</script>" not in data["text/html"]
    assert HOSTILE in data["text/plain"]


def test_a_card_says_what_it_counts() -> None:
    data = Cards([("Saved", "1 MB", "Copies spared.")])._repr_mimebundle_()
    assert data["text/plain"] == "Saved: 1 MB  (Copies spared.)"
    assert all(text in data["text/html"] for text in ("Saved", "1 MB", "Copies spared."))


def test_no_notes_are_said_in_words() -> None:
    assert str(Notes([], empty="Nothing to do.")) == "* Nothing to do."


def test_a_table_says_what_it_leaves_out() -> None:
    page = table_html(pl.DataFrame({"n": range(60), "share_of_all": [0.5] * 60}), rows=50)
    assert page.count("<tr>") == 51
    assert "10 more rows" in page
    assert "50.0 %" in page
    assert "No rows." in table_html(pl.DataFrame({"n": []}))


def test_recorded_figures_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append({"data": data}))
    display.record(documents=3, share=0.5)
    display.record(documents=4)
    assert FIGURES_MIME in shown[0]["data"]
    assert figures_of([{"output_type": "stream"}, *shown]) == {"documents": 4, "share": 0.5}
    with pytest.raises(InvalidInput, match="JSON"):
        display.record(when=object())
    with pytest.raises(InvalidInput, match="JSON"):
        display.record(ratio=float("nan"))


def test_small_sums_are_no_powers_of_ten() -> None:
    """A few millionths of money are shown as such; what is smaller yet, or larger, with three digits."""
    frame = pl.DataFrame({"cost": [0.000047, 0.0, 1234.5, 1e-9]})
    shown = display.table_html(frame)
    assert all(f">{text}<" in shown for text in ("0.000047", "0", "1.23e+03", "1e-09"))
