"""What the tests of workers have called in another process; importable there, and with no imports to wait for."""

from __future__ import annotations

import os
import sys


class Odd(Exception):
    """An error that can be pickled, but not loaded again."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def raise_odd() -> None:
    raise Odd("this", "that")


def give_a_function() -> object:
    return lambda: None


def echo(value: object) -> object:
    return value


def make_noise() -> str:
    """Write to standard output in every way, read standard input, and return what it had."""
    print("noise")
    os.write(1, b"noise")
    os.system("echo noise")
    return sys.stdin.read()


def meet(mine: str, theirs: str) -> int:
    """Wait for another call that meets this one; each opens the FIFO that the other has the other end of."""
    if mine < theirs:
        out, into = os.open(mine, os.O_WRONLY), os.open(theirs, os.O_RDONLY)
    else:
        into, out = os.open(theirs, os.O_RDONLY), os.open(mine, os.O_WRONLY)
    os.close(out)
    os.close(into)
    return os.getpid()
