"""Deciding about whole catalogs: the same as one by one, and what only a whole catalog can tell."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.model import Digest, DocumentRecord, schema
from catalogkit.policies.deciding import (
    ACCESSED,
    COPIES,
    DECISIONS,
    copies_of,
    decisions,
    freed_by_days,
    freed_bytes,
    totals,
)
from catalogkit.policies.retention import KEEP, REASONS, Circumstances, RetentionPolicy
from catalogkit.policies.wording import Shorten
from tests.retention.frames import NOW, copies, documents, record, sha

SIZES = (0, 9_999, 10_000, 999_999, 1_000_000, 5_000_000, 10_000_000, 99_999_999, 100_000_000)
TYPES = (
    "application/pdf", "Application/PDF; q=1", "text/plain", "application/octet-stream", "image/png", "text/html", "",
)  # fmt: skip
RESOLVERS = ("", "core", "pmc")

some_days = st.integers(1, 12) | st.integers(1, 12).map(Shorten)


def some(names: tuple[str, ...]) -> Any:
    return st.dictionaries(st.sampled_from(names), some_days, max_size=3)


def policies(**more: Any) -> Any:
    return st.builds(
        RetentionPolicy,
        st.integers(1, 12),
        some(("application/pdf", "image/*", "text/html", "text/*")),
        some(RESOLVERS),
        st.integers(0, 3),
        some(("tiny", "small", "medium", "large", "huge", ">=5MB", "<10kB", "10kB..1MB")),
        count_access=st.booleans(),
        **more,
    )


with_tenants = policies(tenants=st.dictionaries(st.just("acme"), policies(), max_size=1))
# Around the edges, in the future too.
moments = st.builds(
    lambda days, us: NOW - timedelta(days=days, microseconds=us), st.integers(-1, 13), st.sampled_from([0, 0, 1, -1])
)


@st.composite
def catalogs(draw: Any) -> list[DocumentRecord]:
    return [
        record(
            number,
            sha256=Digest.parse(sha(draw(st.sampled_from("abc")))),
            tenant=draw(st.sampled_from(["default", "acme"])),
            resolver=draw(st.sampled_from(RESOLVERS)),
            media_type=draw(st.sampled_from(TYPES)),
            content_type=draw(st.sampled_from(TYPES)),
            bytes=draw(st.sampled_from(SIZES)),
            seen_at=draw(moments),
        )
        for number in range(draw(st.integers(0, 6)))
    ]


@settings(max_examples=120, deadline=None)
@given(
    with_tenants,
    catalogs(),
    st.sets(st.integers(0, 5), max_size=2),
    st.sets(st.sampled_from("abc"), max_size=1),
    st.dictionaries(st.integers(0, 5), moments, max_size=3),
    st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3)),
)
def test_all_at_once_and_one_by_one_agree(
    policy: RetentionPolicy,
    records: list[DocumentRecord],
    held: set[int],
    held_contents: set[str],
    accessed: dict[int, Any],
    healthy: dict[str, int | None],
) -> None:
    """For any documents and any policy, the frame says of each what `evaluate` says of it."""
    counted = {sha(name): count for name, count in healthy.items()}
    contents = {sha(name) for name in held_contents}
    frame = decisions(
        documents(*records),
        policy,
        as_of=NOW,
        copies=pl.DataFrame([(k, v, 1) for k, v in counted.items()], schema=COPIES, orient="row"),
        held_documents=held,
        held_contents=contents,
        accessed=pl.DataFrame(list(accessed.items()), schema=ACCESSED, orient="row"),
    )
    assert frame.schema == DECISIONS

    def judge(one: DocumentRecord, **more: Any) -> Any:
        around = {"held": one.id in held or str(one.sha256) in contents, "accessed_at": accessed.get(one.id)}
        return policy.evaluate(one, as_of=NOW, circumstances=Circumstances(**around | more))

    staying = {one.sha256 for one in records if judge(one).keep}
    assert frame["id"].to_list() == [one.id for one in records]
    for one, row in zip(records, frame.iter_rows(named=True), strict=True):
        expected = judge(one, needed=one.sha256 in staying, healthy=counted.get(str(one.sha256)))
        assert (row["keep"], row["reason"], row["days"]) == (expected.keep, expected.reason, expected.days)
        assert (row["rule"], row["rules"]) == (str(expected.winner), "; ".join(map(str, expected.rules)))
        assert (row["last_seen"], row["due_at"], row["score"]) == (
            expected.last_seen,
            expected.due_at,
            pytest.approx(expected.score),
        )


def decided(*records: DocumentRecord, policy: RetentionPolicy | None = None, **more: Any) -> pl.DataFrame:
    return decisions(
        documents(*records), policy or RetentionPolicy(), **{"as_of": NOW, "copies": copies(*records)} | more
    )


def test_no_documents_no_decisions() -> None:
    """An empty catalog gives an empty frame with its schema, and totals with a row for every reason (hazard 49)."""
    frame = decided()
    assert (frame.height, frame.schema) == (0, DECISIONS)
    assert totals(frame)["documents"].to_list() == [0] * len(REASONS)
    assert freed_bytes(frame) == 0


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_equal_documents_have_equal_scores(count: int) -> None:
    """To the last bit, however many there are: what is equally overdue is forgotten in the order of its numbers."""
    seen = NOW - timedelta(days=61, seconds=1)
    some = [record(number, seen_at=seen) for number in range(1, count + 1)]
    policy = RetentionPolicy(age_days=10)
    decided = decisions(documents(*some), policy, as_of=NOW, copies=copies(*some))
    assert set(decided["score"]) == {policy.evaluate(some[0], as_of=NOW).score}


def test_totals_have_every_document_once() -> None:
    """Kept and forgotten add up to the whole."""
    frame = decided(record(1), record(2, seen_at=NOW), record(3), held_documents=[3])
    told = {row["reason"]: (row["decision"], row["documents"]) for row in totals(frame).to_dicts() if row["documents"]}
    assert told == {"due-age": ("forget", 1), "young": ("keep", 1), "held": ("keep", 1)}
    assert totals(frame)["words"].to_list() == list(REASONS.values())


def test_a_document_without_any_sighting_is_kept() -> None:
    """Where a time is missing, the age is unknown, and the document stays (hazard 13)."""
    frame = documents(record(1)).with_columns(seen_at=pl.lit(None, dtype=schema("documents")["seen_at"]))
    (row,) = decisions(frame, RetentionPolicy(), as_of=NOW, copies=copies(record(1))).rows(named=True)
    assert (row["reason"], row["due_at"], row["score"]) == ("age-unknown", None, 0)


def test_content_the_copies_say_nothing_of_is_kept() -> None:
    """No count is not a count of nothing: unknown, so kept (hazard 13)."""
    assert decided(record(1), copies=copies())["reason"].to_list() == ["copies-unknown"]


def test_replicas_are_counted_after_the_whole_batch() -> None:
    """Two due twins do not vouch for each other: what they share is needed by none, or by a third that stays."""
    twins = [record(n, sha256=Digest.parse(sha("x"))) for n in (1, 2)]
    young = record(3, sha256=Digest.parse(sha("x")), seen_at=NOW)
    frame = decided(*twins, copies=copies(*twins, healthy=2))
    assert frame["keep"].to_list() == [False, False]
    frame = decided(*twins, young, copies=copies(*twins, healthy=1))
    assert frame["reason"].to_list() == ["too-few-copies", "too-few-copies", "young"]
    frame = decided(*twins, young, copies=copies(*twins, healthy=2))
    assert frame["keep"].to_list() == [False, False, True]
    assert freed_bytes(frame) == 0  # the third still has them


def test_only_the_tenant_that_was_asked_for() -> None:
    """Others stay in the plan for one tenant, due or not, and so they need what they share."""
    mine, theirs = record(1, tenant="acme"), record(2, sha256=record(1).sha256)
    assert decided(mine, theirs)["keep"].to_list() == [False, False]
    frame = decided(mine, theirs, tenant="acme")
    assert frame["reason"].to_list() == ["too-few-copies", "not-asked"]


def test_bytes_go_once_and_only_together() -> None:
    """A content's bytes count once, with its last document; not while something else roots them."""
    twins = [record(n, sha256=Digest.parse(sha("x")), bytes=70) for n in (1, 2)]
    assert freed_bytes(decided(*twins)) == 70
    assert freed_bytes(decided(*twins, rooted=[sha("x")])) == 0
    assert freed_bytes(decided(twins[0], record(2, sha256=twins[0].sha256, seen_at=NOW))) == 0


