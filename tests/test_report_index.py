"""The page in front of the reports: every run, what it found, how that moved."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from catalogkit.report_index import SHOWN_RUNS, runs, write_index


def put(folder: Path, stem: str, report: str = "dedup", **facts: Any) -> Path:
    """Leave the files of a run; without facts, those of one that failed."""
    home = folder / report
    home.mkdir(parents=True, exist_ok=True)
    (home / f"{stem}.ipynb").write_text("{}")
    if facts:
        (home / f"{stem}.html").write_text("")
        (home / f"{stem}.json").write_text(json.dumps({"catalog": "abcdef0123", "seconds": 1.5, **facts}))
    return home / stem


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    """Where nothing has run, the page says what to type."""
    assert "catalogkit report all" in write_index(tmp_path).read_text()


def test_every_run_is_listed_newest_first_with_links(tmp_path: Path) -> None:
    """Runs stand under their report, newest first; a link leads to each file that is there, and nowhere else."""
    put(tmp_path, "20260301T120000Z-aaaaaaaa", figures={"documents": 3})
    put(tmp_path, "20260302T120000Z-aaaaaaaa", figures={"documents": 5})
    put(tmp_path, "20260302T130000Z-bbbbbbbb", report="audit", figures={})
    page = write_index(tmp_path).read_text()
    links = re.findall(r'href="([^"]+)"', page)
    # Three of each run, and a title that leads to the newest page.
    assert len(links) == 11 and all((tmp_path / link).is_file() for link in links)
    assert next(link for link in links if link.startswith("dedup")) == "dedup/20260302T120000Z-aaaaaaaa.html"
    assert page.index("audit") < page.index("dedup")


def test_things_and_their_bytes_are_told_apart(tmp_path: Path) -> None:
    """Two figures whose names differ by the unit alone say which is which."""
    put(tmp_path, "20260301T120000Z-aaaaaaaa", figures={"may_go": 3, "may_go_bytes": 4000, "saved_bytes": 1})
    labels = re.findall(r'ck-label">([^<]+)', write_index(tmp_path).read_text())
    assert labels == ["may go", "may go bytes", "saved"]


def test_a_failed_run_is_named_as_that(tmp_path: Path) -> None:
    """A notebook without facts, or with half of them, is a run that failed."""
    stem = put(tmp_path, "20260301T120000Z-aaaaaaaa")
    stem.with_suffix(".json").write_text('{"catalog": "ab')
    (run,) = runs(tmp_path)
    assert run.failed
    assert "failed" in write_index(tmp_path).read_text()


def test_figures_are_compared_with_the_run_before_that_asked_the_same(tmp_path: Path) -> None:
    """The change is told in the figure's unit; runs with other parameters are no part of it."""
    for day, (size, top) in enumerate([(1000, 5), (9000, 6), (4000, 5)], 1):
        figures = {"saved_bytes": size, "dedup_ratio": 0.25, "name": "x", "fine": True}
        put(tmp_path, f"2026030{day}T120000Z-aaaaaaaa", figures=figures, parameters={"top": top, "as_of": str(day)})
    page = write_index(tmp_path).read_text()
    assert "+3.00 kB since the run before" in page
    assert "25.0 %" in page and "as in the run before" in page
    assert "over 2 runs, from 1.00 kB to 4.00 kB" in page
    assert "name" not in re.findall(r'ck-label">([^<]+)', page)


def test_old_runs_are_counted_not_listed(tmp_path: Path) -> None:
    """The page stays short however many runs there are, and says how many it leaves out."""
    for minute in range(SHOWN_RUNS + 7):
        put(tmp_path, f"20260301T12{minute:02}00Z-aaaaaaaa", figures={"documents": minute})
    page = write_index(tmp_path).read_text()
    assert "and 7 earlier runs" in page
    assert page.count("<tr>") == SHOWN_RUNS + 1


def test_hostile_facts_do_nothing(tmp_path: Path) -> None:
    """Whatever a file says is text."""
    put(tmp_path, "20260301T120000Z-aaaaaaaa", figures={"<script>": 1}, catalog="<img src=x>")
    page = write_index(tmp_path).read_text()
    assert "<script" not in page and "<img" not in page


def test_other_notebooks_are_left_out(tmp_path: Path) -> None:
    """A notebook that is no run is no run."""
    put(tmp_path, "mine")
    assert runs(tmp_path) == []
