"""Plans repairs: restores bad and missing copies from whatever still holds the right bytes.

Nothing is repaired from a copy that is only believed to be good: whoever carries the plan out reads the source anew and
takes only bytes that hash right. What lies at the key until then is put aside, never thrown away.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from catalogkit.addresses import unfit
from catalogkit.errors import InvalidInput
from catalogkit.layouts import cas_key
from catalogkit.model import Digest, Outcome
from catalogkit.plan import SCHEMA, Head, Plan, StepKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    Row = dict[str, Any]

# Why a step is planned: what the right bytes are to come from.
REASONS: Final = {
    "copy-proved": "another copy was verified recently",
    "copy-stale": "another copy was verified, but not recently",
    "copy-unread": "another copy exists that was never read",
    "copy-unreachable": "another copy exists that could not be read the last time",
    "copy-repaired": "another copy is repaired first",
    "stray": "a file of the store without a record has the same bytes",
    "quarantined": "a file in quarantine has the same bytes",
    "source": "no copy is left; its source may still have it",
    "surplus": "it is missing, and its store has enough healthy copies",
    "owner-changed": "its owner moved or changed it, and a healthy copy is kept",
}
# Why a copy cannot be repaired.
REASONS_NOT: Final = {
    "owner": "it is in its owner's hands, where nothing is written",
    "not-asked": "no copy is left; it may be fetched from its source, if that is allowed",
    "not-fetchable": "no copy is left, and it cannot be fetched",
    "no-source": "no copy is left, and nobody knows where it came from",
}

# What a gatherer hands over. `origins` are in the order in which they are to be tried.
COPIES: Final = pl.Schema(
    {
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "media_type": pl.String(),
        "store": pl.String(),
        "store_kind": pl.String(),
        "key": pl.String(),
        "inode": pl.Int64(),
        "checked_at": pl.Datetime("us", "UTC"),
        "outcome": pl.String(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "tenant": pl.String(),
    }
)
FINDS: Final = pl.Schema({"sha256": pl.String(), "store": pl.String(), "key": pl.String(), "kind": pl.String()})
ORIGINS: Final = pl.Schema({"sha256": pl.String(), "document_id": pl.Int64(), "source_url": pl.String()})
UNREPAIRABLE: Final = pl.Schema(
    {
        "sha256": pl.String(),
        "store": pl.String(),
        "key": pl.String(),
        "outcome": pl.String(),
        "bytes": pl.Int64(),
        "reason": pl.String(),
        "why": pl.String(),
        "artifact_id": pl.String(),
        "resolver": pl.String(),
        "tenant": pl.String(),
    }
)

REFERENCE: Final = "reference"
BAD: Final = (Outcome.CORRUPT, Outcome.MISSING)
_RANKS: Final = ("copy-repaired", "copy-proved", "copy-stale", "copy-unread", "copy-unreachable")
_ABOUT: Final = ("sha256", "media_type", "artifact_id", "resolver", "tenant")


@dataclass(frozen=True, slots=True)
class RepairPolicy:
    """What a repair may do.

    Attributes
    ----------
    fetch : bool
        Whether documents may be downloaded again where no copy is left.
    private : bool
        Whether that may be from hosts of private addresses.
    enough : int or None
        A missing copy is dropped from the catalog where its store has at least so many healthy copies of the same
        bytes; None repairs it always.
    let_go : bool
        Whether copies in their owners' hands that were moved or changed are dropped from the catalog.
    recent : timedelta
        How long ago a copy may have been read to count as read lately.

    Examples
    --------
    >>> ck.plan_repair(c, ck.RepairPolicy(enough=2)).units
    0
    """

    fetch: bool = False
    private: bool = False
    enough: int | None = None
    let_go: bool = False
    recent: timedelta = timedelta(days=30)

    def __post_init__(self) -> None:
        if self.enough is not None and self.enough < 1:
            raise InvalidInput("a missing copy is not dropped while no other is left: enough is at least 1")
        if self.recent < timedelta(0):
            raise InvalidInput("recent is how long ago a copy may have been read; it cannot be less than nothing")

    def plain(self) -> dict[str, object]:
        """As plain data, durations in seconds."""
        return asdict(self) | {"recent": self.recent.total_seconds()}


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What can be repaired, and what cannot.

    Attributes
    ----------
    plan : Plan
        A unit for each blob.
    unrepairable : polars.DataFrame
        The bad copies that stay as they are, with the reason: columns of `UNREPAIRABLE`.
    """

    plan: Plan
    unrepairable: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return self.plan.summary() | {"unrepairable": self.unrepairable.to_dicts()}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        steps = {f"{row['units']:,} x {self.plan.words(row['reason'])}": "" for row in self.plan.totals().to_dicts()}
        left = Counter(self.unrepairable["why"])
        return facts("Repair", self.plan.summary() | steps | {why: f"{count:,} left" for why, count in left.items()})


