"""The local store: whose it is, what it publishes and never touches, what it does when the file system is odd."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import socket
import stat
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalogkit.errors import InvalidInput, StoreError, StoreMismatch, StoreUnreachable
from catalogkit.layouts import cas_key
from catalogkit.model import Digest, Mode, Outcome
from catalogkit.stores import publishing, taking
from catalogkit.stores.contract import Asked
from catalogkit.stores.files import Files
from catalogkit.stores.local import LocalStore, Publication
from tests.conftest import read_tree

CONTENT = b"the right bytes"
DIGEST = Digest(hashlib.sha256(CONTENT).digest())
KEY = cas_key(DIGEST)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore.create(tmp_path / "store", name="main", catalog="the catalog")


def test_a_store_in_which_nothing_can_be_written_says_so(store: LocalStore, tmp_path: Path) -> None:
    """Temporary files may be the first that cannot be made, and tell like everything else."""
    tmp = tmp_path / "store/.catalogkit/tmp"
    tmp.rmdir()
    tmp.touch()
    with pytest.raises(StoreError, match="cannot write"):
        store.scratch("me")


def temp(store: LocalStore, content: bytes) -> str:
    path = Path(store.scratch("me"), uuid.uuid4().hex)
    path.write_bytes(content)
    path.chmod(0o444)
    return str(path)


def put(store: LocalStore, key: str = KEY, content: bytes = CONTENT, *, replace: bool = False) -> bool:
    (new,) = store.publish([Publication(key, temp(store, content), replace=replace)])
    return new


def files(store: LocalStore) -> dict[str, bytes]:
    return {name: content for name, content in read_tree(Path(store.root)).items() if "/tmp/" not in name}


def quarantined(store: LocalStore) -> list[bytes]:
    return sorted(content for name, content in files(store).items() if name.startswith(".catalogkit/quarantine/"))


# -- whose it is -------------------------------------------------------------------------------------------------


def test_hazard_4_a_foreign_store_is_refused(store: LocalStore) -> None:
    """A folder that carries another catalog's token is never worked on."""
    with pytest.raises(StoreMismatch, match="another catalog"):
        LocalStore(store.root, name="main", token="of another").reach()


def test_a_store_is_made_only_once(store: LocalStore) -> None:
    """A folder that is a store already cannot become another catalog's."""
    before = files(store)
    with pytest.raises(StoreMismatch):
        LocalStore.create(store.root, name="main", catalog="another")
    assert files(store) == before


@pytest.mark.parametrize("spoil", ["{", "[]", '{"token": null}', "\x00"])
def test_a_spoilt_identity_is_no_identity(store: LocalStore, spoil: str) -> None:
    """A store whose identity cannot be read is not taken for the right one."""
    Path(store.root, ".catalogkit", "store.json").write_text(spoil)
    with pytest.raises((StoreUnreachable, StoreMismatch)):
        store.reach()


def test_the_store_knows_its_catalog(store: LocalStore) -> None:
    """The folder says which catalog it belongs to, for whoever finds it alone."""
    assert json.loads(Path(store.root, ".catalogkit", "store.json").read_text())["catalog"] == "the catalog"


@pytest.mark.parametrize("empty", [False, True], ids=["gone", "an empty mount point"])
def test_a_store_that_is_not_there_is_unreachable(store: LocalStore, empty: bool, tmp_path: Path) -> None:
    """A missing folder, or an empty one where its disk should be mounted, is not a store without files."""
    put(store)
    os.rename(store.root, tmp_path / "elsewhere")
    if empty:
        os.mkdir(store.root)
    with pytest.raises(StoreUnreachable, match="mounted"):
        store.reach()
    with pytest.raises(StoreUnreachable):
        list(store.keys())