def places(*rows: dict[str, Any]) -> pl.DataFrame:
    plain = {"store": "main", "key": "k", "layout": "policy", "sha256": sha("x"), "bytes": 10}
    return pl.DataFrame([plain | {"id": n} | row for n, row in enumerate(rows)], schema=schema("locations"))


@pytest.mark.parametrize(
    "rows,healthy,stored",
    [
        ([{}], 1, 10),
        ([{"outcome": "ok"}], 1, 10),
        ([{"outcome": "missing"}], 0, 0),
        ([{"outcome": "corrupt"}], 0, 10),
        ([{"outcome": "unknown"}], None, 10),
        ([{"inode": 5}, {"inode": 5}], 1, 10),
        ([{"inode": 5}, {"inode": 5, "outcome": "missing"}], 1, 10),
        ([{"inode": 5}, {"inode": 5, "outcome": "corrupt"}], 0, 10),
        ([{"inode": 5}, {"inode": 6}], 2, 20),
        ([{"inode": 5}, {"inode": 5, "store": "far"}], 2, 20),
        ([{}, {}], 2, 20),
        ([{"inode": -2}, {}], 2, 20),
        ([{"outcome": "ok"}, {"outcome": "unknown"}], None, 20),
        ([{"store": "gone"}], None, 10),
        ([{"store": "gone", "outcome": "missing"}], 0, 0),
        ([{"store": "theirs"}], 1, 0),
        ([{}, {"store": "theirs"}], 2, 10),
    ],
)
def test_copies_are_physical_and_healthy(rows: list[dict[str, Any]], healthy: int | None, stored: int) -> None:
    """One inode is one copy; bad ones do not count; what cannot be known makes the number unknown."""
    counted = copies_of(places(*rows), unreachable=["gone"], in_place=["theirs"])
    assert counted.schema == COPIES
    assert counted.rows() == [(sha("x"), healthy, stored)]