class _Source(NamedTuple):
    """Where right bytes are to come from, and when they were last read."""

    store: str
    key: str
    reason: str
    since: datetime | None

    def order(self, store: str) -> tuple[int, bool, float]:
        """How good a source is for a copy in `store`; the smaller, the better."""
        return _RANKS.index(self.reason), self.store != store, -self.since.timestamp() if self.since else 0.0


def plan_repair(
    head: Head, copies: pl.DataFrame, finds: pl.DataFrame, origins: pl.DataFrame, policy: RepairPolicy, home: str
) -> RepairReport:
    """Make bad and missing copies good again, each blob's in one unit.

    Parameters
    ----------
    copies
        Every copy, good or bad, of the live blobs that have a bad one: columns of `COPIES`.
    finds
        Other files that were read and hold bytes of blobs without a good copy: columns of `FINDS`, ``kind`` being
        ``stray`` or ``quarantined``.
    origins
        Where documents that have, or had, these bytes came from: columns of `ORIGINS`.
    home
        The store that gets the bytes of a document whose only place was in its owner's hands.

    Notes
    -----
    For each copy, in this order: one of its store that is repaired before it, a healthy copy (one more name of it, in
    the same store), a file that no record knows, one in quarantine, the document's source. Of several copies the one
    that was read last. A copy that was found `unknown` is never touched.
    """
    found = {str(key[0]): part.to_dicts() for key, part in finds.group_by("sha256", maintain_order=True)}
    came = {str(key[0]): part.to_dicts() for key, part in origins.group_by("sha256", maintain_order=True)}
    steps: list[Row] = []
    left: list[Row] = []
    rows = copies.sort("sha256", "store", "key").iter_rows(named=True)
    for unit, (digest, group) in enumerate(groupby(rows, key=lambda row: str(row["sha256"]))):
        blob = _Blob(list(group), found.get(digest, []), came.get(digest, []), head, policy, home)
        blob.plan()
        steps += [{**step, "unit": unit, "step": number} for number, step in enumerate(blob.steps)]
        left += blob.left
    frame = pl.DataFrame(steps, schema=SCHEMA, orient="row")
    unrepairable = pl.DataFrame(left, schema=UNREPAIRABLE, orient="row")
    about = replace(head, policy=policy.plain(), reasons=REASONS, complete=_incomplete(unrepairable))
    return RepairReport(Plan(about, frame), unrepairable)


def _incomplete(left: pl.DataFrame) -> str:
    if left.is_empty():
        return ""
    whys = "; ".join(f"{count:,} x {REASONS_NOT[reason]}" for reason, count in Counter(left["reason"]).most_common())
    return f"{left.height:,} bad copies stay as they are: {whys}"


