"""Syncs by change sets in a shared folder or bucket, where sites cannot reach each other's catalog.

Every site writes below its own id, one change set after the other, and reads what the others wrote. Nothing there is
changed once it is written, so nobody has to wait for anybody; a site that comes late reads all of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from catalogkit.backups.target import target_of
from catalogkit.federation.changes import packed, unpacked
from catalogkit.federation.syncing import PART, SyncReport, counted, site_of
from catalogkit.signals import operation

if TYPE_CHECKING:
    import os
    from datetime import datetime

    from catalogkit.backups.target import Target
    from catalogkit.collection import Collection

# What lies beside these, such as the copies that file shares make of what they cannot settle, is nobody's.
_SITE: Final = re.compile(r"[0-9a-f]{16}")
_SET: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.changes")


@operation("sync")
def exchange(
    collection: Collection,
    place: str | os.PathLike[str],
    *,
    part: int = PART,
    as_of: datetime | None = None,
) -> SyncReport:
    """Take in what other sites left at a place, and leave there what changed here.

    Parameters
    ----------
    place
        A folder, such as one of a file share, or ``s3://bucket/prefix?...``: a path seen from the collection's folder.

    Raises
    ------
    InvalidInput
        If this is no site yet, or a change set is damaged; nothing of that one is taken in.
    """
    when, catalog = as_of or collection.now(), collection.catalog
    mine = site_of(collection)
    target = target_of(place if isinstance(place, str) and "://" in place else collection.path / place)
    others = [name for name in target.tops() if _SITE.fullmatch(name) and name != mine.id]
    report = SyncReport(target.describe())
    for other in others:
        for since, upto, key in _sets(target, other):
            heard = {one.id: one.heard.seq for one in catalog.sites()}.get(other, 0)
            if upto > heard >= since:
                data = target.get(key)
                taken = catalog.take_changes(unpacked(data), as_of=when)
                taken.bytes = len(data)
                report.received.add(taken)
    written = _sets(target, mine.id)
    last, marks = 0, None
    if written:
        _, last, key = written[-1]
        marks = unpacked(target.get(key)).marks
    while True:
        changes = catalog.changes_since(last, marks=marks, limit=part, skip=others, as_of=when)
        if changes.upto == last:
            break
        key = f"{mine.id}/{changes.since:016x}-{changes.upto:016x}.changes"
        report.written += target.put(key, [packed(changes)])
        target.settle(mine.id)
        if changes.complete:
            break
        last, marks = changes.upto, marks or changes.marks
    return counted(collection, report)


def _sets(target: Target, site: str) -> list[tuple[int, int, str]]:
    """The change sets of a site, in order: from which change, up to which, and where."""
    found = [(key, name) for key in target.keys(site) if (name := _SET.fullmatch(key.removeprefix(f"{site}/")))]
    return sorted((int(name[1], 16), int(name[2], 16), key) for key, name in found)


__all__ = ["exchange"]
