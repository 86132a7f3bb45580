"""Scores: better than the rules that everybody knows in every regime, honest where little is known, and explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from benchmarks.traces import REGIMES, World
from catalogkit.errors import InvalidInput
from catalogkit.eviction import baselines, ladder, scoring
from catalogkit.eviction.features import features
from catalogkit.eviction.history import EVENTS, OBJECTS, History
from catalogkit.eviction.judging import mean_regret, regrets
from catalogkit.eviction.scoring import score
from catalogkit.eviction.sweeps import swept

WEEK = timedelta(days=7)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
PARTS = ("part_bytes", "part_requests", "part_reuse", "part_refetch")


@cache
def made(regime: str, seed: int = 3) -> History:
    return REGIMES[regime][0](seed)


@cache
def learned() -> tuple[History, datetime, scoring.Scores]:
    history = made("versions")
    at = history.cuts(WEEK, 1)[0]
    return history, at, score(history, at, WEEK)


def judged(history: History, at: datetime, horizon: timedelta, frame: pl.DataFrame, column: str = "score") -> float:
    told = history.objects.filter(pl.col("until") >= at + horizon).select("object")
    rows = frame.join(told, on="object").join(history.used(at, horizon), on="object", how="left")
    return mean_regret(regrets(rows.with_columns(pl.col("count").fill_null(0)), column)).get("mean", 0.0)


def cut(regime: str) -> tuple[History, timedelta, datetime]:
    """A regime, its horizon, and a time at which both what was and what came is known."""
    history, horizon = made(regime), timedelta(days=REGIMES[regime][1])
    return history, horizon, history.cuts(horizon, 3)[-1]


def small(*asked: tuple[str, float], sources: dict[str, str] | None = None, **sizes: int) -> History:
    """Objects of these sizes, 100 days old, asked for so many days ago."""
    objects = [
        {"object": name, "name": name, "bytes": size, "created_at": NOW - timedelta(days=100),
         "since": NOW - timedelta(days=100), "prior": 0, "source": (sources or {}).get(name, "s"), "kind": "k",
         "tenant": "t"} for name, size in sizes.items()
    ]  # fmt: skip
    events = [{"object": name, "at": NOW - timedelta(days=ago), "count": 1} for name, ago in asked]
    full = [{name: one.get(name) for name in OBJECTS} for one in objects]
    return History(pl.DataFrame(full, schema=OBJECTS), pl.DataFrame(events, schema=EVENTS).sort("at"))


@pytest.mark.parametrize("regime", REGIMES)
def test_rates_beat_the_best_known_rule_in_every_regime(regime: str) -> None:
    """Without a model the regret is no more than that of decayed GDSF and a little, whatever the habit of the log."""
    history, horizon, at = cut(regime)
    ours = judged(history, at, horizon, score(history, at, horizon, learn=False).frame)
    theirs = judged(history, at, horizon, baselines.scores(history, at, horizon), "GDSF, decayed")
    assert ours <= theirs + 0.02


def test_numbers_and_categories_score_as_texts_do() -> None:
    """What is only compared may be told by anything that differs where it differs; all else is no history."""
    history, horizon, at = cut("versions")
    number = pl.col("object").replace_strict(dict(zip(history.objects["object"], range(9**5), strict=False)))
    kinds = pl.col("source", "kind", "tenant").cast(pl.Categorical)
    told = History(history.objects.with_columns(kinds, object=number), history.events.with_columns(object=number))
    found, expected = (score(one, at, horizon, learn=False) for one in (told, history))
    assert found.card == expected.card
    columns = [name for name in found.frame.columns if name != "object"]
    assert_frame_equal(found.frame.select(columns), expected.frame.select(columns))
    with pytest.raises(InvalidInput, match="not the columns"):
        History(history.objects.with_columns(pl.col("bytes").cast(pl.String)), history.events)


@pytest.mark.parametrize("regime", REGIMES)
def test_without_a_log_the_order_is_size_times_age(regime: str) -> None:
    """The same to the last object, so no worse than that rule, whatever comes; and no chance is claimed."""
    history, horizon, at = cut(regime)
    known = history.known(at)
    scores = score(History(known.objects, known.events.clear()), at, horizon)
    days = (pl.lit(at) - pl.col("created_at")).dt.total_microseconds() / 86400e6
    plain = known.objects.select("object", value=pl.col("bytes") * days.clip(1 / 86400))
    there = scores.frame.join(plain, on="object", maintain_order="left")["value"]
    assert (there.diff().drop_nulls() <= there[1:] * 1e-9).all()
    assert scores.card.method == "size x age" and scores.frame["reuse"].null_count() == scores.frame.height


def test_a_model_is_learned_where_it_proves_better() -> None:
    """The card says what was taken, why, how each did, what was promised, and what counted."""
    history, at, scores = learned()
    card = scores.card
    assert card.method == "model" and "better than the rate" in card.why
    assert card.regrets["model"]["mean"] < card.regrets["rate"]["mean"] < card.regrets["LRU"]["mean"]
    assert card.promised == pytest.approx(card.came, rel=0.2) and card.calibration_error < 0.08
    assert card.brier_skill > 0.2 and sum(one["objects"] for one in card.calibration) > 1000
    assert next(iter(card.importance)) in ("later arrivals", "requests", "readings", "idle") and len(card.drift) == 5
    assert judged(history, at, WEEK, scores.frame) < 0.06


def test_what_drifted_is_told() -> None:
    """Features that moved by a standard deviation or more, either way; nothing where there was no model."""
    card = replace(learned()[2].card, drift={"idle": -1.2, "age": 1.0, "size": 0.9})
    assert card.drifted == {"idle": -1.2, "age": 1.0}
    assert score(small(a=1), NOW, WEEK).card.drifted == {}


def test_the_same_again_whatever_comes_later() -> None:
    """Scored again without what happens after the time, scores are the same to the last bit, and so is the card."""
    history, at, scores = learned()
    again = score(history.known(at), at, WEEK)
    assert again.frame.equals(scores.frame) and again.card == scores.card


@pytest.mark.parametrize("history", [learned, lambda: (small(a=5, b=7), NOW, score(small(a=5, b=7), NOW, WEEK))])
def test_parts_add_up_to_the_score(history: Any) -> None:
    """With a log and without one."""
    frame = history()[2].frame
    gap = frame.select((pl.sum_horizontal(PARTS) - pl.col("score")).abs().max()).item()
    assert gap < 1e-9 and frame["score"].is_sorted(descending=True)


def test_an_order_for_one_harm() -> None:
    """Of what is asked for again each counts once; the card says which harm was made least."""
    history, at, _ = learned()
    scores = score(history, at, WEEK, learn=False, aim="refetch")
    assert scores.card.aim == "refetch" and scores.card.told_by == "rate"
    assert scores.frame.select((pl.sum_horizontal(PARTS) - pl.col("score")).abs().max()).item() < 1e-9
    assert scores.frame["part_requests"].abs().max() == 0
    with pytest.raises(InvalidInput, match="no harm"):
        score(history, at, WEEK, aim="money")


def test_more_requests_never_hasten_and_more_bytes_never_delay() -> None:
    """Of one that is ten times as large, or was asked for ten times more, the rank moves the right way, or not."""
    history, at, _ = learned()
    some = history.known(at).objects["object"].sample(8, seed=5)
    plain = ranks(score(history, at, WEEK, learn=False).frame, some)
    chosen = pl.col("object").is_in(some.implode())
    larger = history.objects.with_columns(bytes=pl.when(chosen).then(pl.col("bytes") * 10).otherwise("bytes"))
    grown = ranks(score(History(larger, history.events), at, WEEK, learn=False).frame, some)
    more = pl.DataFrame({"object": some, "at": [at] * 8, "count": [10] * 8}, schema=EVENTS)
    asked = History(history.objects, pl.concat([history.events, more]))
    wanted = ranks(score(asked, at, WEEK, learn=False).frame, some)
    assert all(grown[name] <= plain[name] <= wanted[name] for name in some)


def ranks(frame: pl.DataFrame, objects: pl.Series) -> dict[str, int]:
    return dict(
        frame.with_row_index("rank").filter(pl.col("object").is_in(objects.implode())).select("object", "rank").rows()
    )


def test_a_model_is_monotone_in_requests_and_bytes() -> None:
    """Of one fitted model: more requests never lower what is expected, more bytes never raise it."""
    from catalogkit.eviction.model import design, fit

    history, at, _ = learned()
    pasts = ladder.pasts(history.known(at), WEEK)
    model = fit([(one.columns, one.counts) for one in pasts])
    rows = pasts[0].rows.head(300)
    before = model.predict(design(rows))
    larger = model.predict(design(rows.with_columns(bytes=pl.col("bytes") * 10)))
    assert all((larger[name] <= before[name] + 1e-9).all() for name in before.columns)
    counts = [name for name in rows.columns if name.startswith(("n_", "m_", "nd_", "md_"))]
    one = rows.with_row_index("row").with_columns(
        *(pl.when(pl.col("row") == 7).then(pl.col(name) + 10).otherwise(name) for name in counts),
        idle=pl.when(pl.col("row") == 7).then(0.0).otherwise("idle"),
    )
    asked = model.predict(design(one.drop("row")))
    assert all(asked[name][7] >= before[name][7] for name in before.columns)


def test_no_log_is_size_and_age_and_no_chance() -> None:
    """Labelled as such, with no chance of reuse; twice the bytes or twice the days is one bit more."""
    scores = score(small(a=5, b=10), NOW, WEEK)
    assert scores.card.method == "size x age" and "no log" in scores.card.why
    assert scores.frame["object"].to_list() == ["b", "a"]
    assert scores.frame["reuse"].null_count() == scores.frame["expected"].null_count() == 2
    assert scores.frame["score"][0] - scores.frame["score"][1] == pytest.approx(1)


def test_a_log_that_just_began_promises_nothing() -> None:
    """Of less than a quarter of a horizon no chance is claimed, and it is labelled; what was just asked for stays."""
    asked = [(name, 1e-4 * number) for number in range(1, 30) for name in ("b", "c")]
    scores = score(small(*asked, a=5, b=10, c=5), NOW, WEEK)
    assert scores.card.method == "size x age" and not scores.card.told_by
    assert scores.card.why == "the log tells of 4.18 minutes, too little to say what comes in 7 days"
    assert scores.frame["object"].to_list() == ["a", "b", "c"]
    assert scores.frame["reuse"].null_count() == scores.frame["expected"].null_count() == 3
    behind = score(small(("b", 30), ("c", 30.1), a=5, b=10, c=5), NOW, WEEK)
    assert behind.card.method == "size x age" and behind.card.promised is None
    assert score(small(("b", 2), ("c", 1), a=5, b=10, c=5), NOW, WEEK).card.method == "rate"


def test_few_requests_are_rates_that_lean_on_the_class() -> None:
    """Nothing can be judged by so few, and the card says so; what was asked for stays longer than its like."""
    scores = score(small(("a", 3), ("a", 9), a=10, b=10), NOW, WEEK)
    assert scores.card.method == "rate" and "too little" in scores.card.why
    assert scores.frame["object"].to_list() == ["b", "a"]
    assert 0 < scores.frame["reuse"][0] < scores.frame["reuse"][1] < 1


def test_what_one_tenant_asks_for_says_less_of_the_others() -> None:
    """Of contents nobody asked for, those of a tenant who reads the rest of the source are likelier to be wanted."""
    asked = [(name, 30.0 - day) for day in range(30) for name in ("c1", "c3", "c5")]
    history = small(*asked, **{f"c{number}": 10 for number in range(1, 9)})
    chance = dict(score(history, NOW, WEEK).frame.select("object", "reuse").rows())
    assert chance["c7"] == pytest.approx(chance["c8"])
    odd = pl.col("object").str.tail(1).is_in(list("1357"))
    tenants = history.objects.with_columns(tenant=pl.when(odd).then(pl.lit("a")).otherwise(pl.lit("b")))
    told = dict(score(History(tenants, history.events), NOW, WEEK).frame.select("object", "reuse").rows())
    assert told["c7"] > 1.5 * told["c8"] and told["c2"] == pytest.approx(told["c8"])


def test_a_source_that_fell_silent_does_not_look_cold() -> None:
    """What nobody counted any more is unknown: it keeps the rate it had."""
    sources = {"a": "quiet", "b": "loud", "c": "quiet", "d": "loud"}
    both = [(name, 100 - step * 0.5) for step in range(120) for name in "ab"]
    later = [("b", 40 - step * 0.5) for step in range(80)]
    history = small(*both, *later, sources=sources, a=10, b=10, c=10, d=10)
    told = {row["object"]: row for row in features(history, NOW, WEEK).to_dicts()}
    assert told["a"]["idle"] == pytest.approx(told["b"]["idle"], abs=0.1)
    assert told["a"]["n_1"] == pytest.approx(told["b"]["n_1"], abs=1)
    chance = dict(score(history, NOW, WEEK, learn=False).frame.select("object", "reuse").rows())
    assert chance["a"] > chance["d"] and chance["a"] > 0.5


@pytest.mark.parametrize("regime", REGIMES)
def test_a_log_that_is_behind_counts_from_its_end(regime: str) -> None:
    """One horizon old it is still better than decayed GDSF that sees the same."""
    history, horizon, at = cut(regime)
    late = History(history.objects, history.events.filter(pl.col("at") <= at - horizon))
    ours = judged(history, at, horizon, score(late, at, horizon, learn=False).frame)
    assert ours < judged(history, at, horizon, baselines.scores(late, at, horizon), "GDSF, decayed")


@pytest.mark.parametrize("regime", [name for name in REGIMES if name != "sweeps"])
def test_a_promise_holds_within_a_factor_of_three(regime: str) -> None:
    """Of the first tenth to go about as many come back as were expected, give or take one.

    A sweep comes and takes all, or does not: that holds for the mean of many times, and for none of them.
    """
    history, horizon, at = cut(regime)
    frame = score(history, at, horizon, learn=False).frame.join(
        history.used(at, horizon), on="object", how="left", maintain_order="left"
    )
    first = frame.head(frame.height // 10)
    promised, came = first["reuse"].sum(), (first["count"] > 0).sum()
    assert 1 / 3 <= (came + 1) / (promised + 1) <= 3


def test_a_classic_rule_that_wins_is_taken_if_the_log_is_not_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The score is its value, and the card says why; to such a rule what a late log cannot know would look cold."""
    monkeypatch.setattr(ladder, "MARGIN", -1.0)
    monkeypatch.setattr(ladder, "ERRORS", {3: -99.0, 4: -99.0})
    history, horizon, at = cut("zipf")
    scores = score(history, at, horizon, learn=False)
    assert scores.card.method in ladder.RULES and "did best" in scores.card.why
    values = baselines.scores(history, at, horizon).select("object", value=scores.card.method)
    told = scores.frame.join(values, on="object")
    assert (told["part_bytes"] - told["value"]).abs().max() == 0 == told["part_reuse"].abs().max()
    late = History(history.objects, history.events.filter(pl.col("at") <= at - horizon / 2))
    assert score(late, at, horizon, learn=False).card.method == "rate"


