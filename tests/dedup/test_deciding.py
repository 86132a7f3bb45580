"""Deciding: which object of a group stays, what is linked to it, and the reason for everything that is not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from catalogkit.policies.dedup import Costs, DedupPolicy, How
from tests.dedup.cases import DAY, EAGER, NOW, copy, decided, file, sha, verdicts

PAIR = [copy("a", "1", 1), copy("a", "2", 2)]
# Storing costs something, reading very much: nothing pays.
DEAR = Costs(per_gb_read=Decimal(100), per_gb_month=Decimal("0.01"), months=1)


def reason(found: pl.DataFrame) -> str:
    """The reason for the only spare copy, or the only object."""
    rows = found.filter("spare") if found["spare"].any() else found
    (code,) = rows["reason"].to_list()
    return str(code)


# -- which one stays -------------------------------------------------------------------------------------------------


def test_the_healthiest_stays_then_a_content_address_then_the_oldest() -> None:
    """The order of the rule, each step of it deciding where the ones before do not."""
    young, ok, cas = {"created_at": NOW + DAY}, {"outcome": "ok", "checked_at": NOW - DAY}, {"layout": "cas"}
    unknown = {"outcome": "unknown", "checked_at": NOW - DAY}
    assert verdicts(decided([copy("a", "1", 1, **young), copy("a", "2", 2)]))["2"] == ("kept", None)
    assert verdicts(decided([copy("a", "1", 1), copy("a", "2", 2, **young, **cas)]))["2"] == ("kept", None)
    assert verdicts(decided([copy("a", "1", 1, **cas), copy("a", "2", 2, **young, **ok)]))["2"] == ("kept", None)
    assert verdicts(decided([copy("a", "1", 1, **unknown), copy("a", "2", 2, **young)]))["2"] == ("kept", None)
    assert verdicts(decided([copy("a", "1", 1), copy("a", "2", 2)])) == {"1": ("kept", None), "2": ("worthwhile", "1")}


def test_the_newest_check_of_an_object_speaks_for_it_and_the_future_proves_nothing() -> None:
    """Of two names of one file the later check counts, of two at one time the worse; a check to come is none."""
    ok, bad = {"outcome": "ok", "checked_at": NOW - DAY}, {"outcome": "corrupt", "checked_at": NOW - 2 * DAY}
    healed = [copy("a", "1", 1, **bad), copy("a", "2", 1, **ok), copy("a", "3", 2)]
    assert decided(healed)["health"].to_list() == ["ok", "never"]
    split = [copy("a", "1", 1, **ok), copy("a", "2", 1, **{**bad, "checked_at": NOW - DAY}), copy("a", "3", 2)]
    assert verdicts(decided(split)) == {"3": ("kept", None), "1": ("corrupt", None)}
    future = {"outcome": "corrupt", "checked_at": NOW + DAY}
    assert decided([copy("a", "1", 1, **future), copy("a", "2", 2)])["health"].to_list() == ["never", "never"]


def test_a_corrupt_copy_is_neither_source_nor_target() -> None:
    """It never stays for others, and nothing is put in its place: that is repair's work."""
    bad = {"outcome": "corrupt", "checked_at": NOW}
    found = decided([copy("a", "1", 1, layout="cas", **bad), copy("a", "2", 2), copy("a", "3", 3)])
    assert verdicts(found) == {"2": ("kept", None), "3": ("worthwhile", "2"), "1": ("corrupt", None)}
    assert set(decided([copy("a", "1", 1, **bad), copy("a", "2", 2, **bad)])["reason"]) == {"corrupt"}


def test_a_missing_copy_is_none() -> None:
    """Where nothing lies, nothing is shared, and one copy alone is no group."""
    assert decided([copy("a", "1", 1), copy("a", "2", 2, outcome="missing", checked_at=NOW)]).is_empty()


