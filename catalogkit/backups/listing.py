"""Lists backups: what each keeps, and when it was last proved."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from catalogkit.backups import repository
from catalogkit.backups.keeping import held_bytes
from catalogkit.backups.target import Target, target_of

if TYPE_CHECKING:
    import os
    from datetime import datetime

    import polars as pl

    from catalogkit.collection import Collection


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRow:
    """One backup of a folder of them.

    Attributes
    ----------
    documents, image_bytes, written_bytes
        What it holds, how large the catalog was, and what it added to the folder.
    with_bytes
        Whether the documents' bytes lie there, too.
    held_bytes, only_bytes
        Bytes in the stores that no document has any more and it keeps, and those of them that nothing else keeps; None
        where no catalog was asked.
    proved_at, proved
        When a drill last brought it back, and whether all was right then.
    damaged
        What is wrong with its manifest; empty is good.
    """

    name: str
    as_of: datetime | None
    documents: int = 0
    image_bytes: int = 0
    written_bytes: int = 0
    with_bytes: bool = False
    held_bytes: int | None = None
    only_bytes: int | None = None
    proved_at: datetime | None = None
    proved: bool | None = None
    damaged: str = ""


def list_backups(
    destination: str | os.PathLike[str] | Target, *, collection: Collection | None = None, as_of: datetime | None = None
) -> list[BackupRow]:
    """Every backup in a folder, oldest first.

    Parameters
    ----------
    collection
        Whose catalog is asked what each of them keeps.

    Examples
    --------
    >>> made = ck.backup_catalog("backups", collection=c)
    >>> [one.documents for one in ck.list_backups("backups", collection=c)]
    [3]
    """
    target = target_of(destination)
    good, bad = repository.loaded(target)
    held: dict[str, tuple[int, int]] = {}
    if collection is not None:
        held = held_bytes(collection.catalog, as_of or collection.now())
    rows = []
    for one in good:
        proof = repository.read_proof(target, one.name)
        keeps, alone = held.get(one.name, (None, None))
        rows.append(
            BackupRow(
                name=one.name,
                as_of=one.as_of,
                documents=one.counts["documents"],
                image_bytes=one.image_bytes,
                written_bytes=one.written_bytes,
                with_bytes=one.with_bytes,
                held_bytes=keeps,
                only_bytes=alone,
                proved_at=proof.as_of if proof else None,
                proved=proof.ok if proof else None,
            )
        )
    rows += [BackupRow(name=name, as_of=None, damaged=why) for name, why in bad.items()]
    return sorted(rows, key=lambda row: (row.name[:16], row.as_of.isoformat() if row.as_of else "", row.name))


def last_proof(destination: str | os.PathLike[str] | Target) -> tuple[datetime | None, datetime | None]:
    """When the newest backup was made, and when the newest proof that was good was; None where there is none."""
    target = target_of(destination)
    good, _ = repository.loaded(target)
    proofs = [repository.read_proof(target, one.name) for one in good]
    proved = [proof.as_of for proof in proofs if proof and proof.ok]
    return (good[-1].as_of if good else None), max(proved, default=None)


def framed(rows: list[BackupRow]) -> pl.DataFrame:
    """Backups as a frame, a row each."""
    import polars as pl

    time, size = pl.Datetime("us", "UTC"), pl.Int64()
    schema: dict[str, Any] = {
        "name": pl.String(), "as_of": time, "documents": size, "image_bytes": size, "written_bytes": size,
        "with_bytes": pl.Boolean(), "held_bytes": size, "only_bytes": size, "proved_at": time, "proved": pl.Boolean(),
        "damaged": pl.String(),
    }  # fmt: skip
    return pl.DataFrame([asdict(row) for row in rows], schema=schema, orient="row")
