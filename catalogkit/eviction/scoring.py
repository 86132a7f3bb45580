"""Scores: which objects go first, with the reasons as parts that add up, and a card that says what they rest on.

The ladder is honest: without a log objects are ranked by size and age, and no chance of reuse is claimed. With a log
they are ranked by expected demand per byte, told by rates that lean on the class of each object, or, where that proves
better on the log's own past, by a model; or by a classic rule, where that beats both. The score, in bits::

    score = log2(bytes) - log2(requests + e) / 2 - log2(reuse + e) / 2 - log2(cost of one refetch)

`requests` are those expected within the horizon, `reuse` is the chance of any: the first is the harm where every
request meets the hole, the second where it is filled by the first; their geometric mean serves both. `e` is the demand
that nobody can rule out; below it the larger object goes. One bit more means twice the bytes, or half the demand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.eviction import baselines
from catalogkit.eviction.calibration import NONE, Calibration, logit
from catalogkit.eviction.features import FAMILY, features
from catalogkit.eviction.history import History
from catalogkit.eviction.judging import mean_regret, regrets
from catalogkit.eviction.rates import shrunken
from catalogkit.eviction.sweeps import Swept, swept

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from catalogkit.eviction.model import Model

VERSION: Final = "1"
NOBODY_KNOWS: Final = 0.03
# Enough of a past to learn from, and to be judged by.
EVENTS_LEAST: Final = 50
CUTS: Final = 12
JUDGED: Final = 3
ROWS_LEAST, USED_LEAST = 200, 30
# Pasts are learned from by samples of so many objects.
SAMPLE: Final = 20_000
# Classic rules that may be shipped where they win, and by how much they have to: judged on a few pasts only.
RULES: Final = ("GDSF, decayed", "Hyperbolic", "LRU", "size x age", "largest first")
MARGIN: Final = 0.02
MODEL, RATE, SIZE_AGE = "model", "rate", "size x age"

SCORES: Final = pl.Schema(
    {
        "object": pl.String(),
        "bytes": pl.Int64(),
        "expected": pl.Float64(),
        "reuse": pl.Float64(),
        "part_bytes": pl.Float64(),
        "part_requests": pl.Float64(),
        "part_reuse": pl.Float64(),
        "part_refetch": pl.Float64(),
        "score": pl.Float64(),
    }
)


@dataclass(frozen=True, slots=True)
class Card:
    """What scores rest on.

    Attributes
    ----------
    method, why
        By what objects are ranked, and why by that.
    regrets
        The mean regret of each contender on the log's own past, by judgement; empty where none could be judged.
    calibration
        Of the past: bins of the promised chance, with how many were asked for (`calibration.BINS`).
    drift
        Features that differ most from what was learned from, in standard deviations.
    """

    method: str
    why: str
    as_of: str
    horizon_days: float
    objects: int
    events: int
    first_at: str = ""
    last_at: str = ""
    sweep_chance: float = 0.0
    regrets: dict[str, dict[str, float]] = field(default_factory=dict)
    judged_at: list[str] = field(default_factory=list)
    promised: float | None = None
    came: int | None = None
    calibration: list[dict[str, Any]] = field(default_factory=list)
    calibration_error: float | None = None
    brier_skill: float | None = None
    importance: dict[str, float] = field(default_factory=dict)
    drift: dict[str, float] = field(default_factory=dict)
    version: str = VERSION
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Scores:
    """Objects with their scores, the highest first, and the card."""

    frame: pl.DataFrame
    card: Card


@dataclass(frozen=True, slots=True)
class _Past:
    """What could be told at a time, and what came after."""

    at: datetime
    rows: pl.DataFrame
    counts: pl.Series


def score(
    history: History, as_of: datetime, horizon: timedelta, *, refetch: pl.DataFrame | None = None, learn: bool = True
) -> Scores:
    """Score every object known at a time.

    Parameters
    ----------
    horizon
        How far ahead demand counts.
    refetch
        ``object`` and ``cost``: what fetching it again costs, relative to others; 1 where nothing is said.
    learn
        Whether a model may be learned, where scikit-learn is installed.

    Returns
    -------
    Scores
        The columns of `SCORES`; ``expected`` and ``reuse`` are null where no log tells.
    """
    if horizon.total_seconds() <= 0:
        raise InvalidInput(f"a horizon lies ahead: {horizon}")
    known = history.known(as_of)
    about: dict[str, Any] = {
        "as_of": as_of.isoformat(), "horizon_days": horizon.total_seconds() / 86400, "objects": known.objects.height,
        "events": int(known.events["count"].sum()),
    }  # fmt: skip
    if known.events.is_empty():
        frame = _by_size_and_age(known, as_of)
        return Scores(_ordered(frame, refetch), Card(SIZE_AGE, "there is no log of who asked for what", **about))
    about |= {"first_at": str(known.events["at"].min()), "last_at": str(known.events["at"].max())}
    organic = swept(known, as_of, horizon)
    about["sweep_chance"] = organic.chance
    rows = features(organic.history, as_of, horizon)
    pasts = _pasts(organic.history, horizon)
    method, why, regret, calibration, judged, model = _choose(organic.history, pasts, horizon, learn)
    told = _demand(rows, organic, calibration, model)
    frame = _scored(told.with_columns(rows["bytes"], rows["object"]))
    if method in RULES:
        values = baselines.scores(organic.history, as_of, horizon).select("object", value=method)
        frame = frame.drop("score").join(values, on="object", how="left").with_columns(
            part_bytes=pl.col("value"), part_requests=pl.lit(0.0), part_reuse=pl.lit(0.0), score=pl.col("value")
        )  # fmt: skip
    extra: dict[str, Any] = {"regrets": regret, "judged_at": [one.at.isoformat() for one in judged]}
    extra |= calibration.told()
    if model is not None and pasts:
        extra |= {"importance": _importance(model, pasts[0]), "drift": _drift(rows, pasts)}
    return Scores(_ordered(frame, refetch), Card(method, why, **about, **extra))


# -- the ladder --------------------------------------------------------------------------------------------------------


def _choose(
    history: History, pasts: list[_Past], horizon: timedelta, learn: bool
) -> tuple[str, str, dict[str, dict[str, float]], Calibration, list[_Past], Model | None]:
    """What to rank by, why, the regrets that say so, what P is worth, the pasts that were judged, and the model."""
    total = int(history.events["count"].sum())
    if total < EVENTS_LEAST or not pasts:
        few = f"the log has {total:,} requests" if total < EVENTS_LEAST else "the log is shorter than a few horizons"
        return RATE, f"{few}: too little to judge by", {}, NONE, [], None
    judged = [one for one in pasts if any(two.at + horizon <= one.at for two in pasts)][:JUDGED] or pasts[:JUDGED]
    plain = [_raw(one.rows, None) for one in judged]
    by_rate = Calibration.fit([(one["any"], past.counts) for one, past in zip(plain, judged, strict=True)])
    cells: dict[str, list[pl.DataFrame]] = {RATE: [], **{name: [] for name in RULES}}
    for past, raw in zip(judged, plain, strict=True):
        rows = past.rows.select("object", "bytes").with_columns(count=past.counts)
        mine = _scored(raw.with_columns(rows["bytes"], rows["object"], reuse=by_rate.apply(raw["any"])))
        cells[RATE].append(regrets(rows.with_columns(mine["score"]), "score"))
        rules = baselines.scores(history, past.at, horizon)
        with_rules = rows.join(rules.drop("bytes"), on="object", how="left", maintain_order="left")
        for name in RULES:
            cells[name].append(regrets(with_rules, name))
    learned, by_model = _learned(pasts, judged, horizon) if learn else ([], NONE)
    for past, raw in zip(judged, learned, strict=False):
        rows = past.rows.select("object", "bytes").with_columns(count=past.counts)
        mine = _scored(raw.with_columns(rows["bytes"], rows["object"], reuse=by_model.apply(raw["any"])))
        cells.setdefault(MODEL, []).append(regrets(rows.with_columns(mine["score"]), "score"))
    regret = {name: mean_regret(pl.concat(parts)) for name, parts in cells.items()}
    means = {name: one["mean"] for name, one in regret.items() if one}
    if not means:
        return (
            RATE,
            "nothing of the log's past could have been done better than by chance",
            regret,
            by_rate,
            judged,
            None,
        )
    best = min(RULES, key=lambda name: means.get(name, float("inf")))
    demand = min((name for name in (MODEL, RATE) if name in means), key=lambda name: means[name])
    model = None
    if demand == MODEL:
        model = _fit(pasts)
    calibration = by_model if model is not None else by_rate
    if means[best] < means[demand] - MARGIN:
        why = f"on the log's own past it did best: regret {means[best]:.3f}, {demand} {means[demand]:.3f}"
        return best, why, regret, calibration, judged, model
    if demand == MODEL:
        why = f"on the log's own past it did better than the rate: regret {means[MODEL]:.3f} to {means[RATE]:.3f}"
    elif MODEL in means:
        why = f"on the log's own past a model did no better: regret {means[MODEL]:.3f} to {means[RATE]:.3f}"
    else:
        why = "too little of a past to learn from" if learn and _can_learn() else "scikit-learn is not installed"
        why = why if learn else "no model was asked for"
    return demand, why, regret, calibration, judged, model


def _pasts(history: History, horizon: timedelta) -> list[_Past]:
    """Past times and what came after each, newest first; of large catalogs by a sample of whole families."""
    if history.objects.height > SAMPLE:
        share = SAMPLE / history.objects.height
        chosen = history.objects.select(FAMILY.hash(seed=0) % 1_000_000 < int(share * 1_000_000)).to_series()
        objects = history.objects.filter(chosen)
        history = History(objects, history.events.join(objects.select("object"), on="object", how="semi"))
    found = []
    for at in history.cuts(horizon, CUTS, first_share=0.05):
        rows = features(history, at, horizon)
        told = history.objects.filter(pl.col("until").is_null() | (pl.col("until") >= at + horizon))
        rows = rows.join(told.select("object"), on="object", how="semi", maintain_order="left")
        if rows.height:
            after = rows.join(history.used(at, horizon), on="object", how="left", maintain_order="left")
            found.append(_Past(at, rows, after["count"].fill_null(0)))
    return found


def _learned(pasts: list[_Past], judged: list[_Past], horizon: timedelta) -> tuple[list[pl.DataFrame], Calibration]:
    """What a model that knew only what was known by then would have said at each of the judged times."""
    if not _can_learn():
        return [], NONE
    said = []
    for past in judged:
        before = [one for one in pasts if one.at + horizon <= past.at]
        used = sum(int((one.counts > 0).sum()) for one in before)
        if sum(one.rows.height for one in before) < ROWS_LEAST or used < USED_LEAST:
            return [], NONE
        said.append(_raw(past.rows, _fit(before)))
    return said, Calibration.fit([(one["any"], past.counts) for one, past in zip(said, judged, strict=True)])


def _fit(pasts: Sequence[_Past]) -> Model:
    from catalogkit.eviction.model import fit

    return fit([(one.rows, one.counts) for one in pasts])


def _can_learn() -> bool:
    from importlib.util import find_spec

    return find_spec("sklearn") is not None


# -- demand and scores -------------------------------------------------------------------------------------------------


def _raw(rows: pl.DataFrame, model: Model | None) -> pl.DataFrame:
    """``expected`` requests and the chance of ``any``, before calibration: by rates of two memories, and the model."""
    quick, slow = (shrunken(rows, f"nd_{half}", f"wd_{half}") for half in ("0.5", "2"))
    quick_any, slow_any = (shrunken(rows, f"md_{half}", f"wd_{half}")["any"] for half in ("0.5", "2"))
    expected, chances = (quick["expected"] * slow["expected"]).sqrt(), [(quick_any * slow_any).sqrt()]
    if model is not None:
        said = model.predict(rows)
        expected, chances = (expected * said["expected"]).sqrt(), [*chances, said["trees"], said["plain"]]
    odds = pl.DataFrame({str(number): logit(one) for number, one in enumerate(chances)}).mean_horizontal()
    return pl.DataFrame({"expected": expected, "any": 1 / (1 + (-odds).exp())})


def _demand(rows: pl.DataFrame, organic: Swept, calibration: Calibration, model: Model | None) -> pl.DataFrame:
    """What to expect within the horizon, sweeps included."""
    raw = _raw(rows, model)
    reuse = 1 - (1 - calibration.apply(raw["any"])) * (1 - organic.chance)
    return pl.DataFrame({"expected": raw["expected"] + organic.requests, "reuse": reuse})


def _scored(told: pl.DataFrame) -> pl.DataFrame:
    return told.with_columns(
        part_bytes=pl.col("bytes").clip(1).log(2),
        part_requests=-(pl.col("expected") + NOBODY_KNOWS).log(2) / 2,
        part_reuse=-(pl.col("reuse") + NOBODY_KNOWS).log(2) / 2,
    ).with_columns(score=pl.sum_horizontal("part_bytes", "part_requests", "part_reuse"))


def _by_size_and_age(known: History, as_of: datetime) -> pl.DataFrame:
    days = (pl.lit(as_of) - pl.col("created_at")).dt.total_microseconds() / 86400e6
    return known.objects.select(
        "object", "bytes",
        expected=pl.lit(None, dtype=pl.Float64), reuse=pl.lit(None, dtype=pl.Float64),
        part_bytes=pl.col("bytes").clip(1).log(2),
        # There is no demand to tell: its place is taken by the days since the object was last met.
        part_requests=(days.clip(0) + 1).log(2), part_reuse=pl.lit(0.0),
    ).with_columns(score=pl.col("part_bytes") + pl.col("part_requests"))  # fmt: skip


def _ordered(frame: pl.DataFrame, refetch: pl.DataFrame | None) -> pl.DataFrame:
    """The scores with the cost of a refetch in them, the highest first."""
    costs = refetch if refetch is not None else pl.DataFrame(schema={"object": pl.String(), "cost": pl.Float64()})
    return (
        frame.join(costs.select("object", "cost"), on="object", how="left", maintain_order="left")
        .with_columns(part_refetch=-pl.col("cost").fill_null(1.0).log(2))
        .with_columns(score=pl.col("score") + pl.col("part_refetch"))
        .select(pl.col(name).cast(kind) for name, kind in SCORES.items())
        .sort("score", "object", descending=[True, False], nulls_last=True)
    )


# -- what the card tells -----------------------------------------------------------------------------------------------


def _importance(model: Model, past: _Past) -> dict[str, float]:
    """By how much the chance of reuse changes, on average, when a feature is shuffled; the largest first."""
    rows = past.rows.head(2000)
    plain = model.predict(rows)["trees"]
    groups = {
        "requests": "^(n|nd)_.*$", "readings": "^(m|md)_.*$", "watched": "^(w|wd)_.*$", "idle": "^idle$",
        "age": "^age$", "size": "^bytes$", "class": "^(source|kind|family)$",
        "later arrivals": "^(newer|newest|followed)$", "before the log": "^before$",
    }  # fmt: skip
    found = {
        name: float((model.predict(rows.with_columns(pl.col(columns).shuffle(seed=0)))["trees"] - plain).abs().mean())  # type: ignore[arg-type]
        for name, columns in groups.items()
    }
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _drift(rows: pl.DataFrame, pasts: list[_Past]) -> dict[str, float]:
    """The five features whose mean moved furthest from what was learned from, in standard deviations."""
    from catalogkit.eviction.model import design

    now, before = design(rows)[0], pl.concat([design(one.rows)[0] for one in pasts])
    moved = (now.mean() - before.mean()) / before.std().with_columns(pl.all().clip(1e-9))
    told = {name: float(value) for name, value in moved.row(0, named=True).items() if value is not None}
    return dict(sorted(told.items(), key=lambda one: -abs(one[1]))[:5])
