"""What room costs, what it would have cost, what a promise is worth: as pictures that say so where there is nothing."""

from __future__ import annotations

import polars as pl

from catalogkit import eviction_charts
from catalogkit.eviction.backtest import CURVES
from catalogkit.eviction.scoring import Card

CARD = Card("rate", "a test", "2026-01-01", 30.0, 2, 3)


def chosen(reuse: float | None, rows: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"stored_bytes": list(range(1, rows + 1)), "reuse": [reuse] * rows},
        schema={"stored_bytes": pl.Int64(), "reuse": pl.Float64()},
    )


def test_the_steps_are_short_and_exact_at_their_end() -> None:
    """Of many contents at most so many points are kept; the last is the whole; no chance, no expectation."""
    shown = eviction_charts.steps(chosen(0.5, 1000), points=40)
    assert shown.height == 40
    assert shown.row(-1) == (1000, 500500, 500.0)
    assert eviction_charts.steps(chosen(None, 3))["expected_back"].null_count() == 3


def test_a_slider_says_what_room_costs() -> None:
    """Each step of it says how much is freed, by how many, and how many are expected back."""
    figure = eviction_charts.freed(eviction_charts.steps(chosen(0.5, 100)))
    steps = figure.layout.sliders[0].steps
    assert len(steps) == 12
    assert steps[-1].args[1]["annotations[0].text"] == "<b>100 contents: 5.05 kB, 50.0 expected back</b>"
    silent = eviction_charts.freed(eviction_charts.steps(chosen(None, 1)))
    assert "expected" not in silent.layout.annotations[0].text


def test_nothing_to_show_says_so() -> None:
    """Empty frames make figures with a word in them, and the same columns."""
    empty = eviction_charts.steps(chosen(0.5, 0))
    assert empty.columns == ["contents", "stored_bytes", "expected_back"]
    for figure in (
        eviction_charts.freed(empty),
        eviction_charts.regrets(pl.DataFrame(schema=CURVES)),
        eviction_charts.calibration(eviction_charts.calibration_bins(CARD)),
    ):
        assert figure.layout.annotations[0].text


def test_each_order_is_a_line() -> None:
    """Ours stands out; the oracle and chance are told from the rules."""
    rows = [(order, share, 1, share, 0) for order in ("this score", "LRU", "by chance") for share in (0.0, 1.0)]
    figure = eviction_charts.regrets(pl.DataFrame(rows, schema=CURVES, orient="row"))
    assert [line.name for line in figure.data] == ["this score", "LRU", "by chance"]
    assert figure.data[0].line.width > figure.data[1].line.width
