"""The demo with two sites: a second office copies the collection, the connection is cut, and both go on."""

from __future__ import annotations

import fcntl
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalogkit.apply import apply
from catalogkit.collection import Collection, init, open_collection
from catalogkit.demo import demo_collection
from catalogkit.federation.syncing import sync
from catalogkit.ingest import register_or_get
from catalogkit.planning import plan_forget

if TYPE_CHECKING:
    from catalogkit.model import DocumentRecord

WHOLE: Final = "sites.txt"
# After all that the demo tells.
CUT: Final = datetime(2026, 6, 1, 8, tzinfo=UTC)


def demo_sites() -> Collection:
    """The collection of the first office, in conflict with the second's; kept beside the demo in the cache folder."""
    with demo_collection() as whole:
        home = whole.path
    path = home.parent / f"{home.name}-sites"
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two notebooks that start at once build it once
        if not (path / WHOLE).is_file():
            shutil.rmtree(path, ignore_errors=True)
            _tell(home, path)
            (path / WHOLE).touch()
    return open_collection(path / "berlin")


def _tell(home: Path, path: Path) -> None:
    path.mkdir()
    shutil.copytree(home, path / "berlin", ignore=shutil.ignore_patterns("mirror", "plans", "reports", "snapshots"))
    with open_collection(path / "berlin") as berlin, init(path / "lisbon") as lisbon:
        for one in (berlin, lisbon):
            one.catalog.begin_site(one.path.name, as_of=CUT)
        sync(berlin, lisbon, as_of=CUT)
        found = berlin.catalog.find(limit=8)
        for number, record in enumerate(found[:4]):
            # Both fetch it again, an hour apart, and get other bytes; of one both learn something else.
            _again(berlin, record, CUT + timedelta(hours=1 + number), number % 2 == 0)
            _again(lisbon, record, CUT + timedelta(hours=2 + number), number % 2 == 0)
        for record, other in ((found[4], lisbon), (found[5], lisbon)):
            number = other.catalog.find(artifact_id=record.artifact_id, resolver=record.resolver)[0].id
            apply(other, plan_forget(other, [number], as_of=CUT), unapproved=True, max_share=1.0, as_of=CUT)
        _again(berlin, found[4], CUT + timedelta(hours=9), False)
        berlin.catalog.place_hold("case 7", document_id=found[5].id, placed_by="legal", as_of=CUT)
        sync(berlin, lisbon, as_of=CUT + timedelta(days=1))


def _again(collection: Collection, record: DocumentRecord, at: datetime, noted: bool) -> None:
    """Take a new version of a document in."""
    draft = collection.path / "draft"
    text = f"{record.artifact_id}, as {collection.path.name} got it on {at:%Y-%m-%d %H:%M}\n"
    draft.write_text(text, encoding="utf-8")
    names = ("artifact_id", "source_url", "resolver", "variant", "tenant")
    metadata = {"office": collection.path.name} if noted else dict(record.metadata)
    register_or_get(
        collection,
        draft,
        **{name: getattr(record, name) for name in names},
        mode="copy",
        metadata=metadata,
        fetched_at=at,
        as_of=at,
    )
    os.unlink(draft)


__all__ = ["demo_sites"]
