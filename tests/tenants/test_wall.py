"""The wall between tenants: a handle bound to one is asked, in every way there is, for what another has."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.analytics import DedupAnalytics
from catalogkit.apply import apply
from catalogkit.audit import AuditReport
from catalogkit.auditing import audit
from catalogkit.backups.making import backup_catalog
from catalogkit.backups.recovering import recover_from_backup
from catalogkit.collection import catalog_file
from catalogkit.errors import CatalogKitError, InvalidInput, SourceError
from catalogkit.ingest import ingest, register_or_get
from catalogkit.model import Digest
from catalogkit.plan import Plan
from catalogkit.planning import plan_forget, why
from catalogkit.snapshots import diff_snapshots, list_snapshots, query_at
from catalogkit.workers import Inline
from tests.conftest import NOON, Clock
from tests.tenants.conftest import SECRET, make_both, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.tenants.conftest import Both

# What must never come to light; the digest and the folder, which the attacker knows already, are none of it.
MARKS = ("zanzibar", SECRET.decode(), SECRET.hex())

SQL = {
    "a filter": "SELECT * FROM documents WHERE tenant = 'theirs'",
    "everything": "SELECT * FROM documents, blobs, locations",
    "the ledger": "SELECT * FROM checks",
    "a union with its catalog": "SELECT artifact_id FROM documents UNION ALL SELECT artifact_id FROM '{db}'",
    "a subquery on its mirror": "SELECT (SELECT string_agg(artifact_id, ',') FROM read_parquet('{mirror}'))",
    "attaching its catalog": "ATTACH '{db}' AS other (TYPE sqlite)",
    "attaching its mirror": "ATTACH '{mirror}' AS other (READ_ONLY)",
    "reading its document": "SELECT content FROM read_text('{place}')",
    "reading its bytes": "SELECT content FROM read_blob('{place}')",
    "its document as a table": "SELECT * FROM read_csv('{place}', header = false, columns = {{'a': 'VARCHAR'}})",
    "its catalog as a file": "SELECT * FROM read_blob('{db}')",
    "listing its folder": "SELECT * FROM glob('{theirs}/**')",
    "a file as a table": "SELECT * FROM '{plan}'",
    "its plan": "SELECT * FROM read_parquet('{plan}')",
    "its plan's head": "SELECT * FROM read_json('{theirs}/plans/*/*.json')",
    "sqlite's scanner": "SELECT * FROM sqlite_scan('{db}', 'documents')",
    "sqlite's statement": "SELECT * FROM sqlite_query('{db}', 'SELECT * FROM documents')",
    "an extension": "INSTALL sqlite; LOAD sqlite",
    "one extension": "LOAD '{theirs}/sqlite.duckdb_extension'",
    "opening the door again": "SET enable_external_access = true",
    "unlocking the settings": "SET lock_configuration = false",
    "resetting a setting": "RESET enable_external_access",
    "a pragma": "PRAGMA enable_external_access = true",
    "an allowed folder": "SET allowed_directories = ['{theirs}']",
    "a temporary table": "CREATE TEMP TABLE t AS SELECT * FROM read_text('{place}')",
    "a view": "CREATE VIEW v AS SELECT * FROM read_text('{place}')",
    "a macro": "CREATE TEMP MACRO m() AS TABLE SELECT * FROM read_text('{place}')",
    "copying in": "COPY documents FROM '{place}'",
    "copying out": "COPY documents TO '{theirs}/copy.csv'",
    "exporting": "EXPORT DATABASE '{theirs}/export'",
    "importing": "IMPORT DATABASE '{theirs}'",
    "two statements": "SELECT 1; SELECT * FROM read_text('{place}')",
    "other databases": "SELECT * FROM duckdb_databases(), duckdb_tables(), duckdb_settings()",
    "a variable of the program": "SELECT * FROM marks_frame",
    "the environment": "SELECT getenv('CATALOGKIT_TEST_MARK')",
    "a secret": "SELECT * FROM duckdb_secrets()",
    "another process's file": "SELECT * FROM read_text('/proc/self/environ')",
    "a network": "SELECT * FROM 'http://localhost:1/theirs.parquet'",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Two tenants whom questions do not change."""
    server = request.getfixturevalue("operator") if request.param == "postgresql" else ""
    with make_both(tmp_path_factory.mktemp("tenants"), Clock(NOON), server) as made:
        yield made


def shown(answer: object) -> str:
    """Everything of an answer, as text."""
    import polars as pl

    if isinstance(answer, pl.DataFrame):
        return answer.write_json()
    if isinstance(answer, AuditReport):
        return str(answer.to_dict())
    return answer.decode("latin-1") if isinstance(answer, bytes) else repr(answer)


