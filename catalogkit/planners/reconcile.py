"""Plans the end of conflicts between sites: writes one of the values in the knowledge of all.

The rule that chose what is shown needs nobody, and is the same at all sites; here somebody looks at it, and may have it
otherwise. Until then nothing is lost, and afterwards all sites follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from catalogkit.plan import Head, Plan, StepKind
from catalogkit.planners.steps import filled

REASONS: Final = {
    "shown": "it is what all sites show",
    "site": "it was written at the site that is preferred",
    "deleted": "somebody deleted it, and deletions are to win",
}
# What a gatherer hands over: a row for each value, with what would be written if it is chosen.
CONFLICTS: Final = pl.Schema(
    {
        "document_id": pl.Int64(),
        "tenant": pl.String(),
        "artifact_id": pl.String(),
        "source_url": pl.String(),
        "resolver": pl.String(),
        "variant": pl.String(),
        "group": pl.String(),
        "shown": pl.Boolean(),
        "site": pl.String(),
        "written_at": pl.Datetime("us", "UTC"),
        "value": pl.String(),
        "sha256": pl.String(),
        "bytes": pl.Int64(),
        "media_type": pl.String(),
        "dot": pl.String(),
    }
)


@dataclass(frozen=True, slots=True)
class ReconcilePolicy:
    """Which values win.

    Attributes
    ----------
    site : str
        Values that were written at this site, where there are any; else, and without it, what is shown.
    deletions : bool
        Whether a document that one site deleted, and another one changed or held, goes after all.

    Examples
    --------
    >>> ck.ReconcilePolicy(site="east").deletions
    False
    """

    site: str = ""
    deletions: bool = False

    def plain(self) -> dict[str, object]:
        """As plain data."""
        return {"site": self.site, "deletions": self.deletions}


def plan_reconcile(head: Head, conflicts: pl.DataFrame, policy: ReconcilePolicy) -> Plan:
    """Choose one value of each: a unit for each document, a step for each group.

    Parameters
    ----------
    conflicts
        A frame with the columns of `CONFLICTS`.
    """
    group = ["document_id", "group"]
    dead = (pl.col("group") == "life") & (pl.col("value") == "deleted")
    reason = (
        pl.when(dead & pl.lit(policy.deletions))
        .then(pl.lit("deleted"))
        .when((pl.col("site") == policy.site) & (policy.site != "") & ~dead)
        .then(pl.lit("site"))
        .when("shown")
        .then(pl.lit("shown"))
    )
    rank = pl.col("reason").replace_strict({"deleted": 0, "site": 1, "shown": 2}, return_dtype=pl.Int64)
    chosen = (
        conflicts.with_columns(reason=reason, all=pl.col("dot").sort().str.join(",").over(group))
        .filter(pl.col("reason").is_not_null())
        .sort(*group, rank, pl.col("written_at"), "dot", descending=[False, False, False, True, True])
        .unique(group, keep="first", maintain_order=True)
        # What is deleted has no other values to be chosen.
        .with_columns(gone=(pl.col("reason") == "deleted").any().over("document_id"))
        .filter(~pl.col("gone") | (pl.col("group") == "life"))
    )
    rows = chosen.with_columns(
        unit=pl.col("document_id").rle_id().cast(pl.Int64),
        kind=pl.lit(StepKind.RESOLVE.value),
        key="group",
        from_key=pl.format("{} of {}", "dot", "all"),
        bytes=pl.lit(0),
        last_copy=pl.lit(False),
    ).with_columns(step=pl.int_range(pl.len()).over("unit"))
    return Plan(replace(head, policy=policy.plain(), reasons=REASONS), filled(rows))
