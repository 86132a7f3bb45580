"""The index page of reports: every run, its headline figures, and how they changed.

It is made of the JSON files beside the runs and of nothing else, so it can be deleted and written again at any time.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from catalogkit.display import SCROLL, format_bytes, format_share
from catalogkit.html import page_of

__all__ = ["INDEX", "Run", "runs", "write_index"]

INDEX: Final = "index.html"
SHOWN_RUNS: Final = 20
SHOWN_FIGURES: Final = 6
TREND_RUNS: Final = 30
_WIDTH, _HEIGHT = 120, 28


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a report, as its files tell; `facts` is empty where it failed."""

    report: str
    stem: Path
    at: datetime
    facts: Mapping[str, Any]

    @property
    def failed(self) -> bool:
        """Whether it ended before its facts were written."""
        return not self.facts

    @property
    def figures(self) -> dict[str, float]:
        """Its figures that are numbers, by name."""
        found = self.facts.get("figures", {})
        return {k: v for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}

    @property
    def question(self) -> str:
        """What it was about: runs with the same catalog and parameters can be compared."""
        parameters = {k: v for k, v in self.facts.get("parameters", {}).items() if k != "as_of"}
        return json.dumps([self.facts.get("catalog"), parameters], sort_keys=True, default=str)


def runs(folder: Path) -> list[Run]:
    """Every run below `folder`, reports by name, newest first in each."""
    found = []
    for notebook in folder.glob("*/*.ipynb"):
        try:
            at = datetime.strptime(notebook.stem.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            continue  # somebody's own notebook
        facts = notebook.with_suffix(".json")
        try:
            told = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
        except ValueError:
            told = {}  # cut short: as good as none
        found.append(Run(notebook.parent.name, notebook.with_suffix(""), at, told))
    return sorted(found, key=lambda run: (run.report, -run.at.timestamp(), run.stem.name))


def write_index(folder: Path | str) -> Path:
    """Write ``index.html`` into the folder of all reports, whole or not at all; returns its path."""
    home = Path(folder)
    parts = [_report(name, list(group)) for name, group in groupby(runs(home), key=lambda run: run.report)]
    body = '<p class="eyebrow">catalogkit</p>\n<h1>Reports</h1>\n' + (
        "\n".join(parts) or "<p>No report has run yet; <code>catalogkit report all</code> runs every one.</p>"
    )
    draft = home / f".{INDEX}.{uuid.uuid4().hex}"
    draft.write_text(page_of("Reports", body), encoding="utf-8")
    os.replace(draft, home / INDEX)
    return home / INDEX


def _report(name: str, group: list[Run]) -> str:
    good = [run for run in group if not run.failed]
    cards = _cards(good) if good else ""
    rows = "".join(_row(run) for run in group[:SHOWN_RUNS])
    head = "".join(f'<th scope="col">{text}</th>' for text in ("run (UTC)", "catalog", "took", "what it left"))
    rest = f"<p>… and {len(group) - SHOWN_RUNS:,} earlier runs.</p>" if len(group) > SHOWN_RUNS else ""
    title = escape(name.replace("_", " "))
    newest = next((run.stem.with_suffix(".html") for run in good if run.stem.with_suffix(".html").exists()), None)
    if newest:
        title = f'<a href="{escape(name)}/{escape(newest.name)}">{title} &rarr;</a>'
    return (
        f'<h2 id="{escape(name)}">{title}</h2>\n{cards}\n{SCROLL}'
        f'<table class="ck-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{rest}'
    )


def _row(run: Run) -> str:
    kinds = [kind for kind in ("html", "ipynb", "json") if run.stem.with_suffix(f".{kind}").exists()]
    links = " ".join(
        f'<a href="{escape(run.report)}/{escape(run.stem.name)}.{kind}">{"page" if kind == "html" else kind}</a>'
        for kind in kinds
    )
    if run.failed:
        links = f'<span class="ck-failed">failed</span> {links}'
    took = f"{run.facts['seconds']:.1f} s" if "seconds" in run.facts else ""
    cells = (f"{run.at:%Y-%m-%d %H:%M:%S}", escape(str(run.facts.get("catalog") or "")[:8]), took, links)
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cards(good: list[Run]) -> str:
    """The newest run's first figures, each with its way through the runs that asked the same."""
    newest = good[0]
    like = [run for run in good if run.question == newest.question][:TREND_RUNS]
    cards, shown = "", list(newest.figures.items())[:SHOWN_FIGURES]
    names = [_plain(name) for name, _ in shown]
    for name, value in shown:
        # Of a number of things and their bytes, which may bear one name, each says which it is.
        label = _plain(name) if names.count(_plain(name)) == 1 else name.replace("_", " ")
        series = [run.figures[name] for run in reversed(like) if name in run.figures]
        trend = _trend(name, series) if len(series) > 1 else ""
        cards += (
            f'<div class="ck-card" role="listitem"><div class="ck-label">{escape(label)}</div>'
            f'<div class="ck-value">{escape(_text(name, value))}</div>{trend}</div>'
        )
    in_row = f"--in-row:{max(len(shown), 3)}"
    return f'<div class="ck-cards" role="list" style="{in_row}">{cards}</div>' if cards else ""


def _trend(name: str, series: list[float]) -> str:
    """The change since the run before, in words, and a line through the last runs."""
    change = series[-1] - series[-2]
    sign = "+" if change > 0 else "\N{MINUS SIGN}"
    words = f"{sign}{_text(name, abs(change))} since the run before" if change else "as in the run before"
    low, span = min(series), (max(series) - min(series)) or 1
    step = (_WIDTH - 4) / (len(series) - 1)
    points = " ".join(
        f"{2 + place * step:.1f},{_HEIGHT - 3 - (value - low) / span * (_HEIGHT - 6):.1f}"
        for place, value in enumerate(series)
    )
    label = f"{_plain(name)} over {len(series)} runs, from {_text(name, series[0])} to {_text(name, series[-1])}"
    return (
        f'<svg class="ck-trend" role="img" aria-label="{escape(label)}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" height="{_HEIGHT}"><title>{escape(label)}</title><polyline fill="none" stroke="#0072B2"'
        f' stroke-width="2" points="{points}"/></svg><div class="ck-what">{escape(words)}</div>'
    )


def _plain(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ")


def _text(name: str, value: float) -> str:
    """A figure as its name says: bytes, a share, or a number."""
    if name.endswith("_bytes") or name == "bytes" or name.startswith("bytes_"):
        return format_bytes(value)
    if isinstance(value, float) and 0 <= value <= 1 and any(word in name for word in ("share", "ratio", "rate")):
        return format_share(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
