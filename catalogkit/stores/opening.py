"""Opens stores by URL: ``file:folder``, ``s3://``, ``gs://`` or ``az://``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from catalogkit.errors import InvalidInput, StoreUnreachable
from catalogkit.model import Layout
from catalogkit.stores.local import LocalStore, identity_at
from catalogkit.stores.reference import ReferenceStore
from catalogkit.stores.s3.identity import identity_in
from catalogkit.stores.s3.settings import EXAMPLES, S3Settings, is_bucket
from catalogkit.stores.s3.store import S3Layout

if TYPE_CHECKING:
    from typing import TypeAlias

# Those that catalogkit writes to, and all that a collection can have.
OWN = (LocalStore, S3Layout)
Own: TypeAlias = LocalStore | S3Layout
AnyStore: TypeAlias = LocalStore | S3Layout | ReferenceStore


def open_store(url: str, folder: Path, *, name: str, token: str) -> Own:
    """The store at a URL; a relative path lies in `folder`. Whether it is there, `reach` says.

    Raises
    ------
    InvalidInput
        If there is no store for such a URL.
    """
    if is_bucket(url):
        return S3Layout(url, name=name, token=token)
    return LocalStore(root_of(folder, url), name=name, token=token)


def whose_store(url: str, folder: Path) -> tuple[str, str]:
    """The token of the store at a URL, and the identity of the catalog it belongs to.

    Raises
    ------
    StoreUnreachable
        If there is no store, or what it says of itself cannot be read.
    """
    if not is_bucket(url):
        return identity_at(root_of(folder, url))
    settings = S3Settings.parse(url)
    found = identity_in(settings)
    if not {"token", "catalog"} <= set(found):
        raise StoreUnreachable(f"the store at {settings.place()} does not say whose it is")
    return str(found["token"]), str(found["catalog"])


def create_store(url: str, folder: Path, *, name: str, catalog: str, home: str, layout: str) -> Own:
    """Make a store at a URL, for the catalog of that identity.

    Raises
    ------
    InvalidInput
        If there is no store for such a URL, or none with that layout.
    StoreError
        If it cannot be made there.
    """
    if not is_bucket(url):
        return LocalStore.create(root_of(folder, url), name=name, catalog=catalog, home=home)
    check_url(url, layout)
    return S3Layout.create(url, name=name, catalog=catalog, home=home)


def check_url(url: str, layout: str) -> None:
    """Raise `InvalidInput` for a URL of no store, or of one that cannot have that layout."""
    if not is_bucket(url):
        root_of(Path(), url)
    elif not S3Settings.parse(url).conditional and layout == Layout.POLICY:
        raise InvalidInput(
            "readable paths need a server that creates without overwriting: two writers could take one path at the"
            " same moment; use the layout cas there"
        )


def check_readable(url: str) -> None:
    """Raise `InvalidInput` for a place whose bytes cannot be read back: nothing that is taken in could be proved."""
    if is_bucket(url) and (settings := S3Settings.parse(url)).archive:
        raise InvalidInput(
            f"{settings.storage_class} is an archive, where nothing can be read back at once: let new bytes go to"
            " another store, and `catalogkit plan tier` take there what nobody asks for"
        )


def root_of(folder: Path, url: str) -> Path:
    """The folder of a store's URL; a relative one lies in the collection's folder."""
    if "://" in url and not url.startswith("file://"):
        raise InvalidInput(f"no store for {url.partition(':')[0]!r}; use file:folder, {EXAMPLES}")
    return folder / url.removeprefix("file://").removeprefix("file:")
