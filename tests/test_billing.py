"""Bills: by day as somebody would count them by hand, and that parts add up to what lay in the stores."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit import billing
from catalogkit.billing import BILL, NOBODY, Prices, bill
from catalogkit.errors import InvalidInput
from catalogkit.model import schema

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + 20 * DAY


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    columns = schema(table)
    return pl.DataFrame([{name: row.get(name) for name in columns} for row in rows], schema=columns, orient="row")


def version(number: int, tenant: str, blob: str, since: int, until: int | None, size: int = 100) -> dict[str, Any]:
    return {
        "document_id": number, "tenant": tenant, "sha256": blob, "bytes": size,
        "valid_from": START + since * DAY, "valid_to": None if until is None else START + until * DAY,
    }  # fmt: skip


def versions_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return frame("document_versions", rows)


def blob(digest: str, made: int, size: int = 100, purged: int | None = None) -> dict[str, Any]:
    state = "live" if purged is None else "purged"
    changed = made if purged is None else purged
    return {
        "sha256": digest, "bytes": size, "state": state, "created_at": START + made * DAY,
        "changed_at": START + changed * DAY,
    }  # fmt: skip


def copy(
    number: int, digest: str, made: int, *, inode: int | None = None, outcome: str | None = None
) -> dict[str, Any]:
    return {
        "id": number, "store": "main", "sha256": digest, "inode": inode, "created_at": START + made * DAY,
        "outcome": outcome,
    }  # fmt: skip


def made(
    versions: list[dict[str, Any]], blobs: list[dict[str, Any]], copies: list[dict[str, Any]], **more: Any
) -> dict[str, dict[str, Any]]:
    asked = more.pop("accesses", frame("accesses", []))
    found = bill(
        versions_of(versions), frame("blobs", blobs), frame("locations", copies), asked, start=START, end=END, **more
    )
    assert dict(found.schema) == BILL
    return {row["tenant"]: row for row in found.iter_rows(named=True)}


def test_a_shared_blob_costs_each_all_of_it_or_its_part() -> None:
    """Two tenants have one blob for half of the time: in full each pays for it, fairly they halve that half."""
    found = made(
        [version(1, "a", "x", 0, None, 10**9), version(2, "b", "x", 10, None, 10**9)],
        [blob("x", 0, 10**9)],
        [copy(1, "x", 0)],
    )
    month = 730 / 24  # days
    assert found["a"]["full_gb_months"] == pytest.approx(20 / month)
    assert found["b"]["full_gb_months"] == pytest.approx(10 / month)
    assert found["a"]["fair_gb_months"] == pytest.approx(15 / month)
    assert found["b"]["fair_gb_months"] == pytest.approx(5 / month)
    assert found[NOBODY]["fair_gb_months"] == 0
    assert (found["a"]["full_bytes"], found["a"]["fair_bytes"]) == (10**9, 5 * 10**8)
    assert found["a"]["fair_cost"] == round(Decimal("0.023") * Decimal(15 * 24) / Decimal(730), 6)


def test_two_documents_of_one_tenant_hold_a_blob_once() -> None:
    """What a tenant shares with itself it pays for once; its logical bytes count each document."""
    found = made(
        [version(1, "a", "x", 0, None), version(2, "a", "x", 3, 9), version(3, "a", "x", 9, None)],
        [blob("x", 0)],
        [copy(1, "x", 0)],
    )
    assert (found["a"]["documents"], found["a"]["logical_bytes"]) == (2, 200)
    assert (found["a"]["full_bytes"], found["a"]["fair_bytes"]) == (100, 100)


def test_what_nobody_needs_is_nobodys() -> None:
    """A forgotten document's bytes lie there until they are purged, and no tenant pays for them."""
    found = made([version(1, "a", "x", 0, 5)], [blob("x", 0, 10**9, purged=8)], [])
    assert found["a"]["fair_gb_months"] == pytest.approx(5 * 24 / 730)
    assert found[NOBODY]["fair_gb_months"] == pytest.approx(3 * 24 / 730)
    assert found[NOBODY]["fair_bytes"] == 0 and "documents" in found["a"]


def test_further_copies_count_since_they_were_made() -> None:
    """A copy elsewhere doubles the cost from its day on; a second name of one inode, or a missing file, does not."""
    copies = [copy(1, "x", 0, inode=7), copy(2, "x", 0, inode=7), copy(3, "x", 15), copy(4, "x", 1, outcome="missing")]
    found = made([version(1, "a", "x", 0, None, 10**9)], [blob("x", 0, 10**9)], copies)
    assert found["a"]["fair_gb_months"] == pytest.approx(25 * 24 / 730)
    assert found["a"]["fair_bytes"] == 2 * 10**9


