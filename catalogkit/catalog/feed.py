"""Contract: everything that changed since a moment, for whoever keeps a copy of the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import polars as pl


# Rows at once: just as many as DuckDB keeps together, so that whole groups of them go straight into its file. A few
# rows more would be a group of their own, with room for which a checkpoint writes its neighbours anew once some of
# their rows are gone.
PAGE: Final = 122_880


class Feed(Protocol):
    """Rows for a copy of the catalog: `keys` are replaced by `rows`; those without a row are gone."""

    cursor: Mapping[str, Any]
    """Where the catalog stands: plain data, for the next feed."""
    whole: bool
    """Whether this is all there is, so that a copy is begun anew."""
    changed: bool
    """Whether there is anything at all."""

    def keys(self, table: str) -> pl.DataFrame:
        """The rows of a table of the mirror to be replaced: a column ``id``, of blobs and contents ``sha256``."""

    def rows(self, table: str) -> Iterator[pl.DataFrame]:
        """Those rows as they are now, in pages with the schema `model.mirrored`; of a whole feed all there are."""
