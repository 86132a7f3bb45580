"""Schemas: made fresh, upgraded whole or not at all, and never on a file that is something else (hazards 4, 65)."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from catalogkit.catalog.sqlite import SQLiteCatalog, migrations
from catalogkit.catalog.sqlite.migrations import MIGRATIONS, Migration, applied, statements
from catalogkit.errors import CatalogError, SchemaTooNew
from catalogkit.model import to_us
from tests.catalog.desk import DAY, NOW, Desk, sha

if TYPE_CHECKING:
    from pathlib import Path

NEWEST: Final = MIGRATIONS[-1].version


@dataclass(frozen=True, slots=True)
class Step(Migration):
    """A migration whose SQL is given, not in a file."""

    script: str = ""

    def sql(self) -> str:
        return self.script


NOTES: Final = Step(
    NEWEST + 1, "notes", "CREATE TABLE remarks (id INTEGER PRIMARY KEY) STRICT;\nINSERT INTO remarks VALUES (7);"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalog of the present schema, with one document."""
    path = tmp_path / "catalog.sqlite"
    with contextlib.closing(SQLiteCatalog(path, create=True, as_of=NOW)) as catalog:
        Desk(catalog).put_one("one", "a")
    return path


def upgrade_to(monkeypatch: pytest.MonkeyPatch, *steps: Migration) -> None:
    """Let this program know further steps."""
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, *steps))


def dump(path: Path) -> list[str]:
    """Everything in a database, as SQL."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def schema_of(path: Path) -> dict[str, str]:
    """Tables, indexes, views and triggers by name, with their definitions."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        return {name: re.sub(r"\s+", " ", sql or "") for name, sql in db.execute("SELECT name, sql FROM sqlite_master")}


# -- fresh, and again --------------------------------------------------------------------------------------------


def test_a_new_catalog_has_every_version(path: Path) -> None:
    """A fresh catalog has all steps applied, in order, each with its name and time."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT version, name, applied_us FROM migrations ORDER BY version").fetchall()
    assert rows == [(step.version, step.name, to_us(NOW)) for step in MIGRATIONS]
    assert [step.version for step in MIGRATIONS] == list(range(1, NEWEST + 1))


def test_opening_again_changes_nothing(path: Path) -> None:
    """A catalog of the present schema is not written to when it is opened, with or without `create`."""
    before = path.read_bytes()
    for create in (False, True):
        with contextlib.closing(SQLiteCatalog(path, create=create, as_of=NOW + DAY)) as catalog:
            assert catalog.totals()["documents"] == 1
    assert path.read_bytes() == before


def test_a_folder_for_a_new_catalog_is_made(tmp_path: Path) -> None:
    """`create` makes missing folders; where a file is in the way it says so."""
    SQLiteCatalog(tmp_path / "a" / "b" / "c.sqlite", create=True, as_of=NOW).close()
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="no folder"):
        SQLiteCatalog(tmp_path / "file" / "c.sqlite", create=True, as_of=NOW)


# -- what is refused, untouched ----------------------------------------------------------------------------------


def refused(path: Path, message: str, *, create: bool, error: type[CatalogError] = CatalogError) -> None:
    """Opening fails, and every byte of the file, and of its folder, is as before."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(error, match=message):
        SQLiteCatalog(path, create=create, as_of=NOW)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("there", [True, False], ids=["in a folder", "in no folder"])
