"""The figures of `catalogkit.stats`: counted by hand, compared with a plain loop, and true for any catalog."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from catalogkit import stats
from catalogkit.arrivals import growth, size_age
from catalogkit.coverage import Tally, coverage
from catalogkit.errors import InvalidInput
from catalogkit.model import schema
from catalogkit.stats import dedup_by, dedup_groups, dedup_totals, savings_curve, store_usage

GB = 10**9
AS_OF = datetime(2025, 6, 1, tzinfo=UTC)
A, B, C, D, E = (letter * 64 for letter in "abcde")
TEXTS = ["tenant", "artifact_id", "source_url", "resolver", "variant", "media_type", "content_type", "run_id"]


def ago(**length: float) -> datetime:
    return AS_OF - timedelta(**length)


def docs(*rows: dict[str, Any]) -> pl.DataFrame:
    """A documents frame; what a row leaves out gets a default, ids count from 1."""
    usual = {
        "tenant": "default",
        "resolver": "web",
        "variant": "",
        "sha256": A,
        "bytes": 100,
        "media_type": "application/pdf",
        "content_type": "",
        "run_id": "",
        "fetched_at": AS_OF,
        "created_at": AS_OF,
        "changed_at": AS_OF,
        "seen_at": AS_OF,
        "metadata": "{}",
    }
    full = [
        usual | {"id": number, "artifact_id": f"artifact-{number}", "source_url": f"https://example.org/{number}"} | row
        for number, row in enumerate(rows, 1)
    ]
    return pl.DataFrame(full, schema=schema("documents"))


def locs(*rows: dict[str, Any]) -> pl.DataFrame:
    """A locations frame; what a row leaves out gets a default: no inode, never checked."""
    usual = {"store": "main", "layout": "cas", "sha256": A, "bytes": 100, "created_at": AS_OF}
    full = [usual | {"id": number, "key": f"key-{number}"} | row for number, row in enumerate(rows, 1)]
    return pl.DataFrame(full, schema=schema("locations"))


def checked(outcome: str | None, when: datetime | None, **row: Any) -> dict[str, Any]:
    return {"outcome": outcome, "checked_at": when} | row


# -- totals, by hand ---------------------------------------------------------------------------------------------


def test_hazard_67_documents_that_share_one_file_leave_nothing_to_reclaim() -> None:
    """Ten documents on one stored file have saved nine copies; there is nothing left to free."""
    totals = dedup_totals(docs(*[{"bytes": GB}] * 10), locs({"bytes": GB}))
    assert asdict(totals) == {
        "documents": 10,
        "blobs": 1,
        "objects": 1,
        "logical_bytes": 10 * GB,
        "unique_bytes": GB,
        "duplicate_bytes": 9 * GB,
        "saved_bytes": 9 * GB,
        "reclaimable_bytes": 0,
        "replica_bytes": 0,
        "unreferenced_bytes": 0,
        "absent_bytes": 0,
        "physical_bytes": GB,
    }
    assert totals.dedup_ratio == 0.9
    assert totals.duplicate_share == 0.9


def test_reference_copies_save_nothing_and_could_free_all_but_one() -> None:
    """Three copies of the same bytes for three documents: nothing saved yet, two copies to free."""
    copies = [{"layout": "reference", "inode": inode} for inode in (7, 8, 9)]
    totals = dedup_totals(docs({}, {}, {}), locs(*copies))
    assert (totals.saved_bytes, totals.reclaimable_bytes, totals.physical_bytes) == (0, 200, 300)
    assert (totals.dedup_ratio, totals.duplicate_share) == (0.0, 2 / 3)


def test_hard_links_are_one_object() -> None:
    """Three names of one inode take up room once, so they save like one file."""
    totals = dedup_totals(docs({}, {}, {}), locs(*[{"inode": 7}] * 3))
    assert (totals.objects, totals.physical_bytes, totals.saved_bytes, totals.reclaimable_bytes) == (1, 100, 200, 0)


def test_locations_are_one_object_only_with_store_inode_and_digest_in_common() -> None:
    """The same inode number in another store, with other bytes, or no inode at all, is another object."""
    held = locs({"inode": 7}, {"inode": 7, "store": "cold"}, {"inode": 7, "sha256": B}, {}, {})
    totals = dedup_totals(docs({}, {"sha256": B}), held)
    assert (totals.objects, totals.physical_bytes) == (5, 500)
    assert (totals.replica_bytes, totals.reclaimable_bytes) == (100, 200)


def test_copies_in_further_stores_are_replicas_not_waste() -> None:
    """One copy in each of three stores: two replicas, nothing to free."""
    totals = dedup_totals(docs({}, {}), locs({}, {"store": "cold"}, {"store": "far"}))
    assert (totals.replica_bytes, totals.reclaimable_bytes, totals.saved_bytes) == (200, 0, 100)


def test_spare_copies_count_in_the_store_that_has_them() -> None:
    """Two copies here and two there: one to free in each, and one replica."""
    totals = dedup_totals(docs({}), locs({}, {}, {"store": "cold"}, {"store": "cold"}))
    assert (totals.reclaimable_bytes, totals.replica_bytes, totals.physical_bytes) == (200, 100, 400)


def test_more_copies_than_documents_save_nothing_rather_than_less() -> None:
    """One document with three copies has saved nothing: the figure never goes below zero."""
    totals = dedup_totals(docs({}), locs({}, {}, {}))
    assert (totals.saved_bytes, totals.reclaimable_bytes) == (0, 200)


def test_unreferenced_bytes_are_not_for_dedup() -> None:
    """Copies that no document refers to are all unreferenced, neither spare nor replica nor unique."""
    totals = dedup_totals(docs(), locs({}, {}, {"store": "cold"}))
    assert (totals.unreferenced_bytes, totals.physical_bytes, totals.blobs) == (300, 300, 1)
    assert totals.reclaimable_bytes == totals.replica_bytes == totals.unique_bytes == totals.saved_bytes == 0


@pytest.mark.parametrize("held", [locs(), locs(checked("missing", AS_OF, inode=7))], ids=["no location", "missing"])
def test_absent_bytes_are_logical_but_save_nothing(held: pl.DataFrame) -> None:
    """Two documents whose bytes no store has: absent once, and nothing is saved by not having them."""
    totals = dedup_totals(docs({}, {}), held)
    assert (totals.logical_bytes, totals.absent_bytes, totals.duplicate_bytes) == (200, 100, 100)
    assert totals.saved_bytes == totals.physical_bytes == totals.objects == 0


def test_a_missing_link_does_not_take_the_file_with_it() -> None:
    """Of two names of one inode one is missing: the object is still there, once; corrupt bytes take room too."""
    totals = dedup_totals(docs({}), locs(checked("missing", AS_OF, inode=7), checked("corrupt", AS_OF, inode=7)))
    assert (totals.objects, totals.physical_bytes, totals.absent_bytes) == (1, 100, 0)


def test_sizes_beyond_32_bits_add_up() -> None:
    """Sizes and sums of many terabytes are exact."""
    size = 3 * 2**40
    totals = dedup_totals(docs({"bytes": size}, {"bytes": size}), locs({"bytes": size}))
    assert (totals.logical_bytes, totals.saved_bytes) == (2 * size, size)


def test_hazard_68_documents_without_a_digest_are_no_duplicates() -> None:
    """A resolver without hashes brings no known duplicates: its documents are unique and absent."""
    known = docs({"sha256": None, "resolver": "unhashed"}, {"sha256": None, "resolver": "unhashed"}, {})
    totals = dedup_totals(known, locs({}))
    assert (totals.unique_bytes, totals.duplicate_bytes, totals.absent_bytes, totals.blobs) == (300, 0, 200, 3)
    assert dedup_groups(known, locs({})).is_empty()
    assert dedup_by(known, locs({}), "resolver")["duplicate_bytes"].to_list() == [0, 0]
    assert growth(known)["new_unique_bytes"].to_list() == [300]


def test_hazard_68_a_ratio_has_one_definition() -> None:
    """One of two duplicates is shared: the ratio counts what is saved, the share what is duplicated."""
    totals = dedup_totals(docs({}, {}, {}, {"sha256": B, "bytes": 700}), locs({}, {}, {"sha256": B, "bytes": 700}))
    assert totals.dedup_ratio == 0.1
    assert totals.duplicate_share == 0.2


def test_hazard_69_more_copies_mean_more_to_free_and_more_documents_do_not() -> None:
    """What can be freed grows by a whole copy with each further copy, and never with a further document."""
    by_copies = [dedup_totals(docs({}), locs(*[{}] * copies)).reclaimable_bytes for copies in range(4)]
    by_documents = [dedup_totals(docs(*[{}] * count), locs({}, {})).reclaimable_bytes for count in range(1, 4)]
    assert by_copies == [0, 0, 100, 200]
    assert by_documents == [100, 100, 100]


# -- groups, parts and the curve ---------------------------------------------------------------------------------


def test_groups_say_what_is_shared_and_come_in_order() -> None:
    """Only shared or spare contents of documents are groups; most to free first, then most saved, then digest."""
    known = docs(
        {"id": 3, "artifact_id": "second", "resolver": "x", "media_type": "text/html"},
        {"id": 2, "artifact_id": "first", "resolver": "y"},
        {"id": 4, "sha256": C, "artifact_id": "lone"},
        {"id": 5, "sha256": D, "artifact_id": "replicated"},
        *[{"id": number, "sha256": E, "artifact_id": f"e{number}", "bytes": 10} for number in (6, 7, 8)],
    )
    held = locs(
        {},
        {"sha256": B},
        {"sha256": B},
        *[{"sha256": C}] * 3,
        {"sha256": D},
        {"sha256": D, "store": "cold"},
        {"sha256": E, "bytes": 10, "inode": 1},
    )
    columns = (
        "sha256 media_type bytes documents objects resolvers artifact_id logical_bytes saved_bytes reclaimable_bytes"
    )
    groups = dedup_groups(known, held)
    assert groups.columns == columns.split()
    assert groups.rows() == [
        (C, "application/pdf", 100, 1, 3, 1, "lone", 100, 0, 200),
        (A, "application/pdf", 100, 2, 1, 2, "first", 200, 100, 0),
        (E, "application/pdf", 10, 3, 1, 1, "e6", 30, 20, 0),
    ]


def test_equal_groups_come_by_digest() -> None:
    """Groups that save the same come in the order of their digests."""
    known = docs(*[{"sha256": digest} for digest in (C, A, B)] * 2)
    assert dedup_groups(known, locs(*[{"sha256": digest} for digest in (B, C, A)]))["sha256"].to_list() == [A, B, C]


def test_the_bytes_left_over_go_to_the_lowest_ids() -> None:
    """A blob that saves 20 bytes for 3 documents gives 7, 7 and 6, in the order of the ids, and stores 10: 4, 3, 3."""
    known = docs(*[{"id": number, "bytes": 10, "resolver": f"r{number}"} for number in (9, 4, 6)])
    parts = dedup_by(known, locs({"bytes": 10}), "resolver")
    assert parts.rows() == [
        ("r4", 1, 10, 0, 7, 0, 4),
        ("r6", 1, 10, 10, 7, 0, 3),
        ("r9", 1, 10, 10, 6, 0, 3),
    ]
    columns = "resolver documents logical_bytes duplicate_bytes saved_bytes reclaimable_bytes stored_bytes"
    assert parts.columns == columns.split()


def test_parts_count_spare_copies_and_replicas() -> None:
    """Of 3 copies in two stores each of two tenants stores half and could free half of the spare one."""
    known = docs({"tenant": "x"}, {"tenant": "y"}, {"tenant": "y", "sha256": B})
    parts = dedup_by(known, locs({}, {}, {"store": "cold"}, {"sha256": C}), "tenant")
    assert parts.rows() == [("x", 1, 100, 0, 0, 50, 150), ("y", 2, 200, 100, 0, 50, 150)]


def test_a_value_that_is_not_known_is_a_part_of_its_own() -> None:
    """Documents without a media type stay in the sum."""
    parts = dedup_by(docs({"media_type": None}, {}), locs({}), "media_type")
    assert dict(parts.select("media_type", "saved_bytes").iter_rows()) == {None: 50, "application/pdf": 50}


@pytest.mark.parametrize("column", ["nonsense", "bytes", "sha256", "metadata", "fetched_at", ""])
def test_parts_of_an_unknown_column_are_refused(column: str) -> None:
    """Anything but a text column is refused, and the message lists the choices."""
    with pytest.raises(InvalidInput, match="tenant, artifact_id, source_url, resolver, variant, media_type"):
        dedup_by(docs({}), locs({}), column)


def test_parts_of_a_column_that_a_notebook_added() -> None:
    """A text column of one's own, such as the host, works like the catalog's."""
    known = docs({}, {}).with_columns(host=pl.Series(["a.org", "b.org"]))
    assert dedup_by(known, locs({}), "host").select("host", "saved_bytes").rows() == [("a.org", 50), ("b.org", 50)]


def test_stores_say_what_they_hold() -> None:
    """Each store answers for its own objects, spare copies and unreferenced bytes."""
    held = locs({}, {}, {"store": "cold"}, {"store": "cold", "sha256": B}, {"store": "cold", "sha256": B})
    usage = store_usage(docs({}, {}), held)
    assert usage.columns == ["store", "objects", "physical_bytes", "reclaimable_bytes", "unreferenced_bytes"]
    assert usage.rows() == [("cold", 3, 300, 0, 200), ("main", 2, 200, 100, 0)]


def groups_of(*gains: tuple[int, int]) -> pl.DataFrame:
    names = [f"{number:064x}" for number in range(len(gains))]
    saved, reclaimable = ([gain[side] for gain in gains] for side in (0, 1))
    return pl.DataFrame({"sha256": names, "saved_bytes": saved, "reclaimable_bytes": reclaimable})


def test_the_curve_adds_up_from_the_biggest_group_on() -> None:
    """Groups count in the order of saved + reclaimable bytes, and the sums run up to the whole."""
    curve = savings_curve(groups_of((5, 10), (40, 0), (10, 10), (1, 0)))
    assert curve.columns == ["rank", "share_of_groups", "saved_bytes", "reclaimable_bytes"]
    assert curve.rows() == [(1, 0.25, 40, 0), (2, 0.5, 50, 10), (3, 0.75, 55, 20), (4, 1.0, 56, 20)]


def test_groups_with_equal_gains_come_by_digest_in_the_curve() -> None:
    """Which of two equal groups comes first depends on their digests, not on the order of rows."""
    groups = groups_of((1, 0), (20, 0), (10, 10))
    assert savings_curve(groups.reverse())["saved_bytes"].to_list() == [20, 30, 31]


@pytest.mark.parametrize(
    "groups, points, ranks",
    [(1, 2, [1]), (2, 2, [1, 2]), (9, 2, [1, 9]), (9, 3, [1, 5, 9]), (9, 9, list(range(1, 10))), (3, 400, [1, 2, 3])],
)
def test_the_curve_is_thinned_between_its_ends(groups: int, points: int, ranks: list[int]) -> None:
    """At most as many rows as asked for, the first and the last group always among them."""
    assert savings_curve(groups_of(*[(1, 0)] * groups), points)["rank"].to_list() == ranks


@pytest.mark.parametrize("points", [1, 0, -5])
def test_a_curve_without_room_for_its_ends_is_refused(points: int) -> None:
    """Fewer than two points are refused."""
    with pytest.raises(InvalidInput, match="at least 2 points"):
        savings_curve(groups_of((1, 1)), points)


# -- growth, size and age ----------------------------------------------------------------------------------------


def test_growth_counts_a_content_once_and_shows_quiet_months() -> None:
    """Content counts as new in its first month only; a month without arrivals shows zeros."""
    january, march = datetime(2025, 1, 31, 23, 59, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)
    known = docs(
        {"fetched_at": march},
        {"fetched_at": january, "created_at": march},
        {"fetched_at": None, "created_at": january, "sha256": B, "bytes": 7},
        {"fetched_at": march, "sha256": C, "bytes": 1},
    )
    grown = growth(known)
    first, second, third = (datetime(2025, month, 1, tzinfo=UTC) for month in (1, 2, 3))
    assert grown.columns[1:4] == ["documents", "logical_bytes", "new_unique_bytes"]
    assert grown.columns[4:] == ["total_documents", "total_logical_bytes", "total_unique_bytes"]
    assert grown.rows() == [
        (first, 2, 107, 107, 2, 107, 107),
        (second, 0, 0, 0, 2, 107, 107),
        (third, 2, 101, 1, 4, 208, 108),
    ]


@pytest.mark.parametrize(
    "every, periods", [("1h", 24 * 59 + 1), ("1d", 60), ("1w", 9), ("2w", 5), ("1mo", 3), ("1q", 1), ("1y", 1)]
)
def test_growth_has_every_period_from_first_to_last(every: str, periods: int) -> None:
    """From 2025-01-01 to 2025-03-01 no period is left out, and none is counted twice."""
    days = [datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)]
    grown = growth(docs(*[{"fetched_at": day} for day in days]), every)
    assert grown.height == grown["period"].n_unique() == periods
    assert grown["documents"].sum() == grown["total_documents"].max() == 2


@pytest.mark.parametrize("every", ["", "1", "mo", "0d", "-1d", "1us", "1mo1d", "1mo ", "99999d"])
def test_growth_refuses_what_is_no_period(every: str) -> None:
    """Anything but a number and a unit is refused before any work, also periods too fine to list."""
    with pytest.raises(InvalidInput, match="not a period"):
        growth(docs({}), every)


def test_size_classes_begin_at_round_numbers() -> None:
    """10 kB is not less than 10 kB: each class begins at its number, in decimal bytes."""
    edges = [0, 9_999, 10_000, 99_999, 100_000, 999_999, 10**6, 10**7 - 1, 10**7, 10**8 - 1, 10**8, 10**12]
    sizes = size_age(docs(*[{"bytes": edge} for edge in edges]), AS_OF).filter(pl.col("documents") > 0)
    classes = ["<10 kB", "10-100 kB", "100 kB-1 MB", "1-10 MB", "10-100 MB", ">=100 MB"]
    pairs = [sum(edges[number : number + 2]) for number in range(0, 12, 2)]
    assert sizes.select("size_class", "documents", "logical_bytes").rows() == list(
        zip(classes, [2] * 6, pairs, strict=True)
    )


def test_age_classes_end_at_their_number() -> None:
    """Seven days old is in the class up to seven days, a moment more in the next; the future is young."""
    moment = timedelta(microseconds=1)
    ends = [timedelta(days=days) for days in (7, 30, 90, 180, 365)]
    ages = [-moment, *ends, *(end + moment for end in ends)]
    crossed = size_age(docs(*[{"fetched_at": AS_OF - age, "created_at": AS_OF} for age in ages]), AS_OF)
    found = crossed.filter(size_class="<10 kB").select("age_class", "documents").rows()
    assert found == [("<=7 d", 2), ("<=30 d", 2), ("<=90 d", 2), ("<=180 d", 2), ("<=1 y", 2), ("older", 1)]


def test_age_counts_from_the_entry_where_the_fetch_is_not_known() -> None:
    """A document without a time of fetching is as old as its entry in the catalog."""
    crossed = size_age(docs({"fetched_at": None, "created_at": ago(days=20)}), AS_OF).filter(pl.col("documents") > 0)
    assert crossed["age_class"].to_list() == ["<=30 d"]


@pytest.mark.parametrize("known", [docs(), docs({})], ids=["empty", "one"])
def test_every_size_meets_every_age(known: pl.DataFrame) -> None:
    """All 36 combinations are there, smallest and youngest first, and labels sort by what they mean."""
    crossed = size_age(known, AS_OF)
    assert crossed.height == crossed.select("size_class", "age_class").n_unique() == 36
    assert_frame_equal(crossed, crossed.sort("size_class", "age_class"))
    assert crossed.row(0)[:2] == ("<10 kB", "<=7 d")
    assert crossed.row(-1)[:2] == (">=100 MB", "older")


# -- coverage ----------------------------------------------------------------------------------------------------


def test_coverage_counts_bytes_by_their_newest_check() -> None:
    """Bytes count in each window that reaches back to their check; not ok or never checked counts in none."""
    held = locs(
        checked("ok", ago(days=1), bytes=10),
        checked("ok", ago(days=1, microseconds=1), bytes=20),
        checked("ok", ago(days=366), bytes=30),
        checked("corrupt", ago(hours=1), bytes=40),
        checked("unknown", ago(hours=1), bytes=50),
        checked(None, None, bytes=50),
        checked("missing", ago(hours=1), bytes=900),
    )
    seen = coverage(held, AS_OF)
    assert seen.as_of == AS_OF
    assert (seen.objects, seen.physical_bytes) == (6, 200)
    assert seen.verified_bytes == {1: 10, 7: 30, 30: 30, 90: 30, 365: 30}
    assert seen.verified_share == {1: 0.05, 7: 0.15, 30: 0.15, 90: 0.15, 365: 0.15}
    assert (seen.never_checked_objects, seen.never_checked_bytes) == (1, 50)
    assert seen.oldest_check == ago(days=366)
    assert seen.future_checks == 0
    assert seen.by_outcome == {
        "ok": Tally(objects=3, bytes=60),
        "unknown": Tally(objects=1, bytes=50),
        "corrupt": Tally(objects=1, bytes=40),
        "never": Tally(objects=1, bytes=50),
        "missing": Tally(objects=1, bytes=900),
    }


@pytest.mark.parametrize("older, newer, verified", [("ok", "corrupt", 0), ("corrupt", "ok", 100), (None, "ok", 100)])
def test_an_object_is_as_good_as_its_newest_check(older: str | None, newer: str, verified: int) -> None:
    """Two names of one inode count once, and the newer of their checks decides."""
    links = [checked(older, older and ago(days=20), inode=7), checked(newer, ago(days=2), inode=7)]
    for held in (locs(*links), locs(*reversed(links))):
        seen = coverage(held, AS_OF, [30])
        assert (seen.objects, seen.physical_bytes, seen.verified_bytes) == (1, 100, {30: verified})
        assert seen.by_outcome[newer] == Tally(objects=1, bytes=100)
        assert seen.oldest_check == ago(days=2)


@pytest.mark.parametrize("worse", ["corrupt", "unknown"])
def test_of_two_checks_at_one_moment_the_worse_is_believed(worse: str) -> None:
    """Names of one inode checked at the same time with different results are not verified, in either order."""
    links = [checked(worse, AS_OF, inode=7), checked("ok", AS_OF, inode=7)]
    for held in (locs(*links), locs(*reversed(links))):
        assert coverage(held, AS_OF, [1]).by_outcome[worse].objects == 1


def test_a_check_in_the_future_proves_nothing() -> None:
    """A stamp later than as_of is counted apart; its object has only the checks before, or none."""
    late = AS_OF + timedelta(microseconds=1)
    held = locs(
        checked("ok", late, bytes=10),
        checked("ok", late, bytes=20, inode=7),
        checked("ok", ago(days=3), bytes=20, inode=7),
        checked("ok", AS_OF, bytes=30),
    )
    seen = coverage(held, AS_OF, [1, 7])
    assert seen.future_checks == 2
    assert seen.verified_bytes == {1: 30, 7: 50}
    assert seen.never_checked_bytes == 10
    assert seen.oldest_check == ago(days=3)


@pytest.mark.parametrize("half", [("ok", None), (None, AS_OF)], ids=["no time", "no outcome"])
def test_half_a_check_is_none(half: tuple[str | None, datetime | None]) -> None:
    """An outcome without a time, or a time without an outcome, is no check."""
    seen = coverage(locs(checked(*half)), AS_OF)
    assert (seen.never_checked_objects, seen.oldest_check, seen.verified_bytes[365]) == (1, None, 0)


def test_missing_bytes_are_reported_but_are_no_part_of_the_total() -> None:
    """A catalog whose only file is missing has nothing to verify, and says what is missing."""
    seen = coverage(locs(checked("missing", AS_OF, bytes=70), checked("missing", AS_OF, bytes=5)), AS_OF, [7])
    assert (seen.objects, seen.physical_bytes, seen.verified_share) == (0, 0, {7: None})
    assert seen.by_outcome["missing"] == Tally(objects=2, bytes=75)
    assert (seen.never_checked_objects, seen.oldest_check) == (0, None)


def test_windows_are_whole_days_from_one_on() -> None:
    """No windows give no shares; zero and negative windows are refused."""
    assert coverage(locs({}), AS_OF, []).verified_share == {}
    for days in (0, -7):
        with pytest.raises(InvalidInput, match="whole days"):
            coverage(locs({}), AS_OF, [7, days])


@pytest.mark.parametrize("ask", [size_age, coverage])
def test_a_time_without_a_zone_is_refused(ask: Any) -> None:
    """as_of has a time zone, or the question is refused."""
    frame = docs() if ask is size_age else locs()
    with pytest.raises(InvalidInput, match="time zone"):
        ask(frame, datetime(2025, 6, 1))  # noqa: DTZ001


# -- nothing at all ----------------------------------------------------------------------------------------------


def test_hazard_49_an_empty_catalog_has_zeros_and_no_shares() -> None:
    """Nothing is divided by zero: totals are 0, ratios 0.0, and a share of nothing is None."""
    totals = dedup_totals(docs(), locs())
    assert set(asdict(totals).values()) == {0}
    assert (totals.dedup_ratio, totals.duplicate_share) == (0.0, 0.0)
    seen = coverage(locs(), AS_OF, [1, 30])
    assert (seen.objects, seen.physical_bytes, seen.future_checks, seen.oldest_check) == (0, 0, 0, None)
    assert (seen.verified_bytes, seen.verified_share) == ({1: 0, 30: 0}, {1: None, 30: None})
    assert set(seen.by_outcome) == {"ok", "unknown", "corrupt", "never", "missing"}
    assert set(seen.by_outcome.values()) == {Tally()}


FRAMES: dict[str, Any] = {
    "groups": dedup_groups,
    "stores": store_usage,
    "curve": lambda known, held: savings_curve(dedup_groups(known, held)),
    "growth": lambda known, held: growth(known),
    "size_age": lambda known, held: size_age(known, AS_OF),
} | {f"by {column}": lambda known, held, column=column: dedup_by(known, held, column) for column in TEXTS}


@pytest.mark.parametrize("name", FRAMES)
def test_hazard_49_an_empty_catalog_gives_a_frame_of_the_same_schema(name: str) -> None:
    """No rows in, the usual columns and types out; digests are text, sizes and counts Int64, times UTC."""
    ask = FRAMES[name]
    full, empty = ask(docs({}, {}), locs({}, {})), ask(docs(), locs())
    assert empty.schema == full.schema
    assert full.height
    assert empty.is_empty() or name == "size_age"
    assert all(kind == pl.Int64 for column, kind in full.schema.items() if column.endswith(("bytes", "documents")))
    assert {kind.base_type() for kind in full.dtypes} <= {pl.Int64, pl.String, pl.Float64, pl.Enum, pl.Datetime}


def test_all_is_complete() -> None:
    """Every public name the module defines is in `__all__`."""
    own = {name for name, value in vars(stats).items() if getattr(value, "__module__", "") == stats.__name__}
    assert set(stats.__all__) == {name for name in own if not name.startswith("_")}


# -- true for any catalog ----------------------------------------------------------------------------------------

Catalog = tuple[pl.DataFrame, pl.DataFrame]
relaxed = settings(deadline=None, max_examples=50)  # a busy machine is not a finding


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """A small catalog with much in common: five contents, three stores, three inodes."""
    sizes = dict(zip((A, B, C, D, E), draw(st.lists(st.integers(0, 50), min_size=5, max_size=5)), strict=True))
    content, name = st.sampled_from(list(sizes)), st.sampled_from(["x", "y", ""])
    when = st.integers(0, 800).map(lambda days: ago(days=days - 20))
    document = st.fixed_dictionaries(
        {"sha256": content, "fetched_at": st.none() | when, "created_at": when}
        | dict.fromkeys(["tenant", "resolver", "variant", "media_type", "content_type", "run_id"], name)
    )
    result = st.tuples(st.sampled_from(["ok", "corrupt", "missing", "unknown"]), when) | st.just((None, None))
    location = st.builds(
        lambda digest, store, inode, outcome: checked(*outcome, sha256=digest, store=store, inode=inode),
        content,
        st.sampled_from(["main", "cold", "far"]),
        st.none() | st.sampled_from([1, 2, -(2**63)]),
        result,
    )
    known, held = draw(st.lists(document, max_size=12)), draw(st.lists(location, max_size=12))
    sized = [[row | {"bytes": sizes[row["sha256"]]} for row in rows] for rows in (known, held)]
    return docs(*sized[0]), locs(*sized[1])


def plainly(known: pl.DataFrame, held: pl.DataFrame) -> dict[str, int]:
    """The totals again, as plain loops over one blob after the other."""
    sizes = dict(known.select("sha256", "bytes").rows() + held.select("sha256", "bytes").rows())
    documents = Counter(known["sha256"])
    objects: dict[str, set[tuple[Any, ...]]] = {}
    for row in held.iter_rows(named=True):
        if row["outcome"] != "missing":
            own = ("key", row["key"]) if row["inode"] is None else ("inode", row["inode"])
            objects.setdefault(row["sha256"], set()).add((row["store"], *own))
    sums: Counter[str] = Counter()
    for digest in {*documents, *objects}:
        size, count, copies = sizes[digest], documents[digest], objects.get(digest, set())
        per_store = Counter(store for store, *_ in copies)
        sums["documents"] += count
        sums["blobs"] += 1
        sums["objects"] += len(copies)
        sums["physical_bytes"] += len(copies) * size
        if not count:
            sums["unreferenced_bytes"] += len(copies) * size
            continue
        sums["logical_bytes"] += count * size
        sums["unique_bytes"] += size
        sums["duplicate_bytes"] += (count - 1) * size
        if not copies:
            sums["absent_bytes"] += size
            continue
        spare = sum(copies - 1 for copies in per_store.values())
        sums["saved_bytes"] += max(count - 1 - spare, 0) * size
        sums["reclaimable_bytes"] += spare * size
        sums["replica_bytes"] += (len(per_store) - 1) * size
    return dict(sums)


@relaxed
@given(catalogs())
def test_totals_are_what_a_plain_loop_counts(catalog: Catalog) -> None:
    """The set-based totals equal those of loops over the blobs."""
    totals = asdict(dedup_totals(*catalog))
    assert totals == dict.fromkeys(totals, 0) | plainly(*catalog)


@relaxed
@given(catalogs())
def test_totals_reconcile(catalog: Catalog) -> None:
    """Physical bytes part into unique, replica, spare and unreferenced; logical ones into unique and duplicate."""
    known, held = catalog
    totals = dedup_totals(known, held)
    present = totals.unique_bytes - totals.absent_bytes
    spare = totals.replica_bytes + totals.reclaimable_bytes + totals.unreferenced_bytes
    assert totals.physical_bytes == present + spare
    assert totals.logical_bytes == totals.unique_bytes + totals.duplicate_bytes == known["bytes"].sum()
    assert 0 <= totals.saved_bytes <= totals.duplicate_bytes
    assert 0.0 <= totals.dedup_ratio <= totals.duplicate_share <= 1.0


@relaxed
@given(catalogs(), st.sampled_from(TEXTS))
def test_hazard_68_parts_add_up_to_the_whole(catalog: Catalog, column: str) -> None:
    """By whatever column the documents are grouped, each figure adds up to its total, and no part is negative."""
    known, held = catalog
    totals, parts = dedup_totals(known, held), dedup_by(known, held, column)
    assert parts[column].to_list() == parts[column].unique(maintain_order=True).to_list()
    assert parts["stored_bytes"].sum() == totals.physical_bytes - totals.unreferenced_bytes
    for name in ("documents", "logical_bytes", "duplicate_bytes", "saved_bytes", "reclaimable_bytes"):
        assert parts[name].sum() == getattr(totals, name)
        assert (parts[name] >= 0).all()


@relaxed
@given(catalogs())
def test_groups_stores_and_the_curve_add_up_to_the_whole(catalog: Catalog) -> None:
    """Nothing is saved or spare outside the groups, and nothing lies outside the stores."""
    totals, groups, usage = dedup_totals(*catalog), dedup_groups(*catalog), store_usage(*catalog)
    for name in ("saved_bytes", "reclaimable_bytes"):
        assert groups[name].sum() == getattr(totals, name)
        assert (savings_curve(groups, 2)[name].max() or 0) == getattr(totals, name)
    for name in ("objects", "physical_bytes", "reclaimable_bytes", "unreferenced_bytes"):
        assert usage[name].sum() == getattr(totals, name)


@relaxed
@given(catalogs(), st.sampled_from(["1d", "2w", "1mo", "1q", "1y"]))
def test_growth_and_size_age_add_up_to_the_whole(catalog: Catalog, every: str) -> None:
    """Every document arrives in one period and has one size and age; every content is new once."""
    known, held = catalog
    totals, grown, crossed = dedup_totals(known, held), growth(known, every), size_age(known, AS_OF)
    assert grown["new_unique_bytes"].sum() == totals.unique_bytes
    for name in ("documents", "logical_bytes"):
        assert grown[name].sum() == crossed[name].sum() == getattr(totals, name)
        assert (grown[f"total_{name}"].max() or 0) == getattr(totals, name)


@relaxed
@given(catalogs())
def test_coverage_parts_add_up_to_the_physical_bytes(catalog: Catalog) -> None:
    """Coverage and the totals see the same objects, outcomes part them, and longer windows cover no less."""
    totals, seen = dedup_totals(*catalog), coverage(catalog[1], AS_OF, [7, 90, 700])
    assert (seen.objects, seen.physical_bytes) == (totals.objects, totals.physical_bytes)
    present = [tally for name, tally in seen.by_outcome.items() if name != "missing"]
    assert sum(tally.objects for tally in present) == seen.objects
    assert sum(tally.bytes for tally in present) == seen.physical_bytes
    windows = list(seen.verified_bytes.values())
    assert windows == sorted(windows)
    assert windows[-1] <= seen.by_outcome["ok"].bytes


@relaxed
@given(catalogs(), st.data())
def test_a_further_hard_link_takes_no_room(catalog: Catalog, data: st.DataObject) -> None:
    """Another name for an object that is there changes no figure at all."""
    known, held = catalog
    linked = held.filter(pl.col("inode").is_not_null() & pl.col("outcome").ne_missing("missing"))
    if linked.is_empty():
        return
    link = linked[data.draw(st.integers(0, linked.height - 1))].with_columns(id=99 + pl.col("id"), key=pl.lit("link"))
    more = pl.concat([held, link])
    assert dedup_totals(known, more) == dedup_totals(known, held)
    assert_frame_equal(store_usage(known, more), store_usage(known, held))


@relaxed
@given(catalogs(), st.integers(0, 2**32))
def test_the_order_of_rows_does_not_matter(catalog: Catalog, seed: int) -> None:
    """Shuffled frames give the same totals, coverage and frames, row for row."""
    shuffled = tuple(frame.sample(fraction=1, shuffle=True, seed=seed) for frame in catalog)
    assert dedup_totals(*shuffled) == dedup_totals(*catalog)
    assert coverage(shuffled[1], AS_OF) == coverage(catalog[1], AS_OF)
    for ask in FRAMES.values():
        assert_frame_equal(ask(*shuffled), ask(*catalog))


def test_large_frames_are_counted_exactly() -> None:
    """300,000 documents on 100,000 contents, each stored twice, once as two links: the figures are as computed."""
    number = pl.int_range(300_000, dtype=pl.Int64)
    digest = pl.format("{}", number % 100_000).str.zfill(64)
    base = pl.select(id=number, sha256=digest, bytes=number % 100_000)
    blank = docs({}).drop("id", "sha256", "bytes"), locs({}).drop("id", "sha256", "bytes", "inode")
    known = base.join(blank[0], how="cross").with_columns(resolver=pl.format("r{}", pl.col("id") % 7))
    held = base.join(blank[1], how="cross").with_columns(inode=pl.col("id") % 200_000)
    total = sum(range(100_000))
    totals = dedup_totals(known, held)
    assert (totals.documents, totals.blobs, totals.objects) == (300_000, 100_000, 200_000)
    assert (totals.logical_bytes, totals.physical_bytes) == (3 * total, 2 * total)
    assert (totals.saved_bytes, totals.reclaimable_bytes) == (total, total)
    parts, groups = dedup_by(known, held, "resolver"), dedup_groups(known, held)
    assert (parts.height, parts["saved_bytes"].sum(), parts["stored_bytes"].sum()) == (7, total, 2 * total)
    assert (groups.height, savings_curve(groups).height) == (100_000, 400)
    assert coverage(held, AS_OF).never_checked_bytes == 2 * total
    assert growth(known)["total_unique_bytes"].to_list() == [total]
    assert size_age(known, AS_OF)["documents"].sum() == 300_000
