"""What goes to a cheap store, what comes back, and what that costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from catalogkit.plan import Head
from catalogkit.planners import tier
from catalogkit.planners.tier import BACK, COLD, WANTED, Side
from catalogkit.policies.prices import Price
from catalogkit.policies.tiering import TierPolicy
from tests.conftest import NOON

HEAD = Head("tier", "00", NOON, NOON + timedelta(days=7))
POLICY = TierPolicy(cold="cold", hot="hot", older_than="90d", unread_for="30d", least_bytes="1kB", back_after=2)
HOT, COLD_SIDE = Side("hot"), Side("cold")
DEAR = replace(HOT, price=Price(month_gb=Decimal("0.02"), read_gb=Decimal("0.01")))
CHEAP = replace(
    COLD_SIDE, price=Price(month_gb=Decimal("0.005"), read_gb=Decimal("0.1"), writes_1000=Decimal(10)), archive=True
)
OLD, NEW = NOON - timedelta(days=90), NOON - timedelta(days=89)


def contents(*rows: tuple[str, int, datetime, datetime | None, int, float | None, bool, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=tier.CONTENTS, orient="row")


def chosen(frame: pl.DataFrame, hot: Side = HOT, cold: Side = COLD_SIDE, **wanted: frozenset[str]) -> dict[str, str]:
    found = tier.choose(frame, POLICY, hot, cold, HEAD, **wanted)
    return dict(found.select("sha256", "reason").iter_rows())


def test_by_age_access_and_size() -> None:
    """What goes is old, unread and large enough, each to the very edge; what comes back was asked for twice."""
    lately, long_ago = NOON - timedelta(days=29), NOON - timedelta(days=30)
    found = chosen(
        contents(
            ("goes", 1000, OLD, None, 0, None, True, False),
            ("read long ago", 1000, OLD, long_ago, 0, None, True, False),
            ("read lately", 1000, OLD, lately, 1, None, True, False),
            ("young", 1000, NEW, None, 0, None, True, False),
            ("small", 999, OLD, None, 0, None, True, False),
            ("both", 1000, OLD, None, 0, None, True, True),
            ("cold", 1000, OLD, None, 0, None, False, True),
            ("asked once", 1000, OLD, lately, 1, None, False, True),
            ("asked twice", 1, OLD, lately, 2, None, False, True),
        )
    )
    assert found == {"goes": COLD, "read long ago": COLD, "both": COLD, "asked twice": BACK}


def test_nothing_goes_to_and_fro() -> None:
    """What just went does not come back for the same reason, nor what came back go again."""
    for reads in range(4):
        read_at = NOON if reads else None
        there = chosen(contents(("x", 5000, OLD, read_at, reads, None, False, True)))
        here = chosen(contents(("x", 5000, OLD, read_at, reads, None, True, False)))
        assert not (there and here)


def test_somebody_wants_it_back() -> None:
    """Then that comes back, if it is there and not here, and nothing else moves."""
    frame = contents(
        ("goes", 1000, OLD, None, 0, None, True, False),
        ("wanted", 1, OLD, None, 0, None, False, True),
        ("here", 1, OLD, None, 0, None, True, False),
    )
    assert chosen(frame, wanted=frozenset({"wanted", "here"})) == {"wanted": WANTED}


def test_a_move_has_to_pay() -> None:
    """A gigabyte saves 0.18 in a year less what moving and reading cost; writing at 1 cent each sets the least size."""
    frame = contents(
        ("unread", 10**9, OLD, None, 0, 0.0, True, False),
        ("read", 10**9, OLD, None, 0, 3.0, True, False),
        ("small", 10**6, OLD, None, 0, 0.0, True, False),
    )
    found = tier.choose(frame, POLICY, DEAR, CHEAP, HEAD)
    assert found["sha256"].to_list() == ["unread"]
    (row,) = found.iter_rows(named=True)
    months = 365 / 30.4375
    assert row["stay"] == pytest.approx(0.02 * months) and row["there"] == pytest.approx(0.005 * months)
    assert row["once"] == pytest.approx(0.01 + 0.01)  # read here, written there; nothing is read back of an archive
    assert (row["month_now"], row["month_then"]) == (pytest.approx(0.02), pytest.approx(0.005))
    read = tier.choose(frame, POLICY, DEAR, replace(CHEAP, price=Price(month_gb=Decimal(0))), HEAD)
    assert read["sha256"].to_list() == ["unread", "read", "small"]


def test_the_least_that_is_charged_counts() -> None:
    """What is kept less long, or is smaller, than a store charges for, costs as much as that."""
    frame = contents(("x", 10**6, OLD, None, 0, 0.0, True, False))
    for price, pays in (
        (Price(month_gb=Decimal("0.005")), True),
        (Price(month_gb=Decimal("0.005"), least_bytes=10**7), False),
        (Price(month_gb=Decimal("0.005"), least_days=365 * 5), False),
    ):
        assert bool(chosen(frame, DEAR, replace(COLD_SIDE, price=price))) is pays, price


def test_what_is_told() -> None:
    """Money by reason, how long reading takes then, that no log tells; and that prices are missing, where they are."""
    frame = contents(
        ("goes", 10**9, OLD, None, 0, None, True, False), ("comes", 10**9, OLD, NOON, 2, None, False, True)
    )
    cold = replace(CHEAP, latency="12 hours")
    found = tier.choose(frame, POLICY, DEAR, cold, HEAD)
    costs = {row["reason"]: row for row in tier.costs(found, DEAR, cold)}
    assert costs[COLD]["month_now"] == 0.02 and costs[COLD]["currency"] == "USD" and costs[BACK]["contents"] == 1
    said = " ".join(tier.told(found, POLICY, DEAR, cold))
    assert "moving costs 0.020000 USD once" in said and "within 12 hours" in said and "apply it again then" in said
    assert "No access log" in said
    said = " ".join(tier.told(found, POLICY, HOT, cold))
    assert "[prices.hot]" in said and "USD" not in said
    other = replace(cold, price=Price(month_gb=Decimal(1), currency="EUR"))
    assert tier.costs(found, DEAR, other) == []


def test_nothing_at_all() -> None:
    """An empty collection has nothing to move, and nothing to tell."""
    found = tier.choose(contents(), POLICY, DEAR, CHEAP, HEAD)
    assert found.is_empty() and tier.told(found, POLICY, DEAR, CHEAP) == []


@pytest.mark.parametrize(
    "wrong", [{"horizon": "0d"}, {"older_than": "soon"}, {"unread_for": "-1d"}, {"least_bytes": "much"}]
)
def test_a_policy_that_is_none(wrong: dict[str, str]) -> None:
    """Lengths and sizes that are none are refused when they are said."""
    with pytest.raises(ValueError, match=r"horizon|duration|size"):
        TierPolicy(**wrong)  # type: ignore[arg-type]
