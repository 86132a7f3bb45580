"""The contract of the access log, of evictions, and of what fetching again came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.catalog.rows import AccessFile
from catalogkit.errors import InvalidInput
from catalogkit.model import Outcome
from tests.catalog.desk import DAY, HOUR, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from catalogkit.catalog.contract import Catalog

OTHER = "e" * 64


def file(content: str = "log", **changes: Any) -> AccessFile:
    about: dict[str, Any] = {
        "sha256": sha(content), "bytes": len(content), "name": "access.log", "entries": 3, "matched": 2,
        "first_at": NOW - DAY, "last_at": NOW, "imported_at": NOW,
    }  # fmt: skip
    return AccessFile(**about | changes)


def evict(desk: Desk, content: str = "one", plan: str = PLAN, *, drop: bool = True) -> str:
    """Note an eviction and drop the copies; why not, or nothing when done."""
    with desk.catalog.hand(plan, as_of=NOW) as hand:
        why = hand.evict(sha(content))
        if drop and not why:
            for copy in desk.catalog.locations_of(sha(content)):
                why = why or hand.drop_location(copy.sha256, desk.store_id, copy.key)
        return why


class Accesses:
    """Who asked for what; what was let go on purpose."""

    def test_what_is_alike_is_added_up(self, catalog: Catalog) -> None:
        """A document, a time and a kind are one row: counts and bytes are summed, unknown bytes add nothing."""
        catalog.record_accesses([(7, NOW, "read", 5), (7, NOW, "read", None, 3), (7, NOW, "open", None)])
        catalog.record_accesses([(7, NOW, "open", 2), (8, NOW, "read", 1, 10)])
        told = catalog.frame("accesses").select("document_id", "kind", "count", "bytes").rows()
        assert told == [(7, "open", 2, 2), (7, "read", 4, 5), (8, "read", 10, 1)]

    @pytest.mark.parametrize("bad", [(7, NOW, "read", -1), (7, NOW, "read", 1, 0), (7, NOW, "re\x00ad", 1)])
    def test_nothing_is_added_where_an_entry_is_bad(self, catalog: Catalog, bad: Any) -> None:
        """Negative bytes, no count, a kind that is no text: the whole batch is refused."""
        with pytest.raises(InvalidInput):
            catalog.record_accesses([(7, NOW, "read", 5), bad], file=file())
        assert catalog.frame("accesses").is_empty() and catalog.access_files() == []

    def test_a_file_is_read_once(self, catalog: Catalog) -> None:
        """The same bytes a second time change nothing; what was read, and how much of it matched, is on record."""
        assert catalog.record_accesses([(7, NOW, "read", 5)], file=file())
        assert not catalog.record_accesses([(7, NOW, "read", 5)], file=file(name="again.log"))
        assert catalog.record_accesses([(7, NOW, "read", 5)], file=file("longer", imported_at=NOW + HOUR, last_at=None))
        assert catalog.frame("accesses")["count"].to_list() == [2]
        assert catalog.access_files() == [file(), file("longer", imported_at=NOW + HOUR, last_at=None)]

    def test_an_eviction_lets_the_last_copy_go_and_says_so(self, desk: Desk) -> None:
        """The document stays, on a live blob without a copy; the record names the plan."""
        document_id = desk.put_one()
        assert "last good copy" in evict_without_a_word(desk)
        assert evict(desk) == ""
        assert desk.catalog.document(document_id) is not None and desk.state("one") == "live"
        assert desk.catalog.locations_of(sha("one")) == []
        (one,) = desk.catalog.evictions(sha("one"))
        assert (one.sha256, one.bytes, one.plan_id, one.evicted_at, one.returned_at) == (sha("one"), 3, PLAN, NOW, None)
        assert desk.catalog.frame("evictions").rows() == [(str(sha("one")), 3, PLAN, NOW, None)]
        assert desk.catalog.evictions(sha("two")) == []
        assert desk.catalog.blob_bytes(sha("one")) == 3 and desk.catalog.blob_bytes(sha("two")) is None

    def test_bytes_that_come_back_end_it(self, desk: Desk) -> None:
        """Ingested or fetched again they are kept as any others: the last copy cannot be dropped."""
        desk.put_one()
        evict(desk)
        desk.put_one("one", "b", as_of=NOW + DAY)
        (one,) = desk.catalog.evictions()
        assert one.returned_at == NOW + DAY
        assert "last good copy" in evict_without_a_word(desk)
        assert evict(desk) == "" and len(desk.catalog.evictions()) == 2

    def test_a_copy_that_is_proved_good_ends_it_too(self, desk: Desk) -> None:
        """An eviction that was noted and never carried out does not leave the copy unguarded."""
        desk.put_one()
        assert evict(desk, drop=False) == ""
        desk.check("one", Outcome.OK)
        assert desk.catalog.evictions()[0].returned_at is not None
        assert "last good copy" in evict_without_a_word(desk)

    def test_only_the_plan_that_noted_it_may_rely_on_it(self, desk: Desk) -> None:
        """What another plan noted is none of this one's business, until it notes it, too."""
        desk.put_one()
        evict(desk, drop=False)
        with desk.catalog.hand(OTHER, as_of=NOW) as hand:
            assert not hand.evicted(sha("one"))
            assert hand.evict(sha("one")) == "" and hand.evicted(sha("one"))
        assert len(desk.catalog.evictions()) == 1

    def test_what_must_stay_is_not_evicted(self, desk: Desk) -> None:
        """No address for one of its documents, a hold on either, an ingest, another plan, an old version: refused."""
        for content in ("free", "nowhere", "held", "held-document", "arriving", "planned", "older"):
            desk.put_one(content, content)
        catalog = desk.catalog
        desk.put_one("nowhere", "nowhere-2", source_url="file:///tmp/x")
        catalog.place_hold("law", digest=sha("held"), as_of=NOW)
        catalog.place_hold("law", document_id=desk.put_one("held-document", "more"), as_of=NOW)
        desk.stage(desk.entry("arriving", "arriving-2"))
        catalog.begin_plan(OTHER, "x", {}, {}, keeps=[sha("planned")], as_of=NOW)
        catalog.keep_moment("snapshot", "monday", as_of=NOW)
        desk.put_one("older-2", "older", as_of=NOW + HOUR)
        desk.put_one("older", "younger", as_of=NOW + HOUR)
        why = {content: evict(desk, content) for content in
               ("nowhere", "held", "held-document", "arriving", "planned", "older", "older-2", "free")}  # fmt: skip
        words = ("address", "hold", "hold", "ingested", "plan", "snapshot")
        assert all(word in said for word, said in zip(words, why.values(), strict=False)), why
        assert why["free"] == why["older-2"] == ""
        assert {str(one.sha256) for one in catalog.evictions()} == {str(sha("free")), str(sha("older-2"))}

    def test_garbage_is_not_evicted(self, desk: Desk) -> None:
        """What no document refers to is collected, after its grace, by the way that can be undone."""
        desk.forget(desk.put_one())
        assert "garbage collection" in evict(desk)
        assert "garbage collection" in evict(desk, "never seen")

    def test_what_fetching_came_to(self, desk: Desk) -> None:
        """Steps that fetched are counted by resolver, whether their document is still there or not; others are not."""
        ids = [desk.put_one(name, name, resolver=resolver) for name, resolver in (("a", "x"), ("b", "x"), ("c", "y"))]
        desk.catalog.begin_plan(PLAN, "repair", {}, {}, as_of=NOW)
        with desk.catalog.hand(PLAN, as_of=NOW) as hand:
            told = [
                ("fetch", "done"),
                ("fetch", "failed"),
                ("fetch", "failed"),
                ("copy", "failed"),
                ("fetch", "skipped"),
            ]
            for number, (kind, outcome) in enumerate(told):
                subject = (sha("a"), ids[min(number, 2)], desk.store_id, "k", None, None)
                hand.note(number, 0, kind, outcome, "", subject, 0)
        desk.forget(ids[2])
        assert desk.catalog.fetch_outcomes() == [("x", 1, 1), ("y", 0, 1)]


def evict_without_a_word(desk: Desk) -> str:
    (copy,) = desk.catalog.locations_of(sha("one"))
    with desk.catalog.hand(PLAN, as_of=NOW) as hand:
        return hand.drop_location(copy.sha256, desk.store_id, copy.key)
