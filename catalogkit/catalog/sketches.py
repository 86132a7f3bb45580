"""Contract: sketches of texts, by which near-duplicates are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from catalogkit.catalog.rows import ContentText
    from catalogkit.near.sketches import Sketch


class Sketches(Protocol):
    """A sketch for each content whose text was told; it goes when the content is told anew, and with it."""

    def texts_to_sketch(self, version: str, *, limit: int = 200) -> list[ContentText]:
        """Contents without a sketch of that version whose text, or the lack of one, is known; by number.

        What had a sketch of another version, but whose text is kept no more, stays as it is.
        """

    def known_texts(self) -> int:
        """How many contents have a text, or are known to have none."""

    def record_sketches(self, sketches: Iterable[tuple[int, Sketch]], *, version: str) -> int:
        """Note sketches by the numbers of their contents, in place of earlier ones; how many were noted.

        Contents that were told anew meanwhile, or are gone, are passed over.
        """

    def sketches(self, version: str) -> pl.DataFrame:
        """The sketches of that version of what documents have now: the columns of `near.pairs.SKETCHES`, by digest."""

    def text_of(self, sha256: str) -> str:
        """The text of a content; empty where none is kept."""
