"""Conflicts as pictures: what is shown and what is kept, by site and group."""

from __future__ import annotations

import polars as pl

from catalogkit import conflict_charts
from catalogkit.planners.reconcile import CONFLICTS


def frame(*rows: tuple[str, str, bool]) -> pl.DataFrame:
    values = [{"document_id": 1, "group": group, "site": site, "shown": shown} for site, group, shown in rows]
    return pl.DataFrame(values, schema=CONFLICTS)


def test_a_bar_for_each_site_and_group() -> None:
    """What is shown of a site's values beside what is kept, and nothing left out."""
    found = frame(
        ("east", "content", True), ("west", "content", False), ("west", "life", True), ("west", "life", False)
    )
    counted = conflict_charts.sites(found)
    assert counted.rows() == [("east", "content", 1, 0), ("west", "content", 0, 1), ("west", "life", 1, 1)]
    shown, kept = conflict_charts.by_site(counted).data
    assert list(shown.y) == ["east, content", "west, content", "west, there or not"]
    assert (sum(shown.x), sum(kept.x)) == (2, 2)


def test_nothing_to_draw_is_said() -> None:
    """Where there is no conflict, words say so."""
    assert "No conflicts" in conflict_charts.by_site(conflict_charts.sites(frame())).layout.annotations[0].text
