"""What every catalog engine must do, written down as tests. An engine passes them by supplying `new`.

``new()`` makes an empty catalog and returns a function that opens it: each call ``connect()`` is one more connection to
the same catalog, ``connect(busy_seconds=0)`` one that does not wait for other writers.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogkit import stats
from catalogkit.catalog.contract import Registration, SourceStat
from catalogkit.errors import CatalogBusy, CatalogError, ConstraintError, InvalidInput, StoreMismatch
from catalogkit.layouts import cas_key
from catalogkit.model import Arrival, Check, Digest, Layout, Outcome, schema, to_us

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.catalog.contract import Catalog, Committed

NOW: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN: Final = "f" * 64
relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Connect(Protocol):
    """Opens one more connection to one catalog."""

    def __call__(self, *, busy_seconds: float = 60) -> Catalog: ...


New = "Callable[[], Connect]"


def sha(content: str) -> Digest:
    """The digest of a document that consists of these words."""
    return Digest(hashlib.sha256(content.encode()).digest())


class Desk:
    """A catalog with one store, and short words for what the tests do to it."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.store_id = catalog.add_store("main", "local", "token of main").id

    def entry(self, content: str = "one", artifact: str = "a", **changes: Any) -> Registration:
        """One arrived document; `changes` go to the registration, or to its arrival where that has the field."""
        facts = {key: changes.pop(key) for key in list(changes) if key in Arrival.__dataclass_fields__}
        plain = Registration(
            arrival=Arrival(**{"artifact_id": artifact, "source_url": f"https://example.org/{artifact}"} | facts),
            digest=sha(content),
            bytes=len(content),
            media_type="text/plain",
            store_id=self.store_id,
            key=cas_key(sha(content)),
            layout=Layout.CAS,
        )
        return replace(plain, **changes)

    def at(self, key: str, content: str = "one", artifact: str = "a", **changes: Any) -> Registration:
        """One arrived document whose bytes lie at a readable path."""
        return self.entry(content, artifact, key=f"docs/{key}", layout=Layout.POLICY, **changes)

    def stage(self, *entries: Registration, owner: str = "me", as_of: datetime = NOW) -> list[int]:
        return self.catalog.stage(entries, owner=owner, expires_at=as_of + HOUR, as_of=as_of)

    def put(self, *entries: Registration, as_of: datetime = NOW, run_id: str = "") -> list[Committed]:
        """Take documents in, the whole way."""
        staged = list(zip(self.stage(*entries, as_of=as_of), entries, strict=True))
        return self.catalog.commit(staged, as_of=as_of, run_id=run_id)

    def put_one(self, *args: Any, as_of: datetime = NOW, **changes: Any) -> int:
        """Take one document in; its id."""
        return self.put(self.entry(*args, **changes), as_of=as_of)[0].document_id

    def forget(self, document_id: int, as_of: datetime = NOW) -> str:
        """Forget a document; why not, or nothing when done."""
        with self.catalog.hand(PLAN, as_of=as_of) as hand:
            return hand.forget(document_id, self.catalog_digest(document_id))

    def catalog_digest(self, document_id: int) -> Digest:
        ((digest,),) = self.catalog.frame("documents").filter(pl.col("id") == document_id).select("sha256").rows()
        return Digest.parse(digest)

    def condemn(self, content: str, as_of: datetime = NOW) -> str:
        """Condemn a blob; why not, or nothing when done."""
        since = {row[0]: row[3] for row in self.catalog.garbage(as_of=as_of)}.get(str(sha(content)), 0)
        with self.catalog.hand(PLAN, as_of=as_of) as hand:
            return hand.condemn_blob(sha(content), since)

    def blob(self, content: str) -> dict[str, Any] | None:
        """A blob's row."""
        rows = self.catalog.frame("blobs").filter(pl.col("sha256") == str(sha(content))).rows(named=True)
        return rows[0] if rows else None

    def state(self, content: str) -> str | None:
        blob = self.blob(content)
        return blob and blob["state"]

    def location(self, content: str = "one") -> int:
        """The id of a blob's first copy."""
        return self.catalog.locations_of(sha(content))[0].id

    def check(
        self, content: str = "one", outcome: Outcome = Outcome.OK, at: datetime = NOW, location: int | None = None
    ) -> None:
        """Note what a check of a blob's first copy found."""
        where = self.location(content) if location is None else location
        check = Check(location_id=where, sha256=sha(content), checked_at=at, outcome=outcome, bytes=len(content))
        self.catalog.record_checks([check])


