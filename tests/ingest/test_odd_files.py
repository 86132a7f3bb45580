"""What lies around in a download folder besides whole, readable, plainly named files."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from catalogkit.collection import init
from catalogkit.ingest import ingest
from catalogkit.ingest_report import IngestReport
from catalogkit.model import text_path
from catalogkit.stores import reading
from catalogkit.verify import verify
from catalogkit.workers import Inline
from tests.conftest import hurry, make_tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from catalogkit.collection import Collection


def take(collection: Collection, *paths: Path, **settings: Any) -> IngestReport:
    return ingest(collection, *paths, executor=Inline(), **settings)


def names(collection: Collection) -> list[str]:
    return sorted(collection.frame("documents")["artifact_id"])


# -- things that are not files -----------------------------------------------------------------------------------


def test_fifos_sockets_and_devices_are_passed_over(collection: Collection, source: Path) -> None:
    """They are counted and named by kind, nothing hangs, and the file beside them is taken in."""
    make_tree(source, {"file.txt": b"x"})
    os.mkfifo(source / "fifo")
    folder = os.open(source, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{folder}/socket")  # the short way to a path that is too long for a socket's address
        report = take(collection, source, Path("/dev/null"))
    os.close(folder)
    assert names(collection) == ["file.txt"]
    assert (report.skipped, report.failed) == (3, 0)


def test_a_manifest_that_names_a_fifo(collection: Collection, source: Path) -> None:
    """A FIFO that is named outright is a failure with its reason, and nobody waits for a writer."""
    os.mkfifo(source / "fifo")
    (source / "m.jsonl").write_text('{"path": "fifo", "artifact_id": "a", "source_url": "u"}')
    report = ingest(collection, manifest=source / "m.jsonl", executor=Inline())
    assert report.failures == [(str(source / "fifo"), "it is a FIFO, not a file")]


def test_links_are_passed_over_unless_asked_for(collection: Collection, source: Path, tmp_path: Path) -> None:
    """Without `follow_links`, links to files, folders and nowhere are counted, and nothing behind them is taken in."""
    make_tree(tmp_path / "elsewhere", {"far.txt": b"far", "folder/deep.txt": b"deep"})
    make_tree(source, {"near.txt": b"near"})
    (source / "to a file").symlink_to(tmp_path / "elsewhere" / "far.txt")
    (source / "to a folder").symlink_to(tmp_path / "elsewhere" / "folder")
    (source / "to nowhere").symlink_to("absent")
    report = take(collection, source)
    assert names(collection) == ["near.txt"]
    assert report.reasons["it is a symbolic link"] == 3
    report = take(collection, source, follow_links=True)
    assert names(collection) == ["deep.txt", "near.txt", "to a file"]
    assert report.failed == 0


def test_link_loops_end(collection: Collection, source: Path) -> None:
    """Links that lead back up, to themselves or to each other end at the second visit."""
    make_tree(source, {"a/b/file.txt": b"x"})
    (source / "a" / "b" / "up").symlink_to("../..")
    (source / "self").symlink_to("self")
    (source / "one").symlink_to("two")
    (source / "two").symlink_to("one")
    report = take(collection, source, follow_links=True)
    assert names(collection) == ["file.txt"]
    assert report.reasons["it was visited already, by another name"] == 1


def test_a_folder_given_twice_is_taken_once(collection: Collection, source: Path) -> None:
    """A folder, one inside it, and a link to it, all named by the caller, give each document once."""
    make_tree(source, {"a/one.txt": b"1", "two.txt": b"2"})
    (source.parent / "link").symlink_to(source)
    report = take(collection, source, source / "a", source.parent / "link", source / "two.txt")
    assert (report.ingested, report.failed) == (2, 0)


def test_files_that_are_not_whole_yet_wait(collection: Collection, source: Path) -> None:
    """What browsers and downloaders are still writing is passed over, and taken in once it has its real name."""
    unfinished = ["a.pdf.part", "b.crdownload", "c.tmp", "~$d.docx", "e.partial", "f.filepart", "g.download"]
    make_tree(source, dict.fromkeys(unfinished, b"half"))
    make_tree(source, {"part": b"1", "tmp": b"2", "a.part.pdf": b"3"})
    report = take(collection, source)
    assert names(collection) == ["a.part.pdf", "part", "tmp"]
    assert report.skipped == len(unfinished)
    (source / "a.pdf.part").rename(source / "a.pdf")
    assert take(collection, source).ingested == 1


def test_zero_bytes(collection: Collection, source: Path) -> None:
    """Empty files are documents like others, all with one blob."""
    make_tree(source, {f"{number}.txt": b"" for number in range(40)})
    report = take(collection, source)
    assert (report.ingested, report.new_blobs, report.bytes) == (40, 1, 0)
    assert verify(collection, executor=Inline()).corrupt == 0


# -- files that cannot be read -----------------------------------------------------------------------------------


def test_one_unreadable_file_does_not_stop_the_rest(
    collection: Collection, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that may not be opened and a folder that may not be listed are reported; everything else is taken in."""
    make_tree(source, {"a.txt": b"a", "secret.txt": b"s", "locked/x.txt": b"x", "z.txt": b"z"})
    # Injected, because permissions do not bind every user.
    real_open, real_scan = os.open, os.scandir

    def refuse(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path).endswith(("secret.txt", "locked")):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return (real_scan if not args and not kwargs else real_open)(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    report = take(collection, source)
    assert names(collection) == ["a.txt", "z.txt"]
    assert {Path(path).name: why for path, why in report.failures} == {
        "locked": "the folder cannot be read: Permission denied",
        "secret.txt": "it cannot be taken in: Permission denied",
    }


def test_a_disk_error_in_one_file(collection: Collection, source: Path) -> None:
    """A file whose bytes cannot be read is reported, and the rest goes on."""
    make_tree(source, {"a.txt": b"a"})
    # It looks like an empty regular file, but reading it from the beginning is an input/output error.
    report = take(collection, source, Path(f"/proc/{os.getpid()}/mem"))
    assert names(collection) == ["a.txt"]
    assert report.failures == [(f"/proc/{os.getpid()}/mem", "it cannot be taken in: Input/output error")]


@pytest.mark.parametrize("mode", ["copy", "reference"])
def test_a_file_that_is_not_as_long_as_it_says(collection: Collection, source: Path, mode: str) -> None:
    """A file of the kernel's, which says that it is empty and is not, would never verify: it is not taken in."""
    report = take(collection, Path("/proc/version"), mode=mode)
    assert (report.ingested, report.failures) == (0, [("/proc/version", "it changed while it was read")])


def test_a_file_that_vanishes(collection: Collection, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there when listed and gone when read is reported as gone."""
    make_tree(source, {"a.txt": b"a", "b.txt": b"b"})
    real = os.open

    def vanish(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("a.txt"):
            os.unlink(path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", vanish)
    report = take(collection, source)
    assert names(collection) == ["b.txt"]
    assert report.failures == [(str(source / "a.txt"), "it is gone")]


@pytest.mark.parametrize("mode", ["copy", "move", "link", "reference"])
@pytest.mark.parametrize("size", [10, 3 * reading.BUFFER_BYTES], ids=["small", "large"])
@pytest.mark.parametrize("times", [1, 9], ids=["once", "on and on"])
def test_a_file_that_changes_while_it_is_read(
    make_collection: Callable[..., Collection],
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    size: int,
    times: int,
) -> None:
    """It gets a second chance; if it keeps changing it is reported, and no mixture of contents is stored."""
    collection = make_collection("cas")
    path = make_tree(source, {"growing.bin": b"x" * size}) / "growing.bin"
    real, left = os.preadv, [times]

    def read(fd: int, buffers: Any, offset: int) -> int:
        count = real(fd, buffers, offset)
        if left[0] and os.path.samestat(os.fstat(fd), path.stat()):
            left[0] -= 1
            with path.open("r+b") as file:
                file.write(b"y" * (times - left[0]))
        return count

    monkeypatch.setattr(os, "preadv", read)
    report = take(collection, source, mode=mode)
    monkeypatch.undo()
    if times == 1:
        assert report.failures == []
        assert collection.read(1) == b"y" + b"x" * (size - 1)
    else:
        assert report.failures == [(str(path), "it changed while it was read")]
        assert path.exists()
    assert verify(collection, executor=Inline()).corrupt == 0
    assert not list(Path(collection.store.root, ".catalogkit", "tmp").iterdir())


# -- names -------------------------------------------------------------------------------------------------------

NAMES = [
    b"plain.txt", b"caf\xc3\xa9.pdf", b"cafe\xcc\x81.pdf", b"caf\xe9.pdf", b"\xff\xfe", b"new\nline", b"tab\t",
    b"100%.txt", b"%41.txt",  # paths are written with percent signs, too
    b" lead", b"trail ", b"dot.", b"..dots", b".hidden", b"CON", b"nul.txt", b"a:b", b"a\\b", b"a|b?c*d",
    b"Paper.PDF", b"paper.pdf", b"PAPER.pdf", b"x" * 255, b"\xe2\x82\xac" * 85, b"\x01\x7f", b"-rf", b"~", b"\"'`$()",
    "\u202egnp.exe".encode(), "Ελλάς ΐ.pdf".encode(), "ελλάσ ΐ.pdf".encode(),
]  # fmt: skip


def test_hazard_28_any_name_that_a_disk_can_hold(collection: Collection, source: Path) -> None:
    """Every name is stored and read back, twins of case and of normalisation beside each other."""
    for name in NAMES:
        with open(os.fsencode(source) + b"/" + name, "wb") as file:
            file.write(b"content of " + name)
    report = take(collection, source)
    assert (report.ingested, report.failures) == (len(NAMES), [])
    for row in collection.frame("documents").iter_rows(named=True):
        assert collection.read(row["id"]) == b"content of " + os.fsencode(text_path(row["artifact_id"]))
    folds = [key.casefold() for key in collection.store.keys()]  # noqa: SIM118 - a store is no dictionary
    assert len(folds) == len(set(folds)) == len(NAMES), "also on a disk that ignores case, nothing would collide"
    assert take(collection, source).reasons == {"unchanged": len(NAMES)}


def test_hazard_28_names_too_long_for_any_disk(make_collection: Callable[..., Collection], source: Path) -> None:
    """Fields that make a path segment of more than 255 bytes are shortened, and still told apart."""
    collection = make_collection("policy", template="{resolver}/{artifact_id}-{variant}/{basename}")
    make_tree(source, {"one.txt": b"1", "two.txt": b"2"})
    long = "d" * 300
    rows = [
        f'{{"path": "{name}", "artifact_id": "{long}{name}", "source_url": "https://example.org/{long}.txt",'
        f' "resolver": "{long}", "variant": "{long}"}}'
        for name in ("one.txt", "two.txt")
    ]
    (source / "m.jsonl").write_text("\n".join(rows))
    report = ingest(collection, manifest=source / "m.jsonl", executor=Inline())
    assert (report.ingested, report.failures) == (2, [])
    assert sorted(collection.read(number) for number in (1, 2)) == [b"1", b"2"]


@pytest.mark.parametrize("year", [1950, 2300, 9998])
def test_times_that_no_clock_shows(collection: Collection, source: Path, year: int) -> None:
    """A file from long before 1970, or from a far future, is taken in and known again."""
    path = make_tree(source, {"old.txt": b"x"}) / "old.txt"
    seconds = (year - 1970) * 31_556_952
    os.utime(path, (seconds, seconds))
    assert take(collection, source).ingested == 1
    assert take(collection, source).failures == []
    assert collection.catalog.totals()["documents"] == 1


# -- the collection's own ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("mode", ["copy", "move"])
def test_a_collection_inside_the_folder(tmp_path: Path, mode: str, follow: bool) -> None:
    """Its settings, its catalog and its store are never documents, again and again, also by way of a link."""
    make_tree(tmp_path, {"downloads/one.txt": b"1", "two.txt": b"2"})
    with hurry(init(tmp_path / "collection")) as collection:
        (tmp_path / "link").symlink_to(tmp_path / "collection" / "store" / "cas")
        (tmp_path / "other link").symlink_to(tmp_path / "collection" / "catalogkit.toml")
        for _ in range(2):
            report = take(collection, tmp_path, mode=mode, follow_links=follow)
            assert report.failures == []
        assert names(collection) == ["one.txt", "two.txt"]
        assert verify(collection, executor=Inline()).ok == 2


def test_hazard_19_nothing_overwrites_the_catalog(tmp_path: Path) -> None:
    """Documents whose names are those of the collection's own files land beside them, wherever the store is."""
    hostile = ["catalog.sqlite", "catalog.sqlite-wal", "catalogkit.toml", ".catalogkit", "store.json", "cas", "docs"]
    make_tree(tmp_path / "source", dict.fromkeys(hostile, b"hostile"))
    collection = hurry(init(tmp_path / "c", store="file:.", layout="policy", template="{basename}"))
    with collection:
        rows = [
            f'{{"path": "{name}", "artifact_id": "../../{name}", "source_url": "https://example.org/x/{name}"}}'
            for name in hostile
        ]
        (tmp_path / "source" / "m.jsonl").write_text("\n".join(rows))
        report = ingest(collection, manifest=tmp_path / "source" / "m.jsonl", executor=Inline())
        assert (report.ingested, report.failures) == (len(hostile), [])
        assert collection.catalog.integrity() == []
        collection.store.reach()
    assert b"[store]" in (tmp_path / "c" / "catalogkit.toml").read_bytes()
