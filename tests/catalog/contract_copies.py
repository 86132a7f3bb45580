"""The contract of the hand that moves copies about: what may lie where, what is written down, what is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.errors import PlanError
from catalogkit.layouts import cas_key
from catalogkit.model import Outcome, to_us
from tests.catalog.desk import DAY, NOW, PLAN, sha

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from catalogkit.catalog.hand import Hand
    from tests.catalog.desk import Desk


def hand_of(desk: Desk, **more: Any) -> AbstractContextManager[Hand]:
    return desk.catalog.hand(PLAN, **{"as_of": NOW, **more})


def lies(desk: Desk, content: str = "one") -> dict[str, Outcome | None]:
    """Where a content lies, and what the last check said."""
    return {copy.key: copy.outcome for copy in desk.catalog.locations_of(sha(content))}


class Copies:
    """Copies come, go, and are found missing, in transactions of the executor."""

    def test_a_copy_is_recorded_as_proved(self, desk: Desk) -> None:
        """A new location, healthy by an entry of the ledger; placed again it is the same location, with new looks."""
        desk.put_one()
        for inode in (7, 8):
            with hand_of(desk, as_of=NOW + DAY) as hand:
                assert hand.placeable(sha("one"), desk.store_id, "docs/a") == ""
                hand.place(sha("one"), desk.store_id, "docs/a", inode, inode * 10, 3)
        first, second = desk.catalog.locations_of(sha("one"))
        assert (first.key, second.key, second.outcome) == (cas_key(sha("one")), "docs/a", Outcome.OK)
        assert (second.inode, second.mtime_ns, second.checked_at, second.layout) == (8, 80, NOW + DAY, "policy")
        checks = desk.catalog.frame("checks").select("location_id", "outcome", "bytes", "run_id").rows()
        assert checks == [(second.id, "ok", 3, PLAN)] * 2

    def test_a_copy_that_nobody_could_read(self, desk: Desk) -> None:
        """It is recorded as never checked, also where something was known of what lay there before."""
        desk.put_one()
        for read in (True, False):
            with hand_of(desk) as hand:
                hand.place(sha("one"), desk.store_id, "docs/a", 7, 70, 3, read=read)
        (_, copy) = desk.catalog.locations_of(sha("one"))
        assert (copy.outcome, copy.checked_at, copy.inode) == (None, None, 7)
        assert desk.catalog.frame("checks").height == 1
        assert desk.catalog.due_totals(before=NOW, up_to_check=99)[0] == 2

    def test_copies_at_keys(self, desk: Desk) -> None:
        """Each with what is on record of it; keys of which nothing is, and other stores', are left out."""
        desk.put_one("one", "a")
        desk.put_one("three", "b")
        keys = [cas_key(sha("one")), cas_key(sha("three"))]
        found = desk.catalog.copies_at(desk.store_id, [*keys, "docs/nothing", *(f"docs/{n}" for n in range(1000))])
        assert sorted(found) == sorted(keys)
        assert [found[key] for key in sorted(keys)] == desk.catalog.copies(limit=9)
        assert desk.catalog.copies_at(desk.store_id + 1, keys) == desk.catalog.copies_at(desk.store_id, []) == {}

    def test_a_place_is_given_once(self, desk: Desk) -> None:
        """Other content's key, one it is to have, one that folds to the same, another's address: each by words."""
        desk.put_one("one", "a")
        desk.put(desk.at("b", "two", "b"))
        desk.stage(desk.at("c", "three", "c"))
        with hand_of(desk) as hand:
            for key, words in (
                ("docs/b", "other bytes"), ("docs/B", "case"), ("docs/c", "other bytes"),
                (cas_key(sha("two")), "address"), ("docs/d", ""), (cas_key(sha("one")), ""),
            ):  # fmt: skip
                assert words in hand.placeable(sha("one"), desk.store_id, key), key
                assert bool(hand.placeable(sha("one"), desk.store_id, key)) == bool(words)

    def test_only_what_is_alive_gets_copies(self, desk: Desk) -> None:
        """Neither an unknown blob nor an incoming nor a condemned one."""
        desk.stage(desk.entry("incoming", "i"))
        desk.forget(desk.put_one("condemned", "c"))
        assert desk.condemn("condemned") == ""
        with hand_of(desk) as hand:
            for content in ("unknown", "incoming", "condemned"):
                assert hand.placeable(sha(content), desk.store_id, "docs/x") == "nothing needs these bytes any more"

    def test_one_of_several_copies_is_dropped(self, desk: Desk) -> None:
        """The last that is not known to be bad stays, as does every copy of what is not live."""
        desk.put_one()
        with hand_of(desk) as hand:
            hand.place(sha("one"), desk.store_id, "docs/a", 1, 1, 3)
            assert hand.drop_location(sha("one"), desk.store_id, "docs/b") == "it is no copy of these bytes any more"
            assert hand.drop_location(sha("one"), desk.store_id, cas_key(sha("one"))) == ""
            assert "last good copy" in hand.drop_location(sha("one"), desk.store_id, "docs/a")
        assert lies(desk) == {"docs/a": Outcome.OK}
        desk.forget(1)
        desk.condemn("one")
        with hand_of(desk) as hand:
            assert "purge" in hand.drop_location(sha("one"), desk.store_id, "docs/a")

    def test_a_copy_that_was_put_aside_is_missing(self, desk: Desk) -> None:
        """The location stays; the ledger says what became of the bytes."""
        desk.put_one()
        with hand_of(desk) as hand:
            hand.note_missing(sha("one"), desk.store_id, cas_key(sha("one")), "moved")
        assert lies(desk) == {cas_key(sha("one")): Outcome.MISSING}
        assert desk.catalog.frame("checks").select("outcome", "detail").rows() == [("missing", "moved")]

    def test_lost_is_what_has_no_copy_but_bad_ones(self, desk: Desk) -> None:
        """By size; what is garbage, too, as long as it is live."""
        for content in ("one", "two", "three"):
            desk.put_one(content, content)
            desk.check(content, Outcome.MISSING)
        with hand_of(desk) as hand:
            hand.place(sha("two"), desk.store_id, "docs/two", 1, 1, 3)
            assert (hand.lost(3), hand.lost(5), hand.lost(4)) == ([sha("one")], [sha("three")], [])

    def test_another_file_in_the_place_of_a_condemned_stray_begins_anew(self, desk: Desk) -> None:
        """The same file again was condemned already, then as now."""
        for size, why in ((3, ""), (3, "it was condemned already"), (4, "")):
            with hand_of(desk, as_of=NOW + DAY * size) as hand:
                assert hand.condemn_stray(desk.store_id, "docs/x", size, None, 1) == why
        assert desk.catalog.strays() == [("main", "docs/x", 4, None, 1, to_us(NOW + DAY * 4))]

    def test_what_was_tried_in_vain_is_taken_back(self, desk: Desk) -> None:
        """An error inside undoes what was changed inside, and nothing before."""
        desk.put_one()
        with hand_of(desk) as hand:
            hand.place(sha("one"), desk.store_id, "docs/a", 1, 1, 3)
            with pytest.raises(ZeroDivisionError), hand.tentative():
                hand.drop_location(sha("one"), desk.store_id, "docs/a")
                raise ZeroDivisionError
            with hand.tentative():
                hand.place(sha("one"), desk.store_id, "docs/b", 1, 1, 3)
        assert lies(desk).keys() == {cas_key(sha("one")), "docs/a", "docs/b"}

    def test_a_step_knows_what_became_of_those_before_it(self, desk: Desk) -> None:
        """Of its unit, in this batch and in earlier ones; the journal has where the bytes came from."""
        desk.catalog.begin_plan(PLAN, "test", {}, {}, as_of=NOW)
        with hand_of(desk) as hand:
            subject = (sha("one"), None, desk.store_id, "docs/a", desk.store_id, "docs/b")
            hand.note(1, 0, "link", "done", "", subject, 5, "new")
            hand.note(1, 1, "copy", "failed", "why", subject, 0)
            assert hand.outcomes_before(1, 1) == {"done"}
            assert hand.outcomes_before(1, 2) == {"done", "failed"}
            assert hand.outcomes_before(2, 2) == set()
        with hand_of(desk) as hand:
            hand.note(1, 1, "copy", "done", "", subject, 0)
            assert hand.outcomes_before(1, 9) == {"done"}
        assert [row[11:] for row in desk.catalog.journal(PLAN)] == [("main", "docs/b", "new"), ("main", "docs/b", "")]

    def test_a_step_that_waits_says_since_when_and_until_when(self, desk: Desk) -> None:
        """It is not decided, nor failed; asked again it keeps what it said, unless it begins to wait anew."""
        desk.catalog.begin_plan(PLAN, "test", {}, {}, as_of=NOW)
        subject = (sha("one"), None, desk.store_id, "docs/a", None, None)

        def noted(days: int, outcome: str, wait: timedelta | None = None) -> tuple[object, ...]:
            with desk.catalog.hand(PLAN, as_of=NOW + days * DAY) as hand:
                hand.note(1, 0, "copy", outcome, str(days), subject, 0, "", wait)
                assert hand.outcomes_before(1, 1) == {outcome} and hand.decided(1, 1) == set()
            ((row),) = [row for row in desk.catalog.plans() if row.id == PLAN]
            assert (row.done, row.failed, row.waiting) == (0, outcome == "failed", outcome == "waiting")
            return desk.catalog.journal(PLAN)[0][4], row.waits_since, row.waits_until

        assert noted(0, "failed") == ("0", None, None)
        assert noted(1, "waiting", DAY) == ("1", NOW + DAY, NOW + 2 * DAY)
        assert noted(2, "waiting") == ("1", NOW + DAY, NOW + 2 * DAY)
        assert noted(3, "waiting", DAY) == ("3", NOW + 3 * DAY, NOW + 4 * DAY)
        assert desk.catalog.decided(PLAN) == set()
        assert noted(4, "failed") == ("4", None, None)

    def test_a_plan_keeps_its_blobs_until_it_ends(self, desk: Desk) -> None:
        """None of them can be condemned meanwhile; what is not alive is not kept, and another plan's are untouched."""
        for content in ("one", "two"):
            desk.forget(desk.put_one(content, content))
        other = "e" * 64
        desk.catalog.begin_plan(PLAN, "test", {}, {}, keeps=[sha("one"), sha("unknown")], as_of=NOW)
        assert desk.catalog.begin_plan(PLAN, "test", {}, {}, keeps=[sha("one")], as_of=NOW) is False
        desk.catalog.begin_plan(other, "test", {}, {}, keeps=[sha("two")], as_of=NOW)
        assert "still needs this blob" in desk.condemn("one")
        desk.catalog.end_plan(PLAN, as_of=NOW)
        assert [row.ended_at for row in desk.catalog.plans() if row.id == PLAN] == [NOW]
        assert desk.catalog.begin_plan(PLAN, "test", {}, {}, keeps=[sha("one")], as_of=NOW) is False
        assert [row.ended_at for row in desk.catalog.plans() if row.id == PLAN] == [None]
        assert "still needs this blob" in desk.condemn("one")
        desk.catalog.end_plan(PLAN, as_of=NOW)
        assert desk.condemn("one") == ""
        assert "still needs this blob" in desk.condemn("two")

    def test_a_plan_that_was_given_up_ends_for_good(self, desk: Desk) -> None:
        """Its blobs are let go, the reason is noted, and it has neither hand nor beginning again; ended is ended."""
        desk.forget(desk.put_one())
        desk.catalog.begin_plan(PLAN, "test", {"policy": {"undone": "x"}}, {}, keeps=[sha("one")], as_of=NOW)
        assert desk.catalog.end_plan(PLAN, given_up="broken", as_of=NOW + DAY) is True
        assert desk.catalog.end_plan(PLAN, given_up="again", as_of=NOW + 2 * DAY) is False
        assert desk.catalog.end_plan(PLAN, as_of=NOW + 2 * DAY) is False
        (row,) = desk.catalog.plans()
        assert (row.ended_at, row.given_up, row.policy) == (NOW + DAY, "broken", {"undone": "x"})
        with pytest.raises(PlanError, match="given up"):
            desk.catalog.begin_plan(PLAN, "test", {}, {}, keeps=[sha("one")], as_of=NOW)
        with pytest.raises(PlanError, match="given up"), hand_of(desk) as hand:
            hand.state(sha("one"))
        with desk.catalog.hand("e" * 64, as_of=NOW) as hand:
            assert hand.condemn_blob(sha("one"), to_us(NOW)) == ""
