"""The drill: a trial recovery of the newest backup to a scratch folder, whose proof is kept."""

from __future__ import annotations

import random
import tempfile
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.backups import blobs, repository
from catalogkit.backups.recovering import find_backup, restore, stores_of
from catalogkit.backups.repository import Proof
from catalogkit.catalog.sqlite import restoring
from catalogkit.errors import CatalogKitError, StoreError
from catalogkit.model import Digest
from catalogkit.signals import operation
from catalogkit.stores.contract import Asked

if TYPE_CHECKING:
    import os

    from catalogkit.backups.manifest import Manifest
    from catalogkit.backups.target import Target
    from catalogkit.collection import Collection

SAMPLE: Final = 100


@dataclass(slots=True, kw_only=True)
class Drill:
    """What a drill found.

    Attributes
    ----------
    backup, as_of
        Which backup was brought back, and when.
    ok
        Whether everything was right: every piece, the database, its content, and each blob that was read.
    documents, image_bytes
        What was brought back.
    problems
        What was wrong, in words.
    sampled, sample_ok, sample_bytes
        Blobs that were read, of them those that were right, and their bytes.
    unreachable
        Blobs of the sample that could not be read because a store is away: they prove nothing either way.
    seconds
        How long it took.
    """

    backup: str
    path: str
    as_of: datetime
    ok: bool = False
    documents: int = 0
    image_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    sampled: int = 0
    sample_ok: int = 0
    sample_bytes: int = 0
    unreachable: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import brief

        return brief("Drill", self.to_dict())


def drill(
    destination: str | os.PathLike[str],
    *,
    collection: Collection | None = None,
    sample: int = SAMPLE,
    as_of: datetime | None = None,
) -> Drill:
    """Restore the newest backup to a scratch folder, check it, read a sample of its blobs, keep the proof.

    Parameters
    ----------
    destination
        A folder of backups, or one backup's folder.
    collection
        Whose stores the blobs are read from; without one, those that the backup names, or the bytes beside it.
    sample
        How many blobs to read, drawn at random anew each time.

    Raises
    ------
    InvalidInput
        If there is no backup.
    """
    with operation("drill") as told:
        found = _drill(destination, collection, sample, as_of)
        if found.ok:
            told.figure("backup_proof_timestamp_seconds", found.as_of.timestamp())
    return found


def _drill(
    destination: str | os.PathLike[str], collection: Collection | None, sample: int, as_of: datetime | None
) -> Drill:
    began = time.monotonic()
    when = as_of or (collection.now() if collection else datetime.now(UTC))
    target, manifest = find_backup(destination)
    found = Drill(backup=manifest.name, path=target.describe(manifest.name), as_of=when)
    found.documents, found.image_bytes = manifest.counts["documents"], manifest.image_bytes
    with tempfile.TemporaryDirectory(prefix="catalogkit-drill-") as folder:
        path = str(Path(folder) / "catalog.sqlite")
        try:
            restore(target, manifest, path)
            home = collection.path if collection else Path(folder)
            _read_sample(found, target, manifest, path, str(home), sample)
        except CatalogKitError as problem:
            found.problems.append(str(problem))
    found.ok = not found.problems
    found.seconds = round(time.monotonic() - began, 3)
    facts = {name: value for name, value in found.to_dict().items() if name not in ("as_of", "ok", "backup", "path")}
    repository.write_proof(target, manifest.name, Proof(when, found.ok, facts))
    return found


def _read_sample(found: Drill, target: Target, manifest: Manifest, image: str, home: str, sample: int) -> None:
    stores = stores_of(manifest, home)
    chance = random.Random()
    for digest, size, copies in restoring.image_sample(image, sample, chance.getrandbits(256).to_bytes(32)):
        found.sampled += 1
        if manifest.with_bytes and blobs.whole(target, Digest(digest)):
            right: str | None = ""
        else:
            right = _right_somewhere(stores, copies, digest, size)
        if right is None:
            found.unreachable += 1
        elif right:
            found.problems.append(f"{digest.hex()}: {right}")
        else:
            found.sample_ok, found.sample_bytes = found.sample_ok + 1, found.sample_bytes + size


def _right_somewhere(stores: Any, copies: list[tuple[str, str]], digest: bytes, size: int) -> str | None:
    """Whether a blob can be read from one of its copies: nothing if so, else why not; None where a store is away."""
    said, away = "no copy is known", False
    for token, key in copies:
        if token not in stores:
            away = True
            continue
        try:
            stores[token].reach()
            (result,) = stores[token].examiner()([Asked(key, Digest(digest), size)])
        except StoreError:
            away = True
            continue
        if result.outcome == "ok":
            return ""
        away |= result.outcome == "unknown"
        said = f"{stores[token].describe(key)} is {result.outcome}: {result.detail or 'nothing lies there'}"
    return None if away else said
