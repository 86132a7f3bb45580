"""The contract of runs, checks, what is due and what is covered, and holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit import stats
from catalogkit.coverage import coverage
from catalogkit.errors import ConstraintError, InvalidInput
from catalogkit.layouts import cas_key
from catalogkit.model import Check, Outcome, to_us
from tests.catalog.desk import DAY, HOUR, NOW, PLAN, Desk, relaxed, sha

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.catalog.contract import Catalog


class Ledger:
    """Who was checked, when, with what result, and who is next."""

    def test_a_run_is_unfinished_until_it_ends(self, desk: Desk) -> None:
        """The newest run of an operation counts; a run that is continued is unfinished again."""
        catalog = desk.catalog
        assert catalog.unfinished_run("verify") is None
        catalog.start_run("v1", "verify", as_of=NOW)
        assert catalog.unfinished_run("verify") == ("v1", NOW)
        assert catalog.unfinished_run("ingest") is None
        catalog.end_run("v1", {"ok": 3}, as_of=NOW + HOUR)
        assert catalog.unfinished_run("verify") is None
        catalog.start_run("v1", "verify", as_of=NOW + DAY)
        assert catalog.unfinished_run("verify") == ("v1", NOW)
        catalog.start_run("v2", "verify", as_of=NOW + DAY)
        catalog.end_run("v2", {}, as_of=NOW + DAY)
        assert catalog.unfinished_run("verify") is None

    def test_the_summary_of_the_last_run(self, catalog: Catalog) -> None:
        """The newest run of a kind that ended, by when it ended; one under way, or of another kind, is none."""
        assert catalog.last_run("verify") == {}
        for run_id, operation, hours in (("b", "verify", 2), ("a", "verify", 1), ("c", "ingest", 3)):
            catalog.start_run(run_id, operation, as_of=NOW)
            catalog.end_run(run_id, {"ok": hours}, as_of=NOW + hours * HOUR)
        catalog.start_run("d", "verify", as_of=NOW + DAY)
        assert catalog.last_run("verify") == {"ok": 2}

    @pytest.mark.parametrize("run_id", ["", "a\x00b", "\ud800"])
    def test_a_run_needs_a_name_that_can_be_kept(self, catalog: Catalog, run_id: str) -> None:
        """An empty run id, or one no database keeps as text, is refused."""
        with pytest.raises((InvalidInput, ConstraintError)):
            catalog.start_run(run_id, "verify", as_of=NOW)

    def test_the_ledger_by_day(self, desk: Desk) -> None:
        """Checks and bytes are counted by day in UTC and by outcome; the end of the time asked about is left out."""
        desk.put_one()
        for hours, outcome, size in (
            (0, Outcome.OK, 5),
            (1, Outcome.OK, 7),
            (2, Outcome.CORRUPT, 1),
            (36, Outcome.OK, 3),
        ):
            check = Check(
                location_id=desk.location(),
                sha256=sha("one"),
                checked_at=NOW + hours * HOUR,
                outcome=outcome,
                bytes=size,
            )
            desk.catalog.record_checks([check])
        day = (NOW - datetime(1970, 1, 1, tzinfo=UTC)).days
        asked = desk.catalog.checks_by_day
        assert asked(since=NOW, until=NOW + 2 * DAY) == [
            (day, "corrupt", 1, 1),
            (day, "ok", 2, 12),
            (day + 2, "ok", 1, 3),
        ]
        assert asked(since=NOW + HOUR, until=NOW + 36 * HOUR) == [(day, "corrupt", 1, 1), (day, "ok", 1, 7)]
        assert asked(since=NOW - DAY, until=NOW) == []

    def test_the_ledger_is_only_added_to(self, desk: Desk) -> None:
        """Every check stays in the ledger, in order, with its run; the copy shows the last one."""
        desk.put_one()
        before = desk.catalog.last_check_id()
        for days, outcome in enumerate((Outcome.OK, Outcome.UNKNOWN, Outcome.CORRUPT)):
            check = Check(
                location_id=desk.location(), sha256=sha("one"), checked_at=NOW + days * DAY, outcome=outcome,
                bytes=days, method="read", detail="ö",
            )  # fmt: skip
            desk.catalog.record_checks([check], run_id=f"run {days}")
        ledger = desk.catalog.frame("checks")
        assert ledger.select("outcome", "bytes", "method", "detail", "run_id", "checked_at").rows() == [
            ("ok", 0, "read", "ö", "run 0", NOW),
            ("unknown", 1, "read", "ö", "run 1", NOW + DAY),
            ("corrupt", 2, "read", "ö", "run 2", NOW + 2 * DAY),
        ]
        assert ledger["id"].is_sorted()
        assert desk.catalog.last_check_id() == ledger["id"].max() == before + 3
        (copy,) = desk.catalog.locations_of(sha("one"))
        assert (copy.outcome, copy.checked_at) == (Outcome.CORRUPT, NOW + 2 * DAY)

    def test_a_check_of_what_was_replaced_meanwhile_is_history_only(self, desk: Desk) -> None:
        """A result about other content than the place now holds, or no place at all, goes to the ledger alone."""
        desk.put_one()
        for location, content in ((desk.location(), "two"), (999, "one")):
            check = Check(location_id=location, sha256=sha(content), checked_at=NOW, outcome=Outcome.CORRUPT)
            desk.catalog.record_checks([check])
        assert desk.catalog.frame("checks").height == 2
        assert desk.catalog.locations_of(sha("one"))[0].outcome is None

    @pytest.mark.parametrize("seen", ["due", "audited"])
    def test_a_copy_that_was_put_back_since_is_not_called_missing(self, desk: Desk, seen: str) -> None:
        """Who looked before a plan put the file back at its old place says so in the ledger, and nothing else changes.

        The file is the same by its inode and times where it is one more name of another copy.
        """
        desk.put_one()
        (copy,) = desk.catalog.locations_of(sha("one"))
        before = (
            desk.catalog.due(before=NOW, limit=1, up_to_check=99)[0]
            if seen == "due"
            else desk.catalog.copies(limit=1)[0]
        )
        with desk.catalog.hand(PLAN, as_of=NOW + DAY) as hand:
            hand.place(sha("one"), desk.store_id, copy.key, copy.inode, copy.mtime_ns or 0, 3)
        gone = Check(
            location_id=copy.id, sha256=sha("one"), checked_at=NOW + 2 * DAY, outcome=Outcome.MISSING,
            changed_us=before.changed_us,
        )  # fmt: skip
        desk.catalog.record_checks([gone])
        assert desk.catalog.frame("checks")["outcome"].to_list() == ["ok", "missing"]
        assert desk.catalog.locations_of(sha("one"))[0].outcome is Outcome.OK
        desk.catalog.record_checks([replace(gone, changed_us=to_us(NOW + DAY))])
        assert desk.catalog.locations_of(sha("one"))[0].outcome is Outcome.MISSING

    def checked(self, desk: Desk, *days: int | None) -> list[int]:
        """Copies last checked so many days ago (None: never), in this order; their location ids."""
        for number, ago in enumerate(days):
            desk.put_one(f"content {number}", f"artifact {number}")
            if ago is not None:
                desk.check(f"content {number}", at=NOW - ago * DAY)
        return [desk.location(f"content {number}") for number in range(len(days))]

    def test_the_longest_unchecked_is_due_first(self, desk: Desk) -> None:
        """Never checked comes first, then oldest first; equal ones by id; what was checked at or after is not due."""
        a, b, c, d, e, f = self.checked(desk, 3, None, 5, 3, None, 1)
        mark = desk.catalog.last_check_id()
        due = desk.catalog.due(before=NOW - DAY, limit=10, up_to_check=mark)
        assert [one.location_id for one in due] == [b, e, c, a, d]
        assert due[0].checked_us == 0
        assert (due[2].digest, due[2].bytes, due[2].key) == (sha("content 2"), 9, cas_key(sha("content 2")))
        everything = desk.catalog.due(before=NOW, limit=10, up_to_check=mark)
        assert [one.location_id for one in everything] == [b, e, c, a, d, f]

    @pytest.mark.parametrize("limit", [1, 2, 3, 100])
    def test_pages_of_due_copies_hold_each_once(self, desk: Desk, limit: int) -> None:
        """Page after page gives every due copy once, also while their checks are written down in between."""
        expected = self.checked(desk, 3, None, 5, 3, None)
        mark, after, seen = desk.catalog.last_check_id(), (-1, -1), []
        while page := desk.catalog.due(before=NOW, limit=limit, after=after, up_to_check=mark):
            assert len(page) <= limit
            seen += [one.location_id for one in page]
            after = (page[-1].checked_us, page[-1].location_id)
            for one in page:
                check = Check(location_id=one.location_id, sha256=one.digest, checked_at=NOW, outcome=Outcome.OK)
                desk.catalog.record_checks([check])
        assert sorted(seen) == sorted(expected)

    def test_what_this_run_checked_is_not_due_again(self, desk: Desk) -> None:
        """With a clock that jumped back a fresh check looks old; the ledger's mark still tells it apart."""
        a, b = self.checked(desk, 5, 5)
        mark = desk.catalog.last_check_id()
        desk.check("content 0", at=NOW - 9 * DAY)
        assert [one.location_id for one in desk.catalog.due(before=NOW, limit=9, up_to_check=mark)] == [b]
        assert desk.catalog.due_totals(before=NOW, up_to_check=mark) == (1, 9)
        assert desk.catalog.due_totals(before=NOW, up_to_check=mark + 1) == (2, 18)
        assert a != b

    def test_due_totals_add_up(self, desk: Desk) -> None:
        """Totals count what `due` would give, in copies and bytes."""
        self.checked(desk, 3, None, 5, 1)
        mark = desk.catalog.last_check_id()
        due = desk.catalog.due(before=NOW - 2 * DAY, limit=10, up_to_check=mark)
        totals = desk.catalog.due_totals(before=NOW - 2 * DAY, up_to_check=mark)
        assert totals == (len(due), sum(one.bytes for one in due)) == (3, 27)
        assert desk.catalog.due_totals(before=NOW - 9 * DAY, up_to_check=0) == (1, 9)

    def test_a_store_whose_copies_are_due_less_often(self, desk: Desk) -> None:
        """Of such a store those come that were checked before its own time, or never; other stores stay as they are."""
        a, b, c, _ = self.checked(desk, 3, None, 5, 1)
        mark, mine = desk.catalog.last_check_id(), desk.store_id
        for days, expected in ((4, [b, c]), (3, [b, c]), (2, [b, c, a])):
            rarer = {mine: NOW - days * DAY}
            due = desk.catalog.due(before=NOW - 2 * DAY, limit=10, up_to_check=mark, rarer=rarer)
            totals = desk.catalog.due_totals(before=NOW - 2 * DAY, up_to_check=mark, rarer=rarer)
            assert [one.location_id for one in due] == expected and totals == (len(expected), 9 * len(expected))
        for rarer, count in (({mine + 1: NOW - 99 * DAY}, 3), ({mine: NOW - 99 * DAY, mine + 1: NOW}, 1)):
            assert desk.catalog.due_totals(before=NOW - 2 * DAY, up_to_check=mark, rarer=rarer)[0] == count

    def test_named_blobs_are_due_whenever_they_were_checked(self, desk: Desk) -> None:
        """Asked about digests, every copy of each comes once, fresh or not; no digest at all is nothing."""
        self.checked(desk, 0, None)
        desk.put(desk.at("b.pdf", "content 0", "again"))
        asked = [sha("content 0"), sha("content 0"), sha("never seen")]
        due = desk.catalog.due(before=NOW, limit=1, up_to_check=0, digests=asked)
        assert [one.key for one in due] == [cas_key(sha("content 0")), "docs/b.pdf"]
        assert desk.catalog.due(before=NOW, limit=10, up_to_check=0, digests=[]) == []

    @relaxed
    @given(
        copies=st.lists(
            st.tuples(
                st.integers(0, 3),  # content
                st.sampled_from([None, 1, 2]),  # inode
                st.sampled_from([None, *Outcome]),
                st.sampled_from([-400, -31, -30, -1, 0, 1, 5]),  # when, in days from now
            ),
            max_size=8,
        )
    )
    def test_coverage_is_what_the_frames_say(
        self, anew: Callable[[], Catalog], copies: list[tuple[int, int | None, Outcome | None, int]]
    ) -> None:
        """Coverage and totals equal those of `catalogkit.stats`, hard links and future stamps included."""
        desk = Desk(anew())
        for number, (content, inode, outcome, days) in enumerate(copies):
            desk.put(desk.at(f"{number}.pdf", "x" * (content + 1), str(number), inode=inode))
            if outcome is not None:
                location = desk.catalog.frame("locations")["id"].max()
                assert isinstance(location, int)
                desk.check("x" * (content + 1), outcome, NOW + days * DAY, location)
        desk.stage(desk.at("promised.pdf", "of which there is no copy yet", "promised"))
        locations, documents = desk.catalog.frame("locations"), desk.catalog.frame("documents")
        for window in (1, 30):
            ours, theirs = desk.catalog.coverage(as_of=NOW, days=window), coverage(locations, NOW, (window,))
            assert ours.bytes == theirs.physical_bytes
            assert ours.verified_bytes == theirs.verified_bytes[window]
            assert (ours.never_checked, ours.never_checked_bytes) == (
                theirs.never_checked_objects, theirs.never_checked_bytes,
            )  # fmt: skip
            assert ours.bad == theirs.by_outcome["corrupt"].objects + theirs.by_outcome["missing"].objects
            assert ours.oldest_check == theirs.oldest_check
            assert ours.share == theirs.verified_share[window]
        totals, counted = desk.catalog.totals(), stats.dedup_totals(documents, locations)
        assert totals == {
            "documents": documents.height,
            "blobs": desk.catalog.frame("blobs").filter(pl.col("state") == "live").height,
            "locations": locations.height,
            "logical_bytes": counted.logical_bytes,
            "physical_bytes": counted.physical_bytes,
        }


