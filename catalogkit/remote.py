"""Opens a collection by its catalog's address alone; the catalog says where the store is.

Whoever makes a collection, or changes its stores, notes that in a catalog on a server. A machine that opens it by its
address keeps settings, plans and the mirror in a folder of its own, named by the catalog's identity.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from catalogkit.catalog.urls import file_of, public
from catalogkit.config import CONFIG_NAME, Config, parse_config, read_config, rewrite_stores, write_config
from catalogkit.errors import InvalidInput
from catalogkit.stores.local import LocalStore

if TYPE_CHECKING:
    from catalogkit.catalog.contract import Catalog
    from catalogkit.collection import Collection

_NOTE: Final = "stores"


def is_address(path: object) -> bool:
    """Whether that is the address of a catalog on a server, not a folder."""
    return isinstance(path, str) and path.startswith(("postgresql://", "postgres://"))


def asked(config: Config, reading: bool | None) -> str:
    """The address of the catalog, or, for whoever only reads and says so, or whose environment does, of its replica."""
    reading = bool(os.environ.get("CATALOGKIT_REPLICA")) if reading is None else reading
    return config.replica if reading and config.replica else config.catalog


def folder_of(path: object) -> Path:
    """A folder that somebody named, with all links resolved.

    Raises
    ------
    InvalidInput
        If it is the address of a catalog, which is none, and may have a password in it.
    """
    text = os.path.realpath(str(path))
    if str(path).startswith(("postgresql:/", "postgres:/")):
        raise InvalidInput("that is no folder: name the address of a catalog with --catalog, or open it by it")
    return Path(text)


def tell_stores(collection: Collection) -> None:
    """Note in a catalog on a server where the stores are, as any machine would name them."""
    if file_of(collection.config.catalog) is not None:
        return
    places = {}
    for name, url in {collection.config.store.name: collection.config.store.url, **collection.config.stores}.items():
        store = collection.stores[collection.store_id(name)]
        places[name] = f"file://{store.root}" if isinstance(store, LocalStore) else url
    store_config = msgspec.structs.replace(collection.config.store, url=places.pop(collection.config.store.name))
    told = {"store": msgspec.to_builtins(store_config), "stores": places}
    collection.catalog.note(_NOTE, msgspec.json.encode(told).decode())


def settings_here(catalog: Catalog, url: str, store: str | None) -> tuple[Path, Config]:
    """This machine's folder for a catalog on a server, and the settings in it; made when first asked for."""
    folder, config = settings_of(catalog, url, store)
    if not (folder / CONFIG_NAME).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_config(folder, config)
        if config.stores:
            rewrite_stores(folder, config.store.name, config.store.url, config.stores)
        config = read_config(folder)
    if store and config.store.url != store:
        config = rewrite_stores(folder, config.store.name, store, config.stores)
    return folder, config


def settings_of(catalog: Catalog, url: str, store: str | None = None) -> tuple[Path, Config]:
    """That folder, and the settings in it, or those that it would get; nothing is written.

    Parameters
    ----------
    store
        Where the store is, if not where the catalog says.

    Raises
    ------
    InvalidInput
        If nobody says where the store is.
    """
    folder = _state() / catalog.identity
    if not (folder / CONFIG_NAME).exists():
        told: dict[str, Any] = msgspec.json.decode(catalog.noted(_NOTE) or '{"store": {}, "stores": {}}')
        place = {**told["store"], **({"url": store} if store else {})}
        if "url" not in place:
            raise InvalidInput(
                f"{catalog.url} does not say where its store is: name it once,"
                " such as store='s3://bucket/prefix' or store='file:///folder' (--store)"
            )
        return folder, parse_config({"catalog": public(url), "store": place, "stores": told["stores"]})
    return folder, read_config(folder)


def _state() -> Path:
    """Where programs of this user keep what is theirs."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "catalogkit"
