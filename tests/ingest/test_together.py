"""Ingests that meet: other processes, impatient people, dying workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit import batching, owners
from catalogkit.collection import open_collection
from catalogkit.errors import CatalogKitError
from catalogkit.ingest import ingest
from catalogkit.intents import LEASE, recover
from catalogkit.joining import add_store
from catalogkit.owners import is_dead, new_owner, retire
from catalogkit.stores.local import LocalStore
from catalogkit.verify import verify
from catalogkit.workers import Inline, Workers
from tests.conftest import Clock, hurry, make_tree, read_tree
from tests.crash.disk import Disk
from tests.crash.world import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection
    from catalogkit.progress import Progress

ROOT = Path(__file__).parents[2]
MODULE = import_module("catalogkit.ingest")  # the package's attribute of that name is the function


def tree(count: int, seed: int = 0) -> dict[str, bytes]:
    """Small files, every fifth with content that another one has."""
    random = Random(seed)
    return {
        f"{number // 20}/{number}.txt": b"often" if number % 5 == 0 else random.randbytes(random.randrange(2000))
        for number in range(count)
    }


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of ten files, jobs of three."""
    monkeypatch.setattr(batching, "BATCH_FILES", 10)
    monkeypatch.setattr(batching, "JOB_FILES", 3)
    monkeypatch.setattr(MODULE, "INLINE_FILES", 0)


def in_order(collection: Collection, files: dict[str, bytes]) -> None:
    """Every file is a document with its bytes, every copy is right, and nothing is left over."""
    documents = collection.frame("documents")
    assert sorted(collection.read(number) for number in documents["id"]) == sorted(files.values())
    assert verify(collection, executor=Inline()).ok == collection.frame("locations").height
    assert leftovers(collection) == []


SCRIPT = """
import sys, catalogkit as ck
with ck.open(sys.argv[1]) as collection:
    print("ready", flush=True)
    sys.stdin.readline()
    report = ck.ingest(collection, sys.argv[2], mode=sys.argv[3])
    print(report.ingested, report.skipped, report.failed, report.failures[:3])
"""


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_two_processes_at_once(collection: Collection, source: Path, mode: str) -> None:
    """Two processes that take the same tree in at the same time both succeed, and each document is there once."""
    files = tree(150)
    make_tree(source, files)
    command = [sys.executable, "-c", SCRIPT, str(collection.path), str(source), mode]
    both = [
        subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    ]
    for one in both:
        assert one.stdout and one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    answers = [one.communicate()[0].split(maxsplit=3) for one in both]
    assert [(answer[2], answer[3].strip()) for answer in answers] == [("0", "[]")] * 2
    assert sum(int(answer[0]) for answer in answers) == len(files), "each was new to exactly one of them"
    in_order(collection, files)


def test_several_threads_at_once(make_collection: Callable[..., Collection], source: Path, clock: Clock) -> None:
    """Threads that each take their own part in, through collections of their own, do not disturb each other."""
    path = make_collection("cas").path
    parts = [make_tree(source / str(number), tree(30, seed=number)) for number in range(4)]

    def take(part: Path) -> list[tuple[str, str]]:
        with hurry(open_collection(path, clock=clock)) as mine:
            return ingest(mine, part, executor=Inline()).failures

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(take, parts)) == [[]] * 4
    with open_collection(path, clock=clock) as collection:
        in_order(collection, {f"{part}{name}": content for part in parts for name, content in read_tree(part).items()})


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("executor", [lambda: None, Inline, lambda: ThreadPoolExecutor(3), lambda: Workers(2)])
def test_any_executor(collection: Collection, source: Path, executor: Callable[[], Executor | None]) -> None:
    """Own workers, none, threads or processes: many small batches give the same result."""
    files = tree(95)
    workers = executor()
    report = ingest(collection, make_tree(source, files), executor=workers, concurrency=None if workers else 2)
    if workers:
        workers.submit(len, "").result()  # one that was given is still there to be used
        workers.shutdown()
    assert (report.ingested, report.failures) == (len(files), [])
    in_order(collection, files)


# -- people ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_batches")
def test_progress_is_told(collection: Collection, source: Path) -> None:
    """Progress never goes back, and ends with everything; files that fail are counted as troubles."""
    files = tree(45)
    make_tree(source, files | {"m.jsonl": b"oops\n" * 3})
    told: list[Progress] = []
    report = ingest(collection, source, manifest=source / "m.jsonl", executor=Inline(), progress=told.append)
    assert [one.verb for one in told] == ["ingest"] * len(told) and len(told) >= 5
    for counts in ([one.done for one in told], [one.bytes for one in told], [one.troubles for one in told]):
        assert counts == sorted(counts)
    assert (told[-1].done, told[-1].bytes) == (46 + 3, report.bytes)
    assert told[-1].troubles == report.failed == 3
    again: list[Progress] = []
    ingest(collection, source, executor=Inline(), progress=again.append)
    assert again[-1].done == 46


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_stop_leaves_whole_documents(collection: Collection, source: Path, mode: str) -> None:
    """Set from outside, `stop` ends the run after the batches under way; the next run does the rest."""
    files = tree(60)
    make_tree(source, files)
    stop = threading.Event()
    report = ingest(collection, source, mode=mode, executor=Inline(), stop=stop, progress=lambda _: stop.set())
    assert report.interrupted and 0 < report.ingested < len(files)
    assert collection.catalog.unfinished_run("ingest")
    assert leftovers(collection) == []
    rest = ingest(collection, source, mode=mode, executor=Inline())
    assert not rest.interrupted and report.ingested + rest.ingested == len(files)
    in_order(collection, files)


