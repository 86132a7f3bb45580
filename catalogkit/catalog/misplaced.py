"""Finds copies, in the mirror, whose layout is not the one wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

    from catalogkit.catalog.figures import Figures

# Readable paths are those of documents: what none has keeps its address.
_MISPLACED: Final = """
FROM locations SEMI JOIN (
    SELECT blob_id FROM blobs WHERE state = 'live' AND (refs > 0 OR $to <> 'policy')
) USING (blob_id)
WHERE store = $store AND layout <> $to AND (outcome IN ('corrupt', 'missing')) IS
"""
_DOCUMENTS: Final = "id, tenant, artifact_id, source_url, resolver, variant, run_id, sha256, media_type"


class Misplaced:
    """What a migration is about.

    Parameters
    ----------
    figures
        The mirror.
    store
        The name of the store.
    to
        The layout that its copies are to have.
    """

    def __init__(self, figures: Figures, store: str, to: str) -> None:
        self.figures, self._given = figures, {"store": store, "to": to}

    def by_type(self) -> pl.DataFrame:
        """The healthy ones by media type: ``media_type``, ``copies``, ``bytes``."""
        return self.figures.ask(
            "SELECT media_type, count(*) AS copies, sum(l.bytes)::BIGINT AS bytes"
            f" FROM (SELECT blob_id, bytes {_MISPLACED} NOT TRUE) l JOIN blobs USING (blob_id) GROUP BY 1 ORDER BY 1",
            self._given,
        )

    def counts(self) -> tuple[int, int]:
        """How many there are that are healthy, and how many that are known to be bad."""
        good, bad = (
            self.figures.rows(f"SELECT count(*) {_MISPLACED} {which}", self._given)[0][0]
            for which in ("NOT TRUE", "TRUE")
        )
        return good, bad

    def copies(self, limit: int | None) -> pl.DataFrame:
        """The first healthy ones by id, or all: ``id``, ``sha256``, ``bytes``, ``key``, ``inode``, ``mtime_ns``."""
        most = "" if limit is None else f" LIMIT {int(limit)}"
        columns = "id, sha256, bytes, key, inode, mtime_ns, blob_id"
        self.figures.do(
            f"CREATE OR REPLACE TEMP TABLE misplaced AS SELECT {columns} {_MISPLACED} NOT TRUE ORDER BY id{most}",
            self._given,
        )
        return self.figures.ask("SELECT * EXCLUDE (blob_id) FROM misplaced ORDER BY id")

    def documents(self) -> pl.DataFrame:
        """The documents of what `copies` told last, by id."""
        return self.figures.ask(f"SELECT {_DOCUMENTS} FROM documents SEMI JOIN misplaced USING (blob_id) ORDER BY id")

    def in_place(self) -> pl.DataFrame:
        """Where copies lie that have the layout already: ``key``, ``sha256``."""
        return self.figures.ask("SELECT key, sha256 FROM locations WHERE store = $store AND layout = $to", self._given)
