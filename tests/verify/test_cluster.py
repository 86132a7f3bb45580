"""Work by many machines: a Dask cluster reads and copies, and runs beside each other share out one catalog.

The cluster is a real one of several processes, the catalog is on a PostgreSQL server, the bytes are in a bucket.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit import leasing
from catalogkit.apply import apply
from catalogkit.collection import Collection, init, open_collection
from catalogkit.extract.backfill import extract
from catalogkit.ingest import ingest
from catalogkit.joining import add_store
from catalogkit.leasing import LEASE, Leases
from catalogkit.migrating import migrate_to_cas_gradual
from catalogkit.owners import new_owner, retire
from catalogkit.planning import plan_relocate
from catalogkit.proving import ELSEWHERE
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import Clock, hurry, make_tree
from tests.migration.scene import located, moved, settle, wrong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

    from catalogkit.plan import Plan
    from tests.pg import Server as Postgres
    from tests.s3.server import Server

COPIES = 24
ROOT = Path(__file__).parents[2]


class Counting(Executor):
    """Another executor, and what it was asked for."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.asked: Counter[str] = Counter()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.asked[fn.__name__] += 1
        return self._executor.submit(fn, *args, **kwargs)


@pytest.fixture(scope="module")
def client(s3_server: Server) -> Iterator[Client]:
    """A cluster of two processes, whose environment says how to reach the bucket."""
    from distributed import Client, LocalCluster

    # Processes are begun as copies of a program that has a name, which a worker of the test runner's is not.
    sys.modules["__main__"].__dict__.setdefault("__spec__", None)
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, env=dict(s3_server.environment)
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


@pytest.fixture
def shared(
    pg: Postgres, pg_template: str, s3_url: str, tmp_path: Path, clock: Clock
) -> Iterator[Callable[[], Collection]]:
    """Opens a collection on a server and in a bucket, with some documents, once more: another machine."""
    url = pg.database(pg_template)
    opened = [init(tmp_path / "collection", catalog=url, store=s3_url, clock=clock)]
    files = {f"{number}.txt": b"document %d" % number for number in range(COPIES)}
    ingest(opened[0], make_tree(tmp_path / "source", files), executor=Inline())

    def once_more() -> Collection:
        opened.append(open_collection(opened[0].path, clock=clock))
        return opened[-1]

    yield once_more
    for one in opened:
        one.close()
    pg.drop(url)


def test_a_cluster_reads(shared: Callable[[], Collection], client: Client, s3_server: Server) -> None:
    """Dask's executor works as it is: other processes read, what they find is what threads find."""
    collection, executor = shared(), client.get_executor()  # type: ignore[no-untyped-call]
    assert executor.submit(os.getpid).result() != os.getpid()
    key = collection.frame("locations")["key"][0]
    place = collection.store.root.removeprefix("s3://tests/")
    s3_server.client().put_object(Bucket="tests", Key=f"{place}/{key}", Body=b"something else")
    there = verify(collection, executor=executor, concurrency=4)
    here = verify(collection, executor=Inline())
    for report in (there, here):
        assert (report.ok, report.corrupt, report.unchecked) == (COPIES - 1, 1, {})
    assert [one.place for one in there.findings] == [one.place for one in here.findings]


