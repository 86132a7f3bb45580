"""How an order is judged: the oracle has no regret, chance has all, and where nothing can be gained nothing is said."""

from __future__ import annotations

import polars as pl
import pytest

from catalogkit.eviction.judging import JUDGEMENTS, mean_regret, regrets


def rows(*told: tuple[str, int, int]) -> pl.DataFrame:
    """Objects with bytes and what they were asked for afterwards."""
    return pl.DataFrame(told, schema=["object", "bytes", "count"], orient="row")


SOME = rows(*((f"o{number:03}", 10 + number % 7, (number % 5 == 0) * (number + 1)) for number in range(200)))


def test_who_knows_the_future_has_no_regret() -> None:
    """Least harm per byte first is the oracle of requests; the worst order is worse than chance."""
    known = SOME.with_columns(best=-pl.col("count") / pl.col("bytes"), worst=pl.col("count") / pl.col("bytes"))
    best, worst = mean_regret(regrets(known, "best")), mean_regret(regrets(known, "worst"))
    assert set(best) == {*JUDGEMENTS, "mean"}
    assert abs(best["requests"]) < 1e-9 and best["refetch"] < 0.05 and best["topn"] < 0.6
    assert worst["requests"] > 1.2 and worst["topn"] > 1.2


def test_one_value_for_all_is_chance() -> None:
    """Ties are broken at random, the same for a seed: knowing nothing has a regret of one."""
    blind = SOME.with_columns(score=pl.lit(0.0))
    means = [mean_regret(regrets(blind, "score", seed=seed))["mean"] for seed in range(8)]
    assert sum(means) / len(means) == pytest.approx(1, abs=0.15)
    assert regrets(blind, "score", seed=3).equals(regrets(blind.reverse(), "score", seed=3))


def test_where_nothing_can_be_gained_nothing_is_judged() -> None:
    """Nobody asks for anything, or everybody for all alike: no cell, and no mean of nothing."""
    silent = SOME.with_columns(count=pl.lit(0), score=pl.lit(1.0))
    assert set(regrets(silent, "score")["judgement"]) <= {"topn"}
    alike = rows(*((f"o{number}", 10, 1) for number in range(50))).with_columns(score=pl.lit(1.0))
    assert regrets(alike, "score").is_empty() and mean_regret(regrets(alike, "score")) == {}
