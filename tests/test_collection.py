"""A collection: made once, opened strictly, asked in frames."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import catalogkit as ck
from catalogkit.errors import CatalogError, InvalidInput, NotACollection, StoreMismatch, StoreUnreachable
from catalogkit.model import schema


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """Three documents, two of them equal."""
    folder = tmp_path / "pile"
    folder.mkdir()
    for name, text in {"a.txt": "same", "b.txt": "same", "c.json": "[1]"}.items():
        (folder / name).write_text(text)
    return folder


def test_a_mistyped_path_is_no_collection(tmp_path: Path) -> None:
    """Opening never makes anything (hazard 4)."""
    with pytest.raises(NotACollection, match="catalogkit init"):
        ck.open(tmp_path / "nope")
    assert not (tmp_path / "nope").exists()


def test_a_lost_catalog_is_not_replaced_by_an_empty_one(tmp_path: Path, pile: Path) -> None:
    """Without its database file a collection does not open; nothing is made in its place (hazard 4)."""
    with ck.init(tmp_path / "c") as c:
        ck.ingest(c, pile)
    (tmp_path / "c" / "catalog.sqlite").unlink()
    with pytest.raises(CatalogError):
        ck.open(tmp_path / "c")
    assert not (tmp_path / "c" / "catalog.sqlite").exists()


def test_it_outlives_its_process(tmp_path: Path, pile: Path) -> None:
    """What one process took in, the next one finds: there is no catalog in memory (hazard 5)."""
    code = f"import catalogkit as ck; c = ck.init({str(tmp_path / 'c')!r}); ck.ingest(c, {str(pile)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    with ck.open(tmp_path / "c") as c:
        assert c.catalog.totals()["documents"] == 3


def test_the_working_directory_does_not_matter(tmp_path: Path, pile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made with a relative path here, opened from elsewhere: the same absolute places (hazards 1 and 3)."""
    monkeypatch.chdir(tmp_path)
    with ck.init("c") as c:
        ck.ingest(c, "pile")
        places = c.find()["location"].to_list()
    monkeypatch.chdir("/")
    with ck.open(tmp_path / "c") as c:
        assert c.find()["location"].to_list() == places
    assert all(os.path.isabs(place) and Path(place).is_file() for place in places)


def test_through_a_symbolic_link_it_is_the_same_collection(tmp_path: Path, pile: Path) -> None:
    """Roots are resolved once: an alias of the folder gives the same places (hazard 2)."""
    with ck.init(tmp_path / "c") as c:
        ck.ingest(c, pile)
        places = c.find()["location"].to_list()
    (tmp_path / "alias").symlink_to(tmp_path / "c")
    with ck.open(tmp_path / "alias") as c:
        assert c.find()["location"].to_list() == places


def test_a_store_of_another_catalog_is_refused(tmp_path: Path) -> None:
    """A store that carries another token is not opened, not even to look (hazard 4)."""
    ck.init(tmp_path / "one").close()
    ck.init(tmp_path / "two").close()
    os.rename(tmp_path / "two" / "store", tmp_path / "two" / "own")
    os.rename(tmp_path / "one" / "store", tmp_path / "two" / "store")
    with pytest.raises(StoreMismatch):
        ck.open(tmp_path / "two")


def test_a_store_that_is_away_can_still_be_asked_about(tmp_path: Path, pile: Path) -> None:
    """Facts are there while the disk is not; taking in says that it is unreachable."""
    with ck.init(tmp_path / "c") as c:
        ck.ingest(c, pile)
    os.rename(tmp_path / "c" / "store", tmp_path / "away")
    with ck.open(tmp_path / "c") as c:
        assert c.catalog.totals()["documents"] == 3
        with pytest.raises(StoreUnreachable, match="mounted"):
            ck.ingest(c, pile)
        assert ck.verify(c).unknown == 2
    assert not (tmp_path / "c" / "store").exists()