def test_a_cluster_looks_into_documents_and_moves_them(
    shared: Callable[[], Collection], client: Client, s3_server: Server, tmp_path: Path
) -> None:
    """Extraction, and the copies of a plan, by other processes: what is told, copied and left is as it is here."""
    collection, executor = shared(), Counting(client.get_executor())  # type: ignore[no-untyped-call]
    key = collection.frame("locations")["key"][0]
    place = collection.store.root.removeprefix("s3://tests/")
    s3_server.client().put_object(Bucket="tests", Key=f"{place}/{key}", Body=b"something else")
    report = extract(collection, executor=executor, concurrency=2)
    assert (report.extracted, report.unread, report.left) == (COPIES - 1, 1, 1)
    assert set(executor.asked) == {"look_into"} and collection.catalog.lessees("extract") == []
    frame = collection.frame("contents")
    assert frame.height == COPIES - 1 and set(frame["preview"].str.head(9)) == {"document "}

    add_store(collection, "near", str(tmp_path / "near"))
    plan, start = plan_relocate(collection, "near"), threading.Barrier(2)

    def carry_out(machine: Collection) -> tuple[int, int, Counter[str]]:
        counting = Counting(executor)
        start.wait()
        report = apply(machine, plan, unapproved=True, max_share=1, batch=8, executor=counting, concurrency=2)
        return report.done + report.elsewhere + report.already, report.failed, counting.asked

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(carry_out, [collection, shared()]))
    # Each of its steps, a copy and a drop, was somebody's, and no copy was written twice.
    assert [steps for steps, _, _ in found] == [2 * (COPIES - 1)] * 2 and not any(failed for _, failed, _ in found)
    assert sum(asked["_written"] for _, _, asked in found) == COPIES - 1
    assert apply(collection, plan, unapproved=True, max_share=1).done == 0 and collection.catalog.lessees("apply") == []
    assert collection.frame("locations")["store"].value_counts().sort("store").rows() == [("main", 1), ("near", 23)]
    assert verify(collection, executor=Inline()).ok == COPIES - 1


def test_a_cluster_migrates(pg: Postgres, pg_template: str, tmp_path: Path, clock: Clock, client: Client) -> None:
    """Two machines move one collection at the same time with a cluster each: every copy is moved, and read, once."""
    url, executor = pg.database(pg_template), client.get_executor()  # type: ignore[no-untyped-call]
    later = Clock(clock.now + LEASE / 9)
    with settle(tmp_path / "collection", clock, catalog=url) as one, open_collection(one.path, clock=later) as other:
        before = located(one)
        start = threading.Barrier(2)

        def run(machine: Collection) -> tuple[int, int, Counter[str]]:
            start.wait()
            counting = Counting(executor)
            report = migrate_to_cas_gradual(2, collection=machine, executor=counting, concurrency=2)
            return report.moved, report.failed, counting.asked

        with ThreadPoolExecutor(2) as threads:
            found = list(threads.map(run, [hurry(one), hurry(other)]))
        reads = found[0][2] + found[1][2]
        assert (reads["_read"], reads["holds"]) == (len(before), len(before))
        assert (sum(one for one, _, _ in found), [failed for _, failed, _ in found]) == (len(before), [0, 0])
        assert located(one) == moved(one)
        assert wrong(one) == [] and one.catalog.lessees("apply") == []
    pg.drop(url)


def test_a_worker_that_dies(shared: Callable[[], Collection], client: Client) -> None:
    """Of a worker process that is killed under way, others do the rest: every copy is proved, once."""
    collection, killed = shared(), threading.Event()
    pids = client.run(os.getpid)  # type: ignore[no-untyped-call]

    def kill(progress: Any) -> None:
        if not killed.is_set():
            killed.set()
            os.kill(next(iter(pids.values())), 9)

    report = verify(collection, executor=client.get_executor(), concurrency=4, progress=kill)  # type: ignore[no-untyped-call]
    assert killed.is_set() and (report.ok, report.unknown) == (COPIES, 0)
    assert collection.frame("checks").height == COPIES
    client.wait_for_workers(2)  # type: ignore[no-untyped-call]


def test_what_goes_to_a_worker_is_little_and_no_secret(shared: Callable[[], Collection], s3_server: Server) -> None:
    """A worker gets to know which bucket, and finds its keys where it runs."""
    examiner = shared().store.examiner()
    sent = pickle.dumps(examiner) + repr(examiner).encode()
    assert len(sent) < 2_000
    secrets = [value for name, value in s3_server.environment.items() if "KEY" in name]
    assert secrets and not any(secret.encode() in sent for secret in secrets)


