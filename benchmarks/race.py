"""Racing whole processes against each other: in turns, timed from outside, and believed only if the answer is right."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

SAMPLE_SECONDS: Final = 0.01
MEASURES: Final = ("wall", "cpu", "peak_bytes")


class Failed(Exception):
    """A program ended with an error."""


class Untrue(Exception):
    """A program did something else than it was timed for, so its time means nothing."""


@dataclass(frozen=True)
class Sample:
    """One run: seconds on the wall, CPU seconds of the whole process tree, its peak memory if it was watched."""

    wall: float
    cpu: float
    out: str = ""
    peak_bytes: int | None = None


@dataclass(frozen=True)
class Contender:
    """A program in a race.

    `prepare` runs before each timing and is not timed; `check` raises `Untrue` where the output is not that of
    the whole job.
    """

    name: str
    argv: Sequence[str]
    check: Callable[[str], None]
    prepare: Callable[[], object] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, and their extremes."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one number."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Goal:
    """Something that is claimed, what was found, and whether that bears it out."""

    text: str
    found: str
    verdict: str


@dataclass
class Race:
    """The samples of a race by contender. The first contender is the one that all others are compared with."""

    title: str
    facts: dict[str, Any]
    samples: dict[str, list[Sample]]
    left_out: Sequence[str] = ()
    load: float = 0.0
    goals: list[Goal] = field(default_factory=list)

    @property
    def first(self) -> str:
        """The contender that the others are compared with."""
        return next(iter(self.samples))

    def spread(self, name: str, measure: str) -> Spread:
        """Of one contender's ``wall``, ``cpu`` or ``peak_bytes``."""
        return Spread.of([getattr(sample, measure) for sample in self.samples[name]])

    def ratio(self, name: str, measure: str) -> Spread:
        """How many times as much a contender needed as the first one did, round by round.

        The runs of a round are neighbours in time, so what else the machine was doing weighs on both.
        """
        pairs = zip(self.samples[self.first], self.samples[name], strict=True)
        return Spread.of([getattr(other, measure) / getattr(first, measure) for first, other in pairs])

    # -- claims; one about a contender that did not take part is not made ----------------------------------------

    def expect_speed(self, name: str, least: float, text: str) -> None:
        """Claim that the first contender has at least so many times the speed of another."""
        if name in self.samples:
            cpu, wall = (self.ratio(name, measure).median for measure in ("cpu", "wall"))
            verdict = "met" if min(cpu, wall) >= least else "NOT MET"
            if verdict != "met" and max(cpu, wall) >= least:
                verdict += " on the wall" if cpu >= least else " in CPU time"
            self.goals.append(Goal(text, f"CPU {cpu:.2f}x, wall {wall:.2f}x", verdict))

    def expect_share(self, name: str, measure: str, most: float, text: str) -> None:
        """Claim that the first contender needs at most so many times as much as another."""
        if name in self.samples:
            share = 1 / self.ratio(name, measure).median
            self.goals.append(Goal(text, f"{share:.2f}x", "met" if share <= most else "NOT MET"))

    def expect_less(self, measure: str, limit: float, text: str) -> None:
        """Claim that no run of the first contender needed that much."""
        most = self.spread(self.first, measure).most
        found = f"{most / 1e6:.0f} MB" if measure == "peak_bytes" else f"{most:.2f} s"
        self.goals.append(Goal(text, found, "met" if most < limit else "NOT MET"))


def race(
    title: str,
    contenders: Sequence[Contender],
    *,
    rounds: int,
    watch: bool = False,
    left_out: Sequence[str] = (),
    **facts: Any,
) -> Race:
    """Let every contender run once a round; each round begins with another one."""
    result = Race(title, facts, {contender.name: [] for contender in contenders}, left_out)
    for number in range(rounds):
        print(f"{title}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        start = number % len(contenders)
        for contender in [*contenders[start:], *contenders[:start]]:
            result.samples[contender.name].append(once(contender, watch=watch))
            result.load = max(result.load, os.getloadavg()[0])
    return result


def once(contender: Contender, *, watch: bool = False) -> Sample:
    """Prepare, run and check a contender."""
    contender.prepare()
    sample = measure(contender.argv, env=contender.env, watch=watch)
    try:
        contender.check(sample.out)
    except Untrue as problem:
        raise Untrue(f"{contender.name} cannot be believed: {problem}") from None
    return sample


def measure(argv: Sequence[str], *, env: Mapping[str, str] | None = None, watch: bool = False) -> Sample:
    """Run a program to its end.

    Raises
    ------
    Failed
        If it ends with anything but 0.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment(env), start_new_session=True
        )
        try:
            peak = _peak(child.pid) if watch else None
            # What the kernel counted for the child and all of its descendants that were waited for.
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text = out.read().decode(errors="replace")
        if child.returncode:
            words = err.read().decode(errors="replace").strip() or text.strip()
            raise Failed(f"{' '.join(argv)[:300]} ended with {child.returncode}: {words[-1000:]}")
    return Sample(wall, used.ru_utime + used.ru_stime, text, peak)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours and `more`; sorting is plain, and Python may keep compiled modules, as it may for users."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"LC_ALL": "C"} | dict(more or {})


def _peak(pid: int) -> int:
    """The most memory that a process and its descendants held at one time: resident, shared pages counted in each."""
    import psutil

    peak = 0
    root = psutil.Process(pid)
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        total = 0
        for process in [root, *root.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peak = max(peak, total)
        time.sleep(SAMPLE_SECONDS)
    return peak
