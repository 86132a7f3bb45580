"""What is planned for bad copies, from frames alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from catalogkit.errors import InvalidInput
from catalogkit.layouts import cas_key
from catalogkit.model import Digest
from catalogkit.planners.repair import (
    COPIES,
    FINDS,
    ORIGINS,
    REASONS,
    REASONS_NOT,
    UNREPAIRABLE,
    RepairPolicy,
    RepairReport,
    plan_repair,
)
from tests.plans.frames import NOW, frame, head, sha

DAY = timedelta(days=1)
WEB = {"sha256": sha("a"), "document_id": 7, "source_url": "https://example.org/a"}
FETCH = RepairPolicy(fetch=True)


def copy(key: str, outcome: str | None = "ok", days: float = 1, **more: Any) -> dict[str, Any]:
    """A copy, read so many days ago."""
    checked = None if outcome is None else NOW - days * DAY
    usual = {"sha256": sha("a"), "bytes": 3, "store": "main", "store_kind": "local", "artifact_id": "x"}
    return {**usual, "key": key, "outcome": outcome, "checked_at": checked, **more}


def theirs(key: str, outcome: str | None = "ok", **more: Any) -> dict[str, Any]:
    """A copy in its owner's hands."""
    return copy(key, outcome, **{"store": "in-place", "store_kind": "reference", **more})


def repair(
    *copies: dict[str, Any],
    finds: tuple[dict[str, Any], ...] = (),
    origins: tuple[dict[str, Any], ...] = (),
    policy: RepairPolicy | None = None,
) -> RepairReport:
    about = (frame(COPIES, *copies), frame(FINDS, *finds), frame(ORIGINS, *origins))
    return plan_repair(head(kind="repair"), *about, policy or RepairPolicy(), "main")


def steps(report: RepairReport) -> list[tuple[str, str, str, str | None, str | None]]:
    """Each step: kind, reason, key, and the store and key that it takes its bytes from."""
    return report.plan.frame.select("kind", "reason", "key", "from_store", "from_key").rows()


def left(report: RepairReport) -> list[tuple[str, str]]:
    """The copies that stay as they are, and why."""
    return report.unrepairable.select("key", "reason").rows()


def test_nothing_is_bad() -> None:
    """Where nothing is bad there is an empty plan, with the schema of any other."""
    report = repair()
    assert (report.plan.units, report.unrepairable.schema, report.plan.head.complete) == (0, UNREPAIRABLE, "")


@pytest.mark.parametrize("bad", ["corrupt", "missing"])
@pytest.mark.parametrize(
    "outcome, days, reason",
    [("ok", 30, "copy-proved"), ("ok", 31, "copy-stale"), (None, 0, "copy-unread"), ("unknown", 1, "copy-unreachable")],
)
def test_another_copy(bad: str, outcome: str | None, days: float, reason: str) -> None:
    """A copy of the same store gives one more name, one of another store is copied; when it was read last is told."""
    report = repair(copy("docs/bad", bad), copy("docs/other", outcome, days))
    assert steps(report) == [("link", reason, "docs/bad", "main", "docs/other")]
    report = repair(copy("docs/bad", bad), theirs("home/other", outcome, days=days))
    assert steps(report) == [("copy", reason, "docs/bad", "in-place", "home/other")]
    assert report.plan.frame["since"].to_list() == [None if outcome is None else NOW - days * DAY]
    assert left(report) == []


def test_the_copy_that_was_read_last() -> None:
    """A proved copy comes before a stale one, that before an unread one, that before one that could not be read."""
    others = [
        theirs("home/unreachable", "unknown"),
        copy("docs/unread", None),
        copy("docs/stale", "ok", 90),
        theirs("home/month", "ok", days=29),
        theirs("home/week", "ok", days=7),
    ]
    for number in range(len(others), 0, -1):
        report = repair(copy("docs/bad", "corrupt"), *others[:number])
        assert steps(report)[0][-1] == others[number - 1]["key"]


def test_of_equals_the_nearest() -> None:
    """Among copies that were read lately one of the same store is taken, though another was read later."""
    report = repair(copy("docs/bad", "missing"), theirs("home/today", days=0), copy("docs/week", days=7))
    assert steps(report) == [("link", "copy-proved", "docs/bad", "main", "docs/week")]


