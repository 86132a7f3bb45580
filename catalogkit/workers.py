"""Processes that do the heavy byte work: an `Executor` that is safe in a notebook, a script and a thread.

Plain child interpreters are used, not `multiprocessing`: forking beside threads is unsafe, and spawning
imports the caller's main module again, which an unguarded script or a notebook does not survive.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_HEADER = struct.Struct("<Q")
_CHILD = "import sys; sys.path[:] = {path!r}; from catalogkit.workers import serve; serve()"


class WorkerDied(RuntimeError):
    """A worker process ended before it answered."""


class Inline(Executor):
    """Runs every call at once in the caller's thread: for a handful of files, and for tests."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn(*args)`` now."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as problem:
            future.set_exception(problem)
        return future


class Workers(Executor):
    """`count` child interpreters, each served by one thread of this process.

    Calls and results cross as pickles, so `fn` must be importable. Children ignore Ctrl-C (the parent decides)
    and end when the parent does, however it ends, because their input then closes.
    """

    def __init__(self, count: int | None = None) -> None:
        self.count = count or os.cpu_count() or 1
        self._local = threading.local()
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="catalogkit-worker")

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn(*args)`` in the next free child."""
        return self._threads.submit(self._call, fn, args, kwargs)

    def _call(self, fn: Callable[..., T], args: Any, kwargs: Any) -> T:
        child: subprocess.Popen[bytes] | None = getattr(self._local, "child", None)
        if child is None:
            child = self._local.child = self._start()
        assert child.stdin and child.stdout
        try:
            _send(child.stdin, (fn, args, kwargs))
            done, value = _receive(child.stdout)
        except (EOFError, BrokenPipeError) as problem:
            self._local.child = None
            raise WorkerDied(f"a worker process ended with code {child.wait()}") from problem
        if done:
            return value  # type: ignore[no-any-return]
        raise value

    def _start(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", _CHILD.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        with self._lock:
            self._children.append(child)
        return child

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let running calls end, then end the children."""
        self._threads.shutdown(wait=wait, cancel_futures=cancel_futures)
        with self._lock:
            children, self._children = self._children, []
        for child in children:
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            child.wait()

    def __enter__(self) -> Self:
        return self


def serve() -> None:
    """Answer calls from standard input until it closes (the child's whole life)."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # so that nothing printed by accident can spoil an answer
    while True:
        try:
            fn, args, kwargs = _receive(calls)
        except EOFError:
            return
        try:
            answer = (True, fn(*args, **kwargs))
        except Exception as problem:
            answer = (False, problem)
        _send(answers, answer)


def _send(pipe: Any, value: object) -> None:
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(_HEADER.pack(len(data)) + data)
    pipe.flush()


def _receive(pipe: BinaryIO | Any) -> Any:
    head = pipe.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise EOFError
    (length,) = _HEADER.unpack(head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return pickle.loads(data)