# -- why not ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, content, policy",
    [
        ("unreferenced", {"documents": 0, "resolvers": None, "seen_at": None}, EAGER),
        ("empty", {"bytes": 0}, EAGER),
        ("too-small", {"bytes": 999}, replace(EAGER, min_file_size=1000)),
        ("worthwhile", {"bytes": 1000}, replace(EAGER, min_file_size=1000)),
        ("too-old", {"seen_at": NOW - timedelta(days=90, microseconds=1)}, replace(EAGER, max_age_days=90)),
        ("worthwhile", {"seen_at": NOW - timedelta(days=90)}, replace(EAGER, max_age_days=90)),
        ("worthwhile", {"seen_at": NOW + DAY}, replace(EAGER, max_age_days=0)),
        ("resolver", {"resolvers": ["core", "pmc"]}, replace(EAGER, resolver_allowlist=["core"])),
        ("worthwhile", {"resolvers": ["core", "pmc"]}, replace(EAGER, resolver_allowlist=["core", "pmc"])),
        ("resolver", {"resolvers": ["core"]}, replace(EAGER, resolver_allowlist=[])),
        ("too-costly", {}, replace(EAGER, cost_threshold=0.1, costs=DEAR)),
        ("worthwhile", {}, replace(EAGER, cost_threshold=0.0, costs=DEAR)),
    ],
)
def test_each_reason_of_the_policy(code: str, content: dict[str, Any], policy: DedupPolicy) -> None:
    """At its border, on both sides: size, age, allow-list (every document is on it, hazard 69), cost, garbage."""
    assert reason(decided(PAIR, policy, contents={"a": content})) == code


def test_what_lies_in_place_is_never_touched() -> None:
    """Files in their owner's hands are no source and no target, whatever else may be shared."""
    found = decided([copy("a", "1", 1, ours=False, layout="reference"), copy("a", "2", 2, ours=False)])
    assert reason(found) == "in-place" and not found["planned"].any()


def test_stores_are_apart() -> None:
    """One copy in each of two stores are replicas, kept on purpose: no group."""
    assert decided([copy("a", "1", 1), copy("a", "1", 2, store="other")]).is_empty()
    both = decided([*PAIR, copy("a", "1", 3, store="other"), copy("a", "2", 4, store="other")])
    assert both.filter("planned").select("store", "key", "into").rows() == [("main", "2", "1"), ("other", "2", "1")]


def test_already_shared_saves_nothing() -> None:
    """Names of one file are one object: nothing to free, nothing to plan (hazard 67)."""
    found = decided([copy("a", str(number), 7) for number in range(10)])
    assert (reason(found), found["freed_bytes"].sum(), found.height) == ("already-shared", 0, 1)


def test_without_an_inode_each_location_is_an_object_of_its_own() -> None:
    """As in `catalogkit.stats`: what has no inode shares with nobody."""
    assert verdicts(decided([copy("a", "1", None), copy("a", "2", None)])) == {
        "1": ("kept", None),
        "2": ("worthwhile", "1"),
    }


@pytest.mark.parametrize("name, other", [("device", 2), ("owner", "0:0"), ("mode", 0o644), ("mtime_ns", 2)])
@pytest.mark.parametrize("preserved", [True, False])
def test_what_differs_and_is_preserved_is_not_linked(name: str, other: object, preserved: bool) -> None:
    """Owner, mode and time by the policy, the file system always; the reason says which."""
    policy = replace(EAGER, preserve_owner=preserved, preserve_mode=preserved, preserve_mtime=preserved)
    codes = {"device": "other-device", "owner": "owner", "mode": "mode", "mtime_ns": "mtime"}
    found = decided(PAIR, policy, files=[file("1", 1), file("2", 2, **{name: other})])
    assert reason(found) == (codes[name] if preserved or name == "device" else "worthwhile")


def test_copies_that_differ_from_the_best_are_still_linked_with_their_like() -> None:
    """Two of one owner and three of another are two files, not five and not one."""
    owners = {"1": "1:1", "2": "2:2", "3": "1:1", "4": "2:2", "5": "2:2"}
    copies = [copy("a", key, int(key)) for key in owners]
    found = decided(copies, files=[file(key, int(key), owner=owner) for key, owner in owners.items()])
    assert verdicts(found) == {
        "1": ("kept", None),
        "2": ("owner", None),
        "3": ("worthwhile", "1"),
        "4": ("worthwhile", "2"),
        "5": ("worthwhile", "2"),
    }
    assert found["freed_bytes"].sum() == 3000


def test_clones_keep_what_files_have() -> None:
    """Owner, mode, time and other names do not matter to a clone; the file system does."""
    others = {"owner": "0:0", "mode": 0o600, "mtime_ns": 9, "links": 5}
    policy = replace(EAGER, preserve_mtime=True)
    assert reason(decided(PAIR, policy, files=[file("1", 1), file("2", 2, **others)], how=How.CLONE)) == "worthwhile"
    apart = [file("1", 1), file("2", 2, device=2)]
    assert reason(decided(PAIR, policy, files=apart, how=How.CLONE)) == "other-device"