def test_hazard_1_a_relative_root_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store opened by a relative path, or through a link, is the same one after the working directory changed."""
    made = LocalStore.create(tmp_path / "real", name="main", catalog="x")
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    opened = [LocalStore(root, name="main", token=made.token) for root in ("real", "./link", "link/../real/")]
    monkeypatch.chdir("/")
    assert {store.root for store in opened} == {made.root}
    for store in opened:
        store.reach()


# -- publishing --------------------------------------------------------------------------------------------------


def test_hazard_29_published_files_are_read_only(store: LocalStore, tmp_path: Path) -> None:
    """What a store publishes has no write permission for anybody, however it was taken in."""
    for mode in (Mode.COPY, Mode.LINK, Mode.MOVE):
        path = tmp_path / mode
        path.write_bytes(mode.encode())
        path.chmod(0o664)
        folder = store.scratch("me")
        (taken,) = store.taker(folder, mode, peek=False)([(str(path), mode)])
        assert taken.digest and taken.temp
        store.publish([Publication(cas_key(taken.digest), taken.temp)])
        assert stat.S_IMODE(os.stat(store.path(cas_key(taken.digest))).st_mode) == 0o444


def test_hazard_23_one_key_two_writers(store: LocalStore) -> None:
    """Of several threads that publish different bytes at one key, exactly one succeeds, and its bytes are there."""
    key = "docs/arxiv/paper.pdf"
    start = threading.Barrier(8)
    contents = [bytes([number]) * 1000 for number in range(8)]

    def publish(number: int) -> bool:
        source = temp(store, contents[number])
        start.wait()
        return store.publish([Publication(key, source)])[0]

    with ThreadPoolExecutor(8) as threads:
        new = list(threads.map(publish, range(8)))
    assert new.count(True) == 1
    assert Path(store.path(key)).read_bytes() == contents[new.index(True)]


def test_publishing_never_overwrites(store: LocalStore) -> None:
    """A taken key is reported, and what lies there stays, whether equal or not."""
    assert put(store)
    inode = os.stat(store.path(KEY)).st_ino
    assert not put(store)
    assert not put(store, content=b"other bytes")
    assert Path(store.path(KEY)).read_bytes() == CONTENT
    assert os.stat(store.path(KEY)).st_ino == inode


def test_hazard_20_equal_bytes_share_an_inode(store: LocalStore) -> None:
    """A second readable path to the same bytes is one more name of the same file."""
    put(store, "docs/a/one.txt")
    (new,) = store.publish([Publication("docs/b/two.txt", None, store.path("docs/a/one.txt"))])
    one, two = (os.stat(store.path(key)) for key in ("docs/a/one.txt", "docs/b/two.txt"))
    assert new and one.st_ino == two.st_ino and one.st_nlink == 3  # the third is the temporary name


class Unlinkable(Files):
    """A file system on which some files cannot have more names."""

    def __init__(self, code: int, refused: str) -> None:
        self.code, self.refused = code, refused

    def link(self, source: str, target: str) -> None:
        if source.endswith(self.refused):
            raise OSError(self.code, os.strerror(self.code))
        super().link(source, target)


@pytest.mark.parametrize("code", [errno.EMLINK, errno.EPERM, errno.ENOENT], ids=errno.errorcode.get)
def test_a_file_that_cannot_be_shared_is_stored_again(store: LocalStore, code: int) -> None:
    """Where the file to share has too many names already, or is gone, the bytes at hand are published instead."""
    put(store, "docs/a/one.txt")
    store.files = Unlinkable(code, "one.txt")
    assert store.publish([Publication("docs/b/two.txt", temp(store, CONTENT), store.path("docs/a/one.txt"))]) == [True]
    assert Path(store.path("docs/b/two.txt")).read_bytes() == CONTENT


def test_replacing_keeps_the_bad_bytes(store: LocalStore) -> None:
    """Good bytes take the place of bad ones, which are kept in quarantine."""
    put(store, content=b"the wrong bytes")
    assert put(store, replace=True)
    assert Path(store.path(KEY)).read_bytes() == CONTENT
    assert quarantined(store) == [b"the wrong bytes"]


@pytest.mark.parametrize("make", ["folder", "link", "fifo"])
def test_something_odd_at_an_address_makes_room(store: LocalStore, make: str, tmp_path: Path) -> None:
    """A folder, a link or a FIFO at an address is found corrupt without hanging, and moved aside for good bytes."""
    put(store)
    path = Path(store.path(KEY))
    path.unlink()
    if make == "folder":
        path.mkdir()
        (path / "inside").write_bytes(b"kept")
    elif make == "link":
        (tmp_path / "target").write_bytes(CONTENT)
        path.symlink_to(tmp_path / "target")
    else:
        os.mkfifo(path)
    (found,) = store.examiner()([Asked(KEY, DIGEST, len(CONTENT))])
    assert found.outcome is Outcome.CORRUPT and make.replace("fifo", "FIFO") in found.detail
    assert store.holds(KEY, DIGEST) is None
    with pytest.raises(StoreError):
        store.open(KEY)
    assert list(store.keys()) == []
    assert put(store, replace=True)
    assert store.holds(KEY, DIGEST)
    assert len(os.listdir(Path(store.root, ".catalogkit", "quarantine"))) == 1
    if make == "link":
        assert (tmp_path / "target").read_bytes() == CONTENT


def test_a_socket_at_an_address_is_corrupt(store: LocalStore) -> None:
    """A socket cannot even be opened, which is no reason to think that nothing can be known."""
    put(store)
    os.unlink(store.path(KEY))
    with socket.socket(socket.AF_UNIX) as made:
        folder = os.open(os.path.dirname(store.path(KEY)), os.O_RDONLY)
        # The address of a socket is short; by way of the open folder any path is.
        made.bind(f"/proc/self/fd/{folder}/s")
        os.close(folder)
        os.rename(os.path.join(os.path.dirname(store.path(KEY)), "s"), store.path(KEY))
        (found,) = store.examiner()([Asked(KEY, DIGEST, len(CONTENT))])
    assert found.outcome is Outcome.CORRUPT


def test_quarantine_keeps_bytes(store: LocalStore) -> None:
    """What is moved aside is out of every layout's reach and still there, also when it happens twice."""
    for number in range(2):
        put(store, content=b"bad %d" % number)
        aside = store.quarantine(KEY)
        assert Path(aside).read_bytes() == b"bad %d" % number
    assert store.stat(KEY) is None and list(store.keys()) == []
    assert quarantined(store) == [b"bad 0", b"bad 1"]


