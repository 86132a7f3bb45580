"""A server that ends the executor's session between the guard and the removal: nobody is given bytes that then go."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from catalogkit.catalog.postgres import PostgresCatalog, hands
from catalogkit.collection import init, open_collection
from catalogkit.errors import CatalogBusy
from catalogkit.owners import new_owner, retire
from catalogkit.planning import plan_purge
from catalogkit.stores.local import LocalStore
from tests.conftest import hurry
from tests.plans import scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from catalogkit.collection import Collection
    from tests.conftest import Clock
    from tests.pg import Server

BYTES = b"needed once more"


@pytest.fixture
def condemned(pg: Server, pg_template: str, tmp_path: Path, clock: Clock) -> Iterator[Collection]:
    """A collection on a server with one condemned blob."""
    url = pg.database(pg_template)
    with hurry(init(tmp_path / "c", catalog=url, clock=clock)) as collection:
        record = scene.put(collection, "a", BYTES)
        scene.put(collection, "b", b"others")
        clock.advance(days=1)
        scene.forget(collection, record)
        scene.condemn(collection)
        clock.advance(days=1)
        yield collection
    pg.drop(url)


def end_sessions(collection: Collection) -> None:
    """End every session that has a transaction open."""
    with psycopg.connect(_address(collection), autocommit=True) as db:
        ended = db.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle in transaction'"
        ).fetchall()
    assert ended


def _address(collection: Collection) -> str:
    return collection.config.catalog


def at_removal(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something once, between the guard of a removal and the removal."""
    remove, todo = LocalStore.remove_planned, [act]

    def removing(self: LocalStore, *about: Any) -> int | None:
        if todo:
            todo.pop()()
        return remove(self, *about)

    monkeypatch.setattr(LocalStore, "remove_planned", removing)


def waits(collection: Collection) -> None:
    """Whoever wants the bytes now is made to wait."""
    with open_collection(collection.path, clock=collection.clock) as other:
        other.catalog._seconds = 0.2  # type: ignore[attr-defined]
        with pytest.raises(CatalogBusy, match="removes bytes"):
            scene.put(other, "again", BYTES)


def test_who_comes_in_between_waits_for_the_removal(condemned: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is over they are taken in anew; what was removed is there again, and the plan can go on."""

    def meanwhile() -> None:
        end_sessions(condemned)
        waits(condemned)

    at_removal(monkeypatch, meanwhile)
    plan = plan_purge(condemned, scene.AT_ONCE)
    with pytest.raises(CatalogBusy):
        scene.run(condemned, plan)
    assert not scene.path_of(condemned, BYTES).exists()
    record = scene.put(condemned, "again", BYTES)
    assert condemned.read(record.id) == BYTES and not list(scene.broken(condemned))
    assert condemned.catalog.rows("SELECT * FROM hands") == []  # type: ignore[attr-defined]
    assert scene.run(condemned, plan).skipped == 1


def test_a_session_that_ended_before_the_word_was_given_removes_nothing(
    condemned: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The word alone does not do: somebody may have come between the end of the session and it."""
    renew = hands.Promise.renew

    def late(self: hands.Promise, db: Any) -> None:
        if not self.given:
            end_sessions(condemned)
            with open_collection(condemned.path, clock=condemned.clock) as other:
                scene.put(other, "again", BYTES)
        renew(self, db)

    monkeypatch.setattr(hands.Promise, "renew", late)
    with pytest.raises(CatalogBusy):
        scene.purge(condemned)
    assert not list(scene.broken(condemned)) and scene.path_of(condemned, BYTES).exists()


def test_who_died_holds_nobody_up(condemned: Collection) -> None:
    """Neither a program on this machine that is gone, nor one elsewhere whose time is over."""
    gone = new_owner()
    retire(gone)
    with closing(psycopg.connect(_address(condemned), autocommit=True)) as db:
        db.execute("INSERT INTO hands VALUES ('1', %s, 9223372036854775807), ('2', 'elsewhere/1/x', 1)", [gone])
        scene.put(condemned, "again", BYTES)
        assert db.execute("SELECT count(*) FROM hands").fetchall() == [(0,)]
        db.execute("INSERT INTO hands VALUES ('3', 'elsewhere/1/x', 9223372036854775807)")
        waits(condemned)
        db.execute("DELETE FROM hands")


def test_a_word_grows_old(condemned: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is renewed while files are removed; too old, or taken away by others, it removes nothing more."""
    now = 0.0
    monkeypatch.setattr(hands, "_now", lambda: now)
    catalog: Any = condemned.catalog
    plan = "0" * 64
    catalog.begin_plan(plan, "purge", {}, {}, as_of=condemned.now())

    def until() -> int:
        ((told,),) = catalog._patiently(lambda: asked())
        return int(told)

    def asked() -> list[Any]:
        with psycopg.connect(_address(condemned)) as db:
            return db.execute("SELECT until_us FROM hands").fetchall()

    with catalog.hand(plan, as_of=condemned.now()) as hand:
        hand.keep_away()
        first = until()
        now += hands.FRESH + 1
        hand.keep_away()
        assert until() > first
        now += hands.OLD + 1
        with pytest.raises(CatalogBusy, match="too long"):
            hand.keep_away()
    with (
        pytest.raises(CatalogBusy, match="taken for dead"),
        catalog.hand(plan, as_of=condemned.now() + timedelta(1)) as hand,
    ):
        hand.keep_away()
        with psycopg.connect(_address(condemned), autocommit=True) as db:
            db.execute("DELETE FROM hands")
        now += hands.FRESH + 1
        hand.keep_away()


def test_what_is_committed_is_on_disk_whatever_the_address_says(condemned: Collection) -> None:
    """A session in which a commit would not wait for the disk is made to: bytes were removed for its sake."""
    url = f"{_address(condemned)}&options=-c%20synchronous_commit%3Doff"
    with (
        closing(PostgresCatalog(url, as_of=condemned.now())) as catalog,
        catalog.write("look") as db,
    ):
        assert db.execute("SHOW synchronous_commit").fetchall() == [("on",)]
