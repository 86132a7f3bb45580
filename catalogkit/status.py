"""`status`: how much there is, how much was verified recently, and what waits for a person."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.collection import Collection

__all__ = ["Kept", "Status", "status"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot or a backup, and the bytes that it holds: all of them, and those that nothing else needs."""

    kind: str
    name: str
    held_bytes: int
    exclusive_bytes: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Status:
    """Where a collection stands.

    Attributes
    ----------
    path : str
        Its folder.
    as_of : datetime or None
        As of when a replica answers; None for a catalog that is written to.
    documents, blobs, locations : int
        How many documents, contents and copies there are.
    logical_bytes, physical_bytes : int
        Their sizes: of every document by itself, and of what is stored.
    verified_share : float or None
        The share of stored bytes that was found good within `verified_days`; None where nothing is stored.
    never_checked, bad_copies : int
        Copies nobody has looked at; copies whose last check found them bad.
    oldest_check : datetime or None
        The check that is longest ago of those that are the last of their copy.
    in_flight : int
        Ingests under way, or that died and are completed later.
    plans_waiting : int
        Plans that are saved and were not begun, expired ones too.
    plans_unfinished : int
        Plans that were begun, and neither ended nor were given up.
    last_backup, last_proved_backup : datetime or None
        When the newest backup was made, and the newest that a drill brought back; None also where none are configured.
    kept : tuple of Kept
        What snapshots and backups hold.

    Examples
    --------
    >>> ck.status(c).verified_share
    0.0
    """

    path: str
    as_of: datetime | None
    documents: int
    blobs: int
    locations: int
    logical_bytes: int
    physical_bytes: int
    verified_share: float | None
    verified_days: int
    never_checked: int
    oldest_check: datetime | None
    bad_copies: int
    in_flight: int
    plans_waiting: int
    plans_unfinished: int
    last_backup: datetime | None
    last_proved_backup: datetime | None
    kept: tuple[Kept, ...]

    def to_dict(self) -> dict[str, Any]:
        """The status as plain data; what `kept` holds, too."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return told | {"kept": [{one.name: getattr(kept, one.name) for one in fields(kept)} for kept in self.kept]}

    def in_words(self) -> dict[str, object]:
        """The status for people: without what is not there."""
        share = "nothing is stored" if self.verified_share is None else f"{self.verified_share:.1%} of bytes"
        told = self.to_dict() | {"verified_share": share.replace("%", " %")}
        optional = ("as_of", "last_backup", "last_proved_backup", "kept")
        return {name: value for name, value in told.items() if name not in optional or (value and name != "kept")}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        only = {f"only {one.kind} {one.name} keeps": f"{one.exclusive_bytes:,} bytes" for one in self.kept}
        return facts("Status", self.in_words() | only)


def status(collection: Collection, *, days: int = 30, as_of: datetime | None = None) -> Status:
    """What a collection holds, counted by its catalog; no stored bytes are read.

    Parameters
    ----------
    days
        What counts as verified lately.

    Examples
    --------
    >>> told = ck.status(c)
    >>> told.documents, told.plans_waiting
    (3, 0)
    """
    now, catalog = as_of or collection.now(), collection.catalog
    coverage = catalog.coverage(as_of=now, days=days)
    totals, held = catalog.totals(), catalog.held_bytes(as_of=now)
    last, proved = _backups(collection)
    begun = catalog.plans()
    # A plan's folder ends with how its id begins: nothing is loaded, so that whoever only asks waits for no library.
    saved = {about.parent.name.rpartition("-")[2] for about in (collection.path / "plans").glob("*/plan.json")}
    return Status(
        path=str(collection.path),
        as_of=catalog.current_to(),
        **totals,
        verified_share=coverage.share,
        verified_days=days,
        never_checked=coverage.never_checked,
        oldest_check=coverage.oldest_check,
        bad_copies=coverage.bad,
        in_flight=len(catalog.intents()),
        plans_waiting=len(saved - {row.id[:12] for row in begun}),
        plans_unfinished=sum(row.ended_at is None and not row.given_up for row in begun),
        last_backup=last,
        last_proved_backup=proved,
        kept=tuple(Kept(one.kind, one.name, *held[one.id], one.expires_at) for one in catalog.moments(as_of=now)),
    )


def _backups(collection: Collection) -> tuple[datetime | None, datetime | None]:
    if not collection.config.backup.destination:
        return None, None
    from catalogkit.backups.listing import last_proof
    from catalogkit.backups.target import place_in

    return last_proof(place_in(collection.path, collection.config.backup.destination))
