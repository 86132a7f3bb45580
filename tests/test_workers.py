"""Workers: calls that run in other processes, from wherever they are asked, and nothing left over afterwards."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from catalogkit.errors import CatalogKitError, InvalidInput, KeyTaken
from catalogkit.workers import Inline, WorkerDied, Workers, in_turn, processors
from tests import worker_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def one() -> Iterator[Workers]:
    """A single worker."""
    with Workers(1) as workers:
        yield workers


def test_in_turn() -> None:
    """Results come in the order of the items, of which no more are taken than are worked at; an error is told."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(3) as workers:
        results = in_turn(workers, lambda number: number * number, items())
        assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
        assert len(taken) <= 5 + 2 * processors()
        assert list(results) == [number * number for number in range(5, 100)]
        with pytest.raises(ZeroDivisionError):
            list(in_turn(workers, lambda number: 1 // (number - 3), range(9)))


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


# -- results and errors ----------------------------------------------------------------------------------------------


def test_results(one: Workers) -> None:
    """Calls with positional and named arguments give their results, computed in another process."""
    assert one.submit(divmod, 17, 5).result() == (3, 2)
    assert one.submit(int, "ff", base=16).result() == 255
    assert list(one.map(abs, [-1, 2, -3])) == [1, 2, 3]
    assert one.submit(os.getpid).result() != os.getpid()


def test_exceptions_keep_type_and_message(one: Workers) -> None:
    """What a call raises is raised here, as it is; the worker goes on."""
    with pytest.raises(ValueError, match=r"invalid literal.*'x'"):
        one.submit(int, "x").result()
    with pytest.raises(FileNotFoundError) as problem:
        one.submit(os.stat, "/nowhere").result()
    assert (problem.value.errno, problem.value.filename) == (errno.ENOENT, "/nowhere")
    assert one.submit(os.getpid).result() == one.submit(os.getpid).result()


def test_our_errors_cross(one: Workers) -> None:
    """Errors of the package arrive as what they are."""
    from catalogkit.model import Digest

    with pytest.raises(InvalidInput, match="32 bytes"):
        one.submit(Digest, b"short").result()
    with pytest.raises(TypeError):
        one.submit(KeyTaken, not_an_argument=1).result()


def test_an_exception_that_cannot_cross_comes_as_words(one: Workers) -> None:
    """An exception that does not survive pickling is told by its name and message; the worker goes on."""
    with pytest.raises(RuntimeError, match="Odd: this and that"):
        one.submit(worker_calls.raise_odd).result()
    assert one.submit(abs, -1).result() == 1


def test_a_result_that_cannot_cross_is_an_error(one: Workers) -> None:
    """A result that cannot be pickled is an error of its call; the worker goes on."""
    with pytest.raises(Exception, match="pickle"):
        one.submit(worker_calls.give_a_function).result()
    assert one.submit(abs, -1).result() == 1


def test_functions_must_be_importable(one: Workers) -> None:
    """A lambda, a local function or an argument that cannot be pickled is refused in words that help."""

    def local() -> None: ...

    with pytest.raises(InvalidInput, match="import"):
        one.submit(lambda: None).result()
    with pytest.raises(InvalidInput, match="import"):
        one.submit(local).result()
    with pytest.raises(InvalidInput, match="lock"):
        one.submit(worker_calls.echo, threading.Lock()).result()
    assert one.submit(abs, -1).result() == 1


def test_functions_of_the_main_script_are_refused_in_words() -> None:
    """A function of an unguarded script is not found by a worker, and the error says what can be sent."""
    script = (
        "from catalogkit.workers import Workers\ndef mine(): ...\nwith Workers(1) as w:\n"
        "    try: w.submit(mine).result()\n    except Exception as problem: print(type(problem).__name__, problem)"
    )
    said = subprocess.run([sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("InvalidInput ") and "import" in said.stdout
    assert said.stderr == ""


def test_big_payloads(one: Workers) -> None:
    """Arguments and results larger than any pipe cross whole."""
    data = os.urandom(1 << 20) * 40
    assert one.submit(worker_calls.echo, data).result() == data


def test_nothing_printed_spoils_an_answer(one: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    """A call may print, and start programs that print; it goes to stderr. Of standard input there is none."""
    assert one.submit(worker_calls.make_noise).result() == ""
    assert one.submit(abs, -1).result() == 1
    seen = capfd.readouterr()
    assert seen.out == ""
    assert seen.err.count("noise") >= 2


# -- at once -----------------------------------------------------------------------------------------------------


def test_calls_run_at_once(tmp_path: Path) -> None:
    """Two workers run two calls at one time, each in a process of its own: they meet."""
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    os.mkfifo(a)
    os.mkfifo(b)
    with Workers(2) as workers:
        first, second = workers.submit(worker_calls.meet, a, b), workers.submit(worker_calls.meet, b, a)
        assert first.result() != second.result()


def test_use_from_several_threads() -> None:
    """Threads may share workers, and make their own."""
    with Workers(2) as shared, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda n: shared.submit(abs, -n).result(), range(40))) == list(range(40))

        def own(n: int) -> int:
            with Workers(1) as workers:
                return workers.submit(abs, -n).result()

        assert list(threads.map(own, range(2))) == [0, 1]


def test_children_start_when_they_are_needed() -> None:
    """Many workers cost nothing until there is work for them."""
    before = children()
    with Workers(16) as workers:
        assert children() == before
        workers.submit(abs, 1).result()
        assert len(children() - before) == 1


def test_processors_counts_what_may_be_used() -> None:
    """A process that is confined to one processor counts one."""
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from catalogkit.workers import processors, Workers; print(processors(), Workers().count)"
    said = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["1", "1"]
    assert processors() >= 1


# -- when things end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end, code", [((os._exit, 3), "code 3"), ((signal.raise_signal, signal.SIGKILL), "code -9")])
def test_a_worker_that_dies_is_told_and_replaced(one: Workers, end: tuple[object, int], code: str) -> None:
    """A child that ends during a call is an error of that call; the next call gets a new child."""
    with pytest.raises(WorkerDied, match=code):
        one.submit(*end).result()  # type: ignore[arg-type]
    assert one.submit(abs, -1).result() == 1
    assert issubclass(WorkerDied, CatalogKitError)


def test_a_worker_killed_between_calls(one: Workers) -> None:
    """A child that was killed while idle fails one call at most; no zombie stays."""
    before = children()
    pid = one.submit(os.getpid).result()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(WorkerDied):
        one.submit(abs, -1).result()
    assert one.submit(abs, -1).result() == 1
    assert pid not in children()
    assert len(children() - before) == 1


def test_a_child_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started the error is about workers, not about the file that was to be read."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Workers(1) as workers, pytest.raises(WorkerDied, match="started"):
        workers.submit(abs, -1).result()


def test_nothing_is_left_after_shutdown() -> None:
    """After shutdown there is no child, no zombie and no open pipe."""
    before, files = children(), set(os.listdir("/proc/self/fd"))
    workers = Workers(3)
    wait([workers.submit(abs, n) for n in range(30)])
    assert children() > before
    workers.shutdown()
    assert children() == before
    assert len(os.listdir("/proc/self/fd")) <= len(files)
    with pytest.raises(RuntimeError, match="shutdown"):
        workers.submit(abs, 1)


def test_shutdown_lets_running_calls_end(tmp_path: Path) -> None:
    """Shutdown without waiting returns at once; the running call ends well, waiting ones are cancelled if asked."""
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    os.mkfifo(a)
    os.mkfifo(b)
    before = children()
    workers = Workers(1)
    running = workers.submit(worker_calls.meet, a, b)
    while not running.running():
        time.sleep(0.001)
    waiting = workers.submit(abs, -1)
    workers.shutdown(wait=False, cancel_futures=True)
    assert not running.done() and waiting.cancelled()
    worker_calls.meet(b, a)
    assert running.result() != os.getpid()
    for thread in threading.enumerate():
        if thread.name == "catalogkit-worker-end":
            thread.join()
    assert children() == before


PARENT = """
import os, time
from catalogkit.workers import Workers
workers = Workers(2)
busy = workers.submit(time.sleep, 600)
workers.submit(os.getpid).result()
print("ready", flush=True)
busy.result()
"""


def test_children_end_with_a_killed_parent() -> None:
    """A parent that is killed takes its children along, the idle and the busy, so that none works on unseen."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent, parent.stdout:
        assert parent.stdout.readline() == "ready\n"
        processes = psutil.Process(parent.pid).children()
        parent.kill()
    assert len(processes) == 2
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive


INTERRUPTED = """
import os, signal, sys
from catalogkit.workers import Workers
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs this in the background has it ignored
with Workers(1) as workers:
    pid = workers.submit(os.getpid).result()
    try:
        print("ready", flush=True)
        sys.stdin.readline()
        while True:
            pass
    except KeyboardInterrupt:
        print(workers.submit(os.getpid).result() == pid)
"""


def test_ctrl_c_is_the_parents_alone() -> None:
    """Ctrl-C at a terminal goes to a whole process group; the children, in another, go on until they are told."""
    parent = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate("\n")  # a line, lest it waits for one, deaf to a signal that came just before
    assert (parent.returncode, out, err) == (0, "True\n", "")


# -- wherever it is asked from ---------------------------------------------------------------------------------------

UNGUARDED = """
print("once")
from catalogkit.workers import Workers
workers = Workers(2)
print(sum(workers.map(abs, range(-9, 1))))
"""
CLOSED = UNGUARDED + "workers.shutdown()\n"
AFAR = """
import os
from catalogkit.workers import Workers
os.chdir("/")
with Workers(1) as workers:
    print(workers.submit(abs, -1).result())
"""


@pytest.mark.parametrize("way", ["script", "-c", "stdin", "module"])
def test_a_main_module_without_a_guard(tmp_path: Path, way: str) -> None:
    """A script, -c, standard input and -m work without an `if __name__ == "__main__"`, and are not run twice."""
    (tmp_path / "unguarded.py").write_text(CLOSED)
    args = {"script": ["unguarded.py"], "-c": ["-c", CLOSED], "stdin": [], "module": ["-m", "unguarded"]}[way]
    said = subprocess.run(
        [sys.executable, *args],
        input=CLOSED if way == "stdin" else "",
        env=ENVIRONMENT,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (said.stdout, said.stderr) == ("once\n45\n", "")


def test_workers_that_are_never_shut_down_hold_nothing_up(tmp_path: Path) -> None:
    """A program that forgets its workers still ends, and they with it."""
    said = subprocess.run(
        [sys.executable, "-c", UNGUARDED], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert said.stdout == "once\n45\n"


def test_the_package_is_found_from_another_folder() -> None:
    """A package that was imported by way of the current folder is found by workers after the folder was changed."""
    env = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", "-c", AFAR]  # without what may be installed
    said = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, check=True)
    assert said.stdout == b"1\n"


def test_odd_entries_of_the_path_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python itself passes over on its path does not keep a worker from starting."""
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/a/path"), None, "/caf\udce9", "quo'te\"{x}\n"])
    with Workers(1) as workers:
        assert workers.submit(abs, -1).result() == 1


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_names_of_files_mean_the_same_on_both_sides(utf8: str) -> None:
    """Parent and worker encode names of files alike, whatever the locale, so that none seems to be missing."""
    code = (
        "import sys\nfrom catalogkit.workers import Workers\nwith Workers(1) as w:\n"
        "    print(sys.getfilesystemencoding(), w.submit(sys.getfilesystemencoding).result())"
    )
    env = {**ENVIRONMENT, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-X", f"utf8={utf8}", "-c", code]
    here, there = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()
    assert here == there


# -- in place --------------------------------------------------------------------------------------------------------


def test_inline_runs_at_once() -> None:
    """Inline calls are done when they return, in this process, with their result or their exception."""
    inline = Inline()
    assert inline.submit(os.getpid).result() == os.getpid()
    failed = inline.submit(int, "x")
    assert isinstance(failed.exception(), ValueError)
    assert list(inline.map(abs, [-1, 2])) == [1, 2]


def test_inline_does_not_swallow_ctrl_c() -> None:
    """Ctrl-C during an inline call goes to the caller, not into a future."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Inline().submit(interrupted)
