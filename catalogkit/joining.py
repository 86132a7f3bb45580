"""Adds further stores to a collection, and chooses which one new bytes go to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit.errors import InvalidInput
from catalogkit.marks import accept, renew
from catalogkit.model import Layout
from catalogkit.stores.opening import OWN, check_readable, check_url, create_store

if TYPE_CHECKING:
    from catalogkit.collection import Collection


def add_store(collection: Collection, name: str, url: str) -> None:
    """Add a store to a collection; new bytes still go where they went.

    Parameters
    ----------
    name
        What the collection calls it: small letters, digits, ``-`` and ``_``.
    url
        ``file:folder`` or ``s3://bucket/prefix``. Keys are content addresses in it.

    Raises
    ------
    InvalidInput
        If the name is taken or not plain, or there is no store for such a URL; nothing is changed then.
    StoreError
        If it cannot be made there, or another catalog's store is there.

    Examples
    --------
    >>> ck.add_store(c, "disk2", "file:more")
    >>> sorted(store.name for store in c.stores.values())
    ['disk2', 'main']
    """
    if name in {row.name for row in collection.catalog.stores()}:
        raise InvalidInput(f"this collection has a store {name!r} already; choose another name")
    main, others = collection.config.store, dict(collection.config.stores)
    check_url(url, Layout.CAS)
    home = collection.catalog.home
    made = create_store(
        url, collection.path, name=name, catalog=collection.identity, home=home, layout=Layout.CAS.value
    )
    collection.catalog.add_store(name, made.kind, made.token)
    collection.use_stores(main.name, main.url, {**others, name: url})


def adopt_store(collection: Collection, name: str) -> None:
    """Take a store over from another copy of this catalog that is gone for good.

    Whatever only the other one knew of is garbage to this one: look at an audit before a plan removes it.

    Raises
    ------
    InvalidInput
        If the collection has no such store.
    StoreError
        If it cannot be reached, or belongs to another catalog.

    Examples
    --------
    >>> ck.adopt_store(c, "main")
    """
    store = next((one for one in collection.stores.values() if one.name == name and isinstance(one, OWN)), None)
    if store is None:
        main, others = collection.config.store.name, collection.config.stores
        raise InvalidInput(f"this collection has no store {name!r}; it has {', '.join([main, *others])}")
    accept(collection.catalog, store)
    renew(collection.catalog, store)


def use_store(collection: Collection, name: str) -> None:
    """From now on new bytes go to another store of the collection; what is stored stays where it is.

    Raises
    ------
    InvalidInput
        If the settings name no such store.
    """
    main, others = collection.config.store, dict(collection.config.stores)
    if name == main.name:
        return
    if name not in others:
        raise InvalidInput(f"this collection has no store {name!r}; it has {', '.join([main.name, *others])}")
    url = others.pop(name)
    check_url(url, collection.config.store.layout)
    check_readable(url)
    collection.use_stores(name, url, {**others, main.name: main.url})
