"""Readers: roles that see one tenant's rows of a shared catalog, asked in every way there is for another's."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import polars as pl
import psycopg
import pytest

from catalogkit.billing import NOBODY, Prices
from catalogkit.catalog.passfiles import users_in
from catalogkit.catalog.postgres import PostgresCatalog
from catalogkit.catalog.sql.tables import TABLES
from catalogkit.collection import Collection, init
from catalogkit.errors import CatalogError, CatalogKitError, InvalidInput
from catalogkit.ingest import register_or_get
from catalogkit.readers import TenantReader, drop_reader, open_reader, readers
from catalogkit.tenants import bill_of, write
from tests.conftest import NOON, Clock, hurry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pg import Server

# What one of the two has and the other must never see. The name of a document is long enough to be found in no answer
# by chance; both have `SHARED`.
MARKS = {"mine": "mandalay", "theirs": "zanzibar"}
SHARED = b"both of them have this"


@dataclass
class Shared:
    """A catalog with the documents of two tenants, whose owner is `owner`; `reader` sees those of one."""

    collection: Collection
    reader: TenantReader
    owner: str
    facts: dict[str, dict[str, Any]]

    def connect(self) -> psycopg.Connection[Any]:
        """As the reader, by any program."""
        (password,) = users_in(self.reader.passfile).values()
        return psycopg.connect(self.reader.url, password=password, autocommit=True)

    def as_owner(self) -> psycopg.Connection[Any]:
        """As the owner of the catalog."""
        return psycopg.connect(self.owner, autocommit=True)


def fill(collection: Collection, folder: Path, clock: Clock) -> dict[str, dict[str, Any]]:
    """Two tenants' documents, alike in everything but the mark: two versions, an access, a content both have."""
    facts: dict[str, dict[str, Any]] = {}
    folder.mkdir()
    for tenant, mark in MARKS.items():
        for content in (f"old {mark}", f"the secret of {mark}"):
            (folder / mark).write_text(content)
            record = register_or_get(
                collection, folder / mark, artifact_id=mark, source_url=f"https://example.org/{mark}", tenant=tenant,
                mode="copy",
            )  # fmt: skip
            clock.advance(hours=1)
        (folder / "both").write_bytes(SHARED)
        both = register_or_get(
            collection, folder / "both", artifact_id="both", source_url="https://example.org/both", tenant=tenant,
            mode="copy",
        )  # fmt: skip
        collection.catalog.record_accesses([(record.id, clock.now, "read", 5)])
        clock.advance(hours=1)
        old = hashlib.sha256(f"old {mark}".encode()).hexdigest()
        facts[tenant] = {
            "tenant": tenant, "mark": mark, "id": record.id, "digest": str(record.sha256), "old": old, "both": both.id,
        }  # fmt: skip
    return facts


