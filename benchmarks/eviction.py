"""Eviction: how much regret each order of removal leaves, on access histories in CSV and on ones that are made up.

``python -m benchmarks eviction TRACE:DAYS ...`` judges traces: ``NAME.csv.gz`` (time, object, size, count) beside
``NAME.objects.csv.gz`` (object, size, created, first_obs, obs_until, prior_count, group, kind), DAYS being the horizon.
Without a trace it judges the regimes of `benchmarks.traces`. ``--million`` scores 8,000 contents, and a million.

At each of several times, readings of the log, every scorer sees what was known by then; what followed within the
horizon judges it. 0 is what somebody who knew the future would have done, 1 is chance (`eviction.judging`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.traces import REGIMES
from catalogkit.eviction import baselines
from catalogkit.eviction.harms import scored
from catalogkit.eviction.history import EVENTS, OBJECTS, History
from catalogkit.eviction.judging import JUDGEMENTS, mean_regret, regrets
from catalogkit.eviction.scoring import Scores, score

OURS, RATES, STALE, NO_LOG = "catalogkit", "catalogkit, no model", "catalogkit, stale log", "catalogkit, no log"
# Ranked for each judgement by the harm that it counts, where `OURS` is one order for all.
EACH = "catalogkit, by each harm"
KNOWN = ("object", "bytes", "expected", "reuse")
REFERENCE = "GDSF, decayed"
# How much worse than the reference the score may be anywhere, and how far off a promise.
WORSE, FACTOR = 0.02, 3.0
MILLION = 1_000_000


def main(arguments: Sequence[str]) -> int:
    """Judge traces and print tables; 1 where a check fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks eviction", description=__doc__)
    parser.add_argument("traces", nargs="*", metavar="TRACE:DAYS", help="NAME.csv.gz and a horizon in days")
    parser.add_argument("--cuts", type=int, default=6, help="times at which the past is asked (6)")
    parser.add_argument("--regimes", nargs="*", metavar="NAME", help=f"made-up ones: {', '.join(REGIMES)}")
    parser.add_argument("--seed", type=int, default=1, help="of made-up ones (1)")
    parser.add_argument("--million", action="store_true", help="score 8,000 contents and a million, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    options = parser.parse_args(arguments)
    jobs = [_trace(given) for given in options.traces]
    if (not jobs and not options.million) or options.regimes is not None:
        names = options.regimes or list(REGIMES)
        jobs += [(name, REGIMES[name][0](options.seed), timedelta(days=REGIMES[name][1])) for name in names]
    found = [judged(name, history, horizon, options.cuts) for name, history, horizon in jobs]
    for one in found:
        print(text(one), flush=True)
    if len(found) > 1:
        print(summary(found))
    if options.million:
        for objects in (8_000, MILLION):
            print(f"{objects:,} contents: {million(objects):.1f} s of CPU", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(all(one["checks"].values()) for one in found) else 1


def _trace(given: str) -> tuple[str, History, timedelta]:
    path, _, days = given.rpartition(":")
    return Path(path).name.removesuffix(".csv.gz"), load(Path(path)), timedelta(days=float(days))


def load(path: Path) -> History:
    """Read a trace."""
    moment = {name: (pl.col(name) * 1_000_000).cast(OBJECTS["since"]) for name in ("created", "first_obs", "obs_until")}
    objects = pl.read_csv(path.with_name(path.name.replace(".csv.gz", ".objects.csv.gz"))).select(
        object="object", name=pl.col("object").str.replace("#.*$", ""), bytes="size", created_at=moment["created"],
        since=moment["first_obs"], until=moment["obs_until"], prior="prior_count", source="group", kind="kind",
        tenant=pl.lit("default"),
    )  # fmt: skip
    at = (pl.col("time") * 1_000_000).cast(EVENTS["at"])
    events = pl.read_csv(path).select(object="object", at=at, count="count")
    return History(objects.cast(dict(OBJECTS)), events.cast(dict(EVENTS)))


def judged(name: str, history: History, horizon: timedelta, most: int) -> dict[str, Any]:
    """Every scorer on one history."""
    cells: dict[str, list[pl.DataFrame]] = {}
    chances, methods, promises, seconds = [], [], [], []
    cuts = history.cuts(horizon, most)
    for at in cuts:
        told = history.objects.filter(
            pl.max_horizontal("created_at", "since") <= at, pl.col("until") >= at + horizon
        ).select("object")
        began = time.process_time()
        ours = score(history, at, horizon)
        seconds.append(time.process_time() - began)
        late = History(history.objects, history.events.filter(pl.col("at") <= at - horizon))
        silent = History(history.objects, history.events.clear())
        rows = (
            told.join(ours.frame.select("object", "bytes", "reuse", pl.col("score").alias(OURS)), on="object")
            .join(_named(score(history, at, horizon, learn=False).frame, RATES), on="object")
            .join(_named(score(late, at, horizon).frame, STALE), on="object")
            .join(_named(score(silent, at, horizon).frame, NO_LOG), on="object")
            .join(baselines.scores(history, at, horizon).drop("bytes"), on="object")
            .join(baselines.scores(late, at, horizon).select("object", stale=REFERENCE), on="object")
            .join(history.used(at, horizon), on="object", how="left")
            .with_columns(pl.col("count").fill_null(0))
            .rename({"stale": f"{REFERENCE}, stale log"})
        )
        for column in [one for one in rows.columns if one not in ("object", "bytes", "reuse", "count")]:
            cells.setdefault(column, []).append(regrets(rows, column))
        chances.append(rows.select("reuse", used=pl.col("count") > 0))
        methods.append(ours.card.method)
        cells.setdefault(EACH, []).append(by_each_harm(ours, rows))
        first = rows.sort(OURS, descending=True).head(max(rows.height // 10, 1))
        promises.append((float(first["reuse"].sum()), int((first["count"] > 0).sum())))
    regret = {scorer: mean_regret(pl.concat(parts)) for scorer, parts in cells.items()}
    chance = pl.concat(chances)
    promised, came = (sum(one[number] for one in promises) for number in (0, 1))
    mean = {scorer: told.get("mean", 0.0) for scorer, told in regret.items()}
    held = {
        f"no more than {WORSE:g} worse than {REFERENCE}": mean[OURS] <= mean[REFERENCE] + WORSE,
        f"a log one horizon old: better than {REFERENCE}": mean[STALE] < mean[f"{REFERENCE}, stale log"],
        "no log: no worse than size x age": mean[NO_LOG] <= mean["size x age"] + 1e-9,
        # One more or less of few is chance.
        f"a promise holds within a factor of {FACTOR:g}": 1 / FACTOR <= (came + 1) / (promised + 1) <= FACTOR,
    }
    return {
        "name": name, "horizon_days": horizon.total_seconds() / 86400, "cuts": len(cuts), "regret": regret,
        "methods": methods, "calibration_error": calibration_error(chance), "brier_skill": brier_skill(chance),
        "promised": promised, "came": came, "cpu_seconds": max(seconds),
        "checks": checks(history, cuts[0], horizon) | held,
    }  # fmt: skip


def by_each_harm(ours: Scores, rows: pl.DataFrame) -> pl.DataFrame:
    """The cells of each judgement, objects being ranked by the harm that it counts; by a classic rule, all the same."""
    found = []
    for aim in JUDGEMENTS:
        told = ours.frame if ours.card.method in baselines.RULES else scored(ours.frame.select(KNOWN), aim)
        ranked = rows.join(_named(told, aim), on="object")
        found.append(regrets(ranked, aim).filter(pl.col("judgement") == aim))
    return pl.concat(found)


def _named(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    return frame.select("object", pl.col("score").alias(name))


def calibration_error(chance: pl.DataFrame, bins: int = 10) -> float:
    """The expected calibration error of chances, in bins of equal width."""
    by_bin = chance.group_by((pl.col("reuse") * bins).floor().clip(0, bins - 1).alias("bin")).agg(
        gap=(pl.col("reuse").mean() - pl.col("used").mean()).abs(), size=pl.len()
    )
    return float(by_bin.select((pl.col("gap") * pl.col("size")).sum()).item() / chance.height)


def brier_skill(chance: pl.DataFrame) -> float:
    """By which share the chances' squared error is below that of the base rate."""
    used = chance["used"].cast(pl.Float64)
    base = float(((used - used.mean()) ** 2).mean())  # type: ignore[arg-type, operator]
    return 1 - float(((chance["reuse"] - used) ** 2).mean()) / base if base else 0.0  # type: ignore[arg-type]


def checks(history: History, at: datetime, horizon: timedelta) -> dict[str, bool]:
    """What must hold whatever the numbers: the same again, monotone in bytes and requests, honest without a log."""
    plain = score(history, at, horizon)
    again = score(history, at, horizon)
    some = plain.frame["object"].sample(min(5, plain.frame.height), seed=1)
    larger = history.objects.with_columns(
        bytes=pl.when(pl.col("object").is_in(some.implode())).then(pl.col("bytes") * 10).otherwise("bytes")
    )
    more = pl.DataFrame({"object": some, "at": [at] * len(some), "count": [10] * len(some)}, schema=EVENTS)
    asked = History(history.objects, pl.concat([history.events, more]))
    silent = score(History(history.objects, history.events.clear()), at, horizon)
    return {
        "the same again": plain.frame.equals(again.frame),
        "ten times the bytes never delay": _moved(plain, score(History(larger, history.events), at, horizon), some)
        >= 0,
        "ten more requests never hasten": _moved(score(asked, at, horizon), plain, some) >= 0,
        "parts add up": bool(
            (pl.sum_horizontal("part_bytes", "part_requests", "part_reuse", "part_refetch") - pl.col("score"))
            .abs()
            .max()
            .pipe(lambda gap: plain.frame.select(gap).item() < 1e-9)
        ),
        "no log, no chance": silent.card.method == "size x age"
        and silent.frame["reuse"].null_count() == silent.frame.height,
    }


def _moved(before: Any, after: Any, objects: pl.Series) -> float:
    """By what share of all the least moved of some objects came forward; the noise of a model learned anew is none."""
    ranks = [
        one.frame.select("object", rank=pl.int_range(pl.len()) / pl.len()).filter(
            pl.col("object").is_in(objects.implode())
        )
        for one in (before, after)
    ]
    both = ranks[0].join(ranks[1], on="object", suffix="_after")
    return float(both.select((pl.col("rank") - pl.col("rank_after") + 0.02).min()).item())


def text(found: dict[str, Any]) -> str:
    """One history's table."""
    lines = [f"\n{found['name']}: {found['cuts']} times, {found['horizon_days']:g} days ahead",
             f"{'':24}" + "".join(f"{name:>10}" for name in (*JUDGEMENTS, "mean"))]  # fmt: skip
    for scorer, regret in sorted(found["regret"].items(), key=lambda one: one[1].get("mean", 9.0)):
        cells = "".join(f"{regret.get(name, float('nan')):10.3f}" for name in (*JUDGEMENTS, "mean"))
        lines.append(f"{scorer:24}{cells}")
    lines.append(
        f"ranked by {', '.join(found['methods'])}; calibration error {found['calibration_error']:.3f}, Brier skill"
        f" {found['brier_skill']:.3f}; of the first tenth {found['promised']:.1f} were promised back, {found['came']}"
        f" came; {found['cpu_seconds']:.1f} s of CPU at most"
    )
    return "\n".join([*lines, *(f"  {'yes' if held else 'NO '} {what}" for what, held in found["checks"].items())])


def summary(found: list[dict[str, Any]]) -> str:
    """Mean regrets, a column for each history."""
    names = [one["name"] for one in found]
    scorers = list(found[0]["regret"])
    rows = {scorer: [one["regret"][scorer].get("mean", float("nan")) for one in found] for scorer in scorers}
    lines = ["", f"{'mean regret':24}" + "".join(f"{name[:12]:>13}" for name in names) + f"{'mean':>9}"]
    for scorer, values in sorted(rows.items(), key=lambda one: float(np.nanmean(one[1]))):
        lines.append(f"{scorer:24}" + "".join(f"{value:13.3f}" for value in values) + f"{np.nanmean(values):9.3f}")
    errors = [one["calibration_error"] for one in found]
    lines.append(f"calibration error {np.mean(errors):.3f} on average; Brier skill at least"
                 f" {min(one['brier_skill'] for one in found):.3f}")  # fmt: skip
    return "\n".join(lines)


def million(objects: int = MILLION) -> float:
    """The CPU that scoring so many contents takes, training included; an eighth of them was ever asked for."""
    random = np.random.default_rng(1)
    begin = datetime(2025, 1, 1, tzinfo=UTC)
    names = np.char.add("o", np.arange(objects).astype(str))
    born = [begin + timedelta(hours=int(hour)) for hour in random.integers(0, 24 * 300, objects)]
    frame = pl.DataFrame(
        {
            "object": names, "name": names, "bytes": np.exp(random.normal(13, 2, objects)).astype(np.int64) + 1,
            "created_at": born, "since": born, "until": [None] * objects, "prior": np.zeros(objects, dtype=np.int64),
            "source": np.char.add("s", random.integers(0, 20, objects).astype(str)),
            "kind": np.char.add("k", random.integers(0, 5, objects).astype(str)), "tenant": ["default"] * objects,
        },
        schema=OBJECTS,
    )  # fmt: skip
    popular = random.zipf(1.6, objects).clip(0, 50) * (random.random(objects) < 0.125)
    who = np.repeat(np.arange(objects), popular)
    when = [begin + timedelta(days=int(day)) for day in random.integers(0, 365, len(who))]
    events = pl.DataFrame({"object": names[who], "at": when, "count": np.ones(len(who), dtype=np.int64)}, schema=EVENTS)
    began = time.process_time()
    score(History(frame, events), begin + timedelta(days=365), timedelta(days=30))
    return time.process_time() - began