def test_folders_that_vanish_are_made_again(store: LocalStore) -> None:
    """A long-lived program does not rely on folders it once made, for somebody may tidy up empty ones."""
    put(store)
    os.unlink(store.path(KEY))
    os.rmdir(os.path.dirname(store.path(KEY)))
    assert put(store)
    assert store.holds(KEY, DIGEST)


def test_no_temporary_file_means_no_publication(store: LocalStore) -> None:
    """A source that is gone is an error of ours, and nothing is shown."""
    with pytest.raises(StoreError):
        store.publish([Publication(KEY, os.path.join(store.root, ".catalogkit", "tmp", "gone"))])
    assert store.stat(KEY) is None


# -- what is its own ---------------------------------------------------------------------------------------------


def test_hazard_9_only_names_of_a_layout_are_keys(store: LocalStore) -> None:
    """Own files, temporary ones, databases, hidden, half-written and foreign ones are never listed."""
    put(store)
    put(store, "docs/arxiv/paper.pdf")
    root = Path(store.root)
    store.quarantine("docs/arxiv/paper.pdf")
    put(store, "docs/arxiv/paper.pdf")
    foreign = [
        "catalog.sqlite", "catalog.sqlite-wal", "notes.txt", "cas/README", f"cas/00/{'f' * 64}", f"cas/{'a' * 64}",
        f"cas/aa/{'A' * 64}", f"cas/aa/{'a' * 64}.part", "docs/.hidden", "docs/a/.nfs0001", "docs/nul.txt", "docs/a:b",
        "docs/ends ", "docs/x/aux", "other/paper.pdf", "DOCS/paper.pdf",
    ]  # fmt: skip
    for name in foreign:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not ours")
    raw = os.fsencode(root) + b"/docs/caf\xe9.pdf"
    with open(raw, "wb"):
        pass
    assert list(store.keys()) == [KEY, "docs/arxiv/paper.pdf"]


def test_keys_of_readable_paths_come_in_order(store: LocalStore) -> None:
    """Files and folders that share a beginning are listed in the order of their text."""
    keys = ["docs/a-b/x", "docs/a.txt", "docs/a/b/c", "docs/a/b.txt", "docs/a0", "docs/ab/x", "docs/Ä", "docs/ä/x"]
    for number, key in enumerate(keys):
        put(store, key, b"%d" % number)
    assert list(store.keys()) == sorted(keys)
    assert list(store.keys("docs/a/")) == ["docs/a/b.txt", "docs/a/b/c"]


