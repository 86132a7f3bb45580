"""What eviction needs to know of contents, from the mirror; `planning.evictable` does the same from frames.

Ten million rows stay in DuckDB; what leaves it is a row of numbers for each content, and the names of few of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from catalogkit.addresses import ORIGIN, unfit
from catalogkit.lookup import places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from catalogkit.catalog.figures import Figures

_FACTS: Final = """
WITH tried AS (SELECT unnest($resolvers::VARCHAR[]) AS resolver, unnest($chances::DOUBLE[]) AS chance),
told AS (
    SELECT blob_id, id, least(created_at, fetched_at) AS came_at, coalesce(chance, $usual) AS chance,
        {unfit} AS unfit
    FROM documents LEFT JOIN tried USING (resolver)
),
used AS (
    SELECT blob_id, min(id) AS document_id, count(*) AS documents, min(came_at) AS created_at, min(chance) AS chance,
        bool_or(unfit) AS unfit
    FROM told GROUP BY blob_id
),
held AS (
    SELECT blob_id FROM documents WHERE id IN (SELECT unnest($held::BIGINT[]))
    UNION ALL SELECT blob_id FROM blobs WHERE sha256 IN (SELECT unnest($digests::VARCHAR[]))
),
rooted AS (SELECT blob_id FROM blobs WHERE sha256 IN (SELECT unnest($rooted::VARCHAR[]))),
away AS (SELECT * FROM locations WHERE store <> $home AND outcome IS DISTINCT FROM 'missing'),
lying AS (
    SELECT blob_id, count(*) AS objects
    FROM (SELECT DISTINCT store, blob_id, inode, CASE WHEN inode IS NULL THEN id END AS own FROM away) GROUP BY blob_id
)
SELECT document_id, documents, b.bytes, used.created_at, chance AS refetch_chance,
    (b.objects - coalesce(lying.objects, 0)) * b.bytes AS stored_bytes,
    blob_id IN (SELECT blob_id FROM away WHERE outcome IS DISTINCT FROM 'corrupt') AS elsewhere,
    CASE WHEN blob_id IN (SELECT blob_id FROM held) THEN 'held' WHEN unfit THEN 'source'
        WHEN blob_id IN (SELECT blob_id FROM rooted) THEN 'kept' ELSE '' END AS stays
FROM used JOIN blobs b USING (blob_id) LEFT JOIN lying USING (blob_id)
"""
_UNFIT: Final = "regexp_extract(source_url, $origin) IN (SELECT unnest($unfit::VARCHAR[]))"
_OF_DIGESTS: Final = "blob_id IN (SELECT blob_id FROM blobs WHERE sha256 IN (SELECT * FROM given))"
_NAMED: Final = (
    "SELECT id AS document_id, sha256, artifact_id, resolver, tenant, media_type"
    " FROM documents WHERE id IN (SELECT * FROM given)"
)
# So many origins, those that a few documents have most often, are told by how URLs begin: that is quicker.
_COMMON: Final = """
SELECT regexp_extract(source_url, $origin) AS origin FROM documents TABLESAMPLE 1 PERCENT (system)
GROUP BY origin HAVING origin <> '' ORDER BY count(*) DESC LIMIT 5
"""
_OTHERS: Final = "SELECT DISTINCT regexp_extract(source_url, $origin) FROM documents WHERE NOT ({common})"
# Contents first: one that thousands share would be joined with itself for each of those who asked.
_FIRSTS: Final = """
WITH asked AS (SELECT id, blob_id FROM documents WHERE id IN (SELECT * FROM given)),
firsts AS (
    SELECT blob_id, min(id) AS document_id FROM documents WHERE blob_id IN (SELECT blob_id FROM asked) GROUP BY blob_id
)
SELECT id, document_id FROM asked JOIN firsts USING (blob_id)
"""
_SHARING: Final = f"SELECT sha256, id AS document_id FROM documents WHERE {_OF_DIGESTS} ORDER BY id"
_COPIES: Final = f"SELECT sha256, store, key, bytes, inode, mtime_ns, outcome FROM locations WHERE {_OF_DIGESTS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is known of contents beside documents and copies.

    Attributes
    ----------
    home : str
        The store that is to be relieved.
    held_documents, held_contents, rooted : sequence
        Ids and digests that a hold is on; digests that plans, ingests and the like need.
    chances : mapping
        How likely a fetch succeeds, by resolver; `usual` for the others.
    private : bool
        Whether hosts of private addresses may be asked.
    """

    home: str
    held_documents: Sequence[int] = ()
    held_contents: Sequence[str] = ()
    rooted: Sequence[str] = ()
    chances: Mapping[str, float]
    usual: float
    private: bool = False


class OfMirror:
    """The contents of a large catalog, all as of one moment."""

    def __init__(self, figures: Figures) -> None:
        self.figures, self._ask = figures, figures.ask

    def facts(self, beside: Beside) -> pl.DataFrame:
        """As `planning.evictable.OfFrames`; so are the others."""
        asked = {
            "home": beside.home, "usual": beside.usual, "resolvers": list(beside.chances),
            "chances": list(beside.chances.values()), "held": list(beside.held_documents),
            "digests": list(beside.held_contents), "rooted": list(beside.rooted),
        }  # fmt: skip
        bad = [url for url in self._origins() if unfit(url, private=beside.private)]
        if bad:
            asked |= {"origin": ORIGIN, "unfit": bad}
        # Nearly always none is, and where millions came from is not looked at twice.
        return self._ask(_FACTS.format(unfit=_UNFIT if bad else "false"), asked).sort("document_id")

    def _origins(self) -> list[str]:
        """Where documents came from: the parts of their URLs that `unfit` looks at."""
        common = [origin for (origin,) in self.figures.rows(_COMMON, {"origin": ORIGIN})]
        begun = {f"begun_{place}": f"{origin}/" for place, origin in enumerate(common)}
        known = " OR ".join(f"starts_with(source_url, ${name})" for name in begun) or "false"
        others = self._ask(_OTHERS.format(common=known), {"origin": ORIGIN, **begun})
        return sorted({*common, *others.to_series()})

    def named(self, documents: pl.Series) -> pl.DataFrame:
        return self._about(_NAMED, documents)

    def classed(self, documents: pl.Series) -> pl.DataFrame:
        # All of them: nearly every content has one document, and to look for these takes as long as to read them.
        kinds = ["resolver", "tenant", "media_type"]
        told = self.figures.coded("documents", "id, artifact_id", kinds)
        return told[places(documents, told["id"])].select("artifact_id", *kinds)

    def firsts(self, documents: pl.Series) -> pl.DataFrame:
        return self._about(_FIRSTS, documents)

    def sharing(self, digests: pl.Series) -> pl.DataFrame:
        return self._about(_SHARING, digests)

    def copies(self, digests: pl.Series) -> pl.DataFrame:
        return self._about(_COPIES, digests)

    def _about(self, query: str, some: pl.Series) -> pl.DataFrame:
        # A list among the parameters would be taken apart value by value.
        with self.figures.given("given", some):
            return self._ask(query)
