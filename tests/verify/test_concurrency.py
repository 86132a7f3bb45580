"""Reading at once: as much as was asked for, no more than that, and little of it in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from catalogkit import proving
from catalogkit.stores.reading import BYTES_PER_THREAD, FEW_FILES, readers
from catalogkit.verify import verify
from catalogkit.workers import Workers
from tests.verify.doubles import Around, Counting, Gate, ManyCopies

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("workers", [2, 5, 16])
def test_reads_overlap(
    make_collection: Callable[..., Collection], stock: Callable[..., Collection], workers: int
) -> None:
    """With slow storage at least half of the readers that were asked for are reading at one moment, never more."""
    collection = stock(make_collection("cas"), 2 * workers)
    gate = Gate(wanted=workers)
    Around(collection, gate)
    assert verify(collection, concurrency=workers).ok == 2 * workers
    assert workers / 2 <= gate.peak <= workers


def test_one_reader_reads_one_by_one(
    make_collection: Callable[..., Collection], stock: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A concurrency of one means that no two reads overlap."""
    monkeypatch.setattr(proving, "JOB_FILES", 1)
    monkeypatch.setattr(proving, "FOREIGN_FILES", 1)
    collection = stock(make_collection("cas"), 6)
    gate = Gate(wanted=1)
    Around(collection, gate)
    assert verify(collection, concurrency=1).ok == 6
    assert gate.peak == 1


def test_memory_stays_bounded() -> None:
    """Of very many copies a few pages and a few jobs are in memory at a time."""
    many = ManyCopies(60_000)
    with Counting(2) as executor:
        report = verify(many, executor=executor, concurrency=2, as_of=NOON)  # type: ignore[arg-type]
    assert report.ok == many.written == 60_000
    assert executor.calls >= 60_000 / proving.FOREIGN_FILES
    assert executor.peak <= 4
    assert many.peak <= proving.LEDGER_ROWS + 2 * proving.PAGE


@pytest.mark.parametrize(
    "count, mean, kind",
    [
        (1, 10, ThreadPoolExecutor),
        (FEW_FILES - 1, 1, ThreadPoolExecutor),
        (FEW_FILES, 1, Workers),
        (1_000_000, 10_000, Workers),
        (1_000_000, 2 * BYTES_PER_THREAD, ThreadPoolExecutor),
    ],
)
def test_readers_suit_the_files(count: int, mean: int, kind: type) -> None:
    """Threads for a few files and for large ones; processes for many small ones, where threads wait for each other."""
    with readers(2, count, count * mean) as executor:
        assert type(executor) is kind


def test_own_workers_are_put_away(
    make_collection: Callable[..., Collection], stock: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that verify makes for itself end with it; those it is given stay usable."""
    collection = stock(make_collection("cas"), 4)
    made: list[Workers] = []

    def executor(*_: object) -> Workers:
        made.append(Workers(1))
        return made[-1]

    monkeypatch.setattr(type(collection.store), "executor", executor)
    assert verify(collection).ok == 4
    with pytest.raises(RuntimeError, match="shutdown"):
        made[0].submit(len, ())
    with Workers(1) as given:
        assert verify(collection, executor=given).ok == 4
        assert given.submit(len, ()).result() == 0
