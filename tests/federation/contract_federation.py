"""What two sites owe each other, whatever engine is at either end: sync, conflicts, holds, parts, copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from catalogkit.auditing import audit
from catalogkit.errors import CatalogError
from catalogkit.federation.changes import packed, unpacked
from catalogkit.federation.syncing import sync
from tests.federation.scene import add, agree, change, document, drop, sha, texts
from tests.plans.scene import collect, condemn, digest_of, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection


class Federation:
    """The contract; a subclass says which engines are at the two ends."""

    engines: ClassVar[str]

    @pytest.fixture
    def pair(self, sites: Callable[[str], tuple[Collection, Collection]]) -> tuple[Collection, Collection]:
        """Two sites that never talked."""
        return sites(self.engines)

    def test_everything_arrives(self, pair: tuple[Collection, Collection]) -> None:
        """Documents of each side are at the other afterwards, with what is known of their bytes."""
        east, west = pair
        add(east, "one", "first", metadata={"n": 1})
        add(west, "two", "second")
        report = sync(east, west)
        agree(east, west)
        assert texts(east) == texts(west) == {"one": sha("first"), "two": sha("second")}
        assert (report.sent.new, report.received.new, report.wanted) == (1, 1, 1)  # type: ignore[union-attr]
        assert document(west, "one").metadata == {"n": 1}
        assert west.catalog.frame("wanted")["artifact_id"].to_list() == ["one"]
        assert west.catalog.frame("elsewhere").select("site", "copies").rows() == [("east", 1)]
        again = sync(east, west)
        assert (again.sent.documents, again.received.documents) == (0, 0)  # type: ignore[union-attr]

    def test_changes_and_deletions_follow(self, pair: tuple[Collection, Collection]) -> None:
        """A new version and a deletion made in the knowledge of what was there are no conflict."""
        east, west = pair
        add(east, "one", "first")
        add(east, "two", "second")
        sync(east, west)
        change(west, "one", "first, corrected")
        drop(west, "two")
        report = sync(east, west)
        assert (report.received.changed, report.received.gone, report.conflicts) == (1, 1, 0)
        agree(east, west)
        assert texts(east) == {"one": sha("first, corrected")}
        add(east, "two", "second, again")
        sync(west, east)
        agree(east, west)
        assert texts(west)["two"] == sha("second, again")

    def test_contents_that_did_not_know_of_each_other(self, pair: tuple[Collection, Collection]) -> None:
        """Both stay; both sites show the same one, and list the other until somebody writes anew."""
        east, west = pair
        add(east, "one", "first")
        sync(east, west)
        change(east, "one", "of the east")
        change(west, "one", "of the west")
        report = sync(east, west)
        assert (report.conflicts, report.received.contested) == (1, 1)
        agree(east, west)
        assert texts(east)["one"] == sha("of the west")
        losers = west.catalog.frame("roots").filter(west.catalog.frame("roots")["kind"] == "conflict")
        assert [text[:8] for text in losers["sha256"]] == [sha("of the east")]
        change(east, "one", "of both")
        assert sync(west, east).conflicts == 0
        agree(east, west)
        assert west.catalog.frame("roots").height == 0 and texts(west)["one"] == sha("of both")

    def test_a_deletion_meets_an_edit(self, pair: tuple[Collection, Collection]) -> None:
        """The edit wins where it can be seen, at both, under the old number, and the conflict is listed."""
        east, west = pair
        number = add(east, "one", "first").id
        sync(east, west)
        drop(east, "one")
        change(west, "one", "edited")
        assert sync(east, west).conflicts == 1
        agree(east, west)
        assert document(east, "one").id == number and texts(east) == texts(west) == {"one": sha("edited")}

    def test_a_deletion_meets_a_hold(self, pair: tuple[Collection, Collection]) -> None:
        """A hold that was placed meanwhile wins at both, is in force at both, and its release follows."""
        east, west = pair
        add(east, "one", "first")
        sync(east, west)
        drop(east, "one")
        hold = west.catalog.place_hold("case 7", document_id=document(west, "one").id, as_of=west.now())
        assert sync(east, west).conflicts == 1
        agree(east, west)
        assert [one["reason"] for one in east.catalog.holds(as_of=east.now())] == ["case 7"]
        west.catalog.release_hold(hold, as_of=west.clock.advance(seconds=1))  # type: ignore[attr-defined]
        sync(east, west)
        assert east.catalog.holds(as_of=east.now()) == []

    def test_a_hold_waits_for_its_content(self, pair: tuple[Collection, Collection]) -> None:
        """A hold on bytes that are not known at a site is in force there, and wins over whatever comes with them."""
        east, west = pair
        add(east, "one", "first")
        hold = east.catalog.place_hold("case", digest=digest_of(b"first"), as_of=east.now())
        drop(east, "one")
        sync(east, west)
        assert [one["reason"] for one in west.catalog.holds(as_of=west.now())] == ["case"]
        assert west.catalog.integrity() == [] and not [one for one in audit(west).findings if one.severity == "error"]
        add(west, "other", "first")
        drop(west, "other")
        collect(west)
        assert state_of(west, b"first") == "live"
        east.catalog.release_hold(hold, as_of=east.clock.advance(seconds=1))  # type: ignore[attr-defined]
        sync(west, east)
        collect(west)
        assert state_of(west, b"first") == "purged"

    def test_a_hold_comes_too_late_or_just_in_time(self, pair: tuple[Collection, Collection]) -> None:
        """What was condemned here is alive again by a hold from elsewhere; what was purged here is no fault of it."""
        east, west = pair
        for site in pair:
            add(site, "one", "first")
            add(site, "two", "second")
        sync(east, west)
        drop(west, "two")
        collect(west)
        drop(west, "one")
        condemn(west)
        assert (state_of(west, b"first"), state_of(west, b"second")) == ("condemned", "purged")
        for content in (b"first", b"second"):
            east.catalog.place_hold("case", digest=digest_of(content), as_of=east.now())
        sync(east, west)
        assert state_of(west, b"first") == "live"
        assert not [one for one in audit(west).findings if one.severity == "error"]
        collect(west)
        assert state_of(west, b"first") == "live"

    def test_a_deletion_meets_a_hold_that_it_knew_nothing_of_in_time(self, pair: tuple[Collection, Collection]) -> None:
        """Where a hold is in force a deletion is not carried out, and that is a conflict at both."""
        east, west = pair
        add(east, "one", "first")
        west.catalog.place_hold("other", digest=add(west, "x", "x").sha256, as_of=west.now())
        sync(east, west)
        west.catalog.place_hold("here", document_id=document(west, "one").id, as_of=west.now())
        sync(west, east)
        released = [one["id"] for one in east.catalog.holds(as_of=east.now()) if one["reason"] == "here"]
        # Released at one, and placed anew at the other.
        for number in released:
            east.catalog.release_hold(number, as_of=east.clock.advance(seconds=1))  # type: ignore[attr-defined]
        west.catalog.place_hold("again", document_id=document(west, "one").id, as_of=west.now())
        drop(east, "one")
        assert sync(east, west).conflicts == 1
        agree(east, west)
        assert texts(east) == texts(west)

    def test_a_deletion_does_not_beat_a_sighting_it_did_not_know_of(self, pair: tuple[Collection, Collection]) -> None:
        """Who forgot a document for its age did not know that another site saw it again: it stays, and that is told."""
        east, west = pair
        add(east, "one", "first")
        sync(east, west)
        east.catalog.touch([document(east, "one").id], as_of=east.clock.advance(days=9))  # type: ignore[attr-defined]
        drop(west, "one")
        report = sync(east, west)
        assert (report.received.overruled, report.conflicts) == (1, 1)
        sync(east, west)
        agree(east, west)
        assert texts(west) == {"one": sha("first")}

    def test_a_part_at_a_time_and_again(self, pair: tuple[Collection, Collection]) -> None:
        """Whatever ends a sync, the next goes on; a part that comes twice changes nothing; one too early is refused."""
        east, west = pair
        for number in range(7):
            add(east, f"d{number}", f"text {number}")
        site = east.catalog.own_site()
        assert site is not None
        first = east.catalog.changes_since(0, limit=3, as_of=east.now())
        assert (len(first.entries), first.complete) == (3, False)
        second = east.catalog.changes_since(first.upto, limit=3, as_of=east.now())
        with pytest.raises(CatalogError, match="are missing here; they come first"):
            west.catalog.take_changes(second, as_of=west.now())
        assert west.catalog.take_changes(unpacked(packed(first)), as_of=west.now()).new == 3
        assert west.catalog.take_changes(first, as_of=west.now()).documents == 0
        assert sync(west, east, part=2).received.new == 4
        agree(east, west)
        assert west.catalog.frame("elsewhere").height == 7

    def test_facts_of_copies_follow(self, pair: tuple[Collection, Collection]) -> None:
        """What a check found at one site is known at the other, as of its time."""
        from catalogkit.verify import verify

        east, west = pair
        add(east, "one", "first")
        sync(east, west)
        assert west.catalog.frame("elsewhere")["outcome"].to_list() == [None]
        when = east.clock.advance(days=1)  # type: ignore[attr-defined]
        verify(east)
        sync(east, west)
        assert west.catalog.frame("elsewhere").select("copies", "outcome", "checked_at").rows() == [(1, "ok", when)]
