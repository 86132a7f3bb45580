"""Contract: the access log, and evictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from catalogkit.catalog.rows import Access, AccessFile, Eviction
    from catalogkit.model import Digest


class Accesses(Protocol):
    """The access log, and evictions. ``frame("accesses")`` has a row for each document, time and kind, with counts."""

    def record_accesses(self, accesses: Iterable[Access], *, file: AccessFile | None = None) -> bool:
        """Add (document id, time, kind, bytes), or with how often at the end; what is alike is added up.

        What was read from a file is added once: False, and nothing is changed, where that file was before.
        """

    def access_files(self) -> list[AccessFile]:
        """The files that the log was read from, in the sequence they were."""

    def evictions(self, digest: Digest | None = None) -> list[Eviction]:
        """Contents that were evicted, the latest first, of one or of all; those that came back say when."""

    def blob_bytes(self, digest: Digest) -> int | None:
        """How long a blob is, wherever it lies or does not; None where there is no such blob."""

    def fetch_outcomes(self) -> list[tuple[str, int, int]]:
        """By resolver: how often fetching one of its documents again was tried and done, and how often it failed."""