class Holds:
    """What must not go away."""

    def test_a_hold_says_why_and_what(self, desk: Desk) -> None:
        """A hold without a reason, on nothing, on both, or on something that is not there, is refused."""
        document_id = desk.put_one()
        bad: list[tuple[str, dict[str, Any]]] = [
            ("", {"document_id": document_id}),
            ("  ", {"document_id": document_id}),
            ("case 7", {}),
            ("case 7", {"document_id": document_id, "digest": sha("one")}),
            ("case 7", {"document_id": 999}),
            ("case 7", {"digest": sha("never seen")}),
            ("case\x007", {"document_id": document_id}),
            ("case \ud800", {"document_id": document_id}),
        ]
        for reason, subject in bad:
            with pytest.raises(InvalidInput):
                desk.catalog.place_hold(reason, **subject, as_of=NOW)
        assert desk.catalog.holds(as_of=NOW) == []

    def test_a_held_document_cannot_be_forgotten(self, desk: Desk) -> None:
        """Until its hold is released, or has expired, a document stays."""
        document_id = desk.put_one()
        hold = desk.catalog.place_hold("case 7", document_id=document_id, as_of=NOW, expires_at=NOW + 2 * DAY)
        assert "hold" in desk.forget(document_id, NOW + DAY)
        assert desk.catalog.document(document_id) is not None
        desk.catalog.release_hold(hold, as_of=NOW + DAY)
        assert desk.forget(document_id, NOW + DAY) == ""

    def test_a_hold_expires(self, desk: Desk) -> None:
        """From the moment it expires a hold holds no more, and is listed no more."""
        document_id = desk.put_one()
        desk.catalog.place_hold("case 7", document_id=document_id, as_of=NOW, expires_at=NOW + DAY)
        assert len(desk.catalog.holds(as_of=NOW)) == 1
        assert desk.catalog.holds(as_of=NOW + DAY) == []
        assert desk.forget(document_id, NOW + DAY) == ""

    def test_a_held_blob_cannot_be_condemned(self, desk: Desk) -> None:
        """Bytes under a hold stay although no document refers to them."""
        desk.forget(desk.put_one())
        hold = desk.catalog.place_hold("case 7", digest=sha("one"), placed_by="ann", as_of=NOW)
        assert "hold" in desk.condemn("one")
        assert desk.catalog.holds(as_of=NOW + DAY) == [
            {
                "id": hold,
                "subject": str(sha("one")),
                "reason": "case 7",
                "placed_by": "ann",
                "placed_at": NOW,
                "expires_at": None,
            }
        ]
        desk.catalog.release_hold(hold, as_of=NOW)
        assert desk.condemn("one") == ""

    def test_a_hold_on_a_document_keeps_what_it_had(self, desk: Desk) -> None:
        """A changed download takes nothing away that was there when the hold was placed, or came since."""
        document_id = desk.put_one("before")
        desk.put(desk.entry("held"), as_of=NOW + HOUR)
        held = NOW + 2 * HOUR
        desk.catalog.place_hold("case 7", document_id=document_id, as_of=held, expires_at=NOW + 9 * DAY)
        for number, content in enumerate(("since", "now"), 3):
            desk.put(desk.entry(content), as_of=NOW + number * HOUR)
        kept = {row["sha256"]: row["kept_by"] for row in desk.catalog.garbage(as_of=NOW + DAY).iter_rows(named=True)}
        assert kept == {str(sha("before")): None, str(sha("held")): "hold case 7", str(sha("since")): "hold case 7"}
        assert desk.catalog.root_kinds(sha("held"), as_of=NOW + DAY)["roots"] == ["hold case 7"]
        assert desk.condemn("before", NOW + DAY) == ""
        for content in ("held", "since"):
            assert "kept" in desk.condemn(content, NOW + DAY)
        assert desk.condemn("held", NOW + 9 * DAY) == ""  # it has expired
        (hold,) = desk.catalog.holds(as_of=NOW + DAY)
        desk.catalog.release_hold(hold["id"], as_of=NOW + DAY)
        assert desk.condemn("since", NOW + DAY) == ""

    def test_a_hold_ends_once(self, desk: Desk) -> None:
        """Releasing what is released, or never was, is a mistake that is told."""
        hold = desk.catalog.place_hold("case 7", document_id=desk.put_one(), as_of=NOW)
        desk.catalog.release_hold(hold, as_of=NOW)
        for number in (hold, 999):
            with pytest.raises(InvalidInput, match=str(number)):
                desk.catalog.release_hold(number, as_of=NOW)
