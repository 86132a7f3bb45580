"""Which copies have another layout than they are to have, and their new names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.layouts import Template, basename_of, beside, cas_key, fold
from catalogkit.model import Arrival, Digest, Layout
from catalogkit.planners import migrate
from catalogkit.planning.common import framed, head_of, names_of
from catalogkit.signals import operation
from catalogkit.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

Names = dict[str, list[str]]


@operation("plan", kind="migrate")
def plan_migrate(
    collection: Collection,
    to: str = "cas",
    *,
    views: bool = True,
    keep: bool = False,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """Move what lies in the collection's store to another layout.

    Parameters
    ----------
    to
        ``cas``: bytes at their content address. ``policy``: at readable paths, made by the collection's template, one
        for each document (what no document refers to stays where it is).
    views
        Whether symbolic links to the new names take the place of the old ones (to ``cas`` only).
    keep
        Only give new names; the old ones stay copies until a plan without this gives them up.
    limit
        At most so many copies.

    Raises
    ------
    InvalidInput
        If `to` is no layout of a store.

    Examples
    --------
    >>> ck.plan_migrate(c, "policy").units  # both contents get readable paths
    2
    """
    if to not in ("cas", "policy"):
        raise InvalidInput(f"no layout {to!r} to migrate to; use cas or policy")
    when, store = as_of or collection.now(), collection.store
    if not isinstance(store, LocalStore):
        raise InvalidInput(
            f"in {store.root} objects have one name each; `catalogkit plan relocate` moves them elsewhere"
        )
    locations = collection.frame("locations").filter(pl.col("store") == store.name)
    live = collection.frame("blobs").filter(pl.col("state") == "live").select("sha256")
    wrong = locations.filter(pl.col("layout") != to).join(live, on="sha256").sort("id")
    bad = wrong.filter(pl.col("outcome").is_in(["corrupt", "missing"]).fill_null(False))
    good = wrong.join(bad, on="id", how="anti")
    documents = collection.frame("documents").sort("id")
    about = documents.group_by("sha256", maintain_order=True).first()
    about = about.select("sha256", "artifact_id", "resolver", "media_type", "tenant")
    there = locations.filter(pl.col("layout") == to)
    targets = _readable(collection, documents, there) if to == "policy" else None
    names, taken = names_of(collection), set(there["key"])
    rows = [
        (one["id"], target, target in taken, one["sha256"], one["bytes"], store.name, one["key"], one["inode"],
         one["mtime_ns"], max(1, names(store.name, one["key"])), *facts)
        for one, facts in _with(good, about)
        for target in ([cas_key(Digest.parse(one["sha256"]))] if targets is None else targets.get(one["sha256"], []))
    ]  # fmt: skip
    head = head_of(collection, "migrate", when)
    if bad.height:
        head = replace(head, complete=f"{bad.height} copies that are known to be bad stay; repair them first")
    views = views and to == Layout.CAS
    plan = migrate.plan_migrate(head, framed(rows, migrate.MOVES), to=to, views=views, keep=keep)
    return plan if limit is None else plan.limited(limit)


def _with(good: pl.DataFrame, about: pl.DataFrame) -> Iterator[tuple[dict[str, Any], tuple[Any, ...]]]:
    """Each copy, and what the first document with its content is."""
    columns = ("artifact_id", "resolver", "media_type", "tenant")
    for row in good.join(about, on="sha256", how="left", maintain_order="left").iter_rows(named=True):
        yield row, tuple(row[name] for name in columns)


def _readable(collection: Collection, documents: pl.DataFrame, there: pl.DataFrame) -> Names:
    """The readable keys of every content: one for each document that has it, none that other bytes have."""
    taken = {fold(key): (key, sha256) for key, sha256 in there.select("key", "sha256").iter_rows()}
    found: Names = {}
    for key, row in readable_keys(documents, collection.template, taken):
        keys = found.setdefault(row["sha256"], [])
        if key not in keys:
            keys.append(key)
    return found


def readable_keys(
    documents: pl.DataFrame, template: Template, taken: dict[str, tuple[str, str]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A readable key for every document; `taken` has what is at which key by its fold, and is added to.

    Documents share a key only if their bytes are equal; others get a suffix out of their digest.
    """
    for row in documents.iter_rows(named=True):
        fields = ("tenant", "artifact_id", "source_url", "resolver", "variant", "run_id")
        arrival, digest = Arrival(**{name: row[name] for name in fields}), Digest.parse(row["sha256"])
        plain = template.key(arrival, basename_of(row["source_url"], ""), digest)
        for key in (plain, beside(plain, digest), beside(plain, digest, 64)):
            held, sha256 = taken.setdefault(fold(key), (key, row["sha256"]))
            if sha256 == row["sha256"]:
                yield held, row
                break
