"""Ok, corrupt, missing, unknown: four results that never stand for one another."""

from __future__ import annotations

import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, chdir
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogkit.collection import Collection, init, open_collection
from catalogkit.errors import StoreError, StoreUnreachable
from catalogkit.ingest import ingest
from catalogkit.layouts import cas_key
from catalogkit.model import Outcome
from catalogkit.proving import MEANWHILE
from catalogkit.stores.contract import Asked, Examined
from catalogkit.stores.reading import BUFFER_BYTES, digest_fd, examine_rows
from catalogkit.verify import VerifyReport, verify
from catalogkit.workers import Inline, Workers
from tests.conftest import hurry, make_tree
from tests.verify.doubles import Around
from tests.verify.world import copies, ledger, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OPEN = ExitStack()


def rewrite(path: Path, content: bytes) -> None:
    """Change a read-only file in place, and leave no trace of it but the content."""
    before = path.stat()
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(0o444)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip(path: Path, position: int = 0, bit: int = 0) -> None:
    """Change one bit; size and times stay."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    rewrite(path, bytes(content))


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def into_link(path: Path) -> None:
    """The right bytes, but by way of a symbolic link to somewhere else."""
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def into_fed_fifo(path: Path) -> None:
    """A FIFO somebody writes into without end."""
    content = path.read_bytes()
    replace(path, os.mkfifo)
    writer = OPEN.enter_context(os.fdopen(os.open(path, os.O_RDWR | os.O_NONBLOCK), "wb", buffering=0))
    writer.write(content)


def into_socket(path: Path) -> None:
    path.unlink()
    listener = OPEN.enter_context(socket.socket(socket.AF_UNIX))
    with chdir(path.parent):  # a socket's name has 107 bytes at most
        listener.bind("s")
    path.with_name("s").rename(path)


DAMAGE = {
    "one bit, size and time kept": flip,
    "the last bit": lambda path: flip(path, -1, 7),
    "truncated": lambda path: rewrite(path, path.read_bytes()[:-1]),
    "emptied": lambda path: rewrite(path, b""),
    "grown": lambda path: rewrite(path, path.read_bytes() + b"!"),
    "grown beyond the buffer": lambda path: rewrite(path, path.read_bytes() * BUFFER_BYTES),
    "a symbolic link": into_link,
    "a folder": lambda path: replace(path, Path.mkdir),
    "a FIFO": lambda path: replace(path, os.mkfifo),
    "a FIFO that is written to": into_fed_fifo,
    "a socket": into_socket,
}


@pytest.fixture
def pile(make_collection: Callable[..., Collection], stock: Callable[..., Collection]) -> Collection:
    """Three documents in folders of their own, one of them empty, one larger than the reader's buffer."""
    return stock(make_collection("policy"), {"a.txt": b"a document", "b.bin": bytes(range(256)) * 5000, "empty": b""})


@pytest.fixture(autouse=True)
def open_ends() -> Iterator[None]:
    with OPEN:
        yield


def damaged(collection: Collection) -> Path:
    """The copy that tests damage."""
    (path,) = [path for path in copies(collection) if path.stat().st_size == len(b"a document")]
    return path


def test_well_kept_copies_are_ok(pile: Collection) -> None:
    """Copies that hold what they should are ok, and every byte of them was read."""
    report = verify(pile)
    assert outcomes(report) == (3, 0, 0, 0)
    assert report.clean and report.checked == 3 and report.findings == []
    assert report.bytes == len(b"a document") + 256 * 5000


