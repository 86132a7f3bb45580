"""Verification by a Dask cluster on one machine: what its overhead is, and what many readers of a slow store gain.

The clusters are there, and have imported what they need, before a clock starts: whoever has one keeps it. Processor
time is that of this program and of the cluster's processes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks import corpus, ours
from benchmarks.bench import Bench
from benchmarks.race import Goal, Race, Sample, Untrue, once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.stores.contract import Asked, Examined

PROCESSES: Final = 2
SLOW: Final = (1, 2, 4)
SLOW_COPIES: Final = 400
DELAY_SECONDS: Final = 0.02


def run(bench: Bench) -> Iterator[Race]:
    """Two processes beside two threads; then one, two and four of a store that takes its time."""
    truth, home = bench.corpus("documents"), bench.scratch() / "ours"
    once(ours.ingest(home, truth))
    corpus.read(ours.cas(home))
    ours_first, threads = f"Dask, {PROCESSES} processes", f"{PROCESSES} threads"
    result = Race("verify, by workers", {"files": truth.unique_files}, {ours_first: [], threads: []})
    with _cluster(PROCESSES) as dask, ThreadPoolExecutor(PROCESSES) as pool:
        for number in range(bench.rounds):
            print(f"verify, by workers: round {number + 1} of {bench.rounds}", file=sys.stderr, flush=True)
            pair = [(ours_first, dask), (threads, pool)]
            for name, executor in pair if number % 2 else pair[::-1]:
                result.samples[name].append(_verify(home, executor, 2 * PROCESSES, truth.unique_files))
                result.load = max(result.load, os.getloadavg()[0])
    result.expect_speed(threads, 0.8, "verify over 2 processes of Dask: at least 0.8x the speed of 2 threads")
    yield result

    names = {count: f"Dask, {count} process{'es' * (count > 1)}" for count in SLOW}
    copies = min(SLOW_COPIES, truth.unique_files)
    slow = Race(
        f"verify, {1000 * DELAY_SECONDS:.0f} ms a copy", {"files": copies}, {name: [] for name in names.values()}
    )
    for _ in range(min(bench.rounds, 2)):
        for count, name in names.items():
            with _cluster(count) as dask:
                slow.samples[name].append(_verify(home, dask, 2 * count, copies, DELAY_SECONDS))
                slow.load = max(slow.load, os.getloadavg()[0])
    for count in SLOW[1:]:
        times = 1 / slow.ratio(names[count], "wall").median
        text = f"verify of a slow store: {count} processes at least {0.8 * count:.1f}x as fast as one"
        slow.goals.append(Goal(text, f"{times:.2f}x", "met" if times >= 0.8 * count else "NOT MET"))
    yield slow


@contextmanager
def _cluster(processes: int) -> Iterator[Executor]:
    """The executor of a cluster on this machine that has nothing more to import."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=processes, threads_per_worker=1, dashboard_address=None, env=dict(ours.ENV)
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        client.run(_import)  # type: ignore[no-untyped-call]
        yield client.get_executor()  # type: ignore[no-untyped-call]


def _import() -> None:
    import catalogkit.stores.local  # noqa: F401


def _verify(home: Path, executor: Executor, concurrency: int, copies: int, delay: float = 0.0) -> Sample:
    from catalogkit.collection import open_collection
    from catalogkit.verify import verify

    with open_collection(home) as collection:
        if delay:
            store: Any = collection.store
            store.examiner = partial(partial, _slowly, store.examiner(), delay)
        cpu, began = _used(), time.perf_counter()
        found = verify(collection, max_copies=copies, executor=executor, concurrency=concurrency)
        wall, cpu = time.perf_counter() - began, _used() - cpu
    if found.ok != copies:
        raise Untrue(f"{found.ok} copies are well instead of {copies}")
    return Sample(wall, cpu, "", None)


def _slowly(
    examine: Callable[[Sequence[Asked]], list[Examined]], delay: float, batch: Sequence[Asked]
) -> list[Examined]:
    time.sleep(delay * len(batch))
    return examine(batch)


def _used() -> float:
    """The processor time of this program and of its processes so far."""
    import psutil

    this = psutil.Process()
    times = [process.cpu_times() for process in [this, *this.children(recursive=True)]]
    return sum(one.user + one.system for one in times)
