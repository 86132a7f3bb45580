"""What one collection's documents are charged, from the mirror if there are many, else from whole tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from catalogkit.billing import Charges, charges, period, requested
from catalogkit.planning.common import mirrored_figures

if TYPE_CHECKING:
    from catalogkit.catalog.figures import Figures
    from catalogkit.collection import Collection

_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def charges_of(collection: Collection, start: datetime, end: datetime, *, by: str) -> Charges:
    """Charge the documents of a collection from `start` until `end`; what they have in column `by` pays."""
    catalog, figures = collection.catalog, mirrored_figures(collection)
    if figures is not None:
        from catalogkit.catalog import charged

        with figures:
            past = catalog.ended_versions(start)
            found = charged.charges(figures, past, start=start, end=end, by=by)
            asked = requested(catalog.frame("accesses"), *period(start, end))
            found.requests.update(_askers(collection, figures, past, asked, by))
        return found
    versions, *others = (catalog.frame(table) for table in ("document_versions", "blobs", "locations", "accesses"))
    return charges(versions.with_columns(_payer(by)), *others, start=start, end=end)


def values_of(collection: Collection, column: str) -> set[str]:
    """What documents have in a column."""
    figures = mirrored_figures(collection)
    if figures is None:
        return set(collection.frame("documents")[column].unique())
    with figures:
        return figures.values(column)


def _askers(
    collection: Collection, figures: Figures, past: pl.DataFrame, asked: pl.DataFrame, by: str
) -> dict[str, int]:
    """Requests by who pays for the documents, also of those that were forgotten before."""
    if asked.is_empty():
        return {}
    owners = figures.of_documents(asked["document_id"], by).rename({"id": "document_id"})
    columns = ("document_id", by)
    owners = pl.concat([owners, past.select(columns)])
    if asked.join(owners, on="document_id", how="anti").height:
        owners = pl.concat([owners, collection.catalog.ended_versions(_EVER).select(columns)])
    owned = asked.join(owners.unique("document_id").with_columns(_payer(by)), on="document_id")
    return dict(owned.group_by("tenant").agg(pl.col("count").sum()).iter_rows())


def _payer(by: str) -> pl.Expr:
    return pl.when(pl.col(by) == "").then(pl.lit("(none)")).otherwise(by).alias("tenant")
