"""Dedup opportunities: what sharing copies would free and cost, and why other copies are left alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.planners import dedup
from catalogkit.planners.sharing import plan_dedup
from catalogkit.policies.dedup import REASONS, How

if TYPE_CHECKING:
    from catalogkit.plan import Head, Plan
    from catalogkit.policies.dedup import DedupPolicy

__all__ = ["GROUPS", "DedupForecast", "DedupOpportunities"]

_MONEY: Final = ("read_cost", "request_cost", "time_cost", "cost", "saving")
_SUMS: Final = ("steps", "read_bytes", "requests", "read_seconds", *_MONEY, "freed_bytes")
GROUPS: Final = pl.Schema(
    {name: dedup.DECISIONS[name] for name in ("store", "sha256", "reason")}
    | {"worthwhile": pl.Boolean(), "names": pl.Int64(), "objects": pl.Int64()}
    | {name: dedup.DECISIONS[name] for name in ("bytes", "documents", "seen_at")}
    | {"spare_bytes": pl.Int64()}
    | {name: dedup.DECISIONS[name] for name in (*_SUMS, "key", "media_type", "artifact_id", "resolver", "tenant")}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupForecast:
    """What carrying it out would take, cost and bring, all groups together; money in `currency`.

    Attributes
    ----------
    groups, worthwhile : int
        Contents at several names of one store, and those of them with a copy that is worth sharing.
    spare_bytes, freed_bytes, left_bytes : int
        Bytes of spare copies: all, those that would be freed, and the rest. Of contents that documents need, `all` is
        the reclaimable bytes of `DedupAnalytics`.
    steps, read_bytes, requests, read_seconds
        What the proof and the sharing take.
    read_cost, request_cost, time_cost, cost, saving, net : Decimal
        Each term, their sum, what is saved until the horizon, and saving - cost.
    """

    groups: int
    worthwhile: int
    spare_bytes: int
    freed_bytes: int
    left_bytes: int
    steps: int
    read_bytes: int
    requests: int
    read_seconds: float
    read_cost: Decimal
    request_cost: Decimal
    time_cost: Decimal
    cost: Decimal
    saving: Decimal
    net: Decimal
    currency: str


class DedupOpportunities:
    """What sharing copies would free and cost, and why other copies are left alone.

    Made by `catalogkit.analyze_dedup_opportunities`.

    Attributes
    ----------
    decisions : polars.DataFrame
        A row for each object of each group, with the columns of `catalogkit.planners.dedup.DECISIONS`: its reason, and
        each term of what sharing it would take, cost and save.
    policy, how
        What was decided by; the policy with the throughput that was reckoned with.
    looked : bool
        Whether the files were looked at; if not, what only they can tell was not held against anything.
    """

    def __init__(self, head: Head, decisions: pl.DataFrame, policy: DedupPolicy, how: How, *, looked: bool) -> None:
        self._head, self.decisions, self.policy, self.how, self.looked = head, decisions, policy, how, looked

    @cached_property
    def frame(self) -> pl.DataFrame:
        """A row for each group: what is decided, why, and each term. First what frees most; then by store and digest.

        The columns are those of `GROUPS`. ``reason`` is ``worthwhile`` where any of the copies is, else the reason
        against the first; ``key`` is the name of the copy that stays.
        """
        worthwhile, planned = pl.col("reason") == "worthwhile", pl.col("planned")
        spare = pl.col("reason").filter("spare").first()
        sums = [pl.col(name).filter(planned).sum() for name in _SUMS]
        reason = pl.when(worthwhile.any()).then(pl.lit("worthwhile", dedup.REASON)).otherwise(spare)
        first = pl.col(
            "bytes", "documents", "seen_at", "key", "media_type", "artifact_id", "resolver", "tenant"
        ).first()
        return (
            self.decisions.group_by("store", "sha256", maintain_order=True)
            .agg(
                first,
                *sums,
                pl.col("names").sum(),
                only=pl.col("reason").first(),
                reason=reason,
                worthwhile=worthwhile.any(),
                objects=pl.len(),
                spare_bytes=pl.col("bytes").filter("spare").sum(),
            )
            .with_columns(pl.coalesce("reason", "only").alias("reason"))
            .select(pl.col(name).cast(kind) for name, kind in GROUPS.items())
            .sort("freed_bytes", "spare_bytes", "store", "sha256", descending=[True, True, False, False])
        )

    @cached_property
    def totals(self) -> DedupForecast:
        """All groups together."""
        sums = self.decisions.filter("planned").select(pl.col(name).sum() for name in _SUMS).row(0, named=True)
        sums |= {name: sums[name] or Decimal(0) for name in _MONEY}
        groups = self.frame.select(pl.len().alias("groups"), pl.col("worthwhile", "spare_bytes").sum()).row(
            0, named=True
        )
        left = groups["spare_bytes"] - sums["freed_bytes"]
        net = sums["saving"] - sums["cost"]
        return DedupForecast(**groups, **sums, left_bytes=left, net=net, currency=self.policy.costs.currency)

    def reasons(self) -> pl.DataFrame:
        """A row for each reason that occurs, in the order of the table.

        Returns
        -------
        DataFrame
            ``reason``, ``words``, ``groups`` (that have such a copy), ``copies`` and ``bytes`` (of spare ones, so that
            the bytes add up to ``totals.spare_bytes``). A group that is one file already has no spare copy, and counts
            by itself.
        """
        words = {code: words for code, (words, _) in REASONS.items()}
        return (
            self.decisions.filter(pl.col("spare") | (pl.len().over("store", "sha256") == 1))
            .group_by("reason")
            .agg(
                groups=pl.struct("store", "sha256").n_unique().cast(pl.Int64),
                copies=pl.col("spare").sum().cast(pl.Int64),
                bytes=pl.col("bytes").filter("spare").sum(),
            )
            .with_columns(words=pl.col("reason").cast(pl.String).replace_strict(words, return_dtype=pl.String))
            .sort("reason")
            .select("reason", "words", "groups", "copies", "bytes")
        )

    def terms(self) -> pl.DataFrame:
        """The cost model term by term, for people: ``term``, ``amount``, ``value`` in money (null where there is none).

        The money of all terms but the last two adds up to ``cost``.
        """
        t, costs = self.totals, self.policy.costs
        speed = f"{costs.read_mb_per_second or dedup.USUAL_MB_PER_SECOND:,.0f} MB/s"
        rows = [
            ("bytes freed", f"{t.freed_bytes:,} B", None),
            ("bytes read to prove equality", f"{t.read_bytes:,} B", t.read_cost),
            ("requests", f"{t.requests:,}", t.request_cost),
            ("time to read", f"{t.read_seconds:,.1f} s at {speed}", t.time_cost),
            ("cost", f"{t.steps:,} steps", t.cost),
            ("saving", f"over {costs.months:g} months", t.saving),
        ]
        schema = {"term": pl.String(), "amount": pl.String(), "value": dedup.MONEY}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def recommendations(self) -> list[str]:
        """What to do, and what would make more copies worth sharing; each with its bytes, most bytes first."""
        totals, advice = self.totals, []
        if totals.worthwhile:
            advice.append(
                f"Share {totals.worthwhile:,} contents: frees {totals.freed_bytes:,} bytes, costs"
                f" {self._money(totals.cost)}, saves {self._money(totals.saving)} in"
                f" {self.policy.costs.months:g} months."
            )
        for code, words, _, copies, size in self.reasons().sort("bytes", descending=True).iter_rows():
            what = REASONS[code][1]
            if size and code != "worthwhile" and what:
                advice.append(f"{size:,} bytes in {copies:,} copies stay: {words}. To change that: {what}.")
        return advice or ["Nothing to do: no store has spare copies of anything."]

    def to_plan(self, limit: int | None = None) -> Plan:
        """The plan that carries it out, to be reviewed like any other.

        Raises
        ------
        InvalidInput
            If the files were not looked at.
        """
        if not self.looked:
            raise InvalidInput("a plan needs a look at the files: analyze again without look=False")
        return plan_dedup(self._head, self.decisions, self.policy, self.how).limited(limit)

    def to_dict(self) -> dict[str, Any]:
        """The totals and reasons as plain data; money as text."""
        totals = {k: str(v) if isinstance(v, Decimal) else v for k, v in asdict(self.totals).items()}
        return {"how": self.how.value, "policy": self.policy.plain(), **totals, "reasons": self.reasons().to_dicts()}

    def _money(self, amount: Decimal) -> str:
        return f"{amount:,.2f} {self.totals.currency}"

    def __repr__(self) -> str:
        totals = self.totals
        return f"DedupOpportunities({totals.worthwhile:,} of {totals.groups:,} groups, {totals.freed_bytes:,} bytes)"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        totals = self.totals
        shown: dict[str, object] = {
            "groups": totals.groups,
            "worth sharing": totals.worthwhile,
            "spare bytes": totals.spare_bytes,
        }
        for term, amount, value in self.terms().iter_rows():
            shown[term] = amount if value is None else f"{amount}: {value:,.6f} {totals.currency}"
        for code, words, groups, copies, size in self.reasons().iter_rows():
            if code != "worthwhile":
                shown[f"left: {code}"] = f"{copies:,} copies in {groups:,} groups, {size:,} B: {words}"
        return facts("Dedup opportunities", shown)