def test_what_a_sweep_asked_for_says_nothing_of_an_object() -> None:
    """Requests that everything got are taken out, what is beyond them stays, and the chance of one more is told."""
    world = World(5, objects=300, days=60)
    rate = world.popularity(1.0, 0.02)
    history = world.history(lambda day: rate + (4.0 if day in (20, 40, 52) else 0.0))
    at = history.events["at"].max()
    assert isinstance(at, datetime)
    told = swept(history, at, WEEK)
    days = told.history.events.group_by("at").len().sort("len")["len"]
    assert days[-1] < 0.6 * 300 and 0 < told.chance < 1 and told.requests > 0
    assert swept(made("uniform"), made("uniform").cuts(WEEK, 1)[0], WEEK).chance == 0


def test_the_cost_of_a_refetch_is_a_part() -> None:
    """What is twice as dear to fetch again is scored one bit lower."""
    history = small(a=10, b=10)
    costs = pl.DataFrame({"object": ["a"], "cost": [2.0]})
    scores = score(history, NOW, WEEK, refetch=costs).frame
    assert dict(scores.select("object", "part_refetch").rows()) == {"b": 0.0, "a": -1.0}
    assert scores["object"][0] == "b"


def test_bad_input_is_refused() -> None:
    """A horizon behind, a frame of other columns, a time without a zone."""
    with pytest.raises(InvalidInput, match="horizon"):
        score(small(a=1), NOW, -WEEK)
    with pytest.raises(InvalidInput, match="columns"):
        History(small(a=1).objects.drop("bytes"), small(a=1).events)
    with pytest.raises(InvalidInput):
        score(small(a=1), NOW.replace(tzinfo=None), WEEK)


def test_nothing_at_all_is_an_empty_frame() -> None:
    """Of no objects there are no scores, with the columns all the same."""
    empty = History(pl.DataFrame(schema=OBJECTS), pl.DataFrame(schema=EVENTS))
    assert dict(score(empty, NOW, WEEK).frame.schema) == dict(scoring.SCORES)
