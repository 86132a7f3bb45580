"""A copy of a catalog that is brought up to date: equal to the last row, and what did not change stays in its place."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.catalog.sql.tables import NUMBERED, TABLES
from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.catalog.sqlite.filling import _put, columns_of, fill
from catalogkit.errors import CatalogError
from catalogkit.model import to_us
from tests.catalog.contract_contents import told
from tests.catalog.desk import DAY, NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A catalog with a bit of everything."""
    with contextlib.closing(SQLiteCatalog(tmp_path / "catalog.sqlite", create=True, as_of=NOW)) as catalog:
        desk = Desk(catalog)
        for content, name in (("one", "a"), ("one", "b"), ("three", "c"), ("four", "d")):
            desk.put_one(content, name, metadata={"n": name})
        desk.check("one")
        catalog.record_contents([(sha("one"), told(title="One", text="words"))], as_of=NOW)
        catalog.keep_moment("snapshot", "s", as_of=NOW)
        catalog.place_hold("why", document_id=1, as_of=NOW)
        catalog.begin_plan(PLAN, "gc", {"kind": "gc"}, {}, keeps=[sha("one")], as_of=NOW)
        yield desk


def copied(desk: Desk, path: Path, **changes: Any) -> dict[str, list[Any]]:
    """Fill a copy, or bring it up to date; all that is in it, table by table, which is what the catalog has."""
    catalog: Any = desk.catalog

    def rows(table: str, columns: Sequence[str]) -> Iterable[Any]:
        return catalog.rows(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(TABLES[table])}")

    ends = {table: catalog.rows(f"SELECT {catalog.sequence.format(table)}")[0][0] for table in NUMBERED}
    given = {"identity": catalog.identity, "ends": ends, "as_of_us": to_us(NOW)} | changes
    fill(str(path), given.pop("rows", rows), **given)
    with contextlib.closing(sqlite3.connect(path)) as db:
        found = {}
        for table, key in TABLES.items():
            asked = f"SELECT * FROM {table} ORDER BY {', '.join(key)}"
            found[table] = db.execute(asked).fetchall()
            assert found[table] == catalog.rows(asked), table
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        assert db.execute(triggers).fetchall() == catalog.rows(triggers)
    return found


def test_a_copy_is_brought_up_to_date(desk: Desk, tmp_path: Path) -> None:
    """New, changed, forgotten, checked, looked into anew: afterwards it is what a new copy would be."""
    path = tmp_path / "copy.sqlite"
    first = copied(desk, path)
    assert copied(desk, path) == first
    desk.put_one("five", "a", as_of=NOW + DAY, metadata={"n": "a"})
    desk.put_one("six", "f")
    desk.forget(3)
    desk.check("four", at=NOW + DAY)
    desk.catalog.record_contents([(sha("one"), told(title="First"))], as_of=NOW + DAY)
    desk.put_one("three", "c")
    second = copied(desk, path)
    assert second != first and copied(desk, tmp_path / "new.sqlite") == second
    with contextlib.closing(SQLiteCatalog(path, as_of=NOW)) as again:
        assert Desk(again).put_one("seven", "g") == desk.put_one("seven", "g")


def test_what_did_not_change_stays_in_its_place(desk: Desk, tmp_path: Path) -> None:
    """Rows of documents that nobody touched are not written again."""
    path = tmp_path / "copy.sqlite"
    desk.put(*(desk.entry(f"content {number}", f"document {number}") for number in range(3000)))
    copied(desk, path)
    before = path.read_bytes()
    desk.put_one("new", "new")
    copied(desk, path)
    after = path.read_bytes()
    pages = range(0, min(len(before), len(after)), 4096)
    changed = sum(before[at : at + 4096] != after[at : at + 4096] for at in pages)
    assert len(pages) > 300 and changed < len(pages) / 4


def test_every_table_can_be_brought_up_to_date(desk: Desk) -> None:
    """Each has a key by which its rows are found again."""
    db: Any = desk.catalog._db  # type: ignore[attr-defined]
    for table in TABLES:
        columns = columns_of(db, table)
        db.execute(f"EXPLAIN {_put(table, columns)}", [None] * len(columns))


def test_what_cannot_be_brought_up_to_date(desk: Desk, tmp_path: Path) -> None:
    """Another catalog's copy, a damaged one, and rows that took each other's name are refused: a new one is made."""
    path = tmp_path / "copy.sqlite"
    copied(desk, path)
    with pytest.raises(CatalogError, match="another catalog"):
        copied(desk, path, identity="other")
    catalog: Any = desk.catalog

    def swapped(table: str, columns: Sequence[str]) -> Iterable[Any]:
        found = catalog.rows(f"SELECT {', '.join(columns)} FROM {table}")
        if table == "documents" and "artifact_id" in columns:
            at, url = columns.index("artifact_id"), columns.index("source_url")
            names = [(row[at], row[url]) for row in found]
            names[0], names[1] = names[1], names[0]
            found = [
                tuple(name if place == at else link if place == url else value for place, value in enumerate(row))
                for row, (name, link) in zip(found, names, strict=True)
            ]
        return found

    with pytest.raises(CatalogError):
        copied(desk, path, rows=swapped)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(CatalogError):
        copied(desk, path)
