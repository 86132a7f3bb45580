"""Growth: what each job costs as the work grows, at three sizes, and the exponent of it.

The same command on a collection without anything says what its start costs, which is taken off first; what is left is
fitted to ``size ** exponent`` by least squares of the logarithms. One is in proportion; a job that looks at one
document costs the same in any catalog.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import log
from pathlib import Path
from typing import Final

from benchmarks import corpus, ours
from benchmarks.bench import Bench
from benchmarks.opening import fill
from benchmarks.plans import litter
from benchmarks.race import Contender, Goal, Race, Untrue, once, race

FILES: Final = (2_500, 10_000, 40_000)
DOCUMENTS: Final = (25_000, 100_000, 400_000)
QUICK: Final = 10
MOST: Final = 1.15
# Below this share of the start of a program, the work is not seen.
SEEN: Final = 0.2


def run(bench: Bench, files: Sequence[int] = FILES, documents: Sequence[int] = DOCUMENTS) -> Iterator[Race]:
    """Jobs on files, then jobs on catalogs."""
    share = QUICK if bench.quick else 1
    yield from _files(bench, [size // share for size in files])
    yield from _catalogs(bench, [size // share for size in documents])


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Of the power of size that fits best to the times, by least squares of the logarithms; at least two points."""
    xs, ys = [log(size) for size, _ in points], [log(seconds) for _, seconds in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def judge(result: Race, sizes: Sequence[int], most: float) -> Race:
    """Claim that processor time grows with no more than a power of the size; the last contender has nothing to do."""
    *worked, nothing = result.samples
    floor = result.spread(nothing, "cpu").median
    spent = [result.spread(name, "cpu").median - floor for name in worked]
    text = f"{result.title}: processor time in proportion to size ** {most} at most"
    points = [(size, cpu) for size, cpu in zip(sizes, spent, strict=True) if cpu > SEEN * floor]
    if len(points) < 2:
        # What does not show beside the start of a program at the largest size has not grown.
        shows = spent[-1] / floor
        result.goals.append(
            Goal(text, f"{shows:+.0%} of the start at the largest", "met" if shows <= SEEN else "unclear")
        )
    else:
        found = exponent(points)
        result.goals.append(Goal(text, f"exponent {found:.2f}", "met" if found <= most else "NOT MET"))
    return result


def _files(bench: Bench, sizes: Sequence[int]) -> Iterator[Race]:
    recipe = bench.recipes.get("small") or corpus.recipe("small", bench.quick)
    truths = [corpus.make(replace(recipe, name="growth", files=size), bench.folder) for size in sizes]
    work = bench.scratch()
    (work / "none").mkdir()
    none = corpus.Corpus("none", work / "none", 0, 0, 0, 0)
    jobs: dict[str, Callable[[Path, corpus.Corpus], Contender]] = {
        "ingest": ours.ingest,
        "rescan": ours.rescan,
        "verify": ours.verify,
        "audit": _audit,
    }
    for job, contender in jobs.items():
        contenders = [
            replace(contender(work / f"{truth.files}", truth), name=f"{truth.files:,} files")
            for truth in (*truths, none)
        ]
        yield judge(race(f"growth of {job}", contenders, rounds=bench.rounds), sizes, MOST)


def _audit(home: Path, truth: corpus.Corpus) -> Contender:
    check = partial(ours.expect, complete=True, findings=[])
    return Contender("", ours.command(home, "audit"), check, partial(corpus.read, ours.cas(home)), ours.ENV)


def _catalogs(bench: Bench, sizes: Sequence[int]) -> Iterator[Race]:
    work = bench.scratch()
    for size in (*sizes, 0):
        fill(work / f"{size}", size)
        once(_job(work / f"{size}", "status", documents=size))  # so that none of the timings is the first
    policy = work / "policy.toml"
    policy.write_text("age_days = 1\n")
    jobs: dict[str, tuple[float, Callable[[Path, int], Contender]]] = {
        "finding one document": (0.1, lambda home, size: _job(home, "find", "--artifact-id", "artifact-0000007")),
        "status": (MOST, lambda home, size: _job(home, "status", documents=size)),
        "a mirror from nothing": (MOST, _mirror),
        "a backup": (MOST, _backup),
        "planning retention": (MOST, lambda home, size: _plan(home, size, "retention", "--policy", str(policy))),
    }
    for title, (most, contender) in jobs.items():
        contenders = [replace(contender(work / f"{size}", size), name=f"{size:,} documents") for size in (*sizes, 0)]
        yield judge(race(f"growth of {title}", contenders, rounds=bench.rounds), sizes, most)
    bench.clear()
    work = bench.scratch()
    for size in (*sizes, 0):
        litter(work / f"{size}", size)
    contenders = [replace(_plan(work / f"{size}", size, "gc"), name=f"{size:,} blobs") for size in (*sizes, 0)]
    yield judge(race("growth of planning garbage collection", contenders, rounds=bench.rounds), sizes, MOST)


def _job(home: Path, *words: str, **wanted: object) -> Contender:
    return Contender("", ours.command(home, *words), partial(ours.expect, **wanted), env=ours.ENV)


def _mirror(home: Path, size: int) -> Contender:
    def prepare() -> None:
        shutil.rmtree(home / "mirror", ignore_errors=True)

    def check(out: str) -> None:
        if str(size) not in out:
            raise Untrue(f"it does not say {size}")

    argv = ours.command(home, "sql", "SELECT count(*) FROM documents")
    return Contender("", argv, check, prepare, ours.ENV)


def _backup(home: Path, size: int) -> Contender:
    target = home.with_name(f"{home.name} backup")
    argv = ours.command(home, "backup", target)
    check = partial(ours.expect, record_count=size)
    return Contender("", argv, check, partial(shutil.rmtree, target, ignore_errors=True), ours.ENV)


def _plan(home: Path, units: int, *words: str) -> Contender:
    # A plan that waits for a person is told by 2, which is no error.
    line = '"$@"; code=$?; [ $code = 0 ] || [ $code = 2 ]'
    argv = ["sh", "-c", line, "sh", *ours.command(home, "plan", *words, "-o", home / "plans")]
    check = partial(ours.expect, units=units)
    return Contender("", argv, check, partial(shutil.rmtree, home / "plans", ignore_errors=True), ours.ENV)
