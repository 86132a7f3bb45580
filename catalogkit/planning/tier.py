"""Gathers what lies in the hot and in the cheap store, its age and its accesses, and calls the planner."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.planners import tier
from catalogkit.planning.common import HEALTHY, head_of
from catalogkit.planning.evict import SmartEvictionPolicy
from catalogkit.planning.relocate import copies_of
from catalogkit.signals import operation
from catalogkit.stores.s3.archive import MOST_BYTES
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan
    from catalogkit.policies.tiering import TierPolicy


class Tiering:
    """What is to move between a hot and a cheap store, and what that costs.

    Parameters
    ----------
    policy
        What moves, and between which stores; that of the settings without it.
    back
        Documents whose bytes are to come back; nothing else moves then.

    Raises
    ------
    InvalidInput
        If the policy names no two stores of this collection, or there is no such document.

    Examples
    --------
    >>> ck.add_store(c, "archive", "file:archive")
    >>> ck.Tiering(c, ck.TierPolicy(cold="archive", older_than="0d", least_bytes="0")).chosen["reason"].to_list()
    ['cold', 'cold']
    """

    def __init__(
        self,
        collection: Collection,
        policy: TierPolicy | None = None,
        *,
        back: Sequence[int] = (),
        as_of: datetime | None = None,
    ) -> None:
        self.collection, self.as_of = collection, as_of or collection.now()
        policy = policy or collection.config.tiering
        self.policy = msgspec.structs.replace(policy, hot=policy.hot or collection.store.name)
        self.hot, self.cold = self._side(self.policy.hot), self._side(self.policy.cold)
        if self.hot.name == self.cold.name:
            raise InvalidInput(
                f"{self.hot.name!r} is where it lies already; name a cold store, in [tiering] or with --to"
            )
        found = collection.catalog.digests_of(list(back))
        if missing := [number for number in back if number not in found]:
            raise InvalidInput(f"there is no document {missing[0]}; nothing was planned")
        self.head = head_of(collection, "tier", self.as_of)
        self._gather()
        wanted = frozenset(map(str, found.values()))
        self.chosen = tier.choose(self.contents, self.policy, self.hot, self.cold, self.head, wanted)

    def _side(self, name: str) -> tier.Side:
        store = next((one for one in self.collection.stores.values() if one.name == name and one.writable), None)
        if store is None:
            named = ", ".join(sorted(one.name for one in self.collection.stores.values() if one.writable))
            raise InvalidInput(
                f"this collection has no store {name!r} to write to; name one of {named} as `cold` below [tiering]"
                if name
                else f"which store is the cheap one? Write `cold = ...` below [tiering], or say --to; there is {named}"
            )
        settings = store.settings if isinstance(store, S3Layout) else None
        price = self.collection.config.prices.get(name)
        return tier.Side(name, price, settings.latency if settings else "", bool(settings and settings.archive))

    def _gather(self) -> None:
        """What every content is (`tier.CONTENTS`), and which copies of it there are."""
        collection, policy = self.collection, self.policy
        live = collection.frame("blobs").filter(pl.col("state") == "live").select("sha256")
        self._locations = collection.frame("locations").join(live, on="sha256").sort("id")
        sides = {"is_hot": self.hot.name, "is_cold": self.cold.name}
        here = {name: self._locations.filter(pl.col("store") == side) for name, side in sides.items()}
        # What was found bad, here or there, is for repair.
        self._bad = pl.concat([one.filter(~HEALTHY).select("sha256") for one in here.values()]).unique()
        smart = SmartEvictionPolicy(collection, horizon=policy.ahead(), learn=False, as_of=self.as_of)
        asked = smart.history.events.filter(pl.col("at") <= self.as_of).group_by("object").agg(
            read_at=pl.col("at").max(),
            reads=pl.col("count").filter(pl.col("at") > self.as_of - policy.unread()).sum(),
        )  # fmt: skip
        # There, a content is called by its first document.
        asked = asked.with_columns(document_id=pl.col("object").cast(pl.Int64))
        rows = smart.scores.select("document_id", "sha256", "bytes", "expected", since="created_at")
        rows = rows.join(asked, on="document_id", how="left").join(self._bad, on="sha256", how="anti")
        for name, copies in here.items():
            rows = rows.with_columns(pl.col("sha256").is_in(copies["sha256"].implode()).alias(name))
        rows = rows.filter(pl.col("is_hot") | pl.col("is_cold")).with_columns(pl.col("reads").fill_null(0))
        self._large = self.cold.archive & (pl.col("bytes") > MOST_BYTES)
        kept = rows.filter(self._large).height
        rows = rows.filter(~self._large).sort("sha256")
        self.contents = rows.select(pl.col(name).cast(kind) for name, kind in tier.CONTENTS.items())
        said = []
        if self._bad.height:
            said.append("contents with a copy that is known to be bad, here or there, stay; repair them first")
        if kept:
            said.append(
                f"{kept:,} contents are larger than the 5 GB that go up in one request, and stay: of what came in parts"
                " an archive tells no SHA-256 of the whole, so nothing would prove that it arrived"
            )
        self.head = replace(self.head, complete="; ".join(said))

    @operation("plan", kind="tier")
    def plan(self, *, limit: int | None = None) -> Plan:
        """Plan to move what was chosen, at most `limit` contents of it."""
        to = pl.when(pl.col("reason") == tier.COLD).then(pl.lit(self.cold.name)).otherwise(pl.lit(self.hot.name))
        moved = self.chosen.select("sha256", "reason", to=to, exists=pl.col("is_hot") & pl.col("is_cold"))
        leaves = self._locations.filter(pl.col("store").is_in([self.hot.name, self.cold.name]))
        left = leaves.join(moved, on="sha256", maintain_order="left").filter(pl.col("store") != pl.col("to"))
        copies = copies_of(self.collection, left)
        return tier.plan_tier(self.head, self.chosen, copies, self.policy, self.hot, self.cold).limited(limit)

    def keep(self, home: Path) -> None:
        """Write what was chosen, with its costs, beside a plan that was saved."""
        self.chosen.write_parquet(home / "tiers.parquet")


def plan_tier(
    collection: Collection,
    policy: TierPolicy | None = None,
    *,
    back: Sequence[int] = (),
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """Plan to move bytes between a hot and a cheap store; arguments as for `Tiering`.

    Examples
    --------
    >>> ck.add_store(c, "attic", "file:attic")
    >>> ck.plan_tier(c, ck.TierPolicy(cold="attic")).units  # nothing is old enough
    0
    """
    return Tiering(collection, policy, back=back, as_of=as_of).plan(limit=limit)
