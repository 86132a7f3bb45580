"""What a run covers, where it stops, what it leaves behind, and how the next one goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit import proving
from catalogkit.collection import open_collection
from catalogkit.errors import InvalidInput
from catalogkit.ingest import ingest
from catalogkit.verify import verify
from catalogkit.workers import Inline, WorkerDied
from tests.verify.doubles import Around
from tests.verify.world import copies, last_checked, ledger, outcomes, times_checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from catalogkit.collection import Collection
    from catalogkit.progress import Progress
    from catalogkit.stores.contract import Asked, Examined
    from tests.conftest import Clock


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy is a job of its own; with one reader, at most two are under way."""
    monkeypatch.setattr(proving, "JOB_FILES", 1)
    monkeypatch.setattr(proving, "FOREIGN_FILES", 1)


@pytest.fixture
def small(make_collection: Callable[..., Collection], stock: Callable[..., Collection]) -> Collection:
    """Ten documents of equal size; one copy each."""
    return stock(make_collection("cas"), 10)


# -- what is covered -------------------------------------------------------------------------------------------------


def test_an_empty_catalog(collection: Collection) -> None:
    """With nothing stored a run ends well, with nothing checked and nothing left out."""
    report = verify(collection)
    assert outcomes(report) == (0, 0, 0, 0)
    assert report.clean and not report.unchecked
    assert report.coverage is not None and report.coverage.share is None


def test_an_empty_list_verifies_nothing(small: Collection) -> None:
    """An empty list of ids is no documents, not all of them."""
    report = verify(small, [])
    assert report.checked == 0 and not report.unchecked
    assert ledger(small) == []


def test_ids_that_do_not_exist_are_reported(small: Collection) -> None:
    """Ids of no document are counted, each once, and hold up nothing."""
    report = verify(small, [1, 999, 2, 1000, 999, -5])
    assert outcomes(report) == (2, 0, 0, 0)
    assert report.unchecked == {"no such document": 3}


def test_documents_stand_for_their_copies(
    make_collection: Callable[..., Collection], stock: Callable[..., Collection]
) -> None:
    """A document's id checks every copy of its content, once, however many ids of it are given."""
    collection = stock(make_collection("policy"), {"a.txt": b"shared", "b.txt": b"shared", "c.txt": b"other"})
    by_name = {row["artifact_id"]: row["id"] for row in collection.frame("documents").rows(named=True)}
    a, b = by_name["a.txt"], by_name["b.txt"]
    report = verify(collection, [a, b, a])
    assert outcomes(report) == (2, 0, 0, 0)
    checked = {Path(str(path)).name for path, n in zip(copies(collection), _in_order(collection), strict=True) if n}
    assert checked == {"a.txt", "b.txt"}


def _in_order(collection: Collection) -> list[int]:
    times = times_checked(collection)
    return [times[row["id"]] for row in collection.frame("locations").sort("key").rows(named=True)]


def test_documents_without_a_copy_are_reported(small: Collection) -> None:
    """A document whose last known place was given up has nothing to check, and the report says so."""
    (row,) = small.catalog.find(limit=1)
    Path(small.location(row)).unlink()
    assert verify(small, [row.id]).missing == 1
    with small.catalog.write("test") as db:  # type: ignore[attr-defined]
        db.execute("DELETE FROM locations WHERE sha256 = ?", (row.sha256,))
    report = verify(small, [row.id, row.id + 1])
    assert outcomes(report) == (1, 0, 0, 0)
    assert report.unchecked == {"no copy is known": 1}


def test_max_age(small: Collection, stock: Callable[..., Collection], clock: Clock) -> None:
    """Only copies whose last check is older are read; the others are counted as left out."""
    verify(small)
    clock.advance(days=29)
    stock(small, {"new.txt": b"new"})
    assert outcomes(report := verify(small, max_age=timedelta(days=30))) == (1, 0, 0, 0)
    assert report.unchecked == {"checked lately enough": 10}
    clock.advance(days=2)
    assert outcomes(report := verify(small, max_age=timedelta(days=30))) == (10, 0, 0, 0)
    assert report.unchecked == {"checked lately enough": 1}


def test_never_checked_is_older_than_any_age(small: Collection) -> None:
    """Copies that were never checked are due, however long the age that is asked for."""
    verify(small, [1])
    for age in (timedelta(days=365 * 100), timedelta.max):
        verify(small, [2, 3], max_age=age)
    assert verify(small, max_age=timedelta.max).checked == 7
    assert set(times_checked(small).values()) == {1}


