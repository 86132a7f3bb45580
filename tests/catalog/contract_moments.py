"""The contract of moments: positions that are kept, and with them every blob that a document had then."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog.contract import Position
from catalogkit.errors import ConstraintError, InvalidInput
from catalogkit.model import to_us
from tests.catalog.desk import DAY, HOUR, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.catalog.contract import Catalog, Moment
    from tests.catalog.desk import Connect


def keep(desk: Desk, name: str = "may", kind: str = "snapshot", as_of: datetime = NOW, **more: object) -> Moment:
    return desk.catalog.keep_moment(kind, name, as_of=as_of, **more)  # type: ignore[arg-type]


def recall(desk: Desk, document_id: int, content: str, as_of: datetime = NOW) -> str:
    with desk.catalog.hand(PLAN, as_of=as_of) as hand:
        return hand.recall(document_id, sha(content))


class Moments:
    """Keeping, releasing, counting; and that garbage collection heeds it."""

    def test_positions_grow_with_every_change_and_with_nothing_else(self, desk: Desk) -> None:
        """New, changed, forgotten and recalled documents move the position; a sighting or a check does not."""
        catalog = desk.catalog
        seen = [catalog.position()]
        document_id = desk.put_one("one", "a")
        seen.append(catalog.position())
        desk.put_one("two", "a", as_of=NOW + HOUR)
        seen.append(catalog.position())
        desk.forget(document_id)
        seen.append(catalog.position())
        assert recall(desk, document_id, "two") == ""
        seen.append(catalog.position())
        assert seen[0] == Position(0, 0)
        assert seen == sorted(set(seen))
        catalog.touch([document_id], as_of=NOW + DAY)
        desk.check("two")
        assert catalog.position() == seen[-1]

    def test_a_kept_moment_is_told(self, desk: Desk) -> None:
        """What is kept is listed with its position and times, until it is released; after that it stays as a fact."""
        desk.put_one()
        kept = keep(desk, expires_at=NOW + DAY)
        assert (kept.kind, kept.name, kept.taken_at, kept.expires_at) == ("snapshot", "may", NOW, NOW + DAY)
        assert kept.position == desk.catalog.position()
        assert desk.catalog.moments(as_of=NOW) == desk.catalog.moments("snapshot", as_of=NOW) == [kept]
        assert desk.catalog.moments("backup", as_of=NOW) == []
        assert desk.catalog.moments(as_of=NOW + DAY) == []
        gone = desk.catalog.release_moment("snapshot", "may", as_of=NOW + HOUR)
        assert gone.released_at == NOW + HOUR
        assert desk.catalog.moments(as_of=NOW) == []
        assert desk.catalog.moments(as_of=None) == [gone]

    def test_names_are_taken_once(self, desk: Desk) -> None:
        """A name of a kind is kept once at a time; a released or ended one is free again."""
        keep(desk, expires_at=NOW + HOUR)
        keep(desk, kind="backup")
        with pytest.raises(InvalidInput, match="already"):
            keep(desk)
        again = keep(desk, as_of=NOW + HOUR)
        desk.catalog.release_moment("snapshot", "may", as_of=NOW + HOUR)
        with pytest.raises(InvalidInput, match="no snapshot 'may'"):
            desk.catalog.release_moment("snapshot", "may", as_of=NOW + HOUR)
        assert keep(desk, as_of=NOW + DAY).id > again.id

    @pytest.mark.parametrize("kind, name", [("", "may"), ("snapshot", " "), ("snapshot", "a\x00b")])
    def test_a_moment_needs_a_name(self, desk: Desk, kind: str, name: str) -> None:
        """Empty names and such that no database holds are refused."""
        with pytest.raises(InvalidInput):
            keep(desk, name, kind)
        assert desk.catalog.moments(as_of=None) == []

    def test_a_moment_that_is_over_at_once_is_refused(self, desk: Desk) -> None:
        """An end that is not after the beginning is a mistake."""
        with pytest.raises(InvalidInput, match="later end"):
            keep(desk, expires_at=NOW)

    # -- what it keeps -----------------------------------------------------------------------------------------

    def test_a_forgotten_document_of_a_kept_moment_keeps_its_blob(self, desk: Desk) -> None:
        """Its blob is garbage that cannot be condemned, and says who keeps it; releasing ends that."""
        desk.put_one("one", "a")
        keep(desk)
        desk.forget(1, NOW + HOUR)
        assert "kept has this blob" in desk.condemn("one", NOW + HOUR)
        assert desk.catalog.garbage(as_of=NOW + HOUR)["kept_by"].to_list() == ["snapshot may"]
        assert desk.catalog.root_kinds(sha("one"), as_of=NOW + HOUR)["roots"] == ["snapshot may"]
        desk.catalog.release_moment("snapshot", "may", as_of=NOW + HOUR)
        assert desk.catalog.garbage(as_of=NOW + HOUR)["kept_by"].to_list() == [None]
        assert desk.condemn("one", NOW + HOUR) == ""

    def test_an_expired_moment_keeps_nothing(self, desk: Desk) -> None:
        """From its end on a moment is no root, without anybody doing anything."""
        desk.put_one("one", "a")
        keep(desk, expires_at=NOW + DAY)
        desk.forget(1, NOW)
        before, after = NOW + DAY - HOUR, NOW + DAY
        assert "kept has this blob" in desk.condemn("one", before)
        assert desk.catalog.garbage(as_of=after)["kept_by"].to_list() == [None]
        assert desk.condemn("one", after) == ""

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_only_what_was_there_is_kept(self, desk: Desk, when: str) -> None:
        """A document that was forgotten before a moment, or that came after it, is none of its."""
        if when == "before":
            desk.forget(desk.put_one("one", "a"))
        keep(desk)
        if when == "after":
            desk.forget(desk.put_one("one", "a"))
        assert desk.condemn("one") == ""

    def test_the_version_of_the_moment_is_kept_not_those_around_it(self, desk: Desk) -> None:
        """Of three versions of a document in one microsecond, a moment keeps the one that was current."""
        desk.put_one("one", "a")
        desk.put_one("two", "a")
        keep(desk)
        desk.put_one("three", "a")
        desk.forget(1)
        assert desk.condemn("one") == ""
        assert "kept" in desk.condemn("two")
        assert desk.condemn("three") == ""

    def test_a_moment_outlives_many_later_changes(self, desk: Desk) -> None:
        """The version of a moment is kept however often its document changes, and comes back, after it."""
        desk.put_one("one", "a")
        keep(desk)
        for content in ("two", "one", "three", "two"):
            desk.put_one(content, "a")
        desk.catalog.touch([1], as_of=NOW + DAY)
        desk.forget(1)
        assert "kept" in desk.condemn("one")
        assert (desk.condemn("two"), desk.condemn("three")) == ("", "")

    def test_a_version_that_came_late_was_never_there(self, desk: Desk) -> None:
        """What is kept as an earlier version only, no moment keeps, before or after it came."""
        desk.put_one("new", "a", fetched_at=NOW)
        keep(desk, "before")
        desk.put_one("old", "a", fetched_at=NOW - DAY, in_order=False)
        keep(desk, "after")
        desk.put_one("newer", "a", fetched_at=NOW + DAY)
        assert "kept" in desk.condemn("new")
        assert desk.condemn("old") == ""

    def test_while_it_was_forgotten_a_moment_did_not_have_it(self, desk: Desk) -> None:
        """A moment between forgetting and recall is not about the document, though it is there again."""
        desk.put_one("one", "a")
        desk.forget(1)
        keep(desk)
        assert recall(desk, 1, "one") == ""
        desk.forget(1)
        assert desk.condemn("one") == ""

    def test_after_the_recall_it_has_it(self, desk: Desk) -> None:
        """A moment after the recall keeps the document's blob."""
        desk.put_one("one", "a")
        desk.forget(1)
        recall(desk, 1, "one")
        keep(desk)
        desk.forget(1)
        assert "kept" in desk.condemn("one")

    def test_what_is_condemned_cannot_be_purged_by_an_older_clock(self, desk: Desk) -> None:
        """Condemned when its moment had ended; a program whose clock is behind still may not purge it."""
        desk.put_one("one", "a")
        keep(desk, expires_at=NOW + DAY)
        desk.forget(1)
        assert desk.condemn("one", NOW + DAY) == ""
        since = to_us(desk.catalog.condemned(as_of=NOW)["since"][0])
        with desk.catalog.hand(PLAN, as_of=NOW) as hand:
            assert all(hand.purgeable([(sha("one"), since, None, None)]))
        with desk.catalog.hand(PLAN, as_of=NOW + DAY) as hand:
            assert hand.purgeable([(sha("one"), since, None, None)]) == [""]

    # -- past positions ----------------------------------------------------------------------------------------

    def test_a_past_position_can_be_kept_while_it_is_whole(self, desk: Desk) -> None:
        """A copy of the catalog is kept by the position it has, though more happened since; unless bytes are going."""
        desk.put_one("one", "a")
        here = desk.catalog.position()
        desk.forget(1)
        kept = keep(desk, at=here)
        assert kept.position == here
        assert "kept" in desk.condemn("one")
        desk.catalog.release_moment("snapshot", "may", as_of=NOW)
        assert desk.condemn("one") == ""
        with pytest.raises(ConstraintError, match="was condemned since"):
            keep(desk, at=here)
        assert keep(desk).position == desk.catalog.position()

    def test_what_was_condemned_but_not_part_of_it_does_not_matter(self, desk: Desk) -> None:
        """A past position is refused only for its own blobs."""
        desk.put_one("one", "a")
        here = desk.catalog.position()
        desk.forget(desk.put_one("two", "b"))
        assert desk.condemn("two") == ""
        assert keep(desk, at=here).position == here

    @pytest.mark.parametrize("ahead", [Position(9, 0), Position(0, 9)])
    def test_a_position_of_the_future_is_refused(self, desk: Desk, ahead: Position) -> None:
        """A catalog that is older than the position cannot keep it."""
        with pytest.raises(InvalidInput, match="has not come that far"):
            keep(desk, at=ahead)

    # -- counting ----------------------------------------------------------------------------------------------

    def test_a_moment_is_counted(self, desk: Desk) -> None:
        """Documents, distinct contents, and the bytes of both, as they were, whenever somebody counts."""
        desk.put_one("one", "a")
        desk.put_one("one", "b")
        desk.put_one("three", "c")
        kept = keep(desk)
        desk.forget(1)
        desk.put_one("something else", "c")
        desk.put_one("late", "d")
        counted = desk.catalog.count_moment(kept.id)
        assert (counted.documents, counted.blobs) == (3, 2)
        assert (counted.logical_bytes, counted.stored_bytes) == (11, 8)
        assert desk.catalog.moments(as_of=NOW) == [counted]

    def test_counting_from_the_last_moment_gives_what_counting_all_gives(
        self, desk: Desk, connect: Connect, open_new: object
    ) -> None:
        """Counts and digest do not depend on what was counted before."""
        desk.put_one("one", "a")
        desk.put_one("one", "b")
        first = desk.catalog.count_moment(keep(desk, "first").id)
        desk.forget(1)
        desk.put_one("two", "b")
        recall(desk, 1, "one")
        desk.put_one("three", "c")
        second = keep(desk, "second")
        desk.put_one("four", "d")
        quick = desk.catalog.count_moment(second.id)
        other = Desk(open_new()())  # type: ignore[operator]
        for content, name in (("one", "a"), ("one", "b"), ("two", "b"), ("three", "c")):
            other.put_one(content, name)
        slow = other.catalog.count_moment(keep(other).id)
        assert astuple(quick)[8:] == astuple(slow)[8:]
        assert quick.digest != first.digest

    def test_an_empty_catalog_can_be_counted(self, desk: Desk) -> None:
        """Nothing is zero of everything."""
        counted = desk.catalog.count_moment(keep(desk).id)
        assert (counted.documents, counted.blobs, counted.logical_bytes, counted.stored_bytes) == (0, 0, 0, 0)
        with pytest.raises(InvalidInput, match="no such moment"):
            desk.catalog.count_moment(99)

    def test_who_holds_which_bytes(self, desk: Desk) -> None:
        """Bytes that only moments keep are told by moment, with those that no other one has."""
        for content, name in (("1", "a"), ("22", "b"), ("333", "c")):
            desk.put_one(content, name)
        first = keep(desk, "first")
        desk.forget(1)
        second = keep(desk, "second", expires_at=NOW + DAY)
        desk.forget(2)
        held = desk.catalog.held_bytes(as_of=NOW)
        assert held == {first.id: (3, 1), second.id: (2, 0)}
        assert desk.catalog.held_bytes(as_of=NOW + DAY) == {first.id: (3, 3)}

    def test_two_connections_see_one_truth(self, connect: Connect, catalog: Catalog) -> None:
        """What one connection keeps, the other one heeds at once."""
        one, two = Desk(catalog), Desk(connect())
        one.put_one("one", "a")
        keep(two)
        one.forget(1)
        assert "kept" in one.condemn("one")
