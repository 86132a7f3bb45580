"""Folders before anything is taken in: what is counted, what is equal, what is not read, what goes wrong."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import catalogkit as ck
from catalogkit.errors import InvalidInput
from catalogkit.preview import CHANGED, END_BYTES, JOB_FILES, look, whole
from catalogkit.stores.taking import Stamp
from tests.conftest import make_tree, read_tree
from tests.test_cli import answer, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection
    from catalogkit.progress import Progress

LARGE = 2 * END_BYTES + 100


def middle(byte: bytes, size: int = LARGE) -> bytes:
    """Bytes that begin and end as all others do, and differ in between."""
    return b"a" * END_BYTES + byte * (size - 2 * END_BYTES) + b"z" * END_BYTES


def test_equal_files_are_told_from_those_that_only_look_alike(tmp_path: Path) -> None:
    """Of one size and with the same ends is not yet equal; groups say what they would save, most first."""
    files = {
        "a/one": middle(b"1"), "b/two": middle(b"1"), "b/other": middle(b"2"), "b/later": b"b" + middle(b"1")[1:],
        "c/small": b"small", "small again.TXT": b"small", "smell.txt": b"smell", "lone": b"lonely", "none": b"",
        "no": b"",
    }  # fmt: skip
    make_tree(tmp_path, files)
    seen = ck.preview(tmp_path)
    assert [(group.bytes, group.objects, group.paths) for group in seen.groups] == [
        (LARGE, 2, (f"{tmp_path}/a/one", f"{tmp_path}/b/two")),
        (5, 2, (f"{tmp_path}/c/small", f"{tmp_path}/small again.TXT")),
    ]
    assert (seen.files, seen.objects, seen.empty, seen.failed) == (10, 10, 2, 0)
    assert seen.bytes == seen.object_bytes == sum(map(len, files.values()))
    assert seen.spare_bytes == LARGE + 5
    assert seen.endings == {"": 8, ".txt": 2}
    # Both ends of four large files, three of those in full, three small ones; the lone and the empty ones not at all.
    assert seen.read_bytes == 4 * 2 * END_BYTES + 3 * LARGE + 3 * 5


def test_it_is_what_a_collection_finds(make_collection: Callable[..., Collection], tmp_path: Path) -> None:
    """Digests, files and passed over ones are those of an ingest; nothing is written where it looked."""
    files = {f"{number % 3}/{number}": b"x" * (number % 5) for number in range(20)}
    make_tree(tmp_path / "in", {**files, "half.part": b"x", "odd \udcff name": b"xx"})
    (tmp_path / "in/link").symlink_to("0/3")
    before = read_tree(tmp_path / "in")
    seen, c = ck.preview(tmp_path / "in"), make_collection()
    report = ck.ingest(c, tmp_path / "in")
    assert read_tree(tmp_path / "in") == before
    assert seen.files == report.ingested
    assert seen.reasons == report.reasons
    documents: defaultdict[str, int] = defaultdict(int)
    for digest in c.frame("documents").filter(c.frame("documents")["bytes"] > 0)["sha256"]:
        documents[digest] += 1
    assert {group.sha256: len(group.paths) for group in seen.groups} == {d: n for d, n in documents.items() if n > 1}
    assert seen.frame.group_by("sha256").len().height == len(seen.groups)


def test_names_of_one_file_are_one(tmp_path: Path) -> None:
    """Hard links take no room twice; with one more copy the group has two objects, and all three names."""
    make_tree(tmp_path, {"a": b"same", "other": b"more"})
    os.link(tmp_path / "a", tmp_path / "b")
    seen = ck.preview(tmp_path)
    assert (seen.groups, seen.files, seen.objects, seen.bytes, seen.object_bytes) == ([], 3, 2, 12, 8)
    make_tree(tmp_path, {"c": b"same"})
    (group,) = ck.preview(tmp_path).groups
    assert (group.objects, group.spare_bytes, group.paths) == (2, 4, tuple(f"{tmp_path}/{name}" for name in "abc"))


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=12))
@settings(max_examples=20)
def test_groups_are_those_of_equal_bytes(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, bool]]
) -> None:
    """Whatever there is: exactly the files with the same bytes are together."""
    folder = tmp_path_factory.mktemp("pile")
    by_content: defaultdict[bytes, list[str]] = defaultdict(list)
    for number, (content, large) in enumerate(made):
        data = middle(bytes([content])) if large else bytes([content])
        (folder / f"{number:02}").write_bytes(data)
        by_content[data].append(str(folder / f"{number:02}"))
    wanted = sorted(tuple(paths) for paths in by_content.values() if len(paths) > 1)
    assert sorted(group.paths for group in ck.preview(folder).groups) == wanted


def test_links_are_followed_only_where_that_is_asked(tmp_path: Path) -> None:
    """A link to an equal file is no second file, asked or not; one to a file elsewhere is."""
    make_tree(tmp_path, {"in/a": b"same", "out/b": b"same"})
    (tmp_path / "in/b").symlink_to("../out/b")
    (tmp_path / "in/a again").symlink_to("a")
    assert ck.preview(tmp_path / "in").reasons == {"it is a symbolic link": 2}
    (group,) = ck.preview(tmp_path / "in", follow_links=True).groups
    assert (group.objects, len(group.paths)) == (2, 3)


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that goes away, or changes, between the look and the reading is named, and in no group."""
    make_tree(tmp_path, {"a": b"same", "b": b"same", "c": b"same", "d": b"same"})
    listed = os.open

    def opened(path: str, *more: int, **how: int) -> int:
        if str(path).endswith("/c"):
            Path(path).unlink(missing_ok=True)
        if str(path).endswith("/d"):
            Path(path).write_bytes(b"else")
        return listed(path, *more, **how)

    monkeypatch.setattr(os, "open", opened)
    seen = ck.preview(tmp_path)
    assert [group.paths for group in seen.groups] == [(f"{tmp_path}/a", f"{tmp_path}/b")]
    gone = "it cannot be read: No such file or directory"
    assert (seen.failed, seen.failures) == (2, [(f"{tmp_path}/c", gone), (f"{tmp_path}/d", CHANGED)])


