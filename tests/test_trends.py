"""Trends between snapshots: what the facts say, what was proved when, and how it is drawn."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import catalogkit as ck
from catalogkit import trend_charts, trends
from catalogkit.display import Chart
from catalogkit.errors import InvalidInput
from catalogkit.model import schema
from catalogkit.snapshots import snapshot_facts

START = datetime(2026, 1, 1, tzinfo=UTC)
A, B, C = (letter * 64 for letter in "abc")


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def blobs(*rows: tuple[str, int, float, float | None]) -> pl.DataFrame:
    """Contents: digest, bytes, the day they came, the day they were purged."""
    full = [
        {"sha256": sha256, "bytes": size, "created_at": day(came), "state": "live" if gone is None else "purged",
         "changed_at": day(came if gone is None else gone), "refs": 0, "media_type": "text/plain"}
        for sha256, size, came, gone in rows
    ]  # fmt: skip
    return pl.DataFrame(full, schema=schema("blobs"))


def checks(*rows: tuple[str, float, str]) -> pl.DataFrame:
    """The ledger: digest, day, outcome."""
    full = [{"id": n, "sha256": one[0], "checked_at": day(one[1]), "outcome": one[2]} for n, one in enumerate(rows, 1)]
    return pl.DataFrame(full, schema=schema("checks"))


def facts(*rows: tuple[float, int, int, int]) -> list[dict[str, Any]]:
    """Snapshots: day, documents, logical and unique bytes."""
    names = ("documents", "logical_bytes", "unique_bytes")
    return [
        {"label": f"s{row[0]}", "taken_at": day(row[0]), "kept": False, **dict(zip(names, row[1:], strict=True))}
        for row in rows
    ]


def test_each_snapshot_has_what_changed_since_the_one_before() -> None:
    frame = trends.trend(facts((0, 2, 200, 100), (7, 5, 500, 200), (8, 4, 400, 200)), blobs(), checks())
    assert frame["more_documents"].to_list() == [None, 3, -1]
    assert frame["more_unique_bytes"].to_list() == [None, 100, 0]
    assert frame["repeated_bytes"].to_list() == [100, 300, 200]
    assert frame["repeated_share"].to_list() == [0.5, 0.6, 0.5]
    assert frame["proved_share"].to_list() == [None] * 3  # there is no content


def test_only_the_latest_are_shown_and_none_is_a_frame_too() -> None:
    many = trends.trend(facts(*((n, n, n, n) for n in range(1, trends.SHOWN + 10))), blobs(), checks())
    assert many.height == trends.SHOWN and many["documents"][-1] == trends.SHOWN + 9
    none = trends.trend([], blobs(), checks())
    assert none.is_empty() and none.schema == many.schema


def test_a_content_is_proved_from_its_check_for_so_many_days() -> None:
    """Until then, until a check that is not ok, or until it is purged; what came later does not count before."""
    known = blobs((A, 60, 0, None), (B, 40, 0, 50), (C, 100, 20, None))
    ledger = checks((A, 1, "ok"), (B, 2, "ok"), (B, 5, "corrupt"), (B, 45, "ok"), (C, 21, "ok"), (C, 22, "unknown"))
    asked = [0, 1, 2, 4.9, 5, 11, 11.1, 21.5, 22, 49, 51]
    shares = trends.proved_shares(known, ledger, [day(n) for n in asked], 10)
    assert shares == [0, 0.6, 1.0, 1.0, 0.6, 0.6, 0, 0.5, 0, 0.2, 0]


def test_a_window_has_days_and_times_have_zones() -> None:
    with pytest.raises(InvalidInput, match="1 day or more"):
        trends.proved_shares(blobs(), checks(), [START], 0)
    with pytest.raises(InvalidInput, match="no time zone"):
        trends.proved_shares(blobs(), checks(), [datetime(2026, 1, 1)], 1)  # noqa: DTZ001


digests = st.sampled_from([A, B, C])


@given(
    st.lists(st.tuples(digests, st.integers(0, 40), st.sampled_from(["ok", "corrupt", "unknown"])), max_size=12),
    st.lists(st.integers(0, 60), min_size=1, max_size=5),
    st.integers(1, 15),
)
def test_it_is_what_looking_at_each_time_finds(ledger: list[tuple[str, int, str]], asked: list[int], days: int) -> None:
    """The sums over spans agree with the definition, applied time by time."""
    known = {A: 1, B: 10, C: 100}
    found = trends.proved_shares(
        blobs(*((name, size, 0, None) for name, size in known.items())),
        checks(*ledger),
        [day(number) for number in asked],
        days,
    )
    for number, share in zip(asked, found, strict=True):
        proved = 0
        for name, size in known.items():
            before = [
                (at, place, outcome) for place, (sha, at, outcome) in enumerate(ledger) if sha == name and at <= number
            ]
            newest = max(before, default=None)
            proved += size if newest and newest[2] == "ok" and number - newest[0] <= days else 0
        assert share == pytest.approx(proved / 111)


def test_snapshots_that_are_not_kept_left_their_counts(tmp_path: Path) -> None:
    with ck.init(tmp_path / "c", clock=lambda: day(100)) as collection:
        for number, name in enumerate(("one", "two", "three")):
            (tmp_path / f"{name}.txt").write_text(name)
            ck.ingest(collection, tmp_path / f"{name}.txt", as_of=day(number))
            ck.take_snapshot(collection, name, expires_at=day(10), parquet=False, as_of=day(number))
        ck.take_snapshot(collection, "four", as_of=day(50))
        told = snapshot_facts(collection, as_of=day(60))
        assert [(one["label"], one["documents"], one["unique_bytes"], one["kept"]) for one in told] == [
            ("one", 1, 3, False), ("two", 2, 6, False), ("three", 3, 11, False), ("four", 3, 11, True),
        ]  # fmt: skip
        assert [one["label"] for one in snapshot_facts(collection, as_of=day(1))] == ["one", "two"]


def test_every_chart_draws_levels_and_what_came_and_went() -> None:
    frame = trends.trend(
        facts((0, 2, 200, 100), (7, 5, 500, 200), (8, 1, 100, 100)), blobs((A, 1, 0, None)), checks((A, 0, "ok"))
    )
    growth, unique, logical = trend_charts.sizes(frame).data
    assert (list(growth.y), list(unique.y), list(logical.y)) == ([0, 100, -100], [100, 200, 100], [200, 500, 100])
    growth, documents = trend_charts.documents(frame).data
    assert (list(growth.y), list(documents.y)) == ([0, 3, -4], [2, 5, 1])
    assert list(growth.text) == ["0", "+3", "\N{MINUS SIGN}4"]
    proved, repeats = trend_charts.shares(frame).data
    assert (list(proved.y), list(repeats.y)) == ([1, 1, 1], [0.5, 0.6, 0])
    for draw in (trend_charts.sizes, trend_charts.documents, trend_charts.shares):
        bundle, _ = Chart(draw(frame), "t", "c", frame)._repr_mimebundle_()
        assert len(json.dumps(bundle)) < 40_000 and "<svg" in bundle["text/html"]
        assert "two snapshots" in draw(frame.head(1)).layout.meta["reason"]