def test_unknown_is_not_touched() -> None:
    """A copy that could not be read is neither repaired nor reported, however bad another one is."""
    report = repair(copy("docs/a", "unknown"), copy("docs/bad", "corrupt"))
    assert [row[2] for row in steps(report)] == ["docs/bad"]
    assert left(report) == []


def test_names_of_one_file_share_its_fate() -> None:
    """A name whose last check was good is no source where another name of the same file was found corrupt since."""
    bad = copy("docs/a", "corrupt", 2, inode=5)
    for other in (copy("docs/b", "ok", 3, inode=5), copy("docs/b", None, inode=5)):
        report = repair(bad, other, theirs("home/c", None, inode=5))
        assert steps(report) == [("copy", "copy-unread", "docs/a", "in-place", "home/c")]
    # Read at that time or since, it was good: it has a file of its own by now.
    for days in (2, 1):
        report = repair(bad, copy("docs/b", "ok", days, inode=5))
        assert steps(report) == [("link", "copy-proved", "docs/a", "main", "docs/b")]


def test_one_repair_leads_to_the_next() -> None:
    """Several bad copies are brought once, and get one more name each; those of other stores from where it is good."""
    report = repair(copy("docs/a", "corrupt"), copy("docs/b", "missing"), theirs("home/c"))
    assert steps(report) == [
        ("copy", "copy-proved", "docs/a", "in-place", "home/c"),
        ("link", "copy-repaired", "docs/b", "main", "docs/a"),
    ]
    report = repair(copy("docs/a", "corrupt"), copy("docs/b", "missing", store="cold"), theirs("home/c"))
    assert {row[-1] for row in steps(report)} == {"home/c"}
    report = repair(copy("docs/a", "corrupt"), copy("docs/b", "missing", store="cold"), origins=(WEB,), policy=FETCH)
    assert [row[:2] for row in steps(report)] == [("fetch", "source")] * 2


@pytest.mark.parametrize("kind", ["stray", "quarantined"])
def test_a_file_that_nobody_knew(kind: str) -> None:
    """Without another copy, a stray or a quarantined file with the same bytes is copied, before anything is fetched."""
    find = {"sha256": sha("a"), "store": "main", "key": "docs/found", "kind": kind}
    report = repair(copy("docs/bad", "corrupt"), finds=(find,), origins=(WEB,), policy=FETCH)
    assert steps(report) == [("copy", kind, "docs/bad", "main", "docs/found")]


def test_where_it_came_from() -> None:
    """Without any copy the document is fetched, if that is allowed, from the first origin that may be asked."""
    file = {**WEB, "document_id": 3, "source_url": "file:///home/a"}
    report = repair(copy("docs/bad", "missing"), origins=(file, WEB), policy=FETCH)
    assert steps(report) == [("fetch", "source", "docs/bad", None, None)]
    assert report.plan.frame["document_id"].to_list() == [7]
    private = {**WEB, "source_url": "http://10.0.0.1/a"}
    allowed = RepairPolicy(fetch=True, private=True)
    assert len(steps(repair(copy("docs/bad", "missing"), origins=(private,), policy=allowed))) == 1


@pytest.mark.parametrize(
    "origins, policy, reason, words",
    [
        ((), FETCH, "no-source", "nobody knows where"),
        ((WEB,), RepairPolicy(), "not-asked", "if that is allowed"),
        (({**WEB, "source_url": "file:///home/a"},), FETCH, "not-fetchable", "it came by file"),
        (({**WEB, "source_url": "/home/a"},), RepairPolicy(), "not-fetchable", "it came by a path"),
        (({**WEB, "source_url": "http://u:secret@127.0.0.1/a"},), FETCH, "not-fetchable", "private address"),
    ],
)
def test_what_cannot_be_repaired(origins: Any, policy: RepairPolicy, reason: str, words: str) -> None:
    """A copy that nothing is left of is listed with the reason, in the plan, too; it is left as it is."""
    report = repair(copy("docs/bad", "corrupt"), origins=origins, policy=policy)
    assert report.plan.units == 0
    assert left(report) == [("docs/bad", reason)]
    assert words in report.unrepairable["why"].item()
    assert report.plan.head.complete == f"1 bad copies stay as they are: 1 x {REASONS_NOT[reason]}"
    assert "secret" not in str(report.to_dict()) + str(report._repr_mimebundle_())


