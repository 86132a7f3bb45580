"""Readers: handles bound to one tenant of a shared catalog; the server enforces what they see.

Where every tenant has a collection of its own (`catalogkit.tenants`) there is nothing to keep apart. Where the
documents of several lie in one catalog, on a PostgreSQL server, a reader's role sees the documents of one of them: the
database leaves all other rows out of whatever it is asked (row-level security), raw SQL included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from catalogkit.catalog.passfiles import make_password, users_in
from catalogkit.catalog.urls import file_of
from catalogkit.errors import InvalidInput
from catalogkit.model import check_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import polars as pl

    from catalogkit.catalog.postgres import PostgresCatalog
    from catalogkit.collection import Collection
    from catalogkit.model import DocumentRecord

__all__ = ["TenantReader", "drop_reader", "open_reader", "readers"]

FOLDER: Final = "readers"
_PAGE: Final = 10_000


class TenantReader:
    """One tenant's documents in a catalog that it shares; made by `open_reader`. It reads, and nothing else.

    Attributes
    ----------
    tenant
        Whose documents these are.
    url, passfile
        What any program needs to ask as this reader: ``PGPASSFILE=... psql URL``.
    catalog
        The catalog as this reader sees it: `find`, `document`, `frame`, `versions`, `document_at` and what else asks
        for documents. What would tell of others (copies, checks, roots) is refused by the server.
    """

    def __init__(self, tenant: str, catalog: PostgresCatalog, passfile: Path, password: str) -> None:
        self.tenant, self.catalog, self.passfile = tenant, catalog, passfile
        self._password = password

    @property
    def url(self) -> str:
        """The address, without the password."""
        return self.catalog.url

    def records(self) -> list[DocumentRecord]:
        """Every document of the tenant, by id."""
        records: list[DocumentRecord] = []
        while page := self.catalog.find(limit=_PAGE, after_id=records[-1].id if records else 0):
            records += page
        return records

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> pl.DataFrame:
        """Ask in PostgreSQL's SQL over ``documents``, ``documents_history``, ``blobs`` and ``accesses``.

        Parameters
        ----------
        query
            One question, with ``$1`` for values. Of ``blobs`` there are ``sha256``, ``bytes`` and ``media_type``.
        parameters
            The values.

        Raises
        ------
        CatalogError
            If the server refuses it.
        InvalidInput
            If two columns have one name.
        """
        import polars as pl

        from catalogkit.catalog.postgres.readers import ask

        names, rows = ask(self.url, self._password, query, parameters)
        if len(set(names)) < len(names):
            raise InvalidInput("two columns of the answer have one name; give them others (AS)")
        return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)

    def close(self) -> None:
        """Give the connections back."""
        self.catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TenantReader({self.tenant!r}, {self.url!r})"


def open_reader(collection: Collection, tenant: str) -> TenantReader:
    """A handle bound to one tenant of a shared catalog; its role is made when it is first asked for.

    The password lies in ``readers/`` in the collection's folder, and nowhere else.

    Raises
    ------
    InvalidInput
        If the catalog is no shared one on a server, or the password is not here.
    CatalogError
        If this user may not make roles, or the server asks for no passwords.

    Examples
    --------
    >>> with ck.open_reader(c, "acme") as acme:  # doctest: +SKIP
    ...     acme.sql("SELECT resolver, count(*) FROM documents GROUP BY 1")
    """
    catalog = _shared(collection)
    from catalogkit.catalog.postgres import PostgresCatalog, roles
    from catalogkit.catalog.postgres.readers import add_reader, drop_reader, reader_of

    check_text("the tenant", tenant)
    if not tenant:
        raise InvalidInput("whose documents? Name a tenant")
    role = reader_of(catalog, tenant)
    if role is None:
        role = roles.new_name()
        path = _passfile(collection, role)
        path.parent.mkdir(exist_ok=True)
        password = make_password(path, role, "*")
        add_reader(catalog, tenant, role, password)
        try:
            roles.check_role(roles.address(catalog.url, user=role), password)
        except BaseException:
            drop_reader(catalog, role)
            path.unlink()
            raise
    path = _passfile(collection, role)
    password = users_in(path).get(role, "")
    if not password:
        raise InvalidInput(f"the password of the reader for {tenant!r} is not in {path}; bring it there, or drop the"
                           " reader with `tenant reader --drop` and make another")  # fmt: skip
    url = roles.address(catalog.url, user=role)
    return TenantReader(
        tenant, PostgresCatalog(url, password=password, reader=True, as_of=collection.now()), path, password
    )


def drop_reader(collection: Collection, tenant: str) -> None:
    """Take a tenant's reader away: its role, and its password.

    Raises
    ------
    InvalidInput
        If there is none.
    """
    catalog = _shared(collection)
    from catalogkit.catalog.postgres import readers as roles

    role = roles.reader_of(catalog, tenant)
    if role is None:
        raise InvalidInput(f"nobody reads the documents of {tenant!r} alone")
    roles.drop_reader(catalog, role)
    _passfile(collection, role).unlink(missing_ok=True)


def readers(collection: Collection) -> list[str]:
    """The tenants that have a reader."""
    catalog = _shared(collection)
    from catalogkit.catalog.postgres import readers as roles

    return [tenant for tenant, _ in roles.readers(catalog)]


def _passfile(collection: Collection, role: str) -> Path:
    return collection.path / FOLDER / f"{role}.pgpass"


def _shared(collection: Collection) -> PostgresCatalog:
    if file_of(collection.config.catalog) is not None:
        raise InvalidInput(
            "readers are roles of a PostgreSQL server; where a catalog is a file, give each tenant its own"
            " (`catalogkit tenant add`)"
        )
    if owner := collection.config.tenant.id:
        raise InvalidInput(f"this collection is the tenant {owner}'s alone: there is nobody to be kept apart")
    return collection.catalog  # type: ignore[return-value]