def test_max_age_of_some_documents(small: Collection, clock: Clock) -> None:
    """With ids, too, copies that were checked lately are left out, and counted."""
    verify(small, [1, 2, 3])
    clock.advance(days=1)
    report = verify(small, [1, 2, 3, 4], max_age=timedelta(days=2))
    assert outcomes(report) == (1, 0, 0, 0)
    assert report.unchecked == {"checked lately enough": 3}


def test_the_oldest_check_comes_first(small: Collection, clock: Clock) -> None:
    """A run that may read little reads what was not checked for longest, never what another run just did."""
    for ids in ([7, 8], [1, 2, 3], [4, 5, 6], [9, 10]):
        verify(small, ids)
        clock.advance(days=1)
    before = last_checked(small)
    report = verify(small, max_bytes=1, concurrency=1)
    after = last_checked(small)
    (read,) = [copy for copy in after if after[copy] != before[copy]]
    assert report.checked == 1
    assert before[read] == min(filter(None, before.values()))


# -- budgets -----------------------------------------------------------------------------------------------------


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock for budgets that only moves when told to."""
    time = SimpleNamespace(now=100.0)
    monkeypatch.setattr(proving, "time", SimpleNamespace(monotonic=lambda: time.now))
    return time


def test_a_time_budget_ends_the_run(small: Collection, seconds: SimpleNamespace) -> None:
    """After so much time no further copy is begun, and the rest is counted as not checked."""

    def slow(read: Callable[..., list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
        seconds.now += 60 * len(batch)
        return read(batch)

    Around(small, slow)
    report = verify(small, budget=timedelta(minutes=3), executor=Inline(), concurrency=1)
    assert outcomes(report) == (3, 0, 0, 0)
    assert report.stopped == "time budget used up"
    assert report.unchecked == {"time budget used up": 7}
    assert report.seconds == 180


def test_the_smallest_time_budget_gets_somewhere(small: Collection, seconds: SimpleNamespace, clock: Clock) -> None:
    """However short the budget, repeated runs check everything in the end."""
    for _ in range(10):
        clock.advance(hours=1)
        assert verify(small, budget=timedelta(0), executor=Inline(), concurrency=1).checked == 1
    assert set(times_checked(small).values()) == {1}


@pytest.mark.parametrize("max_bytes, runs", [(1, 12), (2500, 6), (10**9, 1)])
def test_runs_within_a_byte_budget_check_everything(
    make_collection: Callable[..., Collection],
    stock: Callable[..., Collection],
    clock: Clock,
    max_bytes: int,
    runs: int,
) -> None:
    """So many runs of at most about so many bytes check every copy, and none twice before all are checked once."""
    collection = stock(make_collection("cas"), {str(n): b"%4d" % n * 500 for n in range(12)})
    left = 12
    for run in range(runs):
        assert max(times_checked(collection).values()) <= 1, run
        clock.advance(days=1)
        report = verify(collection, max_bytes=max_bytes, concurrency=1)
        assert report.bytes < max_bytes + 2000
        left -= report.checked
        # Until nothing is left over, the last run included: it began with what was oldest.
        assert sum(report.unchecked.values()) == 12 - report.checked
    assert left <= 0
    assert min(times_checked(collection).values()) == 1


def test_a_budget_of_no_bytes_reads_none(small: Collection) -> None:
    """Nothing is read where nothing may be, and all of it is counted as not checked."""
    report = verify(small, max_bytes=0)
    assert report.checked == report.bytes == 0
    assert report.unchecked == {"byte budget used up": 10}


@pytest.mark.parametrize("ids", [None, list(range(1, 9))], ids=["all", "some"])
@pytest.mark.parametrize("way", ["bytes", "time", "fail_fast", "stop"])
def test_nothing_is_left_out_silently(
    small: Collection, seconds: SimpleNamespace, way: str, ids: list[int] | None
) -> None:
    """However a run ends early, what was checked and what was not add up, each with its reason."""
    stop = threading.Event()
    for path in copies(small):
        path.unlink()

    def third(progress: Progress) -> None:
        if progress.done == 3:
            seconds.now += 1000
            if way == "stop":
                stop.set()

    limits: dict[str, dict[str, Any]] = {
        "bytes": {"max_bytes": 30},
        "time": {"budget": timedelta(seconds=999)},
        "fail_fast": {"fail_fast": True},
        "stop": {"stop": stop},
    }
    report = verify(small, ids, executor=Inline(), progress=third, **limits[way], concurrency=1)
    count = len(ids or range(10))
    assert 0 < report.checked < count
    assert report.unchecked == {report.stopped: count - report.checked}


# -- ending early ----------------------------------------------------------------------------------------------------


def test_fail_fast_keeps_what_was_read(small: Collection) -> None:
    """A bad copy in the middle ends the run; the results so far, and that one, are reported and in the ledger."""
    paths = copies(small)
    paths[5].unlink()
    report = verify(small, fail_fast=True, executor=Inline(), concurrency=1)
    assert outcomes(report) == (5, 0, 1, 0)
    assert report.stopped == "fail_fast"
    assert [row["outcome"] for row in ledger(small)].count("missing") == 1
    assert len(ledger(small)) == 6


def test_fail_fast_in_threads(small: Collection) -> None:
    """With several readers the bad copy is among the results, those beside it are kept, and the rest is counted."""
    copies(small)[2].unlink()
    report = verify(small, fail_fast=True, concurrency=3)
    assert report.missing == 1
    assert len(ledger(small)) == report.checked
    assert report.unchecked == ({"fail_fast": 10 - report.checked} if report.checked < 10 else {})


def test_fail_fast_does_not_stop_for_the_unknown(small: Collection) -> None:
    """What could not be decided is no failure: the run goes on."""

    def fail(read: object, batch: Sequence[Asked]) -> list[Examined]:
        raise TimeoutError

    Around(small, fail)
    report = verify(small, fail_fast=True, executor=Inline(), concurrency=1)
    assert outcomes(report) == (0, 0, 0, 10) and report.stopped == ""


def test_a_stop_from_outside_keeps_what_was_read(small: Collection) -> None:
    """An event that another thread sets ends the run after the reads under way; their results are kept."""
    stop = threading.Event()
    progress = _after(3, stop.set)
    report = verify(small, executor=Inline(), stop=stop, progress=progress, concurrency=1)
    assert report.stopped == "interrupted"
    assert len(ledger(small)) == report.checked == 4  # it was under way when the event came


def test_a_stop_that_comes_too_late_is_none(small: Collection) -> None:
    """When everything is read by the time a run is to stop, it ended well, and there is nothing to resume."""
    stop = threading.Event()
    report = verify(small, executor=Inline(), stop=stop, progress=_after(10, stop.set), concurrency=1)
    assert (report.checked, report.stopped, report.unchecked) == (10, "", {})
    assert small.catalog.unfinished_run("verify") is None


def _after(count: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    def on_progress(progress: Progress) -> None:
        if progress.done == count:
            act()

    return on_progress


def _raise(problem: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise problem

    return act


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), WorkerDied("killed"), ValueError("a bug")])
def test_an_interrupt_keeps_what_was_read(small: Collection, problem: BaseException) -> None:
    """Ctrl-C, or an error half way, goes to the caller; what was read before is in the ledger."""
    with pytest.raises(type(problem)):
        verify(small, executor=Inline(), progress=_after(3, _raise(problem)), concurrency=1)
    assert len(ledger(small)) >= 3
    assert small.catalog.unfinished_run("verify") is not None


def test_a_read_that_fails_spoils_no_other(small: Collection) -> None:
    """Where one job ends in an error, the results of the others, finished with it, are kept."""

    def fail_once(read: Callable[..., list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
        seen.extend(batch)
        if len(seen) == 4:
            raise WorkerDied("killed")
        return read(batch)

    seen: list[Asked] = []
    Around(small, fail_once)
    with pytest.raises(WorkerDied):
        verify(small, executor=Inline(), concurrency=1)
    assert len(ledger(small)) == len(seen) - 1


@pytest.mark.parametrize("way", ["stop", "interrupt", "bytes"])
def test_resume_goes_on_exactly(small: Collection, clock: Clock, way: str) -> None:
    """After an end before its time, resume reads what was not read, nothing else, and ends that same run."""
    stop = threading.Event()
    if way == "interrupt":
        with pytest.raises(KeyboardInterrupt):
            verify(small, executor=Inline(), progress=_after(4, _raise(KeyboardInterrupt())), concurrency=1)
    elif way == "stop":
        verify(small, executor=Inline(), progress=_after(4, stop.set), stop=stop, concurrency=1)
    else:
        verify(small, max_bytes=len(b"document 0") * 4, concurrency=1)
    first = ledger(small)
    assert len(first) == 4
    clock.advance(hours=1)
    verify(small, [1])  # a look at one document in between is no run, and changes nothing of this
    clock.advance(hours=1)
    report = verify(small, resume=True)
    read = {row["location_id"] for row in ledger(small)[len(first) + 1 :]}
    assert read == set(times_checked(small)) - {row["location_id"] for row in first} - {_location(small, 1)}
    assert report.run_id == first[0]["run_id"]
    assert report.unchecked == {"checked lately enough": 10 - len(read)}
    assert small.catalog.unfinished_run("verify") is None


def _location(collection: Collection, document_id: int) -> int:
    digest = collection.catalog.digests_of([document_id])[document_id]
    return collection.catalog.locations_of(digest)[0].id


def test_resume_can_be_interrupted_again(small: Collection, clock: Clock) -> None:
    """A resumed run that is interrupted is resumed in its turn; together they check everything once."""
    for expected in (4, 4, 2):
        stop = threading.Event()
        clock.advance(minutes=1)
        progress = _after(3, stop.set)
        report = verify(small, executor=Inline(), progress=progress, stop=stop, resume=True, concurrency=1)
        assert report.checked == expected
    assert set(times_checked(small).values()) == {1}
    assert len({row["run_id"] for row in ledger(small)}) == 1


def test_resume_with_nothing_to_resume_checks_all(small: Collection, clock: Clock) -> None:
    """After a run that ended well, resume begins a new one."""
    first = verify(small)
    clock.advance(days=1)
    again = verify(small, resume=True)
    assert again.checked == 10 and again.run_id != first.run_id


def test_resume_of_a_limited_run(small: Collection, clock: Clock) -> None:
    """Resume and max_age together leave out what either leaves out."""
    verify(small, [1, 2])
    clock.advance(days=1)
    verify(small, max_bytes=30, max_age=timedelta(hours=30), concurrency=1)
    clock.advance(hours=1)
    report = verify(small, max_age=timedelta(hours=30), resume=True)
    assert sorted(times_checked(small).values()) == [1] * 10
    assert report.unchecked == {"checked lately enough": 5}


KILLED = """
import os, signal, sys
from catalogkit import proving
from catalogkit.collection import open_collection
from catalogkit.verify import verify
from catalogkit.workers import Inline
proving.LEDGER_SECONDS, proving.FOREIGN_FILES = 0, 1
def die(progress):
    if progress.done == 6:
        os.kill(os.getpid(), signal.SIGKILL)
