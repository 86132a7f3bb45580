"""`Collection`: a catalog and its stores, opened together."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from catalogkit.accessing import Accessing
from catalogkit.asking import Asking
from catalogkit.catalog import open_catalog
from catalogkit.catalog.urls import file_of, public
from catalogkit.config import (
    CONFIG_NAME,
    Config,
    parse_config,
    read_config,
    rewrite_layout,
    rewrite_stores,
    write_config,
)
from catalogkit.errors import CatalogError, InvalidInput, NotACollection, StoreMismatch, StoreUnreachable
from catalogkit.layouts import DEFAULT_TEMPLATE, Template
from catalogkit.model import Layout
from catalogkit.remote import asked, folder_of, is_address, settings_here, tell_stores
from catalogkit.searching import Searching
from catalogkit.signals import operation
from catalogkit.stores.opening import check_readable, check_url, create_store, open_store
from catalogkit.stores.reference import ReferenceStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import polars as pl

    from catalogkit.catalog.contract import Catalog
    from catalogkit.model import DocumentRecord
    from catalogkit.stores.opening import AnyStore, Own

IN_PLACE: Final = "in-place"


def utc_now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


class Collection(Asking, Searching, Accessing):
    """A catalog and its stores, opened together.

    Open one with `catalogkit.open`, make one with `catalogkit.init`. It is a context manager; closing it gives the
    catalog back.

    Attributes
    ----------
    path : pathlib.Path
        The collection's folder, absolute.
    catalog : Catalog
        The truth about facts.
    store : LocalStore or S3Layout
        Where new bytes go.
    layout, template
        How keys are named in it.
    clock
        Gives the time where a call does not (`as_of`); tests put their own here.
    """

    def __init__(
        self, path: Path, config: Config, catalog: Catalog, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.path, self.config, self.catalog, self.clock = path, config, catalog, clock
        # When this program left a mark of its own in which store last; see `catalogkit.marks`.
        self.marked: dict[str, datetime] = {}
        self._open_stores(config)

    def _open_stores(self, config: Config) -> None:
        rows, settings, path = {row.name: row for row in self.catalog.stores()}, config.store, self.path
        self.config = config
        self._ids = {name: row.id for name, row in rows.items()}
        self._stores: dict[int, AnyStore] = {}
        for name, url in {settings.name: settings.url, **config.stores}.items():
            if name not in rows:
                raise StoreMismatch(f"the catalog knows no store {name!r}; {CONFIG_NAME} was changed by hand")
            self._stores[rows[name].id] = open_store(url, path, name=name, token=rows[name].token)
        self.store: Own = self._stores[self._ids[settings.name]]  # type: ignore[assignment]
        self.layout = Layout(settings.layout)
        self.template = Template(settings.template)
        if IN_PLACE in rows:
            self._stores[rows[IN_PLACE].id] = ReferenceStore(token=rows[IN_PLACE].token)

    @property
    def identity(self) -> str:
        """The catalog's identity: 32 hex digits that its stores carry, too."""
        return self.catalog.identity

    @property
    def stores(self) -> dict[int, AnyStore]:
        """Every store by the id the catalog gave it."""
        return dict(self._stores)

    def store_id(self, name: str) -> int:
        """The id of a store by its name."""
        return self._ids[name]

    def in_place(self) -> tuple[int, ReferenceStore]:
        """The store of files that stay where they are; made when first asked for."""
        if IN_PLACE not in self._ids:
            store = ReferenceStore(token=f"{IN_PLACE}-{self.identity}")
            row = self.catalog.add_store(IN_PLACE, store.kind, store.token)
            self._ids[IN_PLACE], self._stores[row.id] = row.id, store
        store_id = self._ids[IN_PLACE]
        store = self._stores[store_id]  # type: ignore[assignment]
        return store_id, store

    def tenant(self, named: str | None = None) -> str:
        """Whose documents are meant: the one that is named, else the one whose collection it is, else ``default``.

        Raises
        ------
        InvalidInput
            If the collection is another tenant's alone.
        """
        owner = self.config.tenant.id
        if owner and named not in (None, owner):
            raise InvalidInput(f"this collection is the tenant {owner}'s alone; nothing of {named!r} belongs into it")
        return (owner or "default") if named is None else named

    def now(self) -> datetime:
        """The collection's clock, in UTC."""
        return self.clock()

    def use_layout(self, layout: str) -> None:
        """From now on name new bytes so; what is stored stays where it is, and is found as before."""
        if layout not in (Layout.CAS, Layout.POLICY):
            raise InvalidInput(f"no layout {layout!r} for a store; use cas or policy")
        if layout != self.layout:
            self.config = rewrite_layout(self.path, Layout(layout).value)
            self.layout = Layout(layout)
            tell_stores(self)

    def use_stores(self, name: str, url: str, others: dict[str, str]) -> None:
        """From now on new bytes go to the store `name`; what is stored stays where it is, and is found as before."""
        self._open_stores(rewrite_stores(self.path, name, url, others))
        tell_stores(self)

    # -- questions ---------------------------------------------------------------------------------------------

    @operation("query", query="find")
    def find(self, *, limit: int = 100, **filters: str) -> pl.DataFrame:
        """Documents that match every filter, by id, with where their bytes lie.

        Parameters
        ----------
        limit
            At most so many.
        **filters
            ``tenant``, ``artifact_id``, ``source_url``, ``resolver``, ``variant``, ``run_id``, ``media_type`` or
            ``sha256`` (64 hex digits).
        """
        import polars as pl

        from catalogkit.model import Digest, schema

        wanted: dict[str, Any] = dict(filters)
        if "sha256" in wanted:
            wanted["sha256"] = Digest.parse(wanted["sha256"])
        found = self.catalog.find(limit=limit, **wanted)
        rows = [{**document_row(record), "location": self.location(record)} for record in found]
        return pl.DataFrame(rows, schema={**schema("documents"), "location": pl.String()}, orient="row")

    def close(self) -> None:
        """Close the catalog."""
        self.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Collection({str(self.path)!r})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        from catalogkit.reprs import facts

        try:
            totals = self.catalog.totals()
        except CatalogError:  # it was closed, or cannot be read: a notebook's cell shows that, and does not fail
            return facts("Collection", {"folder": str(self.path), "catalog": "closed, or not readable"})
        return facts(
            "Collection",
            {
                "folder": str(self.path),
                "catalog": f"{self.catalog.url} ({self.identity[:8]})",
                **({"as of": f"{at:%Y-%m-%d %H:%M:%S} UTC, a replica"} if (at := self.catalog.current_to()) else {}),
                "store": f"{self.store.root} ({self.layout} layout)",
                **{name: f"{count:,}" for name, count in totals.items()},
            },
        )