def tried(ask: Callable[[], object]) -> str:
    """What comes of asking: the answer, or one of our errors; any other error is a hole of its own."""
    try:
        return shown(ask())
    except CatalogKitError as problem:
        return str(problem)


@pytest.mark.parametrize("way", SQL)
def test_no_sql_sees_another_tenant(standing: Both, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters, unions, subqueries, pragmas, attaching, temporary objects, files, settings: nothing comes back."""
    import polars as pl

    monkeypatch.setenv("CATALOGKIT_TEST_MARK", "zanzibar")
    marks_frame = pl.DataFrame({"found": ["zanzibar"]})
    (mirror,) = (standing.theirs / "mirror").glob("*.duckdb")
    plan = next((standing.theirs / "plans").rglob("*.parquet"))
    query = SQL[way].format(
        db=standing.theirs / "catalog.sqlite", mirror=mirror, place=standing.place, theirs=standing.theirs, plan=plan
    )
    before = sorted(path for path in standing.theirs.rglob("*"))
    answer = tried(lambda: standing.mine.sql(query))
    assert not [mark for mark in MARKS if mark in answer.replace(query, "")], marks_frame
    assert sorted(path for path in standing.theirs.rglob("*")) == before


WAYS: dict[str, Callable[[Both], object]] = {
    "find by tenant": lambda both: both.mine.find(tenant="theirs"),
    "find by digest": lambda both: both.mine.find(sha256=str(both.record.sha256)),
    "find everything": lambda both: both.mine.find(limit=10**6),
    "a document's number": lambda both: both.mine.catalog.document(both.record.id),
    "its bytes by number": lambda both: both.mine.read(both.record.id),
    "its copies": lambda both: both.mine.catalog.locations_of(both.record.sha256),
    "why it is kept": lambda both: why(both.mine, str(both.record.sha256)),
    "why a path is kept": lambda both: why(both.mine, str(both.place)),
    "its history": lambda both: both.mine.catalog.history(both.record.id),
    "a moment": lambda both: query_at(both.mine, both.record.id, both.mine.now()),
    "documents as of a time": lambda both: both.mine.frame("documents", as_of=both.mine.now()),
    "every frame": lambda both: [
        shown(both.mine.frame(table))
        for table in ("documents", "document_versions", "blobs", "locations", "checks", "accesses", "roots")
    ],
    "snapshots": lambda both: list_snapshots(both.mine),
    "a snapshot's name": lambda both: diff_snapshots(both.mine, "zanzibar-2026", None).frame,
    "holds": lambda both: both.mine.catalog.holds(as_of=both.mine.now()),
    "plans": lambda both: both.mine.catalog.plans(),
    "its roots": lambda both: both.mine.catalog.root_kinds(both.record.sha256, as_of=both.mine.now()),
    "an audit": lambda both: audit(both.mine),
    "duplicates": lambda both: DedupAnalytics(both.mine).recommendations(),
    "forgetting its document": lambda both: plan_forget(both.mine, [both.record.id]).frame,
    "a key in the store": lambda both: both.mine.store.open(os.path.relpath(both.place, both.mine.store.root)).read(),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_question_sees_another_tenant(standing: Both, way: str) -> None:
    """Whatever the handle offers, by id, digest, path, name or whole table: nothing of the other is in it."""
    answer = tried(lambda: WAYS[way](standing)).replace("no snapshot 'zanzibar-2026'", "")
    assert not [mark for mark in MARKS if mark in answer]


AS_IF: dict[str, Callable[[Both, str, int], object]] = {
    "why a digest is kept": lambda both, digest, _: why(both.mine, digest),
    "why a document is kept": lambda both, _, number: why(both.mine, str(number)),
    "a document": lambda both, _, number: both.mine.catalog.document(number),
    "its bytes": lambda both, _, number: both.mine.read(number),
    "its history": lambda both, _, number: both.mine.catalog.history(number),
    "its moment": lambda both, _, number: query_at(both.mine, number, both.mine.now()),
    "a digest": lambda both, digest, _: both.mine.find(sha256=digest),
    "its copies": lambda both, digest, _: both.mine.catalog.locations_of(Digest.parse(digest)),
    "its length": lambda both, digest, _: both.mine.catalog.blob_bytes(Digest.parse(digest)),
    "what keeps it": lambda both, digest, _: both.mine.catalog.root_kinds(Digest.parse(digest), as_of=both.mine.now()),
    "forgetting it": lambda both, _, number: plan_forget(both.mine, [number]).frame,
    "holding it": lambda both, digest, _: both.mine.catalog.place_hold(
        "x", digest=Digest.parse(digest), as_of=both.mine.now()
    ),
}


@pytest.mark.parametrize("way", AS_IF)
def test_what_another_has_is_answered_like_what_nobody_has(standing: Both, way: str) -> None:
    """The same words, letter by letter, for another tenant's digest or number as for one that does not exist."""
    theirs, nobodys = (str(standing.record.sha256), standing.record.id), ("0" * 64, 987_654_321)
    assert standing.mine.catalog.document(standing.record.id) is None
    answers = [
        tried(lambda one=one: AS_IF[way](standing, *one)).replace(one[0], "DIGEST").replace(str(one[1]), "NUMBER")
        for one in (theirs, nobodys)
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("both", ["sqlite"], indirect=True)  # no catalog is asked where files come from
@pytest.mark.parametrize("mode", ["copy", "move", "link", "reference"])
@pytest.mark.parametrize(
    "way", ["folder", "file", "link to the file", "link in a folder", "manifest", "linked manifest"]
)
def test_no_ingest_takes_another_tenants_bytes(both: Both, tmp_path: Path, way: str, mode: str) -> None:
    """Neither by its folder, nor by a link, nor by a list can a tenant take in what lies in another's store."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "link").symlink_to(both.place)
    row = {"artifact_id": "x", "source_url": "https://example.org/x"}
    target = str(both.place) if way == "manifest" else "link"
    (outside / "list.jsonl").write_text(json.dumps({"path": target, **row}))
    paths = {"folder": [both.theirs], "file": [both.place], "link to the file": [outside / "link"],
             "link in a folder": [outside]}.get(way, [])  # fmt: skip
    (outside / "list.jsonl").rename(tmp_path / "list.jsonl") if way == "link in a folder" else None
    manifest = outside / "list.jsonl" if "manifest" in way else None
    tried(lambda: ingest(both.mine, *paths, manifest=manifest, mode=mode, follow_links=True, executor=Inline()))
    assert both.mine.find(limit=100)["artifact_id"].to_list() == ["own"]
    assert both.place.read_bytes() == SECRET
    with pytest.raises((SourceError, InvalidInput)):
        register_or_get(both.mine, outside / "link", artifact_id="x", source_url="https://example.org/x", mode=mode)


def test_nothing_of_another_tenant_is_written(both: Both, tmp_path: Path) -> None:
    """A tenant's collection takes nothing in another's name: not by argument, not by manifest."""
    (tmp_path / "a.txt").write_text("a")
    row = {"path": "a.txt", "artifact_id": "a", "source_url": "https://example.org/a", "tenant": "theirs"}
    (tmp_path / "list.jsonl").write_text(json.dumps(row))
    for refused in (
        lambda: ingest(both.mine, tmp_path / "a.txt", tenant="theirs"),
        lambda: register_or_get(both.mine, tmp_path / "a.txt", artifact_id="a", source_url="u", tenant="theirs"),
    ):
        with pytest.raises(InvalidInput, match="mine's alone"):
            refused()
    assert ingest(both.mine, manifest=tmp_path / "list.jsonl", executor=Inline()).failed == 1
    assert set(both.mine.frame("documents")["tenant"]) == {"mine"}


def test_another_tenants_plan_and_backup_are_refused(both: Both, tmp_path: Path) -> None:
    """What was made for one catalog cannot be applied to, or replace, another."""
    plan = Plan.load(next((both.theirs / "plans").iterdir()))
    with pytest.raises(CatalogKitError, match="catalog"):
        apply(both.mine, plan, unapproved=True)
    with both.all.tenant("theirs") as theirs:
        made = backup_catalog(tmp_path / "backups", collection=theirs)
    with pytest.raises(InvalidInput, match=r"another catalog|on a server"):
        recover_from_backup(made.path, catalog_file(both.mine.path))


def test_nobody_learns_what_others_have(both: Both) -> None:
    """Taking in what another tenant has already is told, stored and timed by the same steps as what nobody has."""
    calls: list[list[str]] = []
    for name, content in (("fresh", b"x" * len(SECRET)), ("known", SECRET)):
        seen: list[str] = []

        def note(frame: Any, event: str, argument: Any, seen: list[str] = seen) -> None:
            if event == "call" and "catalogkit" in frame.f_code.co_filename:
                seen.append(frame.f_code.co_qualname)

        sys.setprofile(note)
        try:
            record = put(both.mine, name, content)
        finally:
            sys.setprofile(None)
        calls.append(seen)
        assert str(both.theirs) not in both.mine.location(record)
    assert calls[0] == calls[1]
