"""``python -m benchmarks.page FILE...``: what runs with ``--json FILE`` found, as ``docs/benchmarks.md``.

Of a race that several files have, the last one counts. All of it is kept in ``docs/benchmarks.json``, which is added
to: whoever measures one job anew gives one new file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

# The number of a version, in whatever else a program says of itself.
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)+")
DOCS: Final = Path(__file__).parents[1] / "docs"
KEPT, PAGE = DOCS / "benchmarks.json", DOCS / "benchmarks.md"

HEAD: Final = """# Benchmarks

Made by `python -m benchmarks --json FILE` and `python -m benchmarks.page FILE`; [performance](performance.md) says
what it means, and has what was measured otherwise. Every contender is a whole process, in turns, on the same files,
and believed only if its answer says that all was done. Times are medians in seconds; a ratio is how many times as
much another needed as the first did, so **above 1 means that the first is quicker**. Where it is below 1 the other is
better.
"""


def merged(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The races of all runs, by title, each with the machine it ran on; the later wins."""
    races: dict[str, Any] = {}
    for run in runs:
        for race in run["races"]:
            machine = race.get("machine") or {**run["machine"], "quick": run["quick"]}
            races[race["title"]] = {**race, "machine": machine}
    return {"races": list(races.values())}


def render(found: Mapping[str, Any]) -> str:
    """The page."""
    races = found["races"]
    goals = [goal for race in races for goal in race["goals"] if goal["verdict"] != "told"]
    met = sum(goal["verdict"] == "met" for goal in goals)
    parts = [HEAD, f"## Claims: {met} of {len(goals)} are met\n", "| claim | found | |\n|---|---|---|"]
    # What is not met comes first: it is what somebody who decides has to know.
    for goal in sorted(goals, key=lambda goal: goal["verdict"] == "met"):
        verdict = goal["verdict"] if goal["verdict"] == "met" else f"**{goal['verdict'].lower()}**"
        parts.append(f"| {goal['text']} | {goal['found']} | {verdict} |")
    parts.append("")
    for race in races:
        parts += _race(race)
    machines = {
        json.dumps({**race["machine"], "when": "", "quick": ""}, sort_keys=True): race["machine"] for race in races
    }
    parts.append("## Machines\n")
    for machine in machines.values():
        peers = ", ".join(f"{name} {_NUMBER.findall(said)[0]}" for name, said in sorted(machine["peers"].items()))
        memory = int(machine["memory"].split()[0]) / 1e6
        kernel = " ".join(machine["kernel"].split()[:1] + _NUMBER.findall(machine["kernel"])[:1])
        parts.append(
            f"* {machine['cores']} cores, {machine['processor']}, {memory:.0f} GB of memory, {kernel},"
            f" {machine['disk'].split(' ')[0]}, Python {machine['python']}, SQLite {machine['sqlite']}. Peers: {peers}."
        )
    return "\n".join(parts) + "\n"


def _race(race: Mapping[str, Any]) -> list[str]:
    own = {"title", "load", "left_out", "contenders", "goals", "machine"}
    facts = [f"{value / 1e9:.2f} GB" if name == "bytes" else f"{value:,} {name}" for name, value in race.items()
             if name not in own and isinstance(value, int | float)]  # fmt: skip
    contenders = race["contenders"]
    rounds = len(next(iter(contenders.values()))["samples"])
    facts += [f"{rounds} round{'s' * (rounds > 1)}", f"load up to {race['load']:.0f}", race["machine"]["when"][:10]]
    facts += ["a quick look"] * bool(race["machine"]["quick"])
    lines = [f"## {race['title']}\n", ", ".join(facts) + ".\n"]
    lines += ["| | wall | CPU | wall ratio | CPU ratio |", "|---|---|---|---|---|"]
    for number, (name, its) in enumerate(contenders.items()):
        times = (f"{median(sample[measure] for sample in its['samples']):.3g}" for measure in ("wall", "cpu"))
        ratios = (f"{its['ratio'][measure]['median']:.2f}x" if number else "" for measure in ("wall", "cpu"))
        lines.append(f"| {' | '.join((name, *times, *ratios))} |")
    lines += ["", *(f"{goal['text']}: {goal['found']}.\n" for goal in race["goals"] if goal["verdict"] == "told")]
    lines += [*(f"Left out: {', '.join(race['left_out'])}.\n" for _ in [1] if race["left_out"])]
    return lines


def main(files: Sequence[str]) -> int:
    """Add the runs in these files to what is kept, and write the page."""
    before = [json.loads(KEPT.read_text())] if KEPT.exists() else []
    found = merged(
        [{"machine": {}, "quick": False, **run} for run in before] + [json.loads(Path(f).read_text()) for f in files]
    )
    # A line for each race, so that a new run is seen to change its own.
    KEPT.write_text('{"races": [\n' + ",\n".join(map(json.dumps, found["races"])) + "\n]}\n")
    PAGE.write_text(render(found))
    print(f"{PAGE.name}: {len(found['races'])} races")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
