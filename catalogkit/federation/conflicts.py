"""Conflicts: values that sites wrote without knowing of each other, as a frame, a report and a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from catalogkit.federation.merging import contested, shown
from catalogkit.model import from_us
from catalogkit.planners import reconcile
from catalogkit.planners.reconcile import CONFLICTS, ReconcilePolicy
from catalogkit.planning.common import head_of
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from catalogkit.catalog.federation import Contest
    from catalogkit.collection import Collection
    from catalogkit.federation.merging import Write
    from catalogkit.plan import Plan


@dataclass(frozen=True, slots=True)
class ConflictReport:
    """Documents of which sites said different things without knowing of each other.

    Attributes
    ----------
    frame : DataFrame
        A row for each value: the document, the ``group`` it belongs to (``content``, ``notes`` for metadata, ``life``),
        whether it is the one that is ``shown``, at which ``site`` and when it was written, what it is, and its content
        (of metadata and lives the one that is shown).
    """

    frame: pl.DataFrame

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return self.frame["document_id"].n_unique()

    def groups(self) -> dict[str, int]:
        """How many documents there are of each group."""
        counted = self.frame.group_by("group").agg(pl.col("document_id").n_unique()).sort("group")
        return dict(counted.iter_rows())

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"documents": self.documents, "groups": self.groups(), "values": self.frame.to_dicts()}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        return facts("Conflicts", {"documents": f"{self.documents:,}", **self.groups()})


def conflicts(collection: Collection) -> ConflictReport:
    """Every document that somebody should look at, with all values that are left of it.

    Examples
    --------
    >>> ck.conflicts(c).documents  # it is the only site
    0
    """
    names = {one.id: one.name for one in collection.catalog.sites()}
    rows = [row for contest in collection.catalog.contests() for row in _rows(contest, names)]
    return ConflictReport(pl.DataFrame(rows, schema=CONFLICTS, orient="row"))


@operation("plan", kind="reconcile")
def plan_reconcile(
    collection: Collection, policy: ReconcilePolicy | None = None, *, as_of: datetime | None = None
) -> Plan:
    """Plan to end conflicts: for each one value is written in the knowledge of all, by default the one that is shown.

    Bytes that only the others need are garbage then, and collected as any other.

    Examples
    --------
    >>> ck.plan_reconcile(c).units
    0
    """
    head = head_of(collection, "reconcile", as_of or collection.now())
    return reconcile.plan_reconcile(head, conflicts(collection).frame, policy or ReconcilePolicy())


def _rows(contest: Contest, names: dict[str, str]) -> Iterator[tuple[Any, ...]]:
    best = shown(contest.record)
    for group in contested(contest.record):
        for one in getattr(contest.record, group):
            content = one.value if group == "content" else best.content.value
            told = (names.get(one.site, one.site), from_us(one.at_us), _told(group, one, names))
            about = (content.sha256.hex(), content.size_bytes, content.media_type, f"{one.site}:{one.number}")
            yield (contest.document_id, *contest.identity, group, one == getattr(best, group), *told, *about)


def _told(group: str, one: Write[Any], names: dict[str, str]) -> str:
    """A value in words."""
    if group == "content":
        return str(one.value.sha256.hex()[:12])
    if group == "notes":
        return str(one.value.metadata)
    over = ", ".join(sorted({names.get(site, site) for site, _ in one.value.over}))
    return f"lives, though {over} deleted it" if over else "lives" if one.value.live else "deleted"


__all__ = ["ConflictReport", "ReconcilePolicy", "conflicts", "plan_reconcile"]
