"""Verification by many machines: a Dask cluster reads, and runs beside each other share out one catalog.

The cluster is a real one of several processes, the catalog is on a PostgreSQL server, the bytes are in a bucket.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit import leasing
from catalogkit.collection import Collection, init, open_collection
from catalogkit.ingest import ingest
from catalogkit.leasing import LEASE, Leases
from catalogkit.owners import new_owner, retire
from catalogkit.proving import ELSEWHERE
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import Clock, make_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from distributed import Client

    from tests.pg import Server as Postgres
    from tests.s3.server import Server

COPIES = 24


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
