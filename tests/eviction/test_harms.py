"""Harms: an order for each of them, and one for all, whose parts add up."""

from __future__ import annotations

import polars as pl
import pytest

from catalogkit.errors import InvalidInput
from catalogkit.eviction.harms import AIMS, PARTS, scored

# Asked for a thousand times by one, once each by many, hardly ever; the last is large.
TOLD = pl.DataFrame(
    {
        "object": ["hot", "warm", "cold", "large"],
        "bytes": [1000, 1000, 1000, 64_000],
        "expected": [1000.0, 2.0, 0.01, 2.0],
        "reuse": [0.95, 0.9, 0.01, 0.9],
    }
)


def first(aim: str, told: pl.DataFrame = TOLD) -> list[str]:
    return scored(told, aim).sort("score", descending=True)["object"].to_list()


def test_each_harm_has_an_order_of_its_own() -> None:
    """Requests keep what is asked for most; refetches count each once; of what comes back the room is not won."""
    assert first("requests") == ["large", "cold", "warm", "hot"]
    assert first("refetch") == ["large", "cold", "warm", "hot"]
    told = scored(TOLD, "refetch")
    assert told["score"][1] - told["score"][0] == pytest.approx(0.07, abs=0.01)
    assert scored(TOLD, "topn")["score"].to_list()[2] > scored(TOLD, "topn")["score"].to_list()[1]
    assert first("balanced")[-1] == "hot"


@pytest.mark.parametrize("aim", AIMS)
def test_parts_add_up_and_are_monotone(aim: str) -> None:
    """Twice the bytes is one bit more; more demand of one never brings it forward among the others."""
    before = scored(TOLD, aim)
    assert (before.select((pl.sum_horizontal(PARTS) - pl.col("score")).abs().max()).item()) < 1e-12
    larger = scored(TOLD.with_columns(pl.col("bytes") * 2), aim)
    assert (larger["score"] - before["score"]).to_list() == pytest.approx([1.0] * 4)
    for number, name in enumerate(TOLD["object"]):
        more = TOLD.with_columns(
            pl.when(pl.col("object") == name).then(column).otherwise(known).alias(known)
            for known, column in (("expected", pl.col("expected") + 10), ("reuse", (pl.col("reuse") + 1) / 2))
        )
        assert first(aim, more).index(name) >= first(aim).index(name), number


def test_another_harm_is_refused() -> None:
    """By name."""
    with pytest.raises(InvalidInput, match="no harm is called 'money'"):
        scored(TOLD, "money")
