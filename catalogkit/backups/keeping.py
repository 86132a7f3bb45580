"""Makes a backup a root in the catalog, so that garbage collection keeps the bytes it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalogkit.backups import repository
from catalogkit.catalog.contract import Position
from catalogkit.catalog.sqlite.restoring import REPLACED

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


def tidy(source: Collection, target: Target, when: datetime) -> None:
    """Let go of backups that were never completed here, and of replaced catalogs that are not there any more."""
    there, here = set(repository.names(target)), f"{_IN}{target.describe()}"
    for moment in source.catalog.moments(KIND, as_of=when):
        if moment.name.endswith(here) and moment.name.removesuffix(here) not in there:
            source.catalog.release_moment(KIND, moment.name, as_of=when)
    # Backups of a time before coming back from an earlier one are kept by no moment, but by what was taken over then.
    kept = {moment.name.partition(_IN)[0] for moment in source.catalog.moments(KIND, as_of=when)}
    if there - kept:
        return
    for name in source.catalog.root_names(REPLACED):
        if not (source.path / name).exists():
            source.catalog.drop_roots(REPLACED, name, as_of=when)


def held_bytes(catalog: Catalog, when: datetime) -> dict[str, tuple[int, int]]:
    """By backup: bytes that no document has any more and it keeps, and those of them that only it keeps."""
    by_moment = catalog.held_bytes(as_of=when)
    return {
        moment.name.partition(_IN)[0]: by_moment.get(moment.id, (0, 0)) for moment in catalog.moments(KIND, as_of=when)
    }


def _of(catalog: Catalog, name: str, when: datetime) -> list[Moment]:
    return [one for one in catalog.moments(KIND, as_of=when) if one.name.partition(_IN)[0] == name]