@pytest.mark.parametrize("harm", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_corrupt(pile: Collection, harm: Callable[[Path], object]) -> None:
    """Whatever happened to the bytes at a key, also behind unchanged metadata, is corrupt: not missing, never ok."""
    path = damaged(pile)
    harm(path)
    report = verify(pile)
    assert outcomes(report) == (2, 1, 0, 0)
    (finding,) = report.findings
    assert (finding.place, finding.outcome) == (str(path), "corrupt")
    assert finding.detail
    assert not report.clean


def test_a_fifo_is_no_empty_document(pile: Collection) -> None:
    """A FIFO nobody writes to gives no bytes, and still is not the empty document it took the place of."""
    (path,) = [path for path in copies(pile) if path.stat().st_size == 0]
    replace(path, os.mkfifo)
    assert outcomes(verify(pile)) == (2, 1, 0, 0)


def test_a_file_that_is_gone_is_missing(pile: Collection) -> None:
    """Where the store is there and nothing lies at the key, or its whole folder is gone, the copy is missing."""
    path = damaged(pile)
    path.unlink()
    assert outcomes(verify(pile)) == (2, 0, 1, 0)
    path.parent.rmdir()
    assert outcomes(verify(pile)) == (2, 0, 1, 0)


def test_a_folder_that_is_no_folder_leaves_its_files_unknown(pile: Collection) -> None:
    """A folder that became a link in a circle proves nothing about the files that should be in it."""
    path = damaged(pile)
    aside = path.parent.with_name("aside")
    path.parent.rename(aside)
    path.parent.symlink_to(path.parent)
    report = verify(pile)
    assert outcomes(report) == (2, 0, 0, 1)


def test_permission_denied_is_unknown(pile: Collection) -> None:
    """What may not be read is unknown: here workers that gave up root's rights, or a file nobody may read."""
    path = damaged(pile)
    path.chmod(0)
    with Workers(1) as workers:
        workers.submit(examine_rows, pile.store.examiner(), []).result()  # loads what it takes, with all rights
        if os.geteuid() == 0:
            workers.submit(os.setuid, 65534).result()
        report = verify(pile, executor=workers)
    assert report.unknown >= 1
    assert report.corrupt == report.missing == 0
    (finding,) = [finding for finding in report.findings if finding.place == str(path)]
    assert finding.outcome == "unknown"
    assert "Permission denied" in finding.detail


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EACCES, errno.EAGAIN, errno.EMFILE])
def test_errors_of_the_disk_are_unknown(pile: Collection, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """An error while opening or reading proves nothing about the bytes: unknown, with the reason."""

    def fail(*args: object, **kwargs: object) -> int:
        raise OSError(number, os.strerror(number))

    for call in ("open", "preadv"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            found = pile.store.examiner()([Asked(*asked) for asked in _asked(pile)])
        assert {one.outcome for one in found} == {Outcome.UNKNOWN}
        assert all(os.strerror(number) in one.detail for one in found)


def _asked(collection: Collection) -> list[tuple[Any, ...]]:
    due = collection.catalog.due(before=datetime(9000, 1, 1, tzinfo=UTC), limit=100, up_to_check=0)
    return [(one.key, one.digest, one.bytes) for one in due]


@pytest.mark.parametrize("problem", [TimeoutError("the server does not answer"), StoreUnreachable("it is away")])
def test_a_store_that_fails_leaves_its_copies_unknown(pile: Collection, problem: Exception) -> None:
    """Where a store fails as a whole, say by a time-out, each copy asked for is unknown, and that is in the ledger."""

    def fail(read: object, batch: Sequence[Asked]) -> list[Examined]:
        raise problem

    Around(pile, fail)
    report = verify(pile)
    assert outcomes(report) == (0, 0, 0, 3)
    assert {row["outcome"] for row in ledger(pile)} == {"unknown"}
    assert all(str(problem) in finding.detail for finding in report.findings)


def test_a_programming_error_is_no_result(pile: Collection) -> None:
    """An error that is not about reading ends the run instead of passing for a result."""

    def fail(read: object, batch: Sequence[Asked]) -> list[Examined]:
        raise ZeroDivisionError

    Around(pile, fail)
    with pytest.raises(ZeroDivisionError):
        verify(pile)
    assert ledger(pile) == []


def test_a_store_that_is_away_leaves_its_copies_unknown(pile: Collection) -> None:
    """With the store's folder gone or not mounted nothing is missing: everything is unknown."""
    root = Path(pile.store.root)
    root.rename(root.with_name("away"))
    assert outcomes(verify(pile)) == (0, 0, 0, 3)
    root.mkdir()  # the mount point
    assert outcomes(verify(pile)) == (0, 0, 0, 3)
    assert {row["outcome"] for row in ledger(pile)} == {"unknown"}


def test_another_store_in_its_place_leaves_its_copies_unknown(pile: Collection, source: Path, tmp_path: Path) -> None:
    """With the store of another catalog at its place everything is unknown, even where that has the same bytes."""
    root = Path(pile.store.root)
    root.rename(root.with_name("away"))
    with hurry(init(tmp_path / "other", layout="policy")) as other:
        assert ingest(other, source).ingested == 3
    (tmp_path / "other" / "store").rename(root)
    assert outcomes(verify(pile)) == (0, 0, 0, 3)


def test_a_store_that_vanishes_during_the_run(
    make_collection: Callable[..., Collection], stock: Callable[..., Collection]
) -> None:
    """When the store goes away half way, what was read stays ok and the rest is unknown; nothing is missing."""
    collection = stock(make_collection("cas"), 12)
    root = Path(collection.store.root)

    def read_three(read: Callable[..., list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
        if len(seen) == 3 and root.exists():
            root.rename(root.with_name("away"))
        seen.extend(batch)
        return read(batch)

    seen: list[Asked] = []
    Around(collection, read_three)
    assert outcomes(verify(collection, executor=Inline(), concurrency=12)) == (3, 0, 0, 9)


def test_missing_is_looked_at_twice(pile: Collection) -> None:
    """A file that was not there for a moment, as while it is published anew, is not missing."""
    path = damaged(pile)

    def blink(read: Callable[..., list[Examined]], batch: Sequence[Asked]) -> list[Examined]:
        if not seen:
            path.rename(path.with_name("aside"))
        seen.extend(batch)
        found = read(batch)
        if path.with_name("aside").exists():
            path.with_name("aside").rename(path)
        return found

    seen: list[Asked] = []
    Around(pile, blink)
    assert outcomes(verify(pile, executor=Inline(), concurrency=1)) == (3, 0, 0, 0)
    assert len(seen) == 4


# -- looking twice before crying wolf ----------------------------------------------------------------------------


class BadReads:
    """`os.preadv` that flips a bit of the first read of each of these turns; a turn begins at position 0."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *turns: int) -> None:
        self.real, self.turns, self.turn = os.preadv, turns, 0
        monkeypatch.setattr(os, "preadv", self)

    def __call__(self, fd: int, buffers: list[memoryview], offset: int) -> int:
        count = self.real(fd, buffers, offset)
        if offset == 0:
            self.turn += 1
            if self.turn in self.turns:
                buffers[0][0] ^= self.turn  # another bit each time
        return count


@pytest.fixture
def single(make_collection: Callable[..., Collection], stock: Callable[..., Collection]) -> Collection:
    """A collection of one document."""
    return stock(make_collection("cas"), 1)


def test_one_bad_read_of_good_bytes_is_ok_with_a_note(single: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only the first read differs the copy is ok, but report and ledger tell: memory or a cable may be failing."""
    BadReads(monkeypatch, 1)
    report = verify(single)
    assert outcomes(report) == (1, 0, 0, 0)
    (finding,) = report.findings
    assert finding.outcome == "ok"
    assert "suspect the hardware" in finding.detail
    assert [row["detail"] for row in ledger(single)] == [finding.detail]


def test_two_different_reads_are_unknown(single: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """If two reads differ from the record and from each other, what lies there is unknown, not corrupt."""
    BadReads(monkeypatch, 1, 2)
    assert outcomes(verify(single)) == (0, 0, 0, 1)


def test_two_equal_bad_reads_are_corrupt(single: Collection) -> None:
    """If two reads agree on other content, that is what lies there; both were counted."""
    flip(copies(single)[0])
    report = verify(single)
    assert outcomes(report) == (0, 1, 0, 0)
    assert report.bytes == 2 * len(b"document 0")


def test_a_file_replaced_while_it_is_read_is_unknown(single: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad bytes that another file took the place of meanwhile say nothing about what lies there now."""
    (path,) = copies(single)
    good = path.read_bytes()
    flip(path)
    real = os.preadv

    def replaced(fd: int, buffers: list[memoryview], offset: int) -> int:
        fresh = path.with_name("fresh")
        fresh.write_bytes(good)
        fresh.rename(path)
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", replaced)
    assert outcomes(verify(single)) == (0, 0, 0, 1)
    monkeypatch.undo()
    assert outcomes(verify(single)) == (1, 0, 0, 0)


def test_reading_ends_once_it_is_too_much() -> None:
    """What is longer than it should be is not read to an end that may never come."""
    fd = os.open("/dev/zero", os.O_RDONLY)
    try:
        _, size = digest_fd(fd, most=BUFFER_BYTES)
    finally:
        os.close(fd)
    assert BUFFER_BYTES < size <= 2 * BUFFER_BYTES


# -- any bit ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collection, dict[int, Path]]]:
    """Documents around the sizes where reading changes its way, and where they lie."""
    folder = tmp_path_factory.mktemp("sizes")
    clock = datetime(2026, 3, 1, tzinfo=UTC)
    with hurry(init(folder / "collection", clock=lambda: clock)) as collection:
        lengths = (1, 2, 4095, 4096, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 2 * BUFFER_BYTES + 3)
        ingest(collection, make_tree(folder / "source", {str(n): os.urandom(n) for n in lengths}))
        yield collection, {path.stat().st_size: path for path in copies(collection)}


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_flipped_bit_is_found(sizes: tuple[Collection, dict[int, Path]], data: st.DataObject) -> None:
    """One bit of any one byte of a file of any size, flipped behind its unchanged metadata, is found."""
    collection, paths = sizes
    size = data.draw(st.sampled_from(sorted(paths)))
    position, bit = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, 7))
    flip(paths[size], position, bit)
    try:
        report = verify(collection, executor=Inline())
    finally:
        flip(paths[size], position, bit)
    assert (report.corrupt, [finding.place for finding in report.findings]) == (1, [str(paths[size])])


# -- files in their owners' hands ------------------------------------------------------------------------------------


def in_place(collection: Collection, source: Path, stock: Callable[..., Collection]) -> Callable[[], VerifyReport]:
    stock(collection, {"deep/a.txt": b"a", "deep/b.txt": b"b"}, mode="reference")
    return lambda: verify(collection)


def test_referenced_files_are_missing_only_where_their_disk_is_there(
    make_collection: Callable[..., Collection], source: Path, stock: Callable[..., Collection]
) -> None:
    """One file gone from among others is missing; all gone, or their folder, may be a disk that is not mounted."""
    check = in_place(make_collection("cas"), source, stock)
    assert outcomes(check()) == (2, 0, 0, 0)
    (source / "deep" / "a.txt").unlink()
    assert outcomes(check()) == (1, 0, 1, 0)
    (source / "deep" / "b.txt").unlink()
    assert outcomes(check()) == (0, 0, 0, 2)
    (source / "deep").rmdir()
    assert outcomes(check()) == (0, 0, 0, 2)


def test_a_folder_that_cannot_be_listed_leaves_its_files_unknown(
    make_collection: Callable[..., Collection],
    source: Path,
    stock: Callable[..., Collection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it cannot be told whether a disk is away, a file that is not found is unknown; those found are read."""
    check = in_place(make_collection("cas"), source, stock)
    (source / "deep" / "a.txt").unlink()

    def refuse(*_: object) -> object:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    assert outcomes(check()) == (1, 0, 0, 1)


def test_a_referenced_link_is_followed(
    make_collection: Callable[..., Collection], source: Path, tmp_path: Path
) -> None:
    """A link that was taken in by reference stands for its target: ok, corrupt with it, unknown without it."""
    target = tmp_path / "target.txt"
    target.write_bytes(b"linked")
    make_tree(source, {"other.txt": b"other"})
    (source / "link.txt").symlink_to(target)
    collection = make_collection("cas")
    assert ingest(collection, source, mode="reference", follow_links=True).ingested == 2
    assert outcomes(verify(collection)) == (2, 0, 0, 0)
    target.write_bytes(b"LINKED")
    assert outcomes(verify(collection)) == (1, 1, 0, 0)
    target.unlink()
    assert outcomes(verify(collection)) == (1, 0, 0, 1)


def test_a_store_that_came_later_leaves_its_copies_unknown(
    make_collection: Callable[..., Collection], source: Path, stock: Callable[..., Collection], clock: Any
) -> None:
    """Copies in a store that was added after the collection was opened are unknown, and the reason says what to do."""
    from catalogkit.collection import open_collection

    collection = make_collection("cas")
    with open_collection(collection.path, clock=clock) as opened_before:
        stock(collection, 2, mode="reference")
        report = verify(opened_before)
    assert outcomes(report) == (0, 0, 0, 2)
    assert "open it again" in report.findings[0].detail


def test_threads_and_processes_agree(
    make_collection: Callable[..., Collection], stock: Callable[..., Collection]
) -> None:
    """The same damage gives the same report, whether it is read here, in threads or in other processes."""
    collection = stock(make_collection("cas"), 4 * len(DAMAGE) + 4)
    paths = copies(collection)
    for path, harm in zip(paths[::4], DAMAGE.values(), strict=False):
        harm(path)
    paths[-1].unlink()
    reports = []
    for executor in (Inline(), ThreadPoolExecutor(3), Workers(2)):
        with executor:
            reports.append(verify(collection, executor=executor))
    first = reports[0]
    assert outcomes(first) == (3 * len(DAMAGE) + 3, len(DAMAGE), 1, 0)
    for report in reports[1:]:
        assert outcomes(report) == outcomes(first)
        assert report.bytes == first.bytes
        assert sorted(report.findings, key=lambda f: f.place) == sorted(first.findings, key=lambda f: f.place)


@pytest.mark.parametrize("through", [True, False], ids=["moved", "given up"])
def test_what_is_being_moved_is_neither_missing_nor_lost(
    collection: Collection, stock: Callable[..., Collection], through: bool
) -> None:
    """A plan removes a file before others see that its record went: they wait for it, and look again.

    Where the plan is cut short in between, the file is gone, its record stays, and that is told.
    """
    stock(collection, {"a.txt": b"a"})
    digest = collection.catalog.find(artifact_id="a.txt")[0].sha256
    (copy,) = collection.catalog.locations_of(digest)
    root, store_id = Path(collection.store.root), collection.store_id(copy.store)
    key = "docs/elsewhere/a.txt" if copy.layout == "cas" else cas_key(digest)
    with ExitStack() as stack, ThreadPoolExecutor(2) as askers, ExitStack() as moving:
        other, third = (stack.enter_context(open_collection(collection.path)) for _ in range(2))
        hand = moving.enter_context(other.catalog.hand("0" * 64, as_of=other.now()))
        (root / key).parent.mkdir(parents=True)
        (root / copy.key).rename(root / key)
        hand.place(digest, store_id, key, copy.inode, copy.mtime_ns or 0, 1)
        assert hand.drop_location(digest, store_id, copy.key) == ""
        document = collection.catalog.find(artifact_id="a.txt")[0].id
        read = askers.submit(collection.read, document)
        report = askers.submit(verify, third, [document], executor=Inline())
        assert not any(wait([read, report], timeout=0.3).done)
        if through:
            moving.close()
            assert read.result() == b"a"
            assert (report.result().checked, report.result().clean) == (0, True)
            assert report.result().unchecked == {MEANWHILE: 1}
            return
        with pytest.raises(ZeroDivisionError), moving:
            raise ZeroDivisionError
        with pytest.raises(StoreError, match=r"nothing lies at|known to be bad"):
            read.result()
        assert report.result().missing == 1