def test_a_stop_ends_a_rescan_too(collection: Collection, source: Path) -> None:
    """`stop` is looked at while files are only compared."""
    ingest(collection, make_tree(source, tree(10)), executor=Inline())
    stop = threading.Event()
    stop.set()
    report = ingest(collection, source, executor=Inline(), stop=stop)
    assert report.interrupted and report.skipped == 0


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("mode", ["copy", "move"])
@pytest.mark.parametrize("seed", range(4))
def test_ctrl_c_tidies_up(collection: Collection, source: Path, mode: str, seed: int) -> None:
    """Ctrl-C at any moment leaves whole documents and nothing else; the same call goes on from there."""
    files = tree(40)
    make_tree(source, files)
    moment = Random(f"{seed} {mode} {collection.layout}").randrange(1, 200)

    def interrupt(disk: Disk) -> None:
        raise KeyboardInterrupt

    collection.store.files = Disk(moment, meanwhile=interrupt)
    try:
        ingest(collection, source, mode=mode, executor=Inline())
    except KeyboardInterrupt:
        assert leftovers(collection) == [], f"call {moment}"
        collection.store.files = Disk()
        assert ingest(collection, source, mode=mode, executor=Inline()).failures == [], f"call {moment}"
    in_order(collection, files)
    assert len(read_tree(source)) == (0 if mode == "move" else len(files))


@pytest.mark.usefixtures("small_batches")
def test_ctrl_c_waits_for_given_workers(collection: Collection, source: Path) -> None:
    """Workers that belong to the caller are not writing any more when the folder they write to is swept."""
    files = make_tree(source, tree(60))
    running: list[Future[Any]] = []

    class Watched(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            running.append(super().submit(fn, *args, **kwargs))
            return running[-1]

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with Watched(2) as threads:
        with pytest.raises(KeyboardInterrupt):
            ingest(collection, files, executor=threads, progress=interrupt)
        assert all(future.done() for future in running)
    assert leftovers(collection) == []


# -- workers -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_batches")
def test_a_worker_that_dies(collection: Collection, source: Path) -> None:
    """A worker process that is killed ends the run with an error that says what to do, and that is enough."""
    files = tree(60)
    make_tree(source, files)
    with Workers(1) as workers:
        victim = workers.submit(os.getpid).result()

        def kill(progress: Progress) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)

        with pytest.raises(CatalogKitError, match="run it again"):
            ingest(collection, source, executor=workers, progress=kill)
        assert leftovers(collection) == []
        assert 0 < collection.catalog.totals()["documents"] < len(files)
        assert ingest(collection, source, executor=workers).failures == []
    in_order(collection, files)


# -- who is alive ------------------------------------------------------------------------------------------------


def test_who_is_dead(clock: Clock) -> None:
    """An owner is dead when its process is gone or its ingest over; where nobody can tell, when its lease ran out."""
    alive, over = new_owner(), new_owner()
    retire(over)
    until = clock.now + LEASE
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    machine = alive.rpartition("/")[0].rpartition("/")[0]
    cases = {
        alive: False,
        over: True,
        f"{machine}/{gone.pid}/x": True,
        f"{machine}/1/x": False,
        "another machine/1/x": False,
        "": False,
        "nonsense": False,
        f"{machine}/no number/x": False,
    }
    assert {owner: is_dead(owner, until, clock.now) for owner in cases} == cases
    assert all(is_dead(owner, until, until) == (owner != alive) for owner in cases)
    retire(alive)


