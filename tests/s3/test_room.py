"""Memory that uploads share, given in turn."""

from __future__ import annotations

import threading
import time

import pytest

from catalogkit.stores.s3.room import Room

SECONDS = 20


def test_nobody_has_more_than_there_is() -> None:
    """Who finds no room waits until there is, and all of it comes back, also where something raises."""
    room = Room(10)
    free: list[int] = []

    def fill(count: int) -> None:
        with room.taken(count):
            free.append(room.free)

    threads = [threading.Thread(target=fill, args=(count,)) for count in (3, 4, 5, 6, 7, 10) * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(free) == len(threads) and min(free) >= 0
    with pytest.raises(InterruptedError), room.taken(4):
        raise InterruptedError
    assert room.free == 10


def test_what_is_larger_than_all_of_it_has_all_of_it() -> None:
    """It would wait for ever otherwise."""
    room = Room(10)
    with room.taken(11):
        assert room.free == 0
    assert room.free == 10


def test_a_large_one_has_its_turn() -> None:
    """Small ones that come after it wait for it, however long there would have been room for them."""
    room, order = Room(10), []
    first, waits = threading.Event(), threading.Event()

    def hold() -> None:
        with room.taken(5):
            first.set()
            waits.wait(SECONDS)

    def fill(count: int) -> None:
        with room.taken(count):
            order.append(count)

    holder, large, small = (
        threading.Thread(target=hold),
        threading.Thread(target=fill, args=(8,)),
        threading.Thread(target=fill, args=(1,)),
    )
    holder.start()
    assert first.wait(SECONDS)
    large.start()
    while not room._turn.locked():
        time.sleep(0.001)
    small.start()
    small.join(0.05)
    assert order == [] and small.is_alive()
    waits.set()
    for thread in (holder, large, small):
        thread.join(SECONDS)
    assert order == [8, 1] and room.free == 10
