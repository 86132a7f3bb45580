"""The plan: steps as decided, a unit for each content, and bytes that are only freed when all names of a file go."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from catalogkit.layouts import cas_key
from catalogkit.model import Digest
from catalogkit.plan import Plan
from catalogkit.planners.sharing import plan_dedup
from catalogkit.policies.dedup import How
from tests.dedup.cases import EAGER, copy, decided, file, sha
from tests.plans.frames import head

SHOWN = ("unit", "step", "kind", "key", "from_key", "bytes", "inode", "users")
CAS = cas_key(Digest.parse(sha("a")))


def planned(copies: list[dict[str, Any]], how: How = How.LINK, **more: Any) -> Plan:
    return plan_dedup(head(kind="dedup"), decided(copies, how=how, **more), EAGER, how)


def test_linking_is_as_written_down() -> None:
    """A golden case: every name of a spare file becomes a name of the one that stays; shared groups have no steps."""
    copies = [
        copy("b", "1", 1),
        copy("b", "2", 2, mtime_ns=22),
        copy("b", "3", 2, mtime_ns=22),
        copy("a", "4", 4),
        copy("a", "5", 5),
        copy("c", "6", 6),
        copy("c", "7", 6),
    ]
    plan = planned(copies)
    assert plan.frame.select(SHOWN).rows() == [
        (0, 0, "link", "5", "4", 1000, 5, 1),
        (1, 0, "link", "2", "1", 1000, 2, 2),
        (1, 1, "link", "3", "1", 1000, 2, 2),
    ]
    assert plan.frame["mtime_ns"].to_list() == [1, 22, 22]
    assert plan.frame["from_store"].to_list() == ["main"] * 3
    assert plan.bytes_freed() == 2000
    assert plan.bytes_freed(pl.Series([1])) == 1000
    assert set(plan.frame["reason"]) == {"worthwhile"} and "worth" in plan.words("worthwhile")
    assert plan.head.policy["how"] == "link" and plan.head.policy["costs"]["currency"] == "USD"


def test_cloning_takes_one_step_a_file() -> None:
    """Of a file with two names one is enough: its data is shared, its names stay."""
    plan = planned([copy("a", "1", 1), copy("a", "2", 2), copy("a", "3", 2)], How.CLONE)
    assert plan.frame.select(SHOWN).rows() == [(0, 0, "clone", "2", "1", 1000, 2, 2)]
    assert plan.bytes_freed() == 1000


def test_one_address_is_made_and_every_other_name_dropped() -> None:
    """Without a content address the one that stays gets it first; what is freed is what the spare file took."""
    plan = planned([copy("a", "1", 1), copy("a", "1b", 1), copy("a", "2", 2)], How.CAS)
    assert plan.frame.select(SHOWN).rows() == [
        (0, 0, "link", CAS, "1", 0, None, None),
        (0, 1, "drop", "1", None, 1000, 1, 3),
        (0, 2, "drop", "1b", None, 1000, 1, 3),
        (0, 3, "drop", "2", None, 1000, 2, 1),
    ]
    assert plan.bytes_freed() == 1000


def test_an_address_that_is_there_stays_or_is_linked_over() -> None:
    """A content address that stays is not touched; one that is spare becomes a name of the healthier file."""
    ok = {"outcome": "ok", "checked_at": head().as_of}
    stays = planned([copy("a", CAS, 1, layout="cas"), copy("a", "1", 1), copy("a", "2", 2)], How.CAS)
    assert stays.frame.select(SHOWN).rows() == [
        (0, 0, "drop", "1", None, 1000, 1, 2),
        (0, 1, "drop", "2", None, 1000, 2, 1),
    ]
    over = planned([copy("a", CAS, 1, layout="cas"), copy("a", "2", 2, **ok)], How.CAS)
    assert over.frame.select(SHOWN).rows() == [
        (0, 0, "link", CAS, "2", 1000, 1, 1),
        (0, 1, "drop", "2", None, 1000, 2, 2),
    ]
    assert (stays.bytes_freed(), over.bytes_freed()) == (1000, 1000)


def test_an_address_that_may_not_be_replaced_keeps_all_names() -> None:
    """Where a bad copy lies at the content address, no name is dropped before repair has been there."""
    bad = {"layout": "cas", "outcome": "corrupt", "checked_at": head().as_of}
    assert planned([copy("a", CAS, 1, **bad), copy("a", "1", 2), copy("a", "2", 3)], How.CAS).units == 0
    owners = [file("1", 1), file("2", 2), file("3", 3, owner="0:0")]
    others = planned([copy("a", "1", 1), copy("a", "2", 2), copy("a", "3", 3)], How.CAS, files=owners)
    assert others.frame["key"].to_list() == [CAS, "1", "2"]


@pytest.mark.parametrize("how", How)
def test_nothing_to_share_is_an_empty_plan(how: How) -> None:
    """No copies, or none worth it: no steps, and the schema of a plan."""
    assert planned([], how).units == planned([copy("a", "1", 1), copy("a", "2", 1)], how).units == 0


@pytest.mark.parametrize("how", How)
def test_the_order_of_the_copies_does_not_matter(how: How) -> None:
    """The same copies in any order are the same plan, with the same id."""
    copies = [copy(c, f"{c}{n}", 10 * ord(c) + n, id=10 * ord(c) + n) for c in "abc" for n in range(3)]
    plans = [planned(order, how) for order in (copies, copies[::-1], copies[4:] + copies[:4])]
    assert plans[0].units == 3
    assert len({plan.id for plan in plans}) == 1
