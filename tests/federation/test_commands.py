"""What a person types, and how it ends."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from catalogkit.cli import app
from tests.federation.scene import add, change, document, drop, sha, texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

Run = Any


@pytest.fixture
def pair(make_collection: Callable[..., Collection]) -> tuple[Collection, Collection]:
    """Two collections that are no sites yet."""
    return make_collection(name="east"), make_collection(name="west")


@pytest.fixture
def run(pair: tuple[Collection, Collection]) -> Run:
    """Run a command at the first site: how it ended, and what it said to a machine."""

    def at(*words: str, site: int = 0, plain: bool = False) -> Any:
        words = ("-C", str(pair[site].path), *words, *(() if plain else ("--json",)))
        told = CliRunner().invoke(app, words, standalone_mode=False)
        code = 1 if told.exception else told.return_value
        return code, told.output + str(told.exception or "") if plain else json.loads(told.stdout)

    return at


def test_two_sites_from_the_first_word_to_the_last(pair: tuple[Collection, Collection], run: Run) -> None:
    """Become sites, sync, meet a conflict, list it, plan, approve, apply, sync: 2 as long as something waits."""
    east, west = pair
    add(east, "one", "first")
    assert run("sync", plain=True)[1].startswith("this catalog is not a site")
    assert run("sync", "--as", "east")[1]["sites"][0]["name"] == "east"
    code, said = run("sync", str(west.path), plain=True)
    assert code == 1 and "is no site yet" in said
    run("sync", "--as", "west", site=1)
    code, told = run("sync", str(west.path))
    assert (code, told["sent"]["new"], told["site"]) == (0, 1, "west")
    assert run("sync", str(east.path), "--copies", "1", site=1)[1]["fetched"] == 0
    code, told = run("sync", str(east.path), "--fetch", "1", site=1)
    assert (code, told["fetched"], told["wanted"]) == (0, 1, 0)
    change(east, "one", "of the east")
    change(west, "one", "of the west")
    assert run("sync", str(west.path))[0] == 2
    code, told = run("conflicts")
    assert (code, told["groups"], len(told["values"])) == (2, {"content": 1}, 2)
    code, said = run("conflicts", plain=True)
    assert code == 2 and "shown  west" in said and sha("of the east") in said
    code, plan = run("plan", "reconcile", "--prefer", "east")
    assert (code, plan["units"]) == (2, 1)
    assert run("approve", plan["path"])[0] == 0
    assert run("apply", plan["path"])[1]["done"] == 1
    code, told = run("sync", str(west.path))
    assert (code, told["conflicts"]) == (0, 0)
    assert texts(west) == {"one": sha("of the east")}
    assert run("conflicts")[0] == 0
    code, said = run("sync", plain=True)
    assert code == 0 and "this one" in said and "0 documents are in conflict" in said
    assert re.search(r"west .* last heard 20.*, has seen (\d+) of \1 changes", said), said


def test_a_silent_site_is_let_go_of_by_two_words(pair: tuple[Collection, Collection], run: Run) -> None:
    """The first says what it keeps, the second lets go of it."""
    east, west = pair
    add(east, "one", "first")
    run("sync", "--as", "east")
    run("sync", "--as", "west", site=1)
    run("sync", str(west.path))
    drop(east, "one")
    code, told = run("sync", "--expire", "west")
    assert (code, told) == (2, {"site": "west", "blobs": 1, "bytes": 5})
    assert run("sync", "--expire", "west", plain=True)[1].startswith("Kept for west: 1 blob, 5 B")
    assert run("sync", "--expire", "east", plain=True)[0] == 1  # itself
    assert run("sync", "--expire", "west", "--yes")[1]["expired"] == "west"
    assert run("sync")[1]["sites"][1]["expired_at"]


def test_through_a_place(pair: tuple[Collection, Collection], run: Run) -> None:
    """Change sets are left and taken; a region and a place together are refused."""
    east, west = pair
    add(east, "one", "first")
    run("sync", "--as", "east")
    run("sync", "--as", "west", site=1)
    share = str(east.path.parent / "share")
    assert run("sync", "--through", share)[1]["written"] > 0
    assert run("sync", "--through", share, site=1)[1]["received"]["new"] == 1
    assert document(west, "one").artifact_id == "one"
    assert run("sync", "west", "--through", share, plain=True)[0] == 1
    assert run("sync", "--renew")[1]["sites"][0]["follows"]
