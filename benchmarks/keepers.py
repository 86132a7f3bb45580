"""The tools that keep the bytes of a tree, as catalogkit does: how each stores it, looks again, proves, and frees.

What they do differs, so it is said here. restic and borg remove duplicates by chunks and pack them; restic encrypts.
git-annex and dvc keep a file for each content, and want the tree in their own folder, where it is put beforehand;
dvc hashes by MD5 and never reads again what it has. `cp` does nothing of all that: it is the floor. Compression is
off, and what a tool has not synced when it is done is synced on its time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import corpus
from benchmarks.bench import fresh
from benchmarks.corpus import Corpus
from benchmarks.peers import Peer, lacking
from benchmarks.race import Contender, Untrue, measure


@dataclass(frozen=True)
class Keeper:
    """A tool, and its lines for ``sh``: ``$KEEP`` is its folder, ``$TREE`` what it is given.

    Parameters
    ----------
    begin
        Makes it ready in an empty ``$KEEP``.
    jobs
        By name (``store``, ``again`` for an unchanged tree, ``changed``, ``check``, ``free``): the line, and the
        pattern that says how many files it did (see `Peer.says`).
    inside
        Whether the tree has to lie in ``$KEEP``.
    stored
        Where the bytes are, in ``$KEEP``.
    """

    name: str
    program: str
    package: str
    begin: str
    jobs: Mapping[str, tuple[str, str]]
    stored: str
    env: Mapping[str, str] = field(default_factory=dict)
    inside: bool = False

    def peer(self, job: str) -> Peer:
        """It at one of its jobs."""
        line, says = self.jobs[job]
        return Peer(f"{self.name} {TITLES[job]}", self.program, self.package, f'cd "$KEEP" && {line}', says)

    def variables(self, home: Path, truth: Corpus) -> dict[str, str]:
        """What its lines and the tool itself are told."""
        told = {name: value.replace("$KEEP", str(home)) for name, value in self.env.items()}
        return told | {"KEEP": str(home), "TREE": str(home / "tree" if self.inside else truth.tree)}

    def start(self, truth: Corpus, home: Path) -> None:
        """Make ``$KEEP`` ready for the corpus."""
        home.mkdir(parents=True)
        measure(["sh", "-c", f'cd "$KEEP" && {self.begin}'], env=self.variables(home, truth))
        if self.inside:
            shutil.copytree(truth.tree, home / "tree")

    def store(self, home: Path, truth: Corpus) -> Contender:
        """Store the corpus, from nothing."""
        return self._contender(
            "store", home, truth, truth.files, partial(fresh, home, truth, partial(self.start, truth))
        )

    def again(self, home: Path, truth: Corpus) -> Contender:
        """Look at what was stored, and has not changed."""
        return self._contender("again", home, truth, truth.files, os.sync)

    def check(self, home: Path, truth: Corpus) -> Contender:
        """Read and prove every byte that was stored."""
        expected = truth.files if self.inside else 1
        return self._contender("check", home, truth, expected, partial(corpus.read, home))

    def _contender(self, job: str, home: Path, truth: Corpus, expected: int, prepare: object) -> Contender:
        peer = self.peer(job)
        check = partial(peer.check, expected=expected)
        return Contender(peer.name, peer.argv, check, prepare, self.variables(home, truth))  # type: ignore[arg-type]

    def changed(self, home: Path, truth: Corpus, changed: int, change: object) -> Contender:
        """Store it again, of which `change` has changed so many files."""
        counts_all = self.jobs["changed"] == self.jobs["store"]
        return self._contender("changed", home, truth, truth.files if counts_all else changed, change)

    def free(self, home: Path, truth: Corpus, half: Corpus) -> Contender:
        """Remove the bytes of what is not in `half`, after it was told that only `half` is wanted."""

        def prepare() -> None:
            fresh(home, truth, partial(self.start, truth))
            measure(self.peer("store").argv, env=self.variables(home, truth))
            if self.inside:
                gone = {path.relative_to(truth.tree) for path in corpus.files(truth.tree)}
                gone -= {path.relative_to(half.tree) for path in corpus.files(half.tree)}
                for path in gone:
                    (home / "tree" / path).unlink()
                measure(["sh", "-c", 'cd "$KEEP" && git add -A && git commit -qm half'], env=self.variables(home, half))
            else:
                measure(self.peer("store").argv, env=self.variables(home, half))
            os.sync()

        def check(out: str) -> None:
            left = sum(path.lstat().st_size for path in corpus.files(home / self.stored))
            if not half.unique_bytes <= left <= half.unique_bytes * 1.1 + 1_000_000:
                raise Untrue(f"{left} bytes are left where {half.unique_bytes} are needed")

        peer = self.peer("free")
        return Contender(peer.name, peer.argv, check, prepare, self.variables(home, half))

    @property
    def absent(self) -> str:
        """How to get it where it is not there; else nothing."""
        return lacking(self.name, self.program, self.package)


TITLES: Final = {"store": "store", "again": "again", "changed": "again", "check": "check", "free": "free"}
# Which of its files borg had to read again it cannot say: the newest of a backup are not trusted in the next.
_BORG: Final = ('borg create --compression none --json "::$(date +%s%N)" "$TREE"', r'"nfiles": (\d+)')
# git-annex drops numbers of a list, the last of which it has to be told.
_DROP_UNUSED: Final = (
    """last=$(git annex unused | sed -n 's/^ *\\([0-9][0-9]*\\) .*/\\1/p' | tail -n 1) && """
    """git annex dropunused --force "1-$last" && sync -f "$KEEP" """
)

RESTIC: Final = Keeper(
    "restic",
    "restic",
    "restic",
    "restic init --repository-version 2",
    {
        "store": (
            'restic backup --json "$TREE" | tail -n 1',
            r'"total_files_processed":(\d+)',
        ),
        "again": ('restic backup --json "$TREE" | tail -n 1', r'"files_unmodified":(\d+)'),
        "changed": ('restic backup --json "$TREE" | tail -n 1', r'"files_changed":(\d+)'),
        "check": ("restic check --read-data", "^no errors were found$"),
        "free": ("restic forget --keep-last 1 --group-by '' --prune --max-unused 0", ""),
    },
    "repository/data",
    {
        "RESTIC_REPOSITORY": "$KEEP/repository",
        "RESTIC_CACHE_DIR": "$KEEP/cache",
        "RESTIC_PASSWORD": "benchmark",
        "RESTIC_COMPRESSION": "off",
    },
)
BORG: Final = Keeper(
    "borg",
    "borg",
    "borgbackup",
    "borg init -e none",
    {
        "store": _BORG,
        "again": _BORG,
        "changed": _BORG,
        "check": ("borg check --verify-data --info 2>&1", " with 0 integrity errors"),
        "free": ("borg delete --force --first 1 && borg compact --threshold 0", ""),
    },
    "repository/data",
    {
        "BORG_REPO": "$KEEP/repository",
        "BORG_BASE_DIR": "$KEEP/base",
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    },
)
GIT_ANNEX: Final = Keeper(
    "git-annex",
    "git-annex",
    "git-annex",
    "git init -q && git annex init -q",
    {
        "store": ('git annex add --json tree && git commit -qm all && sync -f "$KEEP"', '"success":true'),
        "check": ("git annex fsck --json", '"success":true'),
        "free": (_DROP_UNUSED, ""),
    },
    ".git/annex/objects",
    {
        "HOME": "$KEEP/home",
        **{f"GIT_{who}_{what}": "benchmark" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    },
    inside=True,
)
DVC: Final = Keeper(
    "dvc",
    "dvc",
    "pip install dvc",
    "dvc init --no-scm -q && dvc config core.analytics false && dvc config core.check_update false",
    {
        "store": ('dvc add -q tree && sync -f "$KEEP" && cat tree.dvc', r"nfiles: (\d+)"),
        "again": ("dvc add -q tree && cat tree.dvc", r"nfiles: (\d+)"),
    },
    ".dvc/cache",
    {"HOME": "$KEEP/home"},
    inside=True,
)
KEEPERS: Final = (RESTIC, BORG, GIT_ANNEX, DVC)


def able(*jobs: str, among: Iterable[Keeper] = KEEPERS) -> tuple[list[Keeper], list[str]]:
    """Those that know these jobs and can run, and how to get the others."""
    fit = [keeper for keeper in among if set(jobs) <= set(keeper.jobs)]
    return [keeper for keeper in fit if not keeper.absent], [keeper.absent for keeper in fit if keeper.absent]


COPY: Final = Peer(
    "cp -r, sync", "cp", "coreutils", 'cp -r "$TREE" "$OUT/tree" && sync -f "$OUT" && echo copied', "^copied$"
)


def copy(home: Path, truth: Corpus) -> Contender:
    """`COPY`, into `home`."""

    def check(out: str) -> None:
        COPY.check(out, 1)
        corpus.expect_files(home / "tree", truth.files, truth.bytes)

    env = {"TREE": str(truth.tree), "OUT": str(home)}
    return Contender(COPY.name, COPY.argv, check, partial(fresh, home, truth, Path.mkdir), env)