@pytest.fixture(scope="module")
def shared(pg: Server, operator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A shared catalog of an owner that is no superuser."""
    folder, clock = tmp_path_factory.mktemp("shared"), Clock(NOON)
    name = f"shared_{os.getpid()}"
    with psycopg.connect(operator, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    owner = operator.replace("/postgres?", f"/{name}?")
    try:
        with hurry(init(folder / "c", catalog=owner, clock=clock)) as collection:
            facts = fill(collection, folder / "waiting", clock)
            # The settings have no password; the environment of whoever asks has.
            with open_reader(collection, "mine") as reader:
                with psycopg.connect(owner, autocommit=True) as db:
                    db.execute("ANALYZE")
                yield Shared(collection, reader, owner, facts)
            drop_reader(collection, "mine")
    finally:
        with psycopg.connect(operator, autocommit=True) as db:
            db.execute(f"DROP DATABASE {name} WITH (FORCE)")


# A way: statements in one session, the last of which answers. Asked for the reader's own tenant they must bring its
# mark, which proves that they are right; asked for the other, nothing, and not even an error.
OWN = {
    "a filter": ["SELECT artifact_id FROM documents WHERE tenant = '{tenant}'"],
    "everything": ["SELECT artifact_id FROM documents"],
    "a document's number": ["SELECT artifact_id FROM documents WHERE id = {id}"],
    "its digest": ["SELECT artifact_id FROM documents WHERE sha256 = '\\x{digest}'"],
    "its name": ["SELECT source_url FROM documents WHERE artifact_id = '{mark}'"],
    "part of its address": ["SELECT artifact_id FROM documents WHERE source_url LIKE '%{mark}%'"],
    "an index only": ["SELECT DISTINCT artifact_id FROM documents WHERE artifact_id > '' ORDER BY 1"],
    "a sequential scan": ["SET enable_indexscan = off", "SET enable_bitmapscan = off",
                          "SELECT artifact_id FROM documents WHERE sha256 = '\\x{digest}'"],
    "a union": [("SELECT artifact_id FROM documents WHERE false UNION ALL SELECT artifact_id FROM documents"
                " WHERE tenant = '{tenant}'")],
    "a subquery": ["SELECT (SELECT string_agg(artifact_id, ',') FROM documents WHERE tenant = '{tenant}')"],
    "a lateral join": [("SELECT x.artifact_id FROM (VALUES ('{tenant}')) t (name), LATERAL (SELECT artifact_id"
                       " FROM documents WHERE tenant = t.name) x")],
    "an outer join": ["SELECT d.artifact_id FROM (VALUES ({id})) t (id) LEFT JOIN documents d ON d.id = t.id"],
    "a common table": [("WITH d AS MATERIALIZED (SELECT * FROM documents) SELECT artifact_id FROM d"
                       " WHERE tenant = '{tenant}'")],
    "a whole row": ["SELECT documents::text FROM documents"],
    "as JSON": ["SELECT to_json(d)::text FROM documents d WHERE tenant = '{tenant}'"],
    "as something else": ["SELECT encode(artifact_id::bytea, 'escape') FROM documents WHERE tenant = '{tenant}'"],
    "a sample": ["SELECT artifact_id FROM documents TABLESAMPLE SYSTEM (100)"],
    "physical places": ["SELECT artifact_id FROM documents WHERE ctid >= '(0,0)'"],
    "the past": ["SELECT artifact_id FROM documents_history WHERE tenant = '{tenant}'"],
    "history by number": ["SELECT artifact_id FROM documents_history WHERE id = {id}"],
    "history by digest": ["SELECT artifact_id FROM documents_history WHERE sha256 = '\\x{old}'"],
    "history and present": ["SELECT h.artifact_id FROM documents_history h LEFT JOIN documents d USING (id)"],
    "a blob": ["SELECT '{mark}' FROM blobs WHERE sha256 = '\\x{digest}' AND bytes > 0"],
    "a blob of the past": ["SELECT '{mark}' FROM blobs WHERE sha256 = '\\x{old}'"],
    "its document's blob": [("SELECT d.artifact_id FROM blobs b JOIN documents d USING (sha256)"
                            " WHERE b.sha256 = '\\x{digest}'")],
    "an access": ["SELECT '{mark}' FROM accesses WHERE document_id = {id}"],
    "a prepared statement": ["PREPARE p (text) AS SELECT artifact_id FROM documents WHERE tenant = $1",
                             "EXECUTE p ('{tenant}')"],
    "a generic plan": ["SET plan_cache_mode = force_generic_plan",
                       "PREPARE q (bytea) AS SELECT artifact_id FROM documents WHERE sha256 = $1",
                       "EXECUTE q ('\\x{digest}')"],
    "a cursor": ["BEGIN", "DECLARE c SCROLL CURSOR FOR SELECT artifact_id FROM documents", "MOVE 1000 IN c",
                 "FETCH BACKWARD ALL FROM c"],
    "a temporary copy": ["CREATE TEMP TABLE t AS SELECT * FROM documents", "SELECT artifact_id FROM t"],
    "a temporary view": ["CREATE TEMP VIEW v AS SELECT * FROM documents", "SELECT artifact_id FROM v"],
    "a view without a barrier": ["CREATE TEMP VIEW v WITH (security_barrier = false) AS SELECT * FROM documents",
                                 "SELECT artifact_id FROM v WHERE tenant = '{tenant}'"],
    "a function in the owner's name": [
        ("CREATE FUNCTION pg_temp.f() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER"
        " AS 'SELECT artifact_id FROM documents'"), "SELECT pg_temp.f()"],
    "readers of its own": ["CREATE TEMP TABLE readers (role name, tenant text)",
                           "INSERT INTO readers VALUES (current_user, 'theirs')", "SET search_path = pg_temp, public",
                           "SELECT artifact_id FROM documents"],
    "a past of its own": ["CREATE TEMP TABLE documents_history (sha256 bytea)",
                          "INSERT INTO documents_history VALUES ('\\x{digest}'), ('\\x{old}')",
                          "SET search_path = pg_temp, public",
                          "SELECT '{mark}' FROM public.blobs WHERE sha256 IN ('\\x{digest}', '\\x{old}')"],
    "a variable": ["SET app.tenant = 'theirs'", "SET catalogkit.tenant TO 'theirs'",
                   "SELECT artifact_id FROM documents"],
    "no role": ["RESET ROLE", "RESET SESSION AUTHORIZATION", "SELECT artifact_id FROM documents"],
    "parallel workers": ["SET debug_parallel_query = on", "SELECT artifact_id FROM documents"],
    "another moment": ["BEGIN ISOLATION LEVEL SERIALIZABLE", "SELECT artifact_id FROM documents"],

}  # fmt: skip

# Ways that must be refused, and in which words; the superuser is let do the very same.
REFUSED = {
    "seeing everything or nothing": (["SET row_security = off", "SELECT artifact_id FROM documents"],
                                     "row-level security"),
    "being the owner": (["SET ROLE {owner}", "SELECT artifact_id FROM documents"], "permission denied"),
    "being the superuser": (["SET SESSION AUTHORIZATION postgres"], "permission denied"),
    "being the owner by a setting": (["SELECT set_config('role', '{owner}', false)"], "permission denied"),
    "joining the owner": (["GRANT {owner} TO CURRENT_USER"], "permission denied"),
    "no wall": (["ALTER TABLE documents DISABLE ROW LEVEL SECURITY"], "must be owner"),
    "another wall": (["CREATE POLICY mine ON documents USING (true)"], "must be owner"),
    "dropping it": (["DROP POLICY {reader} ON documents"], "must be owner"),
    "going round it": (["ALTER ROLE CURRENT_USER BYPASSRLS"], "permission denied"),
    "becoming more": (["ALTER ROLE CURRENT_USER CREATEROLE"], "permission denied"),
    "who reads whom": (["SELECT tenant FROM readers"], "permission denied"),
    "another name": (["UPDATE readers SET tenant = 'theirs'"], "permission denied"),
    "two names": (["INSERT INTO readers VALUES ('x', 'theirs')"], "permission denied"),
    "moving a document": (["UPDATE documents SET tenant = 'mine' WHERE artifact_id = 'zanzibar'"], "permission denied"),
    "a key that is taken": ([("INSERT INTO documents (id, tenant, artifact_id, source_url, resolver, variant, sha256,"
                             " content_type, run_id, created_us, changed_us, seen_us) VALUES (1, 'mine', 'a', 'b', '',"
                             " '', '\\x00', '', '', 0, 0, 0) ON CONFLICT DO NOTHING")], "permission denied"),
    "a reference": (["CREATE TABLE t (sha256 bytea REFERENCES blobs (sha256))"], "permission denied"),
    "a rule of its own": (["CREATE RULE r AS ON INSERT TO documents DO ALSO NOTIFY x"], "must be owner"),
    "a trigger": (["CREATE TRIGGER t AFTER INSERT ON documents EXECUTE FUNCTION refuse('x')"], "permission denied"),
    "a child table": (["CREATE TEMP TABLE t () INHERITS (documents)"], "must be owner"),
    "a function that is found first": (["CREATE FUNCTION public.hex(text) RETURNS text LANGUAGE sql AS 'SELECT $1'"],
                                       "permission denied"),
    "an operator without leaks": (["ALTER FUNCTION pg_catalog.textlike(text, text) LEAKPROOF"], "must be owner"),
    "a leak of its own": (["CREATE FUNCTION pg_temp.f(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'"],
                          "only superuser"),
    "how many have a content": (["SELECT refs FROM blobs"], "permission denied"),
    "since when it is there": (["SELECT created_us FROM blobs"], "permission denied"),
    "whose it is": (["SELECT tenants FROM blobs"], "permission denied"),
    "whose it is, by a filter": (["SELECT 1 FROM blobs WHERE 'theirs' = ANY (tenants)"], "permission denied"),
    "all of a blob": (["SELECT * FROM blobs"], "permission denied"),
    "a row as text": (["SELECT blobs::text FROM blobs"], "permission denied"),
    "copying out": (["COPY documents TO '/dev/null'"], "permission denied"),
    "a program": (["COPY documents TO PROGRAM 'cat > /dev/null'"], "permission denied"),
    "the table's file": (["SELECT pg_read_binary_file(pg_relation_filepath('documents'))"], "permission denied"),
    "the server's files": (["SELECT pg_ls_dir('.')"], "permission denied"),
    "a large object": (["SELECT lo_import('/dev/null')"], "permission denied"),
    "another connection": (["CREATE EXTENSION postgres_fdw"], "permission denied"),
    "another server": (["CREATE FOREIGN DATA WRAPPER w"], "permission denied"),
    "statistics": (["SELECT stavalues1::text FROM pg_statistic"], "permission denied"),
    "the log of changes": (["SELECT count(*) FROM pg_ls_waldir()"], "permission denied"),
    "a publication": (["CREATE PUBLICATION p FOR TABLE documents"], "permission denied"),
    "ending what the owner does": (["SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = '{owner}'"],
                         "permission denied"),
    "passwords": (["SELECT rolpassword FROM pg_authid"], "permission denied"),
    "rules that sleep": (["SET session_replication_role = replica"], "permission denied"),
    "keeping others out": (["BEGIN", "LOCK TABLE documents IN ACCESS EXCLUSIVE MODE"], "permission denied"),
}  # fmt: skip


def run(db: psycopg.Connection[Any], statements: list[str], **values: Any) -> str:
    """What the last of the statements answers, and all that is told by the way."""
    told: list[str] = []
    db.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
    for statement in statements:
        cursor = db.execute(statement.format(**values).encode())
    return f"{cursor.fetchall() if cursor.description else ''} {told}"


@pytest.mark.parametrize("way", OWN)
def test_no_statement_of_a_reader_sees_another_tenant(shared: Shared, way: str) -> None:
    """Whatever brings the tenant's own row brings nothing of the other's, whoever asks with whatever name."""
    with shared.connect() as db:
        own = run(db, OWN[way], **shared.facts["mine"])
    with shared.connect() as db:
        answer = run(db, OWN[way], **shared.facts["theirs"])
    assert MARKS["mine"] in own, "the way leads nowhere at all"
    assert MARKS["theirs"] not in answer and MARKS["theirs"] not in own


@pytest.mark.parametrize("way", REFUSED)
def test_what_a_reader_may_not_do_is_refused(shared: Shared, pg: Server, way: str) -> None:
    """By the server, as it has no right to it, and for no other reason: the superuser is let do the same."""
    statements, words = REFUSED[way]
    owner, reader = urlsplit(shared.owner).username, urlsplit(shared.reader.url).username
    with psycopg.connect(pg.address(urlsplit(shared.owner).path[1:])) as db:
        run(db, statements, owner=owner, reader=reader)
        db.rollback()
    with shared.connect() as db, pytest.raises(psycopg.Error, match=words) as refused:
        run(db, statements, owner=owner, reader=reader)
    assert MARKS["theirs"] not in str(refused.value)


@pytest.mark.parametrize("table", sorted({*TABLES, "kept"} - {"documents", "documents_history", "blobs", "accesses"}))
def test_all_other_tables_are_none_of_a_readers_business(shared: Shared, table: str) -> None:
    """Each table that a catalog has is refused unless it is granted, those of next year's schema as well."""
    with shared.as_owner() as db:
        run(db, [f"SELECT * FROM {table}"])
    with shared.connect() as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(db, [f"SELECT * FROM {table}"])


ORACLES = {
    "dividing by nothing": "SELECT 1 / (CASE WHEN artifact_id = '{mark}' THEN 0 ELSE 1 END) FROM documents",
    "an odd number": "SELECT artifact_id::int FROM documents WHERE artifact_id = '{mark}'",
    "a division among the filters": "SELECT 1 FROM documents WHERE tenant = '{tenant}'"
    " AND 1 / (CASE WHEN artifact_id = '{mark}' THEN 0 ELSE 1 END) = 1",
    "a cast among the filters": "SELECT 1 FROM documents WHERE sha256 = '\\x{digest}' AND artifact_id::int = 1",
    "a cast of a blob": "SELECT media_type::int FROM blobs WHERE sha256 = '\\x{digest}'",
}


@pytest.mark.parametrize("way", ORACLES)
def test_errors_tell_nothing_of_other_tenants(shared: Shared, way: str) -> None:
    """A statement that fails on a row fails on the tenant's own; on another's it never comes to it."""
    with shared.connect() as db:
        with pytest.raises(psycopg.DataError):
            run(db, [ORACLES[way]], **shared.facts["mine"])
        run(db, [ORACLES[way]], **shared.facts["theirs"])


def test_a_cheap_function_is_not_shown_other_rows(shared: Shared) -> None:
    """A filter of its own that tells what it is given is given the tenant's rows, however cheap it says it is."""
    make = (
        "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001"
        " AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END'"
    )
    with shared.connect() as db:
        told = run(db, [make, "SELECT count(*) FROM documents WHERE pg_temp.leak(artifact_id)"])
        past = run(db, ["SELECT count(*) FROM documents_history WHERE pg_temp.leak(artifact_id)"])
        blobs = run(db, ["SELECT count(*) FROM blobs WHERE pg_temp.leak(encode(sha256, 'hex'))"])
    assert MARKS["mine"] in told and MARKS["mine"] in past and shared.facts["mine"]["digest"] in blobs
    for answer in (told, past, blobs):
        assert MARKS["theirs"] not in answer and shared.facts["theirs"]["digest"] not in answer


def test_what_the_server_knows_of_rows_is_not_shown(shared: Shared) -> None:
    """Statistics of columns, statements that others are at: the owner sees them, a reader does not."""
    values = "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE tablename = 'documents'"
    others = "SELECT query FROM pg_stat_activity WHERE query LIKE '%' || '{mark}' || '%' AND pid <> pg_backend_pid()"
    with shared.as_owner() as owner, shared.connect() as db:
        owner.execute("SELECT 'zanzibar'")
        with shared.as_owner() as second:
            assert "zanzibar" in run(second, [others], mark="zanzibar")
            assert "theirs" in run(second, [values])
        assert run(db, [values]).startswith("[]")
        assert run(db, [others], mark="zanzibar").startswith("[]")


def test_copying_out_obeys_the_wall(shared: Shared) -> None:
    """The bulk protocol reads the tenant's rows and no more."""
    for what in ("documents", "(SELECT * FROM documents_history)"):
        with shared.connect() as db, db.cursor() as cursor, cursor.copy(f"COPY {what} TO STDOUT") as copy:
            text = b"".join(bytes(block) for block in copy).decode()
        assert MARKS["mine"] in text and MARKS["theirs"] not in text


def test_a_shared_content_looks_like_ones_own(shared: Shared) -> None:
    """Nothing that is shown of a content that both have differs from what is shown of one that nobody else has."""
    query = (
        "SELECT b.bytes > 0 AS big, b.media_type, count(d.id) AS documents FROM blobs b JOIN documents d USING (sha256)"
        " WHERE artifact_id = $1 GROUP BY 1, 2"
    )
    own, both = (shared.reader.sql(query, [name]).to_dicts() for name in ("mandalay", "both"))
    assert own == both == [{"big": True, "media_type": "text/plain", "documents": 1}]


def test_looking_at_a_shared_content_is_the_same_work(shared: Shared) -> None:
    """What the server counts on the way to it, rows and pages, is what it counts for one that nobody else has."""
    plan = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, SUMMARY OFF) SELECT bytes FROM blobs WHERE sha256 = %s"
    digests = [bytes.fromhex(shared.facts["mine"]["digest"]), hashlib.sha256(SHARED).digest()]
    with shared.connect() as db:
        db.execute("SET enable_seqscan = off")
        told = [[line for (line,) in db.execute(plan, [one]).fetchall()] for one in 2 * digests]
    own, both = ([line.replace(one.hex(), "") for line in lines] for one, lines in zip(digests, told[2:], strict=True))
    assert own == both and "actual rows=1" in own[0]  # asked twice: what was read first comes into memory


