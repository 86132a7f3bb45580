"""Snapshots: moments with a name, what they keep, and what is told of them; the past of single documents."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

import catalogkit as ck
from catalogkit.errors import InvalidInput
from tests.conftest import NOON
from tests.plans.scene import collect, forget, path_of, put, state_of

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from tests.conftest import Clock

DAY = timedelta(days=1)


def test_a_snapshot_says_what_there_was(collection: Collection) -> None:
    """Time, number of documents, bytes of their contents; equal documents give equal digests."""
    put(collection, "a", b"one")
    put(collection, "b", b"one")
    first = ck.take_snapshot(collection, "first")
    again = ck.take_snapshot(collection, "again")
    assert (first.timestamp, first.record_count, first.storage_size, first.logical_bytes) == (NOON, 2, 3, 6)
    assert (first.label, first.blobs, first.protected) == ("first", 1, True)
    assert first.digest == again.digest
    put(collection, "c", b"three")
    assert ck.take_snapshot(collection, "third").digest != first.digest
    assert [one.label for one in ck.list_snapshots(collection)] == ["first", "again", "third"]


def test_documents_of_a_snapshot_stay_readable(collection: Collection, clock: Clock) -> None:
    """Forgotten documents of a kept snapshot survive garbage collection; once it is dropped they go."""
    record = put(collection, "a", b"one")
    other = put(collection, "b", b"two")
    snapshot = ck.take_snapshot(collection, "may")
    forget(collection, record, other)
    changed = put(collection, "b", b"new")
    collect(collection)
    for document in (record, other):
        then = snapshot.query_at(document.id)
        assert then is not None
        assert then.sha256 == document.sha256
    assert path_of(collection, b"one").read_bytes() == b"one"
    assert any("snapshot may keeps it" in line for line in ck.why(collection, str(record.sha256)))
    assert snapshot.query_at(changed.id) is None
    assert snapshot.documents()["id"].to_list() == [record.id, other.id]
    ck.drop_snapshot(collection, "may")
    collect(collection)
    assert state_of(collection, b"one") == "purged"
    assert not any("snapshot" in line for line in ck.why(collection, str(record.sha256)))


def test_an_expiring_snapshot_ends_by_itself(collection: Collection, clock: Clock) -> None:
    """After its end it is not listed, keeps nothing, and its label is free."""
    record = put(collection, "a", b"one")
    ck.take_snapshot(collection, "week", expires_at=NOON + 7 * DAY)
    forget(collection, record)
    clock.now = NOON + 7 * DAY
    assert ck.list_snapshots(collection) == []
    collect(collection)
    assert state_of(collection, b"one") == "purged"
    assert not ck.take_snapshot(collection, "week", expires_at=clock() + DAY).protected


def test_what_differs_between_snapshots(collection: Collection) -> None:
    """From the earlier to the later, or to now; the other way round is refused, and so are unknown names."""
    record = put(collection, "a", b"one")
    ck.take_snapshot(collection, "first")
    put(collection, "b", b"two")
    ck.take_snapshot(collection, "second")
    forget(collection, record)
    between = ck.diff_snapshots(collection, "first", "second")
    assert between["difference"].to_list() == ["added"]
    assert ck.diff_snapshots(collection, "first")["difference"].to_list() == ["forgotten", "added"]
    with pytest.raises(InvalidInput, match="earlier one first"):
        ck.diff_snapshots(collection, "second", "first")
    with pytest.raises(InvalidInput, match="no snapshot 'third'"):
        ck.diff_snapshots(collection, "third")


def test_a_label_is_needed_and_used_once(collection: Collection) -> None:
    """An empty or a taken label is refused, and changes nothing."""
    ck.take_snapshot(collection, "may")
    for label in ("may", "", " "):
        with pytest.raises(InvalidInput):
            ck.take_snapshot(collection, label)
    assert len(ck.list_snapshots(collection)) == 1


def test_the_door_with_history(collection: Collection, clock: Clock) -> None:
    """`CatalogWithHistory` opens a collection and has the methods of the sketch."""
    record = put(collection, "a", b"one")
    with ck.CatalogWithHistory(collection.path) as catalog:
        snapshot = catalog.take_snapshot("may")
        assert isinstance(snapshot, ck.CatalogSnapshot)
        assert [one.label for one in catalog.list_snapshots()] == ["may"]
        put(collection, "a", b"new")
        clock.advance(days=1)
        forget(collection, record)
        then = catalog.query_historical(record.id, NOON)
        assert then is not None
        assert catalog.query_historical(record.id, NOON - DAY) is None
        assert catalog.query_at(record.id, clock.now.date()) is None
        assert catalog.query_at(record.id, NOON.date()) is not None
        assert catalog.diff("may")["difference"].to_list() == ["forgotten"]
        assert catalog.history(record.id)["what"].to_list() == ["arrived", "changed", "forgotten"]


def test_frames_as_of_a_time(collection: Collection, clock: Clock) -> None:
    """`frame("documents", as_of=when)` is the whole table as it was; of other tables there is no past."""
    record = put(collection, "a", b"one")
    clock.advance(days=1)
    forget(collection, record)
    assert collection.frame("documents", as_of=NOON)["id"].to_list() == [record.id]
    assert collection.frame("documents", as_of=clock()).height == 0
    with pytest.raises(InvalidInput, match="only documents"):
        collection.frame("blobs", as_of=NOON)


@pytest.mark.parametrize("moment", ["2026-05-01", NOON.date(), NOON.replace(tzinfo=None)])
def test_what_is_no_time_cannot_be_asked_for(collection: Collection, moment: object) -> None:
    """A text, a day, a time without a zone: each is one clear error."""
    with pytest.raises(InvalidInput, match=r"is no time|has no time zone"):
        collection.frame("documents", as_of=moment)  # type: ignore[arg-type]


def test_a_snapshot_shows_itself(collection: Collection) -> None:
    """In a notebook it is a title and a few facts."""
    shown = ck.take_snapshot(collection, "may")._repr_mimebundle_()
    assert "Snapshot may" in shown["text/plain"]
    assert "record count" in shown["text/plain"]
