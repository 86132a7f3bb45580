"""Scores objects for eviction: the order, its reasons as parts that add up, and a card of what it rests on.

The ladder is honest: without a log objects are ranked by size and age, and no chance of reuse is claimed. With a log
they are ranked by expected demand per byte, told by rates that lean on the class of each object, or, where that proves
better on the log's own past, by a model; or by a classic rule, where that clearly beats both (`ladder`). The score
counts in bits: one more means twice the bytes, or half the demand, and `harms` says which demand that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.eviction import baselines
from catalogkit.eviction.features import behind, features, watched
from catalogkit.eviction.harms import AIMS, PARTS, scored
from catalogkit.eviction.ladder import MODEL, RATE, RATED, RULES, SIZE_AGE, choose, pasts, raw
from catalogkit.eviction.model import design, rates
from catalogkit.eviction.sweeps import Swept, swept

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from catalogkit.eviction.history import History
    from catalogkit.eviction.model import Model

__all__ = ["MODEL", "RATE", "SIZE_AGE", "Card", "Scores", "score"]

VERSION: Final = "4"
# A log that tells of less than this share of a horizon says nothing of a whole one.
LEAST: Final = 0.25
# By so many standard deviations a feature has drifted: what was learned may not hold for what is there now.
DRIFTED: Final = 1.0
# Of so many objects a mean is told well enough.
SOME: Final = 20_000

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
    aim
        Which harm that makes least: one of `harms.AIMS`.
    told_by
        Who tells the chances of reuse: whoever was nearest to what came in the past, model or rate; empty where nobody
        can, and none are claimed.
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
    aim: str = "balanced"
    told_by: str = ""
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

    @property
    def drifted(self) -> dict[str, float]:
        """The features of which objects are now by `DRIFTED` or more from what a model learned from."""
        return {name: moved for name, moved in self.drift.items() if abs(moved) >= DRIFTED}


@dataclass(frozen=True, slots=True)
class Scores:
    """Objects with their scores, the highest first, and the card.

    ``expected`` and ``reuse`` come from who told them best in the past; the parts, which add up to the score, from who
    ranked best in the past. Where these are two, the card's `method` is the latter.
    """

    frame: pl.DataFrame
    card: Card


def score(
    history: History,
    as_of: datetime,
    horizon: timedelta,
    *,
    refetch: pl.DataFrame | None = None,
    learn: bool = True,
    aim: str = "balanced",
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
    aim
        Which harm to make least: one of `harms.AIMS`.

    Returns
    -------
    Scores
        The columns of `SCORES`, objects as the history has them; ``expected`` and ``reuse`` are null where no log
        tells.
    """
    if horizon.total_seconds() <= 0:
        raise InvalidInput(f"a horizon lies ahead: {horizon}")
    if aim not in AIMS:
        raise InvalidInput(f"no harm is called {aim!r}: {', '.join(AIMS)}")
    known = history.known(as_of)
    about: dict[str, Any] = {
        "aim": aim, "as_of": as_of.isoformat(), "horizon_days": horizon.total_seconds() / 86400,
        "objects": known.objects.height, "events": int(known.events["count"].sum()),
    }  # fmt: skip
    if known.events.is_empty():
        frame = _by_size_and_age(known, as_of)
        return Scores(_ordered(frame, refetch), Card(SIZE_AGE, "there is no log of accesses", **about))
    about |= {"first_at": str(known.events["at"].min()), "last_at": str(known.events["at"].max())}
    if (span := watched(known, as_of, horizon)) < LEAST * horizon:
        why = f"the log tells of {_in_words(span)}, too little to say what comes in {_in_words(horizon)}"
        return Scores(_ordered(_by_size_and_age(known, as_of), refetch), Card(SIZE_AGE, why, **about))
    organic = swept(known, as_of, horizon)
    about["sweep_chance"] = organic.chance
    past = pasts(organic.history, horizon)
    # To a classic rule what came since the log ends looks as if nobody wanted it.
    classic = not behind(known, as_of, horizon)
    verdict = choose(organic.history, past, horizon, learn, classic=classic)
    rows = features(organic.history, as_of, horizon, None if verdict.model else RATED)
    columns = design(rows) if verdict.model else rates(rows, RATED)
    said = {who: raw(columns, model) for who, model in ((RATE, None), (MODEL, verdict.model)) if who == RATE or model}
    teller, ranker = MODEL if verdict.tells else RATE, MODEL if verdict.method == MODEL else RATE
    told = _demand(rows, organic, said[teller], verdict.calibration.apply(said[teller]["any"]))
    frame = scored(told, aim)
    if aim == "balanced" and {teller, ranker} != {RATE}:
        chance = verdict.ranking.apply(said[ranker]["ranked"])
        ranked = scored(_demand(rows, organic, said[ranker], chance))
        frame = told.with_columns(ranked.select(*PARTS, "score"))
    if verdict.method in RULES:
        values = baselines.scores(organic.history, as_of, horizon).select("object", value=verdict.method)
        frame = frame.drop("score").join(values, on="object", how="left", maintain_order="left").with_columns(
            part_bytes=pl.col("value"), part_requests=pl.lit(0.0), part_reuse=pl.lit(0.0), score=pl.col("value")
        )  # fmt: skip
    extra: dict[str, Any] = {"regrets": verdict.regrets, "judged_at": [one.at.isoformat() for one in verdict.judged]}
    extra |= verdict.calibration.told() | {"told_by": MODEL if verdict.tells else RATE}
    if verdict.model is not None:
        before = pl.concat([one.columns for one in past])
        extra |= {"importance": _importance(verdict.model, past[0].columns), "drift": _drift(columns, before)}
    return Scores(_ordered(frame, refetch), Card(verdict.method, verdict.why, **about, **extra))


