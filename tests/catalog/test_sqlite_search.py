"""The index of words in SQLite: how it grows stale and is built anew, what is ranked, what is in its file."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogkit.catalog.sql import finding
from catalogkit.catalog.sqlite import SQLiteCatalog, search
from catalogkit.words import parse_query
from tests.catalog.contract_search import find, ids, index, tell
from tests.catalog.desk import NOW, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    catalog = SQLiteCatalog(tmp_path / "catalog.sqlite", create=True, as_of=NOW)
    yield Desk(catalog)
    catalog.close()


def words_in(desk: Desk) -> set[str]:
    """Every word that the index's file has."""
    db = sqlite3.connect(desk.catalog.url.removeprefix("sqlite:///"))
    db.execute("CREATE VIRTUAL TABLE temp.v USING fts5vocab(main, search_words, row)")
    return {row[0] for row in db.execute("SELECT term FROM temp.v")}


def test_whoever_never_searches_has_no_index(desk: Desk) -> None:
    """Taking in, looking in and forgetting need no FTS5, and write nothing for it."""
    desk.forget(desk.put_one())
    desk.put_one("two")
    tell(desk, "two", text="words")
    assert desk.catalog.rows("SELECT 1 FROM sqlite_master WHERE name LIKE 'search_words%'") == []  # type: ignore[attr-defined]
    assert desk.catalog.rows("SELECT count(*) FROM search_due") == [(0,)]  # type: ignore[attr-defined]


def test_a_stale_index_is_built_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a quarter of it is no document's: then the words of what was forgotten are out of the file, too."""
    monkeypatch.setattr(search, "_FEW", 4)
    for name in "abcdefgh":
        desk.put_one(name, name)
        tell(desk, name, text=f"secret{name}")
    index(desk)
    for number in (1, 2):
        desk.forget(number)
    desk.put_one("x", "x")
    assert ids(desk, "secreta") == [] and "secreta" in words_in(desk)
    desk.forget(3)
    desk.put_one("y", "y")
    index(desk)
    assert {word for word in words_in(desk) if word.startswith("secret")} == {f"secret{name}" for name in "defgh"}
    assert ids(desk, "secret*") == [8, 7, 6, 5, 4]


def test_words_folded_in_another_way_are_indexed_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later catalogkit, or another Python with another Unicode, does not look for words in an index of other ones."""
    number = desk.put_one(artifact="paper")
    assert (ids(desk, "paper"), desk.catalog.unindexed()) == ([number], 0)
    monkeypatch.setattr(finding, "INDEX_FORM", "another")
    assert (desk.catalog.unindexed(), index(desk), ids(desk, "paper"), index(desk)) == (1, 1, [number], 0)


def test_where_many_match_the_newest_and_the_titles_are_ranked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit to what a common word costs; less common ones are ranked whole."""
    for module in (search, finding):
        monkeypatch.setattr(module, "RANKED", 4)
    for number in range(12):
        desk.put_one(f"{number}", f"n{number}", source_url="https://x")
        title = {"title": "common"} if number == 2 else {}
        tell(desk, f"{number}", text=f"common words {'rare' if number in (0, 1) else ''}", **title)
    assert ids(desk, "common") == [3, 12, 11, 10, 9]
    assert sorted(ids(desk, "rare")) == [1, 2]
    assert sorted(ids(desk, "common", "id<=3")) == [1, 2, 3]


def test_the_index_is_in_a_copy_of_the_catalog(desk: Desk, tmp_path: Path) -> None:
    """A backup answers as the catalog did; the database finds nothing wrong with either."""
    number = desk.put_one()
    tell(desk, "one", text="mitosis")
    assert ids(desk, "mitosis") == [number]
    assert desk.catalog.integrity() == []
    (tmp_path / "scratch").mkdir()
    with desk.catalog.image(str(tmp_path / "scratch")) as image:
        shutil.copy(image.path, tmp_path / "copy.sqlite")
    copy = SQLiteCatalog(tmp_path / "copy.sqlite", as_of=NOW)
    assert [one.id for one in copy.search(parse_query("mitosis"))] == [number]
    assert (copy.unindexed(), copy.integrity()) == (0, [])
    copy.close()


def test_an_index_that_was_made_in_part_goes_on(desk: Desk) -> None:
    """Each transaction is whole; what was indexed is found meanwhile."""
    for name in "abc":
        desk.put_one(name, f"paper-{name}")
    assert (desk.catalog.index_documents(2), desk.catalog.unindexed()) == (2, 1)
    assert [one.id for one in desk.catalog.search(parse_query("paper"))] == [2, 1]
    assert [one.id for one in find(desk, "paper")] == [3, 2, 1]
