"""Charges from the mirror are those of whole frames, whatever came, went or moved, before, within or after."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from catalogkit import billing
from catalogkit.catalog.charged import charges
from catalogkit.catalog.figures import Figures
from catalogkit.catalog.mirroring import create, take_in
from catalogkit.model import fed
from tests.catalog.test_figures import Fed
from tests.luck import examples
from tests.test_billing import DAY, END, START, blob, copy, frame, version, versions_of

if TYPE_CHECKING:
    from datetime import datetime

# A document comes on one of these days, and goes on one of the next, if ever; the period is in the midst of them.
_SPANS = st.tuples(st.integers(-3, 23), st.none() | st.integers(1, 20)).map(
    lambda one: (one[0], None if one[1] is None else one[0] + one[1])
)
_VERSIONS = st.lists(st.tuples(st.sampled_from(("a", "b", "")), st.sampled_from("uvwxyz"), _SPANS), max_size=14)
_COPIES = st.lists(
    st.tuples(
        st.sampled_from("uvwxyz"), st.integers(-5, 24), st.none() | st.integers(1, 2),
        st.sampled_from((None, "ok", "missing")),
    ),
    max_size=8,
)  # fmt: skip
_BLOBS = st.fixed_dictionaries(
    {name: st.tuples(st.integers(-5, 22), st.integers(1, 997), st.booleans()) for name in "uvwxyz"}
)


def from_mirror(
    versions: pl.DataFrame, blobs: pl.DataFrame, copies: pl.DataFrame, start: datetime, end: datetime, late: bool
) -> billing.Charges:
    """The charges of a mirror; one that is `late` was filled before the last version ended."""
    ended = versions.filter(pl.col("valid_to").is_not_null())
    there = versions.filter(pl.col("valid_to").is_null() | (late & (pl.col("valid_to") >= end)))
    documents = there.select(
        pl.lit(None).cast(kind).alias(name) if name not in ("id", "changed_at", *versions.columns) else
        pl.col({"id": "document_id", "changed_at": "valid_from"}.get(name, name)).alias(name)
        for name, kind in fed("documents").items()
    )  # fmt: skip
    users = documents.group_by("sha256").agg(refs=pl.len().cast(pl.Int64))
    counted = blobs.drop("refs").join(users, on="sha256", how="left").with_columns(pl.col("refs").fill_null(0))
    counted = counted.with_columns(pl.lit(None).cast(pl.Datetime("us", "UTC")).alias("garbage_since"))
    db = duckdb.connect()
    create(db)
    take_in(db, Fed(documents, copies, counted))  # type: ignore[arg-type]
    with Figures(db, END) as figures:
        return charges(figures, ended.filter(pl.col("valid_to") > start), start=start, end=end, by="tenant")


# Shared and alone, in one object or several, nobody's; a copy more, a document less within the period, or after it.
_STEADY = [("a", "x", (-3, None)), ("b", "x", (-2, None)), ("a", "y", (-3, None)), ("b", "u", (-3, None))]
_LYING = [
    ("x", -3, None, None),
    ("y", -3, None, "ok"),
    ("y", -3, 1, None),
    ("u", -3, None, None),
    ("w", -4, None, None),
]
_ABOUT = {name: (-5, 7 + place, False) for place, name in enumerate("uvwxyz")}


@example(_STEADY, _LYING, _ABOUT, 0, 10, False)
@example(_STEADY, [*_LYING, ("u", 4, None, None), ("x", 15, None, None)], _ABOUT, 0, 10, False)
@example([*_STEADY, ("b", "y", (-3, 5)), ("b", "u", (12, None))], _LYING, _ABOUT, 0, 10, False)
@example([*_STEADY, ("b", "y", (-3, 12)), ("a", "x", (-3, 11))], _LYING, _ABOUT, 0, 10, True)
@examples(40)
@given(_VERSIONS, _COPIES, _BLOBS, st.integers(0, 15), st.integers(1, 20), st.booleans())
def test_charges_are_those_of_whole_frames(
    held: list[tuple[str, str, tuple[int, int | None]]],
    lying: list[tuple[str, int, int | None, str | None]],
    about: dict[str, tuple[int, int, bool]],
    begins: int,
    length: int,
    late: bool,
) -> None:
    """To the last fraction, in full and fairly, over the period and at its end; documents, too."""
    sizes = {name: size for name, (_, size, _) in about.items()}
    versions = versions_of(
        [version(number, one[0], one[1], *one[2], size=sizes[one[1]]) for number, one in enumerate(held)]
    )
    copies = frame(
        "locations",
        [copy(number, name, day, inode=inode, outcome=told) for number, (name, day, inode, told) in enumerate(lying)],
    )
    has = {name for name, *_ in lying} | {name for _, name, (_, until) in held if until is None}
    blobs = frame(
        "blobs",
        [
            blob(name, day, size, purged=day + 3 if purged and name not in has else None)
            for name, (day, size, purged) in about.items()
        ],
    )
    start = START + begins * DAY
    end = min(start + length * DAY, END)
    payer = pl.when(pl.col("tenant") == "").then(pl.lit("(none)")).otherwise("tenant").alias("tenant")
    wanted = billing.charges(versions.with_columns(payer), blobs, copies, frame("accesses", []), start=start, end=end)
    found = from_mirror(versions, blobs, copies, start, end, late)
    for name in ("full", "fair", "full_now", "fair_now", "documents", "logical_bytes"):
        mine, theirs = getattr(found, name), getattr(wanted, name)
        assert {who: some for who, some in mine.items() if some} == {who: some for who, some in theirs.items() if some}
