"""Gathers documents that somebody names, and calls the planner of forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.planners import forget
from catalogkit.planning.common import head_of
from catalogkit.signals import operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan


@operation("plan", kind="forget")
def plan_forget(collection: Collection, document_ids: Sequence[int], *, as_of: datetime | None = None) -> Plan:
    """Forget these documents.

    Raises
    ------
    InvalidInput
        If one of them does not exist.

    Examples
    --------
    >>> plan = ck.plan_forget(c, [3])
    >>> plan.units, plan.bytes_freed()
    (1, 5)
    """
    from catalogkit.collection import document_row
    from catalogkit.model import schema

    rows = []
    when = as_of or collection.now()
    for document_id in dict.fromkeys(document_ids):
        record = collection.catalog.document(document_id)
        if record is None:
            raise InvalidInput(f"there is no document {document_id}; nothing was planned")
        refs = collection.catalog.root_kinds(record.sha256, as_of=when)["refs"]
        # Of what was evicted nothing is left that could be freed.
        size = record.bytes if collection.catalog.locations_of(record.sha256) else 0
        rows.append(document_row(record) | {"refs": refs, "bytes": size})
    frame = pl.DataFrame(rows, schema={**schema("documents"), "refs": pl.Int64()}, orient="row")
    return forget.plan_forget(head_of(collection, "forget", when), frame)
