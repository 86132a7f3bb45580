"""Two copies of one catalog at one store: whoever comes second is refused, before anything of the first is garbage."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit import marks
from catalogkit.collection import Collection, init, open_collection
from catalogkit.errors import InvalidInput, StoreMismatch, StoreUnreachable
from catalogkit.ingest import ingest
from catalogkit.joining import adopt_store
from catalogkit.marks import check, renew
from catalogkit.planning import plan_forget, plan_gc, plan_purge
from tests.conftest import Clock, hurry, make_tree
from tests.plans.scene import AT_ONCE, broken, collect, condemn, files, forget, put, run, stray
from tests.stores.quick import Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.pg import Server

REFUSED = "another copy of this catalog has used the store"


@pytest.fixture
def clock() -> Clock:
    """A clock that is later than that of the disk, whatever day it is: what lies there is old."""
    return Clock(datetime(2100, 1, 1, tzinfo=UTC))


@contextmanager
def collection_at(top: Path, clock: Clock, url: str, **settings: str) -> Iterator[Collection]:
    """A collection with two documents, whose store lies outside of its folder.

    Its folder was moved since, as one is that is mounted elsewhere: where the catalog lies tells no copies apart.
    """
    init(top / "first", store=url, clock=clock, **settings).close()
    os.rename(top / "first", top / "one")
    with hurry(open_collection(top / "one", clock=clock)) as made:
        put(made, "a", b"a")
        put(made, "b", b"b")
        yield made


@pytest.fixture
def one(tmp_path: Path, clock: Clock) -> Iterator[Collection]:
    """A collection whose store lies in another folder."""
    with collection_at(tmp_path, clock, f"file://{tmp_path}/shared") as made:
        yield made


@pytest.fixture
def twin(clock: Clock) -> Iterator[Callable[[Collection], Collection]]:
    """Opens a copy of a collection's folder as it is at this moment."""
    made: list[Collection] = []

    def copy(original: Collection) -> Collection:
        original.catalog.rows("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[attr-defined]
        home = original.path.with_name(f"copy{len(made)}")
        shutil.copytree(original.path, home)
        made.append(hurry(open_collection(home, clock=clock)))
        return made[-1]

    yield copy
    for collection in made:
        collection.close()


def refused(collection: Collection, act: Callable[[], object]) -> None:
    """That is refused, and nothing of the collection or its store is changed."""
    before, at = files(collection), collection.catalog.totals()
    with pytest.raises(StoreMismatch, match=REFUSED):
        act()
    assert (files(collection), collection.catalog.totals()) == (before, at)
    assert not collection.catalog.intents() and not collection.catalog.strays()


def test_what_a_twin_took_in_is_no_garbage(one: Collection, twin: Callable[..., Collection], clock: Clock) -> None:
    """What was taken in by one since is a stray to the other, which may not even condemn it."""
    two = twin(one)
    clock.advance(minutes=2)
    put(one, "new", b"new")
    plan = plan_gc(two, AT_ONCE)
    assert plan.units == 1
    refused(two, lambda: run(two, plan))
    assert not two.catalog.plans()
    collect(one)  # who came first goes on
    assert len(files(one)) == 3 and not [*broken(one)]


def test_the_twin_of_who_removes_is_refused(one: Collection, twin: Callable[..., Collection], source: Path) -> None:
    """Once one has removed something, the other takes nothing in, and removes nothing, until a person says so."""
    two = twin(one)
    lost = plan_forget(two, [two.find(artifact_id="b")["id"][0]])
    stray(one, b"stray")
    collect(one)
    make_tree(source, {"c": b"c"})
    refused(two, lambda: ingest(two, source))
    refused(two, lambda: put(two, "c", b"c"))
    assert run(two, lost).done == 1  # what changes facts alone changes nothing in the store
    condemn(two)
    with pytest.raises(StoreMismatch, match=REFUSED):
        run(two, plan_purge(two, AT_ONCE))
    assert len(files(one)) == 2 and not [*broken(one)]


def test_a_copy_of_who_is_at_work(one: Collection, twin: Callable[..., Collection], clock: Clock) -> None:
    """A machine that is cloned while it takes in file after file leaves a mark again before its files are strays."""
    put(one, "c", b"c")
    two = twin(one)
    put(one, "d", b"d")  # as often as this no mark is left
    clock.advance(minutes=2)
    put(one, "e", b"e")
    refused(two, lambda: condemn(two))
    other = twin(one)
    run(other, plan_forget(other, [1]))
    collect(other)
    refused(one, lambda: put(one, "f", b"f"))  # at once, though its own mark is young


def test_one_that_comes_while_a_plan_is_applied(one: Collection, twin: Callable[..., Collection]) -> None:
    """Where the copy is given the store meanwhile, the rest of a plan is not done: each batch looks again."""
    forget(one, *one.catalog.find())
    condemn(one)
    two = twin(one)
    with pytest.raises(StoreMismatch, match=REFUSED):
        run(one, plan_purge(one, AT_ONCE), batch=1, progress=lambda _: adopt_store(two, "main"))
    assert len(files(one)) == 1


def test_taken_over(one: Collection, twin: Callable[..., Collection]) -> None:
    """Where the other one is gone for good, this one is told to go on; should the other come back, it is refused."""
    two = twin(one)
    stray(one, b"stray")
    collect(one)
    with pytest.raises(InvalidInput, match="no store 'other'; it has main"):
        adopt_store(two, "other")
    adopt_store(two, "main")
    put(two, "c", b"c")
    refused(one, lambda: put(one, "d", b"d"))


def test_at_the_same_moment(one: Collection, twin: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that look at the same mark and both mean to leave one: who comes too late is refused at once."""
    two, exchange = twin(one), one.store.exchange_mark

    def late(seen: Sequence[str], new: str) -> bool:
        renew(two.catalog, two.store)
        return exchange(seen, new)

    monkeypatch.setattr(one.store, "exchange_mark", late)
    refused(one, lambda: renew(one.catalog, one.store))


@pytest.mark.parametrize("behind", [0, 1])
def test_a_crash_between_the_two_writes(
    one: Collection, twin: Callable[..., Collection], behind: int, clock: Clock
) -> None:
    """A crash before or after the store has the new mark: the catalog knows what is there, and its copy does not."""
    two = twin(one)

    class Dying(Unsynced):
        def rename(self, source: str, target: str) -> None:
            if behind:
                super().rename(source, target)
            raise KeyboardInterrupt

    one.store.files = Dying()
    clock.advance(minutes=2)
    with pytest.raises(KeyboardInterrupt):
        put(one, "c", b"c")
    one.store.files = Unsynced()
    one.marked.clear()
    put(one, "c", b"c")
    refused(two, lambda: put(two, "d", b"d"))


def test_a_store_that_was_made_before_there_were_marks(one: Collection, twin: Callable[..., Collection]) -> None:
    """Whoever acts first leaves the first one; two at once know both; nothing is refused where none is any more."""
    for mark in one.store.marks():
        os.unlink(Path(one.store.root, ".catalogkit", f"mark-{mark}"))
    one.catalog._db.execute("DELETE FROM notes")  # type: ignore[attr-defined]
    one.marked.clear()
    two = twin(one)
    both = "1" * 32, "2" * 32
    assert one.catalog.note_instead(f"marks of {one.store.token}", " ".join(both), None)
    for mark in both:
        assert one.store.exchange_mark([], mark)
    put(one, "c", b"c")
    assert len(one.store.marks()) == 1
    refused(two, lambda: put(two, "d", b"d"))
    (mark,) = one.store.marks()
    assert not one.store.exchange_mark(["1" * 32], "3" * 32) and one.store.marks() == [mark]
    os.unlink(Path(one.store.root, ".catalogkit", f"mark-{mark}"))
    check(one.catalog, one.store)
    collect(one)


def test_many_at_once(one: Collection) -> None:
    """Programs that begin and end at the same time with one catalog never take each other for copies."""
    work = (
        "import sys; from catalogkit.collection import open_collection; from catalogkit.marks import check, renew\n"
        "with open_collection(sys.argv[1]) as c:\n"
        "    for _ in range(20): renew(c.catalog, c.store); check(c.catalog, c.store)"
    )
    programs = [subprocess.Popen([sys.executable, "-c", work, str(one.path)]) for _ in range(3)]
    assert [program.wait() for program in programs] == [0, 0, 0]
    check(one.catalog, one.store)
    assert len(one.store.marks()) == 1


def test_machines_with_one_catalog_on_a_server(tmp_path: Path, clock: Clock, pg: Server) -> None:
    """Several collections on one catalog are no copies of each other, whichever of them comes when."""
    url = pg.database()
    with collection_at(tmp_path, clock, f"file://{tmp_path}/shared", catalog=url) as one:
        shutil.copytree(one.path, tmp_path / "two")
        with hurry(open_collection(tmp_path / "two", clock=clock)) as two:

            def work(machine: Collection) -> None:
                for _ in range(20):
                    renew(machine.catalog, machine.store)
                    check(machine.catalog, machine.store)

            threads = [threading.Thread(target=work, args=(machine,)) for machine in (one, two)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            put(two, "c", b"c")
            collect(one)
            put(two, "d", b"d")
            assert len(files(one)) == 4
    pg.drop(url)


def test_a_disk_that_fails_for_long(one: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that leave no mark, however often they try, do not push out one that another run is about to leave."""
    store = one.store
    seen = store.marks()

    def fails(*_: object) -> bool:
        raise StoreUnreachable("its disk is read-only")

    text, known = marks._remembered(one.catalog, store)
    assert marks._remember(one.catalog, store, ["slow", *seen, *known], text)
    with monkeypatch.context() as failing:
        failing.setattr(type(store), "exchange_mark", fails)
        for _ in range(marks.KEPT + 1):
            with pytest.raises(StoreUnreachable):
                renew(one.catalog, store)
    assert store.exchange_mark(seen, "slow")
    check(one.catalog, store)
    renew(one.catalog, store)
    check(one.catalog, store)


def test_a_mark_that_went_while_a_run_waited(one: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen before many others came and went is no twin's, for it is not there any more."""
    there, looks = one.store.marks(), iter([["of long ago"]])
    monkeypatch.setattr(type(one.store), "marks", lambda self: next(looks, there))
    check(one.catalog, one.store)
    looks = iter([["of long ago"]])
    renew(one.catalog, one.store)