def test_what_is_in_its_owners_hands() -> None:
    """Nothing is written where it is not ours; with a healthy copy elsewhere it is told, or let go if that is asked."""
    report = repair(copy("docs/a"), theirs("home/b", "corrupt"))
    assert (steps(report), left(report)) == ([], [("home/b", "owner")])
    report = repair(copy("docs/a"), theirs("home/b", "missing"), policy=RepairPolicy(let_go=True))
    assert steps(report) == [("drop", "owner-changed", "home/b", None, None)]
    assert left(report) == []


def test_the_only_place_was_in_its_owners_hands() -> None:
    """Bytes whose only place is not ours are brought into the store; only then is that place let go."""
    policy = RepairPolicy(fetch=True, let_go=True)
    report = repair(theirs("home/b", "corrupt"), origins=(WEB,), policy=policy)
    here = cas_key(Digest.parse(sha("a")))
    assert steps(report) == [
        ("fetch", "source", here, None, None),
        ("drop", "owner-changed", "home/b", None, None),
    ]
    assert report.plan.frame["store"].to_list() == ["main", "in-place"]
    report = repair(theirs("home/b", "corrupt"), origins=(WEB,), policy=RepairPolicy(let_go=True))
    assert (steps(report), left(report)) == ([], [("home/b", "not-asked")])


def test_a_missing_copy_among_enough() -> None:
    """Where its store has enough copies that were read and right, a missing one is dropped if the policy says so."""
    copies = [copy("docs/bad", "missing"), copy("docs/a"), copy("docs/b"), copy("docs/c", None), theirs("home/d")]
    assert steps(repair(*copies, policy=RepairPolicy(enough=2)))[0][:3] == ("drop", "surplus", "docs/bad")
    for policy in (RepairPolicy(enough=3), RepairPolicy()):
        assert steps(repair(*copies, policy=policy))[0][0] == "link"
    copies[0] = copy("docs/bad", "corrupt")  # there are bytes to look at
    assert steps(repair(*copies, policy=RepairPolicy(enough=1)))[0][0] == "link"


def test_each_blob_is_a_unit() -> None:
    """Blobs are approved apart; the copies of one are repaired, or not, together."""
    rows = [copy(f"docs/{name}{outcome}", outcome, sha256=sha(name)) for name in "cab" for outcome in ("ok", "missing")]
    report = repair(*rows, copy("docs/cx", "corrupt", sha256=sha("c")))
    assert report.plan.frame.select("unit", "step", "sha256").rows() == [
        (0, 0, sha("a")), (1, 0, sha("b")), (2, 0, sha("c")), (2, 1, sha("c")),
    ]  # fmt: skip
    assert report.plan.frame["artifact_id"].to_list() == ["x"] * 4
    assert report.plan.bytes_freed() == 0
    assert report.plan.frame["last_copy"].any() is False


def test_a_policy_that_makes_no_sense() -> None:
    """No copy is dropped while no other is left, and nothing was read in the future."""
    with pytest.raises(InvalidInput, match="enough"):
        RepairPolicy(enough=0)
    with pytest.raises(InvalidInput, match="recent"):
        RepairPolicy(recent=-DAY)


def test_the_policy_is_in_the_plan() -> None:
    """A plan says under which policy it was made, and explains its reasons."""
    plan = repair(copy("docs/bad", "missing"), copy("docs/a"), policy=FETCH).plan
    assert plan.head.policy == {"fetch": True, "private": False, "enough": None, "let_go": False, "recent": 2592000.0}
    assert plan.head.reasons == REASONS
    assert not set(REASONS) & set(REASONS_NOT)


def test_the_order_of_rows_does_not_matter() -> None:
    """The same copies give the same plan, whichever way they come."""
    rows = [copy(f"docs/{n}", outcome) for n, outcome in enumerate(("missing", "ok", "corrupt", None))]
    plans = {repair(*order).plan.id for order in (rows, rows[::-1])}
    assert len(plans) == 1
    assert isinstance(repair(*rows).plan.frame, pl.DataFrame)