def test_hazard_45_half_a_list_is_no_list(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be listed ends the listing with an error."""
    put(store)
    put(store, "docs/a/b.txt")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("docs/a"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StoreUnreachable, match="docs/a"):
        list(store.keys())


CRAFTED = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["cas", "docs", "..", ".", "", "/", "\\", "\x00", "a", "ab", "0" * 64, "tmp"]), max_size=6
    ).map("/".join),
    st.text(alphabet="0123456789abcdefABCDEF/.", max_size=80).map("cas/{}".format),
)


@given(CRAFTED)
@example("../../etc/passwd")
@example("docs/../.catalogkit/store.json")
@example(".catalogkit/store.json")
@example("/etc/passwd")
@example("cas/..")
@example(f"cas/00/{'0' * 64}/..")
@example(f"cas/00/{'0' * 64}\n")
def test_hazard_27_no_key_leads_out(crafted: str) -> None:
    """Whatever is given as a key, its path lies in a layout's folder or is refused, and computing it makes nothing."""
    store = LocalStore("/nowhere/store", name="main", token="x")
    try:
        path = store.path(crafted)
    except InvalidInput:
        return
    assert os.path.normpath(path) == path
    assert path.startswith(("/nowhere/store/cas/", "/nowhere/store/docs/"))
    assert not os.path.exists("/nowhere")


@pytest.mark.parametrize("act", ["stat", "open", "quarantine"])
def test_hazard_27_every_door_checks_its_key(store: LocalStore, act: str) -> None:
    """No method that takes a key accepts the store's own files."""
    with pytest.raises(InvalidInput):
        getattr(store, act)(".catalogkit/store.json")
    with pytest.raises(InvalidInput):
        store.publish([Publication("../outside", temp(store, b""))])
    assert not Path(store.root).with_name("outside").exists()


# -- odd file systems --------------------------------------------------------------------------------------------


def test_a_reflink_that_cannot_be_made_is_a_copy(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where files cannot share data, a copy is made without a word; where they can, nothing is written."""
    wrote = []

    class Watched(Files):
        def write(self, fd: int, data: memoryview | bytes) -> None:
            wrote.append(len(data))
            super().write(fd, data)

    store.files = Watched()
    path = tmp_path / "source"
    path.write_bytes(CONTENT)

    def share(fd: int, request: int, source: int) -> int:
        if request == taking._FICLONE and works:
            return os.write(fd, os.pread(source, 100, 0))
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "ioctl", share)
    for works in (False, True):
        taking._clones.clear()
        wrote.clear()
        folder = store.scratch(f"me-{works}")
        for mode in (Mode.COPY, Mode.LINK) if works else (Mode.COPY,):
            (taken,) = store.taker(folder, mode, peek=False)([(str(path), f"{mode}")])
            assert taken.digest == DIGEST and taken.temp
            assert Path(taken.temp).read_bytes() == CONTENT
            assert os.stat(taken.temp).st_ino != path.stat().st_ino
        assert wrote == ([] if works else [len(CONTENT)])


def test_many_files_are_synced_together(store: LocalStore) -> None:
    """Above a handful of files, two calls make all of them safe; where there is no such call, each is synced."""
    calls: list[str] = []

    class Watched(Files):
        able = True

        def sync_all(self, root: str) -> bool:
            calls.append("all")
            return self.able

        def sync_file(self, path: str) -> None:
            calls.append("one")

    store.files = Watched()
    for able in (True, False):
        Watched.able = able
        calls.clear()
        contents = [b"%d %d" % (able, number) for number in range(publishing.FEW + 1)]
        entries = [
            Publication(cas_key(Digest(hashlib.sha256(content).digest())), temp(store, content)) for content in contents
        ]
        store.publish(entries)
        assert calls.count("all") == 2
        assert calls.count("one") == 0 if able else calls.count("one") > publishing.FEW


def test_the_real_calls_sync(store: LocalStore) -> None:
    """The real file system takes every call that durable writing needs."""
    files = Files()
    files.sync_file(temp(store, CONTENT))
    files.sync_folder(store.root)
    assert files.sync_all(store.root) in (True, False)
    with pytest.raises(OSError, match="No such file"):
        files.sync_all(os.path.join(store.root, "absent"))
