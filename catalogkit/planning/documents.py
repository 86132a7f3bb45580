"""Documents somebody names, and the way back from a plan that was applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.planners import forget, undo
from catalogkit.planning.common import head_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan


def plan_forget(collection: Collection, document_ids: Sequence[int], *, as_of: datetime | None = None) -> Plan:
    """Forget these documents.

    Raises
    ------
    InvalidInput
        If one of them does not exist.
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
        rows.append(document_row(record) | {"refs": refs})
    frame = pl.DataFrame(rows, schema={**schema("documents"), "refs": pl.Int64()}, orient="row")
    return forget.plan_forget(head_of(collection, "forget", when), frame)


def plan_undo(collection: Collection, plan_id: str, *, as_of: datetime | None = None) -> Plan:
    """Take back what a plan did, as far as nothing was purged.

    Parameters
    ----------
    plan_id
        The id of an applied plan, or the beginning of it that no other has.

    Raises
    ------
    InvalidInput
        If no plan, or more than one, has an id that begins so.
    """
    found = [row.id for row in collection.catalog.plans() if row.id.startswith(plan_id)] if plan_id else []
    if len(found) != 1:
        raise InvalidInput(f"{len(found) or 'no'} applied plans have an id that begins with {plan_id!r}")
    rows = [
        (row[0], row[1], row[2], row[5] or None, *row[6:10])
        for row in collection.catalog.journal(found[0])
        if row[3] == "done"
    ]
    names = ("unit", "step", "kind", "sha256", "document_id", "store", "key", "bytes")
    schema = {name: pl.String() if name in ("kind", "sha256", "store", "key") else pl.Int64() for name in names}
    journal = pl.DataFrame(rows, schema=schema, orient="row")
    return undo.plan_undo(head_of(collection, "undo", as_of or collection.now()), journal, found[0])
