"""Plans which near-duplicates to forget: all but the best copy of a text. A person decides about each."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from catalogkit.plan import Head, Plan, StepKind
from catalogkit.planners.steps import filled

EVIDENCE: Final = ("kept_sha256", "kept_document_id", "similarity", "containment", "differs", "kept_differs")
WORDS: Final = "another document, which is kept, has the same text; they are {} % alike"


def plan_near(head: Head, table: pl.DataFrame, documents: pl.DataFrame) -> Plan:
    """Forget the documents of every content whose text a better copy has; each such content is a unit.

    Nothing of it is selected before somebody says so: the bytes are not the same, so each is a last copy. What is under
    a hold stays, and so does what belongs to a tenant who has no document of the content that is kept. The plan's
    policy has, by digest, what is kept instead, and where the texts begin to differ.

    Parameters
    ----------
    table
        What `catalogkit.near.table.table` returned.
    documents
        The ``documents`` frame.
    """
    # A copy that is known to be bad is no reason to let go of another one.
    good = table.filter("kept", "good").select(kept_sha256="sha256")
    spare = table.filter(~pl.col("kept"), ~pl.col("stock"), ~pl.col("held")).join(
        good, on="kept_sha256", how="semi", maintain_order="left"
    )
    theirs = documents.select("sha256", "tenant", "artifact_id", "resolver", document_id="id", since="seen_at")
    tenants = documents.select("tenant", kept_sha256="sha256").unique()
    steps = (
        spare.drop("artifact_id", "resolver", "document_id")
        .with_row_index("place")
        .join(theirs, on="sha256")
        .join(tenants, on=["kept_sha256", "tenant"], how="semi")
        .sort("place", "document_id")
        .with_columns(
            unit=pl.col("place").rle_id().cast(pl.Int64),
            step=pl.int_range(pl.len()).over("place"),
            kind=pl.lit(StepKind.FORGET.value),
            reason=pl.format("near_{}", (pl.col("similarity") * 100).floor().cast(pl.Int64)),
            bytes=pl.col("stored_bytes"),
            object=pl.format("blob:{}", "sha256"),
            users=pl.col("documents"),
            last_copy=pl.lit(True),
        )
    )
    reasons = {reason: WORDS.format(reason.removeprefix("near_")) for reason in sorted(steps["reason"].unique())}
    instead = {
        row["sha256"]: {name: row[name] for name in EVIDENCE}
        for row in spare.join(steps, on="sha256", how="semi").iter_rows(named=True)
    }
    return Plan(replace(head, reasons=reasons, policy={"instead_of": instead}), filled(steps))
