"""Catalog URLs: which engine one names, and how to show it without its password."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from catalogkit.errors import InvalidInput

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgresql"
# A connection's secrets, as libpq names them; what else it knows may be shown.
_SECRETS: Final = ("password", "sslpassword", "passfile", "oauth_client_secret", "scram_client_key", "scram_server_key")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+]{0,19}):")


def engine_of(url: str) -> str:
    """Which engine an address is of: ``sqlite`` or ``postgresql``.

    Raises
    ------
    InvalidInput
        If none is. Not a word of it is repeated but its scheme: it may have a password in it.
    """
    found = _SCHEME.match(url)
    scheme = found.group(1) if found else ""
    if scheme == "sqlite" and url.startswith("sqlite:///"):
        return SQLITE
    if scheme in ("postgresql", "postgres") and url.startswith(f"{scheme}://"):
        return POSTGRES
    raise InvalidInput(
        f"no catalog engine for {scheme or 'that address'!r}; use sqlite:///file or postgresql://user@host/database"
    )


def file_of(url: str) -> str | None:
    """The file of an embedded catalog; None for one on a server."""
    return url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else None


def public(url: str) -> str:
    """An address without its secrets, for messages, reports and settings."""
    if not url.startswith(("postgresql:", "postgres:")):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that are none of an IPv6 address
        return f"{POSTGRES}://"
    user, at, place = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    query = [(name, value) for name, value in parse_qsl(parts.query) if name.lower() not in _SECRETS]
    return urlunsplit((POSTGRES, user + at + place, parts.path, urlencode(query, safe="/,:"), ""))


def has_secret(url: str) -> bool:
    """Whether an address has a password in it."""
    return public(url) != urlunsplit(urlsplit(url)._replace(scheme=POSTGRES)) and not url.startswith("sqlite:")


def parameters(url: str) -> dict[str, str]:
    """What a PostgreSQL address says, as libpq's parameters.

    Raises
    ------
    InvalidInput
        If it cannot be understood without doubt, such as a password with an ``@`` that is not written ``%40``. Nothing
        of it is repeated.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInput(_ODD) from None
    user, _, place = parts.netloc.rpartition("@")
    odd = "@" in user + parts.path or user.count(":") > 1 or parts.fragment
    if odd or not re.fullmatch(r"[^\s/?#]*", parts.netloc):
        raise InvalidInput(_ODD)
    name, colon, password = user.partition(":")
    given = {"user": unquote(name), "password": unquote(password) if colon else "", "dbname": unquote(parts.path[1:])}
    given |= {"host": unquote(parts.hostname or ""), "port": str(port or "")}
    if "," in place:
        raise InvalidInput("name one server in a catalog's address; others go into host= behind a question mark")
    try:
        given |= dict(parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True))
    except ValueError:
        raise InvalidInput(_ODD) from None
    return {name: value for name, value in given.items() if value}


_ODD: Final = (
    "this is no catalog's address; write postgresql://user@host:port/database, each part percent-encoded"
    " (an @ in a password is %40), or leave the password to ~/.pgpass or PGPASSWORD"
)

__all__ = ["POSTGRES", "SQLITE", "engine_of", "file_of", "has_secret", "parameters", "public"]
