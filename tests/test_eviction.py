"""The ranking by size and age: what it multiplies, what stays, and that it claims no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit import eviction_charts
from catalogkit.errors import InvalidInput
from catalogkit.model import schema
from catalogkit.policies.eviction import LABEL, curve, size_age_scores

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a table, with null where they are silent."""
    columns = schema(table)
    return pl.DataFrame([{**dict.fromkeys(columns), **row} for row in rows], schema=columns, orient="row")


def documents(*rows: dict[str, Any]) -> pl.DataFrame:
    usual = {"tenant": "default", "resolver": "r", "source_url": "https://example.org/x", "media_type": "text/plain"}
    told = enumerate(rows, 1)
    return frame("documents", [{"id": n, "artifact_id": f"a{n}", "seen_at": NOW, **usual, **row} for n, row in told])


def locations(**sizes: int) -> pl.DataFrame:
    told = enumerate(sizes.items(), 1)
    return frame("locations", [{"id": n, "store": "main", "key": name, "sha256": name, "bytes": size, "inode": n}
                               for n, (name, size) in told])  # fmt: skip


def days(number: float) -> datetime:
    return NOW - timedelta(days=number)


def test_bytes_times_days_decide() -> None:
    """The newest sighting of any of its documents is a content's age; ties go to the larger one."""
    told = documents(
        {"sha256": "old", "seen_at": days(100)},
        {"sha256": "big", "seen_at": days(10.9)},
        {"sha256": "big", "seen_at": days(300)},
        {"sha256": "new", "seen_at": NOW + timedelta(days=2)},
    )
    scores = size_age_scores(told, locations(old=5, big=50, new=10**9), NOW)
    assert scores.select("sha256", "age_days", "score_byte_days", "documents").rows() == [
        ("big", 10, 500, 2),
        ("old", 100, 500, 1),
        ("new", 0, 0, 1),
    ]


def test_what_must_stay_comes_last_with_its_reason() -> None:
    """A hold on a document or a content, or one document that cannot be fetched again, keeps the bytes."""
    told = documents(
        {"sha256": "free", "seen_at": days(1)},
        {"sha256": "by-id", "seen_at": days(9)},
        {"sha256": "by-digest", "seen_at": days(9)},
        {"sha256": "shared", "seen_at": days(9)},
        {"sha256": "shared", "seen_at": days(9), "source_url": "file:///local"},
        {"sha256": "nowhere", "seen_at": days(9), "source_url": ""},
    )
    sizes = dict.fromkeys(("free", "by-id", "by-digest", "shared", "nowhere"), 10)
    scores = size_age_scores(told, locations(**sizes), NOW, held=["2", "by-digest"])
    assert scores["sha256"][0] == "free"
    assert dict(scores.select("sha256", "stays").rows()) == {
        "free": "", "by-id": "held", "by-digest": "held", "shared": "source", "nowhere": "source",
    }  # fmt: skip
    assert curve(scores).rows() == [(1, 10, 10)]


@given(size=st.integers(1, 10**12), age=st.integers(0, 10_000), more=st.integers(1, 100))
def test_more_bytes_or_days_never_delay(size: int, age: int, more: int) -> None:
    """A content with more bytes, or not seen for longer, never ranks behind one that is like it otherwise."""
    for sizes, ages in (((size, size * more), (age, age)), ((size, size), (age, age + more))):
        told = documents(*({"sha256": f"{i}", "seen_at": days(a)} for i, a in enumerate(ages)))
        scores = size_age_scores(told, locations(**{f"{i}": s for i, s in enumerate(sizes)}), NOW)
        score = dict(scores.select("sha256", "score_byte_days").rows())
        assert score["1"] >= score["0"]


def test_what_lies_nowhere_is_not_ranked_and_nothing_is_an_empty_frame() -> None:
    """A content without a copy frees nothing; without documents the frame has the same columns."""
    scores = size_age_scores(documents({"sha256": "gone", "seen_at": days(3)}), locations(other=3), NOW)
    nothing = size_age_scores(frame("documents", []), frame("locations", []), NOW)
    assert scores.is_empty() and scores.schema == nothing.schema
    assert curve(nothing).is_empty()
    assert eviction_charts.freed(curve(nothing)).layout.annotations
    with pytest.raises(InvalidInput):
        size_age_scores(frame("documents", []), frame("locations", []), NOW.replace(tzinfo=None))


def test_the_curve_is_short_and_exact_at_its_ends() -> None:
    """Of many contents at most so many points are kept; the last one is the whole."""
    names = {f"{number:04}": number + 1 for number in range(1000)}
    told = documents(*({"sha256": name, "seen_at": days(5)} for name in names))
    shown = curve(size_age_scores(told, locations(**names), NOW), points=40)
    assert shown.height == 40 and shown["rank"].to_list()[:1] + shown["rank"].to_list()[-1:] == [1, 1000]
    assert shown["stored_bytes"][-1] == sum(names.values()) and shown["stored_bytes"].is_sorted()
    assert len(eviction_charts.freed(shown).data) == 1


def test_it_says_what_it_is() -> None:
    """The label names the method, and disowns any chance of reuse."""
    assert "size × age only" in LABEL and "no chance of reuse" in LABEL
