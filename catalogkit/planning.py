"""Gathering what planners need to know, and handing it to them. Nothing here changes anything."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from catalogkit.approval import DEFAULT_RULE, Approval, approve_plan
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.intents import is_dead
from catalogkit.model import Digest, text_path
from catalogkit.plan import VALID_FOR, Head, Plan
from catalogkit.planners import forget, gc, undo
from catalogkit.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from catalogkit.collection import Collection


def plan_gc(
    collection: Collection,
    policy: gc.GCPolicy | None = None,
    *,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """What to condemn: unreferenced blobs, stray files of the store, ingests that died.

    Raises
    ------
    PlanError
        If the catalog knows nothing while the store is full: that is the wrong catalog, not garbage.
    """
    when, catalog, policy = as_of or collection.now(), collection.catalog, policy or gc.GCPolicy()
    head = _head(collection, "gc", when)
    strays = _strays(collection)
    if strays.height and not catalog.totals()["locations"]:
        raise PlanError(
            f"the catalog knows no bytes at all, its store has {strays.height:,} files: is this the right catalog?"
            " Restore its backup, or take the files in; nothing is called garbage before"
        )
    dead = [
        (intent.id, str(intent.registration.digest), collection.stores[intent.registration.store_id].name,
         intent.registration.key)
        for intent in catalog.intents()
        if is_dead(intent.owner, intent.expires_at, when)
    ]  # fmt: skip
    plan = gc.plan_condemn(
        head, _frame(catalog.garbage(as_of=when), gc.GARBAGE), strays, _frame(dead, gc.INTENTS), policy
    )
    return plan if limit is None else plan.limited(limit)


def plan_purge(
    collection: Collection,
    policy: gc.GCPolicy | None = None,
    *,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """What to purge: condemned bytes whose grace is over."""
    when = as_of or collection.now()
    names = _names(collection)
    # A file has its names now, and may have some outside of the catalog's knowledge; one that is gone frees nothing.
    strays = [(*row[:5], names(row[0], row[1]), row[5]) for row in collection.catalog.strays()]
    copies = [(*row[:8], names(row[4], row[5]), *row[8:]) for row in collection.catalog.condemned(as_of=when)]
    plan = gc.plan_purge(
        _head(collection, "purge", when),
        _present(_frame(copies, gc.CONDEMNED)),
        _present(_frame(strays, gc.STRAYS)),
        policy or gc.GCPolicy(),
    )
    return plan if limit is None else plan.limited(limit)


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
    return forget.plan_forget(_head(collection, "forget", when), frame)


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
    return undo.plan_undo(_head(collection, "undo", as_of or collection.now()), journal, found[0])


def approve(
    path: str | os.PathLike[str],
    rule: str = DEFAULT_RULE,
    *,
    include: Iterable[int] = (),
    exclude: Iterable[int] = (),
    approved_by: str | None = None,
    as_of: datetime | None = None,
) -> Approval:
    """Approve a saved plan, or the part of it that fits a rule; writes the approval beside it.

    Parameters
    ----------
    path
        The plan's folder.
    rule
        An SQL condition over the plan's columns; an empty text is everything.
    include, exclude
        Units that are in, or out, whatever the rule says.
    approved_by
        Who says yes; the user's name without it.
    """
    plan = Plan.load(os.fspath(path))
    who = approved_by or getpass.getuser()
    when = as_of or datetime.now(UTC)
    approval = approve_plan(plan, rule, include=include, exclude=exclude, approved_by=who, as_of=when)
    approval.save(os.fspath(path))
    return approval


def gc_incremental(
    collection: Collection | None = None,
    batch_size: int = 100,
    dry_run: bool = True,
    *,
    approval: Approval | None = None,
    policy: gc.GCPolicy | None = None,
    as_of: datetime | None = None,
    **options: Any,
) -> Any:
    """Collect garbage in batches: the short door to `plan_gc` and `catalogkit.apply`.

    Parameters
    ----------
    collection
        The collection; without it the one of ``$CATALOGKIT_HOME``, or of the current folder.
    batch_size
        Steps in one transaction; progress is told, and a stop heeded, after each.
    dry_run
        True gives the plan and changes nothing. False condemns what the plan says, which can be undone; bytes are
        only removed by `plan_purge`, after the grace.
    **options
        Passed on to `catalogkit.apply`: ``progress``, ``stop``, ``max_share``.

    Returns
    -------
    Plan or ApplyReport
    """
    from catalogkit.apply import apply
    from catalogkit.collection import open_collection

    if batch_size < 1:
        raise InvalidInput("batch_size must be at least 1")
    opened = collection or open_collection()
    try:
        plan = plan_gc(opened, policy, as_of=as_of)
        if dry_run:
            return plan
        return apply(
            opened, plan, approval=approval, unapproved=approval is None, batch=batch_size, as_of=as_of, **options
        )
    finally:
        if collection is None:
            opened.close()


def why(collection: Collection, subject: str | int, *, as_of: datetime | None = None) -> list[str]:
    """Why bytes are kept, or why they go, in sentences.

    Parameters
    ----------
    subject
        A digest, a document's id, or a path (a key of the store, or a file).

    Raises
    ------
    InvalidInput
        If the catalog knows nothing of it.
    """
    when = as_of or collection.now()
    digest = _digest_of(collection, str(subject))
    facts = collection.catalog.root_kinds(digest, as_of=when)
    if not facts:
        raise InvalidInput(f"the catalog knows nothing of {digest}")
    said = [f"{digest} ({facts['bytes']:,} bytes) is {facts['state']}"]
    for document_id, artifact_id, resolver in facts["documents"]:
        said.append(f"document {document_id} ({artifact_id}, {resolver or 'no resolver'}) refers to it")
    if facts["refs"] > len(facts["documents"]):
        said.append(f"and {facts['refs'] - len(facts['documents'])} documents more")
    said += [f"a hold keeps it: {reason}" for reason in facts["holds"]]
    said += [f"an ingest under way keeps it: {owner}" for owner in facts["intents"]]
    said += [f"{root} keeps it" for root in facts["roots"]]
    if facts["garbage_since"]:
        said.append(f"nothing has referred to it since {facts['garbage_since']:%Y-%m-%d %H:%M} UTC")
        grace = gc.GCPolicy().grace
        due = facts["garbage_since"] + grace
        state = "it may be purged" if due <= when else f"it may be purged from {due:%Y-%m-%d %H:%M} UTC on"
        said.append(f"{state}, once it is condemned" if facts["state"] == "live" else state)
    for copy in collection.catalog.locations_of(digest):
        place = collection.stores[collection.store_id(copy.store)].describe(copy.key)
        said.append(f"a copy lies at {place}: {copy.outcome or 'never checked'}")
    return said


def _digest_of(collection: Collection, subject: str) -> Digest:
    if subject.isdigit() and len(subject) < 20:
        record = collection.catalog.document(int(subject))
        if record is None:
            raise InvalidInput(f"there is no document {subject}")
        return record.sha256
    if len(subject) == 64 and "/" not in subject:
        return Digest.parse(subject)
    for store_id, store in collection.stores.items():
        root = store.root.rstrip("/") + "/"
        path = os.path.abspath(text_path(subject))
        key = path.removeprefix(root) if path.startswith(root) else subject
        if not isinstance(store, LocalStore):
            key = store.key(path)
        digest = collection.catalog.digest_at(store_id, key)
        if digest is not None:
            return digest
    raise InvalidInput(f"the catalog knows nothing of {subject!r}; give a digest, a document's id, or a path")


def _head(collection: Collection, kind: str, when: datetime) -> Head:
    totals = collection.catalog.totals()
    return Head(
        kind=kind,
        catalog=collection.identity,
        as_of=when,
        expires_at=when + VALID_FOR,
        author=getpass.getuser(),
        documents=totals["documents"],
        physical_bytes=totals["physical_bytes"],
    )


def _names(collection: Collection) -> Callable[[str | None, str | None], int]:
    """How many names the file at a key of a store has; what lies in its owner's hands counts as one of its own."""
    stores = {store.name: store for store in collection.stores.values() if isinstance(store, LocalStore)}
    for store in stores.values():
        store.reach()

    def names(store: str | None, key: str | None) -> int:
        return stores[store].names(key) if store in stores and key is not None else 1

    return names


