"""The contract of taking documents in: identity, intents, commits, remembered sources."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog.contract import SourceStat
from catalogkit.errors import CatalogError, ConstraintError, InvalidInput, StoreMismatch
from catalogkit.layouts import cas_key
from catalogkit.model import Arrival, Digest, Layout, Outcome
from tests.catalog.desk import DAY, HOUR, NOW, sha

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.catalog.contract import Catalog
    from tests.catalog.desk import Connect, Desk


class Stores:
    """A catalog is one, and knows its stores."""

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


class Intake:
    """Intents before bytes, facts after them, all or nothing."""

    def test_what_is_staged_can_be_completed_by_somebody_else(self, desk: Desk, connect: Connect) -> None:
        """An intent gives back the registration it was made from, whatever its text, times and metadata."""
        zone = timezone(timedelta(hours=5, minutes=30))
        entries = [
            desk.entry(
                "eins",
                "doi:10.1000/ünï-码-🙂",
                source_url="https://example.org/ä?q=%00#🙂",
                resolver="unpaywall", variant="v\n2", tenant="täam", run_id="nächtlich",
                content_type='text/plain; x="é"', fetched_at=datetime(2026, 3, 1, 23, 59, 59, 123456, zone),
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
        desk.put(desk.at("a/Paper.pdf", "one", "a"), desk.at("known.pdf", "known", "known"))
        for content in ("never seen", "known"):
            for key in ("a/Paper.pdf", "A/PAPER.pdf"):
                with pytest.raises(ConstraintError):
                    desk.put(desk.at(key, content, "b", inode=5))
        assert desk.catalog.totals()["documents"] == 2
        assert [(copy.key, copy.inode) for copy in desk.catalog.locations_of(sha("one"))] == [
            ("docs/a/Paper.pdf", None)
        ]

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

    def test_commit_after_the_intent_was_dropped(self, desk: Desk) -> None:
        """An ingest that was given up for dead is not brought back: its bytes may be gone; nothing of it happens."""
        entries = [desk.entry("one", "a"), desk.entry("two", "b")]
        intents = desk.stage(*entries)
        desk.catalog.abandon([intents[0]])
        assert desk.blob("one") is None
        with pytest.raises(ConstraintError, match="the ingest of a was taken for dead"):
            desk.catalog.commit(list(zip(intents, entries, strict=True)), as_of=NOW)
        assert desk.catalog.frame("documents").height == desk.catalog.frame("locations").height == 0
        assert [intent.id for intent in desk.catalog.intents()] == [intents[1]]
        (done,) = desk.catalog.commit([(intents[1], entries[1])], as_of=NOW)
        assert (done.outcome, desk.state("two")) == ("new", "live")

    def test_commit_after_somebody_else_completed_it(self, desk: Desk) -> None:
        """The second of two who complete an ingest finds it done: nothing changes, and nothing is new."""
        entries = [desk.entry("one", "a", inode=1), desk.entry("two", "b")]
        staged = list(zip(desk.stage(*entries), entries, strict=True))
        (first,) = desk.catalog.commit(staged[:1], as_of=NOW)
        before = desk.catalog.locations_of(sha("one"))
        late = replace(entries[0], inode=2)
        done = desk.catalog.commit([(staged[0][0], late), staged[1]], as_of=NOW + DAY)
        assert [(one.document_id, one.outcome, one.new_blob) for one in done] == [
            (first.document_id, "same", False),
            (first.document_id + 1, "new", True),
        ]
        assert desk.catalog.locations_of(sha("one")) == before
        assert desk.catalog.versions(first.document_id).height == 1

    @pytest.mark.parametrize("completed", [True, False])
    def test_what_happened_meanwhile_wins(self, desk: Desk, completed: bool) -> None:
        """A version that came after an ingest was ended by others is not replaced by it, however late it commits."""
        entry = desk.entry("first", "a")
        staged = list(zip(desk.stage(entry), [entry], strict=True))
        if completed:
            desk.catalog.commit(staged, as_of=NOW)
        else:
            desk.catalog.abandon([staged[0][0]])
        number = desk.put_one("second", "a", as_of=NOW + DAY)
        with pytest.raises(ConstraintError, match="run it again"):
            desk.catalog.commit(staged, as_of=NOW + 2 * DAY)
        assert desk.catalog.document(number).sha256 == sha("second")
        assert desk.catalog.versions(number).height == 1 + completed

    def test_what_began_first_does_not_come_last(self, desk: Desk) -> None:
        """Completed late, an ingest gives an older version where another came since it began, and nobody says when."""
        entry = desk.entry("first", "a", in_order=False)
        (intent,) = desk.stage(entry)
        number = desk.put_one("second", "a", as_of=NOW + HOUR)
        (done,) = desk.catalog.commit([(intent, entry)], as_of=NOW + DAY)
        assert (done.outcome, desk.catalog.document(number).sha256) == ("older", sha("second"))
        assert desk.catalog.versions(number)["operation"].to_list() == ["older", "current"]
        later = desk.entry("third", "a", in_order=False)
        (intent,) = desk.stage(later, as_of=NOW + DAY)
        (done,) = desk.catalog.commit([(intent, later)], as_of=NOW + DAY)
        assert (done.outcome, desk.catalog.document(number).sha256) == ("changed", sha("third"))

    @pytest.mark.parametrize("there", ["before", "since", "again"])
    def test_no_clock_says_which_version_is_newer(self, desk: Desk, there: str) -> None:
        """An ingest that began first gives an older version, also where all that came since has an earlier time."""
        if there != "since":
            number = desk.put_one("zero", "a", as_of=NOW + 2 * DAY)
        entry = desk.entry("first", "a", in_order=False)
        (intent,) = desk.stage(entry, as_of=NOW + 3 * DAY)
        number = desk.put_one("second", "a", as_of=NOW - DAY)
        if there == "again":
            number = desk.put_one("zero", "a", as_of=NOW - 2 * DAY)
        (done,) = desk.catalog.commit([(intent, entry)], as_of=NOW + 4 * DAY, late=True)
        wanted = sha("zero" if there == "again" else "second")
        assert (done.outcome, desk.catalog.document(number).sha256) == ("older", wanted)
        # What began last comes last, whatever time it says.
        entry = desk.entry("third", "a", in_order=False)
        (intent,) = desk.stage(entry, as_of=NOW - 9 * DAY)
        (done,) = desk.catalog.commit([(intent, entry)], as_of=NOW - 9 * DAY, late=True)
        assert (done.outcome, desk.catalog.document(number).sha256) == ("changed", sha("third"))

    def test_an_ingest_does_not_overtake_itself(self, desk: Desk) -> None:
        """Two versions of one document in a batch: the later in the batch is the newer one."""
        number = desk.put_one("zero", "a")
        entries = [desk.entry(content, "a", in_order=False) for content in ("first", "second")]
        staged = list(zip(desk.stage(*entries), entries, strict=True))
        done = desk.catalog.commit(staged, as_of=NOW + DAY)
        assert [one.outcome for one in done] == ["changed", "changed"]
        assert desk.catalog.document(number).sha256 == sha("second")

    @pytest.mark.parametrize("late", [True, False])
    def test_what_was_forgotten_meanwhile(self, desk: Desk, late: bool) -> None:
        """Completed by others, an ingest brings no document back that was forgotten since it began; its own may."""
        number = desk.put_one("first", "a")
        desk.put_one("other", "b")
        entries = [desk.entry("second", "a"), desk.entry("third", "c")]
        staged = list(zip(desk.stage(*entries, as_of=NOW + DAY), entries, strict=True))
        assert desk.forget(number) == "", "by a clock that is a day behind"
        if not late:
            assert [one.outcome for one in desk.catalog.commit(staged, as_of=NOW + DAY)] == ["new", "new"]
            return
        with pytest.raises(ConstraintError, match="the document a was forgotten after its ingest had begun"):
            desk.catalog.commit(staged, as_of=NOW + DAY, late=True)
        assert [intent.id for intent in desk.catalog.intents()] == [intent for intent, _ in staged]
        (done,) = desk.catalog.commit(staged[1:], as_of=NOW + DAY, late=True)
        assert done.outcome == "new"
        desk.catalog.abandon([staged[0][0]])
        assert desk.blob("second") is None
        assert desk.catalog.frame("documents")["artifact_id"].to_list() == ["b", "c"]

    @pytest.mark.parametrize("back", ["begun anew", "there again"])
    def test_what_was_forgotten_before_comes_late_all_the_same(self, desk: Desk, back: str) -> None:
        """An ingest that began after its document was forgotten is completed; one whose document came back is older."""
        number = desk.put_one("first", "a")
        entry = desk.entry("second", "a", in_order=False)
        if back == "begun anew":
            desk.forget(number)
            (intent,) = desk.stage(entry)
        else:
            (intent,) = desk.stage(entry, as_of=NOW + DAY)
            desk.forget(number)
            desk.put_one("third", "a", as_of=NOW + HOUR)
        (done,) = desk.catalog.commit([(intent, entry)], as_of=NOW + DAY, late=True)
        assert done.outcome == {"begun anew": "new", "there again": "older"}[back]
        assert desk.catalog.intents() == []


class Sources:
    """Files that need not be read again."""

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
