"""Makes a backup a root in the catalog, so that garbage collection keeps the bytes it needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from catalogkit.backups import repository
from catalogkit.catalog.contract import Position
from catalogkit.catalog.sqlite.restoring import REPLACED
from catalogkit.errors import StoreUnreachable

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.backups.manifest import Manifest
    from catalogkit.backups.target import Target
    from catalogkit.catalog.contract import Catalog, Moment
    from catalogkit.collection import Collection

KIND: Final = "backup"
_IN: Final = " in "


def root_name(name: str, where: str) -> str:
    """What the catalog calls a backup: its name, and the place it lies in."""
    return f"{name}{_IN}{where}"


def keep(catalog: Catalog, manifest: Manifest, where: str, when: datetime) -> None:
    """Have the catalog keep what a backup names; nothing where it does so already.

    Raises
    ------
    ConstraintError
        If something of it was condemned since.
    """
    if not _of(catalog, manifest.name, when):
        position = Position(manifest.changes, manifest.last_id)
        catalog.keep_moment(KIND, root_name(manifest.name, where), as_of=when, at=position)


def let_go(catalog: Catalog, name: str, when: datetime) -> None:
    """A backup is gone: what only it kept may go, too, once somebody plans that."""
    for moment in _of(catalog, name, when):
        catalog.release_moment(KIND, moment.name, as_of=when)
    for root in catalog.root_names(KIND):
        if root.partition(_IN)[0] == name:
            catalog.drop_roots(KIND, root, as_of=when)


def present(source: Collection, target: Target, when: datetime) -> None:
    """Refuse a place where none of the backups lies that the catalog keeps there: its disk may be away.

    Raises
    ------
    StoreUnreachable
        If so; another backup would take their place, and what they need could go.
    """
    kept, place = _kept_in(source, target, when), target.describe()
    if kept and _away(source, target, when):
        raise StoreUnreachable(
            f"none of the {len(kept):,} backups that the catalog keeps in {place} is there; is its disk mounted? If"
            f" they are gone for good, `catalogkit backup {place} --anew` begins anew and lets go of what they kept"
        )


def tidy(source: Collection, target: Target, when: datetime, *, anew: bool = False) -> None:
    """Let go of backups that were never completed here, and of replaced catalogs that are not there any more.

    Where all are away nothing is let go, unless they are gone for good (`anew`).
    """
    there, here = set(repository.names(target)), _kept_in(source, target, when)
    if here and not anew and _away(source, target, when):
        return
    for name in here - there:
        source.catalog.release_moment(KIND, root_name(name, target.describe()), as_of=when)
    # Backups of a time before coming back from an earlier one are kept by no moment, but by what was taken over then.
    kept = {moment.name.partition(_IN)[0] for moment in source.catalog.moments(KIND, as_of=when)}
    if there - kept:
        return
    folders = (source.path, Path(source.catalog.home).parent)  # the catalog may lie elsewhere
    for name in source.catalog.root_names(REPLACED):
        if not any((folder / name).exists() for folder in folders):
            source.catalog.drop_roots(REPLACED, name, as_of=when)


def held_bytes(catalog: Catalog, when: datetime) -> dict[str, tuple[int, int]]:
    """By backup: bytes that no document has any more and it keeps, and those of them that only it keeps."""
    by_moment = catalog.held_bytes(as_of=when)
    return {
        moment.name.partition(_IN)[0]: by_moment.get(moment.id, (0, 0)) for moment in catalog.moments(KIND, as_of=when)
    }


def _of(catalog: Catalog, name: str, when: datetime) -> list[Moment]:
    return [one for one in catalog.moments(KIND, as_of=when) if one.name.partition(_IN)[0] == name]


def _kept_in(source: Collection, target: Target, when: datetime) -> set[str]:
    """The names of the backups that the catalog keeps at a place."""
    here = f"{_IN}{target.describe()}"
    names = (moment.name for moment in source.catalog.moments(KIND, as_of=when))
    return {name.removesuffix(here) for name in names if name.endswith(here)}


def _away(source: Collection, target: Target, when: datetime) -> bool:
    """Whether a place is not the one that backups were made in: an empty mount point, or another disk.

    They may have been made under another name of it. One that a crash cut short before its first backup was complete
    has pieces, and no backup.
    """
    there = set(repository.names(target))
    kept = {moment.name.partition(_IN)[0] for moment in source.catalog.moments(KIND, as_of=when)}
    return not kept & there and (bool(there) or not target.tops())