def test_names_that_the_catalog_does_not_know_keep_the_bytes() -> None:
    """Linking the known names of such a file would free nothing, so it is left alone (hazard 67)."""
    assert reason(decided(PAIR, files=[file("1", 1), file("2", 2, links=2)])) == "held-elsewhere"
    assert reason(decided(PAIR, files=[file("1", 1, links=9), file("2", 2)])) == "worthwhile"


def test_the_file_system_is_believed_before_the_catalog() -> None:
    """A store that lost its links, or got some, is judged by what it is now."""
    shared, apart = [copy("a", "1", 7), copy("a", "2", 7)], [file("1", 1), file("2", 2)]
    assert reason(decided(shared, files=apart)) == "worthwhile"
    assert reason(decided(PAIR, files=[file("1", 7, links=2), file("2", 7, links=2)])) == "already-shared"
    gone = [file("1", None, there=False, mtime_ns=None, device=None, owner=None, mode=None, links=None), file("2", 2)]
    assert verdicts(decided(PAIR, files=gone)) == {"2": ("kept", None), "1": ("changed", None)}


def test_a_file_gets_no_more_names_than_its_file_system_allows() -> None:
    """At the limit one more file stays, and takes the names that follow."""
    copies = [copy("a", str(number), number) for number in range(1, 8)]
    found = verdicts(decided(copies, most_links={"main": 3}))
    assert found == {
        "1": ("kept", None),
        "2": ("worthwhile", "1"),
        "3": ("worthwhile", "1"),
        "4": ("link-limit", None),
        "5": ("worthwhile", "4"),
        "6": ("worthwhile", "4"),
        "7": ("link-limit", None),
    }
    full = [file(str(number), number, links=3 if number == 1 else 1) for number in range(1, 8)]
    assert verdicts(decided(copies, files=full, most_links={"main": 3}))["2"] == ("link-limit", None)
    whole = [copy("a", "1", 1), copy("a", "2", 2), copy("a", "3", 2)]
    assert verdicts(decided(whole, most_links={"main": 2})) == {"1": ("kept", None), "2": ("link-limit", None)}


# -- what it costs ---------------------------------------------------------------------------------------------------


def test_each_term_is_as_counted_by_hand() -> None:
    """Three names to link of 2 GB: twelve GB read, nine requests, and their prices."""
    costs = Costs(
        per_gb_month=Decimal("0.02"),
        per_gb_read=Decimal("0.01"),
        per_1000_requests=Decimal("0.4"),
        per_hour=Decimal("0.36"),
        read_mb_per_second=100,
        seconds_per_request=2,
        months=6,
    )
    copies = [copy("a", "1", 1), copy("a", "2", 2), copy("a", "3", 2), copy("a", "4", 2)]
    found = decided(copies, replace(EAGER, costs=costs), contents={"a": {"bytes": 2 * 10**9}})
    (row,) = found.filter("planned").iter_rows(named=True)
    assert (row["steps"], row["read_bytes"], row["requests"], row["freed_bytes"]) == (3, 12 * 10**9, 9, 2 * 10**9)
    assert row["read_seconds"] == pytest.approx(120 + 18)
    assert row["read_cost"] == Decimal("0.12")
    assert row["request_cost"] == Decimal("0.0036")
    assert row["time_cost"] == Decimal("0.0138")
    assert row["cost"] == row["read_cost"] + row["request_cost"] + row["time_cost"]
    assert row["saving"] == Decimal("0.24")
    ratio = row["saving"] / row["cost"]
    at, below = float(ratio) * 1.001, float(ratio) * 0.999
    for threshold, code in ((at, "too-costly"), (below, "worthwhile")):
        policy = replace(EAGER, costs=costs, cost_threshold=threshold)
        assert reason(decided(copies, policy, contents={"a": {"bytes": 2 * 10**9}})) == code


