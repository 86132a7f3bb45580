"""Where nothing is wrong, nothing is found: however the root is spelled, whatever happened, whoever works beside."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.auditing import audit
from catalogkit.collection import init, open_collection
from catalogkit.ingest import ingest
from catalogkit.planning import plan_undo
from catalogkit.verify import verify
from tests.conftest import LAYOUTS, Clock, hurry, make_tree
from tests.plans.scene import collect, condemn, forget, path_of, put, run, stray

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.audit import AuditReport
    from catalogkit.collection import Collection


def found(report: AuditReport) -> list[tuple[str, str, str]]:
    """All that somebody would have to look at."""
    return [(str(one.code), one.path or one.object, one.detail) for one in report.findings] + [
        ("unseen", one.what, one.why) for one in report.unseen
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["copy", "move", "link", "reference"])
def test_a_clean_collection(stock: Callable[..., Collection], layout: str, mode: str) -> None:
    """Taken in either layout, by any mode, all read: nothing is found, every file and copy was seen."""
    collection = stock(layout, mode)
    report = audit(collection, 1.0)
    assert found(report) == []
    assert report.clean and report.complete
    copies = collection.catalog.totals()["locations"]
    assert (report.copies, report.sampling.read) == (copies, copies)
    assert report.files == (0 if mode == "reference" else copies)


def test_an_empty_collection(make_collection: Callable[..., Collection]) -> None:
    """Nothing to look at is no error, whatever the sample."""
    for rate in (0, 0.1, 1):
        report = audit(make_collection("cas", name=f"c{rate}"), rate)
        assert found(report) == [] and report.clean
        assert report.to_dict()["sampling"]["copies"] == 0


@pytest.mark.parametrize("spelling", ["store", "./store", "x/../store", "store/", "link", "absolute", "."])
def test_however_the_root_is_spelled(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    """Relative, dotted, linked roots, from another working directory too: no file is an orphan, no copy missing."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "disk").mkdir()
    home.mkdir()
    (home / "x").mkdir()
    if spelling == "link":
        (home / "link").symlink_to(elsewhere / "disk")
    monkeypatch.chdir(home)
    url = str(elsewhere / "disk") if spelling == "absolute" else spelling
    with init(".", store=f"file:{url}", clock=clock) as collection:
        hurry(collection)
        ingest(collection, make_tree(tmp_path / "source", {"a.txt": b"a", "b.txt": b"b"}))
    monkeypatch.chdir(elsewhere)
    with open_collection("../home", clock=clock) as collection:
        assert found(audit(collection, 1.0)) == []


def test_a_layout_on_another_disk(stock: Callable[..., Collection], tmp_path: Path) -> None:
    """The folder of a layout may be a link to where there is more room."""
    collection = stock()
    cas = Path(collection.store.root, "cas")
    cas.rename(tmp_path / "cas")
    cas.symlink_to(tmp_path / "cas")
    assert found(audit(collection, 1.0)) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_after_a_whole_life(stock: Callable[..., Collection], layout: str) -> None:
    """Changed, late, forgotten, condemned, undone, purged and taken in again: all of that is as it should be."""
    collection = stock(layout)
    put(collection, "paper", b"first")
    collection.clock.advance(seconds=1)  # type: ignore[attr-defined]
    put(collection, "paper", b"second")
    put(collection, "paper", b"third", fetched_at=collection.now() - timedelta(days=300))
    gone = put(collection, "gone", b"gone")
    collection.catalog.place_hold("legal", document_id=gone.id, as_of=collection.now())
    back = put(collection, "back", b"back")
    forgot = forget(collection, back)
    run(collection, plan_undo(collection, forgot.plan_id))
    assert found(audit(collection, 1.0)) == []
    collection.catalog.keep_moment("snapshot", "monday", as_of=collection.now())
    collection.clock.advance(seconds=1)  # type: ignore[attr-defined]
    forget(collection, back)
    collection.catalog.release_moment("snapshot", "monday", as_of=collection.now())
    report = condemn(collection)
    assert found(audit(collection, 1.0)) == []
    run(collection, plan_undo(collection, report.plan_id))
    stray(collection, b"stray")
    condemn(collection)
    assert found(audit(collection, 1.0)) == []
    collect(collection)
    assert found(audit(collection, 1.0)) == []
    put(collection, "back", b"back")
    verify(collection)
    assert found(audit(collection, 1.0)) == []