def test_no_locations_no_copies() -> None:
    """An empty frame has its schema."""
    assert copies_of(places()).schema == COPIES


def test_every_reason_is_a_keep_or_a_forget() -> None:
    """Codes are words for people, too, and each decides one way."""
    assert all(REASONS.values())
    assert {code for code in REASONS if not code.startswith("due-")} == set(KEEP)


@settings(max_examples=40, deadline=None)
@given(with_tenants, catalogs(), st.sets(st.integers(0, 5), max_size=1), st.sets(st.sampled_from("abc"), max_size=1))
def test_the_curve_is_what_other_days_would_do(
    policy: RetentionPolicy, records: list[DocumentRecord], held: set[int], rooted: set[str]
) -> None:
    """For any value of age_days the curve says what deciding again with that value says."""
    around: dict[str, Any] = {
        "as_of": NOW,
        "copies": copies(*records, healthy=2),
        "held_documents": held,
        "rooted": {sha(name) for name in rooted},
    }
    curve = freed_by_days(decisions(documents(*records), policy, **around), range(1, 16))
    assert curve["days"].to_list() == list(range(1, 16))
    for days, count, freed in curve.rows():
        tenants = {name: replace(one, age_days=days) for name, one in policy.tenants.items()}
        again = decisions(documents(*records), replace(policy, age_days=days, tenants=tenants), **around)
        assert (count, freed) == ((~again["keep"]).sum(), freed_bytes(again))