def test_saving_exactly_the_share_is_not_more() -> None:
    """The threshold is exceeded, not met: money is exact, so the border is where it is written."""
    costs = Costs(
        per_gb_month=Decimal(1), months=1, per_gb_read=Decimal("0.5"), per_hour=Decimal(0), read_mb_per_second=1
    )
    assert reason(decided(PAIR, replace(EAGER, costs=costs, cost_threshold=1.0))) == "too-costly"
    assert reason(decided(PAIR, replace(EAGER, costs=costs, cost_threshold=0.999))) == "worthwhile"
    free = Costs(per_gb_month=Decimal(0), per_hour=Decimal(0))
    assert reason(decided(PAIR, replace(EAGER, costs=free))) == "too-costly"  # nothing saved is no reason to read


money = st.decimals(0, 10, places=4)
prices = st.builds(
    Costs,
    per_gb_month=money,
    per_gb_read=money,
    per_1000_requests=money,
    per_hour=money,
    read_mb_per_second=st.floats(1, 1000),
    seconds_per_request=st.floats(0, 1),
    months=st.floats(0, 60),
)
RISING = ("per_gb_month", "months", "read_mb_per_second")
FALLING = ("per_gb_read", "per_1000_requests", "per_hour", "seconds_per_request")


def admitted(costs: Costs, threshold: float, size: int = 1000, copies: int = 2) -> bool:
    found = decided(
        [copy("a", str(number), number) for number in range(copies)],
        replace(EAGER, costs=costs, cost_threshold=threshold),
        contents={"a": {"bytes": size}},
    )
    return "worthwhile" in found["reason"].to_list()


@settings(deadline=None, max_examples=25)
@given(
    costs=prices,
    threshold=st.floats(0, 100),
    size=st.integers(1, 10**12),
    more=st.integers(0, 10**12),
    name=st.sampled_from([*RISING, *FALLING, "size", "copies", "threshold"]),
    factor=st.floats(1, 10),
)
def test_what_is_worth_it_stays_so_when_it_gets_better(
    costs: Costs, threshold: float, size: int, more: int, name: str, factor: float
) -> None:
    """Monotone (hazard 69): bigger, more copies, dearer storage, cheaper reading, a lower threshold never reject."""
    before = admitted(costs, threshold, size)
    if name == "size":
        after = admitted(costs, threshold, size + more)
    elif name == "copies":
        after = admitted(costs, threshold, size, 4)
    elif name == "threshold":
        after = admitted(costs, threshold / factor, size)
    else:
        value = getattr(costs, name)
        by = Decimal(repr(factor)) if isinstance(value, Decimal) else factor
        better = value * by if name in RISING else value / by
        after = admitted(replace(costs, **{name: better}), threshold, size)
    assert after >= before


def test_a_threshold_that_must_reject_does() -> None:
    """Archive storage that is dear to read does not pay within three months, at the default threshold of a tenth."""
    archive = Costs(per_gb_month=Decimal("0.001"), per_gb_read=Decimal("0.03"), months=3)
    assert not admitted(archive, 0.10, size=10**9)
    assert admitted(Costs(), 0.10, size=10**6)
    assert not admitted(Costs(), 0.10, size=50)  # two seeks cost more than ten times what 50 bytes do in a year


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_every_group_has_one_that_stays_and_a_reason_for_the_rest(data: st.DataObject) -> None:
    """Whatever the copies: one object of a group is not spare, what is planned is linked to one that stays."""
    contents, names = st.sampled_from("abc"), st.integers(1, 6)
    outcomes = st.sampled_from([None, "ok", "unknown", "corrupt", "missing"])
    drawn = data.draw(st.lists(st.tuples(contents, names, outcomes, st.integers(1, 2)), max_size=12))
    copies = [
        copy(content, str(number), inode, outcome=outcome, checked_at=outcome and NOW)
        for number, (content, inode, outcome, _) in enumerate(drawn)
    ]
    files = [
        file(one["key"], one["inode"], owner=str(owner), device=owner)
        for one, (*_, owner) in zip(copies, drawn, strict=True)
    ]
    if not copies:
        return
    found = decided(copies, files=files, most_links={"main": 3})
    kept = set(found.filter(pl.col("reason").is_in(["kept", "owner", "other-device", "link-limit"]))["key"])
    for (_, _), group in found.group_by("store", "sha256"):
        assert (~group["spare"]).sum() == 1
        assert group["names"].sum() > 1
    for row in found.filter("planned").iter_rows(named=True):
        assert row["into"] in kept and row["health"] != "corrupt"
    assert found["freed_bytes"].sum() <= found.filter("spare")["bytes"].sum()
    assert found.filter(pl.col("sha256") == sha("z")).is_empty()