def test_a_copy_of_a_machine_is_another_one(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the same name and the same first processes; who is at work on one of them the other cannot see."""
    with monkeypatch.context() as there:
        there.setattr(owners, "_boot", lambda: "another start")
        owner = new_owner()
        retire(owner)
        assert is_dead(owner, clock.now + LEASE, clock.now)
    assert not is_dead(owner, clock.now + LEASE, clock.now)
    assert is_dead(owner, clock.now, clock.now)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a lease decides")
def test_a_clock_that_is_put_forward_ends_nobody(clock: Clock) -> None:
    """A process that is seen at work is not dead though its lease ran out; one that has its number now is another."""
    program = "import sys; from catalogkit.owners import new_owner; print(new_owner(), flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        owner = child.stdout.readline().strip()
        assert not is_dead(owner, clock.now, clock.now + 9 * LEASE)
        machine, process, own = owner.rsplit("/", 2)
        pid, _, begun = process.partition("@")
        assert is_dead(f"{machine}/{pid}@{int(begun) - 1}/{own}", clock.now + LEASE, clock.now)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its parent has not asked yet
        assert is_dead(owner, clock.now + LEASE, clock.now)
    assert is_dead(owner, clock.now + LEASE, clock.now)


@pytest.mark.usefixtures("small_batches")
def test_a_lease_is_renewed(collection: Collection, source: Path, clock: Clock) -> None:
    """An ingest that takes longer than a lease is never taken for dead: each batch holds from its own time."""
    make_tree(source, tree(40))
    held: list[bool] = []
    real = collection.catalog.stage

    def slow(*args: Any, **kwargs: Any) -> list[int]:
        clock.advance(minutes=20)
        staged = real(*args, **kwargs)
        held.extend(intent.expires_at > clock.now for intent in collection.catalog.intents())
        return staged

    collection.catalog.stage = slow  # type: ignore[method-assign]
    report = ingest(collection, source, executor=Inline(), as_of=clock.now)
    assert report.ingested == 40
    assert held and all(held)


def test_as_of_does_not_decide_who_is_dead(collection: Collection, source: Path, clock: Clock) -> None:
    """A run about another time neither ends the ingests of others, nor leaves intents that count as ended."""
    make_tree(source, tree(5))
    other = collection.store.scratch("another machine/1/x")
    os.utime(other, (clock.now.timestamp(),) * 2)
    for year in (2000, 2100):
        assert ingest(collection, source, executor=Inline(), as_of=clock.now.replace(year=year)).failures == []
        assert Path(other).exists()
    clock.advance(hours=1)
    ingest(collection, source, executor=Inline())
    assert not Path(other).exists()


def test_leftovers_of_other_stores_are_swept(
    make_collection: Callable[..., Collection], tmp_path: Path, clock: Clock
) -> None:
    """What the dead left in a store that new bytes do not go to goes as well, unless its disk is another one."""
    collection = make_collection()
    add_store(collection, "second", f"file:{tmp_path}/second")
    store = next(one for one in collection.stores.values() if one.name == "second")
    assert isinstance(store, LocalStore)
    left = Path(store.scratch("another machine/1/x"))
    (left / "half a copy").write_bytes(b"half")
    os.utime(left, (clock.now.timestamp(),) * 2)
    clock.advance(hours=1)
    about = tmp_path / "second" / ".catalogkit" / "store.json"
    ours = about.read_text()
    about.write_text(ours.replace(store.token, "f" * 32))
    recover(collection, clock.now)
    assert left.exists()
    about.write_text(ours)
    recover(collection, clock.now)
    assert not left.exists()


# -- completing what died, at once -------------------------------------------------------------------------------


def die(collection: Collection, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Take the files of a folder in, but for the commit: they are durable, and their intents are left."""

    def stop(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with patch.context() as only, pytest.raises(KeyboardInterrupt):
        only.setattr(collection.catalog, "commit", stop)
        ingest(collection, folder, executor=Inline())


def test_who_comes_late_does_not_go_back(collection: Collection, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two who complete one ingest, the slower finds it done and replaced by a newer version, which stays."""
    make_tree(source, {"a.txt": b"first"})
    die(collection, source, monkeypatch)
    with hurry(open_collection(collection.path, clock=collection.clock)) as slow:
        commit = slow.catalog.commit

        def meanwhile(*args: Any, **kwargs: Any) -> Any:
            assert recover(collection, collection.now()) == (1, {})
            make_tree(source, {"a.txt": b"second"})
            assert ingest(collection, source, executor=Inline()).ingested == 1
            return commit(*args, **kwargs)

        monkeypatch.setattr(slow.catalog, "commit", meanwhile)
        assert recover(slow, slow.now())[1].total() == 1
    assert collection.read(1) == b"second"
    assert collection.catalog.versions(1).height == 2


def test_many_complete_what_died(collection: Collection, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several who complete the same ingests at once make every document true, each once."""
    files = tree(60)
    make_tree(source, files)
    die(collection, source, monkeypatch)
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(hurry(open_collection(collection.path, clock=collection.clock))) for _ in range(4)]
        start = threading.Barrier(len(many))

        def one(mine: Collection) -> int:
            start.wait()
            return recover(mine, mine.now())[0]

        with ThreadPoolExecutor(len(many)) as threads:
            done = list(threads.map(one, many))
    assert max(done) <= len(files) <= sum(done)
    assert collection.catalog.intents() == []
    documents = collection.frame("documents")
    assert [collection.catalog.versions(number).height for number in documents["id"]] == [1] * len(files)
    in_order(collection, files)
