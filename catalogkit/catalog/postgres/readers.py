"""Readers: roles that see one tenant's rows of a shared catalog, enforced by row-level security.

The owner of the tables is exempt from all of it, on purpose: what collects garbage must see every document. A program
that is neither owner nor reader is refused, and never shown a part (`row_security` is off for all but readers).
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.raw_cursor import RawCursor

from catalogkit.catalog.postgres.errors import driver_errors
from catalogkit.catalog.postgres.roles import about, make_role
from catalogkit.catalog.urls import parameters, public

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection

    from catalogkit.catalog.postgres import PostgresCatalog
    from catalogkit.catalog.postgres.session import Session

# A table that is not granted does not exist for a reader, and neither do columns that would tell of others: how many
# documents have a content, since when it is there, where it lies. Who opens a catalog looks at version and identity.
_GRANTED: Final = (
    "SELECT ON documents, documents_history, accesses, meta, migrations",
    "SELECT (sha256, bytes, media_type) ON blobs",
)
# Each says its tenant itself, as something that does not change: what stands in a table would be looked up for every
# statement. That texts are equal tells nobody what was compared (it is leakproof), so indexes are used as ever.
_POLICIES: Final = {
    "documents": "tenant = {tenant}",
    "documents_history": "tenant = {tenant}",
    # Not `= ANY`, which the server takes for as rare as a tenant is: it would read all contents for one page.
    "blobs": "array_position(tenants, {tenant}) IS NOT NULL",
    "accesses": "EXISTS (SELECT 1 FROM documents d WHERE d.id = accesses.document_id)",
}


def reader_of(catalog: PostgresCatalog, tenant: str) -> str | None:
    """The role that reads a tenant's documents, if there is one."""
    if not _installed(catalog):
        return None
    rows = catalog.rows("SELECT role::text FROM readers WHERE tenant = ?", (tenant,))
    return str(rows[0][0]) if rows else None


def readers(catalog: PostgresCatalog) -> list[tuple[str, str]]:
    """Tenants that have a reader, and its role."""
    return catalog.rows("SELECT tenant, role::text FROM readers ORDER BY tenant") if _installed(catalog) else []


def add_reader(catalog: PostgresCatalog, tenant: str, role: str, password: str) -> None:
    """Make a role that reads a tenant's documents, and nothing else."""
    with catalog.write("add reader") as session:
        db = session.connection
        if not _walled(session):
            db.execute(files(__package__).joinpath("readers.sql").read_text(encoding="utf-8"))
        make_role(db, role, password)
        for what in _granted(db):
            db.execute(about(f"GRANT {what} TO {{0}}", role))
        for table, rule in _POLICIES.items():
            policy = f"CREATE POLICY {{0}} ON {table} FOR SELECT TO {{0}} USING ({rule})"
            db.execute(about(policy, role, tenant=tenant))
        session.execute("INSERT INTO readers (role, tenant) VALUES (?, ?)", (role, tenant))


def drop_reader(catalog: PostgresCatalog, role: str) -> None:
    """Drop a reader's role; it sees nothing from then on."""
    with catalog.write("drop reader") as session:
        db = session.connection
        session.execute("DELETE FROM readers WHERE role = ?::name", (role,))
        for what in _granted(db):
            db.execute(about(f"REVOKE {what} FROM {{0}}", role))
        for table in _POLICIES:
            db.execute(about(f"DROP POLICY {{0}} ON {table}", role))
        db.execute(about("DROP ROLE {0}", role))


def ask(url: str, password: str, query: str, values: Sequence[Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Columns and rows of a reader's own question, on a connection of its own: nothing it sets outlives it.

    It stands where a table stands, and is prepared, which takes one statement alone: so it can be a question and
    nothing else, EXPLAIN neither, which counts the rows that were left out.
    """
    given: dict[str, Any] = {"connect_timeout": 10, "application_name": "catalogkit"} | parameters(url)
    settings = given | {"password": password}
    with driver_errors(public(url)), psycopg.connect(**settings, autocommit=True, cursor_factory=RawCursor) as db:
        cursor = db.execute(f"SELECT * FROM (\n{query}\n) AS answer", list(values), prepare=True)
        return [column.name for column in cursor.description or ()], cursor.fetchall()


def _installed(catalog: PostgresCatalog) -> bool:
    return catalog.rows("SELECT to_regclass('readers') IS NOT NULL") == [(True,)]


def _walled(session: Session) -> bool:
    """Whether rows say whose they are; the first reader needs it."""
    column = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'blobs'::regclass AND attname = 'tenants'"
    return session.execute(column).fetchall() == [(1,)]


def _granted(db: Connection[Any]) -> Iterator[str]:
    """What a reader gets, for a text with one more place to fill."""
    row = db.execute(
        "SELECT quote_ident(current_schema()), quote_ident(datname), pg_has_role(datdba, 'USAGE') FROM pg_database"
        " WHERE datname = current_database()"
    ).fetchone()
    assert row
    schema, database = (name.replace("{", "{{").replace("}", "}}") for name in row[:2])
    yield f"USAGE ON SCHEMA {schema}"
    if row[2]:  # of another's database, as of most, everybody may use it anyway
        yield f"CONNECT ON DATABASE {database}"
    yield from _GRANTED


__all__ = ["add_reader", "ask", "drop_reader", "reader_of", "readers"]