def document_row(record: DocumentRecord) -> dict[str, Any]:
    """A document as a row of the ``documents`` frame."""
    import json

    from catalogkit.columns import COLUMNS

    row = {name: getattr(record, name) for name in COLUMNS["documents"]}
    return row | {"sha256": str(record.sha256), "metadata": json.dumps(dict(record.metadata), ensure_ascii=False)}


def init(
    path: Path | str,
    *,
    store: str = "file:store",
    catalog: str = "sqlite:///catalog.sqlite",
    layout: str = "cas",
    template: str | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Collection:
    """Make a collection.

    Parameters
    ----------
    path
        Its folder; made if need be.
    store, catalog
        URLs; relative ones lie in the folder. A catalog on a server is ``postgresql://user@host/database``; a password
        in it is used now and never written down.
    layout
        ``cas`` names bytes by content, ``policy`` by the readable path that `template` makes.

    Raises
    ------
    InvalidInput
        If a collection is there already, or an argument is not acceptable; nothing is changed then.
    """
    folder = folder_of(path)
    if layout not in (Layout.CAS, Layout.POLICY):
        raise InvalidInput(f"no layout {layout!r} for a store; use cas or policy")
    config = parse_config(
        # A password stays where it came from; it is asked of ~/.pgpass or PGPASSWORD from now on.
        {
            "catalog": public(catalog),
            "store": {"url": store, "layout": layout, "template": template or DEFAULT_TEMPLATE},
        }
    )
    Template(config.store.template)
    check_url(store, layout)
    check_readable(store)
    if (folder / CONFIG_NAME).exists():
        raise InvalidInput(f"{folder} is a collection already; nothing was changed")
    opened = open_catalog(catalog, base=folder, create=True, as_of=clock())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if opened.stores():
            raise InvalidInput(f"{public(catalog)} belongs to another collection; name another catalog")
        home = opened.home
        made = create_store(store, folder, name=config.store.name, catalog=opened.identity, home=home, layout=layout)
        opened.add_store(made.name, made.kind, made.token)
        # Last, because it is what makes the folder a collection.
        write_config(folder, config)
        collection = Collection(folder, config, opened, clock=clock)
        tell_stores(collection)
        return collection
    except BaseException:
        opened.close()
        raise


def home_of(path: Path | str | None = None) -> Path:
    """The folder of a collection: `path`, else ``$CATALOGKIT_HOME``, else the current folder."""
    named = path or os.environ.get("CATALOGKIT_HOME") or "."
    if not is_address(named):
        return folder_of(named)
    with open_collection(named) as opened:
        return opened.path


def catalog_file(path: Path | str | None = None) -> Path:
    """Where the file of a collection's catalog is, or should be: it may be lost.

    Raises
    ------
    NotACollection
        If there is no collection.
    InvalidInput
        If its catalog is not a file.
    """
    folder = home_of(path)
    file = file_of(read_config(folder).catalog)
    if file is None:
        raise InvalidInput(
            f"the catalog of {folder} is on a server; make a file beside it (--into {folder}/recovered.sqlite), and"
            " bring that to a new database with `catalogkit migrate-catalog`"
        )
    return folder / file


def open_collection(
    path: Path | str | None = None,
    *,
    store: str | None = None,
    reading: bool | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Collection:
    """Open a collection.

    Parameters
    ----------
    path
        Its folder; without one, ``$CATALOGKIT_HOME``, else the current folder. Or the address of a catalog on a server,
        ``postgresql://user@host/database``, which says where the store is; settings, plans and the mirror of this
        machine then lie in ``$XDG_STATE_HOME/catalogkit``.
    store
        With the address of a catalog: where the store is, if it does not say, or is elsewhere for this machine.
    reading
        Whether to ask the ``replica`` that the settings name, if they name one; it takes no changes. Without it,
        whether ``$CATALOGKIT_REPLICA`` is set.

    Raises
    ------
    NotACollection
        If there is none: a collection never comes into being by a mistyped path.
    StoreMismatch
        If the store at its place belongs to another catalog.

    Examples
    --------
    >>> with ck.open() as opened:  # $CATALOGKIT_HOME
    ...     opened.find(artifact_id="c.txt")["bytes"].to_list()
    [5]
    """
    address = next((one for one in (path or os.environ.get("CATALOGKIT_HOME"),) if is_address(one)), None)
    if store is not None and address is None:
        raise InvalidInput("a store is named with the address of a catalog; a folder has its own in its settings")
    folder = Path() if address else home_of(path)
    url = str(address) if address else asked(read_config(folder), reading)
    catalog = open_catalog(url, base=folder, as_of=clock())
    try:
        folder, config = settings_here(catalog, url, store) if address else (folder, read_config(folder))
        collection = Collection(folder, config, catalog, clock=clock)
        # Facts can be asked for while a disk is away; whatever needs the bytes will say so.
        with contextlib.suppress(StoreUnreachable):
            collection.store.reach()
        return collection
    except BaseException:
        catalog.close()
        raise


@contextlib.contextmanager
def opened(collection: Collection | None) -> Iterator[Collection]:
    """The collection that is given, which stays open; without one `open_collection` opens it for as long as this is."""
    if collection is not None:
        yield collection
        return
    with open_collection() as found:
        yield found


__all__ = ["Collection", "NotACollection", "init", "open_collection", "opened", "utc_now"]
