"""Who is at work, on which machine and in which process, and whether that is still alive."""

from __future__ import annotations

import os
import socket
import uuid
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

_under_way: Final[set[str]] = set()


def _machine() -> str:
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {namespace}"


def new_owner() -> str:
    """A name for who begins something in this process: machine, process, and a part of its own."""
    owner = f"{_machine()}/{os.getpid()}/{uuid.uuid4().hex}"
    _under_way.add(owner)
    return owner


def retire(owner: str) -> None:
    """That is over; should it have left anything, anybody may clean up after it."""
    _under_way.discard(owner)


def is_dead(owner: str, expires_at: datetime, as_of: datetime) -> bool:
    """Whether whoever that was is over: the lease ran out, or it, or its process, on this machine, is gone."""
    return expires_at <= as_of or process_is_gone(owner)


def process_is_gone(owner: str) -> bool:
    """Whether whoever that was is known to be over: it, or its process, on this machine, is gone."""
    machine, _, rest = owner.partition("/")
    process = rest.partition("/")[0]
    if machine != _machine() or not process.isdigit():
        return False
    if int(process) == os.getpid():
        return owner not in _under_way
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