def test_requests_are_the_tenants_whose_documents_they_were_for() -> None:
    """Requests of the period count, also for a document that was forgotten since; its neighbour's do not."""
    asked = frame("accesses", [
        {"document_id": one, "accessed_at": START + day * DAY, "kind": "read", "count": 1}
        for one, day in ((1, 0), (1, 3), (2, 3), (1, 20), (1, -1))
    ])  # fmt: skip
    rows = [version(1, "a", "x", 0, 5), version(2, "b", "y", 0, None)]
    found = made(rows, [blob("x", 0), blob("y", 0)], [copy(1, "y", 0)], accesses=asked,
                 prices=Prices(thousand_requests=Decimal(5)))  # fmt: skip
    assert (found["a"]["requests"], found["b"]["requests"]) == (2, 1)
    assert found["a"]["requests_cost"] == Decimal("0.01")


def test_nothing_is_a_bill_too() -> None:
    """An empty catalog has nobody's row, of zeros."""
    found = made([], [], [])
    assert list(found) == [NOBODY] and found[NOBODY]["fair_bytes"] == 0


def test_what_is_no_period_or_no_price_is_refused() -> None:
    """One clear error for a period that ends before it begins, and for a price that is none."""
    empty = [frame(table, []) for table in ("document_versions", "blobs", "locations", "accesses")]
    with pytest.raises(InvalidInput, match="ends after it begins"):
        bill(*empty, start=END, end=START)
    for price in (Decimal(-1), Decimal("nan"), 0.023):
        with pytest.raises(InvalidInput, match="is a price"):
            Prices(gb_month=price)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="currency"):
        Prices(currency=" ")


_SPANS = st.tuples(st.integers(-5, 24), st.none() | st.integers(1, 20)).map(
    lambda one: (one[0], None if one[1] is None else one[0] + one[1])
)
_VERSIONS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), _SPANS), max_size=12)
_COPIES = st.lists(st.tuples(st.sampled_from("xyz"), st.integers(-5, 24), st.none() | st.integers(1, 2)), max_size=6)
_BLOBS = st.dictionaries(st.sampled_from("xyz"), st.tuples(st.integers(-5, 24), st.integers(1, 997)), max_size=3)


@settings(deadline=None)
@given(_VERSIONS, _COPIES, _BLOBS)
def test_by_day_and_by_hand(
    held: list[tuple[str, str, tuple[int, int | None]]],
    lying: list[tuple[str, int, int | None]],
    about: dict[str, tuple[int, int]],
) -> None:
    """Whatever happened, the figures are those of somebody who looks every day; and the parts add up, rounded too."""
    copies = [copy(number, digest, day, inode=inode) for number, (digest, day, inode) in enumerate(lying)]
    full: defaultdict[str, Fraction] = defaultdict(Fraction)
    fair: defaultdict[str, Fraction] = defaultdict(Fraction)
    total = 0
    for day in range(20):
        for digest, (since, size) in about.items():
            objects: dict[Any, int] = {}
            for number, (one, made_on, inode) in enumerate(lying):
                if one == digest:
                    name = ("inode", inode) if inode is not None else number
                    objects[name] = min(made_on, objects.get(name, made_on))
            now = sum(made_on <= day for made_on in objects.values())
            if objects and since <= day < min(objects.values()):
                now += 1
            total += now * size
            owners = {
                tenant for tenant, one, (begun, ended) in held
                if one == digest and begun <= day and (ended is None or day < ended)
            }  # fmt: skip
            for owner in owners:
                full[owner] += Fraction(max(now, len(owners)) * size if now else 0, len(owners))
                fair[owner] += Fraction(now * size, len(owners))
            if not owners:
                fair[NOBODY] += now * size
    rows = [version(number, *one[:2], *one[2]) for number, one in enumerate(held)]
    found = made(rows, [blob(name, since, size) for name, (since, size) in about.items()], copies)
    day_us = 86_400 * 10**6
    for tenant, row in found.items():
        assert row["full_gb_months"] == pytest.approx(float(full[tenant]) * day_us / billing.GB_MONTH)
        assert row["fair_gb_months"] == pytest.approx(float(fair[tenant]) * day_us / billing.GB_MONTH)
    assert sum(fair.values()) == total
    exact = Fraction(total * day_us, billing.GB_MONTH) * Fraction("0.023") * 10**6
    assert sum(row["fair_cost"] for row in found.values()) == Decimal(round(exact)).scaleb(-6)


def test_the_chart_of_a_bill() -> None:
    """A bar and a mark for each tenant, no mark where nothing is charged in full, words where there is nothing."""
    from catalogkit import billing_charts

    versions = versions_of([version(1, "a", "x", 0, None, 10**9), version(2, "b", "x", 0, None, 10**9)])
    blobs = frame("blobs", [blob("x", 0, 10**9), blob("y", 0, 10**9)])
    copies = frame("locations", [copy(1, "x", 0), copy(2, "y", 0)])
    found = bill(versions, blobs, copies, frame("accesses", []), start=START, end=END)
    bars, marks = billing_charts.costs(found, Prices()).data
    assert list(bars.y) == ["a", "b", "(no one)"] and list(marks.y) == ["a", "b"]
    assert bars.x[0] == pytest.approx(marks.x[0] / 2, rel=1e-4)
    nothing = bill(versions.head(0), blobs.head(0), copies.head(0), frame("accesses", []), start=START, end=END)
    assert "nothing to pay for" in str(billing_charts.costs(nothing, Prices()).to_dict())
