"""Gathers copies whose layout is not the one wanted, and their new names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from catalogkit.catalog.misplaced import Misplaced
from catalogkit.errors import InvalidInput
from catalogkit.layouts import Template, basename_of, beside, fold
from catalogkit.model import Arrival, Digest, Layout
from catalogkit.plan import left_out
from catalogkit.planners import migrate
from catalogkit.planning.common import HEALTHY, head_of, mirrored_figures, names_of
from catalogkit.signals import operation
from catalogkit.stores.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan


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
    # Of those that have their new names, and keep the old ones, a plan of few would name the first again and again.
    found = _gathered(collection, to, None if keep else limit)
    names = names_of(collection)
    users = [max(1, names(store.name, key)) for key in found.copies["key"]]
    about = found.documents.unique("sha256", keep="first", maintain_order=True)
    moves = (
        found.copies.with_columns(location="id", store=pl.lit(store.name), users=pl.Series(users, dtype=pl.Int64))
        .join(_targets(collection, found, to), on="sha256", maintain_order="left")
        .join(about.select("sha256", "artifact_id", "resolver", "media_type", "tenant"), on="sha256", how="left")
        .with_columns(exists=pl.col("target").is_in(found.in_place["key"].implode()))
    )
    complete = []
    if found.bad:
        complete.append(f"{found.bad} copies that are known to be bad stay; repair them first")
    if found.left:
        complete.append(left_out(found.left))
    head = replace(head_of(collection, "migrate", when, found.much), complete="; ".join(complete))
    views = views and to == Layout.CAS
    return migrate.plan_migrate(head, moves.select(migrate.MOVES.names()), to=to, views=views, keep=keep).limited(limit)


def misplaced(collection: Collection, to: str) -> pl.DataFrame:
    """What `plan_migrate` without a limit would move: ``media_type``, ``copies``, ``bytes`` of these."""
    figures = mirrored_figures(collection)
    if figures is not None:
        with figures:
            return Misplaced(figures, collection.store.name, to).by_type()
    found = _gathered(collection, to, None)
    typed = found.copies.join(collection.frame("blobs").select("sha256", "media_type"), on="sha256")
    counted = typed.group_by("media_type").agg(copies=pl.len().cast(pl.Int64), bytes=pl.col("bytes").sum())
    return counted.sort("media_type")


class _Found(NamedTuple):
    """Healthy copies of another layout, the documents of their contents, what lies in place, and how much is left."""

    copies: pl.DataFrame
    documents: pl.DataFrame
    in_place: pl.DataFrame
    bad: int
    left: int
    much: dict[str, int] | None


def _gathered(collection: Collection, to: str, limit: int | None) -> _Found:
    store, figures = collection.store.name, mirrored_figures(collection)
    if figures is not None:
        with figures:
            there = Misplaced(figures, store, to)
            good, bad = there.counts()
            copies = there.copies(limit)
            return _Found(copies, there.documents(), there.in_place(), bad, good - copies.height, figures.much)
    locations, blobs, documents = (collection.frame(table) for table in ("locations", "blobs", "documents"))
    locations = locations.filter(pl.col("store") == store)
    # Readable paths are those of documents: what none has keeps its address.
    live = blobs.filter(pl.col("state") == "live", (pl.col("refs") > 0) | pl.lit(to != "policy"))
    wrong = locations.filter(pl.col("layout") != to).join(live, on="sha256", how="semi").sort("id")
    every = wrong.filter(HEALTHY)
    copies = every if limit is None else every.head(limit)
    about = documents.join(copies, on="sha256", how="semi").sort("id")
    in_place = locations.filter(pl.col("layout") == to).select("key", "sha256")
    return _Found(copies, about, in_place, wrong.height - every.height, every.height - copies.height, None)


def _targets(collection: Collection, found: _Found, to: str) -> pl.DataFrame:
    """The new names of every content: ``sha256``, ``target``."""
    if to == "cas":
        address = pl.format("cas/{}/{}", pl.col("sha256").str.head(2), "sha256")
        return found.copies.select("sha256", target=address).unique("sha256")
    taken = {fold(key): (key, sha256) for key, sha256 in found.in_place.iter_rows()}
    named = [(row["sha256"], key) for key, row in readable_keys(found.documents, collection.template, taken)]
    return pl.DataFrame(named, schema={"sha256": pl.String, "target": pl.String}, orient="row").unique()


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
        for digits in (0, 12, 64):
            key = beside(plain, digest, digits) if digits else plain
            held, sha256 = taken.setdefault(fold(key), (key, row["sha256"]))
            if sha256 == row["sha256"]:
                yield held, row
                break