def _present(files: pl.DataFrame) -> pl.DataFrame:
    return files.with_columns(bytes=pl.when(pl.col("users") > 0).then("bytes").otherwise(0))


def _strays(collection: Collection) -> pl.DataFrame:
    """Files of the store that have the form of its layout and that no record knows."""
    store = collection.store
    store.reach()
    store_id = collection.store_id(store.name)
    rows = []
    for keys in _chunks(store.keys(), 10_000):
        known = collection.catalog.recorded(store_id, keys)
        for key in keys:
            if key not in known and (about := store.stat(key)) is not None:
                since = int(about.mtime_ns // 1000)
                rows.append((store.name, key, about.bytes, about.inode, about.mtime_ns, store.names(key), since))
    return _frame(rows, gc.STRAYS)


def _chunks(keys: Iterator[str], size: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    for key in keys:
        chunk.append(key)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _frame(rows: Sequence[tuple[Any, ...]], schema: pl.Schema) -> pl.DataFrame:
    raw = {name: pl.Int64() if kind == pl.Datetime("us", "UTC") else kind for name, kind in schema.items()}
    return pl.DataFrame(rows, schema=raw, orient="row").cast(schema)


def waiting_plans(collection: Collection) -> list[dict[str, Any]]:
    """Plans saved in the collection that were not begun: id, kind, units, state and path, newest first."""
    begun = {row.id for row in collection.catalog.plans()}
    found = []
    for head in sorted((collection.path / "plans").glob("*/plan.json"), reverse=True):
        plan = Plan.load(head.parent)
        if plan.id not in begun:
            state = "approved" if Approval.load(head.parent) else "draft"
            facts = {"id": plan.id, "kind": plan.head.kind, "units": plan.units, "bytes_freed": plan.bytes_freed()}
            found.append({**facts, "state": state, "path": str(head.parent)})
    return found
