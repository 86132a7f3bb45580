"""The figures of `catalogkit.fixity`: they agree with those of `catalogkit.coverage`, and with a count by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit import fixity
from catalogkit.coverage import coverage
from catalogkit.errors import InvalidInput
from catalogkit.model import schema

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
A, B = "a" * 64, "b" * 64


def locs(*rows: dict[str, Any]) -> pl.DataFrame:
    """A locations frame; what a row leaves out gets a default, ids count from 1."""
    usual = {"store": "main", "layout": "cas", "sha256": A, "bytes": 100, "created_at": AS_OF - timedelta(days=900)}
    full = [usual | {"id": number, "key": f"k{number}"} | row for number, row in enumerate(rows, 1)]
    return pl.DataFrame(full, schema=schema("locations"))


def ok(days: float, **more: Any) -> dict[str, Any]:
    """A copy whose last check was ok, so many days ago."""
    return {"outcome": "ok", "checked_at": AS_OF - timedelta(days=days), **more}


checks = st.one_of(
    st.just({}),
    st.builds(
        lambda days, outcome: {"outcome": outcome, "checked_at": AS_OF - timedelta(days=days)},
        st.sampled_from([-2.0, 0.0, 0.5, 7.0, 29.9, 30.0, 31.0, 90.0, 400.0]),
        st.sampled_from(["ok", "ok", "ok", "unknown", "corrupt", "missing"]),
    ),
)
copies = st.lists(
    st.builds(
        lambda check, size, store, inode, sha256: {
            "bytes": size, "store": store, "inode": inode, "sha256": sha256, **check
        },
        checks, st.integers(0, 50), st.sampled_from(["main", "far"]), st.sampled_from([None, 1, 2]),
        st.sampled_from([A, B]),
    ),
    max_size=12,
)  # fmt: skip


@given(copies)
def test_the_clock_agrees_with_the_windows(rows: list[dict[str, Any]]) -> None:
    """At every window the curve says what `coverage` says of it, and it never falls."""
    frame = locs(*rows)
    windows = [1, 7, 30, 90, 365]
    told = coverage(frame, AS_OF, windows)
    curve = fixity.clock(frame, AS_OF)
    if not told.physical_bytes:
        assert curve.is_empty()
        return
    assert curve["days"].is_sorted() and curve["verified_bytes"].is_sorted()
    for days in windows:
        assert curve.filter(pl.col("days") <= days)["verified_bytes"][-1] == told.verified_bytes[days]
    assert curve["share_of_bytes"][-1] * told.physical_bytes == pytest.approx(told.by_outcome["ok"].bytes)


@given(copies)
def test_classes_add_up_to_all_stored_bytes(rows: list[dict[str, Any]]) -> None:
    """Whatever the classes and stores, the cells are all the bytes there are, each where it belongs."""
    frame = locs(*rows)
    told = coverage(frame, AS_OF, [7, 30])
    by_store = fixity.classes_by(frame, "store", AS_OF)
    assert by_store.select(pl.sum_horizontal(*fixity.CLASSES).sum()).item() == told.physical_bytes
    assert by_store["corrupt"].sum() == told.by_outcome["corrupt"].bytes
    assert by_store["never checked"].sum() == told.never_checked_bytes
    assert by_store["ok, up to 7 d"].sum() == told.verified_bytes[7]
    assert fixity.classes_by(frame, "layout", AS_OF)["corrupt"].sum() == told.by_outcome["corrupt"].bytes


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    """However many objects, the curve has about as many points as asked for, its last one included."""
    frame = locs(*[ok(number / 10, bytes=1) for number in range(1000)])
    curve = fixity.clock(frame, AS_OF, points=50)
    assert 50 <= curve.height <= 53
    assert curve.row(-1) == (pytest.approx(99.9), 1000, 1.0)
    with pytest.raises(InvalidInput, match="2 points"):
        fixity.clock(frame, AS_OF, points=1)


def test_the_pace_counts_idle_days() -> None:
    """Bytes and checks of the window, whatever their outcome, over all of its days."""
    rows = [(date(2026, 5, 31), "ok", 3, 300), (date(2026, 5, 30), "corrupt", 1, 100), (date(2026, 4, 1), "ok", 9, 900)]
    days = pl.DataFrame(rows, schema=fixity.DAYS, orient="row")
    assert fixity.pace(days, AS_OF, 10) == {"checks": 0.4, "bytes": 40.0}
    assert fixity.round_days(400, 40.0) == 10
    assert fixity.round_days(400, 0.0) is None


def test_longest_unproved_first() -> None:
    """Never proved comes first, the larger before the smaller; then the oldest; what is bad is not listed."""
    frame = locs(
        ok(5), ok(50), {"bytes": 7}, {"bytes": 70}, ok(1, outcome="corrupt"), ok(1, outcome="missing"),
        ok(3, outcome="unknown", bytes=1), ok(-1, bytes=2),
    )  # fmt: skip
    found = fixity.longest_unproved(frame, AS_OF)
    assert found["key"].to_list() == ["k4", "k3", "k8", "k7", "k2", "k1"]
    assert found["days"].to_list()[4:] == [50, 5]
    assert fixity.longest_unproved(frame, AS_OF, 2).height == 2
    assert fixity.longest_unproved(locs(), AS_OF).columns == found.columns
