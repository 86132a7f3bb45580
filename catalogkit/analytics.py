"""`DedupAnalytics`: what sharing saves, what dedup could still free, and what to do about it.

Every figure is defined in `catalogkit.stats`; nothing is computed a second way here. 1 GB is 1e9 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Final, Protocol

import polars as pl

from catalogkit.catalog.figures import Figures
from catalogkit.collection import Collection
from catalogkit.display import format_bytes, format_share
from catalogkit.errors import InvalidInput
from catalogkit.model import Layout
from catalogkit.stats import DedupTotals, dedup_by, dedup_groups, dedup_totals, objects_of, ranked

__all__ = ["Answers", "DedupAnalytics", "DedupGroup", "Frames"]

_GB: Final = 1e9
# From so many documents on the answers come from the mirror.
MANY: Final = 500_000
_MOSTLY: Final = 0.5  # a resolver brings mostly duplicates when more than this share of its bytes was there before


class Frames(Protocol):
    """Whatever can hand out the frames of a catalog by name; a `Collection` can."""

    def frame(self, name: str, /) -> pl.DataFrame:
        """The frame called `name`, with the schema that `catalogkit.model.schema` gives it."""
        ...


class Answers(Protocol):
    """Whatever answers what is asked here; `Mirror.figures` does."""

    @property
    def totals(self) -> DedupTotals:
        """`stats.dedup_totals`."""
        ...

    @property
    def groups(self) -> pl.DataFrame:
        """`stats.dedup_groups`; `described` may be needed for what their documents tell."""
        ...

    def described(self, groups: pl.DataFrame, /) -> pl.DataFrame:
        """Groups with ``media_type``, ``resolvers`` and ``artifact_id``."""
        ...

    def by(self, column: str, /) -> pl.DataFrame:
        """`stats.dedup_by`."""
        ...

    def spare(self) -> pl.DataFrame:
        """Objects of contents with spare copies: ``sha256``, ``store``, ``bytes``, ``documents``, ``objects``."""
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
        A collection, anything else with a ``frame(name)``, or what `Mirror.figures` gives.

    Examples
    --------
    >>> analytics = ck.DedupAnalytics(c)
    >>> analytics.storage_saved_gb()
    4e-06
    >>> len(analytics.top_duplicates(n=5))
    1
    """

    def __init__(self, source: Frames | Figures) -> None:
        self._answers: Answers = source if isinstance(source, Figures) else _answers(source)

    @property
    def totals(self) -> DedupTotals:
        """All figures of the whole collection."""
        return self._answers.totals

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
        top = self._answers.described(self._answers.groups.head(n)).select(*DedupGroup.__dataclass_fields__)
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
        ours = self._answers.spare()
        spare = ((pl.col("objects") - 1) * pl.col("bytes")).alias("spare")
        usage = ours.group_by("store").agg(spare.sum()).sort("spare", "store", descending=[True, False])
        free = int(usage["spare"].sum())
        if free:
            store, most = usage.row(0)
            advice.append(f"Dedup can free {size(free)} of spare copies, {size(most)} of it in store {store!r}.")
            ledger = ours.group_by("sha256").agg(
                pl.col("bytes", "documents").first(), pl.col("objects").sum(), stores=pl.len()
            )
            first = ranked(ledger, ["sha256", "documents", "objects"]).head(1)
            group = self._answers.described(first).row(0, named=True)
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
    def _resolvers(self) -> pl.DataFrame:
        return self._answers.by("resolver")


class _FromFrames:
    """The answers out of whole frames, read when first needed: for small catalogs, and where there is no DuckDB."""

    def __init__(self, source: Frames) -> None:
        self._source = source

    @cached_property
    def totals(self) -> DedupTotals:
        """`stats.dedup_totals`."""
        return dedup_totals(self._documents, self._locations)

    @cached_property
    def groups(self) -> pl.DataFrame:
        """`stats.dedup_groups`."""
        return dedup_groups(self._documents, self._locations)

    def described(self, groups: pl.DataFrame) -> pl.DataFrame:
        """Groups with what their documents tell."""
        told = [name for name in ("media_type", "resolvers", "artifact_id") if name not in groups.columns]
        return groups.join(self.groups.select("sha256", *told), on="sha256", how="left", maintain_order="left")

    def by(self, column: str) -> pl.DataFrame:
        """`stats.dedup_by`."""
        return dedup_by(self._documents, self._locations, column)

    def spare(self) -> pl.DataFrame:
        """Objects of contents with spare copies, by store, without those in their owners' hands."""
        ours = self._locations.filter(pl.col("layout") != Layout.REFERENCE.value)
        held = objects_of(ours).group_by("sha256", "store").agg(pl.col("bytes").max(), objects=pl.len().cast(pl.Int64))
        users = self._documents.group_by("sha256").agg(documents=pl.len().cast(pl.Int64))
        return held.collect().join(users, on="sha256")

    @cached_property
    def _documents(self) -> pl.DataFrame:
        return self._source.frame("documents")

    @cached_property
    def _locations(self) -> pl.DataFrame:
        return self._source.frame("locations")


def _answers(source: Frames) -> Answers:
    """From the mirror where a collection has many documents; before, making one would take longer than it spares."""
    if isinstance(source, Collection) and find_spec("duckdb") and source.catalog.position().last_id >= MANY:
        return source.mirror.figures(as_of=source.now())
    return _FromFrames(source)
