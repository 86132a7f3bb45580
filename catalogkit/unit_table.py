"""A plan as a table with a row for each unit, and what several units free only together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from catalogkit.plan import StepKind

# What has no way back; of all the rest `plan_undo` makes one.
FINAL: Final = tuple(
    kind.value
    for kind in (
        *(StepKind.PURGE, StepKind.ABANDON, StepKind.QUARANTINE, StepKind.FETCH, StepKind.CLONE),
        StepKind.RESOLVE,
    )
)
_TABLE: Final = (
    *("unit", "kind", "reason", "sha256", "document_id", "store", "key", "artifact_id", "resolver", "media_type"),
    *("tenant", "since", "age_days", "size", "bytes", "alone", "files", "final", "steps", "last_copy"),
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What is selected.

    Attributes
    ----------
    units, of, steps
        Selected, and all; the steps of the selected ones.
    bytes
        Physical bytes that go if the selected units are carried out together.
    share
        Of all stored bytes when the plan was made; None where nothing was stored.
    files
        Files that are removed from a store.
    last_copies
        Units that take the last copy of something.
    final
        Units that cannot be undone.
    """

    units: int
    of: int
    steps: int
    bytes: int
    share: float | None
    files: int
    last_copies: int
    final: int


@dataclass(frozen=True, slots=True)
class Joint:
    """Objects with names in several units: the units' places, name by name, and for each object where its names end."""

    places: pl.Series
    ends: pl.Series
    users: pl.Series
    bytes: pl.Series

    def freed(self, selected: pl.Series) -> int:
        """Bytes of the objects of which enough names are selected."""
        if self.ends.is_empty():
            return 0
        so_far = selected.gather(self.places).cast(pl.Int64).cum_sum().gather(self.ends)
        names = so_far - so_far.shift(1, fill_value=0)
        return int(self.bytes.filter((names > 0) & (names >= self.users)).sum())


def tables(rows: pl.DataFrame, place: pl.Series) -> tuple[pl.DataFrame, Joint]:
    """A row for each unit, with the bytes that go with it ``alone``; and the objects that only go jointly.

    An object frees its bytes when as many of its names go as it has users. Most objects have one name, or all of them
    in one unit; only the others need a look at the whole selection.
    """
    twice = rows["object"].is_duplicated() & rows["object"].is_not_null()
    plain = pl.col("object").is_null() | ((pl.col("users") <= 1).fill_null(False) & ~twice)
    rows = rows.with_columns(
        place=place,
        twice=twice,
        size=pl.col("bytes"),
        alone=pl.when(plain).then(pl.col("bytes")).otherwise(0),
        files=((pl.col("kind") == StepKind.PURGE.value) & pl.col("key").is_not_null()).cast(pl.Int64),
        final=pl.col("kind").is_in(FINAL).cast(pl.Int64),
        steps=pl.lit(1, dtype=pl.Int64),
        last_copy=pl.col("last_copy").fill_null(False),
    )
    names = rows.filter("twice").select("object", "place", "users", "bytes")
    names = names.with_columns(object=_codes(names["object"])).sort("object", "place")
    place_, object_ = pl.col("place"), pl.col("object")
    whole = names.group_by("object", maintain_order=True).agg(
        pl.len().alias("names"),
        pl.col("users", "bytes").max(),
        (place_.first() == place_.last()).alias("owned"),
        place_.first(),
    )
    whole = whole.filter(pl.col("names") >= pl.col("users"))
    table = rows if place.is_empty() or place[-1] + 1 == rows.height else _folded(rows)
    owned = whole.filter("owned").group_by("place").agg(pl.col("bytes").sum().alias("owned"))
    if owned.height:
        table = table.join(owned, on="place", how="left", maintain_order="left")
        table = table.with_columns(alone=pl.col("alone") + pl.col("owned").fill_null(0))
    spread = whole.filter(~pl.col("owned"))
    joint = names.filter(object_.is_in(spread["object"].implode()))["place"]
    ends = spread["names"].cum_sum().cast(pl.Int64) - 1
    return table.select(_TABLE), Joint(joint, ends, spread["users"], spread["bytes"])


def _folded(rows: pl.DataFrame) -> pl.DataFrame:
    """Units of several steps: what the first step says, sums where there is something to add."""
    # One object under several names in a unit is as large as it is, not several times.
    fresh = ~pl.col("twice") | pl.struct("place", "object").is_first_distinct()
    summed, firsts = ("alone", "files", "final", "steps"), set(_TABLE) - {"bytes", "last_copy", "final"}
    return (
        rows.with_columns(bytes=pl.when(fresh).then("bytes").otherwise(0))
        .group_by("place")
        .agg(
            pl.col(sorted(firsts - set(summed))).first(),
            pl.col("bytes", "alone", "files", "steps").sum(),
            pl.col("final").max(),
            pl.col("last_copy").any(),
        )
        .sort("place")
    )


def _codes(names: pl.Series) -> pl.Series:
    """A small number for each different name: quicker to compare than the name. Random categories start from zero."""
    return names.cast(pl.Categorical(pl.Categories.random())).to_physical()