def test_a_reader_believes_the_stamp_alone(tmp_path: Path) -> None:
    """What took a file's place is not taken for it, whatever it holds."""
    make_tree(tmp_path, {"a": b"same"})
    stamp = Stamp.of(os.stat(tmp_path / "a"))
    assert look(whole, [(f"{tmp_path}/a", stamp)])[0] != [CHANGED]
    assert look(whole, [(f"{tmp_path}/a", stamp._replace(inode=stamp.inode + 1))])[0] == [CHANGED]


def test_it_tells_how_far_it_is_and_stops(tmp_path: Path) -> None:
    """Progress grows to all there is; once asked to stop it ends after a whole job, and says so."""
    make_tree(tmp_path, {f"{number:05}": b"%05d" % (number // 2) for number in range(6 * JOB_FILES)})
    told: list[Progress] = []
    stop = threading.Event()
    every = ck.preview(tmp_path, concurrency=1, progress=told.append)
    assert (told[-1].done, told[-1].total, told[-1].bytes) == (6 * JOB_FILES, 6 * JOB_FILES, 30 * JOB_FILES)
    assert len(every.groups) == 3 * JOB_FILES
    assert not every.interrupted
    part = ck.preview(tmp_path, concurrency=1, progress=lambda _: stop.set(), stop=stop)
    assert part.interrupted
    assert 0 < len(part.groups) < len(every.groups)


def test_whoever_reads_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, in threads, in processes: the same groups, the same numbers."""
    make_tree(tmp_path, {f"{number:04}": b"%d" % (number % 700) * 9 for number in range(1200)})
    alone = ck.preview(tmp_path)
    monkeypatch.setattr(sys.modules["catalogkit.preview"], "FEW_FILES", 0)
    assert ck.preview(tmp_path, concurrency=2) == alone
    monkeypatch.setattr(sys.modules["catalogkit.stores.reading"], "FEW_FILES", 10_000)
    assert ck.preview(tmp_path, concurrency=2) == alone
    assert len(alone.groups) == 500


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A wrong path is said, and nothing else."""
    with pytest.raises(InvalidInput, match="does not exist"):
        ck.preview(tmp_path / "nothing")


def test_the_command(tmp_path: Path) -> None:
    """A person sees what would be saved and where; a machine gets every group; no collection is needed."""
    make_tree(tmp_path, {"a.pdf": b"same", "b.pdf": b"same", "\x1b[2J.pdf": b"same", "c.html": b"other"})
    shown = run("preview", tmp_path).stdout
    assert "spare bytes" in shown
    assert "8 B spare: 2 of 3 equal files:" in shown
    assert f"  {tmp_path}/a.pdf\n" in shown
    assert "\x1b" not in shown
    told = answer("preview", tmp_path)
    assert (told["files"], told["groups"], told["spare_bytes"], told["endings"]) == (4, 1, 8, {".pdf": 3, ".html": 1})
    assert len(told["duplicates"][0]["paths"]) == 3
    assert json.loads(run("preview", tmp_path / "nothing", "--json", code=1).stdout)["kind"] == "InvalidInput"
