"""Tenants on a PostgreSQL server: a database and a role each. The red team has a tenant's password and any program."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest

from catalogkit import tenants
from catalogkit.auditing import audit
from catalogkit.catalog.passfiles import PASSFILE, users_in
from catalogkit.catalog.postgres.migrations import LOCK, WRITE
from catalogkit.catalog.postgres.roles import make_role, new_name
from catalogkit.catalog.postgres.walls import drop_database, make_database
from catalogkit.collection import open_collection
from catalogkit.config import CONFIG_NAME, SERVER_NAME, read_config
from catalogkit.errors import CatalogError, InvalidInput, QuotaExceeded
from catalogkit.tenants import MultiTenantCatalog, TenantSettings
from tests.conftest import NOON, Clock
from tests.pg import LETS_IN
from tests.tenants.conftest import Both, dropped, make_both, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pg import Server


@dataclass
class Pair:
    """Two tenants on a server, and the addresses of their databases, which are named like their roles."""

    both: Both
    mine: str
    theirs: str
    superuser: Server

    def connect(self, url: str = "", **changes: Any) -> psycopg.Connection[Any]:
        """As ``mine``, by any program, with its password, to its own database or another."""
        (password,) = users_in(self.both.mine.path / PASSFILE).values()
        return psycopg.connect(url or self.mine, **{"password": password, "autocommit": True, **changes})


@pytest.fixture(scope="module")
def pair(pg: Server, operator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two tenants whom questions do not change."""
    with make_both(tmp_path_factory.mktemp("tenants"), Clock(NOON), operator) as made:
        urls = [read_config(path).catalog for path in (made.mine.path, made.theirs)]
        yield Pair(made, *urls, pg)


def name_of(url: str) -> str:
    return urlsplit(url).path[1:]


def run(db: psycopg.Connection[Any], statements: list[str], name: str) -> str:
    """What the last of the statements answers about a database and its role."""
    for statement in statements:
        cursor = db.execute(statement.format(name=name).encode())
    return str(cursor.fetchall() if cursor.description else "")


