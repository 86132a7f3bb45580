"""The contract of what an audit asks: pages of copies, second looks, facts that contradict each other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from catalogkit.audit_codes import Code
from catalogkit.audit_sample import DRAWN_FROM, Drawn
from catalogkit.errors import InvalidInput
from catalogkit.model import Outcome
from tests.catalog.desk import DAY, HOUR, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from catalogkit.catalog.contract import Catalog
    from tests.catalog.desk import Connect

ASKED = (
    Code.SPARE_COPIES, Code.NO_LOCATION, Code.PURGED_LOCATION, Code.WRONG_REFS, Code.CONDEMNED_NEEDED, Code.WRONG_KEY,
    Code.STUCK_INCOMING, Code.DOCUMENT_TO_NOTHING, Code.LOCATION_TO_NO_BLOB, Code.LOCATION_TO_NO_STORE,
    Code.HOLD_TO_NOTHING, Code.ROOT_TO_NOTHING, Code.INTENT_TO_NOTHING, Code.BROKEN_REFERENCE, Code.UNENDED_PLAN,
    Code.MALFORMED_ROW, Code.DAMAGED_DATABASE, Code.VERSION_BACKWARDS, Code.VERSIONS_OVERLAP, Code.VERSIONS_GAP,
    Code.CHECK_NOT_IN_LEDGER, Code.CHECK_CONTRADICTED, Code.TIME_IN_FUTURE, Code.TIME_LONG_AGO, Code.ENDS_BEFORE_BEGIN,
)  # fmt: skip


def faults(catalog: Catalog, code: Code, limit: int = 100) -> list[str]:
    found = catalog.faults(code, as_of=NOW + DAY, future=NOW + 2 * DAY, stale=DAY, limit=limit)
    return [fact.object for fact in found]


class Audits:
    """Copies page by page, what stands unchanged, and questions that a sound catalog answers with nothing."""

    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_copies_come_in_pages(self, desk: Desk, size: int) -> None:
        """Every copy comes once, in the order of store and key, with the size of its content and its last check."""
        desk.put(*[desk.entry(f"content {n}", f"a{n}", inode=n + 1, mtime_ns=n) for n in range(5)])
        desk.check("content 3", Outcome.CORRUPT)
        seen, after = [], (-1, "")
        while page := desk.catalog.copies(after=after, limit=size):
            assert len(page) <= size
            seen += page
            after = (page[-1].store_id, page[-1].key)
        assert len(seen) == desk.catalog.copy_count() == 5
        assert [copy.key for copy in seen] == sorted(copy.key for copy in seen)
        by_digest = {copy.digest: copy for copy in seen}
        assert {copy.bytes for copy in seen} == {9}
        assert by_digest[sha("content 3")].outcome == "corrupt" and by_digest[sha("content 2")].outcome is None
        assert by_digest[sha("content 2")].inode == 3

    def test_what_is_unchanged(self, desk: Desk) -> None:
        """A copy that was published anew, or dropped, is not what it was; one that was only checked is."""
        desk.put(*[desk.entry(f"content {n}", f"a{n}", inode=1) for n in range(3)])
        page = desk.catalog.copies(limit=9)
        ids = {bytes(copy.digest): copy.location_id for copy in page}
        desk.check("content 0")
        desk.put(desk.entry("content 1", "a1", inode=2))
        desk.forget(desk.catalog.find(artifact_id="a2")[0].id)
        desk.condemn("content 2")
        with desk.catalog.hand(PLAN, as_of=NOW) as hand:
            hand.drop_copies([(sha("content 2"), desk.store_id, desk.entry("content 2").key)])
        assert desk.catalog.unchanged(page) == {ids[sha("content 0")]}

    def test_a_second_look_waits_for_whoever_is_writing(self, connect: Connect) -> None:
        """A copy that is being removed stands, for others, until its removal is committed; the second look waits."""
        catalog, other, third = connect(), connect(), connect()
        desk = Desk(catalog)
        document = desk.put_one("one", "a")
        desk.forget(document)
        desk.condemn("one")
        page = catalog.copies(limit=9)
        found: list[set[int]] = []
        with catalog.hand(PLAN, as_of=NOW) as hand:
            hand.drop_copies([(sha("one"), desk.store_id, page[0].key)])
            assert other.copies(limit=9) == page
            askers = [
                threading.Thread(target=lambda: found.append(other.unchanged(page))),
                threading.Thread(target=lambda: found.append(third.standing([page[0].location_id]))),
            ]
            for asker in askers:
                asker.start()
                asker.join(0.2)
            assert not found
        for asker in askers:
            asker.join()
        assert found == [set(), set()]

    def test_what_stands(self, desk: Desk) -> None:
        """Copies that are on record, whatever is known of them, of those that are asked about."""
        desk.put(*[desk.entry(f"content {n}", f"a{n}", inode=1) for n in range(3)])
        ids = sorted(copy.location_id for copy in desk.catalog.copies(limit=9))
        desk.check("content 0", Outcome.MISSING)
        assert desk.catalog.standing([*ids[:2], 999]) == set(ids[:2])
        assert desk.catalog.standing([]) == set()

    @pytest.mark.parametrize("code", ASKED)
    def test_a_sound_catalog_contradicts_nothing(self, desk: Desk, code: Code) -> None:
        """Documents that came, changed, were checked, held, condemned, one on its way: no question finds a fault."""
        desk.put(desk.entry("one", "a"), desk.at("b.txt", "two", "b", inode=1), desk.at("c.txt", "two", "c", inode=1))
        desk.put(desk.entry("three", "a"), as_of=NOW + HOUR)
        desk.check("three", Outcome.MISSING)
        desk.check("two")
        desk.catalog.place_hold("legal", digest=sha("two"), expires_at=NOW + DAY, as_of=NOW)
        desk.condemn("one", NOW + HOUR)
        desk.stage(desk.entry("four", "d"))
        assert faults(desk.catalog, code) == []

    def test_questions_that_are_none_of_the_catalogs(self, catalog: Catalog) -> None:
        """What only a store can tell is refused, not answered with nothing."""
        with pytest.raises(InvalidInput, match="A201"):
            faults(catalog, Code.MISSING_FILE)

    def test_faults_are_limited(self, desk: Desk) -> None:
        """At most so many are told: plans that never ended, here; one that did is none."""
        for number in range(4):
            desk.catalog.begin_plan(f"{number}" * 64, "gc", {}, {}, as_of=NOW - DAY)
        desk.catalog.end_plan("0" * 64, as_of=NOW)
        assert faults(desk.catalog, Code.UNENDED_PLAN) == [f"plan {number * 64}" for number in "123"]
        assert len(faults(desk.catalog, Code.UNENDED_PLAN, limit=2)) == 2

    def test_time_is_an_argument(self, desk: Desk) -> None:
        """What counts as the future is given."""
        desk.put_one("one", "a", as_of=NOW)
        for future, count in ((NOW, 0), (NOW - HOUR, 1)):
            found = desk.catalog.faults(Code.TIME_IN_FUTURE, as_of=NOW, future=future, stale=DAY, limit=100)
            assert sum(fact.object.startswith("document") for fact in found) == count
        assert all("2026-05-01" in fact.detail for fact in found)

    def test_bad_copies_come_in_pages(self, desk: Desk) -> None:
        """Copies of what documents need that are corrupt or missing, with how many copies there are and are bad."""
        desk.put(desk.entry("one", "a"), desk.at("x.txt", "one", "b"), desk.entry("two", "c"), desk.entry("three", "d"))
        locations = [copy.id for copy in desk.catalog.locations_of(sha("one"))]
        desk.check("one", Outcome.MISSING, location=locations[0])
        desk.check("two", Outcome.CORRUPT)
        desk.check("three", Outcome.UNKNOWN)
        desk.forget(desk.catalog.find(artifact_id="d")[0].id)
        seen, after = [], (b"", -1)
        while page := desk.catalog.bad_copies(after=after, limit=1):
            seen += page
            after = (page[-1].digest, page[-1].location_id)
        told = {bytes(copy.digest): (copy.outcome, copy.copies, copy.bad, copy.store) for copy in seen}
        assert told == {sha("one"): ("missing", 2, 1, "main"), sha("two"): ("corrupt", 1, 1, "main")}
        assert len(seen) == 2

    def test_owners_of_ingests(self, desk: Desk) -> None:
        """Every ingest in flight, with until when its promise holds and where its bytes will lie."""
        (number,) = desk.stage(desk.entry("one", "a"), owner="me")
        assert desk.catalog.owners() == [(number, "me", NOW + HOUR, "main", desk.entry("one").key)]

    def test_rows_are_drawn_at_random(self, desk: Desk) -> None:
        """So many of each as were asked for, or all; others for another seed, each some time; of nothing nothing."""
        assert desk.catalog.draw(3, seed=1) == Drawn((), (), 0, 0)
        desk.put(*[desk.entry(f"content {n // 2}", f"a{n}") for n in range(10)])
        desk.forget(desk.catalog.find(artifact_id="a3")[0].id)
        drawn = [desk.catalog.draw(3, seed=seed) for seed in range(40)]
        assert {(one.all_documents, one.all_copies) for one in drawn} == {(9, 5)}
        assert {(len(set(one.documents)), len(set(one.copies))) for one in drawn} == {(3, 3)}
        copies = {copy.location_id: copy for copy in desk.catalog.copies(limit=9)}
        assert {number for one in drawn for number in one.copies} == set(copies)
        assert {number for one in drawn for number in one.documents} == set(desk.catalog.frame("documents")["id"])
        assert desk.catalog.draw(3, seed=7) == drawn[7]
        assert len(desk.catalog.draw(9, seed=1).documents) == 9
        assert desk.catalog.copies_of_ids([*drawn[0].copies, 99]) == sorted(
            (copies[number] for number in drawn[0].copies), key=lambda copy: (copy.store_id, copy.key)
        )

    def test_few_rows_of_many_numbers(self, desk: Desk) -> None:
        """Where most numbers are free, because what had them went, those that are left are drawn all the same."""
        numbers = [desk.put_one("one", f"a{n}") for n in range(120)]
        for number in numbers[1:-1]:
            desk.forget(number)
        assert desk.catalog.draw(1, seed=1).documents[0] in (numbers[0], numbers[-1])

    def test_faults_among_what_was_drawn(self, desk: Desk) -> None:
        """Of a sound catalog no question about some of its rows finds a fault; of an unsound one it finds those."""
        desk.put(desk.entry("one", "a"), desk.at("b.txt", "two", "b", inode=1), desk.at("c.txt", "two", "c", inode=1))
        desk.put(desk.entry("three", "a"), as_of=NOW + HOUR)
        desk.check("two")
        among = desk.catalog.draw(2, seed=1)
        asked = {"as_of": NOW + DAY, "future": NOW + 2 * DAY, "stale": DAY, "limit": 9}
        codes = [code for code in DRAWN_FROM if code in ASKED]
        assert [fact for code in codes for fact in desk.catalog.faults(code, **asked, among=among)] == []
        asked["future"] = NOW - DAY
        found = [fact.object for fact in desk.catalog.faults(Code.TIME_IN_FUTURE, **asked, among=among)]
        told = {f"document {number}" for number in among.documents} | {f"location {number}" for number in among.copies}
        assert {one for one in found if one.startswith(("document", "location"))} == told
