"""Files to measure with: made from a seed, the same everywhere, with known totals that every result is checked by."""

from __future__ import annotations

import json
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.race import Untrue

FOLDER_FILES: Final = 250
# The tree, a store, a peer's repository, a plain copy, and some air.
ROOM: Final = 5
BLOCK: Final = 4096


@dataclass(frozen=True)
class Recipe:
    """What a corpus consists of: so many files, a share of them copies, sizes between two bounds.

    Sizes are evenly spread, or lognormal where a `median` is given.
    """

    name: str
    files: int
    copies: float
    least: int
    most: int
    median: int = 0

    def size(self, random: Random) -> int:
        """The size of the next file in bytes."""
        if not self.median:
            return random.randint(self.least, self.most)
        return min(max(round(random.lognormvariate(math.log(self.median), 0.9)), self.least), self.most)

    def room(self) -> int:
        """About how many bytes of disk all work with this corpus takes at one time."""
        mean = self.median * 1.5 if self.median else (self.least + self.most) / 2
        return round(ROOM * self.files * (mean + BLOCK))


RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("documents", files=2000, copies=0.25, least=20_000, most=20_000_000, median=1_000_000),
        Recipe("small", files=50_000, copies=0.3, least=4_000, most=16_000),
        Recipe("tiny", files=200_000, copies=0.1, least=100, most=1_500),
    )
}
QUICK: Final = {"documents": 200, "small": 5_000, "tiny": 20_000}


@dataclass(frozen=True)
class Corpus:
    """A tree of files, and the truth about it."""

    name: str
    tree: Path
    files: int
    bytes: int
    unique_files: int
    unique_bytes: int

    def facts(self) -> dict[str, object]:
        """The truth as plain data."""
        return {key: value for key, value in asdict(self).items() if key != "tree"}


class NoRoom(Exception):
    """The disk has too little free space; nothing was written."""


def recipe(name: str, quick: bool) -> Recipe:
    """The recipe of that name, cut down for a quick look."""
    return replace(RECIPES[name], files=QUICK[name]) if quick else RECIPES[name]


def make(recipe: Recipe, folder: Path) -> Corpus:
    """Make the corpus below `folder`, or find it there from an earlier run."""
    home = folder / f"{recipe.name}-{recipe.files}"
    truth = home / "truth.json"
    written = {"recipe": asdict(recipe)}
    if truth.exists() and (known := json.loads(truth.read_text()))["recipe"] == asdict(recipe):
        return Corpus(tree=home / "tree", **known["truth"])
    free = shutil.disk_usage(folder).free
    if free < recipe.room():
        raise NoRoom(
            f"{recipe.name} needs about {recipe.room() / 1e9:.1f} GB of disk and {folder} has {free / 1e9:.1f} GB free;"
            " give another folder with --keep, or add --quick"
        )
    wipe(home)
    corpus = _write(recipe, home / "tree")
    truth.write_text(json.dumps(written | {"truth": corpus.facts()}, indent=1))
    return corpus


def _write(recipe: Recipe, tree: Path) -> Corpus:
    random = Random(f"catalogkit {recipe.name}")
    originals: list[tuple[Path, int]] = []
    total = unique = 0
    for number in range(recipe.files):
        path = tree / f"{number // FOLDER_FILES:04d}" / f"document-{number:06d}{'.pdf' if recipe.median else '.html'}"
        if number % FOLDER_FILES == 0:
            path.parent.mkdir(parents=True)
        if originals and random.random() < recipe.copies:
            original, size = random.choice(originals)
            shutil.copyfile(original, path)
        else:
            size = recipe.size(random)
            path.write_bytes(_content(random, number, size, binary=bool(recipe.median)))
            originals.append((path, size))
            unique += size
        total += size
    os.sync()
    return Corpus(recipe.name, tree, recipe.files, total, len(originals), unique)


def _content(random: Random, number: int, size: int, *, binary: bool) -> bytes:
    """Bytes that look like a document at their beginning, and occur nowhere else."""
    head = f"%PDF-1.7\n% {number}\n" if binary else f"<!doctype html>\n<title>{number}</title>\n"
    body = random.randbytes(size) if binary else random.randbytes(size // 2 + 1).hex().encode()
    return (head.encode() + body)[:size]


def read(folder: Path) -> int:
    """Read every file below `folder`, so that the page cache holds it; returns the number of bytes."""
    total = 0
    view = memoryview(bytearray(1 << 20))
    for path in files(folder):
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(view):
                total += count
    return total


def files(folder: Path) -> list[Path]:
    """Every file below `folder`, in order."""
    return sorted(Path(top, name) for top, _, names in os.walk(folder) for name in names)


def wipe(folder: Path) -> None:
    """Remove a folder; by many threads, since some disks make every removal wait."""
    if folder.exists():
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(os.unlink, files(folder)))
        shutil.rmtree(folder)


def expect_files(folder: Path, count: int, total: int) -> None:
    """Raise unless so many files with so many bytes together lie below `folder`."""
    sizes = [path.stat().st_size for path in files(folder)]
    if (len(sizes), sum(sizes)) != (count, total):
        raise Untrue(f"{len(sizes)} files with {sum(sizes)} bytes lie there instead of {count} with {total}")
