"""Runs extraction in child processes that may crash, hang or run out of memory without ending the run.

Each of a few child interpreters reads many documents, one after another. A few are sent ahead, so that no child waits
for its parent. Where a child ends, or takes too long, it is ended and replaced, the document it was reading is
refused, and those that were sent ahead are sent again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import msgspec

from catalogkit.content import Reason
from catalogkit.errors import CatalogKitError
from catalogkit.extract.reading import refused
from catalogkit.extract.sniffing import media_type_of
from catalogkit.extract.worker import HEADER, Answer, take
from catalogkit.sniff import HEAD_BYTES
from catalogkit.workers import HOME, WorkerDied, processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from catalogkit.policies.extract import Limits

A = TypeVar("A")
R = TypeVar("R")
T = TypeVar("T")

AHEAD: Final = 3
JOB: Final = 32
# What a child may say of one document; texts are bounded by the limit of their own.
ANSWER_BYTES: Final = 32_000_000
# Whatever a library loses with each document ends with its process.
DOCUMENTS: Final = 5_000
_CHILD: Final = (
    "import sys; sys.path[:] = {path!r}; from catalogkit.extract.worker import serve; serve({fd}, {limits!r})"
)
_decode: Final = msgspec.msgpack.Decoder(Answer).decode


class Sandbox:
    """`count` child interpreters that read documents within `limits`; a context manager."""

    def __init__(self, limits: Limits, count: int | None = None) -> None:
        self.limits, self.count = limits, count or processors()
        self._local = threading.local()
        self._children: set[Child] = set()
        self._threads = ThreadPoolExecutor(self.count, thread_name_prefix="catalogkit-extract")
        self._ended = threading.Event()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the children, whatever they are doing; closing twice is fine."""
        self._ended.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in list(self._children):
            child.kill()
        self._threads.shutdown()

    def read(self, asked: Iterable[T], opened: Callable[[T], BinaryIO]) -> Iterator[tuple[T, Answer]]:
        """What came of each document, in no order; nothing is asked for long before it is needed.

        Parameters
        ----------
        asked
            Whatever stands for the documents.
        opened
            Opens one; an error of this package's, or of the system's, is told as the answer's ``problem``.
        """

        def submit(job: list[T]) -> Future[list[tuple[T, Answer]]]:
            return self._threads.submit(self._work, job, opened)

        return by_jobs(asked, submit, lambda job, told: told, 2 * self.count, lambda size: size * 2)

    # -- one thread, one child ---------------------------------------------------------------------------------

    def _work(self, job: list[T], opened: Callable[[T], BinaryIO]) -> list[tuple[T, Answer]]:
        results: list[tuple[T, Answer]] = []
        waiting = deque(job)
        sent: deque[tuple[T, BinaryIO]] = deque()
        try:
            while (waiting or sent) and not self._ended.is_set():
                while waiting and len(sent) < AHEAD:
                    one = waiting.popleft()
                    try:
                        file = opened(one)
                    except (CatalogKitError, OSError) as problem:
                        results.append((one, Answer(b"", 0, problem=str(problem))))
                        continue
                    sent.append((one, file))
                    self._child().send(file)
                if sent:
                    answer = self._receive([file for _, file in sent])
                    one, file = sent.popleft()
                    file.close()
                    results.append((one, answer))
        finally:
            for _, file in sent:
                file.close()
        return results

    def _child(self) -> Child:
        child: Child | None = getattr(self._local, "child", None)
        if child is None:
            child = self._local.child = Child(self.limits)
            self._children.add(child)
        return child

    def _receive(self, files: list[BinaryIO]) -> Answer:
        """The answer to the first of the files that were sent."""
        child = self._child()
        try:
            answer = child.receive(self.limits.seconds)
        except _Ended as ended:
            self._drop(child)
            if self._ended.is_set():
                return Answer(b"", 0, problem="reading was ended")
            for file in files[1:]:
                self._child().send(file)
            return self._refusal(files[0], ended)
        child.documents += 1
        if child.documents >= DOCUMENTS and len(files) == 1:
            self._drop(child)
        return answer

    def _drop(self, child: Child) -> None:
        child.kill()
        self._children.discard(child)
        self._local.child = None

    def _refusal(self, file: BinaryIO, ended: _Ended) -> Answer:
        """What a document gets that ended the process that read it; its digest is taken here."""
        try:
            digest, size, _, head = take(file.fileno(), 0)
        except OSError as problem:
            return Answer(b"", 0, problem=problem.strerror or str(problem))
        return Answer(digest, size, refused(ended.reason, ended.detail, media_type_of(head[:HEAD_BYTES])))


