"""The catalog contract: what every engine must do. The suite in ``tests/catalog`` runs against each of them.

All times are aware; all digests are `Digest`; every method that writes is one transaction that either happens
whole or not at all. Driver errors never leak: `CatalogError` and its children are raised instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from catalogkit.catalog.about import About
from catalogkit.catalog.accesses import Accesses
from catalogkit.catalog.audited import Audited
from catalogkit.catalog.contents import Contents
from catalogkit.catalog.copies import Copies
from catalogkit.catalog.federation import Federation
from catalogkit.catalog.intake import Intake
from catalogkit.catalog.leases import Leases
from catalogkit.catalog.past import Past
from catalogkit.catalog.rows import (
    Committed,
    Coverage,
    Due,
    Image,
    ImageFacts,
    Intent,
    JournalRow,
    Known,
    Moment,
    PlanRow,
    Position,
    Quota,
    Registration,
    SourceRow,
    SourceStat,
    StoreRow,
)
from catalogkit.catalog.search import Search
from catalogkit.catalog.sketches import Sketches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    import polars as pl

    from catalogkit.catalog.feed import Feed
    from catalogkit.catalog.hand import Hand
    from catalogkit.model import Check, Digest, DocumentRecord, LocationRecord

__all__ = [
    "Catalog",
    "Committed",
    "Coverage",
    "Due",
    "Image",
    "ImageFacts",
    "Intent",
    "JournalRow",
    "Known",
    "Moment",
    "PlanRow",
    "Position",
    "Quota",
    "Registration",
    "SourceRow",
    "SourceStat",
    "StoreRow",
]


class Catalog(Intake, Past, Contents, Copies, Audited, Search, Accesses, Sketches, Leases, About, Federation, Protocol):
    """The truth about facts: documents, blobs, locations, checks, intents, holds, runs."""

    identity: str
    url: str
    """Its address, without secrets."""
    home: str
    """Where it really is: its file with all links resolved, or which database of which server, whatever its names."""

    def close(self) -> None:
        """Give the database back; closing twice is fine."""

    # stores ---------------------------------------------------------------------------------------------------
    def stores(self) -> list[StoreRow]:
        """Every store this catalog knows."""

    def add_store(self, name: str, kind: str, token: str) -> StoreRow:
        """Register a store; the same name and token again changes nothing, another token is refused."""

    # runs and the ledger --------------------------------------------------------------------------------------
    def start_run(self, run_id: str, operation: str, *, as_of: datetime) -> None:
        """Note that a run began; a run id may be continued."""

    def end_run(self, run_id: str, summary: Mapping[str, Any], *, as_of: datetime) -> None:
        """Note that a run came to its end, with its counts."""

    def last_run(self, operation: str) -> Mapping[str, Any]:
        """What the newest run of that kind that came to its end was summed up as; empty without one."""

    def unfinished_run(self, operation: str) -> tuple[str, datetime] | None:
        """The newest run of that kind, if it never ended."""

    def last_check_id(self) -> int:
        """The newest entry of the ledger; entries after it belong to what follows."""

    def due(
        self,
        *,
        before: datetime,
        limit: int,
        after: tuple[int, int] = (-1, -1),
        up_to_check: int,
        digests: Sequence[Digest] | None = None,
        rarer: Mapping[int, datetime] | None = None,
    ) -> list[Due]:
        """Copies whose last check lies before `before`, those of a store in `rarer` before that; the oldest first."""

    def due_totals(
        self, *, before: datetime, up_to_check: int, rarer: Mapping[int, datetime] | None = None
    ) -> tuple[int, int]:
        """How many copies are due, and their bytes together."""

    def record_checks(self, checks: Sequence[Check], *, run_id: str = "") -> None:
        """Add results to the ledger and to the copies they are about."""

    def checks_by_day(self, *, since: datetime, until: datetime) -> list[tuple[int, str, int, int]]:
        """The ledger from `since` until before `until`: day (since 1970, UTC), outcome, checks, bytes read."""

    # quotas ---------------------------------------------------------------------------------------------------
    def quota(self) -> Quota | None:
        """The quota, and how much of it is used; None where there is none."""

    def set_quota(self, *, documents: int | None, bytes: int | None) -> Quota | None:
        """Limit what may be taken in (None: not at all); what is there already stays, be it more.

        A `commit` or a `Hand.recall` that would go over it is a `QuotaExceeded`, and nothing is changed.
        """

    # holds ----------------------------------------------------------------------------------------------------
    def place_hold(
        self,
        reason: str,
        *,
        document_id: int | None = None,
        digest: Digest | None = None,
        placed_by: str = "",
        expires_at: datetime | None = None,
        as_of: datetime,
    ) -> int:
        """Forbid that a document or a blob goes away."""

    def holds(self, *, as_of: datetime) -> list[dict[str, Any]]:
        """Holds in force: id, subject (a document's id or a digest), reason, placed_by, placed_at, expires_at."""

    def release_hold(self, hold_id: int, *, as_of: datetime) -> None:
        """End a hold."""

    # questions ------------------------------------------------------------------------------------------------
    def document(self, document_id: int) -> DocumentRecord | None:
        """One document, if it lives."""

    def find(self, *, limit: int = 100, after_id: int = 0, **filters: str | Digest | None) -> list[DocumentRecord]:
        """Documents by tenant, artifact_id, source_url, resolver, variant, run_id, media_type or sha256, by id."""

    def locations_of(self, digest: Digest) -> list[LocationRecord]:
        """Every copy of a blob."""

    def digests_like(self, prefix: str, limit: int = 2) -> list[Digest]:
        """Contents whose digest begins with these hex digits, in order, at most so many."""

    def digests_of(self, document_ids: Sequence[int]) -> dict[int, Digest]:
        """The content of these documents; ids that do not exist are left out."""

    def frame(self, table: str) -> pl.DataFrame:
        """A whole table with the schema `model.schema(table)`.

        ``documents``, ``blobs``, ``locations``, ``checks``, ``accesses`` and ``contents`` are what they are called.
        ``elsewhere`` is what other sites say that they have, ``wanted`` what documents have, and lies there alone.
        ``document_versions`` has every version of every document, by id and age, also of forgotten ones; the current
        one has no ``valid_to``. ``later_sightings`` leave out documents that were seen last when they last changed.
        ``roots`` keep bytes beside documents, holds and moments: plans, ingests in flight.
        """

    def versions(self, document_id: int) -> pl.DataFrame:
        """Every version of a document, oldest first, the current one last."""

    def totals(self) -> dict[str, int]:
        """documents, blobs, locations, logical_bytes, physical_bytes; counted by the database."""

    def coverage(self, *, as_of: datetime, days: int = 30) -> Coverage:
        """How much of what is stored was proved within so many days."""

    def integrity(self) -> list[str]:
        """What the database itself finds wrong with its file and its references; empty is good."""

    # repair ---------------------------------------------------------------------------------------------------
    def impaired(self) -> pl.DataFrame:
        """Every copy of the live blobs that have a bad one: the columns of `planners.repair.COPIES`."""

    def origins_of(self, digest: Digest) -> list[tuple[int, str]]:
        """Documents that have, or had, this content, and where they came from: living ones first, then the latest."""

    # copies of the catalog ------------------------------------------------------------------------------------
    def feed(self, since: Mapping[str, Any] | None) -> AbstractContextManager[Feed]:
        """Everything that changed since a cursor, from one moment; it costs as much as there are changes.

        Without a cursor, or where the catalog did not go on from it (it was restored from a backup), all there is.
        """

    # backups --------------------------------------------------------------------------------------------------
    def image(self, scratch: str, before: Callable[[str], bool] | None = None) -> AbstractContextManager[Image]:
        """A file with everything that was committed at one moment, holding still while this is open.

        Writers go on. The file may be the catalog's own: read it in another process. `scratch` is for a copy where one
        is needed; `before` puts an earlier image at a path for it to begin with, or says that it cannot.
        """

    def root_names(self, kind: str) -> list[str]:
        """The names of all roots of a kind that keep blobs one by one."""

    def drop_roots(self, kind: str, name: str, *, as_of: datetime) -> None:
        """Let go of the blobs that this root keeps one by one."""

    # plans ----------------------------------------------------------------------------------------------------
    def garbage(self, *, as_of: datetime) -> pl.DataFrame:
        """Live blobs that no document refers to: the columns of `planners.gc.GARBAGE`."""

    def condemned(self, *, as_of: datetime) -> pl.DataFrame:
        """Condemned blobs, a row for each copy: the columns of `planners.gc.CONDEMNED` but ``users``."""

    def strays(self) -> list[tuple[Any, ...]]:
        """Condemned strays: store, key, bytes, inode, mtime_ns, condemned at (microseconds)."""

    def duplicate_counts(self) -> tuple[int, int]:
        """How many contents have more than one location, and how many locations those have together."""

    def duplicate_copies(self) -> list[tuple[Any, ...]]:
        """Locations of contents that have more than one: rows of `planners.dedup.COPIES`, times in microseconds."""

    def duplicate_contents(self) -> list[tuple[Any, ...]]:
        """Contents that have more than one location: rows of `planners.dedup.CONTENTS`, times in microseconds.

        ``resolvers`` is a JSON list; artifact, resolver and tenant are those of the document with the lowest id.
        """

    def dedup_ratio(self) -> float:
        """Share of the logical bytes that sharing spares, as `catalogkit.stats` defines it; 0.0 for no bytes."""

    def root_kinds(self, digest: Digest, *, as_of: datetime) -> dict[str, Any]:
        """Everything known about why a blob is kept; empty where there is no such blob."""

    def begin_plan(
        self,
        plan_id: str,
        kind: str,
        head: Mapping[str, Any],
        approval: Mapping[str, Any],
        *,
        keeps: Iterable[Digest] = (),
        as_of: datetime,
    ) -> bool:
        """Note that a plan is being applied; False where that was noted before. One that had ended goes on.

        `head` is what is to be known of the plan, in plain data, its ``policy`` among it.

        Blobs that it `keeps` cannot be condemned until it has ended. One that was given up is a `PlanError`.
        """

    def end_plan(self, plan_id: str, *, given_up: str = "", as_of: datetime) -> bool:
        """Note that nothing of a plan is left to do, and let go of what it kept; False where it had ended before.

        With `given_up`, words that say why, whatever is left of it is not to be done: `begin_plan` and `hand` refuse
        it with a `PlanError` from then on.
        """

    def plans(self) -> list[PlanRow]:
        """Every plan that was ever applied, newest first, with its counts."""

    def journal(self, plan_id: str) -> list[JournalRow]:
        """A plan's steps so far, by unit and step."""

    def decided(self, plan_id: str, *, units: tuple[int, int] | None = None) -> set[tuple[int, int]]:
        """(unit, step) of every step that was done or skipped; one that failed or waits may be tried again.

        With `units`, of the first to the last of these only.
        """

    def hand(self, plan_id: str, *, as_of: datetime) -> AbstractContextManager[Hand]:
        """The hand of the executor for one batch, one transaction; nobody else writes while it is open.

        A plan that was given up is a `PlanError`.
        """
