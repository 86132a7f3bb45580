"""A long line to a server on this machine: what is near looks distant to whoever asks through it.

Bytes arrive `LATE_SECONDS` after they were sent, either way; a connection carries `CONNECTION_BYTES` a second each way,
however many there are; and a new one can be used after a round trip, as TCP's can. It loses nothing, every connection
is at full speed at once, and there is no TLS: so what it says is about how many requests and connections there are
at once, and in turn.

``python -m benchmarks.line PORT`` leads to that port of this machine, prints its own, and goes on until its input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

HOST: Final = "127.0.0.1"
LATE_SECONDS: Final = 0.015
# Amazon advises a request at once for each 85 to 90 MB/s that is wanted ("Performance guidelines for Amazon S3"), from
# within its region. Over a long way it is so much less, and ten of them leave this machine's processors free.
CONNECTION_BYTES: Final = 5_000_000
PIECE_BYTES: Final = 64 << 10
# What is under way on a connection, in one direction.
PIECES: Final = 32
# What comes late because this process did may catch up by so much.
SLACK_SECONDS: Final = 0.005


@dataclass
class Line:
    """A line: its near end, and its process."""

    url: str
    pid: int

    def used(self) -> float:
        """The seconds of a processor that it has taken."""
        import psutil

        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def to(url: str) -> Iterator[Line]:
    """A line to the server there, as long as this is open."""
    command = [sys.executable, "-m", "benchmarks.line", str(urlsplit(url).port)]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        yield Line(f"http://{HOST}:{int(process.stdout.readline())}", process.pid)


async def _listen(port: int) -> None:
    server = await asyncio.start_server(partial(_join, port), HOST, 0, limit=PIECE_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _join(port: int, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    await asyncio.sleep(2 * LATE_SECONDS)
    far, forth = await asyncio.open_connection(HOST, port, limit=PIECE_BYTES)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_carry(near, forth))
            both.create_task(_carry(far, back))
    except* (OSError, asyncio.CancelledError):
        pass  # one end broke off, or all of it ends
    finally:
        back.close()
        forth.close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    now, under_way = asyncio.get_running_loop().time, asyncio.Queue[tuple[float, bytes]](PIECES)

    async def arrive() -> None:
        piece = b"?"
        while piece:
            due, piece = await under_way.get()
            await asyncio.sleep(due - now())
            if piece:
                target.write(piece)
                await target.drain()
        target.write_eof()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(arrive())
        free, piece = 0.0, b"?"
        while piece:
            piece = await source.read(PIECE_BYTES)
            free = max(free, now() - SLACK_SECONDS) + len(piece) / CONNECTION_BYTES
            await under_way.put((max(free, now()) + LATE_SECONDS, piece))
            await asyncio.sleep(free - now())


if __name__ == "__main__":
    asyncio.run(_listen(int(sys.argv[1])))
