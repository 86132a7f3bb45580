"""Change sets at a place that sites share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from catalogkit.errors import InvalidInput
from catalogkit.federation.exchange import exchange
from tests.conftest import read_tree
from tests.federation.scene import add, agree, change, drop, meet, sha, texts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection


def talk(place: object, *collections: Collection) -> None:
    for _ in range(2):
        for one in collections:
            exchange(one, str(place), part=2)


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_three_sites_and_a_place(
    kind: str, make_collection: Callable[..., Collection], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All come to the same without ever reaching each other's catalog; again writes nothing."""
    place = request.getfixturevalue("s3_url") if kind == "bucket" else tmp_path / "share"
    sites = [make_collection(name=name) for name in ("east", "north", "west")]
    meet(*sites)
    for one in sites:
        for number in range(3):
            add(one, f"{one.path.name}{number}", f"{one.path.name} {number}")
    talk(place, *sites)
    agree(*sites)
    assert len(texts(sites[0])) == 9
    change(sites[0], "west0", "of the east")
    change(sites[2], "west0", "of the west")
    drop(sites[1], "north1")
    talk(place, *sites)
    agree(*sites)
    assert [len(one.catalog.contests()) for one in sites] == [1, 1, 1]
    assert texts(sites[1])["west0"] == sha("of the west")
    talk(place, *sites)
    assert [exchange(one, str(place)).written for one in sites] == [0, 0, 0]
    assert [one.catalog.frame("elsewhere").height >= 6 for one in sites] == [True] * 3


def test_a_late_site_reads_all(make_collection: Callable[..., Collection], tmp_path: Path) -> None:
    """What the others wrote stays where it is."""
    east, north = make_collection(name="east"), make_collection(name="north")
    meet(east, north)
    add(east, "one", "first")
    talk(tmp_path / "share", east, north)
    change(north, "one", "second")
    talk(tmp_path / "share", east, north)
    west = make_collection(name="west")
    meet(west)
    talk(tmp_path / "share", west)
    agree(east, north, west)


def test_a_damaged_change_set_is_refused(make_collection: Callable[..., Collection], tmp_path: Path) -> None:
    """Nothing of it is taken in, and the next time a whole one is."""
    east, west = make_collection(name="east"), make_collection(name="west")
    meet(east, west)
    add(east, "one", "first")
    exchange(east, str(tmp_path / "share"))
    ((name, data),) = [one for one in read_tree(tmp_path / "share").items() if one[0].endswith(".changes")]
    path = tmp_path / "share" / name
    path.chmod(0o644)
    path.write_bytes(data[:-1])
    with pytest.raises(InvalidInput, match="damaged or cut short"):
        exchange(west, str(tmp_path / "share"))
    assert texts(west) == {}
    path.write_bytes(data)
    exchange(west, str(tmp_path / "share"))
    agree(east, west)


def test_what_else_lies_in_a_share_is_passed_over(make_collection: Callable[..., Collection], tmp_path: Path) -> None:
    """Files of others, and the copies that a file share makes of what two wrote at once, are no change sets."""
    east, west = make_collection(name="east"), make_collection(name="west")
    meet(east, west)
    add(east, "one", "first")
    exchange(east, str(tmp_path / "share"))
    (name,) = [one for one in read_tree(tmp_path / "share") if one.endswith(".changes")]
    for other in (name.replace(".changes", " (copy of west).changes"), name.replace("-", "/"), "notes.changes"):
        path = tmp_path / "share" / other
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"something else")
    exchange(west, str(tmp_path / "share"))
    agree(east, west)
