"""The tools that catalogkit is compared with, one shell line each. One that is not installed is left out, by name."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import corpus
from benchmarks.race import Contender, Untrue


@dataclass(frozen=True)
class Peer:
    """A tool, and how it does a job.

    Parameters
    ----------
    program, package
        What must be on ``PATH``, and the Debian package that has it.
    line
        For ``sh``; its variables are given as the environment.
    says
        What its output must have to be believed: a regular expression whose matches are counted, or, where it has a
        group, whose number is taken.
    """

    name: str
    program: str
    package: str
    line: str
    says: str

    @property
    def argv(self) -> list[str]:
        """What to run."""
        return ["sh", "-c", self.line]

    def check(self, out: str, expected: int) -> None:
        """Raise unless the output speaks of exactly that many files."""
        found = re.findall(self.says, out, re.MULTILINE)
        count = sum(map(int, found)) if re.compile(self.says).groups else len(found)
        if count != expected:
            raise Untrue(f"it did {count} files instead of {expected}")

    @property
    def absent(self) -> str:
        """How to get it where it is not there; else nothing."""
        return lacking(self.name, self.program, self.package)


def lacking(name: str, program: str, package: str) -> str:
    """A tool that is not on ``PATH``, with the way to get it; nothing for one that is."""
    way = package if " " in package else f"apt-get install {package}"
    return "" if shutil.which(program) else f"{name} ({way})"


# These read the files of $TREE and compare them with known digests: $LIST names them, NUL-terminated, $SUMS has their
# sums, sorted, as sha256sum writes them, $KNOWN as hashdeep does. $OUT is an empty folder.
HASHERS: Final = (
    Peer(
        "openssl, all cores",
        "openssl",
        "openssl",
        # One output file a process: in one pipe, lines of several would be torn.
        """xargs -0 -P "$CORES" -n "$BATCH" sh -c 'openssl dgst -sha256 -r "$@" >>"$OUT/$$"' sh <"$LIST" """
        """&& sort "$OUT"/* >"$OUT.sums" && cmp "$OUT.sums" "$SUMS" && wc -l <"$OUT.sums" """,
        r"^\s*(\d+)\s*$",
    ),
    Peer("rhash", "rhash", "rhash", 'rhash --sha256 -c "$SUMS"', r"^/.* OK\s*$"),
    Peer("sha256sum", "sha256sum", "coreutils", 'sha256sum -c "$SUMS"', r": OK$"),
    Peer(
        "hashdeep", "hashdeep", "hashdeep", 'hashdeep -c sha256 -a -vv -k "$KNOWN" -r "$TREE"', r"Files matched: (\d+)$"
    ),
)


def installed(*peers: Peer) -> tuple[list[Peer], list[str]]:
    """Those that can run, and how to get the others."""
    return [peer for peer in peers if not peer.absent], [peer.absent for peer in peers if peer.absent]


def hasher(peer: Peer, work: Path, store: Path) -> Contender:
    """One of `HASHERS`, on files whose names are their digests."""
    paths = corpus.files(store)
    out = work / "out"

    def prepare() -> None:
        corpus.wipe(out)
        out.mkdir()
        corpus.read(store)

    check = partial(peer.check, expected=len(paths))
    return Contender(peer.name, peer.argv, check, prepare, _lists(work, out, store, paths))


def _lists(work: Path, out: Path, store: Path, paths: list[Path]) -> Mapping[str, str]:
    """What the lines of `HASHERS` want."""
    cores = os.cpu_count() or 1
    known = [f"{path.stat().st_size},{path.name},{path}" for path in paths]
    texts = {
        "list": "".join(f"{path}\0" for path in paths),
        "sums": "".join(sorted(f"{path.name} *{path}\n" for path in paths)),
        "known": "\n".join(["%%%% HASHDEEP-1.0", "%%%% size,sha256,filename", *known, ""]),
    }
    for name, text in texts.items():
        (work / name).write_text(text)
    # Batches large enough to cost little, small enough that no core waits long for the last one.
    batch = min(256, max(1, len(paths) // (8 * cores)))
    lists = {name.upper(): str(work / name) for name in texts}
    return lists | {"TREE": str(store), "OUT": str(out), "CORES": str(cores), "BATCH": str(batch)}