def test_what_a_killed_machine_had_comes_back(shared: Callable[[], Collection], tmp_path: Path) -> None:
    """Of a program that is killed while it extracts, or applies a plan, whoever comes next does the rest, at once."""
    collection = shared()
    add_store(collection, "near", str(tmp_path / "near"))
    plan = plan_relocate(collection, "near")
    saved = plan.save(collection.path / "plans")
    for work, left in (("extract", COPIES), ("apply", plan.units)):
        program = [sys.executable, "-m", "tests.verify.machine", str(collection.path), work, str(saved)]
        machine = subprocess.Popen(
            program, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert machine.stdout and machine.stdout.readline() == b"at work\n"
        ((owner, _),) = collection.catalog.lessees(work)
        assert go_on(collection, work, plan) == (0, left)  # it lives: what it has is left to it
        machine.kill()
        machine.wait()
        machine.stdout.close()
        assert [one for one, _ in collection.catalog.lessees(work)] == [owner]
        assert go_on(collection, work, plan) == (left, 0)
        assert collection.catalog.lessees(work) == []


def go_on(collection: Collection, work: str, plan: Plan) -> tuple[int, int]:
    """Run the rest of some work here: what was done, and what was left to others."""
    if work == "extract":
        report = extract(collection, concurrency=1)
        return report.extracted, report.elsewhere
    applied = apply(collection, plan, unapproved=True, max_share=1)
    return applied.done // 2, applied.elsewhere // 2


def test_two_machines_share_it_out(shared: Callable[[], Collection], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two runs at once each copy is checked by one, which the ledger shows."""
    monkeypatch.setattr(leasing, "PART", 4)
    machines, start = [shared(), shared()], threading.Barrier(2)

    def run(collection: Collection) -> int:
        start.wait()
        return verify(collection, executor=Inline(), concurrency=1).ok

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(run, machines))
    times = Counter(machines[0].frame("checks")["location_id"])
    assert sum(found) == COPIES == len(times) and set(times.values()) == {1}
    assert machines[0].catalog.lessees("verify") == []


def test_what_others_are_at_is_left_to_them(shared: Callable[[], Collection], clock: Clock) -> None:
    """A copy that another machine has taken on is left out, and told; once its lease is over it is due."""
    collection = shared()
    ids = [str(number) for number in collection.frame("locations")["id"]]
    collection.catalog.lease(
        "verify", ids[:3], owner="another machine/1@1/x", expires_at=clock.now + LEASE, as_of=clock.now
    )
    report = verify(collection, executor=Inline())
    assert (report.ok, dict(report.unchecked)) == (COPIES - 3, {ELSEWHERE: 3})
    clock.advance(minutes=16)
    assert verify(collection, executor=Inline(), max_age=LEASE).ok == COPIES


def test_what_the_dead_had_is_free_at_once(shared: Callable[[], Collection], clock: Clock) -> None:
    """Who died on this machine is known to be dead: nobody waits for its lease to run out."""
    collection, dead = shared(), new_owner()
    ids = [str(number) for number in collection.frame("locations")["id"]]
    collection.catalog.lease("verify", ids, owner=dead, expires_at=clock.now + LEASE, as_of=clock.now)
    assert verify(collection, executor=Inline()).unchecked == {ELSEWHERE: COPIES}
    retire(dead)
    assert verify(collection, executor=Inline()).ok == COPIES


def test_an_embedded_catalog_needs_no_leases(make_collection: Callable[..., Collection]) -> None:
    """One machine at a time has it: nothing is written down, everything is given."""
    collection = make_collection("cas")
    with Leases(collection, "verify", str, lambda some: set()) as leases:
        assert list(leases.parts(["1", "2"])) == [["1", "2"]]
        assert collection.catalog.lessees("verify") == []
        leases.done(["1"])
