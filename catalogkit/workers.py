"""Worker processes for heavy byte work: an `Executor` that is safe in notebooks, scripts and threads.

Plain child interpreters are used, not `multiprocessing`: forking beside threads is unsafe, and spawning
imports the caller's main module again, which an unguarded script or a notebook does not survive.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import struct
import sys
import threading
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

from catalogkit.errors import CatalogKitError, InvalidInput

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator

A = TypeVar("A")
T = TypeVar("T")

_HEADER: Final = struct.Struct("<Q")
_CHILD: Final = "import sys; sys.path[:] = {path!r}; from catalogkit.workers import serve; serve()"
_IMPORTABLE: Final = "a worker process takes functions and plain data of modules that it can import"
HOME: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class WorkerDied(CatalogKitError):
    """A worker process ended before it answered."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Inline(Executor):
    """Runs every call at once in the caller's thread: for a handful of files, and for tests."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn(*args)`` now."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as problem:  # noqa: BLE001 - whatever it is, the future hands it to the caller
            future.set_exception(problem)
        return future


class Workers(Executor):
    """`count` child interpreters, each served by one thread of this process.

    Calls and results cross as pickles, so `fn` must be importable. Children ignore Ctrl-C (the parent decides)
    and end at once when the parent does, however it ends, because their input then closes.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or processors()
        self._local = threading.local()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="catalogkit-worker")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn(*args)`` in the next free child."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def _call(self, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        try:
            call = _pack((fn, args, kwargs))
        except (pickle.PicklingError, AttributeError, TypeError, RecursionError) as problem:
            raise InvalidInput(f"{problem}; {_IMPORTABLE}") from problem
        child: subprocess.Popen[bytes] | None = getattr(self._local, "child", None)
        if child is None:
            child = self._local.child = self._start()
        assert child.stdin and child.stdout
        try:
            _send(child.stdin, call)
            answer = _receive(child.stdout)
        except (EOFError, BrokenPipeError) as problem:
            self._local.child = None  # the next call starts another
            raise WorkerDied(
                f"a worker process ended before it answered, with code {self._end(child)}; -9 is often a lack of"
                " memory, of which a lower concurrency takes less"
            ) from problem
        done, value = pickle.loads(answer)
        if done:
            return value  # type: ignore[no-any-return]
        raise value

    def _start(self) -> subprocess.Popen[bytes]:
        import subprocess

        # Names of files must mean the same bytes on both sides, and this package must be found also where it was
        # imported by a relative path from a folder that is not the current one any more.
        path = [entry for entry in sys.path if isinstance(entry, str)] + [HOME]
        command = [sys.executable, "-S", "-X", f"utf8={sys.flags.utf8_mode}", "-c", _CHILD.format(path=path)]
        try:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        except OSError as problem:
            raise WorkerDied(f"no worker process could be started: {problem}; try a lower concurrency") from problem
        self._children.add(child)
        return child

    def _end(self, child: subprocess.Popen[bytes]) -> int:
        self._children.discard(child)
        for pipe in (child.stdin, child.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        return child.wait()

    def _end_all(self) -> None:
        self._threads.shutdown()
        for child in list(self._children):
            self._end(child)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let running calls end, then end the children."""
        self._threads.shutdown(wait=False, cancel_futures=cancel_futures)
        if wait:
            self._end_all()
        else:
            threading.Thread(target=self._end_all, name="catalogkit-worker-end").start()


def in_turn(workers: Executor, fn: Callable[[A], T], items: Iterable[A]) -> Iterator[T]:
    """``fn`` of each item, in order; a few are at work ahead, and no more than that of the items are taken."""
    running: deque[Future[T]] = deque()
    try:
        for item in items:
            running.append(workers.submit(fn, item))
            if len(running) > 2 * processors():
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def serve() -> None:
    """Answer calls from standard input until it closes (the child's whole life)."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What is called can neither eat a call nor spoil an answer.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    threading.Thread(target=end_with, args=(calls.fileno(),), daemon=True).start()
    with contextlib.suppress(EOFError):
        while True:
            _send(answers, _answer(_receive(calls)))


def end_with(pipe: int) -> None:
    """End this process, whatever it is doing, once the other end of `pipe` is closed."""
    poll = select.poll()
    poll.register(pipe, 0)  # that it was hung up is told unasked
    poll.poll()
    os._exit(0)


def _answer(call: bytes) -> bytes:
    try:
        fn, args, kwargs = pickle.loads(call)
    except Exception as problem:  # noqa: BLE001 - loading a pickle may raise anything
        return _pack((False, InvalidInput(f"{problem}; {_IMPORTABLE}")))
    try:
        return _pack((True, fn(*args, **kwargs)))
    except Exception as problem:  # noqa: BLE001 - it is raised again on the other side
        try:
            answer = _pack((False, problem))
            pickle.loads(answer)
        except Exception:  # noqa: BLE001 - an exception that cannot cross goes as its words
            answer = _pack((False, RuntimeError(f"{type(problem).__name__}: {problem}")))
        return answer


def _pack(value: object) -> bytes:
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


def _send(pipe: Any, data: bytes) -> None:
    pipe.write(_HEADER.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def _receive(pipe: BinaryIO | Any) -> bytes:
    head = pipe.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise EOFError
    (length,) = _HEADER.unpack(head)
    data: bytes = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return data
