"""A survey sees everything in a folder, and says what it could not see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catalogkit.audit import Listed, Unlisted
from catalogkit.errors import StoreUnreachable
from catalogkit.stores.local import LocalStore
from catalogkit.stores.surveying import look, survey

SHA = "ab" + "0" * 62


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with a file in each layout."""
    store = LocalStore.create(tmp_path / "store", name="main", catalog="the catalog")
    for key in (f"cas/ab/{SHA}", "docs/a/b.pdf"):
        path = Path(store.root, key)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    return Path(store.root)


def seen(root: Path) -> dict[str, tuple[str, bool]]:
    listed = list(survey(str(root)))
    assert all(isinstance(one, Listed) for one in listed)
    return {one.key: (one.kind, one.ours) for one in listed if isinstance(one, Listed)}


def test_everything_is_seen_but_the_stores_own_files(root: Path) -> None:
    """Files of a layout are ours; links, pipes, odd names and files elsewhere are foreign, never left out."""
    (root / ".catalogkit" / "tmp" / "x").write_bytes(b"on its way")
    (root / "cas" / "ab" / "short").write_bytes(b"x")
    (root / "cas" / "link").symlink_to("ab", target_is_directory=True)
    (root / "notes.txt").write_bytes(b"x")
    os.mkfifo(root / "docs" / "a" / "pipe")
    (root / "docs" / "line\nbreak").write_bytes(b"x")
    Path(os.fsdecode(os.fsencode(root) + b"/docs/caf\xe9")).write_bytes(b"x")
    assert seen(root) == {
        f"cas/ab/{SHA}": ("file", True),
        "docs/a/b.pdf": ("file", True),
        "cas/ab/short": ("file", False),
        "cas/link": ("symbolic link", False),
        "notes.txt": ("file", False),
        "docs/a/pipe": ("FIFO, socket or device", False),
        "docs/line%0Abreak": ("file", False),
        "docs/caf%E9": ("file", False),
    }


def test_a_folder_that_cannot_be_listed_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a layout it is a gap in what was seen; elsewhere it is a foreign thing. One that went away is neither."""
    (root / "lost+found").mkdir()
    (root / "docs" / "gone").mkdir()
    real, problems = os.scandir, {"ab": PermissionError(13, "no"), "lost+found": PermissionError(13, "no")}
    problems["gone"] = FileNotFoundError(2, "gone")  # type: ignore[assignment]

    def scandir(path: str) -> object:
        if problem := problems.get(os.path.basename(path)):
            raise problem
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert set(survey(str(root))) == {
        Unlisted(str(root / "cas" / "ab"), "no"),
        Listed("lost+found", "folder that cannot be listed", False),
        Listed("docs/a/b.pdf", "file", True),
    }


def test_a_layout_that_is_a_link_is_followed(root: Path, tmp_path: Path) -> None:
    """The folder of a layout may lie on another disk."""
    (root / "cas").rename(tmp_path / "elsewhere")
    (root / "cas").symlink_to(tmp_path / "elsewhere")
    assert seen(root)[f"cas/ab/{SHA}"] == ("file", True)


def test_a_look_tells_kinds_apart(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, folder, link, pipe, nothing; a mode that allows writing; and what cannot be told is an error."""
    path = root / "docs" / "a" / "b.pdf"
    path.chmod(0o444)
    (root / "link").symlink_to(path)
    os.mkfifo(root / "pipe")
    found = {
        name: look(str(root / name), follow=False)
        for name in ("docs/a/b.pdf", "docs/a", "link", "pipe", "none", "docs/a/b.pdf/x")
    }
    assert [one and one.kind for one in found.values()] == ["file", "folder", "symbolic link", "FIFO", None, None]
    about = found["docs/a/b.pdf"]
    assert about is not None and (about.bytes, about.names, about.writable) == (1, 1, False)
    followed = look(str(root / "link"), follow=True)
    assert followed is not None and followed.inode == about.inode
    path.chmod(0o464)
    changed = look(str(path), follow=False)
    assert changed is not None and changed.writable

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(StoreUnreachable, match="Permission denied"):
        look("/x", follow=False)