def _demand(rows: pl.DataFrame, organic: Swept, said: pl.DataFrame, chance: pl.Series) -> pl.DataFrame:
    """What to expect within the horizon, sweeps included."""
    reuse = 1 - (1 - chance) * (1 - organic.chance)
    return rows.select("object", "bytes", expected=said["expected"] + organic.requests, reuse=reuse)


def _in_words(span: timedelta) -> str:
    seconds = span.total_seconds()
    for name, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} seconds"


def _by_size_and_age(known: History, as_of: datetime) -> pl.DataFrame:
    asked = known.events.group_by("object").agg(last=pl.col("at").max())
    days = (pl.lit(as_of) - pl.max_horizontal("created_at", "last")).dt.total_microseconds() / 86400e6
    return known.objects.join(asked, on="object", how="left", maintain_order="left").select(
        "object", "bytes",
        expected=pl.lit(None, dtype=pl.Float64), reuse=pl.lit(None, dtype=pl.Float64),
        part_bytes=pl.col("bytes").clip(1).log(2),
        # There is no demand to tell: its place is taken by the days since the object was last met.
        part_requests=days.clip(1 / 86400).log(2), part_reuse=pl.lit(0.0),
    ).with_columns(score=pl.col("part_bytes") + pl.col("part_requests"))  # fmt: skip


def _ordered(frame: pl.DataFrame, refetch: pl.DataFrame | None) -> pl.DataFrame:
    """The scores with the cost of a refetch in them, the highest first; equal ones stay in the order they came in."""
    costs = frame.select("object", cost=pl.lit(1.0)) if refetch is None else refetch
    # Nearly always it is the same objects in the same order, and to look up millions of names takes seconds.
    if frame["object"].equals(costs["object"]):
        priced = frame.with_columns(costs["cost"])
    else:
        priced = frame.join(costs.select("object", "cost"), on="object", how="left", maintain_order="left")
    return (
        priced.with_columns(part_refetch=-pl.col("cost").fill_null(1.0).log(2))
        .with_columns(score=pl.col("score") + pl.col("part_refetch"))
        .select("object", *(pl.col(name).cast(kind) for name, kind in SCORES.items() if name != "object"))
        .sort("score", descending=True, nulls_last=True, maintain_order=True)
    )


# -- what the card tells -----------------------------------------------------------------------------------------------


def _importance(model: Model, columns: pl.DataFrame) -> dict[str, float]:
    """By how much the chance of reuse changes, on average, when a feature is shuffled; the largest first."""
    rows = columns.head(2000)
    plain = model.predict(rows)["trees"]
    groups = {
        "requests": "^(requests|n)_.*$", "readings": "^(readings|any|m)_.*$", "idle": "^idle$", "age": "^age$",
        "size": "^size$", "class": "^class_.*$", "later arrivals": "^(newer|newest|followed)$",
        "before the log": "^before$",
    }  # fmt: skip
    found = {
        name: float((model.predict(rows.with_columns(pl.col(columns).shuffle(seed=0)))["trees"] - plain).abs().mean())  # type: ignore[arg-type]
        for name, columns in groups.items()
    }
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _drift(columns: pl.DataFrame, before: pl.DataFrame) -> dict[str, float]:
    """The five features whose mean moved furthest from what was learned from, in standard deviations."""
    now = columns.gather_every(max(columns.height // SOME, 1))
    moved = (now.mean() - before.mean()) / before.std().with_columns(pl.all().clip(1e-9))
    told = {name: float(value) for name, value in moved.row(0, named=True).items() if value is not None}
    return dict(sorted(told.items(), key=lambda one: -abs(one[1]))[:5])
