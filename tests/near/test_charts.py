"""Near-duplicates as a picture: what is drawn adds up, and says so where there is nothing to draw."""

from __future__ import annotations

import polars as pl

from catalogkit import near_charts
from catalogkit.display import Chart
from catalogkit.near.table import NEAR


def near(*clusters: list[tuple[int, bool]], stock: int = 0) -> pl.DataFrame:
    """Clusters of contents with so many bytes, the first of each kept, held or not; the last `stock` of them stock."""
    rows = [
        {
            "cluster": number, "kept": place == 0, "similarity": 1 - place / 10, "containment": 1.0,
            "stored_bytes": size, "held": held, "stock": number >= len(clusters) - stock,
            "sha256": f"{number}{place}" * 32,
            "title": "A <title>" if place == 0 else None, "artifact_id": "name", "document_id": place,
            "kept_document_id": 0, "differs": "words",
        }
        for number, members in enumerate(clusters)
        for place, (size, held) in enumerate(members)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=NEAR, orient="row")


def test_the_bars_add_up() -> None:
    """What is kept, and what may go; what is under a hold is kept, and stock pages are no text."""
    frame = near([(5, False), (7, False), (2, True)], [(1, False), (9, False)], [(50, False), (50, False)], stock=1)
    rows = near_charts.sums(frame).select("contents", "kept_bytes", "candidate_bytes", "least_similarity").rows()
    assert rows == [(2, 1, 9, 0.9), (3, 7, 7, 0.8)]
    figure = near_charts.clusters(frame)
    drawn = {bar.name: sum(bar.x) for bar in figure.data if bar.name}
    assert (drawn["candidates"], drawn["kept"]) == (16, 8)
    assert near_charts.members(frame)["bytes"].to_list() == [7, 9]
    assert "A <title>" not in figure.to_json()


def test_what_is_not_shown_is_told() -> None:
    """How many more, with how many bytes."""
    figure = near_charts.clusters(near(*([(1, False), (n, False)] for n in range(1, 6))), top=2)
    assert "3 more with 6 B" in figure.layout.xaxis.title.text


def test_nothing_to_draw() -> None:
    """A sentence instead of an empty picture."""
    chart = Chart(near_charts.clusters(NEAR.to_frame()), "t", "c", near_charts.sums(NEAR.to_frame()))
    assert chart.reason == "No near-duplicates."
