"""Evictions: the last copy goes only on purpose, of what can be fetched again, and the catalog says so."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest

from catalogkit.apply import apply
from catalogkit.audit_codes import Code
from catalogkit.errors import InvalidInput, StoreUnreachable
from catalogkit.planners.evict import COPIES, EvictionPolicy, plan_evict
from catalogkit.planning import plan_undo
from catalogkit.planning.common import head_of
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.plans.scene import broken, collect, digest_of, files, forget, put, run, state_of
from tests.plans.steps import seen, step, steps

if TYPE_CHECKING:
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.model import Digest
    from catalogkit.plan import Plan


def evicting(collection: Collection, *contents: bytes) -> Plan:
    """Evict these contents, each with all its copies in a unit."""
    return steps(collection, *(unit(collection, content) for content in contents))


def unit(collection: Collection, content: bytes) -> list[dict[str, object]]:
    copies = [one for one in collection.catalog.locations_of(digest_of(content)) if one.store == "main"]
    drops = [step(collection, "drop", content, one.key, **seen(collection, one.key), last_copy=True) for one in copies]
    return [step(collection, "evict", content, copies[0].key, last_copy=True), *drops]


def bring(contents: dict[str, bytes]) -> object:
    """A fetcher that has these contents, by the last part of their URL."""

    def fetch(url: str, target: str, digest: Digest, size: int) -> None:
        content = contents[url.rpartition("/")[2]]
        assert size == len(content)
        with open(target, "wb") as file:
            file.write(content)

    return fetch


def test_the_document_stays_and_says_that_it_went(collection: Collection) -> None:
    """The bytes are gone, the document and its history are there, and nobody takes it for a loss."""
    record, stays = put(collection, "a", b"one"), put(collection, "b", b"two")
    plan = evicting(collection, b"one")
    report = run(collection, plan)
    assert (report.done, report.removed, report.bytes_freed) == (2, 1, 3)
    assert collection.catalog.document(record.id) == record and state_of(collection, b"one") == "live"
    (eviction,) = collection.catalog.evictions()
    assert eviction.sha256 == record.sha256 and eviction.plan_id == plan.id
    assert collection.read(stays.id) == b"two"
    with pytest.raises(StoreUnreachable, match=f"evicted .* by plan {plan.id[:12]}"):
        collection.read(record.id)
    when = collection.now()
    asked = {"as_of": when, "future": when, "stale": timedelta(0), "limit": 9}
    assert collection.catalog.faults(Code.NO_LOCATION, **asked) == []
    assert collection.catalog.integrity() == []


def test_it_comes_back_from_where_it_came(collection: Collection) -> None:
    """Undoing fetches it; what was fetched hashes right, or nothing comes back."""
    record = put(collection, "a", b"one")
    plan = evicting(collection, b"one")
    run(collection, plan)
    back = plan_undo(collection, plan.id)
    assert back.frame["kind"].to_list() == ["fetch"] and back.head.complete == ""
    assert run(collection, back, fetcher=bring({"a": b"two"})).done == 0
    assert collection.catalog.evictions()[0].returned_at is None
    again = plan_undo(collection, plan.id)
    assert run(collection, again, fetcher=bring({"a": b"one"})).done == 1
    assert collection.read(record.id) == b"one" and collection.catalog.evictions()[0].returned_at is not None
    assert not list(broken(collection))


def test_taken_in_again_it_is_there_again(collection: Collection, source: Path) -> None:
    """A downloader that brings the same bytes ends the eviction, and the last copy is guarded as before."""
    put(collection, "a", b"one")
    run(collection, evicting(collection, b"one"))
    record = put(collection, "a", b"one")
    assert collection.read(record.id) == b"one" and not list(broken(collection))
    (key,) = files(collection)
    refused = run(collection, steps(collection, step(collection, "drop", b"one", key, **seen(collection, key))))
    assert (refused.done, refused.skipped) == (0, 1) and list(files(collection)) == [key]


def test_what_must_stay_stays_with_all_its_copies(collection: Collection) -> None:
    """A hold, a document without an address: the note is refused, and the drops of its unit with it."""
    put(collection, "a", b"one")
    put(collection, "b", b"two", source_url="file:///b")
    plan = evicting(collection, b"one", b"two")
    collection.catalog.place_hold("law", digest=digest_of(b"one"), as_of=collection.now())
    report = run(collection, plan)
    assert report.done == 0 and report.skipped == 4
    assert {"a hold keeps it", "one of its documents has no address to fetch it from again"} <= set(report.why)
    assert collection.catalog.evictions() == [] and not list(broken(collection))


def test_a_drop_alone_never_takes_a_last_copy(collection: Collection) -> None:
    """What another plan noted, and did not carry out, gives nobody leave to drop."""
    put(collection, "a", b"one")
    note, drop = unit(collection, b"one")
    run(collection, steps(collection, note))
    assert run(collection, steps(collection, drop)).done == 0
    assert not list(broken(collection))


def test_a_hold_between_note_and_drop_still_holds(collection: Collection) -> None:
    """Whether it may go is asked again when its copies go, whatever was true when it was noted."""
    record = put(collection, "a", b"one")
    plan = evicting(collection, b"one")
    apply(collection, plan, unapproved=True, max_share=1.0, batch=1, stop=_After(1))
    assert collection.catalog.evictions() and collection.read(record.id) == b"one"
    collection.catalog.place_hold("law", document_id=record.id, as_of=collection.now())
    assert run(collection, plan).removed == 0
    assert collection.read(record.id) == b"one"


class _After(threading.Event):
    """Set after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_file_that_changed_since_is_left(collection: Collection) -> None:
    """The executor removes what was planned and nothing else; the copy that is proved good ends the eviction."""
    put(collection, "a", b"one")
    plan = evicting(collection, b"one")
    (key,) = files(collection)
    path = collection.store.path(key)
    os.utime(path, ns=(1, 1))
    report = run(collection, plan)
    assert report.removed == 0 and os.path.isfile(path)
    verify(collection, executor=Inline())
    assert collection.catalog.evictions()[0].returned_at is not None


