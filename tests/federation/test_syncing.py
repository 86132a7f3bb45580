"""Two and three sites: what one does the others hear of, however often and in whatever order they talk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.errors import CatalogError, InvalidInput
from catalogkit.federation.merging import shown
from catalogkit.federation.syncing import sync
from tests.conftest import Clock, hurry
from tests.federation.contract_federation import Federation
from tests.federation.scene import add, agree, all_agree, change, drop, meet, record, sha, texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection


class TestFiles(Federation):
    """A file at either end."""

    engines = "ff"


class TestFileAndServer(Federation):
    """A file, and a PostgreSQL server."""

    engines = "fp"


class TestServers(Federation):
    """A PostgreSQL server at either end."""

    engines = "pp"


def test_three_sites_in_a_line(make_collection: Callable[..., Collection]) -> None:
    """Sites that never talk to each other agree by way of a third."""
    east, north, west = (make_collection(name=name) for name in ("east", "north", "west"))
    meet(east, north, west)
    add(east, "one", "first")
    add(west, "two", "second")
    for _ in range(2):
        sync(east, north)
        sync(north, west)
    agree(east, north, west)
    change(east, "one", "of the east")
    change(west, "one", "of the west")
    drop(north, "one")
    for _ in range(2):
        sync(east, north)
        sync(west, north)
    agree(east, north, west)
    values = {sha_of.value.sha256.hex()[:8] for sha_of in record(north, "one").content}
    assert values == {sha("of the east"), sha("of the west")} and shown(record(east, "one")).live
    assert {one.name for one in east.catalog.sites()} == {"east", "north", "west"}


def test_a_document_goes_and_comes_and_is_told_once(make_collection: Callable[..., Collection]) -> None:
    """What came and went before anybody was told is no news; what went, came back and went again is gone."""
    east, west = make_collection(name="east"), make_collection(name="west")
    meet(east, west)
    add(east, "one", "first")
    drop(east, "one")
    add(east, "two", "second")
    assert sync(east, west).sent.new == 1  # type: ignore[union-attr]
    drop(east, "two")
    add(east, "two", "second")
    sync(east, west)
    agree(east, west)
    assert texts(west) == {"two": sha("second")}
    drop(west, "two")
    sync(east, west)
    agree(east, west)
    assert texts(east) == {}


def test_only_sites_talk(make_collection: Callable[..., Collection], tmp_path: Path, clock: Clock) -> None:
    """A catalog that is by itself is told how to become a site; a copy of a site is told to become another one."""
    import shutil

    from catalogkit.collection import open_collection

    east, west = make_collection(name="east"), make_collection(name="west")
    with pytest.raises(InvalidInput, match="sync --as NAME"):
        sync(east, west)
    meet(east, west)
    add(east, "one", "first")
    sync(east, west)
    shutil.copytree(east.path, tmp_path / "copy")
    with hurry(open_collection(tmp_path / "copy", clock=clock)) as copy:
        with pytest.raises(CatalogError, match="the same site"):
            sync(east, copy)
        add(east, "two", "second")
        sync(east, west)
        add(copy, "three", "third")
        with pytest.raises(CatalogError, match="put back to an older state"):
            sync(copy, west)
        with pytest.raises(CatalogError, match="put back to an older state"):
            sync(west, copy)
        copy.catalog.renew_site(as_of=copy.now())
        all_agree(west, copy)
        assert texts(west).keys() == {"one", "two", "three"}
        assert [one.name for one in west.catalog.sites() if one.expired_at] == ["east"]


def test_what_was_deleted_meanwhile_is_no_conflict(make_collection: Callable[..., Collection]) -> None:
    """Whoever deletes a document in conflict decides; it is listed no more, also before that is told."""
    east, west = make_collection(name="east"), make_collection(name="west")
    meet(east, west)
    add(east, "one", "first")
    sync(east, west)
    change(east, "one", "of the east")
    change(west, "one", "of the west")
    sync(east, west)
    drop(east, "one")
    assert east.catalog.contests() == []
    assert sync(east, west).conflicts == 0
    agree(east, west)
    assert texts(west) == {}
