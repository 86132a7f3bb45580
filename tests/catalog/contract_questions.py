"""The contract of questions, and of several connections that ask and write at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import pytest

from catalogkit.errors import CatalogBusy, InvalidInput
from catalogkit.model import Digest, Layout, Outcome, schema, to_us
from catalogkit.stats import dedup_totals
from tests.catalog.desk import DAY, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from catalogkit.catalog.contract import Catalog
    from tests.catalog.desk import Connect


class Questions:
    """Records, pages and frames."""

    @pytest.mark.parametrize(
        "table",
        [
            "documents",
            "document_versions",
            "blobs",
            "locations",
            "checks",
            "accesses",
            "roots",
            "sightings",
            "later_sightings",
        ],
    )
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

    def test_the_frame_of_versions_has_them_all(self, desk: Desk) -> None:
        """Current, changed and forgotten ones, by id and age, each with its content and its times."""
        desk.put_one("one", "a", resolver="core")
        desk.put_one("other", "a", resolver="core", as_of=NOW + DAY)
        gone = desk.put_one("one", "b")
        desk.catalog.touch([gone], as_of=NOW + DAY)
        assert desk.forget(gone, as_of=NOW + 2 * DAY) == ""
        frame = desk.catalog.frame("document_versions")
        assert dict(frame.schema) == schema("document_versions")
        names = ("artifact_id", "resolver", "sha256", "bytes", "operation", "valid_from", "valid_to", "seen_at")
        assert frame.select(names).rows() == [
            ("a", "core", str(sha("one")), 3, "ingest", NOW, NOW + DAY, NOW),
            ("a", "core", str(sha("other")), 5, "current", NOW + DAY, None, NOW + DAY),
            ("b", "", str(sha("one")), 3, "apply", NOW, NOW + 2 * DAY, NOW + DAY),
        ]

    def test_the_frame_of_sightings_says_when_each_document_was_last_seen(self, desk: Desk) -> None:
        """An id and a time for each live document, by id; a sighting moves the time and nothing else."""
        for name in "abc":
            desk.put_one(name, name)
        desk.forget(2)
        desk.catalog.touch([3], as_of=NOW + DAY)
        frame = desk.catalog.frame("sightings")
        assert (frame.rows(), dict(frame.schema)) == ([(1, NOW), (3, NOW + DAY)], schema("sightings"))
        assert desk.catalog.frame("documents").select("id", "seen_at").equals(frame)
        later = desk.catalog.frame("later_sightings")
        assert (later.rows(), dict(later.schema)) == ([(3, NOW + DAY)], schema("later_sightings"))

    def test_the_frame_of_accesses_is_the_log(self, desk: Desk) -> None:
        """Every document, time and kind, in that order."""
        desk.catalog.record_accesses([(7, NOW, "read", 5), (7, NOW - DAY, "open", None)])
        frame = desk.catalog.frame("accesses")
        assert dict(frame.schema) == schema("accesses")
        assert frame.rows() == [(7, NOW - DAY, "open", 1, None), (7, NOW, "read", 1, 5)]

    def test_the_frame_of_roots_has_ingests_in_flight(self, desk: Desk) -> None:
        """What is being taken in is needed, whoever else needs it."""
        desk.stage(desk.entry("one"), owner="somebody")
        assert desk.catalog.frame("roots").rows() == [(str(sha("one")), "ingest", "somebody")]

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

    def test_digests_are_found_by_how_they_begin(self, desk: Desk) -> None:
        """In order, no more than were asked for, whichever case the digits have; garbage, too."""
        for number in range(40):
            desk.put_one(f"content {number}", "a")
        digests = sorted(str(sha(f"content {number}")) for number in range(40))
        for prefix in ("0", "a", digests[0][:8].upper(), digests[0], "f" * 64):
            begun = [digest for digest in digests if digest.startswith(prefix.lower())]
            assert [str(one) for one in desk.catalog.digests_like(prefix, 40)] == begun
        assert len(desk.catalog.digests_like(digests[0][:1], 1)) == 1
        for no_prefix in ("", "x", "0" * 65, "%", "0a "):
            with pytest.raises(InvalidInput, match="hex"):
                desk.catalog.digests_like(no_prefix)


class Duplicates:
    """Contents with several locations."""

    def test_only_contents_with_several_locations_are_told(self, desk: Desk) -> None:
        """One location is none to share; of the others every one is told, with all that is decided by."""
        assert desk.catalog.duplicate_counts() == (0, 0)
        assert (desk.catalog.duplicate_copies(), desk.catalog.duplicate_contents()) == ([], [])
        desk.put(desk.entry("alone", "x"))
        first = desk.at("a.txt", "one", "a", resolver="pmc", inode=7, mtime_ns=5)
        second = desk.at("b.txt", "one", "b", resolver="core", inode=-8, mtime_ns=6)
        desk.put(first, second)
        desk.put(desk.at("b.txt", "one", "c", resolver="core", inode=-8, mtime_ns=6), as_of=NOW + DAY)
        desk.check(location=desk.catalog.locations_of(sha("one"))[1].id, outcome=Outcome.UNKNOWN)
        assert desk.catalog.duplicate_counts() == (1, 2)
        assert sorted(row[1:] for row in desk.catalog.duplicate_copies()) == [
            ("main", 1, str(sha("one")), "docs/a.txt", "policy", 7, 5, to_us(NOW), None, None),
            ("main", 1, str(sha("one")), "docs/b.txt", "policy", -8, 6, to_us(NOW), to_us(NOW), "unknown"),
        ]
        ((digest, size, media_type, documents, seen, resolvers, *last),) = desk.catalog.duplicate_contents()
        assert (digest, size, media_type, documents) == (str(sha("one")), 3, "text/plain", 3)
        assert (seen, set(json.loads(resolvers)), last) == (to_us(NOW + DAY), {"core", "pmc"}, ["a", "pmc", "default"])

    def test_what_sharing_spares_is_told_as_it_is_defined(self, desk: Desk) -> None:
        """Shared inodes, spare copies, copies elsewhere, missing ones, contents nobody refers to: as `stats` counts."""

        def told() -> tuple[float, float]:
            frames = (desk.catalog.frame(name) for name in ("documents", "locations"))
            return desk.catalog.dedup_ratio(), dedup_totals(*frames).dedup_ratio

        assert told() == (0.0, 0.0)
        place = desk.catalog.add_store("in-place", "reference", "token of in-place").id
        desk.put(desk.entry("alone", "x"), desk.entry("shared", "y1"), desk.entry("shared", "y2"))
        first, second = told()
        assert first == second == 6 / 17
        desk.put(desk.at("a", "inode", "i1", inode=7), desk.at("b", "inode", "i2", inode=7))
        desk.put(
            desk.at("c", "spare", "s1", inode=8), desk.at("d", "spare", "s2", inode=9), desk.at("e", "spare", "s3")
        )
        desk.put(desk.entry("else", "e1"))
        desk.put(desk.entry("else", "e2", store_id=place, key="tmp/else", layout=Layout.REFERENCE))
        desk.put(desk.entry("gone", "g1"), desk.entry("gone", "g2"))
        desk.check("gone", Outcome.MISSING)
        desk.forget(desk.put_one("forgotten", "f"))
        first, second = told()
        assert first == pytest.approx(second)
        assert 0 < first < 1

    def test_locations_in_several_stores_and_contents_without_documents(self, desk: Desk) -> None:
        """What lies in its owner's hands is told from what is ours; a content nobody refers to has no resolvers."""
        place = desk.catalog.add_store("in-place", "reference", "token of in-place").id
        document = desk.put_one("one", "a")
        elsewhere = desk.put(desk.entry("one", "b", store_id=place, key="tmp/one", layout=Layout.REFERENCE))
        assert {row[1:3] for row in desk.catalog.duplicate_copies()} == {("main", 1), ("in-place", 0)}
        desk.forget(document)
        desk.forget(elsewhere[0].document_id)
        assert desk.catalog.duplicate_contents() == [
            (str(sha("one")), 3, "text/plain", 0, None, None, None, None, None)
        ]


class Concurrency:
    """Threads, connections and processes."""

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
                outcomes.extend(
                    (number, one.outcome, one.new_blob) for one in desk.put(desk.entry(f"content {number}"))
                )

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
from tests.catalog.desk import NOW, Desk
desk = Desk(open_catalog({url!r}, base=Path("/"), as_of=NOW))
assert desk.store_id == {store_id}
print(sum(desk.put(desk.entry(f"content {{i}}", f"artifact {{i}}"))[0].outcome == "new" for i in range(40)))
"""
