"""Commands as real processes, forked from one that has loaded the package: loading it takes longer than most commands.

A command has its own process, folder, environment, standard output and error, and ends as it would: with its exit code,
with what was registered for the end. Only its imports are not its own; who asks about those starts Python anew.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parents[1]
# Polars has these once it is loaded: its allocator knows about forks, and the other waits for work that never comes.
HARMLESS: Final = {"jemalloc_bg_thd", "polars-ooc-clea"}
_OWN: Final = Path("/proc/self/comm")


class Forker:
    """The process that forks; it ends with this one."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.forked", str(theirs.fileno())]
        devnull = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=devnull, stdout=devnull, pass_fds=[theirs.fileno()], cwd=ROOT)
        theirs.close()
        atexit.register(self.close)

    def run(
        self, *args: str, cwd: str | os.PathLike[str] | None, env: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, and wait for its end."""
        said = [os.memfd_create("stdout"), os.memfd_create("stderr")]
        try:
            order = json.dumps([args, os.path.abspath(cwd or os.curdir), dict(env)]).encode()
            socket.send_fds(self._socket, [order], said)
            code = self._socket.recv(100)
            assert code, "the process that forks has ended"
            texts = [os.pread(fd, os.fstat(fd).st_size, 0).decode() for fd in said]
        except BaseException:
            self.close()  # somebody gave up waiting: the next command is not to wait for this one
            forker.cache_clear()
            raise
        finally:
            for fd in said:
                os.close(fd)
        return subprocess.CompletedProcess(["catalogkit", *args], int(code), *texts)

    def close(self) -> None:
        """End it, and what it is waiting for."""
        atexit.unregister(self.close)
        self._socket.close()
        self._process.kill()
        self._process.wait()


@functools.cache
def forker() -> Forker:
    """The one of this process."""
    return Forker()


def _threads() -> set[str]:
    return {task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")} - {_OWN.read_text().strip()}


def _serve(orders: socket.socket) -> None:
    """Fork a process for each order; in that process, return."""
    # What most commands load.
    from catalogkit import apply, auditing, cli, ingest, planning, reprs, verify  # noqa: F401
    from catalogkit.catalog import sqlite  # noqa: F401

    gc.freeze()
    while True:
        order, said, _, _ = socket.recv_fds(orders, 1 << 20, 2)
        if not order:
            os._exit(0)
        assert _threads() <= HARMLESS, "threads do not survive a fork, nor do the locks they hold"
        if not (child := os.fork()):
            break
        for fd in said:
            os.close(fd)
        _, status = os.waitpid(child, 0)
        orders.send(str(os.waitstatus_to_exitcode(status)).encode())
    orders.close()
    for fd, end in zip(said, (1, 2), strict=True):
        os.dup2(fd, end)
        os.close(fd)
    args, folder, env = json.loads(order)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["catalogkit", *args]


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
    from catalogkit.cli import main

    main()
