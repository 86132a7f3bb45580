"""`search`: full-text search in a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.errors import InvalidInput
from catalogkit.progress import Progress, quiet
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from catalogkit.catalog.contract import Catalog
    from catalogkit.found import SearchResults
    from catalogkit.progress import OnProgress

BATCH = 500


class Searching:
    """The searching part of a collection."""

    catalog: Catalog

    @operation("query", query="search")
    def search(
        self,
        words: str,
        filters: Mapping[str, object] | Iterable[str] | str | None = None,
        limit: int = 20,
        *,
        tenant: str | None = None,
        progress: OnProgress = quiet,
    ) -> SearchResults:
        """Documents with all these words in their title, authors, text or names, the best first.

        Their names are artifact, address, resolver and variant, so what nobody looked into is found, too. What came or
        changed since the last search is indexed first.

        Parameters
        ----------
        words
            ``"a phrase"``, ``prefix*`` and ``-without`` are understood; everything else is words. Case, accents and
            ligatures make no difference.
        filters
            Conditions that hold, too: a mapping such as ``{"language": "en", "page_count": (10, None)}``, or clauses
            such as ``["page_count>=10", "metadata.doi=10.1/x"]``. See docs/search.md for the fields.
        limit
            At most so many.
        tenant
            Only documents of this tenant.

        Raises
        ------
        InvalidInput
            If there is no word to look for, or a filter is not understood.

        Examples
        --------
        >>> c.search("c.txt", {"resolver": "arxiv"})["id"].to_list()
        [3]
        """
        from catalogkit.filters import parse_filters
        from catalogkit.found import results
        from catalogkit.words import parse_query

        if limit < 1:
            raise InvalidInput(f"cannot find {limit} documents; give a limit of at least 1")
        terms, wanted = parse_query(words), parse_filters(filters)
        if tenant is not None:
            wanted += parse_filters({"tenant": tenant})
        index_documents(self.catalog, progress)
        found = self.catalog.search(terms, wanted, limit=limit)
        return results(found, self.catalog.texts_of([one.id for one in found]), terms)


def index_documents(catalog: Catalog, progress: OnProgress = quiet) -> int:
    """Index what is not, or not as it is now, in transactions of a few hundred documents; how many that were."""
    total, done = None, 0
    while some := catalog.index_documents(BATCH):
        if total is None:
            total = some + catalog.unindexed()
        done += some
        progress(Progress("index", done, 0, max(total, done), None, 0))
    return done
