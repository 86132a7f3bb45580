"""Contract: the changes that the executor of plans makes, one transaction a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import timedelta

    from catalogkit.model import Digest, LocationRecord


class Hand(Protocol):
    """Changes facts, each guarded by what is true now. Methods say why not, or nothing when done."""

    def note(
        self,
        unit: int,
        step: int,
        kind: str,
        outcome: str,
        why: str,
        subject: tuple[Any, ...],
        freed: int,
        effect: str = "",
        wait: timedelta | None = None,
    ) -> None:
        """Write a step into the journal.

        `subject` is (digest, document id, store id, key, from store id, from key); `effect` is what an undo needs to
        know; `wait` is how long one that is ``waiting`` from now on will. Without it one that waits already keeps the
        row that says since when, and until when.
        """

    def decided(self, first: int, last: int) -> set[tuple[int, int]]:
        """(unit, step) of every step of these units that is decided by now; those that failed or wait are not."""

    def outcomes_before(self, unit: int, step: int) -> set[str]:
        """The outcomes of a unit's earlier steps, those of this batch included."""

    def tentative(self) -> AbstractContextManager[None]:
        """What is changed inside is taken back if it ends with an error."""

    def keep_away(self) -> None:
        """To be asked before each removal of bytes: nobody else begins to need any until this is over.

        That holds also where the server ends this transaction meanwhile. Raises `CatalogBusy` where it cannot be
        promised: then nothing must be removed.
        """

    def state(self, digest: Digest) -> str | None:
        """The state of a blob; None where there is no such blob."""

    def copies(self, digest: Digest) -> list[LocationRecord]:
        """Every copy of a blob."""

    def placeable(self, digest: Digest, store_id: int, key: str) -> str:
        """Whether a live blob may lie at a key: no other content has it, or a name that folds to the same."""

    def place(
        self, digest: Digest, store_id: int, key: str, inode: int | None, mtime_ns: int, size: int, *, read: bool = True
    ) -> None:
        """Record that a blob lies at a key, proved good at this moment by reading `size` bytes, or unchecked."""

    def note_missing(self, digest: Digest, store_id: int, key: str, detail: str) -> None:
        """Record that nothing of a blob lies at a key any more; the location stays."""

    def drop_location(self, digest: Digest, store_id: int, key: str) -> str:
        """Forget one of several copies of a live blob; the last that is not known to be bad stays."""

    def evict(self, digest: Digest) -> str:
        """Note that the last copy of a live blob is about to go on purpose: whoever needs it can have it fetched again.

        Refused where a document of it has no address, a hold, an ingest, another plan, a snapshot or a backup keeps it.
        """

    def evicted(self, digest: Digest) -> bool:
        """Whether this plan noted that, the bytes did not come back since, and it could be noted at this moment."""

    def lost(self, size: int) -> list[Digest]:
        """Live blobs of that size of which every copy is known to be bad, as the first question found it."""

    def condemn_blob(self, digest: Digest, since_us: int) -> str:
        """Condemn a blob that has been garbage, without a break, since then."""

    def condemn_stray(self, store_id: int, key: str, size: int, inode: int | None, mtime_ns: int | None) -> str:
        """Condemn a file that no record knows; another one than was condemned there begins anew."""

    def rearm_blob(self, digest: Digest) -> str:
        """Take a blob back from the condemned."""

    def rearm_stray(self, store_id: int, key: str) -> str:
        """Take a stray back from the condemned."""

    def forget(self, document_id: int, digest: Digest, seen_us: int | None = None) -> str:
        """Forget a document, if it still is what it was, and was not seen after that time, if one is given."""

    def recall(self, document_id: int, digest: Digest) -> str:
        """Bring a forgotten document back, under its old id, as it was."""

    def resolve(self, document_id: int, group: str, chosen: str, values: str) -> str:
        """Write one of the values that sites left of a document (its dot, of all dots) in the knowledge of all."""

    def purgeable(self, copies: Sequence[tuple[bytes, int, int | None, str | None]]) -> list[str]:
        """For each (digest, garbage since, store id, key) why it may not be removed; empty where it may.

        It may where the blob is still condemned, was garbage since then without a break, is needed by no intent, root,
        moment or hold, and has a copy there; without a store and a key it is about the blob alone.
        """

    def stray_purgeable(self, store_id: int, key: str, since_us: int) -> str:
        """Whether a stray is still condemned since then and no record knows it."""

    def drop_copies(self, copies: Sequence[tuple[bytes, int, str]]) -> None:
        """Forget copies (digest, store id, key) whose bytes are gone; with its last one a blob is purged."""

    def end_blob(self, digest: Digest) -> None:
        """Mark a blob without copies as purged; it stays as a fact."""

    def drop_stray(self, store_id: int, key: str) -> None:
        """Forget a stray whose file is gone."""
