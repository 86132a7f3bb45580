"""The main loop of a child process that extracts: sets its limits, then reads one document after another.

It gets open files, never names; it can write no file, and answers in MessagePack, so that whatever a hostile document
makes of it, its parent gets plain data of known types or nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import socket
import stat
import struct
import tempfile
import threading
from typing import Final

import msgspec

from catalogkit.content import ContentMetadata, Reason
from catalogkit.extract.reading import read, refused
from catalogkit.extract.sniffing import media_type_of
from catalogkit.policies.extract import Limits
from catalogkit.sniff import HEAD_BYTES
from catalogkit.workers import end_with

HEADER: Final = struct.Struct("<I")
OPEN_FILES: Final = 64


class Answer(msgspec.Struct, frozen=True):
    """What came of one document: the digest and length of the bytes that were read, and what is inside."""

    sha256: bytes
    size_bytes: int
    content: ContentMetadata | None = None
    problem: str = ""


def serve(fd: int, settings: str) -> None:
    """Answer until the other end closes (the whole life of the process)."""
    limits = msgspec.json.decode(settings, type=Limits)
    asked = socket.socket(fileno=fd)
    threading.Thread(target=end_with, args=(fd,), daemon=True).start()
    _confine(limits)
    encode = msgspec.msgpack.Encoder().encode
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while True:
            message, fds, _, _ = socket.recv_fds(asked, 1, 1)
            if not message:
                return
            try:
                answer = _answer(fds[0], limits)
            finally:
                os.close(fds[0])
            packed = encode(answer)
            asked.sendall(HEADER.pack(len(packed)) + packed)


def _confine(limits: Limits) -> None:
    """Take from this process what it does not need."""
    with contextlib.suppress(ValueError, OSError):  # a system without this limit
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    tempfile.tempdir = "/nonexistent"  # libraries that ask for one when they are loaded would try to write there
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides


def _answer(fd: int, limits: Limits) -> Answer:
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + limits.cpu_seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    try:
        digest, size, data, head = take(fd, limits.input_bytes)
    except MemoryError:
        return Answer(b"", 0, problem="it does not fit into memory")
    except OSError as problem:
        return Answer(b"", 0, problem=problem.strerror or str(problem))
    if data is None:
        why = f"{size:,} bytes are more than the limit of {limits.input_bytes:,}"
        return Answer(digest, size, refused(Reason.TOO_LARGE, why, media_type_of(head)))
    return Answer(digest, size, read(data, limits))


def take(fd: int, most: int) -> tuple[bytes, int, bytes | None, bytes]:
    """SHA-256 and length of what an open file holds, its bytes (None if more than `most`), and the first of them.

    Reads no more than the file held when this began: one that grows without end does not hold the reader.

    Raises
    ------
    OSError
        If it is no regular file, or cannot be read.
    """
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        raise OSError("it is not a regular file")
    sha256, parts, head, total = hashlib.sha256(), [], b"", 0
    while total < about.st_size and (part := os.pread(fd, min(1 << 22, about.st_size - total), total)):
        sha256.update(part)
        head = head or part[:HEAD_BYTES]
        total += len(part)
        if about.st_size <= most:
            parts.append(part)
    data = None if about.st_size > most else parts[0] if len(parts) == 1 else b"".join(parts)
    return sha256.digest(), total, data, head
