"""The contract of the past: any moment can be asked for, of one document and of all."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.model import Digest, schema
from tests.catalog.desk import DAY, HOUR, NOW, PLAN, Desk, relaxed, sha

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog

US = timedelta(microseconds=1)


def content_at(desk: Desk, document_id: int, when: datetime) -> str | None:
    """The first letters of a document's content at a time, by both ways of asking, which agree."""
    record = desk.catalog.document_at(document_id, when)
    rows = desk.catalog.documents_at(when).filter(pl.col("id") == document_id).rows(named=True)
    assert len(rows) == (record is not None)
    if record is None:
        return None
    assert rows[0]["sha256"] == str(record.sha256)
    assert (rows[0]["seen_at"], rows[0]["changed_at"]) == (record.seen_at, record.changed_at)
    assert max(record.changed_at, record.seen_at) <= when
    return next(word for word in ("one", "two", "three", "old", "new") if sha(word) == record.sha256)


def recall(desk: Desk, document_id: int, content: str, as_of: datetime) -> None:
    with desk.catalog.hand(PLAN, as_of=as_of) as hand:
        assert hand.recall(document_id, sha(content)) == ""


class Past:
    """Documents as they were, what differs, and all that happened to one."""

    def test_before_it_came_there_was_no_document(self, desk: Desk) -> None:
        """Until the microsecond it was taken in a document is not there; from then on it is."""
        document_id = desk.put_one("one", "a")
        assert content_at(desk, document_id, NOW - US) is None
        assert content_at(desk, document_id, NOW) == "one"
        assert desk.catalog.document_at(99, NOW) is None

    def test_a_change_holds_from_its_microsecond_on(self, desk: Desk) -> None:
        """The old version until just before the change, the new one from it on."""
        document_id = desk.put_one("one", "a")
        desk.put_one("two", "a", as_of=NOW + DAY)
        desk.catalog.touch([document_id], as_of=NOW + 9 * DAY)
        assert content_at(desk, document_id, NOW + DAY - US) == "one"
        assert content_at(desk, document_id, NOW + DAY) == "two"
        assert content_at(desk, document_id, NOW + 20 * DAY) == "two"

    def test_of_changes_in_one_microsecond_the_last_counts(self, desk: Desk) -> None:
        """Equal times are put in order by the sequence of the changes."""
        document_id = desk.put_one("one", "a")
        for content in ("two", "one", "three"):
            desk.put_one(content, "a")
        assert content_at(desk, document_id, NOW) == "three"
        desk.forget(document_id)
        assert content_at(desk, document_id, NOW) is None

    def test_forgotten_and_recalled(self, desk: Desk) -> None:
        """While it was forgotten there is none; before and after there is."""
        document_id = desk.put_one("one", "a")
        desk.forget(document_id, NOW + DAY)
        recall(desk, document_id, "one", NOW + 2 * DAY)
        seen = [content_at(desk, document_id, NOW + hours * HOUR) for hours in (0, 24, 47, 48, 99)]
        assert seen == ["one", None, None, "one", "one"]
        desk.forget(document_id, NOW + 3 * DAY)
        assert content_at(desk, document_id, NOW + 2 * DAY) == "one"
        assert content_at(desk, document_id, NOW + 3 * DAY) is None

    def test_a_version_that_came_late_never_was_current(self, desk: Desk) -> None:
        """An older download that arrives later changes no moment."""
        document_id = desk.put_one("new", "a", fetched_at=NOW)
        desk.put_one("old", "a", fetched_at=NOW - DAY, in_order=False, as_of=NOW + DAY)
        for when in (NOW, NOW + DAY, NOW + 2 * DAY):
            assert content_at(desk, document_id, when) == "new"

    def test_a_clock_that_went_back(self, desk: Desk) -> None:
        """Where a writer's clock was behind, the change that was made later wins where both claim a time."""
        document_id = desk.put_one("one", "a")
        desk.put_one("two", "a", as_of=NOW + 10 * DAY)
        desk.put_one("three", "a", as_of=NOW + 5 * DAY)
        seen = [content_at(desk, document_id, NOW + days * DAY) for days in (0, 4, 5, 7, 12)]
        assert seen == ["one", "one", "three", "three", "three"]
        desk.put_one("one", "a", as_of=NOW + 6 * DAY)
        assert content_at(desk, document_id, NOW + 7 * DAY) == "one"

    def test_frames_of_the_past_have_the_schema(self, catalog: Catalog) -> None:
        """Also where there was nothing."""
        here = catalog.position()
        assert dict(catalog.documents_at(NOW).schema) == schema("documents")
        assert dict(catalog.documents_at(here).schema) == schema("documents")
        assert dict(catalog.differences(here, here).schema) == schema("differences")
        assert dict(catalog.history(1).schema) == schema("history")

    def test_a_frame_of_now_is_the_present_one(self, desk: Desk) -> None:
        """As of now, and at the present position, the past is the present."""
        desk.put_one("one", "a", metadata={"pages": 3}, run_id="r")
        desk.put_one("two", "b", as_of=NOW + DAY)
        present = desk.catalog.frame("documents")
        assert desk.catalog.documents_at(NOW + DAY).equals(present)
        assert desk.catalog.documents_at(desk.catalog.position()).equals(present)

    def test_one_document_or_a_range_at_a_position(self, desk: Desk) -> None:
        """A position tells what was there, of one document and of those of some ids, whatever clocks say."""
        for content, name in (("one", "a"), ("two", "b"), ("three", "c")):
            desk.put_one(content, name)
        first = desk.catalog.position()
        desk.put_one("two", "a", as_of=NOW - DAY)
        desk.forget(2)
        second = desk.catalog.position()
        then = [desk.catalog.document_then(number, first) for number in (1, 2, 9)]
        assert [record and record.sha256 for record in then] == [sha("one"), sha("two"), None]
        record = desk.catalog.document_then(1, second)
        assert record is not None and record.sha256 == sha("two")
        assert desk.catalog.document_then(2, second) is None
        assert desk.catalog.documents_at(first, ids=(2, 3))["id"].to_list() == [2, 3]
        assert desk.catalog.documents_at(second, ids=(2, 3))["id"].to_list() == [3]
        assert desk.catalog.documents_at(NOW, ids=(3, 9))["id"].to_list() == [3]
        assert desk.catalog.changed_ids(first, second) == [1, 2]

    def test_what_differs(self, desk: Desk) -> None:
        """Added, changed and forgotten documents, with their bytes before and after; what came and went is none."""
        desk.put_one("one", "a")
        desk.put_one("three", "b")
        desk.put_one("one", "same")
        first = desk.catalog.position()
        desk.put_one("two two", "a")
        desk.forget(2)
        desk.put_one("new", "d")
        desk.forget(desk.put_one("old", "came and went"))
        desk.put_one("two", "same")
        desk.put_one("one", "same")
        second = desk.catalog.position()
        desk.put_one("later", "e")
        desk.forget(1)
        names = ("document_id", "difference", "artifact_id", "bytes_before", "bytes")
        assert desk.catalog.differences(first, second).select(names).rows() == [
            (1, "changed", "a", 3, 7), (2, "forgotten", "b", 5, None), (4, "added", "d", None, 3),
        ]  # fmt: skip

    def test_what_differs_in_facts_alone(self, desk: Desk) -> None:
        """A change of facts is a difference, though the content is the same; a sighting is none."""
        document_id = desk.put_one("one", "a")
        first = desk.catalog.position()
        desk.catalog.touch([document_id], as_of=NOW + DAY)
        assert desk.catalog.differences(first, desk.catalog.position()).height == 0
        desk.put_one("two", "a")
        desk.put_one("one", "a", metadata={"pages": 3})
        (row,) = desk.catalog.differences(first, desk.catalog.position()).rows(named=True)
        assert (row["difference"], row["sha256_before"]) == ("changed", row["sha256"])

    def test_the_history_of_one_document(self, desk: Desk) -> None:
        """Who, what, when and in which run or plan, in the sequence of the changes."""
        catalog = desk.catalog
        desk.put(desk.entry("one", "a", run_id="r1", fetched_at=NOW), run_id="r1")
        late = desk.entry("old", "a", fetched_at=NOW - DAY, in_order=False)
        desk.put(desk.entry("three", "a", run_id="r2", fetched_at=NOW), as_of=NOW + DAY, run_id="r2")
        desk.put(late, as_of=NOW + 2 * DAY, run_id="r3")
        catalog.begin_plan(PLAN, "forget", {}, {"approved_by": "ada"}, as_of=NOW)
        desk.forget(1, NOW + 3 * DAY)
        recall(desk, 1, "three", NOW + 4 * DAY)
        names = ("what", "at", "operation", "run_id", "plan_id", "by", "bytes", "fields")
        assert catalog.history(1).select(names).rows() == [
            ("arrived", NOW, "ingest", "r1", None, None, 3, ""),
            ("changed", NOW + DAY, "ingest", "r2", None, None, 5, "sha256, run_id"),
            ("came late", NOW + 2 * DAY, "ingest", "r3", None, None, 3, ""),
            ("forgotten", NOW + 3 * DAY, "apply", "", PLAN, "ada", 5, ""),
            ("recalled", NOW + 4 * DAY, "apply", "", PLAN, "ada", 5, ""),
        ]
        assert catalog.history(1)["change"].is_sorted()
        assert catalog.history(2).height == 0

    @relaxed
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["put", "put", "put", "late", "touch", "forget", "forget", "recall", "recall", "keep", "tag"]
                ),
                st.sampled_from("abc"),
                st.sampled_from(["one", "two", "three"]),
                st.sampled_from([0, 0, 1, 3600]),
            ),
            max_size=25,
        )
    )
    def test_every_moment_is_as_it_was(
        self, anew: Callable[[], Catalog], changes: list[tuple[str, str, str, int]]
    ) -> None:
        """Random changes, replayed against a recorded model: each moment, by time and by position, is found again."""
        desk, clock = Desk(anew()), NOW
        facts = pl.exclude("seen_at", "changed_at")
        at_times: dict[datetime, pl.DataFrame] = {}
        at_positions: dict[Any, pl.DataFrame] = {}
        kept: dict[int, Any] = {}
        for number, (what, name, content, seconds) in enumerate(changes):
            clock += timedelta(seconds=seconds)
            now = desk.catalog.frame("documents")
            mine = now.filter(pl.col("artifact_id") == name)
            if what == "put":
                desk.put_one(content, name, as_of=clock, fetched_at=clock)
            elif what == "late":
                desk.put_one(content, name, as_of=clock, fetched_at=NOW - DAY, in_order=False)
            elif what == "keep":
                moment = desk.catalog.keep_moment("snapshot", f"s{number}", as_of=clock)
                kept[moment.id] = moment.position
                if seconds:
                    desk.catalog.count_moment(moment.id)
            elif what == "touch":
                desk.catalog.touch(mine["id"].to_list(), as_of=clock)
            elif what == "forget" and mine.height:
                desk.forget(mine["id"][0], clock)
            elif what == "tag" and mine.height:  # by a writer who does not say when
                with desk.catalog.write("tag", int(clock.timestamp() * 1e6), "tags") as db:  # type: ignore[attr-defined]
                    db.execute("UPDATE documents SET metadata = ? WHERE id = ?", (f'{{"n":{number}}}', mine["id"][0]))
            elif what == "recall":
                gone = desk.catalog.frame("document_versions").filter(artifact_id=name, operation="apply")
                if gone.height:
                    with desk.catalog.hand(PLAN, as_of=clock) as hand:
                        hand.recall(gone["document_id"][-1], Digest.parse(gone["sha256"][-1]))
            present = desk.catalog.frame("documents").select(facts)
            at_times[clock] = at_positions[desk.catalog.position()] = present
        for when, expected in at_times.items():
            assert desk.catalog.documents_at(when).select(facts).equals(expected)
        for position, expected in at_positions.items():
            assert desk.catalog.documents_at(position).select(facts).equals(expected)
        for moment_id, position in kept.items():
            moment, frame = desk.catalog.count_moment(moment_id), at_positions[position]
            contents = frame.unique("sha256")
            assert (moment.documents, moment.blobs) == (frame.height, contents.height)
            assert (moment.logical_bytes, moment.stored_bytes) == (frame["bytes"].sum(), contents["bytes"].sum())
        for first, second in zip(sorted(at_positions), sorted(at_positions)[1:], strict=False):
            differ = desk.catalog.differences(first, second)["document_id"].to_list()
            before, after = at_positions[first], at_positions[second]
            assert set(differ) == {row[0] for row in set(before.rows()) ^ set(after.rows())}
        needed = {digest for position in kept.values() for digest in at_positions[position]["sha256"]}
        garbage = desk.catalog.garbage(as_of=clock)
        assert set(garbage.filter(pl.col("kept_by").is_not_null())["sha256"]) == needed & set(garbage["sha256"])

    def test_versions_that_ended_since(self, desk: Desk) -> None:
        """Of changed, forgotten and late ones those that held until later; none that holds still, or was recalled."""
        assert dict(desk.catalog.ended_versions(NOW).schema) == schema("document_versions")
        for day, content in enumerate(("one", "two", "three")):
            desk.put_one(content, "a", as_of=NOW + day * DAY, fetched_at=NOW + day * DAY)
        desk.put_one("old", "a", as_of=NOW + 3 * DAY, fetched_at=NOW - DAY, in_order=False)
        gone = desk.put_one("one", "b", as_of=NOW)
        desk.forget(gone, NOW + 4 * DAY)
        recall(desk, gone, "one", NOW + 5 * DAY)
        everything = desk.catalog.frame("document_versions").filter(pl.col("valid_to").is_not_null())
        for day in range(-1, 7):
            since = NOW + day * DAY
            found = desk.catalog.ended_versions(since)
            assert found.equals(everything.filter(pl.col("valid_to") > since))
        assert desk.catalog.ended_versions(NOW + DAY).height == 3
        assert desk.catalog.ended_versions(NOW + 4 * DAY).is_empty()

    def test_a_time_without_a_zone_is_refused(self, catalog: Catalog) -> None:
        """Nobody can tell which moment that is."""
        with pytest.raises(ValueError, match="time zone"):
            catalog.documents_at(NOW.replace(tzinfo=None))
