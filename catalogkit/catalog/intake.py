"""Contract: what ingest writes, intents before the bytes appear and facts once they are durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from catalogkit.catalog.rows import Committed, Intent, Known, Registration, SourceRow
    from catalogkit.model import Arrival, Digest


class Intake(Protocol):
    """Documents on their way in."""

    def known(self, store_id: int, digests: Iterable[Digest]) -> dict[Digest, Known]:
        """What is known of these blobs; of several copies in the store the healthiest is named."""

    def holders(self, store_id: int, folds: Iterable[str]) -> dict[str, tuple[str, Digest]]:
        """Which readable paths are taken, by their fold: key and content."""

    def stage(
        self, registrations: Sequence[Registration], *, owner: str, expires_at: datetime, as_of: datetime
    ) -> list[int]:
        """Write intents before bytes appear: blobs become ``incoming``, a condemned one is re-armed."""

    def commit(
        self,
        staged: Sequence[tuple[int | None, Registration]],
        *,
        as_of: datetime,
        run_id: str = "",
        late: bool = False,
    ) -> list[Committed]:
        """The bytes are durable: locations appear, blobs live, documents point at them, intents end.

        An intent that somebody else has ended is a `ConstraintError`, and nothing is changed: what happened meanwhile
        wins. Only where it made the document just what this would make it, that is ``same``. Who completes what others
        began is `late`: then a document that was forgotten after its intent was written is a `ConstraintError`, too.
        """

    def abandon(self, intents: Iterable[int]) -> None:
        """End intents whose bytes never appeared; their blobs are forgotten if nothing else wants them."""

    def intents(self) -> list[Intent]:
        """Every ingest in flight, oldest first."""

    def sources(self, folder: str) -> dict[str, SourceRow]:
        """Remembered source files of one folder by name, only those whose content is still well kept."""

    def current(self, arrivals: Sequence[Arrival]) -> list[tuple[int, Digest] | None]:
        """For each arrival the document of the same identity and its content, if there is one."""

    def touch(self, document_ids: Sequence[int], *, as_of: datetime) -> None:
        """These documents were seen again, unchanged."""