verify(open_collection(sys.argv[1]), executor=Inline(), progress=die, concurrency=1)
"""


def test_resume_after_a_kill(small: Collection) -> None:
    """A killed process leaves what reached the ledger; the next one, resuming, reads the rest and only that."""
    dead = subprocess.run([sys.executable, "-c", KILLED, str(small.path)], check=False)
    assert dead.returncode == -signal.SIGKILL
    assert len(ledger(small)) == 6
    with open_collection(small.path) as again:
        assert verify(again, resume=True).checked == 4
    assert set(times_checked(small).values()) == {1}


# -- the ledger ------------------------------------------------------------------------------------------------------


def test_the_ledger_has_one_row_per_check(small: Collection, clock: Clock) -> None:
    """Each check, of whatever outcome, leaves one row: when, what, how much, by which run."""
    copies(small)[0].unlink()
    report = verify(small)
    rows = ledger(small)
    assert len(rows) == report.checked == 10
    assert sum(row["bytes"] for row in rows) == report.bytes
    assert {row["run_id"] for row in rows} == {report.run_id}
    assert {row["checked_at"] for row in rows} == {clock.now}
    assert sorted(row["outcome"] for row in rows) == ["missing"] + ["ok"] * 9
    assert set(last_checked(small).values()) == {clock.now}


def test_the_ledger_is_written_as_the_run_goes(small: Collection, seconds: SimpleNamespace) -> None:
    """What was read is in the ledger within a second: a power cut costs no more."""
    behind: list[int] = []

    def tick(progress: Progress) -> None:
        seconds.now += 0.5
        behind.append(progress.done - len(ledger(small)))

    verify(small, executor=Inline(), progress=tick, concurrency=1)
    assert max(behind) <= 2
    assert behind.count(0) > 3


def test_the_time_of_a_run_is_its_own(small: Collection) -> None:
    """`as_of` is when the checks were made, in whatever zone it is given, and the run's name says it in UTC."""
    from datetime import timezone

    zone = timezone(timedelta(hours=-5))
    report = verify(small, as_of=datetime(2026, 3, 1, 19, 30, tzinfo=zone))
    assert report.run_id == "verify-20260302T003000.000000Z"
    assert {row["checked_at"].isoformat() for row in ledger(small)} == {"2026-03-02T00:30:00+00:00"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_age": timedelta(days=-1)},
        {"budget": timedelta(seconds=-1)},
        {"max_bytes": -1},
        {"concurrency": 0},
        {"as_of": datetime(2026, 3, 1)},  # noqa: DTZ001 - that is what is wrong with it
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_wrong_arguments_change_nothing(small: Collection, wrong: dict[str, Any]) -> None:
    """An argument that makes no sense is refused before anything is read or written."""

    def never(read: object, batch: object) -> list[Examined]:
        raise AssertionError("something was read")

    Around(small, never)
    for ids in (None, [1]):
        with pytest.raises(InvalidInput):
            verify(small, ids, **wrong)
    assert ledger(small) == []
    assert small.catalog.unfinished_run("verify") is None


# -- while the world changes -----------------------------------------------------------------------------------------


def test_a_copy_replaced_while_it_is_read(
    make_collection: Callable[..., Collection],
    stock: Callable[..., Collection],
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """New content taken in while the old is being read is not marked by what was found of the old."""
    collection = stock(make_collection("cas"), {"a.txt": b"old"}, mode="reference")

    def replace_first(read: Callable[..., list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
        if batch[0].bytes == len(b"old"):
            (source / "a.txt").write_bytes(b"something new")
            assert ingest(collection, source, mode="reference").ingested == 1
        return read(batch)

    _, store = collection.in_place()
    read = store.examiner()
    monkeypatch.setattr(store, "examiner", lambda: partial(replace_first, read))
    report = verify(collection, executor=Inline())
    assert outcomes(report) == (1, 1, 0, 0)
    (row,) = collection.frame("locations").rows(named=True)
    assert row["bytes"] == len(b"something new") and row["outcome"] == "ok"
    assert collection.catalog.integrity() == []


def test_a_copy_dropped_while_it_is_read(small: Collection) -> None:
    """A copy given up while it is being read stays given up; the check is history."""
    path = copies(small)[0]
    (record,) = [record for record in small.catalog.find() if small.location(record) == str(path)]

    def drop_first(read: Callable[..., list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
        with small.catalog.write("test") as db:  # type: ignore[attr-defined]
            db.execute("UPDATE locations SET outcome = 'missing' WHERE sha256 = ?", (record.sha256,))
            db.execute("DELETE FROM locations WHERE sha256 = ?", (record.sha256,))
        return read(batch)

    Around(small, drop_first)
    report = verify(small, executor=Inline(), concurrency=1)
    assert report.ok == 10
    assert small.frame("locations").height == 9
    assert len(ledger(small)) == 10
    assert small.catalog.integrity() == []


def test_two_runs_at_once(small: Collection) -> None:
    """A copy that another run checks meanwhile may be left to it, and then is counted as that."""
    with open_collection(small.path, clock=small.clock) as other:

        def meanwhile(read: Callable[..., list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
            if not others:
                others.append(verify(other))
            return read(batch)

        others: list[Any] = []
        Around(small, meanwhile)
        report = verify(small, executor=Inline(), concurrency=1)
    assert others[0].checked == 10
    assert report.checked + sum(report.unchecked.values()) == 10


def test_json_of_a_run_over_the_command_line(small: Collection) -> None:
    """`catalogkit verify --json` answers with the promised keys."""
    env = {**os.environ, "CATALOGKIT_HOME": str(small.path)}
    done = subprocess.run(
        [sys.executable, "-m", "catalogkit", "verify", "--json"], env=env, capture_output=True, check=True
    )
    answer = json.loads(done.stdout)
    assert {"ok", "corrupt", "missing", "unknown", "bytes", "seconds", "unchecked"} <= answer.keys()
    assert answer["ok"] == 10
