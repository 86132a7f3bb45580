"""What many tests share: a clock that stands still, collections in temporary folders, trees of files."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.catalog.sqlite import SQLiteCatalog
from catalogkit.collection import Collection, init, open_collection
from tests.stores.quick import Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.pg import Blanks
    from tests.pg import Server as PostgresServer
    from tests.s3.azure import Azure
    from tests.s3.google import Google
    from tests.s3.server import Server

# An optional part of jsonschema, which nothing here uses, takes seconds to load.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

DEMO = Path(__file__).parent / "data" / "demo"
LAYOUTS = ("cas", "policy")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def pytest_collection_finish() -> None:
    """The tests themselves stay until the end: no collection of garbage need look at thousands of them again."""
    gc.freeze()


@dataclass
class Clock:
    """A clock that only moves when told to."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **length: float) -> datetime:
        self.now += timedelta(**length)
        return self.now


def hurry(collection: Collection) -> Collection:
    """`collection`, no longer waiting for the disk."""
    collection.store.files = Unsynced()
    if isinstance(collection.catalog, SQLiteCatalog):  # a server of the tests waits for no disk anyway
        collection.catalog._db.execute("PRAGMA synchronous = OFF")
    return collection


def make_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write `files`, named by their path below `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def read_tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` by its path; the counterpart of `make_tree`."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at noon of a day in 2026."""
    return Clock(NOON)


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders of collections in which nothing happened yet, to be copied; made when first asked for."""
    folder = tmp_path_factory.mktemp("blank")

    @cache
    def make(**settings: str) -> Path:
        path = folder / str(len(list(folder.iterdir())))
        init(path, clock=Clock(NOON), **settings).close()
        return path

    return make


@pytest.fixture
def make_collection(tmp_path: Path, clock: Clock, blank: Callable[..., Path]) -> Iterator[Callable[..., Collection]]:
    """Makes collections in the test's folder: ``make_collection("cas")``, with any argument of `init`."""
    made: list[Collection] = []

    def make(layout: str = "cas", name: str = "collection", **settings: str) -> Collection:
        shutil.copytree(blank(layout=layout, **settings), tmp_path / name)
        made.append(hurry(open_collection(tmp_path / name, clock=clock)))
        return made[-1]

    yield make
    for collection in made:
        collection.close()


@pytest.fixture(params=LAYOUTS)
def collection(request: pytest.FixtureRequest, make_collection: Callable[..., Collection]) -> Collection:
    """An empty collection; the test runs once per layout."""
    return make_collection(request.param)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An empty folder for what a downloader would leave."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real S3 server with one bucket, `tests`; started when first asked for."""
    from tests.s3.server import start

    server = start(tmp_path_factory.mktemp("s3") / "server")
    try:
        server.client().create_bucket(Bucket="tests")
        yield server
    finally:
        server.stop()


@pytest.fixture
def s3_url(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in the bucket, for this test alone; the environment says where the server is."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://tests/{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """Azurite with one container, `tests`; started when first asked for."""
    from tests.s3.azure import start

    server = start(tmp_path_factory.mktemp("azure"))
    try:
        server.create_container("tests")
        yield server
    finally:
        server.stop()


@pytest.fixture
def az_url(azure_server: Azure, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty place in the container, for this test alone; the environment says who asks."""
    for name, value in azure_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"az://tests/{uuid.uuid4().hex}?endpoint={azure_server.url}"


@pytest.fixture
def google_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """A double of Google's storage, empty; the environment says who asks."""
    from tests.s3.google import running

    with running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def gs_url(google_server: Google) -> str:
    """An empty place in one of its buckets."""
    return f"gs://tests/{uuid.uuid4().hex}?endpoint={google_server.url}"


@pytest.fixture(scope="session")
def pg() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started when first asked for."""
    from tests.pg import server

    with server() as running:
        yield running


@pytest.fixture(scope="session")
def pg_template(pg: PostgresServer) -> Iterator[str]:
    """The name of a database with the schema of a catalog, to be copied."""
    from urllib.parse import urlsplit

    import psycopg

    from catalogkit.catalog.postgres.migrations import migrate
    from catalogkit.model import to_us

    url = pg.database()
    with psycopg.connect(url, autocommit=True) as db:
        migrate(db, to_us(NOON), create=True)
    yield urlsplit(url).path[1:]
    pg.drop(url)


@pytest.fixture(scope="session")
def pg_blanks(pg: PostgresServer, pg_template: str) -> Iterator[Blanks]:
    """Lends databases of empty catalogs."""
    from tests.pg import Blanks

    blanks = Blanks(pg, pg_template)
    yield blanks
    blanks.drop()


@pytest.fixture(scope="session")
def operator(pg: PostgresServer) -> Iterator[str]:
    """The address of an operator on the server: a role that can make databases and roles, and is no superuser."""
    name = f"operator_{os.getpid()}"
    pg.run(f"CREATE ROLE {name} LOGIN CREATEDB CREATEROLE PASSWORD 'p@ss:w/rd'")
    yield pg.address("postgres").replace("postgres@", f"{name}:p%40ss%3Aw%2Frd@", 1)
    pg.run(f"DROP ROLE {name}")
