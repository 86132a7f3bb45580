"""Makes roles on a server for others, and makes sure that the server asks for their password.

A server shows the names of roles and databases to everybody who is let in, so these say nothing. What a role may do
is granted, piece by piece, where it is made; it owns nothing, is a member of nothing, and can make nothing.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from catalogkit.catalog.urls import parameters, public
from catalogkit.errors import CatalogError

if TYPE_CHECKING:
    from psycopg import Connection

_MAY: Final = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"


def new_name() -> str:
    """A name that says nothing, for a role and for its database."""
    return f"ckit_{secrets.token_hex(8)}"


def address(url: str, *, database: str = "", user: str = "") -> str:
    """The address of another database on the same server, or for another user; without any password."""
    parts = urlsplit(public(url))
    name, at, place = parts.netloc.rpartition("@")
    netloc = f"{user}@{place}" if user else name + at + place
    return urlunsplit(parts._replace(netloc=netloc, path=f"/{database}" if database else parts.path))


def about(statement: str, role: str, **values: str) -> sql.Composed:
    """A statement about a role, ``{0}``, and about values by their names."""
    literals = {name: sql.Literal(value) for name, value in values.items()}
    return sql.SQL(statement).format(sql.Identifier(role), **literals)


def make_role(db: Connection[Any], role: str, password: str) -> None:
    """Make a role that may log in, or give it another password; the server, and its log, never see which."""
    there = db.execute(about("SELECT 1 FROM pg_roles WHERE rolname = {name}", role, name=role)).fetchone()
    secret = db.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    verb = "ALTER ROLE {0}" if there else f"CREATE ROLE {{0}} {_MAY}"
    db.execute(about(f"{verb} PASSWORD {{secret}}", role, secret=secret))


def check_role(url: str, password: str) -> None:
    """Raise `CatalogError` unless the server lets the user of `url` in by this password and by no other.

    Where it takes anybody for anyone, no grant keeps anybody apart.
    """
    given: dict[str, Any] = {**parameters(url), "connect_timeout": 10}
    if _let_in(given | {"password": f"not {password}"}):
        raise CatalogError(
            f"{public(url)} asks for no password, or takes any: whoever reaches that server can be anybody, and no"
            " tenant is kept from another. Have pg_hba.conf ask for scram-sha-256 instead of trust; nothing was made"
        )
    if not _let_in(given | {"password": password}):
        raise CatalogError(f"{public(url)} does not let a new role in by its password; see pg_hba.conf")


def _let_in(given: dict[str, Any]) -> bool:
    try:
        psycopg.connect(**given).close()
    except psycopg.OperationalError:
        return False
    return True


__all__ = ["about", "address", "check_role", "make_role", "new_name"]