def test_the_bill_of_a_shared_catalog(shared: Shared) -> None:
    """On a server, too, the fair parts add up to what lies there; requests are each tenant's own; it is exported."""
    collection = shared.collection
    frame = bill_of([collection], NOON, collection.now(), Prices(gb_month=Decimal(10**9)))
    found = {row["tenant"]: row for row in frame.iter_rows(named=True)}
    assert frame["fair_bytes"].sum() == collection.catalog.totals()["physical_bytes"]
    for name, mark in MARKS.items():
        own = len(f"the secret of {mark}")
        assert found[name]["requests"] == 1 and found[name]["documents"] == 2
        # In full, a tenant pays as if nobody else were there: it does not learn of the other from that.
        assert found[name]["full_bytes"] == own + len(SHARED)
        assert found[name]["fair_bytes"] == own + len(SHARED) // 2
    assert found[NOBODY]["fair_bytes"] == sum(len(f"old {mark}") for mark in MARKS.values())
    for ending, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        write(frame, path := collection.path / f"bill{ending}")
        assert read(path)["fair_bytes"].sum() == frame["fair_bytes"].sum()
        path.unlink()


def test_a_handle_is_bound_to_its_tenant(shared: Shared) -> None:
    """Records, frames, history and SQL of one tenant; what would tell of others, or is no question, is refused."""
    reader, mine, theirs = shared.reader, shared.facts["mine"], shared.facts["theirs"]
    assert [record.artifact_id for record in reader.records()] == ["mandalay", "both"]
    assert reader.catalog.find(tenant="theirs") == [] and reader.catalog.document(theirs["id"]) is None
    assert reader.catalog.frame("documents")["tenant"].unique().to_list() == ["mine"]
    assert reader.catalog.frame("document_versions")["bytes"].null_count() == 0
    assert len(reader.catalog.versions(mine["id"])) == 2 and reader.catalog.versions(theirs["id"]).is_empty()
    then = reader.catalog.documents_at(NOON)
    assert then["artifact_id"].to_list() == ["mandalay"] and then["sha256"].to_list() == [mine["old"]]
    assert reader.sql("SELECT count(*) AS n FROM documents").item() == 2
    for ask in (lambda: reader.catalog.locations_of(reader.records()[0].sha256), lambda: reader.catalog.frame("blobs"),
                lambda: reader.catalog.set_quota(documents=None, bytes=None),
                lambda: reader.catalog.record_accesses([(mine["id"], NOON, "read", 1)])):  # fmt: skip
        with pytest.raises(CatalogError, match=r"does not let this user|can only be read"):
            ask()
    for query in (
        "EXPLAIN ANALYZE SELECT 1", "SELECT 1) AS x; EXPLAIN SELECT (1", "SELECT 1; SELECT 2", "DELETE FROM documents",
        "SET row_security = off", "SELECT 1) AS x -- ",
    ):  # fmt: skip
        with pytest.raises(CatalogKitError):
            reader.sql(query)
    with pytest.raises(InvalidInput, match="one name"):
        reader.sql("SELECT 1 AS a, 2 AS a")
    assert repr(reader).startswith("TenantReader('mine', 'postgresql://ckit_")


