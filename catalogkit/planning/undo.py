"""Gathers what an applied plan did, and plans its undo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catalogkit.model import Digest
from catalogkit.planners import undo
from catalogkit.planning.common import applied, framed, head_of
from catalogkit.signals import operation
from catalogkit.stores.local import LocalStore
from catalogkit.stores.opening import OWN

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from catalogkit.catalog.contract import JournalRow
    from catalogkit.collection import Collection
    from catalogkit.plan import Plan
    from catalogkit.stores.opening import AnyStore


@operation("plan", kind="undo")
def plan_undo(
    collection: Collection, plan_id: str, *, units: AbstractSet[int] | None = None, as_of: datetime | None = None
) -> Plan:
    """Take back what a plan did, as far as it left a way.

    Parameters
    ----------
    plan_id
        The id of an applied plan, or the beginning of it that no other has.
    units
        Only these units of it.

    Raises
    ------
    InvalidInput
        If no plan, or more than one, has an id that begins so.

    Examples
    --------
    >>> forget = ck.plan_forget(c, [3])
    >>> ck.apply(c, forget, unapproved=True, max_share=1.0).done
    1
    >>> ck.plan_undo(c, forget.id).units
    1
    """
    undone = applied(collection, plan_id).id
    done = [row for row in collection.catalog.journal(undone) if row.outcome == "done"]
    done = [row for row in done if units is None or row.unit in units]
    placed = {(row.unit, row.sha256): row.key for row in done if row.kind in ("copy", "link")}
    dropped = {(row.unit, row.key) for row in done if row.kind == "drop"}
    left = [row for row in done if (row.unit, row.from_key) not in dropped and _left_a_view(collection, row)]
    done += map(_cut_short, left)
    rows = [_row(collection, row, placed.get((row.unit, row.sha256))) for row in done]
    head = head_of(collection, "undo", as_of or collection.now())
    return undo.plan_undo(head, framed(rows, undo.JOURNAL), undone)


def _store(collection: Collection, name: str | None) -> AnyStore | None:
    return next((one for one in collection.stores.values() if one.name == name), None)


def _left_a_view(collection: Collection, row: JournalRow) -> bool:
    """Whether a view of a new name lies where its file came from: a drop was cut short before it was journaled."""
    store = _store(collection, row.store)
    if row.kind != "link" or row.effect != "new" or row.from_key is None or not isinstance(store, LocalStore):
        return False
    return store.view_at(row.from_key) == row.key


def _cut_short(row: JournalRow) -> JournalRow:
    """The drop that would have followed a link."""
    return row._replace(
        step=row.step + 1, kind="drop", key=row.from_key, bytes=0, from_store=row.store, from_key=row.key, effect=""
    )


def _row(collection: Collection, row: JournalRow, placed: str | None) -> tuple[Any, ...]:
    """One step of the journal as `planners.undo.JOURNAL` has it; `placed` is the key its unit put the bytes at."""
    from_store, from_key = _left(collection, row, placed) if row.kind == "drop" else (row.from_store, row.from_key)
    facts = _seen(collection, row) if row.kind in ("copy", "link") else (None, None, None, None)
    return (
        row.unit, row.step, row.kind, row.sha256 or None, row.document_id, row.store, row.key, row.bytes,
        from_store or row.store, from_key, row.effect, *facts,
    )  # fmt: skip


def _left(collection: Collection, row: JournalRow, placed: str | None) -> tuple[str | None, str | None]:
    """A copy that is left of what was dropped from a store of ours: what took its place, else one of the same store."""
    assert row.sha256 is not None
    copies = collection.catalog.locations_of(Digest.parse(row.sha256))
    good = [one for one in copies if one.outcome not in ("corrupt", "missing")]
    good = [one for one in good if (one.store, one.key) != (row.store, row.key)]
    if not good or not isinstance(_store(collection, row.store), OWN):
        return None, None
    best = min(good, key=lambda one: (one.key != placed, one.store != row.store, one.outcome == "unknown", one.id))
    return best.store, best.key


def _seen(collection: Collection, row: JournalRow) -> tuple[int | None, int | None, int | None, int | None]:
    """What lies at a key now: inode, modification time, names, size."""
    store = _store(collection, row.store)
    there = store.stat(row.key) if isinstance(store, OWN) and row.key is not None else None
    if there is None or not isinstance(store, OWN):
        return None, None, None, None
    return there.inode, there.mtime_ns, store.names(there.key), there.bytes
