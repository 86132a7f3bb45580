"""A catalog that moves to a server: all of it arrives, a move that broke off goes on, and nobody opens half of one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import polars as pl
import psycopg
import pytest

from catalogkit.catalog import open_catalog, relocating
from catalogkit.catalog.relocating import move_catalog
from catalogkit.catalog.sql.tables import TABLES
from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.errors import CatalogError, InvalidInput
from tests.catalog.desk import DAY, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pg import Server

FILE = "sqlite:///catalog.sqlite"


@pytest.fixture
def target(pg: Server) -> Iterator[str]:
    """The address of an empty database."""
    url = pg.database()
    yield url
    pg.drop(url)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder of a catalog with a bit of everything."""
    with contextlib.closing(SQLiteCatalog(tmp_path / "catalog.sqlite", create=True, as_of=NOW)) as catalog:
        desk = Desk(catalog)
        first = desk.put_one("one", "é\\'", metadata={"n": [1, None]}, fetched_at=NOW - DAY)
        desk.put_one("two", "b")
        desk.put_one("three", "b", as_of=NOW + DAY)
        desk.check("one")
        catalog.keep_moment("snapshot", "s", as_of=NOW)
        catalog.place_hold("why", document_id=first, as_of=NOW)
        catalog.begin_plan(PLAN, "gc", {"kind": "gc"}, {}, keeps=[sha("one")], as_of=NOW)
        gone = desk.put_one("four", "gone")
        desk.forget(gone)
        desk.stage(desk.entry("five", "e"))
    return tmp_path


def test_everything_arrives(old: Path, target: str) -> None:
    """Every table, every frame, the past, and numbers that go on where they were."""
    report = move_catalog(FILE, target, base=old, as_of=NOW)
    assert set(report.tables) == set(TABLES) and report.tables["documents"][0] == 2 and report.resumed == 0
    with (
        contextlib.closing(SQLiteCatalog(old / "catalog.sqlite", as_of=NOW)) as before,
        contextlib.closing(open_catalog(target, base=old, as_of=NOW)) as after,
    ):
        assert after.identity == before.identity
        for table in ("documents", "blobs", "locations", "checks", "roots", "document_versions"):
            assert after.frame(table).equals(before.frame(table)), table
        assert (after.position(), after.totals(), after.plans()) == (before.position(), before.totals(), before.plans())
        assert after.moments(as_of=NOW) == before.moments(as_of=NOW)
        assert after.integrity() == []
        desk = Desk(after)
        assert desk.put_one("six", "f") == before.frame("documents")["id"].max() + 2  # type: ignore[operator]
        assert desk.catalog.frame("documents").filter(pl.col("artifact_id") == "f").height == 1


def test_a_move_that_broke_off_goes_on(old: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had arrived stays; meanwhile nobody can open it, nor make it another catalog."""
    copy = relocating._copy

    def breaks(db: object, table: str, *more: object) -> None:
        if table == "plans":
            raise KeyboardInterrupt
        copy(db, table, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(relocating, "_copy", breaks)
    with pytest.raises(KeyboardInterrupt):
        move_catalog(FILE, target, base=old, as_of=NOW)
    for create in (False, True):
        with pytest.raises(CatalogError, match="no identity"):
            open_catalog(target, base=old, create=create, as_of=NOW)
    monkeypatch.undo()
    report = move_catalog(FILE, target, base=old, as_of=NOW)
    assert report.resumed == list(TABLES).index("plans")
    with contextlib.closing(open_catalog(target, base=old, as_of=NOW)) as after:
        assert after.totals()["documents"] == 2


def test_what_changed_meanwhile_is_noticed(old: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is not what it was is no move."""
    monkeypatch.setattr(relocating, "_open", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        move_catalog(FILE, target, base=old, as_of=NOW)
    monkeypatch.undo()
    with psycopg.connect(target, autocommit=True) as db:
        db.execute("UPDATE runs SET operation = 'x'")
        db.execute("UPDATE stores SET name = 'other'")
    with pytest.raises(CatalogError, match="stores: 1 rows were to move, 1 are there"):
        move_catalog(FILE, target, base=old, as_of=NOW)


def test_only_into_what_is_empty(old: Path, target: str) -> None:
    """A database with a catalog, or addresses the other way round, are refused."""
    move_catalog(FILE, target, base=old, as_of=NOW)
    with pytest.raises(InvalidInput, match="already"):
        move_catalog(FILE, target, base=old, as_of=NOW)
    with pytest.raises(InvalidInput, match="from sqlite"):
        move_catalog(target, FILE, base=old, as_of=NOW)
