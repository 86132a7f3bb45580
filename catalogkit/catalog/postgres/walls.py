"""A database of its own on a server for each tenant, so that no statement can name another tenant's rows.

The operator owns the database and all in it. The tenant's role reads and writes rows there, and no more: it makes no
function, no table but temporary ones, no extension, switches no rule off, and neither its quota nor its history is its
to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from catalogkit.catalog.postgres import PostgresCatalog
from catalogkit.catalog.postgres.base import connection
from catalogkit.catalog.postgres.roles import about, address, check_role, make_role
from catalogkit.catalog.sql.history import TRACKED

if TYPE_CHECKING:
    from datetime import datetime

# Nobody can be in it before everybody is kept out of it; and nothing of a template that somebody changed is in it.
_MAKE: Final = (
    "CREATE DATABASE {0} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C' ALLOW_CONNECTIONS false",
    "REVOKE ALL ON DATABASE {0} FROM PUBLIC",
    "GRANT CONNECT, TEMPORARY ON DATABASE {0} TO {0}",
    "ALTER DATABASE {0} ALLOW_CONNECTIONS true",
)
_END: Final = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
# The trigger that counts the quota does so in the operator's name: its tables are named in full by this path.
_GRANT: Final = (
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "GRANT USAGE ON SCHEMA public TO {0}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {0}",
    "REVOKE INSERT, UPDATE, DELETE ON meta, migrations, quota FROM {0}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {0}",
    "ALTER FUNCTION quota_count() SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp",
    *(f"REVOKE UPDATE, DELETE ON {table}_history FROM {{0}}" for table in TRACKED),
)


def make_database(server: str, role: str, password: str, *, as_of: datetime) -> str:
    """Make a tenant's role and its empty catalog, or go on where an attempt was cut short; its address.

    Raises
    ------
    CatalogError
        If the operator may not do that, or the server does not ask for passwords; nothing is made then.
    """
    url = address(server, database=role, user=role)
    with connection(server) as db:
        make_role(db, role, password)
        new = not db.execute("SELECT 1 FROM pg_database WHERE datname = %s", [role]).fetchone()
        for statement in _MAKE if new else _MAKE[1:]:
            db.execute(about(statement, role))
    try:
        check_role(url, password)
        PostgresCatalog(_operators(server, url), create=True, as_of=as_of).close()
        settle(server, url)
    except BaseException:
        if new:  # nobody has put anything there
            drop_database(server, role)
        raise
    return url


def drop_database(server: str, role: str) -> None:
    """Drop what `make_database` made, and with it everything the tenant's catalog has.

    ``DROP DATABASE ... WITH (FORCE)`` would do it at once, but also end a vacuum that the server began by itself, which
    is a superuser's to do; without it the server asks its vacuum to end.
    """
    with connection(server) as db:
        if db.execute("SELECT 1 FROM pg_database WHERE datname = %s", [role]).fetchone():
            db.execute(about("ALTER DATABASE {0} ALLOW_CONNECTIONS false", role))
            # Who made a role is no member of it, and may neither see its sessions for what they are nor end them.
            db.execute(about("GRANT {0} TO CURRENT_USER", role))
            db.execute(_END, [role])
            db.execute(about("DROP DATABASE {0}", role))
        db.execute(about("DROP ROLE IF EXISTS {0}", role))


def settle(server: str, url: str) -> None:
    """Grant the tenant whose catalog is at `url` what it may do there, and nothing else."""
    role = urlsplit(url).path[1:]
    with connection(_operators(server, url)) as db:
        for statement in _GRANT:
            db.execute(about(statement, role))


def upgrade(server: str, url: str, *, as_of: datetime) -> None:
    """Bring a tenant's catalog to this program's schema, which is the operator's to do."""
    PostgresCatalog(_operators(server, url), as_of=as_of).close()
    settle(server, url)


def limit(server: str, url: str, *, documents: int | None, bytes: int | None, as_of: datetime) -> None:
    """Set a tenant's quota, which is the operator's to do."""
    catalog = PostgresCatalog(_operators(server, url), as_of=as_of)  # which may bring its schema up to date
    try:
        catalog.set_quota(documents=documents, bytes=bytes)
    finally:
        catalog.close()
    settle(server, url)


def _operators(server: str, url: str) -> str:
    """The address of a tenant's catalog for the operator, whose password it may have."""
    return urlsplit(server)._replace(path=urlsplit(url).path).geturl()


__all__ = ["drop_database", "limit", "make_database", "settle", "upgrade"]
