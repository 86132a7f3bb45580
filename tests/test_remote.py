"""A collection by the address of its catalog: other machines need no folder that somebody copied."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from typer.testing import CliRunner

import catalogkit as ck
from catalogkit.cli import app
from catalogkit.errors import InvalidInput
from catalogkit.ingest import INLINE_FILES
from catalogkit.settling import Settler
from tests.conftest import make_tree

if TYPE_CHECKING:
    from tests.pg import Blanks

SECRET = "Tr0ub4dor"


@pytest.fixture
def address(pg_blanks: Blanks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """The address of a collection's catalog, with one document in its store; this is another machine now."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    make_tree(tmp_path, {"downloads/a.txt": b"of the first machine"})
    with pg_blanks.lent() as url:
        with ck.init(tmp_path / "first", catalog=url) as collection:
            ck.ingest(collection, tmp_path / "downloads")
        yield url


def test_the_address_is_enough(address: str, tmp_path: Path) -> None:
    """Catalog and store are the same; what this machine keeps for itself is in a folder of its own."""
    url = address.replace("://postgres@", f"://postgres:{SECRET}@")
    with ck.open(url) as here:
        assert here.read(1) == b"of the first machine" and here.store.root == str(tmp_path / "first" / "store")
        make_tree(tmp_path, {"more/b.txt": b"of the second"})
        ck.ingest(here, tmp_path / "more")
        home = here.path
    assert home == tmp_path / "state" / "catalogkit" / here.identity
    assert SECRET not in (home / "catalogkit.toml").read_text()
    with ck.open(tmp_path / "first") as there, ck.open(home) as again:
        assert there.read(2) == b"of the second" and again.identity == there.identity


def test_stores_that_came_later_are_known(address: str, tmp_path: Path) -> None:
    """What a collection's settings say of its stores, its catalog says, too."""
    with ck.open(tmp_path / "first") as there:
        ck.add_store(there, "cold", f"file:{tmp_path}/cold")
    with ck.open(address) as here:
        assert {store.root for store in here.stores.values()} == {str(tmp_path / "first/store"), str(tmp_path / "cold")}


def test_where_the_catalog_does_not_say(address: str, tmp_path: Path) -> None:
    """One clear error that says what to do; the store can be named, once; another catalog's store is none."""
    with ck.open(tmp_path / "first") as there, there.catalog.write("test") as db:  # type: ignore[attr-defined]
        db.execute("DELETE FROM notes")
    with pytest.raises(InvalidInput, match=r"does not say where its store is.*store='s3"):
        ck.open(address)
    with ck.open(address, store=f"file://{tmp_path}/first/store") as here:
        assert here.read(1) == b"of the first machine"
    ck.open(address).close()
    (tmp_path / "first/store").rename(tmp_path / "moved")
    with ck.open(address, store=f"file://{tmp_path}/moved") as here:
        assert here.read(1) == b"of the first machine"
    with pytest.raises(InvalidInput, match="named with the address"):
        ck.open(tmp_path / "first", store="file:store")


def test_commands_by_address(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--catalog`` instead of ``-C``, or in the environment; not both."""
    run = CliRunner().invoke
    told = json.loads(run(app, ["--catalog", address, "status", "--json"]).stdout)
    assert told["documents"] == 1
    assert run(app, ["--catalog", address, "plan", "gc"]).exit_code in (0, 2)
    assert run(app, ["--catalog", address, "-C", str(tmp_path), "status"]).exit_code == 2
    monkeypatch.setenv("CATALOGKIT_HOME", address)
    assert json.loads(run(app, ["status", "--json"]).stdout) == told
    assert not os.path.exists("catalogkit.toml")


def test_no_child_is_told_a_password(address: str, tmp_path: Path) -> None:
    """Neither the arguments, which `ps` shows to everybody, nor the environment of workers has it."""
    make_tree(tmp_path, {f"many/{number:04}": b"%d" % number for number in range(INLINE_FILES + 100)})
    told: list[str] = []

    with ck.open(address.replace("://postgres@", f"://postgres:{SECRET}@")) as here:
        taken = Settler.settle

        def settle(self: Settler, *about: Any) -> None:
            running = psutil.Process().children(recursive=True)
            told.extend(" ".join([*one.cmdline(), *one.environ().values()]) for one in running)
            taken(self, *about)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Settler, "settle", settle)
            ck.ingest(here, tmp_path / "many", concurrency=2)
    workers = [text for text in told if "python" in text]
    assert workers and not [text for text in told if SECRET in text]


@pytest.mark.parametrize("named", [f"postgresql://me:{SECRET}@host/papers", f"postgres:/me:{SECRET}@host/papers"])
def test_an_address_is_no_folder(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a folder is meant, nothing is made, and no word of the address is told."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match="--catalog") as caught:
        ck.init(named)
    assert SECRET not in str(caught.value)
    told = CliRunner().invoke(app, ["-C", named, "status"])
    assert isinstance(told.exception, InvalidInput) and SECRET not in f"{told.exception}{told.output}"
    assert list(tmp_path.iterdir()) == []
