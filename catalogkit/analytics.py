"""What sharing saves, what dedup could still free, and what to do about it: the questions of one person at one desk.

Every figure is defined in `catalogkit.stats`; nothing is computed a second way here. 1 GB is 1e9 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

import polars as pl

from catalogkit.collection import Collection
from catalogkit.display import format_bytes, format_share
from catalogkit.errors import InvalidInput
from catalogkit.model import Layout
from catalogkit.stats import DedupTotals, dedup_by, dedup_groups, dedup_totals, store_usage, totals_of

if TYPE_CHECKING:
    from catalogkit.catalog.mirror import Mirror

__all__ = ["DedupAnalytics", "DedupGroup", "Frames"]

_GB: Final = 1e9
# From so many documents on the frames come from the mirror; before, making one would take longer than it spares.
MANY: Final = 500_000
_MOSTLY: Final = 0.5  # a resolver brings mostly duplicates when more than this share of its bytes was there before


class Frames(Protocol):
    """Whatever can hand out the frames of a catalog by name; a `Collection` can."""

    def frame(self, name: str, /) -> pl.DataFrame:
        """The frame called `name`, with the schema that `catalogkit.model.schema` gives it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupGroup:
    """One content that several documents share, or that a store holds more than once. Sizes are in bytes.

    ``bytes`` is the size of one copy; ``media_type`` and ``artifact_id`` are those of its first document.
    """

    sha256: str
    bytes: int
    documents: int
    objects: int
    saved_bytes: int
    reclaimable_bytes: int
    media_type: str
    artifact_id: str


class DedupAnalytics:
    """Answers about duplicates from the frames as they are when first needed; make a new one to look again.

    Parameters
    ----------
    source
        A collection, or anything else with a ``frame(name)``.

    Examples
    --------
    >>> analytics = ck.DedupAnalytics(c)
    >>> analytics.storage_saved_gb()
    4e-06
    >>> len(analytics.top_duplicates(n=5))
    1
    """

    def __init__(self, source: Frames) -> None:
        self._source = source

    @cached_property
    def totals(self) -> DedupTotals:
        """All figures of the whole collection."""
        mirror = self._mirror
        if mirror is not None:
            return totals_of(mirror.ledger(as_of=self._source.now()))  # type: ignore[attr-defined]
        return dedup_totals(self._documents, self._locations)

    def storage_saved_gb(self) -> float:
        """GB that sharing already spares. What dedup could still free is ``totals.reclaimable_bytes``."""
        return self.totals.saved_bytes / _GB

    def dedup_ratio(self) -> float:
        """Saved / logical bytes, 0 to 1; see `DedupTotals.dedup_ratio`."""
        return self.totals.dedup_ratio

    def top_duplicates(self, n: int = 10) -> list[DedupGroup]:
        """The `n` groups from which dedup can free most; where that is the same, which it has saved most on."""
        if n < 0:
            raise InvalidInput(f"cannot list {n} groups; give 0 or more")
        top = self._groups.select(*DedupGroup.__dataclass_fields__).head(n)
        return [DedupGroup(**row) for row in top.iter_rows(named=True)]

    def dedup_by_resolver(self) -> dict[str, float]:
        """GB that sharing spares, by resolver; a blob's share is split between its documents, so the parts add up."""
        resolvers, saved = self._resolvers.select("resolver", "saved_bytes").get_columns()
        return dict(zip(resolvers, saved / _GB, strict=True))

    def recommendations(self) -> list[str]:
        """What is worth doing, the most serious first, each with its figure; one sentence if there is nothing."""
        totals, size, advice = self.totals, format_bytes, list[str]()
        if totals.absent_bytes:
            advice.append(f"{size(totals.absent_bytes)} that documents need are in no store: repair, or fetch again.")
        # What stays in its owner's hands is never changed: its spare copies are no work for dedup.
        ours = self._locations.filter(pl.col("layout") != Layout.REFERENCE.value)
        usage = store_usage(self._documents, ours).select("store", "reclaimable_bytes")
        free = int(usage["reclaimable_bytes"].sum())
        if free:
            store, spare = usage.sort("reclaimable_bytes", "store", descending=[True, False]).row(0)
            advice.append(f"Dedup can free {size(free)} of spare copies, {size(spare)} of it in store {store!r}.")
            group = dedup_groups(self._documents, ours).row(0, named=True)
            copies = "{objects} copies of {sha256:.8}, first brought by artifact {artifact_id!r}".format_map(group)
            advice.append(
                f"The biggest group frees {size(group['reclaimable_bytes'])}: {copies}; "
                f"documents that need them: {group['documents']}."
            )
        if in_place := totals.reclaimable_bytes - free:
            advice.append(
                f"{size(in_place)} of spare copies are in their owners' hands, where dedup changes nothing: "
                "take those files in, and a store keeps equal bytes once."
            )
        brought, again = pl.col("logical_bytes"), pl.col("duplicate_bytes")
        repeating = self._resolvers.filter(again > _MOSTLY * brought).sort(again, "resolver", descending=[True, False])
        for name, part, whole in repeating.select(pl.col("resolver"), again, brought).head(1).iter_rows():
            known = f"{size(part)} of its {size(whole)}"
            advice.append(f"Resolver {name!r} brings mostly what is there already: {known}.")
        if totals.unreferenced_bytes:
            advice.append(f"{size(totals.unreferenced_bytes)} belong to no document: plan a garbage collection.")
        return advice or [f"Nothing to do: no spare copies; sharing already saves {size(totals.saved_bytes)}."]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        totals = self.totals
        rows = {
            "documents": f"{totals.documents:,}",
            "distinct contents": f"{totals.blobs:,}",
            "stored objects": f"{totals.objects:,}",
            "logical": format_bytes(totals.logical_bytes),
            "physical": format_bytes(totals.physical_bytes),
            "saved by sharing": f"{format_bytes(totals.saved_bytes)} ({format_share(totals.dedup_ratio)} of logical)",
            "reclaimable by dedup": format_bytes(totals.reclaimable_bytes),
            "replicas in further stores": format_bytes(totals.replica_bytes),
            "belonging to no document": format_bytes(totals.unreferenced_bytes),
            "in no store": format_bytes(totals.absent_bytes),
        }
        cells = "".join(f"<tr><th scope='row'>{name}</th><td>{value}</td></tr>" for name, value in rows.items())
        return {
            "text/plain": "\n".join(f"{name:<27}{value}" for name, value in rows.items()),
            "text/html": f"<table>{cells}</table>",
        }

    @cached_property
    def _mirror(self) -> Mirror | None:
        """The mirror of a collection of many documents: the same rows, read several times faster."""
        if not isinstance(self._source, Collection) or find_spec("duckdb") is None:
            return None
        return self._source.mirror if self._source.catalog.position().last_id >= MANY else None

    def _frame(self, name: str) -> pl.DataFrame:
        if self._mirror is None:
            return self._source.frame(name)
        return self._mirror.frame(name, as_of=self._source.now())  # type: ignore[attr-defined]

    @cached_property
    def _documents(self) -> pl.DataFrame:
        return self._frame("documents")

    @cached_property
    def _locations(self) -> pl.DataFrame:
        return self._frame("locations")

    @cached_property
    def _groups(self) -> pl.DataFrame:
        return dedup_groups(self._documents, self._locations)

    @cached_property
    def _resolvers(self) -> pl.DataFrame:
        return dedup_by(self._documents, self._locations, "resolver")
