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

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan


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
    done = [row for row in collection.catalog.journal(undone) if row[3] == "done"]
    done = [row for row in done if units is None or row[0] in units]
    placed = {(row[0], row[5]): row[8] for row in done if row[2] in ("copy", "link")}
    dropped = {(row[0], row[8]) for row in done if row[2] == "drop"}
    done += [_cut_short(row) for row in done if (row[0], row[12]) not in dropped and _left_a_view(collection, row)]
    rows = [_row(collection, row, placed.get((row[0], row[5]))) for row in done]
    head = head_of(collection, "undo", as_of or collection.now())
    return undo.plan_undo(head, framed(rows, undo.JOURNAL), undone)


def _left_a_view(collection: Collection, row: tuple[Any, ...]) -> bool:
    """Whether a view of a new name lies where its file came from: a drop was cut short before it was journaled."""
    store = next((one for one in collection.stores.values() if one.name == row[7]), None)
    new = row[2] == "link" and row[13] == "new" and row[12] is not None and isinstance(store, LocalStore)
    return new and isinstance(store, LocalStore) and store.view_at(row[12]) == row[8]


def _cut_short(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The drop that would have followed a link."""
    return (row[0], row[1] + 1, "drop", *row[3:8], row[12], 0, row[10], row[7], row[8], "")


def _row(collection: Collection, row: tuple[Any, ...], placed: str | None) -> tuple[Any, ...]:
    """One step of the journal as `planners.undo.JOURNAL` has it; `placed` is the key its unit put the bytes at."""
    unit, step, kind, _, _, sha256, document_id, store, key, size, _, from_store, from_key, effect = row
    if kind == "drop":
        from_store, from_key = _left(collection, sha256, store, key, placed)
    facts = _seen(collection, store, key) if kind in ("copy", "link") else (None, None, None, None)
    return (
        unit, step, kind, sha256 or None, document_id, store, key, size, from_store or store, from_key, effect, *facts,
    )  # fmt: skip


def _left(
    collection: Collection, sha256: str, store: str, key: str, placed: str | None
) -> tuple[str | None, str | None]:
    """A copy that is left of what was dropped from a store of ours: what took its place, else one of the same store."""
    stores = {one.name: one for one in collection.stores.values()}
    copies = collection.catalog.locations_of(Digest.parse(sha256))
    good = [one for one in copies if one.outcome not in ("corrupt", "missing") and (one.store, one.key) != (store, key)]
    if not good or not isinstance(stores.get(store), OWN):
        return None, None
    best = min(good, key=lambda one: (one.key != placed, one.store != store, one.outcome == "unknown", one.id))
    return best.store, best.key


def _seen(collection: Collection, name: str, key: str) -> tuple[int | None, int | None, int | None, int | None]:
    """What lies at a key now: inode, modification time, names, size."""
    store = next((one for one in collection.stores.values() if one.name == name), None)
    there = store.stat(key) if isinstance(store, OWN) else None
    if there is None or not isinstance(store, OWN):
        return None, None, None, None
    return there.inode, there.mtime_ns, store.names(key), there.bytes