# What works with a tenant's own name and must not with another's: statements in its session, and why not.
NAMED = {
    "a name in three parts": (["SELECT artifact_id FROM {name}.public.documents"], "cross-database"),
    "a name of three parts in a function": (["SELECT nextval('{name}.public.documents_id_seq')"], "cross-database"),
    "its size": (["SELECT pg_database_size('{name}')"], "permission denied"),
    "its role": (["SET ROLE {name}"], "permission denied"),
    "its role for a transaction": (["BEGIN", "SET LOCAL ROLE {name}"], "permission denied"),
    "its role by a setting": (["SELECT set_config('role', '{name}', false)"], "permission denied"),
    "its session": (["SET SESSION AUTHORIZATION {name}"], "permission denied"),
    "what it is doing": ([("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                          " AND pid <> pg_backend_pid()")], "permission denied"),
    "a password for it": (["ALTER ROLE {name} PASSWORD 'x'"], "permission denied"),
    "its default folder": (["ALTER ROLE {name} SET search_path = pg_temp"], "permission denied"),
    "what it owns": (["DROP OWNED BY {name}"], "permission denied"),
}  # fmt: skip
# What nobody but an operator may do; the superuser is let do the very same.
REFUSED = {
    "becoming the operator": (["SET ROLE {operator}"], "permission denied"),
    "becoming the superuser": (["SET SESSION AUTHORIZATION postgres"], "permission denied"),
    "joining the other": (["GRANT {theirs} TO CURRENT_USER"], "permission denied"),
    "joining the readers of all data": (["GRANT pg_read_all_data TO CURRENT_USER"], "permission denied"),
    "being let in there": (["GRANT CONNECT ON DATABASE {theirs} TO {mine}"], "permission denied"),
    "another owner": (["ALTER DATABASE {theirs} OWNER TO {mine}"], "must be owner|permission denied"),
    "another place": (["ALTER DATABASE {theirs} CONNECTION LIMIT 0"], "must be owner"),
    "more rights": (["ALTER ROLE CURRENT_USER CREATEDB"], "permission denied"),
    "replication": (["ALTER ROLE CURRENT_USER REPLICATION"], "permission denied"),
    "a role": (["CREATE ROLE x IN ROLE {theirs}"], "permission denied"),
    "the server's folders": (["SELECT pg_ls_dir('base')"], "permission denied"),
    "the server's files": (["SELECT pg_read_file('PG_VERSION')"], "permission denied"),
    "a file as rows": (["CREATE TEMP TABLE t (x text)", "COPY t FROM '/dev/null'"], "permission denied"),
    "a program": (["CREATE TEMP TABLE t (x text)", "COPY t FROM PROGRAM 'true'"], "permission denied"),
    "a file as an object": (["SELECT lo_import('/dev/null')"], "permission denied"),
    "a wrapper for servers": (["CREATE EXTENSION postgres_fdw"], "permission denied"),
    "a wrapper for files": (["CREATE FOREIGN DATA WRAPPER w"], "permission denied"),
    "a trusted language": (["CREATE EXTENSION pg_trgm"], "permission denied"),
    "the log of changes": (["SELECT count(*) FROM pg_ls_waldir()"], "permission denied"),
    "passwords": (["SELECT rolpassword FROM pg_authid"], "permission denied"),
    "the server's settings": (["ALTER SYSTEM SET log_statement = 'all'"], "permission denied"),
    "what the server lets in": (["SELECT * FROM pg_hba_file_rules"], "permission denied"),
    "a subscription": (["CREATE SUBSCRIPTION s CONNECTION 'dbname={theirs}' PUBLICATION p WITH (connect = false)"],
                       "permission denied"),
    "a schema": (["CREATE SCHEMA x"], "permission denied"),
    "a table": (["CREATE TABLE x (y int)"], "permission denied"),
    "a function in the schema": (["CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'"], "permission denied"),
    "rules that sleep": (["SET session_replication_role = replica"], "permission denied"),
    "a rule that is switched off": (["ALTER TABLE documents DISABLE TRIGGER quota_insert"], "must be owner"),
    "a rule that is made anew": ([("CREATE OR REPLACE FUNCTION quota_count() RETURNS trigger LANGUAGE plpgsql"
                                  " AS 'BEGIN RETURN NULL; END'")], "permission denied|must be owner"),
    "another quota": (["UPDATE quota SET max_bytes = NULL"], "permission denied"),
    "no quota": (["DELETE FROM quota"], "permission denied"),
    "another past": (["UPDATE documents_history SET ended_us = 0"], "permission denied"),
    "no past": (["DELETE FROM locations_history"], "permission denied"),
    "everything away": (["TRUNCATE documents CASCADE"], "permission denied"),
    "another identity": (["UPDATE meta SET value = 'x'"], "permission denied"),
    "another version": (["INSERT INTO migrations VALUES (999, 'x', 0)"], "permission denied"),
}  # fmt: skip


@pytest.mark.parametrize("way", NAMED)
def test_another_tenants_name_opens_nothing(pair: Pair, way: str) -> None:
    """What a tenant may do with its own database and role, it may not with another's."""
    statements, words = NAMED[way]
    if way in ("a password for it", "its default folder", "what it owns"):  # not even with its own
        with psycopg.connect(pair.superuser.address(name_of(pair.mine))) as db:
            run(db, statements, name_of(pair.theirs))
            db.rollback()
    else:
        with pair.connect() as db:
            run(db, statements, name_of(pair.mine))
    with pair.connect() as db, pytest.raises(psycopg.Error, match=words):
        run(db, statements, name_of(pair.theirs))


@pytest.mark.parametrize("way", REFUSED)
def test_what_is_the_operators_is_refused(pair: Pair, operator: str, way: str) -> None:
    """Other roles and databases, the server's files, rules, quota and history: the superuser may, a tenant may not."""
    statements, words = REFUSED[way]
    names = {"mine": name_of(pair.mine), "theirs": name_of(pair.theirs), "operator": urlsplit(operator).username}
    wanted = [statement.format(**names).encode() for statement in statements]
    if way != "the server's settings":  # those cannot be taken back
        with psycopg.connect(pair.superuser.address(names["mine"])) as db:
            for statement in wanted:
                db.execute(statement)
            db.rollback()
    with pair.connect() as db, pytest.raises(psycopg.Error, match=words):
        for statement in wanted:
            db.execute(statement)


def test_no_door_but_ones_own(pair: Pair) -> None:
    """The server lets a tenant into its own database, as itself, with its password."""
    with pair.connect() as db:
        assert "own" in str(db.execute("SELECT artifact_id FROM documents").fetchall())
    theirs = name_of(pair.theirs)
    for changes, words in (
        ({"dbname": theirs}, "permission denied for database"),
        ({"user": theirs}, "password authentication failed"),
        ({"user": theirs, "dbname": theirs}, "password authentication failed"),
        ({"user": theirs, "dbname": theirs, "password": ""}, "password"),
        ({"password": "x"}, "password authentication failed"),
        ({"replication": "database"}, "permission denied|replication|pg_hba"),
    ):  # fmt: skip
        with pytest.raises(psycopg.OperationalError, match=words):
            pair.connect(**changes)  # type: ignore[arg-type]


def test_a_copy_of_another_database_is_none_of_a_tenants(pair: Pair, operator: str) -> None:
    """A database can be made out of another one: by the operator alone."""
    statement = f"CREATE DATABASE ckit_copy TEMPLATE {name_of(pair.theirs)}"
    with pair.connect() as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute(statement.encode())


def test_what_all_databases_share_names_nobody(pair: Pair) -> None:
    """Roles, databases, their settings and comments are shown to everybody: no name, title or statement is there."""
    shared = (
        "pg_database", "pg_roles", "pg_auth_members", "pg_shdescription", "pg_db_role_setting", "pg_stat_activity",
        "pg_stat_database", "pg_locks", "pg_settings", "pg_prepared_xacts", "pg_tablespace", "pg_stat_replication",
        "pg_replication_slots", "pg_shdepend", "pg_listening_channels()", "pg_stat_progress_copy", "pg_cursors",
        "pg_class", "pg_stat_all_tables", "pg_stats", "pg_largeobject_metadata",
    )  # fmt: skip
    with psycopg.connect(pair.superuser.address(name_of(pair.theirs)), autocommit=True) as busy, pair.connect() as db:
        busy.execute("SELECT 'zanzibar', 'theirs'")
        own = db.execute("SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()").fetchall()
        assert "pg_backend_pid" in str(own)
        for table in shared:
            answer = str(db.execute(f"SELECT * FROM {table}".encode()).fetchall())
            assert "zanzibar" not in answer and "'theirs'" not in answer, table


def test_what_is_loose_in_a_database_stays_in_it(pair: Pair) -> None:
    """Notifications, large objects, snapshots, sequences and temporary tables of another tenant are not to be had."""
    with pair.connect() as db, psycopg.connect(pair.superuser.address(name_of(pair.theirs)), autocommit=True) as other:
        db.execute("LISTEN news")
        other.execute("NOTIFY news, 'zanzibar'")
        assert list(db.notifies(timeout=0.1, stop_after=1)) == []
        db.execute("NOTIFY news, 'own'")
        assert [one.payload for one in db.notifies(timeout=5, stop_after=1)] == ["own"]
        (oid,) = other.execute("SELECT lo_from_bytea(0, 'zanzibar')").fetchone() or (0,)
        with pytest.raises(psycopg.errors.UndefinedObject):
            db.execute("SELECT lo_get(%s)", [oid])
        other.execute("CREATE TEMP TABLE loose AS SELECT 'zanzibar'")
        assert "loose" not in str(db.execute("SELECT relname FROM pg_class").fetchall())
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        (snapshot,) = other.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(psycopg.Error, match=r"different database|invalid snapshot"):
            db.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'".encode())
        other.execute("ROLLBACK")
        other.execute("SELECT lo_unlink(%s)", [oid])


def test_a_tenant_that_locks_keeps_nobody_else_waiting(pair: Pair) -> None:
    """The locks that writers take are each database's own: nobody is stopped by them, and nobody learns who writes."""
    with pair.connect() as db, pair.both.all.tenant("theirs") as theirs:
        db.execute(f"SELECT pg_advisory_lock({LOCK}, {WRITE})".encode())
        theirs.catalog.record_accesses([(1, NOON, "read", 1)])
        with pytest.raises(psycopg.errors.LockNotAvailable), pair.connect() as second:  # but its own is one
            second.execute("SET lock_timeout = 10")
            second.execute(f"SELECT pg_advisory_lock_shared({LOCK}, {WRITE})".encode())


def test_a_quota_holds_against_the_tenant_itself(pair: Pair, tmp_path: Path) -> None:
    """The database counts in the operator's name: no SQL of the tenant's helps, nor a table that only looks like it."""
    pair.both.all.set_quota("mine", max_documents=1, max_bytes=None)
    try:
        with pytest.raises(CatalogError, match="does not let this user"):
            pair.both.mine.catalog.set_quota(documents=None, bytes=None)
        with pytest.raises(QuotaExceeded, match="quota of 1 documents is used up"):
            put(pair.both.mine, "more", b"more")
        row = (
            "INSERT INTO documents (tenant, artifact_id, source_url, resolver, variant, sha256, content_type, run_id,"
            " created_us, changed_us, seen_us) SELECT tenant, 'more', source_url, resolver, variant, sha256,"
            " content_type, run_id, created_us, changed_us, seen_us FROM documents LIMIT 1"
        )
        with pair.connect() as db:
            db.execute("CREATE TEMP TABLE quota AS SELECT 1 AS one, 9 AS max_documents, 9 AS max_bytes, 0 AS documents")
            db.execute("SET search_path = pg_temp, public")
            with pytest.raises(psycopg.IntegrityError, match="quota of documents"):
                db.execute(row.encode())
    finally:
        pair.both.all.set_quota("mine", max_documents=None, max_bytes=None)


def test_a_tenants_password_is_its_own(pair: Pair, operator: str, caplog: pytest.LogCaptureFixture) -> None:
    """It lies in its folder, for its owner's eyes; in no settings, no log, no report. So does no operator's."""
    caplog.set_level(logging.DEBUG)
    secrets = {"p@ss:w/rd", "p%40ss"}
    for path in (pair.both.mine.path, pair.both.theirs):
        assert stat.S_IMODE((path / PASSFILE).stat().st_mode) == 0o600
        ((user, password),) = users_in(path / PASSFILE).items()
        assert user == name_of(read_config(path).catalog)
        secrets.add(password)
    with pair.both.all.tenant("mine") as opened:
        shown = (
            f"{opened!r} {opened.catalog!r} {opened.config!r} {opened._repr_mimebundle_()} {audit(opened).to_dict()}"
        )
    shown += f"{caplog.text} {pair.both.all!r} {pair.both.all.frame().to_dicts()}"
    assert not [secret for secret in secrets if secret in shown]
    for file in pair.both.all.path.rglob("*"):
        if file.is_file() and file.name != PASSFILE:
            assert not [secret for secret in secrets if secret.encode() in file.read_bytes()], file
    assert "tenants" not in name_of(pair.mine) and "mine" not in name_of(pair.mine)
    assert (pair.both.all.path / SERVER_NAME).read_text().count("postgresql://operator_") == 1


def test_a_password_in_the_environment_is_not_the_tenants(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's, which may stand there, does not get in the way of a tenant's own."""
    monkeypatch.setenv("PGPASSWORD", "p@ss:w/rd")
    monkeypatch.setenv("PGUSER", "somebody")
    with open_collection(pair.both.mine.path) as opened:
        assert opened.find()["artifact_id"].to_list() == ["own"]


def test_tenants_stay_on_their_server(pair: Pair, operator: str) -> None:
    """The folder remembers which one; another one is refused, and so is what is no address."""
    again = MultiTenantCatalog(pair.both.all.path)
    assert again.names() == ["mine", "theirs"] and "@" in again.server and "p@ss" not in again.server
    with pytest.raises(InvalidInput, match="another server"):
        MultiTenantCatalog(pair.both.all.path, server="postgresql://operator@elsewhere/postgres")


def test_a_server_that_lets_everybody_in_takes_no_tenants(pg: Server, operator: str, tmp_path: Path) -> None:
    """Where a password is not asked for, roles keep nobody apart: that is said, and nothing is left behind."""
    if pg.folder is None:
        pytest.fail("this needs a server whose settings may be changed; unset CATALOGKIT_TEST_PG_DSN")
    hba = pg.folder / "data" / "pg_hba.conf"
    strict = hba.read_text()
    before = pg.run("SELECT count(*) FROM pg_database"), pg.run("SELECT count(*) FROM pg_roles")
    hba.write_text(strict.replace(LETS_IN, ""))
    try:
        pg.run("SELECT pg_reload_conf()")
        every = MultiTenantCatalog(tmp_path, server=operator)
        with pytest.raises(CatalogError, match="scram-sha-256"):
            every.register_tenant("acme")
    finally:
        hba.write_text(strict)
        pg.run("SELECT pg_reload_conf()")
    assert every.names() == [] and not (tmp_path / "tenants" / "acme" / CONFIG_NAME).exists()
    assert (pg.run("SELECT count(*) FROM pg_database"), pg.run("SELECT count(*) FROM pg_roles")) == before


def test_registering_on_a_server_goes_on_after_a_crash(
    operator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short when the database is there and the collection is not, the next attempt takes that database."""
    every = MultiTenantCatalog(tmp_path, server=operator)

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with dropped(every):
        with monkeypatch.context() as broken:
            broken.setattr(tenants, "init", cut)
            with pytest.raises(KeyboardInterrupt):
                every.register_tenant("acme")
        (begun,) = users_in(tmp_path / "tenants" / "acme" / PASSFILE)
        with every.register_tenant("acme", TenantSettings(max_documents=2)) as made:
            quota = made.catalog.quota()
            assert quota is not None and quota.max_documents == 2
        assert name_of(read_config(tmp_path / "tenants" / "acme").catalog) == begun


def test_the_operator_upgrades(pair: Pair, operator: str) -> None:
    """A tenant may not change its schema; it is told who does, and it is done for all at once."""
    with psycopg.connect(pair.superuser.address(name_of(pair.theirs)), autocommit=True) as db:
        (version, name, at) = db.execute("DELETE FROM migrations RETURNING *").fetchall()[-1]
        try:
            db.execute("INSERT INTO migrations VALUES (0, 'older', 0)")
            with pytest.raises(CatalogError, match="tenant upgrade"):
                pair.both.all.tenant("theirs")
        finally:
            db.execute("DELETE FROM migrations")
            db.execute("INSERT INTO migrations SELECT n, %s, %s FROM generate_series(1, %s) n", [name, at, version])
        db.execute(f"REVOKE SELECT ON documents FROM {name_of(pair.theirs)}".encode())
    assert pair.both.all.upgrade() == ["mine", "theirs"]
    assert len(pair.both.all.get_tenant_records("theirs")) == 2


def test_what_a_tenant_has_goes_while_it_is_connected(operator: str, pg: Server) -> None:
    """The operator ends a tenant's sessions, which are another role's, and drops its database and its role."""
    role = new_name()
    url = make_database(operator, role, "a password", as_of=NOON)
    with psycopg.connect(url, password="a password") as db:
        db.execute("SELECT * FROM documents")
        drop_database(operator, role)
        with pytest.raises(psycopg.OperationalError):
            db.execute("SELECT 1")
    assert pg.run(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}' UNION SELECT 1 FROM pg_database"
                  f" WHERE datname = '{role}'") == []  # fmt: skip
    drop_database(operator, role)  # again, changes nothing


def test_an_operator_that_may_not_makes_nothing(pair: Pair, pg: Server, tmp_path: Path) -> None:
    """Somebody without CREATEDB and CREATEROLE is told so."""
    name = f"nobody_{os.getpid()}"
    with psycopg.connect(pg.address("postgres"), autocommit=True) as db:
        make_role(db, name, "x")
    try:
        server = pg.address("postgres").replace("postgres@", f"{name}:x@", 1)
        with pytest.raises(CatalogError, match="does not let this user"):
            MultiTenantCatalog(tmp_path, server=server).register_tenant("acme")
    finally:
        pg.run(f"DROP ROLE {name}")
