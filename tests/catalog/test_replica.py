"""A streaming replica: whoever only reads may ask it, and is told as of when it answers; it takes no changes."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import polars as pl
import pytest
from typer.testing import CliRunner

import catalogkit as ck
from catalogkit.cli import app
from catalogkit.config import read_config
from catalogkit.display import origin
from catalogkit.errors import CatalogError
from tests import pg as servers
from tests.conftest import make_tree
from tests.plans import scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pg import Server


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Server, Server]]:
    """A primary server and one that follows it."""
    primary = servers.launch(wal_level="logical")
    try:
        replica = primary.follow()
        try:
            yield primary, replica
        finally:
            replica.stop()
    finally:
        primary.stop()


@pytest.fixture
def home(both: tuple[Server, Server], tmp_path: Path) -> Path:
    """The folder of a collection whose settings name the replica."""
    primary, replica = both
    url = primary.database()
    make_tree(tmp_path, {"in/a.txt": b"a", "in/b.txt": b"b"})
    with ck.init(tmp_path / "c", catalog=url) as collection:
        ck.ingest(collection, tmp_path / "in", resolver="r")
    settings, name = tmp_path / "c" / "catalogkit.toml", name_of(url)
    settings.write_text(f'replica = "{replica.address(name)}"\n{settings.read_text()}')
    assert "replica" in repr(read_config(tmp_path / "c"))
    caught_up(both)
    return tmp_path / "c"


def name_of(url: str) -> str:
    """The name of a database."""
    return url.partition("?")[0].rpartition("/")[2]


def caught_up(both: tuple[Server, Server]) -> None:
    """Wait until the replica has all that was committed."""
    ((there,),) = both[0].run("SELECT pg_current_wal_flush_lsn()")
    for _ in range(600):
        if both[1].run(f"SELECT pg_last_wal_replay_lsn() >= '{there}'") == [(True,)]:
            return
        time.sleep(0.05)
    raise AssertionError("the replica does not follow")


def test_who_reads_is_answered_by_the_replica(home: Path, both: tuple[Server, Server]) -> None:
    """Tables, pages, totals, SQL over the mirror; as of its last commit."""
    with ck.open(home) as collection, ck.open(home, reading=True) as reader:
        assert collection.catalog.current_to() is None and collection.catalog.url != reader.catalog.url
        assert (reader.identity, reader.catalog.home) == (collection.identity, collection.catalog.home)
        before = reader.catalog.current_to()
        assert before is not None and before.utcoffset() is not None
        assert reader.frame("documents").equals(collection.frame("documents"))
        assert reader.catalog.totals() == collection.catalog.totals() and reader.find(resolver="r").height == 2
        assert reader.catalog.history(1).equals(collection.catalog.history(1)) and reader.catalog.integrity() == []
        make_tree(home.parent, {"in/c.txt": b"c"})
        ck.ingest(collection, home.parent / "in", resolver="r")
        caught_up(both)
        after = reader.catalog.current_to()
        assert after is not None and after > before and reader.frame("documents").height == 3
        assert "a replica" in str(reader._repr_mimebundle_())
        said = origin(reader)
        assert said and f"as of {after:%Y-%m-%d %H:%M:%S} UTC" in said.text and origin(collection) is None


def test_a_mirror_made_there_is_whole_each_time(home: Path, both: tuple[Server, Server]) -> None:
    """Numbers may come in any sequence there: nobody, at the primary neither, goes on from what was seen."""
    asked = "SELECT count(*) AS n FROM documents"
    for count, name in ((3, "c.txt"), (4, "d.txt")):
        make_tree(home.parent, {f"in/{name}": name.encode()})
        with ck.open(home) as collection:
            ck.ingest(collection, home.parent / "in", resolver="r")
        caught_up(both)
        with ck.open(home, reading=True) as reader:
            assert reader.sql(asked)["n"].to_list() == [count]
    with ck.open(home) as collection:
        assert collection.sql(asked)["n"].to_list() == [4]
        scene.forget(collection, *collection.catalog.find(limit=1))
        assert collection.sql(asked)["n"].to_list() == [3]


def test_it_takes_no_changes(home: Path, both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """In words that say where to write; the environment may say that only reading is meant."""
    with ck.open(home, reading=True) as reader:
        with pytest.raises(CatalogError, match="can only be read: it is a replica; write to the primary"):
            ck.ingest(reader, home.parent / "in")
        with pytest.raises(CatalogError, match="replica"):
            scene.forget(reader, *reader.catalog.find(limit=1))
    monkeypatch.setenv("CATALOGKIT_REPLICA", "1")
    told = json.loads(CliRunner().invoke(app, ["-C", str(home), "status", "--json"]).stdout)
    assert told["documents"] == 2 and told["as_of"]
    empty = both[0].database().partition("?")[0].rpartition("/")[2]
    caught_up(both)
    with pytest.raises(CatalogError):
        ck.init(home.parent / "other", catalog=both[1].address(empty))


def test_a_region_that_follows_by_logical_replication(home: Path, both: tuple[Server, Server]) -> None:
    """The recipe of `docs/federation.md`, by the server's own tools: whoever reads there is answered as at the primary.

    What is there when it begins, and whatever is added, changed, dropped or checked afterwards.
    """
    server = both[0]
    settings = home / "catalogkit.toml"
    main, region = name_of(read_config(home).catalog), name_of(server.database())
    assert server.programs
    dump = [server.programs / "pg_dump", "--schema-only", "-d", server.address(main)]
    schema = subprocess.run(dump, check=True, capture_output=True).stdout
    into = [server.programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-d", server.address(region)]
    subprocess.run(into, check=True, capture_output=True, input=schema)
    server.run(
        "CREATE PUBLICATION catalogkit FOR ALL TABLES",
        # Between two servers the subscription makes it by itself; within one it would wait for itself.
        "SELECT pg_create_logical_replication_slot('papers', 'pgoutput')",
        database=main,
    )
    source = f"host={server.folder} user=postgres dbname={main}"
    server.run(
        f"CREATE SUBSCRIPTION papers CONNECTION '{source}' PUBLICATION catalogkit"
        " WITH (slot_name = papers, create_slot = false)",
        database=region,
    )
    reader = server.address(region, options="-c default_transaction_read_only=on")
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("replica")]
    settings.write_text("\n".join([f'replica = "{reader}"', *lines]))
    try:
        with ck.open(home) as collection:
            follows(server, main, region)
            same(collection, home)
            make_tree(home.parent, {"in/a.txt": b"a, changed", "in/c.txt": b"c"})
            ck.ingest(collection, home.parent / "in", resolver="r")
            scene.run(collection, ck.plan_forget(collection, [2]))
            ck.verify(collection)
            collection.catalog.place_hold("case", document_id=1, as_of=collection.now())
            follows(server, main, region)
            same(collection, home)
    finally:
        server.run("DROP SUBSCRIPTION papers", database=region)


def follows(server: Server, main: str, region: str) -> None:
    """Wait until a region has all that was committed."""
    ((there,),) = server.run("SELECT pg_current_wal_flush_lsn()")
    for _ in range(600):
        (copied,) = server.run("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel", database=region)
        (flushed,) = server.run(
            f"SELECT confirmed_flush_lsn >= '{there}' FROM pg_replication_slots WHERE slot_name = 'papers'"
        )
        if copied == flushed == (True,):
            return
        time.sleep(0.05)
    raise AssertionError("the region does not follow")


def same(collection: ck.Collection, home: Path) -> None:
    """A region says what the primary says, and takes no changes."""
    with ck.open(home, reading=True) as reader:
        assert reader.catalog.url != collection.catalog.url and reader.identity == collection.identity
        for table in ("documents", "blobs", "locations", "checks", "contents"):
            assert reader.frame(table).sort(pl.all()).equals(collection.frame(table).sort(pl.all()))
        assert reader.catalog.totals() == collection.catalog.totals()
        assert reader.catalog.history(1).equals(collection.catalog.history(1)) and reader.catalog.integrity() == []
        assert reader.catalog.content_digest() == collection.catalog.content_digest()
        assert reader.catalog.current_to() is not None and reader.read(1) == collection.read(1)
        with pytest.raises(CatalogError, match="read"):
            reader.catalog.place_hold("here", document_id=1, as_of=reader.now())