def test_any_program_can_ask_as_a_reader(shared: Shared) -> None:
    """The password lies where libpq takes it from, for its owner's eyes alone, and nowhere else."""
    path = shared.reader.passfile
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (password,) = users_in(path).values()
    with psycopg.connect(shared.reader.url, passfile=str(path)) as db:
        assert "zanzibar" not in str(db.execute("SELECT * FROM documents").fetchall())
    for file in shared.collection.path.rglob("*"):
        if file.is_file() and file != path:
            assert password.encode() not in file.read_bytes(), file
    assert password not in repr(shared.reader) + repr(vars(shared.reader.catalog).keys())
    path.chmod(0o640)
    try:
        with pytest.raises(CatalogError, match="others may read it"):
            open_reader(shared.collection, "mine")
    finally:
        path.chmod(0o600)


def test_a_reader_comes_and_goes(shared: Shared) -> None:
    """Each tenant has its own, made once, listed, and gone when it is dropped: its role and its password."""
    with open_reader(shared.collection, "theirs") as made:
        assert [record.artifact_id for record in made.records()] == ["zanzibar", "both"]
        with open_reader(shared.collection, "theirs") as again:
            assert again.url == made.url
        assert readers(shared.collection) == ["mine", "theirs"]
        drop_reader(shared.collection, "theirs")
        assert readers(shared.collection) == ["mine"] and not made.passfile.exists()
    with pytest.raises(InvalidInput, match="nobody reads"):
        drop_reader(shared.collection, "theirs")
    with open_reader(shared.collection, "nobody's") as empty:
        assert empty.records() == [] and empty.sql("SELECT sha256 FROM blobs").is_empty()
    drop_reader(shared.collection, "nobody's")


def test_whoever_is_no_reader_sees_all_or_nothing(shared: Shared) -> None:
    """The owner's programs see every row; one that would see a part is refused: it would take the rest for garbage."""
    assert {record.tenant for record in shared.collection.catalog.find()} == {"mine", "theirs"}
    (password,) = users_in(shared.reader.passfile).values()
    with closing(PostgresCatalog(shared.reader.url, password=password, as_of=NOON)) as catalog:
        for ask in (catalog.find, lambda: catalog.frame("documents"), lambda: catalog.versions(1)):
            with pytest.raises(CatalogError, match="row-level security"):
                ask()
    with shared.connect() as db:  # nor is one that does not open it in our way
        db.execute("SET row_security = off")
        for table in ("documents", "documents_history", "accesses"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                db.execute(f"SELECT count(*) FROM {table}".encode())


def test_a_tenants_own_collection_has_no_readers(shared: Shared, tmp_path: Path) -> None:
    """Where the catalog is a file there are no roles; a name that is none is refused."""
    with init(tmp_path / "c") as embedded, pytest.raises(InvalidInput, match="tenant add"):
        open_reader(embedded, "mine")
    for name in ("", "a\0b"):
        with pytest.raises(InvalidInput):
            open_reader(shared.collection, name)
