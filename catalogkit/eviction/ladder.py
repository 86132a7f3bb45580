"""Chooses by what objects are ranked, from size and age to a model, and says why.

Rates, a model, and the classic rules are asked for the log's own past times, each with what was known by then, and what
came after judges them. All are judged at the same times, by the mean of all; a rule that is none of ours has to win
clearly, because the best of several looks better than it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.eviction import baselines
from catalogkit.eviction.calibration import NONE, Calibration, logit
from catalogkit.eviction.features import FAMILY, features
from catalogkit.eviction.harms import scored
from catalogkit.eviction.history import History
from catalogkit.eviction.judging import Bounds, mean_regret, regrets
from catalogkit.eviction.model import Model, design, fit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

# Enough of a past to learn from, and to be judged by.
EVENTS_LEAST: Final = 50
# Past times that are learned from: more where there are few objects, until so many rows are known. One in four, but
# four where there are so many, judges.
CUTS, CUTS_MOST, CUTS_ROWS = 12, 24, 16_000
JUDGED, JUDGED_PART = 4, 4
ROWS_LEAST, USED_LEAST = 200, 10
# What a log tells before this share of it only shows what came first.
EARLY: Final = 0.05
# Pasts are learned from by samples of so many objects.
SAMPLE: Final = 20_000
# Classic rules that may be shipped where they win: by so much, and by so many standard errors at three times or more
# (Student's t, 95 %); at fewer nothing is clear.
RULES: Final = ("GDSF, decayed", "Hyperbolic", "LRU", "LFU, decayed", "size x age", "largest first")
MARGIN: Final = 0.02
ERRORS: Final = {3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57}
# Half-lives of which rates rank, and tell the chances where no model does.
RATED: Final = (0.5, 2.0)
MODEL, RATE, SIZE_AGE = "model", "rate", "size x age"


@dataclass(frozen=True, slots=True)
class Past:
    """What could be told at a time, the columns to learn from, and what came after."""

    at: datetime
    rows: pl.DataFrame
    columns: pl.DataFrame
    counts: pl.Series


@dataclass(frozen=True, slots=True)
class Verdict:
    """By what to rank, and why.

    Attributes
    ----------
    model
        Fitted to all of the past, where it ranks or tells.
    tells
        Whether chances, and expected requests, are those of the model: whoever was nearer to what came tells them,
        which is not always who ranked best.
    calibration
        What those chances were worth.
    ranking
        What the chances were worth that are ranked by.
    regrets
        The mean regret of each contender, by judgement.
    judged
        The past times at which they were judged.
    """

    method: str
    why: str
    model: Model | None = None
    tells: bool = False
    calibration: Calibration = NONE
    ranking: Calibration = NONE
    regrets: dict[str, dict[str, float]] = field(default_factory=dict)
    judged: list[Past] = field(default_factory=list)


def pasts(history: History, horizon: timedelta) -> list[Past]:
    """Past times and what came after each, newest first; of large catalogs by a sample of whole families."""
    if not history.cuts(horizon, 1, first_share=EARLY):  # nor has a sample
        return []
    if history.objects.height > SAMPLE:
        share = SAMPLE / history.objects.height
        chosen = history.objects.select(FAMILY.hash(seed=0) % 1_000_000 < int(share * 1_000_000)).to_series()
        history = _of(history, history.objects.filter(chosen))
    found = []
    most = min(max(CUTS_ROWS // max(history.objects.height, 1), CUTS), CUTS_MOST)
    for at in history.cuts(horizon, most, first_share=EARLY):
        rows = features(history, at, horizon)
        told = history.objects.filter(pl.col("until").is_null() | (pl.col("until") >= at + horizon))
        rows = rows.join(told.select("object"), on="object", how="semi", maintain_order="left")
        if rows.height:
            after = rows.join(history.used(at, horizon), on="object", how="left", maintain_order="left")
            found.append(Past(at, rows, design(rows), after["count"].fill_null(0)))
    return found


def _of(history: History, chosen: pl.DataFrame) -> History:
    only = chosen.select("object")
    return History(
        *(one.join(only, on="object", how="semi", maintain_order="left") for one in (history.objects, history.events))
    )


def choose(history: History, known: list[Past], horizon: timedelta, learn: bool, *, classic: bool = True) -> Verdict:
    """Judge all contenders by what they would have said at past times, and take the best; rules only if `classic`."""
    total = int(history.events["count"].sum())
    if total < EVENTS_LEAST or not known:
        few = f"the log has {total:,} requests" if total < EVENTS_LEAST else "the log is shorter than a few horizons"
        return Verdict(RATE, f"{few}: too little to judge by")
    can = learn and _can_learn()
    # A model is judged where something was known to learn it from.
    before = {one.at: [two for two in known if two.at + horizon <= one.at] for one in known}
    judged = _spread([one for one in known if can and _enough(before[one.at])])
    models = [_fit(before[one.at]) for one in judged]
    judged = judged or _spread(known)
    cells: dict[str, list[pl.DataFrame]] = {}
    bounds = [Bounds.of(_after(one)) for one in judged]
    by_rate, ranking = _judge(judged, [None] * len(judged), cells.setdefault(RATE, []), [1.0] * len(judged), bounds)
    # What a model says that saw half as much tells little of how far this one is to be trusted.
    shares = [(len(before[one.at]) / len(known)) ** 3 for one in judged]
    by_model, ranking_by_model = (
        _judge(judged, models, cells.setdefault(MODEL, []), shares, bounds) if models else (NONE, NONE)
    )
    history = _of(history, pl.concat([one.rows.select("object") for one in judged]).unique())
    for past, bound in zip(judged, bounds, strict=True):
        rules = _after(past).join(baselines.scores(history, past.at, horizon).drop("bytes"), on="object", how="left",
                           maintain_order="left")  # fmt: skip
        for name in RULES:
            cells.setdefault(name, []).append(regrets(rules, name, bounds=bound))
    told = {name: mean_regret(pl.concat(parts)) for name, parts in cells.items() if parts}
    means = {name: one["mean"] for name, one in told.items() if one}
    ranks = means.get(MODEL, math.inf) < means.get(RATE, math.inf)
    tells = by_model.loss < by_rate.loss
    about: dict[str, Any] = {
        "model": _fit(known) if ranks or tells else None, "tells": tells,
        "calibration": by_model if tells else by_rate, "ranking": ranking_by_model if ranks else ranking,
        "regrets": told, "judged": judged,
    }  # fmt: skip
    if not means:
        return Verdict(RATE, "nothing of the log's past could have been done better than by chance", **about)
    demand = MODEL if ranks else RATE
    best = min(RULES, key=lambda name: means.get(name, math.inf))
    leads = _leads(cells[demand], cells[best])
    if classic and len(leads) in ERRORS and fmean(leads) > max(MARGIN, ERRORS[len(leads)] * _error(leads)):
        why = f"on the log's own past it did best: regret {means[best]:.3f}, {demand} {means[demand]:.3f}"
        return Verdict(best, why, **about)
    return Verdict(demand, _why(demand, means, cells, learn), **about)


def _after(past: Past) -> pl.DataFrame:
    return past.rows.select("object", "bytes").with_columns(count=past.counts)


def _spread(times: list[Past]) -> list[Past]:
    """Some of them, the newest first, as far apart as there is room: what overlaps says the same twice."""
    most = max(len(times) // JUDGED_PART, JUDGED)
    return times[:: max(len(times) // most, 1)][:most]


def _why(demand: str, means: Mapping[str, float], cells: Mapping[str, list[pl.DataFrame]], learn: bool) -> str:
    if MODEL in means:
        leads = _leads(cells[RATE], cells[MODEL])
        by = f"regret {means[MODEL]:.3f} to {means[RATE]:.3f}, at {len(leads)} time{'s' if len(leads) > 1 else ''}"
        by += f", the standard error of the difference being {_error(leads):.3f}" if len(leads) > 1 else ""
        better = "better than the rate" if demand == MODEL else "no better than the rate"
        return f"on the log's own past a model did {better}: {by}"
    if not learn:
        return "no model was asked for"
    return "too little of a past to learn from" if _can_learn() else "scikit-learn is not installed"


def _leads(ours: Sequence[pl.DataFrame], theirs: Sequence[pl.DataFrame]) -> list[float]:
    """By how much theirs is better at each time."""
    means = ((mean_regret(one), mean_regret(two)) for one, two in zip(ours, theirs, strict=True))
    return [one["mean"] - two["mean"] for one, two in means if one and two]


def _error(leads: Sequence[float]) -> float:
    """The standard error of their mean."""
    return stdev(leads) / math.sqrt(len(leads)) if len(leads) > 1 else math.inf


def _judge(
    judged: Sequence[Past],
    models: Sequence[Model | None],
    cells: list[pl.DataFrame],
    weights: Sequence[float],
    bounds: Sequence[Bounds],
) -> tuple[Calibration, Calibration]:
    """Judge what rates, or models, would have said; return what the chances were worth, told ones and ranked ones."""
    said = [raw(past.columns, model) for past, model in zip(judged, models, strict=True)]
    told, ranked = (
        Calibration.fit([(one[name], past.counts) for one, past in zip(said, judged, strict=True)], weights)
        for name in ("any", "ranked")
    )
    for past, one, bound in zip(judged, said, bounds, strict=True):
        score = scored(one.select("expected", past.rows["bytes"], reuse=ranked.apply(one["ranked"])))["score"]
        cells.append(regrets(_after(past).with_columns(score), "score", bounds=bound))
    return told, ranked


def raw(columns: pl.DataFrame, model: Model | None) -> pl.DataFrame:
    """What to expect, before calibration, by the columns of `design`: rates of two memories, and the model.

    Returns
    -------
    DataFrame
        ``expected`` requests, the chance of ``any``, and the chance to be ``ranked`` by. The first two are means of the
        rates and the model, which are nearest to what comes; an order is better where differences are not evened out,
        and goes by the trees alone.
    """
    short, long = (f"{half:g}" for half in RATED)
    expected = ((columns[f"requests_{short}"] + columns[f"requests_{long}"]) / 2).exp()
    chance = (columns[f"any_{short}"] * columns[f"any_{long}"]).sqrt()
    if model is None:
        return pl.DataFrame({"expected": expected, "any": chance, "ranked": chance})
    said = model.predict(columns)
    odds = (logit(chance) + logit(said["trees"]) + logit(said["plain"])) / 3
    told = {"expected": (expected * said["expected"]).sqrt(), "any": 1 / (1 + (-odds).exp()), "ranked": said["trees"]}
    return pl.DataFrame(told)


def _enough(before: Sequence[Past]) -> bool:
    used = sum(int((one.counts > 0).sum()) for one in before)
    return sum(one.rows.height for one in before) >= ROWS_LEAST and used >= USED_LEAST


def _fit(before: Sequence[Past]) -> Model:
    return fit([(one.columns, one.counts) for one in before])


def _can_learn() -> bool:
    from importlib.util import find_spec

    return find_spec("sklearn") is not None
