"""Whose a content is stands in its row: told by the server with every document, and shown to nobody."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest

from catalogkit.catalog.postgres import PostgresCatalog
from catalogkit.catalog.postgres.readers import add_reader, drop_reader
from tests.catalog.desk import NOW, PLAN, Desk, sha

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pg import Server

ROLE = "ckit_whose"
WHOSE = (
    "SELECT b.sha256, b.tenants, array_remove(array_agg(DISTINCT w.tenant), NULL) FROM blobs b"
    " LEFT JOIN (SELECT sha256, tenant FROM documents UNION SELECT sha256, tenant FROM documents_history) w"
    " USING (sha256) GROUP BY 1"
)


@pytest.fixture
def desk(pg: Server, pg_template: str) -> Iterator[Desk]:
    """A catalog that has a reader for the tenant `a` since some of its documents were there."""
    url = pg.database(pg_template)
    with closing(PostgresCatalog(url, create=True, as_of=NOW)) as catalog:
        desk = Desk(catalog)
        desk.put(desk.entry("old", "x", tenant="a"), desk.entry("old", "y", tenant="b"))
        desk.put(desk.entry("new", "x", tenant="a"), as_of=NOW + timedelta(hours=1))
        add_reader(catalog, "a", ROLE, "secret")
        yield desk
        drop_reader(catalog, ROLE)
    pg.drop(url)


def whose(desk: Desk) -> dict[str, list[str]]:
    """The tenants of each content that has any, as its row says; the same as documents and their history say."""
    assert isinstance(desk.catalog, PostgresCatalog)
    rows = desk.catalog.rows(WHOSE)
    for digest, told, found in rows:
        assert sorted(told) == sorted(found), digest.hex()
    return {bytes(digest).hex()[:6]: told for digest, told, _ in rows}


def of(content: str) -> str:
    return sha(content).hex()[:6]


def test_what_was_there_before_the_first_reader_is_told(desk: Desk) -> None:
    """Contents of documents as they are and as they were."""
    assert whose(desk) == {of("old"): ["a", "b"], of("new"): ["a"]}


@pytest.mark.parametrize("promised", [True, False])
def test_each_document_tells(desk: Desk, promised: bool) -> None:
    """Two tenants in one batch, one that comes to a content later, another version, and one that comes too late."""

    def put(*entries: object, hours: int) -> None:
        at = NOW + timedelta(hours=hours)
        some = [entry for entry in entries if entry]
        ids = desk.stage(*some, as_of=at) if promised else [None] * len(some)  # type: ignore[arg-type]
        desk.catalog.commit(list(zip(ids, some, strict=True)), as_of=at)  # type: ignore[arg-type]

    put(
        desk.entry("both", "p", tenant="a"),
        desk.entry("both", "p", tenant="b"),
        desk.entry("one", "q", tenant="b"),
        hours=2,
    )
    assert whose(desk) | {of("both"): ["a", "b"], of("one"): ["b"]} == whose(desk)
    put(desk.entry("one", "r", tenant="a", fetched_at=NOW), hours=3)
    put(desk.entry("two", "r", tenant="a", fetched_at=NOW + timedelta(1)), hours=4)
    put(desk.entry("late", "r", tenant="a", fetched_at=NOW + timedelta(hours=1)), hours=5)
    put(desk.entry("two", "r", tenant="a", fetched_at=NOW + timedelta(2)), hours=6)  # seen again
    assert whose(desk) | {of("one"): ["a", "b"], of("two"): ["a"], of("late"): ["a"]} == whose(desk)


def test_what_is_forgotten_stays_whose_it_was(desk: Desk) -> None:
    """History has it, and its reader with it; nobody learns from a row that somebody else let go."""
    desk.catalog.begin_plan(PLAN, "forget", {}, {}, as_of=NOW)
    numbers = [record.id for record in desk.catalog.find(tenant="b")]
    assert numbers and [desk.forget(number) for number in numbers] == [""] * len(numbers)
    assert whose(desk)[of("old")] == ["a", "b"]


def test_whose_a_content_is_has_no_versions(desk: Desk) -> None:
    """It is reckoned from what has: history has no column for it, whatever else changes in the schema later."""
    from catalogkit.catalog.postgres.history import install_history

    assert isinstance(desk.catalog, PostgresCatalog)
    with psycopg.connect(desk.catalog.url) as db:
        install_history(db)
    columns = desk.catalog.rows("SELECT attname FROM pg_attribute WHERE attrelid = 'blobs_history'::regclass")
    assert ("tenants",) not in columns and ("state",) in columns