def test_init_refuses_what_is_there(tmp_path: Path) -> None:
    """A second init, a store of another catalog, a catalog of another collection: refused, nothing changed."""
    ck.init(tmp_path / "c").close()
    before = (tmp_path / "c" / "catalogkit.toml").read_bytes()
    with pytest.raises(InvalidInput, match="already"):
        ck.init(tmp_path / "c")
    with pytest.raises(StoreMismatch):
        ck.init(tmp_path / "d", store=f"file:{tmp_path}/c/store")
    with pytest.raises(InvalidInput, match="another collection"):
        ck.init(tmp_path / "e", catalog=f"sqlite:///{tmp_path}/c/catalog.sqlite")
    assert (tmp_path / "c" / "catalogkit.toml").read_bytes() == before
    assert not (tmp_path / "e" / "catalogkit.toml").exists()


@pytest.mark.parametrize("line", ['layuot = "cas"', "layout = 1", 'layout = "heap"', "[[", 'template = "{nobody}"'])
def test_settings_are_read_strictly(tmp_path: Path, line: str) -> None:
    """A misspelt or mistyped setting is an error that names the file, never a default (hazard 64)."""
    ck.init(tmp_path / "c").close()
    path = tmp_path / "c" / "catalogkit.toml"
    kept = [row for row in path.read_text().splitlines() if not row.startswith(line.partition(" ")[0])]
    path.write_text("\n".join([*kept, line]) + "\n")
    with pytest.raises(InvalidInput):
        ck.open(tmp_path / "c")


def test_settings_outside_the_folder(tmp_path: Path, pile: Path) -> None:
    """Store and catalog may lie elsewhere; a name with digits only stays a name (hazard 64)."""
    with ck.init(tmp_path / "c", store=f"file://{tmp_path}/20240101", catalog=f"sqlite:///{tmp_path}/x/42") as c:
        ck.ingest(c, pile)
    with ck.open(tmp_path / "c") as c:
        assert all(place.startswith(f"{tmp_path}/20240101/cas/") for place in c.find()["location"])


def test_frames_have_their_schema_when_empty(tmp_path: Path) -> None:
    """An empty frame has the columns and types of a full one."""
    with ck.init(tmp_path / "c") as c:
        for table in ("documents", "blobs", "locations", "checks"):
            assert dict(c.frame(table).schema) == schema(table)
            assert c.frame(table).is_empty()
        assert dict(c.find().schema) == {**schema("documents"), "location": pl.String()}
        with pytest.raises(InvalidInput):
            c.frame("secrets")


def test_find_and_read(tmp_path: Path, pile: Path) -> None:
    """Filters combine; a document's bytes can be read; every document says where its bytes lie."""
    with ck.init(tmp_path / "c") as c:
        ck.ingest(c, pile, resolver="r")
        found = c.find(resolver="r", media_type="application/json")
        assert found["artifact_id"].to_list() == ["c.json"]
        assert json.loads(c.read(found["id"][0])) == [1]
        assert c.find(sha256=found["sha256"][0]).height == 1
        assert c.find(resolver="nobody").is_empty()
        assert c.find(limit=2).height == 2
        with pytest.raises(InvalidInput):
            c.find(colour="red")
        with pytest.raises(InvalidInput):
            c.find(sha256="ABC")
        with pytest.raises(InvalidInput):
            c.read(999)


def test_a_copy_known_to_be_bad_is_not_handed_out(tmp_path: Path, pile: Path) -> None:
    """After a check found it corrupt, a copy is no location any more, and reading says so."""
    with ck.init(tmp_path / "c") as c:
        ck.ingest(c, pile)
        (row,) = c.find(media_type="application/json").to_dicts()
        place = Path(row["location"])
        place.chmod(0o644)
        place.write_text("[2]")
        ck.verify(c)
        assert c.find(media_type="application/json")["location"].to_list() == [""]
        with pytest.raises(StoreUnreachable):
            c.read(row["id"])
        ck.ingest(c, pile)  # the right bytes come by again, and heal it
        assert c.read(row["id"]) == b"[1]"


def test_reprs_show_facts_and_escape_names(tmp_path: Path) -> None:
    """A collection shows itself as text and HTML; a hostile folder name does no harm."""
    with ck.init(tmp_path / "<img src=x onerror=alert(1)>") as c:
        bundle = c._repr_mimebundle_()
        assert "documents" in bundle["text/plain"]
        assert "<img" not in bundle["text/html"]
        assert "Collection(" in repr(c)
