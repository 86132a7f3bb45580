"""What every gatherer needs: the head of a plan, frames with explicit schemas, how many names a file has."""

from __future__ import annotations

import getpass
import logging
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.model import schema
from catalogkit.plan import VALID_FOR, Head
from catalogkit.stores.opening import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from catalogkit.catalog.contract import PlanRow
    from catalogkit.catalog.figures import Figures
    from catalogkit.collection import Collection

# From so many documents on whole tables come from the mirror.
MANY: Final = 100_000
# Copies that were not found bad by their last check, if there was any.
HEALTHY: Final = ~pl.col("outcome").is_in(["corrupt", "missing"]).fill_null(False)
_LOG: Final = logging.getLogger(__name__)


def head_of(collection: Collection, kind: str, when: datetime, much: Mapping[str, int] | None = None) -> Head:
    """The head of a plan that is made now: for which catalog, how much there is, until when it may be applied.

    Where somebody has a mirror at hand, it tells how much (`Figures.much`) in far less time than the catalog.
    """
    totals = collection.catalog.totals() if much is None else much
    return Head(
        kind=kind,
        catalog=collection.identity,
        as_of=when,
        expires_at=when + VALID_FOR,
        author=user_name(),
        documents=totals["documents"],
        physical_bytes=totals["physical_bytes"],
    )


def applied(collection: Collection, beginning: str) -> PlanRow:
    """The one plan that was applied, or begun, whose id begins so.

    Raises
    ------
    InvalidInput
        If there is none, or more than one.
    """
    found = [row for row in collection.catalog.plans() if row.id.startswith(beginning)] if beginning else []
    if len(found) != 1:
        raise InvalidInput(f"{len(found) or 'no'} applied plans have an id that begins with {beginning!r}")
    return found[0]


def mirrored_figures(collection: Collection) -> Figures | None:
    """The mirror of a catalog of many documents, refreshed; None where the catalog itself is to be read."""
    if collection.catalog.position().last_id < MANY or find_spec("duckdb") is None:
        return None
    try:
        return collection.mirror.figures(as_of=collection.now())
    except CatalogError as problem:
        # On a full disk there is no room for it, and just then somebody needs a plan: the catalog has everything.
        _LOG.warning("%s; the catalog is read instead, which takes longer", problem)
        return None


def frames(collection: Collection, *tables: str) -> list[pl.DataFrame]:
    """Whole tables, ``documents`` or ``locations``, as they are now.

    Of many documents they come from the mirror, which is refreshed first, several times faster and all of one moment.
    Whatever a plan makes of them is looked at again when it is applied.
    """
    catalog, figures = collection.catalog, mirrored_figures(collection)
    if figures is None:
        return [catalog.frame(table) for table in tables]
    with figures:
        found = {table: figures.frame(table) for table in tables}
    if "documents" in found:
        # When documents were last seen is no part of a mirror. One that was forgotten since has not been seen.
        seen = catalog.frame("sightings").join(found["documents"], on="id", maintain_order="left")
        found["documents"] = seen.select(list(schema("documents")))
    return [found[table] for table in tables]


def user_name() -> str:
    """Who asks; by number where the system has no name for the user, as in a container that runs as anybody."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):  # which of them it is depends on the version of Python
        return f"uid {os.getuid()}"


def framed(rows: Sequence[tuple[Any, ...]], schema: pl.Schema) -> pl.DataFrame:
    """Rows with times in microseconds as a frame with that schema, also where there are none."""
    raw = {name: pl.Int64() if kind == pl.Datetime("us", "UTC") else kind for name, kind in schema.items()}
    return pl.DataFrame(rows, schema=raw, orient="row").cast(schema)


def chunked(keys: Iterator[str], size: int) -> Iterator[list[str]]:
    """Keys in lists of at most so many."""
    chunk: list[str] = []
    for key in keys:
        chunk.append(key)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def names_of(collection: Collection) -> Callable[[str | None, str | None], int]:
    """How many names the file at a key of a store has; what lies in its owner's hands counts as one of its own."""
    stores = {store.name: store for store in collection.stores.values() if isinstance(store, OWN)}
    for store in stores.values():
        store.reach()

    def names(store: str | None, key: str | None) -> int:
        return stores[store].names(key) if store in stores and key is not None else 1

    return names
