"""Two tenants, one of whom has secrets."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.collection import Collection
from catalogkit.ingest import register_or_get
from catalogkit.model import DocumentRecord
from catalogkit.tenants import MultiTenantCatalog
from tests.conftest import Clock, hurry

if TYPE_CHECKING:
    from collections.abc import Iterator


SECRET = b"the secret recipe of the other tenant"


def put(collection: Collection, name: str, content: bytes) -> DocumentRecord:
    """Take `content` in as the document `name`, from a folder outside of all tenants."""
    waiting = collection.path.parents[2] / "waiting"
    waiting.mkdir(exist_ok=True)
    path = waiting / name
    path.write_bytes(content)
    return register_or_get(collection, path, artifact_id=name, source_url=f"https://example.org/{name}", mode="copy")


@dataclass
class Both:
    """`mine` is open; `theirs` is the other's folder, `record` its secret document, which lies at `place`."""

    all: MultiTenantCatalog
    mine: Collection
    theirs: Path
    record: DocumentRecord
    place: Path


@contextlib.contextmanager
def make_both(folder: Path, clock: Clock, server: str = "") -> Iterator[Both]:
    """The tenants ``mine`` and ``theirs``; the other's has a mirror, a snapshot, a plan and a hold, too."""
    from catalogkit.planning import plan_forget
    from catalogkit.snapshots import take_snapshot

    every = MultiTenantCatalog(folder / "all", server=server, clock=clock)
    with dropped(every), hurry(every.register_tenant("theirs")) as theirs:
        put(theirs, "first", b"something else")
        record = put(theirs, "zanzibar", SECRET)
        theirs.sql("SELECT 1")
        take_snapshot(theirs, "zanzibar-2026")
        theirs.catalog.place_hold("zanzibar", document_id=record.id, as_of=clock.now)
        plan_forget(theirs, [1]).save(theirs.path / "plans")
        place = Path(theirs.location(record))
        home = theirs.path
        with hurry(every.register_tenant("mine")) as mine:
            put(mine, "own", b"nothing special")
            yield Both(every, mine, home, record, place)


@contextlib.contextmanager
def dropped(every: MultiTenantCatalog) -> Iterator[None]:
    """What was made on the server is gone afterwards."""
    try:
        yield
    finally:
        if every.server:
            from catalogkit.catalog.passfiles import PASSFILE, users_in
            from catalogkit.catalog.postgres.walls import drop_database

            for path in (every.path / "tenants").glob(f"*/{PASSFILE}"):
                for role in users_in(path):
                    drop_database(every.server, role)


@pytest.fixture(params=["sqlite", "postgresql"])
def every(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[MultiTenantCatalog]:
    """A folder for tenants, none of whom is there yet."""
    server = request.getfixturevalue("operator") if request.param == "postgresql" else ""
    made = MultiTenantCatalog(tmp_path / "all", server=server, clock=clock)
    with dropped(made):
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def both(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Both]:
    """Two tenants of this test alone."""
    server = request.getfixturevalue("operator") if request.param == "postgresql" else ""
    with make_both(tmp_path, clock, server) as made:
        yield made
