"""The contract of documents, their versions, and the life of the blobs they refer to."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit.layouts import cas_key
from catalogkit.model import Outcome, to_us
from tests.catalog.desk import DAY, HOUR, NOW, PLAN, Desk, relaxed, sha

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.catalog.contract import Catalog


class Documents:
    """Identity, outcomes, versions."""

    def test_the_same_again_changes_nothing_but_when_it_was_seen(self, desk: Desk) -> None:
        """A known document with known content is `same`, keeps its id and its one version."""
        first = desk.put_one()
        (again,) = desk.put(desk.entry(), as_of=NOW + DAY)
        assert (again.document_id, again.outcome, again.new_blob) == (first, "same", False)
        record = desk.catalog.document(first)
        assert record is not None
        assert (record.changed_at, record.seen_at) == (NOW, NOW + DAY)
        assert desk.catalog.versions(first).height == 1

    def test_changed_content_becomes_current_and_both_versions_stay(self, desk: Desk) -> None:
        """After a changed re-download both contents have live bytes, and history names both (hazard 24)."""
        document_id = desk.put_one("old", run_id="monday")
        (done,) = desk.put(desk.entry("new", run_id="tuesday"), as_of=NOW + DAY)
        assert (done.document_id, done.outcome, done.new_blob) == (document_id, "changed", True)
        assert (desk.state("old"), desk.state("new")) == ("live", "live")
        assert len(desk.catalog.locations_of(sha("old"))) == len(desk.catalog.locations_of(sha("new"))) == 1
        assert desk.catalog.versions(document_id).rows() == [
            (document_id, str(sha("old")), "monday", "ingest", NOW, NOW + DAY),
            (document_id, str(sha("new")), "tuesday", "current", NOW + DAY, None),
        ]
        record = desk.catalog.document(document_id)
        assert record is not None
        assert (record.sha256, record.run_id, record.created_at, record.changed_at) == (
            sha("new"), "tuesday", NOW, NOW + DAY,
        )  # fmt: skip

    def test_what_was_fetched_earlier_but_came_later_is_kept_as_an_older_version(self, desk: Desk) -> None:
        """Out of order, an earlier fetch does not replace a later one; it is kept once, with live bytes."""
        document_id = desk.put_one("new", fetched_at=NOW)
        late = desk.entry("old", fetched_at=NOW - DAY, run_id="late", in_order=False)
        assert [one.outcome for one in desk.put(late, as_of=NOW + DAY)] == ["older"]
        assert [one.outcome for one in desk.put(late, as_of=NOW + 2 * DAY)] == ["same"]
        record = desk.catalog.document(document_id)
        assert record is not None
        assert record.sha256 == sha("new")
        assert desk.state("old") == "live"
        versions = desk.catalog.versions(document_id).select("sha256", "run_id", "operation", "valid_to").rows()
        assert versions == [(str(sha("old")), "late", "older", NOW + DAY), (str(sha("new")), "", "current", None)]

    def test_an_older_version_can_become_garbage(self, desk: Desk) -> None:
        """Bytes that only history knows count as unreferenced from the day they came."""
        desk.put_one("new", fetched_at=NOW)
        desk.put(desk.entry("old", fetched_at=NOW - DAY, in_order=False), as_of=NOW + DAY)
        garbage = desk.catalog.garbage(as_of=NOW).select("sha256", "since").rows()
        assert garbage == [(str(sha("old")), NOW + DAY)]

    @pytest.mark.parametrize(
        "in_order, known, arrived",
        [(True, NOW, NOW - DAY), (False, NOW, NOW), (False, None, NOW), (False, NOW, None), (False, NOW - DAY, NOW)],
    )
    def test_only_a_surely_earlier_fetch_is_older(
        self, desk: Desk, in_order: bool, known: datetime | None, arrived: datetime | None
    ) -> None:
        """Where arrivals are in order, or a fetch time is not known or not earlier, what arrives is the new version."""
        desk.put_one("one", fetched_at=known)
        (done,) = desk.put(desk.entry("two", fetched_at=arrived, in_order=in_order))
        assert done.outcome == "changed"

    def test_going_back_to_earlier_content_is_a_third_version(self, desk: Desk) -> None:
        """Content that returns is a change like any other; no version is lost."""
        document_id = desk.put_one("one")
        desk.put(desk.entry("two"), as_of=NOW + DAY)
        (back,) = desk.put(desk.entry("one"), as_of=NOW + 2 * DAY)
        assert (back.outcome, back.new_blob) == ("changed", False)
        versions = desk.catalog.versions(document_id).select("sha256", "valid_from", "valid_to").rows()
        one, two = str(sha("one")), str(sha("two"))
        assert versions == [(one, NOW, NOW + DAY), (two, NOW + DAY, NOW + 2 * DAY), (one, NOW + 2 * DAY, None)]

    def test_a_document_that_was_seen_again_is_not_forgotten(self, desk: Desk) -> None:
        """Who gives the last sighting it knows of forgets nothing that was seen since; the same moment is fine."""
        document_id = desk.put_one()
        desk.catalog.touch([document_id], as_of=NOW + DAY)
        known, since = to_us(NOW), to_us(NOW + DAY)
        with desk.catalog.hand(PLAN, as_of=NOW + 2 * DAY) as hand:
            assert "seen again" in hand.forget(document_id, sha("one"), known)
            assert hand.forget(document_id, sha("other"), since) == "it is gone, or has other content now"
            assert hand.forget(document_id, sha("one"), since) == ""
            assert hand.forget(document_id, sha("one"), since) == "it is gone, or has other content now"

    def test_a_forgotten_document_stays_in_history(self, desk: Desk) -> None:
        """Forgetting ends the last version with time and operation; the id finds it still."""
        document_id = desk.put_one()
        assert desk.forget(document_id, NOW + DAY) == ""
        assert desk.catalog.document(document_id) is None
        assert desk.catalog.versions(document_id).rows() == [
            (document_id, str(sha("one")), "", "apply", NOW, NOW + DAY)
        ]

    def test_equal_documents_in_one_batch(self, desk: Desk) -> None:
        """One batch may hold a document twice, and content twice; each outcome is that of its turn."""
        done = desk.put(desk.entry("one", "a"), desk.entry("one", "a"), desk.entry("one", "b"), desk.entry("two", "a"))
        assert [(one.outcome, one.new_blob) for one in done] == [
            ("new", True), ("same", False), ("new", False), ("changed", True),
        ]  # fmt: skip

    @pytest.mark.parametrize("field", ["tenant", "artifact_id", "source_url", "resolver", "variant"])
    def test_identity_is_all_five_fields(self, desk: Desk, field: str) -> None:
        """Two arrivals that differ in one field of their identity are two documents."""
        first = desk.put_one()
        (other,) = desk.put(desk.entry(**{field: "other"}))
        assert (other.outcome, other.document_id != first) == ("new", True)

    def test_repeating_a_registration_uses_up_no_ids(self, desk: Desk) -> None:
        """A document that comes again a hundred times leaves no gap in the ids (hazard 60)."""
        first = desk.put_one("one", "a")
        for _ in range(20):
            desk.put_one("one", "a")
        assert desk.put_one("one", "b") == first + 1

    def test_an_id_is_never_given_twice(self, desk: Desk) -> None:
        """The id of a forgotten document stays its own."""
        first = desk.put_one("one", "a")
        desk.forget(first)
        assert desk.put_one("one", "b") > first

    def test_current_tells_what_is_known_of_an_arrival(self, desk: Desk) -> None:
        """Each arrival gets its document and content, in its place, or None."""
        document_id = desk.put_one("one", "a")
        arrivals = [desk.entry(artifact="b").arrival, desk.entry(artifact="a", run_id="other").arrival]
        assert desk.catalog.current(arrivals) == [None, (document_id, sha("one"))]

    def test_touch_notes_a_sighting_and_never_turns_time_back(self, desk: Desk) -> None:
        """Touching moves `seen_at` on, makes no version, and an older time changes nothing."""
        document_id = desk.put_one()
        desk.catalog.touch([document_id, 999], as_of=NOW + DAY)
        desk.catalog.touch([document_id], as_of=NOW)
        record = desk.catalog.document(document_id)
        assert record is not None
        assert (record.seen_at, record.changed_at) == (NOW + DAY, NOW)
        assert desk.catalog.versions(document_id).height == 1


class Blobs:
    """Incoming, live, condemned, purged; and what keeps a blob alive."""

    @relaxed
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(["put", "put", "older", "forget", "condemn", "stage"]),
                st.sampled_from("abc"),
                st.sampled_from(["one", "two", "three"]),
            ),
            max_size=14,
        )
    )
    def test_references_are_always_the_number_of_documents(
        self, anew: Callable[[], Catalog], steps: list[tuple[str, str, str]]
    ) -> None:
        """Whatever comes and goes, each blob's references equal a recount, and what is referred to is live."""
        desk = Desk(anew())
        for number, (step, artifact, content) in enumerate(steps):
            when = NOW + number * HOUR
            known = desk.catalog.current([desk.entry(artifact=artifact).arrival])[0]
            if step == "put":
                desk.put(desk.entry(content, artifact, fetched_at=when), as_of=when)
            elif step == "older":
                desk.put(desk.entry(content, artifact, fetched_at=NOW - number * HOUR, in_order=False), as_of=when)
            elif step == "stage":
                desk.catalog.abandon(desk.stage(desk.entry(content, artifact), as_of=when))
            elif step == "condemn":
                desk.condemn(content, when)
            elif known:
                assert desk.forget(known[0], when) == ""
            blobs, documents = desk.catalog.frame("blobs"), desk.catalog.frame("documents")
            counted = documents.group_by("sha256").agg(counted=pl.len().cast(pl.Int64))
            both = blobs.join(counted, on="sha256", how="full", coalesce=True).fill_null(0)
            assert both.filter(pl.col("refs") != pl.col("counted")).is_empty()
            assert both.filter((pl.col("refs") > 0) & (pl.col("state") != "live")).is_empty()
            garbage = desk.catalog.garbage(as_of=when)
            assert set(garbage["sha256"]) == set(blobs.filter(pl.col("refs") == 0, pl.col("state") == "live")["sha256"])
        assert desk.catalog.integrity() == []

    @pytest.mark.parametrize("others", [0, 30])
    def test_garbage_says_whose_it_was_last(self, desk: Desk, others: int) -> None:
        """The last document that referred to it, whether nearly all of history is garbage or nearly none of it."""
        for number in range(others):
            name = f"other-{number}"
            desk.forget(desk.put_one(name, source_url=f"https://x.org/{name}", artifact_id=name), NOW)
            desk.put_one(name, source_url=f"https://x.org/{name}", artifact_id=name)
        for name in ("first", "last"):
            again = desk.put_one("one", source_url=f"https://x.org/{name}", artifact_id=name, resolver=f"by {name}")
            desk.forget(again, NOW)
        shown = ("sha256", "artifact_id", "resolver", "tenant")
        expected = (str(sha("one")), "last", "by last", "default")
        assert desk.catalog.garbage(as_of=NOW).select(shown).rows() == [expected]
        desk.condemn("one")
        assert desk.catalog.condemned(as_of=NOW).select(shown).rows() == [expected]

    def test_a_condemned_blob_that_arrives_again_is_taken_back(self, desk: Desk) -> None:
        """Staging re-arms in its own transaction: from then on nothing removes the bytes (hazard 11)."""
        desk.forget(desk.put_one(), NOW + DAY)
        assert desk.condemn("one", NOW + 2 * DAY) == ""
        desk.stage(desk.entry(), as_of=NOW + 3 * DAY)
        assert desk.state("one") == "live"
        assert desk.condemn("one", NOW + 4 * DAY) != ""
        assert desk.catalog.known(desk.store_id, [sha("one")])[sha("one")].key == cas_key(sha("one"))

    def test_a_blob_taken_back_becomes_garbage_anew(self, desk: Desk) -> None:
        """The grace of a blob that was ingested again, in vain, does not count from its first life as garbage."""
        desk.forget(desk.put_one(), NOW)
        desk.condemn("one", NOW)
        desk.catalog.abandon(desk.stage(desk.entry(), as_of=NOW + DAY))
        assert desk.catalog.garbage(as_of=NOW)["since"].to_list() == [NOW + DAY]

    def test_a_condemned_blob_without_a_copy_begins_anew(self, desk: Desk) -> None:
        """Where the last copy is gone already, arriving again makes the blob incoming, not live without bytes."""
        desk.forget(desk.put_one())
        desk.condemn("one")
        with desk.catalog.hand(PLAN, as_of=NOW) as hand:
            hand.drop_copies([(sha("one"), desk.store_id, cas_key(sha("one")))])
        assert desk.state("one") == "purged"
        (intent,) = desk.stage(desk.entry())
        assert desk.state("one") == "incoming"
        (done,) = desk.catalog.commit([(intent, desk.entry())], as_of=NOW)
        assert (done.outcome, done.new_blob, desk.state("one")) == ("new", True, "live")

    def test_a_blob_in_flight_cannot_be_condemned(self, desk: Desk) -> None:
        """While an intent stands its blob stays, also where no document refers to it (hazard 6)."""
        desk.forget(desk.put_one())
        (intent,) = desk.stage(desk.entry())
        assert "being ingested" in desk.condemn("one")
        assert desk.state("one") == "live"
        desk.catalog.abandon([intent])
        assert desk.condemn("one") == ""

    def test_abandoning_cleans_up_what_nobody_else_needs(self, desk: Desk) -> None:
        """An incoming blob goes with its last intent; one that is live, or that another ingest expects, stays."""
        (first,), (second,) = desk.stage(desk.entry()), desk.stage(desk.entry(artifact="b"), owner="other")
        desk.catalog.abandon([first])
        assert desk.state("one") == "incoming"
        desk.catalog.abandon([second, second, 999])
        assert (desk.blob("one"), desk.catalog.intents()) == (None, [])
        desk.put_one("two")
        desk.catalog.abandon(desk.stage(desk.entry("two", "b")))
        assert desk.state("two") == "live"

    def test_ids_of_intents_are_not_reused(self, desk: Desk) -> None:
        """Abandoning late, by a number kept from before, never hits somebody else's intent."""
        (first,) = desk.stage(desk.entry())
        desk.catalog.abandon([first])
        (second,) = desk.stage(desk.entry())
        desk.catalog.abandon([first])
        assert [intent.id for intent in desk.catalog.intents()] == [second]

    def test_known_names_the_healthiest_copy(self, desk: Desk) -> None:
        """Of several copies an unchecked or good one is named before an unknown, a bad one last; none is None."""
        copies = [desk.at(f"{name}.pdf", "one", name) for name in "abc"]
        desk.put(*copies)
        bad, unknown, good = (copy.id for copy in desk.catalog.locations_of(sha("one")))
        desk.check(outcome=Outcome.CORRUPT, location=bad)
        desk.check(outcome=Outcome.UNKNOWN, location=unknown)
        asked = [sha("one"), sha("never seen")]
        assert {digest: about.key for digest, about in desk.catalog.known(desk.store_id, asked).items()} == {
            sha("one"): "docs/c.pdf"
        }
        desk.check(outcome=Outcome.MISSING, location=good)
        about = desk.catalog.known(desk.store_id, asked)[sha("one")]
        assert (about.key, about.outcome, about.state) == ("docs/b.pdf", Outcome.UNKNOWN, "live")
        elsewhere = desk.catalog.known(desk.store_id + 1, asked)[sha("one")]
        assert (elsewhere.key, elsewhere.outcome) == (None, None)

    def test_holders_finds_who_has_a_readable_path(self, desk: Desk) -> None:
        """A path is taken whatever its case, and only in the store asked about."""
        desk.put(desk.at("a/Paper.pdf"))
        folds = ["docs/a/paper.pdf", "docs/a/other.pdf"]
        assert desk.catalog.holders(desk.store_id, folds) == {"docs/a/paper.pdf": ("docs/a/Paper.pdf", sha("one"))}
        assert desk.catalog.holders(desk.store_id + 1, folds) == {}
