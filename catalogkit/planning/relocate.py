"""Gathers the blobs of a store that is to be emptied."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from catalogkit.errors import InvalidInput
from catalogkit.layouts import cas_key
from catalogkit.model import Digest
from catalogkit.planners import relocate
from catalogkit.planning.common import HEALTHY, head_of, names_of
from catalogkit.signals import operation
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan


@operation("plan", kind="relocate")
def plan_relocate(
    collection: Collection,
    to: str,
    *,
    source: str | None = None,
    keep: bool = False,
    limit: int | None = None,
    as_of: datetime | None = None,
) -> Plan:
    """Move what lies in one store to another: from a folder to a bucket, or back.

    Parameters
    ----------
    to
        The name of the store to move to.
    source
        The name of the store to leave; without it the one that new bytes go to.
    keep
        Copy only: what lies here stays as well.
    limit
        At most so many blobs.

    Raises
    ------
    InvalidInput
        If one of them is no store of this collection that can be written, or both are the same.
    """
    when, origin = as_of or collection.now(), source or collection.store.name
    writable = {store.name for store in collection.stores.values() if store.writable}
    for name in (origin, to):
        if name not in writable:
            raise InvalidInput(
                f"this collection has no store {name!r} to write to; it has {', '.join(sorted(writable))}"
            )
    if origin == to:
        raise InvalidInput(f"{to!r} is where it lies already; name another store with --to, or with --from")
    live = collection.frame("blobs").filter(pl.col("state") == "live").select("sha256")
    locations = collection.frame("locations").join(live, on="sha256").sort("id")
    here, there = locations.filter(pl.col("store") == origin), locations.filter(pl.col("store") == to)
    bad, kept = here.filter(~HEALTHY), set(there.filter(HEALTHY)["sha256"])
    # A copy in the other store that was found bad is no copy to rely on: repair is for that.
    left = here.filter(HEALTHY).join(there.filter(~HEALTHY), on="sha256", how="anti", maintain_order="left")
    exists = pl.col("sha256").is_in(list(kept))
    wanted = left.filter(~exists) if keep else left
    copies = copies_of(collection, wanted.with_columns(to=pl.lit(to), reason=pl.lit("to-store"), exists=exists))
    head = head_of(collection, "relocate", when)
    if bad.height or left.height < here.height - bad.height:
        head = replace(head, complete="copies that are known to be bad, here or there, stay; repair them first")
    return relocate.plan_relocate(head, copies, to=to, keep=keep).limited(limit)


def copies_of(collection: Collection, left: pl.DataFrame) -> pl.DataFrame:
    """What a planner needs to know of copies that are to be left (`relocate.COPIES`).

    Parameters
    ----------
    left
        Rows of ``locations``, with ``to``, ``reason`` and ``exists`` in addition.
    """
    about = collection.frame("documents").sort("id").group_by("sha256", maintain_order=True).first()
    about = about.select("sha256", "artifact_id", "resolver", "media_type", "tenant")
    names = names_of(collection)
    rows = left.join(about, on="sha256", how="left", maintain_order="left").rename({"id": "location"})
    targets = [cas_key(Digest.parse(sha256)) for sha256 in rows["sha256"]]
    one_name = {store.name for store in collection.stores.values() if isinstance(store, S3Layout)}
    users = [
        1 if store in one_name else max(1, names(store, key)) for store, key in rows.select("store", "key").iter_rows()
    ]
    return rows.with_columns(
        target=pl.Series(targets, dtype=pl.String()), users=pl.Series(users, dtype=pl.Int64())
    ).select(pl.col(name).cast(kind) for name, kind in relocate.COPIES.items())
