"""A real process is killed while it ingests, many times over: what it leaves is always in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from catalogkit.collection import open_collection
from catalogkit.ingest import ingest
from catalogkit.layouts import digest_of
from tests.conftest import make_tree
from tests.crash.world import leftovers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from catalogkit.collection import Collection

ROOT = Path(__file__).parents[2]
FILES = 60


class Victims:
    """Starts processes that ingest, and kills each after a while."""

    def __init__(self, folder: Path, mode: str) -> None:
        command = [sys.executable, "-m", "tests.crash.victim", str(folder / "collection"), str(folder / "source"), mode]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)

    def kill_one(self, seconds: float, workers: int) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{seconds} {workers}\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "killed\n":
            pytest.fail(self.process.communicate()[1])

    def bury(self) -> None:
        """Wait until the last of their workers is gone, too: they all have the same standard error."""
        self.process.communicate()


@pytest.fixture
def victims(tmp_path: Path, mode: str) -> Iterator[Victims]:
    """Victims that work on the test's folder."""
    all_of_them = Victims(tmp_path, mode)
    yield all_of_them
    all_of_them.bury()


def tree(number: int, random: Random) -> dict[str, bytes]:
    """Small files, a fifth of them with content that another one has."""
    names = [f"{number:02}/{name:03}.txt" for name in range(FILES)]
    return {name: random.randbytes(random.randrange(1, 3000)) if random.random() < 0.8 else b"often" for name in names}


def problems(collection: Collection) -> list[str]:
    """Locations that do not hold their bytes, and documents without one that does."""
    good, found = set(), []
    for key, digest in collection.catalog.rows("SELECT key, sha256 FROM locations"):  # type: ignore[attr-defined]
        if collection.store.holds(key, digest):
            good.add(digest)
        else:
            found.append(f"{key} does not hold its bytes")
    for key in collection.store.keys("cas/"):
        digest = digest_of(key)
        if digest is None or not collection.store.holds(key, digest):
            found.append(f"{key} shows other bytes")
    current = {row[0] for row in collection.catalog.rows("SELECT sha256 FROM documents")}  # type: ignore[attr-defined]
    return found + [f"{digest.hex()} has no good copy" for digest in current - good]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.stress) for seed in range(2, 12))])
@pytest.mark.parametrize("layout, mode", [("cas", "copy"), ("policy", "move")])
def test_killed_again_and_again(
    layout: str,
    mode: str,
    seed: int,
    tmp_path: Path,
    make_collection: Callable[..., Collection],
    victims: Victims,
) -> None:
    """A process that is killed at any moment leaves nothing false, and a later one completes its work."""
    random = Random(seed)
    collection = make_collection(layout)
    wrote: dict[str, bytes] = {}
    kept: set[str] = set()
    for number in range(13):
        more = tree(number, random)
        make_tree(tmp_path / "source", more)
        wrote |= more
        # Where nobody has got anything done yet, because the machine is slow, the next one has longer.
        seconds, workers = random.uniform(0.02, 0.5) * (1 if kept else 1 + number), random.randrange(3)
        victims.kill_one(seconds, workers)
        said = f"seed {seed}, victim {number}, {seconds:.3f} s, {workers} workers"
        assert problems(collection) == [], said
        kept = {row[0] for row in collection.catalog.rows("SELECT lower(hex(sha256)) FROM documents")}  # type: ignore[attr-defined]
        assert kept or number < 12, "the victims never got anything done"
    victims.bury()
    report = ingest(collection, tmp_path / "source", mode=mode)
    assert report.failures == [], f"seed {seed}"
    assert problems(collection) == [], f"seed {seed}"
    assert leftovers(collection) == [], f"seed {seed}"
    documents = collection.frame("documents")
    assert documents.height == len(wrote)
    with open_collection(collection.path) as again:
        for row in documents.sample(20, seed=seed).iter_rows(named=True):
            name = str(Path(row["source_url"].removeprefix("file://")).relative_to(tmp_path / "source"))
            assert again.read(row["id"]) == wrote[name]
    left = [path for path in (tmp_path / "source").rglob("*") if path.is_file()]
    assert len(left) == (0 if mode == "move" else len(wrote))