def test_forgotten_afterwards_it_ends_as_any_garbage(collection: Collection) -> None:
    """An evicted content that nobody refers to any more is condemned and ended without a file to remove."""
    record, _ = put(collection, "a", b"one"), put(collection, "b", b"another")
    run(collection, evicting(collection, b"one"))
    forget(collection, record)
    collect(collection)
    assert state_of(collection, b"one") == "purged" and not list(broken(collection))


def test_applied_again_it_goes_on_where_it_was_cut(collection: Collection) -> None:
    """With the note committed and the drop not, the bytes are there and readable, and the next run removes them."""
    record = put(collection, "a", b"one")
    plan = evicting(collection, b"one")
    remove = collection.store.remove
    collection.store.remove = None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError):
        apply(collection, plan, unapproved=True, max_share=1.0)
    collection.store.remove = remove  # type: ignore[method-assign]
    assert collection.catalog.evictions() and collection.read(record.id) == b"one"
    assert run(collection, plan).removed == 1 and files(collection) == {}


# -- the planner -------------------------------------------------------------------------------------------------------


def copies(*rows: tuple[int, str, str, bool, bool]) -> pl.DataFrame:
    """Copies as the gatherer has them: rank, letter of the content, store, ours, healthy."""
    told = [
        {"rank": rank, "sha256": letter * 64, "bytes": 10, "store": store, "key": f"{letter}{number}", "inode": number,
         "mtime_ns": 1, "users": 1, "ours": ours, "healthy": healthy, "document_id": rank}
        for number, (rank, letter, store, ours, healthy) in enumerate(rows)
    ]  # fmt: skip
    return pl.DataFrame([{name: row.get(name) for name in COPIES} for row in told], schema=COPIES, orient="row")


def test_last_copies_go_only_where_the_policy_says_so(collection: Collection) -> None:
    """Without that, what has a healthy copy elsewhere is dropped here, and the rest is counted as left out."""
    head = head_of(collection, "evict", collection.now())
    given = copies((1, "b", "main", True, True), (0, "a", "main", True, True), (0, "a", "in-place", False, True),
                   (2, "c", "main", True, True), (2, "c", "in-place", False, False))  # fmt: skip
    careful = plan_evict(head, given, "rate", EvictionPolicy())
    assert careful.frame.select("kind", "reason", "last_copy").rows() == [("drop", "elsewhere", False)]
    assert careful.head.complete.startswith("2 contents stay")
    bold = plan_evict(head, given, "rate", EvictionPolicy(last_copies=True))
    told = bold.frame.select("unit", "step", "kind", "sha256", "last_copy").rows()
    assert told == [
        (0, 0, "drop", "a" * 64, False),
        (1, 0, "evict", "b" * 64, True), (1, 1, "drop", "b" * 64, True),
        (2, 0, "evict", "c" * 64, True), (2, 1, "drop", "c" * 64, True),
    ]  # fmt: skip
    assert bold.bytes_freed() == 30 and bold.head.complete == "" and bold.summary()["last_copies"] == 2
    assert bold.frame.filter(pl.col("kind") == "evict")["bytes"].sum() == 0


def test_nothing_to_let_go_is_an_empty_plan(collection: Collection) -> None:
    """The frame has its columns all the same."""
    plan = plan_evict(head_of(collection, "evict", collection.now()), copies(), "rate", EvictionPolicy())
    assert plan.units == 0 and plan.head.complete == ""


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    """A policy is checked when it is made."""
    with pytest.raises(InvalidInput, match="share"):
        EvictionPolicy(max_share=share)
