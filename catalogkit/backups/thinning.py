"""Removes old backups, in an order that survives a crash at any point.

First the manifest goes, and with it the backup. Then what nothing names any more: pieces, and copied bytes. Last the
catalog lets go of its moment. A crash leaves pieces that nothing names, and a moment that keeps too much.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.backups import blobs, repository
from catalogkit.backups.keeping import let_go, tidy
from catalogkit.backups.manifest import MANIFEST, PIECES
from catalogkit.backups.recovering import restore
from catalogkit.errors import StoreError
from catalogkit.planners.thin import Decision, Keep, thin

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.backups.manifest import Manifest
    from catalogkit.backups.target import Target
    from catalogkit.collection import Collection


@dataclass(slots=True, kw_only=True)
class Thinned:
    """What became of each backup, and how much that freed."""

    decisions: list[Decision] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    bytes_freed: int = 0


def decide(target: Target, keep: Keep) -> list[Decision]:
    """Which of the backups would stay, and why; changes nothing."""
    good, _ = repository.loaded(target)
    proofs = {one.name: repository.read_proof(target, one.name) for one in good}
    proven = [name for name, proof in proofs.items() if proof and proof.ok]
    return thin([(one.name, one.as_of) for one in good], keep, proven=proven[-1] if proven else None)


def thin_backups(target: Target, keep: Keep, *, collection: Collection | None, as_of: datetime) -> Thinned:
    """Remove the backups that no rule keeps, and what only they needed.

    Parameters
    ----------
    collection
        Where to let go of what they kept; without one that is done by the next backup.

    Raises
    ------
    StoreError
        If a manifest is damaged: what that backup needs is not known, so nothing is removed.
    """
    with target.locked():
        _, bad = repository.loaded(target)
        if bad:
            name, why = next(iter(bad.items()))
            raise StoreError(f"nothing is removed while a backup cannot be read: {why}; remove the folder {name} first")
        done = Thinned(decisions=decide(target, keep))
        going = [repository.load(target, one.name) for one in done.decisions if not one.stays]
        for manifest in going:
            target.remove(f"{manifest.name}/{MANIFEST}")
            # Not there any more, for good, before anything that it names goes.
            target.settle(manifest.name)
            target.remove(f"{manifest.name}/{repository.PROOF}")
            done.removed.append(manifest.name)
        stay = [repository.load(target, name) for name in repository.names(target)]
        done.bytes_freed += _sweep(target, {f"{PIECES}/{piece}" for one in stay for piece in one.pieces}, PIECES)
        if any(one.with_bytes for one in going):
            done.bytes_freed += _sweep(target, _wanted_bytes(target, stay), repository.BYTES)
        if collection is not None:
            for manifest in going:
                let_go(collection.catalog, manifest.name, as_of)
            tidy(collection, target, as_of)
    return done


def _sweep(target: Target, wanted: set[str], prefix: str) -> int:
    freed = 0
    for key in target.keys(prefix):
        if key not in wanted:
            freed += target.size(key) or 0
            target.remove(key)
    return freed


def _wanted_bytes(target: Target, stay: list[Manifest]) -> set[str]:
    """Where the bytes lie that the backups that stay have copied: told by their own catalogs, each put together."""
    wanted: set[str] = set()
    for manifest in stay:
        if manifest.with_bytes:
            with tempfile.TemporaryDirectory(prefix="catalogkit-") as folder:
                path = str(Path(folder) / "catalog.sqlite")
                restore(target, manifest, path)
                wanted |= {repository.bytes_key(digest) for digest, _ in blobs.needed(path)}
    return wanted
