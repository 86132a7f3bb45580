"""Sites that talk to each other, and what must hold of all of them."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

from catalogkit.errors import StoreError
from catalogkit.federation.merging import contested, shown
from catalogkit.federation.syncing import SyncReport, sync
from catalogkit.planning import plan_forget
from tests.conftest import Clock
from tests.plans.scene import put, run

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.federation.merging import Record

__all__ = ["add", "agree", "change", "document", "drop", "meet", "texts"]


def identity(name: str) -> tuple[str, str, str, str, str]:
    return ("default", name, f"https://example.org/{name}", "", "")


def add(collection: Collection, name: str, content: str, **more: Any) -> Any:
    """Take a document in, or a new version of it; the clock goes on."""
    record = put(collection, name, content.encode(), **more)
    assert isinstance(collection.clock, Clock)
    collection.clock.advance(seconds=1)
    return record


change = add


def document(collection: Collection, name: str) -> Any:
    return next(iter(collection.catalog.find(artifact_id=name)), None)


def drop(collection: Collection, name: str) -> None:
    report = run(collection, plan_forget(collection, [document(collection, name).id]))
    assert report.done == 1


def meet(*collections: Collection) -> None:
    """Make each a site, named by its folder."""
    for one in collections:
        one.catalog.begin_site(one.path.name, as_of=one.now())


def texts(collection: Collection) -> dict[str, str]:
    """The first digits of what each document is."""
    return {one.artifact_id: str(one.sha256)[:8] for one in collection.catalog.find(limit=10_000)}


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def record(collection: Collection, name: str) -> Record:
    found = collection.catalog.record_of(identity(name))
    assert found is not None
    return found


def agree(*collections: Collection) -> None:
    """All sites say the same of every document, and list the same conflicts."""
    assert len({one.catalog.content_digest() for one in collections}) == 1
    first = collections[0].catalog.contests()
    for one in collections:
        assert [(c.identity, c.record.context, c.record.content, c.record.notes, c.record.life) for c in first] == [
            (c.identity, c.record.context, c.record.content, c.record.notes, c.record.life)
            for c in one.catalog.contests()
        ]
        for contest in one.catalog.contests():
            assert contested(contest.record)
            assert shown(contest.record).live
            digests = {write.value.sha256 for write in contest.record.content}
            frame = one.catalog.frame("blobs")
            assert {d.hex() for d in digests} <= set(frame.filter(frame["state"] == "live")["sha256"])
        assert one.catalog.integrity() == []


def lost(*collections: Collection) -> list[str]:
    """Documents of any site of which no site has right bytes, unless they were evicted; and live blobs likewise."""
    there: set[str] = set()
    for one in collections:
        for sha256, store, key in one.catalog.frame("locations").select("sha256", "store", "key").iter_rows():
            with contextlib.suppress(StoreError), one.stores[one.store_id(store)].open(key) as file:
                if hashlib.sha256(file.read()).hexdigest() == sha256:
                    there.add(sha256)
    needed = set()
    for one in collections:
        blobs = one.catalog.frame("blobs")
        needed |= set(blobs.filter((blobs["state"] == "live") & (blobs["refs"] > 0))["sha256"])
        roots = one.catalog.frame("roots")
        needed |= set(roots.filter(roots["kind"] == "conflict")["sha256"])
    return sorted(needed - there)


def all_agree(*collections: Collection) -> list[SyncReport]:
    """Let every two of them talk until all agree."""
    reports = []
    for _ in range(2):
        for number, one in enumerate(collections):
            reports += [sync(one, other) for other in collections[number + 1 :]]
    agree(*collections)
    return reports
