"""Tenants: organisations that share a machine and a bill, and cannot see each other's data.

Each tenant is a collection of its own: its own catalog, stores, mirror, plans, policies and quota. That is the wall: a
handle that was opened for one tenant has no row of another in any database it can ask, whatever SQL it is given. On a
server each has a database and a role of its own. The operator, who has all of them, sums up and bills.
"""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catalogkit.catalog.passfiles import PASSFILE, make_password, users_in
from catalogkit.catalog.urls import file_of, public
from catalogkit.collection import Collection, init, open_collection, utc_now
from catalogkit.config import (
    CONFIG_NAME,
    SERVER_NAME,
    TenantConfig,
    add_tenant,
    parse_config,
    read_config,
    read_server,
    write_server,
)
from catalogkit.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from catalogkit.billing import Prices
    from catalogkit.model import DocumentRecord

__all__ = ["TENANTS", "MultiTenantCatalog", "TenantSettings", "bill_of"]

FOLDER: Final = "tenants"
# Small letters only, since a file system may take two spellings for one folder; and no name that leads elsewhere.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PAGE: Final = 10_000

TENANTS: Final[dict[str, str]] = {
    "tenant": "String", "documents": "Int64", "logical_bytes": "Int64", "physical_bytes": "Int64",
    "max_documents": "Int64", "max_bytes": "Int64", "path": "String",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSettings:
    """What a new tenant gets.

    Attributes
    ----------
    max_documents, max_bytes
        Its quota, each document with all its bytes; None for as much as it likes.
    store, layout
        Where its bytes go, and how they are named; see `catalogkit.init`.
    policies
        More of its ``catalogkit.toml``, as TOML: sections such as ``[retention]``, ``[dedup]`` and ``[maintain]``.
    """

    max_documents: int | None = None
    max_bytes: int | None = None
    store: str = "file:store"
    layout: str = "cas"
    policies: str = ""


class MultiTenantCatalog:
    """The tenants below one folder.

    Parameters
    ----------
    path
        The folder; made with the first tenant. Each tenant's collection lies in ``tenants/<its name>`` there, and every
        command works on it as on any other: ``catalogkit -C path/tenants/acme verify``.
    server
        ``postgresql://operator@host/database``: where the catalog of each new tenant gets a database and a role of its
        own, with a password that lies in ``.pgpass`` in the tenant's folder. The operator's role has ``CREATEDB`` and
        ``CREATEROLE``. Kept, without a password, in ``tenants.toml``; without one catalogs are files.

    Examples
    --------
    >>> both = ck.MultiTenantCatalog("organisations")
    >>> with both.register_tenant("acme", ck.TenantSettings(max_documents=1000)) as acme:
    ...     ck.ingest(acme, "downloads").ingested
    3
    >>> [record.artifact_id for record in both.get_tenant_records("acme")]
    ['a.txt', 'b.txt', 'c.txt']
    """

    def __init__(self, path: Path | str, *, server: str = "", clock: Callable[[], datetime] = utc_now) -> None:
        self.path, self.clock = Path(os.path.realpath(path)), clock
        known = read_server(self.path)
        if server and known and public(server) != known:
            raise InvalidInput(f"the tenants of {self.path} are on {known}; another server needs another folder")
        self.server = server or known

    def register_tenant(self, org_id: str, settings: TenantSettings | None = None) -> Collection:
        """Make a tenant, and open it. Where a first attempt was cut short, this one completes it.

        Raises
        ------
        InvalidInput
            If the name or the settings are not acceptable, or the tenant is there already; nothing is changed then.
        """
        wanted, folder = settings or TenantSettings(), self._folder(org_id)
        _check(wanted)
        if org_id in self:
            raise InvalidInput(f"{org_id} is registered already; change its quota with `tenant quota`, its policies in"
                               f" {folder / CONFIG_NAME}")  # fmt: skip
        if not (folder / CONFIG_NAME).exists():
            catalog = self._database(folder) if self.server else "sqlite:///catalog.sqlite"
            init(folder, store=wanted.store, catalog=catalog, layout=wanted.layout, clock=self.clock).close()
        self._limit(folder, wanted.max_documents, wanted.max_bytes)
        # Last, because it is what makes the collection the tenant's.
        add_tenant(folder, TenantConfig(id=org_id), wanted.policies)
        return self.tenant(org_id)

    def tenant(self, org_id: str) -> Collection:
        """A handle that is bound to one tenant; it is a collection like any other.

        Raises
        ------
        InvalidInput
            If there is no such tenant.
        """
        if org_id not in self:
            raise InvalidInput(f"there is no tenant {org_id!r}; register it first")
        return open_collection(self._folder(org_id), clock=self.clock)

    def __contains__(self, org_id: str) -> bool:
        folder = self._folder(org_id)
        return (folder / CONFIG_NAME).exists() and read_config(folder).tenant.id == org_id

    def names(self) -> list[str]:
        """The tenants' names, in order."""
        try:
            found = sorted(os.listdir(self.path / FOLDER))
        except FileNotFoundError:
            return []
        return [name for name in found if _NAME.fullmatch(name) and name in self]

    def get_tenant_records(self, org_id: str) -> list[DocumentRecord]:
        """Every document of one tenant, by id."""
        records: list[DocumentRecord] = []
        with self.tenant(org_id) as collection:
            while page := collection.catalog.find(limit=_PAGE, after_id=records[-1].id if records else 0):
                records += page
        return records

    def set_quota(self, org_id: str, *, max_documents: int | None, max_bytes: int | None) -> None:
        """Change how much a tenant may keep; what it has stays, be it more."""
        if org_id not in self:
            raise InvalidInput(f"there is no tenant {org_id!r}; register it first")
        _check(TenantSettings(max_documents=max_documents, max_bytes=max_bytes))
        self._limit(self._folder(org_id), max_documents, max_bytes)

    def upgrade(self) -> list[str]:
        """Bring the catalogs on the server to this program's schema, which tenants may not do; whose they are."""
        from catalogkit.catalog.postgres import walls

        there = [name for name in self.names() if self._on_server(self._folder(name))]
        for name in there:
            walls.upgrade(self._servers(), read_config(self._folder(name)).catalog, as_of=self.clock())
        return there

    def frame(self) -> pl.DataFrame:
        """What each tenant has, and may have: a row each, by name (`TENANTS`)."""
        import polars as pl

        rows: list[dict[str, Any]] = []
        for name in self.names():
            with self.tenant(name) as collection:
                totals, quota = collection.catalog.totals(), collection.catalog.quota()
                rows.append({
                    **{key: totals[key] for key in ("documents", "logical_bytes", "physical_bytes")},
                    "tenant": name, "max_documents": quota and quota.max_documents,
                    "max_bytes": quota and quota.max_bytes, "path": str(collection.path),
                })  # fmt: skip
        return pl.DataFrame(rows, schema={name: getattr(pl, kind)() for name, kind in TENANTS.items()}, orient="row")

    def bill(self, start: datetime, end: datetime, prices: Prices | None = None) -> pl.DataFrame:
        """What each tenant cost from `start` until `end`; see `catalogkit.billing.bill`.

        No bytes are shared between tenants, so full and fair charge are the same; each pays for its own garbage, too.
        """
        with ExitStack() as stack:
            return bill_of([stack.enter_context(self.tenant(name)) for name in self.names()], start, end, prices)

    def _limit(self, folder: Path, documents: int | None, size: int | None) -> None:
        if self._on_server(folder):
            from catalogkit.catalog.postgres import walls

            url = read_config(folder).catalog
            walls.limit(self._servers(), url, documents=documents, bytes=size, as_of=self.clock())
            return
        with open_collection(folder, clock=self.clock) as collection:
            collection.catalog.set_quota(documents=documents, bytes=size)

    def _database(self, folder: Path) -> str:
        """A database on the server for the tenant of this folder; the same where a first attempt was cut short."""
        from catalogkit.catalog.postgres import walls
        from catalogkit.catalog.postgres.roles import new_name

        folder.mkdir(parents=True, exist_ok=True)
        write_server(self.path, self.server)
        begun = users_in(folder / PASSFILE)
        role = next(iter(begun), None) or new_name()
        password = begun.get(role) or make_password(folder / PASSFILE, role, role)
        return walls.make_database(self.server, role, password, as_of=self.clock())

    def _on_server(self, folder: Path) -> bool:
        return file_of(read_config(folder).catalog) is None

    def _servers(self) -> str:
        if not self.server:
            raise InvalidInput(f"say on which server its tenants are in {self.path / SERVER_NAME}")
        return self.server

    def _folder(self, org_id: str) -> Path:
        if not isinstance(org_id, str) or not _NAME.fullmatch(org_id):
            raise InvalidInput(
                f"{org_id!r} is no name for a tenant: up to 63 small letters, digits, - and _, the first no sign"
            )
        return self.path / FOLDER / org_id

    def __repr__(self) -> str:
        return f"MultiTenantCatalog({str(self.path)!r})"


def bill_of(
    collections: list[Collection],
    start: datetime,
    end: datetime,
    prices: Prices | None = None,
    *,
    by: str = "tenant",
) -> pl.DataFrame:
    """The bill of one collection, by the tenants of its documents, or of several that share nothing.

    Parameters
    ----------
    by
        Another property of documents to bill by, such as ``resolver``; those without one are ``(none)``.

    Raises
    ------
    InvalidInput
        If the period ends before it begins, or has not ended yet, or there is nothing to bill by.
    """
    import polars as pl

    from catalogkit.billing import Charges, billed, period
    from catalogkit.charging import charges_of
    from catalogkit.model import schema

    # The same in both, since a version pays as the document does.
    payers = schema("documents").items() & schema("document_versions").items()
    if (by, pl.String()) not in payers or by == "sha256":
        raise InvalidInput(f"no bill by {by!r}; use tenant, resolver, variant, media_type or artifact_id")
    period(start, end)  # of nobody, too
    charged = Charges()
    for collection in collections:
        if end > collection.now():
            raise InvalidInput("a period that has not ended yet has no bill; let it end now, or earlier")
        charged.add(charges_of(collection, start, end, by=by))
    return billed(charged, prices)


def _check(settings: TenantSettings) -> None:
    for name in ("max_documents", "max_bytes"):
        limit = getattr(settings, name)
        if limit is not None and (type(limit) is not int or limit < 0):
            raise InvalidInput(f"{name} must be a whole number that is not negative, or None")
    try:
        given = tomllib.loads(settings.policies)
    except tomllib.TOMLDecodeError as problem:
        raise InvalidInput(f"the policies are no TOML: {problem}") from None
    if taken := {"catalog", "store", "tenant"} & given.keys():
        raise InvalidInput(f"{', '.join(sorted(taken))} is not for the policies to say")
    parse_config(given)


def collections_in(path: Path | str) -> list[Collection]:
    """The collection in a folder, or those of all tenants below it."""
    if (Path(path) / CONFIG_NAME).exists():
        return [open_collection(path)]
    every = MultiTenantCatalog(path)
    return [every.tenant(name) for name in every.names()]


def payers(collections: list[Collection]) -> str:
    """What to bill by where nobody says: tenants, or, of a single one, resolvers."""
    from catalogkit.charging import values_of

    tenants = {tenant for collection in collections for tenant in values_of(collection, "tenant")}
    return "tenant" if len(tenants) > 1 else "resolver"


def period(month: str, now: datetime) -> tuple[datetime, datetime]:
    """The time a bill is about, until `now` at the latest: a month such as ``2026-05``, or the last 30 days."""
    if not month:
        return now - timedelta(days=30), now
    match = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", month, re.ASCII)
    if not match or match[1] in ("0000", "9999"):
        raise InvalidInput(f"not a month: {month!r}; give one such as 2026-05")
    start = datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC)
    if start >= now:
        raise InvalidInput(f"{month} has not begun")
    return start, min(start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1), now)


def write(bill: pl.DataFrame, out: Path | str) -> None:
    """Write a bill as CSV or Parquet, by the ending of the name."""
    path = Path(out)
    if path.suffix not in (".csv", ".parquet"):
        raise InvalidInput(f"{path} must end in .csv or .parquet")
    try:
        bill.write_csv(path) if path.suffix == ".csv" else bill.write_parquet(path)
    except OSError as problem:
        raise InvalidInput(f"{path} cannot be written: {problem}") from None


def shown(bill: pl.DataFrame) -> pl.DataFrame:
    """A bill as a person reads it: nobody has a name, and GB-months are left to the file."""
    import polars as pl

    from catalogkit.billing import NOBODY

    name = pl.when(pl.col("tenant") == NOBODY).then(pl.lit("(no one)")).otherwise("tenant").alias("tenant")
    money = [pl.col(one).cast(pl.Float64) for one in ("full_cost", "fair_cost", "requests_cost")]
    return bill.with_columns(name, *money).drop("full_gb_months", "fair_gb_months")
