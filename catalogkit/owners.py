"""Who is working, on which machine and in which process, and whether that is still alive."""

from __future__ import annotations

import os
import socket
import uuid
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

_under_way: Final[set[str]] = set()


@cache
def _boot() -> str:
    """Which start of this machine it is. Copies of a machine have all else in common: name, namespaces, processes."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _machine() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {_boot()} {namespace}"


def _begun(process: int) -> str:
    """When a process of this machine began, in ticks since that did; nothing where it is not told (proc(5))."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            told = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if told[0] in "ZX" else told[19]  # nobody has asked yet what became of it


def new_owner() -> str:
    """A name for who begins something in this process: machine, process, when that began, and a part of its own."""
    owner = f"{_machine()}/{os.getpid()}@{_begun(os.getpid())}/{uuid.uuid4().hex}"
    _under_way.add(owner)
    return owner


def retire(owner: str) -> None:
    """That is over; should it have left anything, anybody may clean up after it."""
    _under_way.discard(owner)


def is_dead(owner: str, expires_at: datetime, as_of: datetime) -> bool:
    """Whether whoever that was is over: it, or its process, on this machine, is gone, or the lease ran out.

    A lease is for those who cannot be asked. Who is seen at work has not ended because a clock was put forward.
    """
    there = _is_there(owner)
    return expires_at <= as_of if there is None else not there


def process_is_gone(owner: str) -> bool:
    """Whether whoever that was is known to be over: it, or its process, on this machine, is gone."""
    return _is_there(owner) is False


def _is_there(owner: str) -> bool | None:
    """Whether somebody is at work, where that can be told: not of another machine, nor of an earlier start."""
    machine, _, rest = owner.partition("/")
    process, _, begun = rest.partition("/")[0].partition("@")
    if machine != _machine() or not process.isdigit():
        return None
    if int(process) == os.getpid():
        return owner in _under_way
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    # Numbers of processes come again; another process is not who that was.
    now = _begun(int(process))
    return now == begun if now and begun else None
