"""Contract: full-text search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from catalogkit.catalog.rows import Found
    from catalogkit.filters import Filter
    from catalogkit.words import Term


class Search(Protocol):
    """Every document can be found by its names (artifact, address, resolver, variant, and the title that came with it),
    and by the title, authors and text that somebody told of its content.

    An engine indexes what `words.indexed` makes of these, and looks for terms as `words.parse_query` gives them: a
    word, or several next to each other. Index and catalog may part for a while: `index_documents` brings them
    together, a few at a time; what changed is found as it is now, or not at all, and what is gone is never found.
    """

    def index_documents(self, limit: int = 500) -> int:
        """Index some of the documents that are not, or not as they are now; how many, 0 when nothing is left to do."""

    def unindexed(self) -> int:
        """How many documents cannot be found as they are now, at most."""

    def search(
        self, terms: Sequence[Term], filters: Sequence[Filter] = (), *, limit: int = 20, offset: int = 0
    ) -> list[Found]:
        """Indexed documents with every term that is wanted and none that is not, the best first; all filters hold.

        Words count more in a title than among authors, there more than in names, there more than in the text. Of
        equally good ones the newer comes first.

        Raises
        ------
        InvalidInput
            If `limit` is below 1, or no term is wanted.
        """

    def texts_of(self, document_ids: Sequence[int]) -> Mapping[int, str]:
        """The texts of these documents, as they are kept; documents without any are left out."""
