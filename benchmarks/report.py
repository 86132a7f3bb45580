"""Results for people, as a table, and for programs, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks.race import MEASURES, Race, Spread


def text(race: Race) -> str:
    """A race as a table: medians with their extremes, then how many times the first contender's each is."""
    rounds = len(race.samples[race.first])
    about = [f"{value / 1e9:.2f} GB" if name == "bytes" else f"{value:,} {name}" for name, value in race.facts.items()]
    about += [f"{rounds} round{'s' * (rounds > 1)}", f"load up to {race.load:.1f}"]
    shown = [measure for measure in MEASURES if _known(race, measure)]
    heads = {"wall": "wall s", "cpu": "CPU s", "peak_bytes": "peak MB"}
    rows = [["", *(heads[m] for m in shown), *(f"{heads[m].split()[0]} ratio" for m in shown)]]
    for name in race.samples:
        own = [_spread(race.spread(name, m), 1e6 if m == "peak_bytes" else 1) for m in shown]
        ratios = ["1" if name == race.first else _spread(race.ratio(name, m)) for m in shown]
        rows.append([name, *own, *ratios])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"{race.title}: {', '.join(about)}"]
    lines += [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    lines += [f"  {goal.verdict}: {goal.text} ({goal.found})" for goal in race.goals]
    lines += [f"  left out: {name}" for name in race.left_out]
    return "\n".join(lines)


def data(race: Race) -> dict[str, Any]:
    """A race as plain data, with every sample."""
    contenders = {
        name: {
            "samples": [{m: getattr(sample, m) for m in MEASURES} for sample in samples],
            "ratio": {m: asdict(race.ratio(name, m)) for m in MEASURES if _known(race, m)},
        }
        for name, samples in race.samples.items()
    }
    goals = [asdict(goal) for goal in race.goals]
    facts = {"title": race.title, **race.facts, "load": race.load, "left_out": list(race.left_out)}
    return facts | {"contenders": contenders, "goals": goals}


def _known(race: Race, measure: str) -> bool:
    return all(getattr(sample, measure) is not None for samples in race.samples.values() for sample in samples)


def _spread(spread: Spread, unit: float = 1) -> str:
    median, least, most = (f"{value / unit:.3g}" for value in (spread.median, spread.least, spread.most))
    return median if least == most else f"{median} ({least}-{most})"