class _Blob:
    """The copies of one blob, and what is to be done about the bad ones."""

    def __init__(
        self, rows: list[Row], finds: list[Row], origins: list[Row], head: Head, policy: RepairPolicy, home: str
    ) -> None:
        self.rows, self.finds, self.origins, self.head, self.policy, self.home = (
            rows, finds, origins, head, policy, home,
        )  # fmt: skip
        self.steps: list[Row] = []
        self.left: list[Row] = []
        self.sources = list(self._healthy())

    def plan(self) -> None:
        bad = [row for row in self.rows if row["outcome"] in BAD]
        ours = [row for row in bad if row["store_kind"] != REFERENCE]
        theirs = [row for row in bad if row["store_kind"] == REFERENCE]
        if not ours and not self.sources:  # nothing is written where they lie: a store of ours gets the bytes
            key = cas_key(Digest.parse(theirs[0]["sha256"]))
            ours = [{**theirs[0], "store": self.home, "key": key, "store_kind": "", "outcome": Outcome.MISSING}]
        kept = [row for row in ours if not self._surplus(row)]
        for row in kept:
            if step := self._step(row):
                self.steps.append(step)
                self.sources.append(_Source(row["store"], row["key"], "copy-repaired", None))
            elif row in bad:
                self.left.append(self._why_not(row))
        for row in ours:
            if row not in kept:
                self.steps.append(self._made(row, StepKind.DROP, "surplus"))
        for row in theirs:
            if self.sources and self.policy.let_go:
                self.steps.append(self._made(row, StepKind.DROP, "owner-changed"))
            else:
                self.left.append(self._why_not(row))

    def _healthy(self) -> Iterator[_Source]:
        # The names of a file share its fate, though they are not read at the same moment: the last word counts.
        spoilt: dict[tuple[str, int | None], datetime] = {}
        for row in self.rows:
            if row["outcome"] == Outcome.CORRUPT and row["inode"] is not None:
                file = row["store"], row["inode"]
                spoilt[file] = max(row["checked_at"], spoilt.get(file, row["checked_at"]))
        for row in self.rows:
            read_at, spoilt_at = row["checked_at"], spoilt.get((row["store"], row["inode"]))
            if row["outcome"] in BAD or (spoilt_at and (read_at is None or read_at < spoilt_at)):
                continue
            reason = "copy-unread" if row["outcome"] is None else "copy-unreachable"
            if row["outcome"] == Outcome.OK:
                lately = self.head.as_of - read_at <= self.policy.recent
                reason = "copy-proved" if lately else "copy-stale"
            yield _Source(row["store"], row["key"], reason, read_at)

    def _surplus(self, row: Row) -> bool:
        healthy = [one for one in self.rows if (one["store"], one["outcome"]) == (row["store"], Outcome.OK)]
        enough = self.policy.enough
        return row["outcome"] == Outcome.MISSING and enough is not None and len(healthy) >= enough

    def _step(self, row: Row) -> Row | None:
        """How a copy of ours is made good; None where it cannot be."""
        # What comes into a store anew is for its other copies there: others are read before a step is carried out.
        near = [one for one in self.sources if one.reason != "copy-repaired" or one.store == row["store"]]
        if near:
            best = min(near, key=lambda one: one.order(row["store"]))
            # Bytes that lie in a store twice share a file there: one more name is all it takes.
            kind = StepKind.LINK if best.store == row["store"] else StepKind.COPY
            return self._made(row, kind, best.reason, best.store, best.key, best.since)
        if self.finds:
            find = self.finds[0]
            return self._made(row, StepKind.COPY, find["kind"], find["store"], find["key"])
        if self.policy.fetch and (fit := self._fit()):
            return self._made(row, StepKind.FETCH, "source") | {"document_id": fit[0]["document_id"]}
        return None

    def _fit(self) -> list[Row]:
        return [one for one in self.origins if not unfit(one["source_url"], private=self.policy.private)]

    def _made(
        self,
        row: Row,
        kind: StepKind,
        reason: str,
        from_store: str | None = None,
        from_key: str | None = None,
        since: datetime | None = None,
    ) -> dict[str, Any]:
        step = dict.fromkeys(SCHEMA.names()) | {name: row[name] for name in _ABOUT}
        place = {"store": row["store"], "key": row["key"], "from_store": from_store, "from_key": from_key}
        return step | place | {"kind": kind, "reason": reason, "since": since, "bytes": 0, "last_copy": False}

    def _why_not(self, row: Row) -> Row:
        if self.sources:
            reason, more = "owner", ""
        elif not self.origins:
            reason, more = "no-source", ""
        elif self._fit():
            reason, more = "not-asked", ""
        else:
            reason, more = "not-fetchable", unfit(self.origins[0]["source_url"], private=self.policy.private)
        why = ": ".join(filter(None, [REASONS_NOT[reason], more]))
        return {name: row.get(name) for name in UNREPAIRABLE} | {"reason": reason, "why": why}