def test_a_mistyped_path_makes_no_catalog(tmp_path: Path, there: bool) -> None:
    """Opening what is not there is an error that says how to make one, and makes nothing (hazard 4)."""
    folder = tmp_path if there else tmp_path / "no" / "such"
    with pytest.raises(CatalogError, match="catalogkit init"):
        SQLiteCatalog(folder / "catalgo.sqlite", as_of=NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_goes_away_while_it_is_opened_is_not_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between looking and opening the file may vanish; then, too, no empty catalog appears."""
    path.rename(path.with_name("elsewhere"))
    monkeypatch.setattr("pathlib.Path.is_file", lambda self: True)
    with pytest.raises(CatalogError):
        SQLiteCatalog(path, as_of=NOW)
    assert not path.exists()


def test_a_newer_catalog_is_refused_untouched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newer program wrote is left alone, with the advice to upgrade."""
    with monkeypatch.context() as newer:
        upgrade_to(newer, NOTES)
        SQLiteCatalog(path, as_of=NOW).close()
    for create in (False, True):
        refused(path, "upgrade catalogkit", create=create, error=SchemaTooNew)


def test_another_programs_database_is_refused_untouched(tmp_path: Path) -> None:
    """An SQLite file of somebody else never gets our tables."""
    path = tmp_path / "photos.db"
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE photos (id INTEGER)")
    for create in (False, True):
        refused(path, "not a catalogkit catalog", create=create)


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one " * 200, b"%PDF-1.4"])
def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    """A document at the catalog's path is no catalog, and stays what it is."""
    path = tmp_path / "paper.pdf"
    path.write_bytes(content)
    for create in (False, True):
        refused(path, "not a catalog", create=create)


def test_an_empty_file_is_a_catalog_only_if_asked_for(tmp_path: Path) -> None:
    """An empty file, perhaps all that a crash left of a catalog, is refused unless one is to be made."""
    path = tmp_path / "catalog.sqlite"
    path.touch()
    refused(path, "empty", create=False)
    with contextlib.closing(SQLiteCatalog(path, create=True, as_of=NOW)) as catalog:
        assert catalog.identity


def test_a_catalog_without_identity_is_refused(path: Path) -> None:
    """A catalog that lost its identity is not quietly given another, which its stores would refuse."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM meta")
    with pytest.raises(CatalogError, match="no identity"):
        SQLiteCatalog(path, as_of=NOW)


# -- upgrades ----------------------------------------------------------------------------------------------------


def test_an_older_catalog_is_upgraded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing steps are applied once, in order, and what was in the catalog stays."""
    before = dump(path)
    more = Step(NEWEST + 2, "more", "ALTER TABLE remarks ADD COLUMN note TEXT;\nUPDATE remarks SET note = 'seven';")
    upgrade_to(monkeypatch, NOTES, more)
    for _ in range(2):
        with contextlib.closing(SQLiteCatalog(path, as_of=NOW + DAY)) as catalog:
            assert catalog.rows("SELECT * FROM remarks") == [(7, "seven")]
            assert applied(catalog._db) == [*range(1, NEWEST + 3)]
            assert catalog.totals()["documents"] == 1
    assert set(before) - set(dump(path)) == set()


def test_the_first_catalog_ever_can_still_be_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog made by the first schema alone, with documents in it, ends with the same schema as a fresh one."""
    old, fresh = tmp_path / "old.sqlite", tmp_path / "fresh.sqlite"
    with monkeypatch.context() as past:
        past.setattr(migrations, "MIGRATIONS", MIGRATIONS[:1])
        SQLiteCatalog(old, create=True, as_of=NOW).close()
    with contextlib.closing(SQLiteCatalog(old, as_of=NOW)) as catalog:
        document_id = Desk(catalog).put_one()
        assert catalog.digests_of([document_id]) == {document_id: sha("one")}
    SQLiteCatalog(fresh, create=True, as_of=NOW).close()
    assert schema_of(old) == schema_of(fresh)


REBUILD: Final = """
CREATE TABLE new_documents AS SELECT * FROM documents;
DROP TABLE documents;
CREATE TABLE documents (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, tenant TEXT, artifact_id TEXT, source_url TEXT, resolver TEXT,
    variant TEXT, sha256 BLOB REFERENCES blobs (sha256), content_type TEXT, run_id TEXT, fetched_us INTEGER,
    metadata TEXT, created_us INTEGER, changed_us INTEGER, seen_us INTEGER, licence TEXT NOT NULL DEFAULT 'unknown'
);
INSERT INTO documents SELECT *, 'unknown' FROM new_documents;
DROP TABLE new_documents;
"""


def test_history_survives_a_table_that_is_built_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that replaces a table, and with it its triggers, ends with history on, new columns included."""
    upgrade_to(monkeypatch, Step(NEWEST + 1, "licences", REBUILD))
    with contextlib.closing(SQLiteCatalog(path, as_of=NOW)) as catalog:
        with catalog.write("relicense", to_us(NOW + DAY), "r") as db:
            db.execute("UPDATE documents SET run_id = 'later', licence = 'CC0'")
            db.execute("DELETE FROM documents")
        kept = catalog.rows("SELECT op, operation, by_run, licence, run_id FROM documents_history ORDER BY hid")
    assert kept == [("update", "relicense", "r", "unknown", ""), ("delete", "relicense", "r", "CC0", "later")]


def test_a_table_that_others_refer_to_can_be_built_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """References do not stand in the way of a migration, and hold again after it."""
    parents = """
    CREATE TABLE new_stores (id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, kind TEXT, token TEXT) STRICT;
    INSERT INTO new_stores SELECT * FROM stores;
    DROP TABLE stores;
    ALTER TABLE new_stores RENAME TO stores;
    """
    upgrade_to(monkeypatch, Step(NEWEST + 1, "stores", parents))
    with contextlib.closing(SQLiteCatalog(path, as_of=NOW)) as catalog:
        assert [store.name for store in catalog.stores()] == ["main"]
        assert catalog.integrity() == []
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            catalog._db.execute("DELETE FROM stores")


@pytest.mark.parametrize(
    "script, message",
    [
        ("CREATE TABLE remarks (id INTEGER);\nCREATE TABLE remarks (id INTEGER);", "remarks already exists"),
        ("CREATE TABLE remarks (id INTEGER);\nDELETE FROM stores;", "references from locations to stores"),
        ("CREATE TABLE remarks (id INTEGER);\nINSERT INTO remarks VALUES (1)", "middle of a statement"),
    ],
    ids=["an error", "broken references", "half a statement"],
)
def test_a_failed_migration_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    """Where a step fails, its beginnings are undone and the old program goes on with the old schema."""
    before = dump(path)
    with monkeypatch.context() as newer:
        upgrade_to(newer, Step(NEWEST + 1, "bad", script))
        with pytest.raises(CatalogError, match=message):
            SQLiteCatalog(path, as_of=NOW)
    assert dump(path) == before
    SQLiteCatalog(path, as_of=NOW).close()


_CRASH: Final = """
import os, sys
from datetime import datetime, UTC
from catalogkit.catalog.sqlite import SQLiteCatalog, migrations

class Dying(list):
    def __iter__(self):
        for number, statement in enumerate(super().__iter__()):
            if number == {after}:
                os._exit(9)
            yield statement

whole = migrations.statements
migrations.statements = lambda script: Dying(whole(script))
step = migrations.Migration({version}, "again")
migrations.MIGRATIONS = (*migrations.MIGRATIONS, step) if {version} > 1 else migrations.MIGRATIONS
read = migrations.Migration.sql
migrations.Migration.sql = lambda self: {script!r} if self.name == "again" else read(self)
SQLiteCatalog({path!r}, create=True, as_of=datetime(2026, 5, 1, tzinfo=UTC))
"""


def crash(path: Path, *, after: int, version: int = 1, script: str = "") -> None:
    """A process that dies inside a migration, after so many of its statements."""
    code = _CRASH.format(path=str(path), after=after, version=version, script=script)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_crash_in_an_upgrade_leaves_the_old_schema(path: Path, after: int) -> None:
    """A process that dies anywhere in a migration leaves the catalog as it was, for the old program and the new."""
    before = dump(path)
    crash(path, after=after, version=NEWEST + 1, script=NOTES.script + "\nINSERT INTO remarks VALUES (8);")
    with contextlib.closing(SQLiteCatalog(path, as_of=NOW)) as catalog:
        assert catalog.totals()["documents"] == 1
    assert dump(path) == before


@pytest.mark.parametrize("after", [0, 7])
def test_a_crash_while_a_catalog_is_made_can_be_repeated(tmp_path: Path, after: int) -> None:
    """A half-made catalog is not taken for one, and making it again succeeds."""
    path = tmp_path / "catalog.sqlite"
    crash(path, after=after)
    with pytest.raises(CatalogError, match="empty"):
        SQLiteCatalog(path, as_of=NOW)
    with contextlib.closing(SQLiteCatalog(path, create=True, as_of=NOW)) as catalog:
        assert catalog.integrity() == []
        Desk(catalog).put_one()


def race(path: Path, *, create: bool) -> list[BaseException | str]:
    """Four threads open a catalog at once; the identities they saw, or what they died of."""
    barrier, seen = threading.Barrier(4), []

    def opener() -> None:
        barrier.wait(60)
        try:
            catalog = SQLiteCatalog(path, create=create, as_of=NOW)
            seen.append(catalog.identity)
            catalog.close()
        except Exception as problem:
            seen.append(problem)

    threads = [threading.Thread(target=opener) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def test_programs_that_upgrade_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that find an old schema one upgrades it, once; the others wait, and all of them can work."""
    upgrade_to(monkeypatch, NOTES)
    assert len(set(race(path, create=False))) == 1
    with contextlib.closing(SQLiteCatalog(path, as_of=NOW)) as catalog:
        assert catalog.rows("SELECT * FROM remarks") == [(7,)]
        assert applied(catalog._db) == [*range(1, NEWEST + 2)]


def test_programs_that_make_a_catalog_at_once(tmp_path: Path) -> None:
    """However many make one catalog at the same time, it is one, with one identity, and nobody fails."""
    for number in range(8):
        path = tmp_path / f"{number}.sqlite"
        seen = race(path, create=True)
        assert len(seen) == 4
        assert all(isinstance(one, str) for one in seen), seen
        assert len(set(seen)) == 1


# -- scripts -----------------------------------------------------------------------------------------------------


def test_a_script_is_cut_into_its_statements() -> None:
    """Semicolons in triggers, strings and comments do not end a statement."""
    script = """-- a comment; with a semicolon

CREATE TABLE a (b TEXT DEFAULT ';');
CREATE TRIGGER t AFTER INSERT ON a BEGIN
    SELECT 1;  -- first
    SELECT 2;
END;
"""
    found = statements(script)
    assert [one.split()[:2] for one in found] == [["CREATE", "TABLE"], ["CREATE", "TRIGGER"]]
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        for one in found:
            db.execute(one)


def test_half_a_statement_is_an_error() -> None:
    """A script that was cut off is noticed, not half applied."""
    with pytest.raises(CatalogError, match="middle of a statement"):
        statements("CREATE TABLE a (b TEXT);\nCREATE TABLE c (")
