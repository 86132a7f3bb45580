"""Processes that ingest until they are killed.

Reads lines of seconds and a number of workers, one line per victim, and says when that is dead. Victims are forked,
so that the interpreter starts once; nothing here has threads when it forks.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from pathlib import Path

import catalogkit as ck
from catalogkit.ingest import ingest
from catalogkit.workers import Inline, Workers


def work(collection: Path, source: Path, mode: str, workers: int) -> None:
    """Take the folder in, again and again."""
    with ck.open(collection) as opened:
        while True:
            ingest(opened, source, mode=mode, executor=Workers(workers) if workers else Inline())


def main(collection: Path, source: Path, mode: str) -> None:
    for line in sys.stdin:
        seconds, workers = line.split()
        victim = os.fork()
        if victim == 0:
            try:
                work(collection, source, mode, int(workers))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        handle = os.pidfd_open(victim)
        select.select([handle], [], [], float(seconds))
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        os.close(handle)
        print("killed" if os.WIFSIGNALED(status) else "ended", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
