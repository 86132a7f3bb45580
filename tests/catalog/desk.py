"""A desk to take documents in at: short words for what the tests of catalogs do."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl
from hypothesis import HealthCheck

from catalogkit.catalog.contract import Registration
from catalogkit.layouts import cas_key
from catalogkit.model import Arrival, Check, Digest, Layout, Outcome, to_us
from tests.luck import examples

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from catalogkit.catalog.contract import Catalog, Committed

NOW: Final = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN: Final = "f" * 64
# For properties that make a catalog for every example; a busy machine is not a finding.
relaxed = examples(
    15,
    # The same property is asked of every engine, by classes of their own.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class Connect(Protocol):
    """Opens one more connection to one catalog."""

    def __call__(self, *, busy_seconds: float = 60) -> Catalog: ...


class New(Protocol):
    """Makes an empty catalog, which is there until the context ends."""

    def __call__(self) -> AbstractContextManager[Connect]: ...


def sha(content: str) -> Digest:
    """The digest of a document that consists of these words."""
    return Digest(hashlib.sha256(content.encode()).digest())


class Desk:
    """A catalog with one store, and short words for what the tests do to it."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.store_id = catalog.add_store("main", "local", "token of main").id

    def entry(self, content: str = "one", artifact: str = "a", **changes: Any) -> Registration:
        """One arrived document; `changes` go to the registration, or to its arrival where that has the field."""
        facts = {key: changes.pop(key) for key in list(changes) if key in Arrival.__dataclass_fields__}
        plain = Registration(
            arrival=Arrival(**{"artifact_id": artifact, "source_url": f"https://example.org/{artifact}"} | facts),
            digest=sha(content),
            bytes=len(content),
            media_type="text/plain",
            store_id=self.store_id,
            key=cas_key(sha(content)),
            layout=Layout.CAS,
        )
        return replace(plain, **changes)

    def at(self, key: str, content: str = "one", artifact: str = "a", **changes: Any) -> Registration:
        """One arrived document whose bytes lie at a readable path."""
        return self.entry(content, artifact, key=f"docs/{key}", layout=Layout.POLICY, **changes)

    def stage(self, *entries: Registration, owner: str = "me", as_of: datetime = NOW) -> list[int]:
        return self.catalog.stage(entries, owner=owner, expires_at=as_of + HOUR, as_of=as_of)

    def put(self, *entries: Registration, as_of: datetime = NOW, run_id: str = "") -> list[Committed]:
        """Take documents in, the whole way."""
        staged = list(zip(self.stage(*entries, as_of=as_of), entries, strict=True))
        return self.catalog.commit(staged, as_of=as_of, run_id=run_id)

    def put_one(self, *args: Any, as_of: datetime = NOW, **changes: Any) -> int:
        """Take one document in; its id."""
        return self.put(self.entry(*args, **changes), as_of=as_of)[0].document_id

    def forget(self, document_id: int, as_of: datetime = NOW) -> str:
        """Forget a document; why not, or nothing when done."""
        with self.catalog.hand(PLAN, as_of=as_of) as hand:
            return hand.forget(document_id, self.catalog_digest(document_id))

    def catalog_digest(self, document_id: int) -> Digest:
        ((digest,),) = self.catalog.frame("documents").filter(pl.col("id") == document_id).select("sha256").rows()
        return Digest.parse(digest)

    def condemn(self, content: str, as_of: datetime = NOW) -> str:
        """Condemn a blob; why not, or nothing when done."""
        since = dict(self.catalog.garbage(as_of=as_of).select("sha256", "since").rows()).get(str(sha(content)), as_of)
        with self.catalog.hand(PLAN, as_of=as_of) as hand:
            return hand.condemn_blob(sha(content), to_us(since))

    def blob(self, content: str) -> dict[str, Any] | None:
        """A blob's row."""
        rows = self.catalog.frame("blobs").filter(pl.col("sha256") == str(sha(content))).rows(named=True)
        return rows[0] if rows else None

    def state(self, content: str) -> str | None:
        blob = self.blob(content)
        return blob and blob["state"]

    def location(self, content: str = "one") -> int:
        """The id of a blob's first copy."""
        return self.catalog.locations_of(sha(content))[0].id

    def check(
        self, content: str = "one", outcome: Outcome = Outcome.OK, at: datetime = NOW, location: int | None = None
    ) -> None:
        """Note what a check of a blob's first copy found."""
        where = self.location(content) if location is None else location
        check = Check(location_id=where, sha256=sha(content), checked_at=at, outcome=outcome, bytes=len(content))
        self.catalog.record_checks([check])
