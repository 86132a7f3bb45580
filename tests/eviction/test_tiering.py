"""Tiering advice: what is asked for stays near, what is not goes where storing is cheap."""

from __future__ import annotations

import polars as pl
import pytest

from catalogkit.errors import InvalidInput
from catalogkit.eviction.tiering import MONTH_DAYS, Tier, advice, totals

HOT, COLD = Tier("hot", 0.02), Tier("cold", 0.004, per_gb_read=0.05, least_bytes=10**6)


def told(*rows: tuple[int, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"stored_bytes": pl.Int64(), "expected": pl.Float64()}, orient="row")


def test_the_cheapest_tier_by_what_is_expected() -> None:
    """A gigabyte costs 0.016 less where it is cold, which is a third of a read; a small one is charged as a large."""
    found = advice(told((10**9, 0.0), (10**9, 0.3), (10**9, 0.4), (1000, 0.0), (10**9, None)), [HOT, COLD], MONTH_DAYS)
    assert found["tier"].to_list() == ["cold", "cold", "hot", "hot"]
    assert found["cost"].to_list() == pytest.approx([0.004, 0.019, 0.02, 2e-8])
    assert found["cost_first"].to_list() == pytest.approx([0.02, 0.02, 0.02, 2e-8])


def test_what_it_costs_each_month_and_once() -> None:
    """Storing, reading and moving are told apart; what leaves early is charged for the least time."""
    deep = Tier("deep", 0.001, per_gb_read=0.1, per_request=0.01, least_days=2 * MONTH_DAYS, per_move=0.002,
                wait_hours=12)  # fmt: skip
    found = advice(told((10**9, 0.05), (10**9, 3.0), (10**6, 0.0)), [HOT, deep], MONTH_DAYS / 4)
    assert found["tier"].to_list() == ["hot", "hot", "hot"]
    found = advice(told((10**9, 0.05), (10**9, 3.0), (10**6, 0.0)), [HOT, deep], MONTH_DAYS)
    assert found["tier"].to_list() == ["deep", "hot", "hot"] and found["wait_hours"].to_list() == [12, 0, 0]
    assert found["per_month"].to_list() == pytest.approx([0.001, 0.02, 2e-5])
    assert found["per_month_first"].to_list() == pytest.approx([0.02, 0.02, 2e-5])
    assert found["reads_per_month"].to_list() == pytest.approx([0.05 * 0.11, 0, 0])
    assert found["move"].to_list() == [0.002, 0, 0]
    assert found["cost"][0] == pytest.approx(2 * 0.001 + 0.05 * 0.11 + 0.002)


def test_what_it_comes_to() -> None:
    """Sums by tier, the one with most bytes first; of nothing there are none."""
    found = advice(told((10**9, 0.0), (10**9, 0.3), (10**9, 0.4)), [HOT, COLD], MONTH_DAYS)
    assert totals(found).select("tier", "contents", "bytes").rows() == [("cold", 2, 2 * 10**9), ("hot", 1, 10**9)]
    assert totals(found)["per_month"].to_list() == pytest.approx([0.008, 0.02])
    assert totals(found.head(0)).is_empty()


def test_a_table_that_is_none_is_refused() -> None:
    """No tiers, two of one name, a price below zero, no horizon."""
    for tiers, days in (([], 1.0), ([HOT, HOT], 1.0), ([HOT], 0.0)):
        with pytest.raises(InvalidInput):
            advice(told((1, 1.0)), tiers, days)
    with pytest.raises(InvalidInput, match="below 0"):
        Tier("x", -1.0)
