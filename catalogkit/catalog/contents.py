"""Contract: metadata and text extracted from blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from catalogkit.catalog.rows import DueContent
    from catalogkit.content import ContentMetadata
    from catalogkit.model import Digest


class Contents(Protocol):
    """What is inside blobs: one set of facts for each, the latest; a purged blob has none.

    ``frame("contents")`` has them all, but for the texts.
    """

    def record_contents(self, contents: Iterable[tuple[Digest, ContentMetadata]], *, as_of: datetime) -> int:
        """Note what is inside blobs, in place of what was noted before; how many were noted.

        Blobs that are not known, or were purged meanwhile, are passed over.
        """

    def content_of(self, digest: Digest) -> ContentMetadata | None:
        """What is inside a blob, with its text; None where nobody looked."""

    def contents_due(self, versions: Mapping[str, int], *, after: bytes = b"", limit: int = 10_000) -> list[DueContent]:
        """Live blobs that nobody looked into, or only an extractor whose version was lower than it is in `versions`.

        By digest; pages follow `after`. Blobs that an extractor told about that is not in `versions` are not due.
        """

    def contents_due_totals(self, versions: Mapping[str, int]) -> tuple[int, int]:
        """How many blobs are due, and their bytes together."""

    def last_content_id(self) -> int:
        """The number under which a blob was told of last; 0 before the first."""

    def contents_told(self, digests: Sequence[Digest], *, since: int) -> set[Digest]:
        """Which of these blobs were told of after that number, such as by another run."""

    def drop_texts(self, digests: Sequence[Digest] | None = None) -> int:
        """Let go of the texts of these blobs, by default of all; everything else about them stays. How many."""
