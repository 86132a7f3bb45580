"""The whole collection in a few frames: where stored bytes belong, their state, what arrived last.

Pure functions on the frames of `catalogkit.model.schema`; bytes are physical and shared as in `catalogkit.stats`, so
the parts add up to the totals there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.model import BlobState
from catalogkit.stats import dedup_by, stored_by_blob

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STATES", "latest_runs", "states", "states_of", "tree", "tree_of"]

STATES: Final = {
    "needed": "documents refer to them",
    "kept": "no document refers to them, and nothing says yet that they go",
    "condemned": "they go once their grace is over, and can be taken back until then",
    "incoming": "an ingest is about to make them whole, or died over it",
    "gone": "purged, though a copy was recorded since",
}


def tree(documents: pl.DataFrame, locations: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Stored bytes by several text columns of `documents`, each content split equally between its documents.

    Returns
    -------
    DataFrame
        The columns, ``documents``, ``logical_bytes`` and ``stored_bytes``, largest first; the last sums to what
        `stats.dedup_by` gives for any one column.
    """
    if not columns or len(set(columns)) != len(columns):
        raise InvalidInput("name one or more different columns")
    for column in columns:
        dedup_by(documents.head(0), locations.head(0), column)  # refuses what is no text column
    # Joined by a character that no text of the catalog's columns needs: grouping is by all of them at once.
    joined = documents.with_columns(variant=pl.concat_str([pl.col(one).str.replace_all("\x1f", " ") for one in columns],
                                                          separator="\x1f"))  # fmt: skip
    parts = dedup_by(joined, locations, "variant").with_columns(
        pl.col("variant").str.split("\x1f").list.to_struct(fields=list(columns))
    )
    return tree_of(parts.unnest("variant"), columns)


def tree_of(parts: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """`tree` of what was counted by those columns."""
    wanted = (*columns, "documents", "logical_bytes", "stored_bytes")
    return parts.select(wanted).sort("stored_bytes", *columns, descending=[True, *[False] * len(columns)])


def states(blobs: pl.DataFrame, locations: pl.DataFrame) -> pl.DataFrame:
    """Stored bytes by what is to become of them.

    Parameters
    ----------
    blobs
        The ``blobs`` frame.

    Returns
    -------
    DataFrame
        A row for each of `STATES`, in that order: ``state``, ``meaning``, ``contents``, ``stored_bytes``. The bytes add
        up to all physical bytes.
    """
    live, refs = pl.col("state") == BlobState.LIVE.value, pl.col("refs")
    named = (
        pl.when(live & (refs > 0)).then(pl.lit("needed"))
        .when(live).then(pl.lit("kept"))
        .when(pl.col("state") == BlobState.PURGED.value).then(pl.lit("gone"))
        .otherwise("state")
    )  # fmt: skip
    counted = (
        blobs.lazy()
        .join(stored_by_blob(locations), on="sha256", how="inner")
        .group_by(state=named)
        .agg(pl.len().cast(pl.Int64).alias("contents"), pl.col("stored_bytes").sum())
        .collect()
    )
    return states_of(counted)


def states_of(counted: pl.DataFrame) -> pl.DataFrame:
    """`states` of what was counted: ``state``, ``contents``, ``stored_bytes``."""
    rows = pl.DataFrame({"state": list(STATES), "meaning": list(STATES.values())})
    found = rows.join(counted, on="state", how="left", maintain_order="left")
    return found.with_columns(pl.col("contents", "stored_bytes").fill_null(0))


def latest_runs(documents: pl.DataFrame, top: int = 10) -> pl.DataFrame:
    """The runs that brought current versions, latest first.

    Returns
    -------
    DataFrame
        ``run_id``, ``first_seen``, ``documents``, ``logical_bytes``, ``resolvers``.
    """
    return (
        documents.lazy()
        .group_by("run_id")
        .agg(
            pl.col("changed_at").min().alias("first_seen"),
            pl.len().cast(pl.Int64).alias("documents"),
            pl.col("bytes").sum().alias("logical_bytes"),
            pl.col("resolver").n_unique().cast(pl.Int64).alias("resolvers"),
        )
        .sort("first_seen", "run_id", descending=[True, False])
        .head(top)
        .collect()
    )