def by_jobs(
    asked: Iterable[T],
    submit: Callable[[list[T]], Future[R]],
    answers: Callable[[list[T], R], Iterable[A]],
    most: int,
    grown: Callable[[int], int],
) -> Iterator[A]:
    """What came of each item, in no order; nothing is asked for long before it is needed.

    Parameters
    ----------
    submit, answers
        Begins a job of some items; tells its result as an answer for each of them.
    most
        How many jobs there are at a time.
    grown
        How large a job is after one of so many items; the first is of one, so that few items are shared by all workers.
    """
    running: dict[Future[R], list[T]] = {}
    job: list[T] = []
    size = 1

    def finished() -> Iterator[A]:
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield from answers(running.pop(future), future.result())

    try:
        for one in asked:
            job.append(one)
            if len(job) >= size:
                running[submit(job)] = job
                job, size = [], min(JOB, grown(size))
            while len(running) >= most:
                yield from finished()
        if job:
            running[submit(job)] = job
        while running:
            yield from finished()
    finally:
        for future in running:
            future.cancel()


class _Ended(Exception):
    """A child ended, or has to be; why, as a reason to refuse what it was reading."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Child:
    """One child interpreter, and this process's end of the line to it."""

    def __init__(self, limits: Limits) -> None:
        ours, theirs = socket.socketpair()
        path = [entry for entry in sys.path if isinstance(entry, str)] + [HOME]
        code = _CHILD.format(path=path, fd=theirs.fileno(), limits=msgspec.json.encode(limits).decode())
        command = [sys.executable, "-S", "-X", f"utf8={sys.flags.utf8_mode}", "-c", code]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        except OSError as problem:
            ours.close()
            raise WorkerDied(f"no process could be started to read documents: {problem}") from problem
        finally:
            theirs.close()
        self._line, self.documents = ours, 0
        # Loading libraries is no document's fault: the first answer may take longer.
        self._grace = 30.0

    def send(self, file: BinaryIO) -> None:
        """Ask for the contents of an open file; if the child is gone, the attempt to receive will tell."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._line, [b"?"], [file.fileno()])

    def receive(self, seconds: float) -> Answer:
        """The next answer."""
        self._until = time.monotonic() + seconds + self._grace
        self._grace = 0.0
        (length,) = HEADER.unpack(self._exactly(HEADER.size))
        if length > ANSWER_BYTES:
            raise _Ended(Reason.TOO_LARGE, "there is more in it than can be told")
        try:
            return _decode(self._exactly(length))
        except msgspec.MsgspecError:
            raise _Ended(Reason.CRASHED, "the process that read it answered in no known form") from None

    def _exactly(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count:
            self._line.settimeout(max(0.001, self._until - time.monotonic()))
            try:
                part = self._line.recv(min(1 << 20, count - len(got)))
            except TimeoutError:
                raise _Ended(Reason.TIME, "reading it took longer than the limit") from None
            except OSError:
                part = b""
            if not part:
                raise self._why()
            got += part
        return bytes(got)

    def _why(self) -> _Ended:
        try:
            code = self._process.wait(10)
        except subprocess.TimeoutExpired:
            return _Ended(Reason.CRASHED, "the process that read it hung up")
        if code == -signal.SIGXCPU:
            return _Ended(Reason.TIME, "reading it took more of the processor's time than the limit")
        if code == -signal.SIGKILL:
            return _Ended(Reason.MEMORY, "the system ended the process that read it, often for want of memory")
        return _Ended(Reason.CRASHED, f"the process that read it ended with code {code}")

    def kill(self) -> None:
        """End it, whatever it is doing."""
        with contextlib.suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        self._process.wait()
        self._line.close()


def kept(data: bytes) -> BinaryIO:
    """Bytes as an open file, nowhere on a disk where the system can do that."""
    if hasattr(os, "memfd_create"):
        file: Any = os.fdopen(os.memfd_create("document"), "w+b")
    else:
        import tempfile

        file = tempfile.TemporaryFile()
    file.write(data)
    file.flush()
    file.seek(0)
    return file  # type: ignore[no-any-return]