def test_a_file_with_new_content_in_its_owners_hands(stock: Callable[..., Collection], source: Path) -> None:
    """What lay there before is no copy any more, and nobody needs it: no fault."""
    collection = stock(mode="reference")
    (source / "1.txt").write_bytes(b"another document")
    os.utime(source / "1.txt", (collection.now().timestamp() - 60,) * 2)
    ingest(collection, source, mode="reference")
    assert found(audit(collection, 1.0)) == []


def test_files_with_two_names_outside(stock: Callable[..., Collection], tmp_path: Path) -> None:
    """A view, or somebody's hard link to a stored file, is no fault."""
    collection = stock()
    os.link(path_of(collection, b"document 1"), tmp_path / "view.txt")
    assert collection.catalog.totals()["locations"] == 6
    report = audit(collection, 1.0)
    assert found(report) == []


def test_while_others_work(make_collection: Callable[..., Collection], clock: Clock, tmp_path: Path) -> None:
    """Audits beside an ingest and a collector that condemns and purges never take work in flight for a fault."""
    collection = make_collection("cas")
    ended = threading.Event()
    problems: list[BaseException] = []

    def work() -> None:
        try:
            with open_collection(collection.path, clock=Clock(clock.now)) as mine:
                hurry(mine)
                for number in range(5):
                    old = clock.now.timestamp() - 60
                    tree = make_tree(tmp_path / f"in{number}", {f"{n}.txt": b"%d %d" % (number, n) for n in range(120)})
                    for path in tree.iterdir():
                        os.utime(path, (old, old))
                    ingest(mine, tree)
                    ids = mine.frame("documents")["id"].to_list()
                    forget(mine, *[mine.catalog.document(one) for one in ids[:80]])
                    collect(mine)
        except BaseException as problem:
            problems.append(problem)
        finally:
            ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    audits = 0
    try:
        while not ended.is_set():
            assert found(audit(collection, 0.2)) == []
            audits += 1
    finally:
        worker.join()
    assert not problems
    assert audits >= 3
    assert found(audit(collection, 1.0)) == []


def many(folder: Path, count: int) -> Path:
    """So many small files in a few folders."""
    for number in range(count):
        path = folder / f"{number % 50:02d}" / f"{number}.txt"
        if number < 50:
            path.parent.mkdir(parents=True)
        path.write_bytes(b"document %d" % number)
    return folder


@pytest.mark.parametrize("count", [2_000, pytest.param(50_000, marks=pytest.mark.stress)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_false_alarm_among_many(
    make_collection: Callable[..., Collection], source: Path, layout: str, count: int
) -> None:
    """A clean store of so many files has no findings, at any sample; what is planted in it is found, and only that."""
    collection = make_collection(layout)
    assert ingest(collection, many(source, count)).ingested == count
    collection.clock.advance(minutes=5)  # type: ignore[attr-defined]
    for rate in (0, 0.1, 1):
        report = audit(collection, rate)
        assert found(report) == []
        assert (report.files, report.copies) == (count, count)
    path_of(collection, b"document 77").unlink()
    stray(collection, b"an orphan", key=None if layout == "cas" else "docs/orphan.txt")
    report = audit(collection, 0.1)
    assert sorted(report.counts) == ["A102", "A201"]
    assert [one.path for one in report.findings if one.code == "A201"] == [str(path_of(collection, b"document 77"))]
