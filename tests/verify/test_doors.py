"""The ways in: plain calls, `await`, a running event loop, a notebook."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from catalogkit.collection import open_collection
from catalogkit.errors import InvalidInput, NotACollection
from catalogkit.verify import VerifyReport, verify, verify_batch
from tests.verify.doubles import Around, Gate, Held
from tests.verify.world import ledger, outcomes, times_checked

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection

ROOT = Path(__file__).parents[2]


@pytest.fixture
def small(make_collection: Callable[..., Collection], stock: Callable[..., Collection]) -> Collection:
    """Ten documents; one copy each."""
    return stock(make_collection("cas"), 10)


def test_await_verify_batch(small: Collection) -> None:
    """`await verify_batch(ids)` checks the copies of these documents and no others, five at a time if not told."""
    gate = Gate(wanted=5)
    Around(small, gate)
    report = asyncio.run(verify_batch(list(range(1, 9)), collection=small))
    assert outcomes(report) == (8, 0, 0, 0)
    assert 3 <= gate.peak <= 5
    assert sum(times_checked(small).values()) == 8


def test_verify_batch_takes_the_limit_by_place(small: Collection) -> None:
    """The second argument is how many are read at once, as promised."""
    gate = Gate(wanted=2)
    Around(small, gate)
    assert asyncio.run(verify_batch([1, 2, 3, 4], 2, collection=small)).ok == 4
    assert gate.peak <= 2


def test_an_empty_batch(small: Collection) -> None:
    """An empty list verifies nothing, here too."""
    assert asyncio.run(verify_batch([], collection=small)).checked == 0
    assert ledger(small) == []


def test_several_batches_at_once(small: Collection) -> None:
    """Batches that run at the same time, also over the same documents, each report their own."""

    async def main() -> list[VerifyReport]:
        batches = [[1, 2, 3], [3, 4], [5], [99], []]
        return list(await asyncio.gather(*(verify_batch(ids, collection=small) for ids in batches)))

    reports = asyncio.run(main())
    assert [report.ok for report in reports] == [3, 2, 1, 0, 0]
    assert len(ledger(small)) == 6
    assert small.catalog.integrity() == []


def test_the_loop_goes_on_meanwhile(small: Collection) -> None:
    """While a batch is read the event loop serves others: here, the one who lets the reading go on."""
    held = Held()
    Around(small, held)

    async def let_go() -> None:
        await asyncio.to_thread(held.began.wait)
        held.go.set()

    async def main() -> VerifyReport:
        report, _ = await asyncio.gather(verify_batch([1], collection=small), let_go())
        return report

    assert asyncio.run(main()).ok == 1


def test_a_cancelled_batch_keeps_what_it_read(small: Collection) -> None:
    """Cancelling ends a batch after the reads under way, before the caller goes on; what was read is kept."""
    held = Held()
    Around(small, held)

    async def main() -> None:
        task = asyncio.create_task(verify_batch(list(range(1, 11)), 2, collection=small))
        await asyncio.to_thread(held.began.wait)
        for _ in range(2):  # somebody in a hurry
            task.cancel()
            await asyncio.sleep(0)
        too_soon = task.done()
        held.go.set()
        assert not too_soon, "a read was still under way"
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    before = set(threading.enumerate())
    asyncio.run(main())
    assert 1 <= len(ledger(small)) < 10
    assert not [thread for thread in set(threading.enumerate()) - before if "reader" in thread.name]
    small.close()


def test_the_default_collection(small: Collection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a collection it is that of $CATALOGKIT_HOME, else of the current folder, else an error that says so."""
    monkeypatch.setenv("CATALOGKIT_HOME", str(small.path))
    assert asyncio.run(verify_batch([1, 2])).ok == 2
    monkeypatch.delenv("CATALOGKIT_HOME")
    monkeypatch.chdir(small.path)
    assert asyncio.run(verify_batch([3])).ok == 1
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotACollection, match="catalogkit init"):
        asyncio.run(verify_batch([1]))
    assert len(ledger(small)) == 3


def test_wrong_arguments_of_a_batch(small: Collection) -> None:
    """A limit that makes no sense is refused."""
    with pytest.raises(InvalidInput):
        asyncio.run(verify_batch([1], 0, collection=small))


def test_verify_inside_a_running_loop(small: Collection) -> None:
    """The plain call works where an event loop is running, as in every notebook."""

    async def main() -> VerifyReport:
        return verify(small)

    assert asyncio.run(main()).ok == 10


NOTEBOOK = """\
import catalogkit as ck
c = ck.open()
report = ck.verify(c)
print(report.ok, report.corrupt)
# %%
report
# %%
batch = await ck.verify_batch([1, 2, 3], collection=c)
print(batch.ok)
# %%
import asyncio
both = await asyncio.gather(ck.verify_batch([1]), ck.verify_batch([2, 3], 1))
print([one.ok for one in both])
# %%
from catalogkit.workers import Workers
with Workers(2) as workers:
    print(ck.verify(c, executor=workers).ok)
# %%
from catalogkit.errors import InvalidInput
def in_notebook(): ...
with Workers(1) as workers:
    try:
        workers.submit(in_notebook).result()
    except InvalidInput as problem:
        print("import" in str(problem))
"""


@pytest.mark.filterwarnings("ignore:Kernel is running over TCP without encryption")
def test_in_a_notebook(small: Collection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a real kernel everything works as typed: the plain call, `await`, several at once, other processes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("CATALOGKIT_HOME", str(small.path))
    cells = [nbformat.v4.new_code_cell(cell) for cell in NOTEBOOK.split("# %%\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs: list[Any] = [cell["outputs"] for cell in notebook.cells]
    said = ["".join(one.get("text", "") for one in output if one["output_type"] == "stream") for output in outputs]
    assert said == ["10 0\n", "", "3\n", "[1, 2]\n", "10\n", "True\n"]
    shown = outputs[1][0]["data"]
    assert "<table>" in shown["text/html"] and shown["text/plain"].startswith("Verify\n")
    with open_collection(small.path) as again:
        assert len(ledger(again)) == 10 + 3 + 3 + 10
