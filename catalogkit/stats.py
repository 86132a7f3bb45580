"""The byte figures of a collection (logical, saved, reclaimable, ...): pure functions on frames.

A *physical object* is what takes up room: locations of one store with the same inode and the same digest are one
object (hard links), a location without an inode is an object of its own, and a location found ``missing`` holds
nothing. A blob is *referenced* when a document has it, *held* when a store has an object of it. For a blob of ``b``
bytes with ``n`` documents and ``k`` objects in ``s`` stores, the figures are, in bytes:

============  =========================================  =======================================================
logical       ``n * b``                                  what its documents would take, each with a copy of its own
unique        ``b`` if referenced                        what one copy for all of them takes
duplicate     ``(n - 1) * b`` if referenced              logical - unique
saved         ``max(n - 1 - (k - s), 0) * b`` if both    what sharing already spares; an absent blob spares nothing
reclaimable   ``(k - s) * b`` if referenced              spare objects inside one store, which dedup could free
replica       ``(s - 1) * b`` if both                    copies in further stores: kept on purpose, never waste
unreferenced  ``k * b`` if not referenced                work for garbage collection, not for dedup
absent        ``b`` if referenced and not held           what documents need and no store has
physical      ``k * b``                                  what lies in the stores
============  =========================================  =======================================================

So ``physical = unique - absent + replica + reclaimable + unreferenced``, for each blob and for the whole.
A document without a digest shares with nobody: it counts as unique and absent, never as a duplicate.

Frames are those of `catalogkit.model.schema`: ``documents`` has a row per live document, ``locations`` one per
location. What comes back does not depend on the order of their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "DedupTotals",
    "check_column",
    "dedup_by",
    "dedup_groups",
    "dedup_totals",
    "identified",
    "in_order",
    "largest",
    "objects_of",
    "ranked",
    "savings_curve",
    "store_usage",
    "stored_by_blob",
    "totals_of",
]

PRESENT: Final = pl.col("outcome").ne_missing(Outcome.MISSING.value)
_B, _N, _K, _S = pl.col("bytes"), pl.col("documents"), pl.col("objects"), pl.col("stores")
_REFERENCED, _HELD = _N > 0, _K > 0
_FIGURES: Final = {
    "logical_bytes": _N * _B,
    "unique_bytes": _REFERENCED * _B,
    "duplicate_bytes": _REFERENCED * (_N - 1) * _B,
    "saved_bytes": (_REFERENCED & _HELD) * (_N - 1 - (_K - _S)).clip(lower_bound=0) * _B,
    "reclaimable_bytes": _REFERENCED * (_K - _S) * _B,
    "replica_bytes": (_REFERENCED & _HELD) * (_S - 1) * _B,
    "unreferenced_bytes": ~_REFERENCED * _K * _B,
    "absent_bytes": (_REFERENCED & ~_HELD) * _B,
    "physical_bytes": _K * _B,
}
_SIZE = _B.sum().alias("logical_bytes")
_COUNT = pl.len().cast(pl.Int64)  # the same type as every other number here


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupTotals:
    """The figures of a whole collection, as the module defines them.

    ``blobs`` counts the distinct contents that are referenced or held, ``objects`` the physical objects.
    """

    documents: int
    blobs: int
    objects: int
    logical_bytes: int
    unique_bytes: int
    duplicate_bytes: int
    saved_bytes: int
    reclaimable_bytes: int
    replica_bytes: int
    unreferenced_bytes: int
    absent_bytes: int
    physical_bytes: int

    @property
    def dedup_ratio(self) -> float:
        """Share of the logical bytes that sharing already spares: saved / logical, 0.0 for no bytes."""
        return self.saved_bytes / self.logical_bytes if self.logical_bytes else 0.0

    @property
    def duplicate_share(self) -> float:
        """Share of the logical bytes that repeat others: duplicate / logical, 0.0 for no bytes."""
        return self.duplicate_bytes / self.logical_bytes if self.logical_bytes else 0.0


def dedup_totals(documents: pl.DataFrame, locations: pl.DataFrame) -> DedupTotals:
    """Add every figure up over all blobs."""
    return totals_of(_ledger(documents, locations))


def totals_of(ledger: pl.DataFrame | pl.LazyFrame) -> DedupTotals:
    """Add every figure up over a row for each blob that is referenced or held.

    Parameters
    ----------
    ledger
        ``bytes``, ``documents``, ``objects`` and ``stores`` of each blob, as the module defines them.
    """
    sums = {name: figure.sum() for name, figure in _FIGURES.items()}
    totals = ledger.lazy().select(_N.sum(), _K.sum(), blobs=pl.len(), **sums).collect()
    return DedupTotals(**totals.row(0, named=True))


def dedup_groups(documents: pl.DataFrame, locations: pl.DataFrame) -> pl.DataFrame:
    """List the contents that several documents share, or that one store holds more than once.

    Returns
    -------
    DataFrame
        One row per referenced blob with at least two documents or two objects in one store: ``sha256``,
        ``media_type`` and ``artifact_id`` (of the document with the lowest id), ``bytes`` (of one copy),
        ``documents``, ``objects`` (in all stores), ``resolvers`` (distinct), ``logical_bytes``, ``saved_bytes``,
        ``reclaimable_bytes``. First what dedup can free most of, then what it has saved most of, then by digest.
    """
    resolvers = pl.col("resolver").n_unique().cast(pl.Int64).alias("resolvers")
    about = ["sha256", "media_type", "bytes", "documents", "objects", "resolvers", "artifact_id"]
    return ranked(_ledger(documents, locations, pl.col("media_type", "artifact_id").first(), resolvers), about)


def ranked(ledger: pl.DataFrame | pl.LazyFrame, about: Sequence[str]) -> pl.DataFrame:
    """The rows of a ledger (see `totals_of`) that are groups, with their figures, in the order of `dedup_groups`."""
    figures = {name: _FIGURES[name] for name in ("logical_bytes", "saved_bytes", "reclaimable_bytes")}
    return (
        ledger.lazy()
        .filter(_REFERENCED & ((_N > 1) | (_K > _S)))
        .select(*about, **figures)
        .sort("reclaimable_bytes", "saved_bytes", "sha256", descending=[True, True, False])
        .collect()
    )


def dedup_by(documents: pl.DataFrame, locations: pl.DataFrame, column: str) -> pl.DataFrame:
    """Share the figures out over the values of a text column of `documents`, such as ``resolver`` or ``tenant``.

    What a blob saves, could free and stores is split equally between its documents in whole bytes; the bytes left
    over go to the lowest ids. Duplicate bytes are those of documents whose content a lower id had already brought.
    So the parts of each figure add up to the figure in `dedup_totals`; stored bytes to physical - unreferenced.

    Returns
    -------
    DataFrame
        One row per value: `column`, ``documents``, ``logical_bytes``, ``duplicate_bytes``, ``saved_bytes``,
        ``reclaimable_bytes``, ``stored_bytes``. First what has saved most, then could free most, then by value.

    Raises
    ------
    InvalidInput
        If `column` is not a text column of `documents`.
    """
    check_column(column, documents.schema.items())
    whole = {name: _FIGURES[f"{name}_bytes"] for name in ("saved", "reclaimable", "physical")}
    rank = pl.col("rank")
    saved, reclaimable, stored = ((pl.col(name) // _N + (rank < pl.col(name) % _N)).sum() for name in whole)
    parts = (
        _ledger(documents, locations, pl.col(column).alias("value"))
        .filter(_REFERENCED)
        .select("value", "bytes", "documents", rank=pl.int_ranges(0, "documents"), **whole)
        .explode("value", "rank")
        .group_by(pl.col("value").alias(column))
        .agg(
            _COUNT.alias("documents"),
            _SIZE,
            ((rank > 0) * _B).sum().alias("duplicate_bytes"),
            saved_bytes=saved,
            reclaimable_bytes=reclaimable,
            stored_bytes=stored,
        )
        .collect()
    )
    return in_order(parts, column)


def in_order(parts: pl.DataFrame, column: str) -> pl.DataFrame:
    """Parts in the order of `dedup_by`."""
    return parts.sort("saved_bytes", "reclaimable_bytes", column, descending=[True, True, False])


def check_column(column: str, columns: Iterable[tuple[str, pl.DataType]]) -> None:
    """Refuse what documents cannot be grouped by."""
    choices = [name for name, kind in columns if kind == pl.String and name not in {"sha256", "metadata"}]
    if column not in choices:
        raise InvalidInput(f"cannot group documents by {column!r}; choose one of {', '.join(choices)}")


def store_usage(documents: pl.DataFrame, locations: pl.DataFrame) -> pl.DataFrame:
    """Say what each store holds; the parts add up to `dedup_totals`.

    Returns
    -------
    DataFrame
        One row per store that holds anything, by name: ``store``, ``objects``, ``physical_bytes``,
        ``reclaimable_bytes``, ``unreferenced_bytes``.
    """
    referenced = documents.lazy().select("sha256", documents=1).unique()
    figures = {name: _FIGURES[name].sum() for name in ("physical_bytes", "reclaimable_bytes", "unreferenced_bytes")}
    return (
        _held(locations)
        .join(referenced, on="sha256", how="left")
        .with_columns(_N.fill_null(0), stores=1)
        .group_by("store")
        .agg(_K.sum(), **figures)
        .sort("store")
        .collect()
    )


def largest(groups: pl.DataFrame, top: int) -> pl.DataFrame:
    """The groups with most bytes beyond one copy, saved and reclaimable together; then by digest."""
    return groups.sort(pl.col("saved_bytes") + pl.col("reclaimable_bytes"), "sha256", descending=[True, False]).head(
        top
    )


def savings_curve(groups: pl.DataFrame, points: int = 400) -> pl.DataFrame:
    """Show how much of the savings the first few groups make up.

    Parameters
    ----------
    groups
        What `dedup_groups` returned.
    points
        The most rows to return, at least 2; the first and the last group are always among them.

    Returns
    -------
    DataFrame
        ``rank`` (1 has most saved + reclaimable bytes), ``share_of_groups`` (rank / number of groups), and the
        ``saved_bytes`` and ``reclaimable_bytes`` of all groups up to that rank.
    """
    if points < 2:
        raise InvalidInput(f"a curve needs at least 2 points, not {points}")
    rows = min(points, groups.height)
    kept = [row * (groups.height - 1) // max(rows - 1, 1) for row in range(rows)]
    rank = pl.int_range(1, pl.len() + 1)
    gain = pl.col("saved_bytes") + pl.col("reclaimable_bytes")
    ranked = groups.sort(gain, pl.col("sha256"), descending=[True, False])
    sums = pl.col("saved_bytes", "reclaimable_bytes").cum_sum()
    return ranked.select(rank.alias("rank"), (rank / pl.len()).alias("share_of_groups"), sums)[kept]


def stored_by_blob(locations: pl.DataFrame) -> pl.LazyFrame:
    """The physical bytes of each content: ``sha256``, ``stored_bytes``; only what lies somewhere."""
    return objects_of(locations).group_by("sha256").agg(_B.sum().alias("stored_bytes"))


def identified(documents: pl.DataFrame) -> pl.LazyFrame:
    """The documents; one without a digest gets a name of its own, so that it matches nothing."""
    return documents.lazy().with_columns(pl.coalesce("sha256", pl.format("document {}", "id")))


def objects_of(locations: pl.DataFrame, *wanted: pl.Expr) -> pl.LazyFrame:
    """One row per physical object: ``store``, ``sha256``, ``bytes``, and what is wanted of its locations."""
    return (
        locations.lazy()
        .filter(PRESENT)
        .with_row_index("own")
        .with_columns(own=pl.when(pl.col("inode").is_null()).then("own"))
        .group_by("store", "sha256", "inode", "own")
        .agg(_B.max(), *wanted)
    )


def _held(locations: pl.DataFrame) -> pl.LazyFrame:
    """One row per store and blob that it holds: ``store``, ``sha256``, ``bytes`` (of one copy), ``objects``."""
    return objects_of(locations).group_by("store", "sha256").agg(_B.max(), objects=_COUNT)


def _ledger(documents: pl.DataFrame, locations: pl.DataFrame, *wanted: pl.Expr) -> pl.LazyFrame:
    """One row per blob: what `_FIGURES` works with, and what is wanted of its documents, which come by id."""
    held = _held(locations).group_by("sha256").agg(_K.sum(), stores=_COUNT, held_bytes=_B.max())
    return (
        identified(documents)
        .sort("id")
        .group_by("sha256")
        .agg(_B.max(), *wanted, documents=_COUNT)
        .join(held, on="sha256", how="full", coalesce=True)
        .with_columns(pl.coalesce("bytes", "held_bytes"), pl.col("documents", "objects", "stores").fill_null(0))
    )
