"""Files that share their data: where the file system can, on one made for it; where it cannot, by words."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from catalogkit.acts.sharing import NO_SHARING, own_bytes
from catalogkit.collection import init
from tests.conftest import hurry
from tests.plans.scene import broken, put, run
from tests.plans.steps import at, seen, spoil, step, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.collection import Collection
    from tests.conftest import Clock

TEXT = os.urandom(1 << 20)
HOME, AWAY = "docs/a", "docs/away"


@pytest.fixture
def shares(tmp_path: Path) -> Iterator[tuple[Path, bool]]:
    """A folder, and whether its files can share data: on a file system made for this where the machine lets us."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    made = False
    for maker in (["mkfs.btrfs", "-q"], ["mkfs.xfs", "-q", "-m", "reflink=1"]):
        if os.getuid() == 0 and shutil.which(maker[0]):
            with image.open("wb") as file:
                file.truncate(400 << 20)
            made = all(
                subprocess.run(command, capture_output=True, check=False).returncode == 0
                for command in ([*maker, str(image)], ["mount", "-o", "loop", str(image), str(mount)])
            )
        if made:
            break
    yield (mount if made else tmp_path, made)
    if made:
        subprocess.run(["umount", str(mount)], check=True)


def make(top: Path, clock: Clock) -> Collection:
    collection = hurry(init(top / "collection", layout="policy", template="{artifact_id}", clock=clock))
    put(collection, "a", TEXT)
    run(collection, steps(collection, step(collection, "copy", TEXT, AWAY, HOME)))
    return collection


def test_two_files_share_their_data_or_say_why_not(shares: tuple[Path, bool], clock: Clock) -> None:
    """Inodes, times and modes stay; the bytes are freed once; where that cannot be, nothing is touched."""
    top, able = shares
    with make(top, clock) as collection:
        before = at(collection, AWAY).lstat()
        row = step(collection, "clone", TEXT, AWAY, HOME, **seen(collection, AWAY))
        report = run(collection, steps(collection, row))
        if able:
            assert (report.done, report.bytes_freed) == (1, len(TEXT))
            assert own_bytes(collection.store, AWAY) == 0
            again = run(collection, steps(collection, row | {"reason": "test"}))
            assert (again.done, again.bytes_freed) == (1, 0)  # already shared saves nothing
        else:
            assert report.why == {NO_SHARING: 1}
            assert own_bytes(collection.store, AWAY) is None
        after = at(collection, AWAY).lstat()
        assert [getattr(after, name) for name in ("st_ino", "st_mode", "st_mtime_ns", "st_nlink")] == [
            getattr(before, name) for name in ("st_ino", "st_mode", "st_mtime_ns", "st_nlink")
        ]
        assert at(collection, AWAY).read_bytes() == at(collection, HOME).read_bytes() == TEXT
        assert list(broken(collection)) == []


def test_files_that_differ_share_nothing(shares: tuple[Path, bool], clock: Clock) -> None:
    """The kernel compares them itself, whatever the catalog thinks."""
    top, able = shares
    with make(top, clock) as collection:
        spoil(collection, AWAY, TEXT[:-1] + b"?")
        report = run(
            collection, steps(collection, step(collection, "clone", TEXT, AWAY, HOME, **seen(collection, AWAY)))
        )
        assert report.why == {"their bytes differ" if able else NO_SHARING: 1}
        assert at(collection, AWAY).read_bytes()[-1:] == b"?"


def test_what_is_no_pair_of_files_is_left_alone(make_collection: Callable[..., Collection]) -> None:
    """Of another size, changed since, gone, one file already: each says so."""
    collection = make_collection("policy", template="{artifact_id}")
    put(collection, "a", b"text")
    plan = steps(collection, step(collection, "link", b"text", AWAY, HOME))
    run(collection, plan)
    row = step(collection, "clone", b"text", AWAY, HOME, **seen(collection, AWAY))
    assert run(collection, steps(collection, row)).why == {"they are one file already": 1}
    os.utime(at(collection, AWAY), (1, 1))
    assert run(collection, steps(collection, row)).why == {"the file is not the one that was planned": 1}
    at(collection, AWAY).unlink()
    assert run(collection, steps(collection, row)).why == {"the file was gone already": 1}


def test_a_pair_that_cannot_be_looked_at_fails_alone(make_collection: Callable[..., Collection]) -> None:
    """A folder that leads in a circle is trouble for the step that is about it, and for no other."""
    collection = make_collection("policy", template="{artifact_id}/x")
    put(collection, "a", b"text")
    row = step(collection, "clone", b"text", "docs/a/x", "docs/a/x", **seen(collection, "docs/a/x"))
    shutil.rmtree(at(collection, "docs/a"))
    at(collection, "docs/a").symlink_to("a")
    assert run(collection, steps(collection, row)).failed == 1
