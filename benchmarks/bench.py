"""What a benchmark is given: a folder to work in, corpora, and how long it may take."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import corpus
from benchmarks.corpus import Corpus, Recipe


@dataclass
class Bench:
    """One run of the benchmarks.

    Parameters
    ----------
    folder
        Where everything lies; corpora and catalogs stay there for the next run, all else is removed.
    rounds
        How often each contender runs.
    quick
        Whether small corpora will do, for a look.
    recipes
        Corpora by other recipes than the usual ones.
    count
        How many documents large catalogs have; what each benchmark finds right without it.
    documents
        A folder of real documents, for the benchmarks that take one.
    """

    folder: Path
    rounds: int
    quick: bool = False
    recipes: dict[str, Recipe] = field(default_factory=dict)
    count: int | None = None
    documents: Path | None = None

    def corpus(self, name: str) -> Corpus:
        """The corpus of that name."""
        return corpus.make(self.recipes.get(name) or corpus.recipe(name, self.quick), self.folder)

    def scratch(self) -> Path:
        """An empty folder; what an earlier benchmark left there is removed."""
        self.clear()
        work = self.folder / "work"
        work.mkdir(parents=True)
        return work

    def clear(self) -> None:
        """Remove everything but the corpora and catalogs."""
        corpus.wipe(self.folder / "work")


def fresh(home: Path, truth: Corpus, init: Callable[[Path], object]) -> None:
    """Before something is stored: an empty target, no writes outstanding, the source in the page cache."""
    corpus.wipe(home)
    init(home)
    os.sync()
    corpus.read(truth.tree)