class CatalogContract:
    """The suite; an engine's test class inherits it and has a fixture ``new``."""

    @pytest.fixture
    def open_new(self, new: New) -> Iterator[Callable[[], Connect]]:
        """`new`, with every connection closed at the end."""
        with contextlib.ExitStack() as stack:

            def make() -> Connect:
                connect = new()

                def open_one(*, busy_seconds: float = 60) -> Catalog:
                    return stack.enter_context(contextlib.closing(connect(busy_seconds=busy_seconds)))

                return open_one

            yield make

    @pytest.fixture
    def connect(self, open_new: Callable[[], Connect]) -> Connect:
        return open_new()

    @pytest.fixture
    def catalog(self, connect: Connect) -> Catalog:
        return connect()

    @pytest.fixture
    def desk(self, catalog: Catalog) -> Desk:
        return Desk(catalog)

    # -- identity and stores -----------------------------------------------------------------------------------

    def test_a_catalog_keeps_its_identity(self, open_new: Callable[[], Connect]) -> None:
        """Every connection sees the same identity, and another catalog has another."""
        connect, other = open_new(), open_new()
        assert connect().identity == connect().identity
        assert connect().identity != other().identity
        assert len(connect().identity) == 32

    def test_a_new_catalog_is_sound_and_empty(self, catalog: Catalog) -> None:
        """A new catalog holds nothing, and its engine finds nothing wrong with it."""
        assert catalog.integrity() == []
        assert set(catalog.totals().values()) == {0}
        assert (catalog.stores(), catalog.intents(), catalog.last_check_id()) == ([], [], 0)

    def test_closing_twice_is_fine_and_using_it_then_is_not(self, catalog: Catalog) -> None:
        """A closed catalog says that it is closed, as one of our own errors."""
        catalog.close()
        catalog.close()
        with pytest.raises(CatalogError, match="open it again"):
            catalog.totals()

    def test_a_store_is_added_once(self, catalog: Catalog) -> None:
        """The same store again changes nothing; another token, name or kind for a known store is refused."""
        first = catalog.add_store("main", "local", "token")
        assert catalog.add_store("main", "local", "token") == first
        for name, kind, token in (("main", "local", "other"), ("other", "local", "token"), ("main", "s3", "token")):
            with pytest.raises(StoreMismatch):
                catalog.add_store(name, kind, token)
        assert catalog.stores() == [first]
        with pytest.raises(ConstraintError):
            catalog.add_store("tape", "tape", "new token")

    # -- stage and commit --------------------------------------------------------------------------------------

    def test_what_is_staged_can_be_completed_by_somebody_else(self, desk: Desk, connect: Connect) -> None:
        """An intent gives back the registration it was made from, whatever its text, times and metadata."""
        zone = timezone(timedelta(hours=5, minutes=30))
        entries = [
            desk.entry(
                "eins",
                "doi:10.1000/ünï-码-🙂",
                source_url="https://example.org/ä?q=%00#🙂",
                resolver="unpaywall", variant="v\n2", tenant="täam", run_id="nächtlich", content_type="text/plain; x=\"é\"",
                fetched_at=datetime(2026, 3, 1, 23, 59, 59, 123456, zone),
                metadata={"title": "Ünïcode \x00 \u2028 🙂", "pages": [1, 2.5, None, True], "deep": {"a": {"b": []}}},
                inode=-5, mtime_ns=2**62,
                source=SourceStat("/däta", "caf%E9.pdf", 3, 1, 2, 2**63 - 1),
                in_order=False,
            ),
            desk.at("a/b.pdf", "zwei", "plain", fetched_at=None, metadata={}),
        ]  # fmt: skip
        ids = desk.stage(*entries, owner="machine ns/1/abc")
        found = connect().intents()
        assert [intent.registration for intent in found] == entries
        assert [(intent.id, intent.owner, intent.expires_at) for intent in found] == [
            (number, "machine ns/1/abc", NOW + HOUR) for number in ids
        ]

    def test_staged_bytes_are_incoming_and_committed_ones_are_live(self, desk: Desk) -> None:
        """Before the bytes are durable nothing refers to them; afterwards intent, state and location agree."""
        entry = desk.entry(inode=7, mtime_ns=9)
        (intent,) = desk.stage(entry)
        assert (desk.state("one"), desk.catalog.totals()["documents"]) == ("incoming", 0)
        (done,) = desk.catalog.commit([(intent, entry)], as_of=NOW)
        assert (done.outcome, done.new_blob, desk.state("one")) == ("new", True, "live")
        assert desk.catalog.intents() == []
        (copy,) = desk.catalog.locations_of(sha("one"))
        assert (copy.store, copy.key, copy.layout, copy.bytes) == ("main", cas_key(sha("one")), Layout.CAS, 3)
        assert (copy.inode, copy.mtime_ns, copy.checked_at, copy.outcome) == (7, 9, None, None)

    def test_a_document_comes_back_as_it_arrived(self, desk: Desk) -> None:
        """Every field of an arrival is kept; times come back in UTC, to the microsecond."""
        zone = timezone(-timedelta(hours=12))
        entry = desk.entry(
            "one", "ä", resolver="pmc", variant="pdf", tenant="team", run_id="r1", content_type="text/plain",
            fetched_at=datetime(2026, 4, 30, 23, 0, 0, 1, zone), metadata={"b": 1, "a": ["ü", None]},
        )  # fmt: skip
        (done,) = desk.put(entry, as_of=datetime(2026, 5, 1, 14, tzinfo=timezone(2 * HOUR)))
        record = desk.catalog.document(done.document_id)
        assert record is not None
        assert {name: getattr(record, name) for name in Arrival.__dataclass_fields__} == {
            name: getattr(entry.arrival, name) for name in Arrival.__dataclass_fields__
        }
        assert record.fetched_at is not None
        assert record.fetched_at.utcoffset() == timedelta(0)
        assert (record.created_at, record.changed_at, record.seen_at) == (NOW, NOW, NOW)
        assert (record.sha256, record.bytes, record.media_type) == (sha("one"), 3, "text/plain")
        assert isinstance(record.sha256, Digest)

    def test_a_document_may_say_little(self, desk: Desk) -> None:
        """No fetch time, no metadata: they come back as None and empty."""
        record = desk.catalog.document(desk.put_one())
        assert record is not None
        assert (record.fetched_at, dict(record.metadata), record.resolver) == (None, {}, "")

    def test_naive_times_are_refused(self, desk: Desk) -> None:
        """A time without a zone never becomes a fact."""
        naive = NOW.replace(tzinfo=None)
        with pytest.raises(InvalidInput, match="time zone"):
            desk.stage(desk.entry(), as_of=naive)
        with pytest.raises(InvalidInput, match="time zone"):
            desk.catalog.commit([(None, desk.entry())], as_of=naive)
        assert desk.blob("one") is None

    @pytest.mark.parametrize("size", [0, 2**31, 3 * 2**30, 2**53 + 1])
    def test_sizes_beyond_32_bits(self, desk: Desk, size: int) -> None:
        """A size of any magnitude comes back exactly, in records, frames and sums."""
        document_id = desk.put_one(bytes=size, inode=2**63 - 1, mtime_ns=2**62)
        record = desk.catalog.document(document_id)
        assert record is not None
        assert record.bytes == size
        assert desk.catalog.frame("documents")["bytes"].to_list() == [size]
        assert desk.catalog.totals()["logical_bytes"] == desk.catalog.totals()["physical_bytes"] == size
        assert desk.catalog.frame("locations").select("inode", "mtime_ns").rows() == [(2**63 - 1, 2**62)]

    def test_a_size_no_integer_column_holds_is_bad_input(self, desk: Desk) -> None:
        """A number that does not fit is refused before anything is written."""
        with pytest.raises(InvalidInput):
            desk.put(desk.entry("fine", "fine"), desk.entry(bytes=2**63))
        assert desk.catalog.totals()["blobs"] == 0

    def test_one_bad_document_changes_nothing(self, desk: Desk) -> None:
        """A batch with something unacceptable leaves no trace, and its intents stay to be abandoned."""
        entries = [desk.entry("one", "a"), desk.entry("two", "b")]
        intents = desk.stage(*entries)
        before = desk.catalog.frame("blobs").select("sha256", "state").rows()
        with pytest.raises(ConstraintError):
            bad = replace(entries[1], key="")
            desk.catalog.commit(list(zip(intents, [entries[0], bad], strict=True)), as_of=NOW)
        assert desk.catalog.frame("blobs").select("sha256", "state").rows() == before
        assert (desk.catalog.totals()["documents"], desk.catalog.totals()["locations"]) == (0, 0)
        assert [intent.id for intent in desk.catalog.intents()] == intents

    def test_one_digest_has_one_size(self, desk: Desk) -> None:
        """Equal digests with different sizes are a mistake somewhere, and refused."""
        desk.put_one()
        with pytest.raises(ConstraintError):
            desk.stage(desk.entry(bytes=4))

    def test_a_key_holds_one_content(self, desk: Desk) -> None:
        """Another document's bytes at a taken key are refused, also where only case or accents differ (hazard 18)."""
        desk.put(desk.at("a/Paper.pdf", "one", "a"))
        for key in ("a/Paper.pdf", "A/PAPER.pdf"):
            with pytest.raises(ConstraintError):
                desk.put(desk.at(key, "two", "b"))
        assert desk.catalog.totals()["documents"] == 1

    def test_a_file_in_its_owners_hands_may_change(self, desk: Desk) -> None:
        """Where bytes are only referred to, new content at a path ends the old copy, and the ledger tells of it."""
        desk.put(desk.entry("one", key="data/x", layout=Layout.REFERENCE))
        (done,) = desk.put(desk.entry("two", key="data/x", layout=Layout.REFERENCE), as_of=NOW + DAY)
        assert done.outcome == "changed"
        assert desk.catalog.locations_of(sha("one")) == []
        assert [copy.key for copy in desk.catalog.locations_of(sha("two"))] == ["data/x"]
        (entry,) = desk.catalog.frame("checks").rows(named=True)
        assert (entry["sha256"], entry["outcome"], entry["checked_at"]) == (str(sha("one")), "missing", NOW + DAY)

    def test_republished_bytes_forget_the_old_check(self, desk: Desk) -> None:
        """What a check said of a bad file is not said of the good one that took its place."""
        desk.put_one(inode=1)
        desk.check(outcome=Outcome.CORRUPT)
        desk.put_one(inode=2)
        (copy,) = desk.catalog.locations_of(sha("one"))
        assert (copy.inode, copy.outcome, copy.checked_at) == (2, None, None)
        desk.check(outcome=Outcome.OK)
        desk.put_one(inode=2)
        (copy,) = desk.catalog.locations_of(sha("one"))
        assert (copy.outcome, copy.checked_at) == (Outcome.OK, NOW)

    def test_commit_without_an_intent(self, desk: Desk) -> None:
        """Bytes that never were at risk need no intent; the outcome is the same."""
        (done,) = desk.catalog.commit([(None, desk.entry())], as_of=NOW)
        assert (done.outcome, done.new_blob, desk.state("one")) == ("new", True, "live")

    def test_commit_after_the_intent_was_taken_away(self, desk: Desk) -> None:
        """An ingest that was given up for dead but lives makes its documents true all the same."""
        entries = [desk.entry("one", "a"), desk.entry("two", "b")]
        intents = desk.stage(*entries)
        desk.catalog.abandon([intents[0]])
        assert desk.blob("one") is None
        done = desk.catalog.commit(list(zip(intents, entries, strict=True)), as_of=NOW)
        assert [one.outcome for one in done] == ["new", "new"]
        assert (desk.state("one"), desk.state("two")) == ("live", "live")

    # -- documents and their versions --------------------------------------------------------------------------

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
        assert [(row[0], row[3]) for row in desk.catalog.garbage(as_of=NOW)] == [(str(sha("old")), to_us(NOW + DAY))]

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

    # -- the life of a blob ------------------------------------------------------------------------------------

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
        self, open_new: Callable[[], Connect], steps: list[tuple[str, str, str]]
    ) -> None:
        """Whatever comes and goes, each blob's references equal a recount, and what is referred to is live."""
        desk = Desk(open_new()())
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
            garbage = {row[0] for row in desk.catalog.garbage(as_of=when)}
            assert garbage == set(blobs.filter(pl.col("refs") == 0, pl.col("state") == "live")["sha256"])
        assert desk.catalog.integrity() == []

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
        assert [row[3] for row in desk.catalog.garbage(as_of=NOW)] == [to_us(NOW + DAY)]

    def test_a_condemned_blob_without_a_copy_begins_anew(self, desk: Desk) -> None:
        """Where the last copy is gone already, arriving again makes the blob incoming, not live without bytes."""
        desk.forget(desk.put_one())
        desk.condemn("one")
        with desk.catalog.hand(PLAN, as_of=NOW) as hand:
            hand.drop_copy(sha("one"), desk.store_id, cas_key(sha("one")))
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

    # -- remembered sources ------------------------------------------------------------------------------------

    def remembered(self, desk: Desk) -> tuple[int, SourceStat]:
        stat = SourceStat("/data", "a.pdf", 3, 1, 2, 5)
        return desk.put_one("one", "a", source=stat), stat

    def test_a_source_is_remembered_with_what_it_became(self, desk: Desk) -> None:
        """A folder's files come back with stat, content, document and identity; other folders' do not."""
        document_id, stat = self.remembered(desk)
        row = desk.catalog.sources("/data")["a.pdf"]
        assert (row.stat, row.digest, row.document_id) == (stat, sha("one"), document_id)
        assert row.identity == desk.entry(artifact="a").arrival.identity
        assert desk.catalog.sources("/dat") == {}

    def test_a_source_is_remembered_as_it_was_last(self, desk: Desk) -> None:
        """Read again, a file's old stat is replaced."""
        _, stat = self.remembered(desk)
        later = replace(stat, bytes=3, mtime_ns=9)
        desk.put_one("two", "a", source=later)
        assert {name: row.stat for name, row in desk.catalog.sources("/data").items()} == {"a.pdf": later}

    def test_a_source_whose_document_moved_on_names_no_identity(self, desk: Desk) -> None:
        """Where the document has other content now, the file is known by its content only."""
        self.remembered(desk)
        desk.put_one("two", "a")
        row = desk.catalog.sources("/data")["a.pdf"]
        assert (row.identity, row.digest) == (None, sha("one"))

    @pytest.mark.parametrize("outcome, kept", [("ok", True), ("unknown", True), ("corrupt", False), ("missing", False)])
    def test_a_source_is_trusted_only_while_its_content_is_well_kept(
        self, desk: Desk, outcome: str, kept: bool
    ) -> None:
        """A file whose copy was found bad is read again, so that ingest heals it."""
        self.remembered(desk)
        desk.check(outcome=Outcome(outcome))
        assert ("a.pdf" in desk.catalog.sources("/data")) is kept

    def test_a_source_is_read_again_once_its_content_is_condemned(self, desk: Desk) -> None:
        """Content on its way out does not count as kept."""
        document_id, _ = self.remembered(desk)
        desk.forget(document_id)
        assert "a.pdf" in desk.catalog.sources("/data")
        desk.condemn("one")
        assert desk.catalog.sources("/data") == {}

    # -- runs and the ledger -----------------------------------------------------------------------------------

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

    @pytest.mark.parametrize("run_id", ["", "a\x00b", "\ud800"])
    def test_a_run_needs_a_name_that_can_be_kept(self, catalog: Catalog, run_id: str) -> None:
        """An empty run id, or one no database keeps as text, is refused."""
        with pytest.raises((InvalidInput, ConstraintError)):
            catalog.start_run(run_id, "verify", as_of=NOW)

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
        self, open_new: Callable[[], Connect], copies: list[tuple[int, int | None, Outcome | None, int]]
    ) -> None:
        """The database's own coverage and totals equal those of `catalogkit.stats`, for hard links and future stamps too."""
        desk = Desk(open_new()())
        for number, (content, inode, outcome, days) in enumerate(copies):
            desk.put(desk.at(f"{number}.pdf", "x" * (content + 1), str(number), inode=inode))
            if outcome is not None:
                location = desk.catalog.frame("locations")["id"].max()
                assert isinstance(location, int)
                desk.check("x" * (content + 1), outcome, NOW + days * DAY, location)
        locations, documents = desk.catalog.frame("locations"), desk.catalog.frame("documents")
        for window in (1, 30):
            ours, theirs = desk.catalog.coverage(as_of=NOW, days=window), stats.coverage(locations, NOW, (window,))
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

    # -- holds -------------------------------------------------------------------------------------------------

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

    def test_a_hold_ends_once(self, desk: Desk) -> None:
        """Releasing what is released, or never was, is a mistake that is told."""
        hold = desk.catalog.place_hold("case 7", document_id=desk.put_one(), as_of=NOW)
        desk.catalog.release_hold(hold, as_of=NOW)
        for number in (hold, 999):
            with pytest.raises(InvalidInput, match=str(number)):
                desk.catalog.release_hold(number, as_of=NOW)

    # -- questions ---------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("table", ["documents", "blobs", "locations", "checks"])
    def test_an_empty_frame_has_its_schema(self, catalog: Catalog, table: str) -> None:
        """A table without rows has the columns and types of a full one."""
        frame = catalog.frame(table)
        assert (frame.height, dict(frame.schema)) == (0, schema(table))

    def test_a_full_frame_has_its_schema(self, desk: Desk) -> None:
        """Frames have the promised columns, digests as hex, times in UTC; missing values are null."""
        desk.put_one("one", "a", metadata={"ä": 1})
        desk.check()
        for table in ("documents", "blobs", "locations", "checks"):
            frame = desk.catalog.frame(table)
            assert (frame.height, dict(frame.schema)) == (1, schema(table))
            assert frame["sha256"].to_list() == [str(sha("one"))]
        (row,) = desk.catalog.frame("documents").rows(named=True)
        assert (row["created_at"], row["fetched_at"], json.loads(row["metadata"])) == (NOW, None, {"ä": 1})
        (location,) = desk.catalog.frame("locations").rows(named=True)
        assert (location["checked_at"], location["inode"], location["store"]) == (NOW, None, "main")

    def test_a_frame_of_no_table_is_an_error(self, catalog: Catalog) -> None:
        """A mistyped table name is told, with the right ones."""
        with pytest.raises(InvalidInput, match="documents"):
            catalog.frame("document")

    def test_a_document_that_never_was_has_no_versions(self, catalog: Catalog) -> None:
        """Versions of an unknown id are an empty frame with its schema; the document itself is None."""
        assert catalog.document(5) is None
        assert dict(catalog.versions(5).schema) == schema("versions")
        assert catalog.versions(5).height == 0

    @pytest.mark.parametrize(
        "field, value",
        [
            ("tenant", "team"), ("artifact_id", "b"), ("source_url", "https://example.org/ü"), ("resolver", "pmc"),
            ("variant", "v"), ("run_id", "r"), ("media_type", "application/pdf"),
        ],
    )  # fmt: skip
    def test_find_by_each_field(self, desk: Desk, field: str, value: str) -> None:
        """Each filter keeps the documents whose field is exactly that, and no other."""
        desk.put_one("one", "a")
        wanted = desk.put_one("two", "c", **{field: value})
        assert [record.id for record in desk.catalog.find(**{field: value})] == [wanted]
        assert desk.catalog.find(**{field: value + "%"}) == []

    def test_find_by_content(self, desk: Desk) -> None:
        """A digest finds the documents that have it now, given as a digest or as its hex digits."""
        first, second = desk.put_one("one", "a"), desk.put_one("one", "b")
        desk.put_one("two", "c")
        assert [record.id for record in desk.catalog.find(sha256=sha("one"))] == [first, second]
        assert [record.id for record in desk.catalog.find(sha256=str(sha("one")))] == [first, second]
        with pytest.raises(InvalidInput):
            desk.catalog.find(sha256="e3b0")

    def test_find_needs_every_filter_to_match(self, desk: Desk) -> None:
        """Filters are joined by `and`; None is no filter."""
        wanted = desk.put_one("one", "a", resolver="pmc", run_id="r")
        desk.put_one("one", "b", resolver="pmc")
        assert [record.id for record in desk.catalog.find(resolver="pmc", run_id="r", tenant=None)] == [wanted]

    def test_find_comes_in_pages(self, desk: Desk) -> None:
        """Pages by id hold every document once; a limit of nothing is nothing."""
        ids = [desk.put_one("one", name) for name in "abcde"]
        found, after = [], 0
        while page := desk.catalog.find(limit=2, after_id=after):
            found += [record.id for record in page]
            after = found[-1]
        assert found == ids
        assert desk.catalog.find(limit=0) == []

    def test_find_refuses_what_it_does_not_know(self, desk: Desk) -> None:
        """An unknown filter or a negative limit is an error, never everything."""
        desk.put_one()
        with pytest.raises(InvalidInput, match="colour, size"):
            desk.catalog.find(size="1", colour="red")
        with pytest.raises(InvalidInput, match="negative"):
            desk.catalog.find(limit=-1)

    def test_digests_of_leaves_out_what_is_not_there(self, desk: Desk) -> None:
        """Ids give digests; unknown ones are left out, and no ids give nothing (hazard 49)."""
        first, second = desk.put_one("one", "a"), desk.put_one("two", "b")
        assert desk.catalog.digests_of([second, 999, first]) == {second: sha("two"), first: sha("one")}
        assert desk.catalog.digests_of([]) == {}

    # -- several at once ---------------------------------------------------------------------------------------

    def test_a_second_writer_waits(self, connect: Connect) -> None:
        """Who comes while somebody writes waits for the end, and then sees what was written."""
        desk, other = Desk(connect()), connect()
        document_id = desk.put_one()
        waiting, done = threading.Event(), threading.Event()
        digests: dict[int, Digest] = {}

        def touch() -> None:
            waiting.set()
            other.touch([document_id], as_of=NOW + DAY)
            digests.update(other.digests_of([document_id]))
            done.set()

        thread = threading.Thread(target=touch)
        with desk.catalog.hand(PLAN, as_of=NOW) as hand:
            thread.start()
            assert waiting.wait(60)
            assert not done.wait(0.2)
            assert hand.forget(document_id, sha("one")) == ""
        thread.join()
        assert (done.is_set(), digests) == (True, {})

    def test_who_cannot_wait_is_told_to_try_again(self, connect: Connect) -> None:
        """A writer that waited in vain gets `CatalogBusy`, changes nothing, and succeeds later; readers never wait."""
        desk, hasty = Desk(connect()), connect(busy_seconds=0)
        document_id = desk.put_one()
        with desk.catalog.hand(PLAN, as_of=NOW):
            assert hasty.totals()["documents"] == 1
            with pytest.raises(CatalogBusy, match="try again"):
                hasty.touch([document_id], as_of=NOW + DAY)
        record = hasty.document(document_id)
        assert record is not None
        assert record.seen_at == NOW
        hasty.touch([document_id], as_of=NOW + DAY)

    def test_a_failed_batch_leaves_the_catalog_usable(self, connect: Connect) -> None:
        """An error inside a transaction undoes all of it and gives the lock back."""
        desk = Desk(connect())
        document_id = desk.put_one()
        with pytest.raises(ZeroDivisionError), desk.catalog.hand(PLAN, as_of=NOW) as hand:
            hand.forget(document_id, sha("one"))
            raise ZeroDivisionError
        connect(busy_seconds=0).touch([document_id], as_of=NOW)
        assert desk.catalog.document(document_id) is not None

    @pytest.mark.parametrize("shared", [True, False], ids=["one connection", "two connections"])
    def test_two_threads_with_one_new_document(self, connect: Connect, shared: bool) -> None:
        """Of two threads that register the same documents, for each exactly one is told that it is new (hazard 23)."""
        first = connect()
        desks = [Desk(first), Desk(first if shared else connect())]
        barrier, outcomes = threading.Barrier(2), []

        def register(desk: Desk) -> None:
            for number in range(12):
                barrier.wait(60)
                outcomes.extend((number, one.outcome, one.new_blob) for one in desk.put(desk.entry(f"content {number}")))

        threads = [threading.Thread(target=register, args=[desk]) for desk in desks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 24
        assert sum(new_blob for _, _, new_blob in outcomes) == 12
        told = [[outcome for number, outcome, _ in outcomes if number == one] for one in range(12)]
        assert [sorted(pair) for pair in told] == [["new", "same"], *[["changed", "same"]] * 11]
        assert first.totals()["documents"] == 1

    def test_two_processes_register_the_same_documents(self, connect: Connect) -> None:
        """Two processes, one catalog: together they make each document once, and nobody is turned away."""
        desk = Desk(connect())
        command = [sys.executable, "-c", _REGISTER.format(url=desk.catalog.url, store_id=desk.store_id)]
        children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        new = [int(child.communicate()[0]) for child in children]
        assert [child.returncode for child in children] == [0, 0]
        assert sum(new) == desk.catalog.totals()["documents"] == 40
        assert desk.catalog.intents() == []


_REGISTER: Final = """
from pathlib import Path
from catalogkit.catalog import open_catalog
from tests.catalog.contract import NOW, Desk
desk = Desk(open_catalog({url!r}, base=Path("/"), as_of=NOW))
assert desk.store_id == {store_id}
print(sum(desk.put(desk.entry(f"content {{i}}", f"artifact {{i}}"))[0].outcome == "new" for i in range(40)))
"""
