"""The races of `benchmarks.s3` over a long line (`benchmarks.line`): a bucket is rarely on one's own machine.

There a request waits for its answer, and a connection carries only so much, so what counts is how many of them a
program has at once, and time is that on the wall. The line is a process of its own between all contenders and the
server; that it is no bottleneck is a goal, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks import line, s3
from benchmarks.bench import Bench
from benchmarks.line import Line
from benchmarks.race import Goal, Race

# rclone fetches what is larger than 250 MiB by four connections, anything else by one.
LARGE, QUICK_LARGE = 300_000_000, 100_000_000
SMALL, QUICK_SMALL = (1000, 100_000), (300, 100_000)
SHARE = 0.25


def run(bench: Bench) -> Iterator[Race]:
    """One large file, and many small ones; up and down again."""
    lines: list[Line] = []

    @contextlib.contextmanager
    def through(url: str) -> Iterator[str]:
        with line.to(url) as one:
            lines.append(one)
            yield one.url

    large, small = (QUICK_LARGE, QUICK_SMALL) if bench.quick else (LARGE, SMALL)
    for race in s3.races(bench, large, small, through, " from afar"):
        for peer in s3.PEERS:
            race.expect_share(peer, "wall", 1.0, f"{race.title}: takes no longer than {peer}")
        lasted = sum(sample.wall for samples in race.samples.values() for sample in samples)
        share = lines[-1].used() / lasted
        text = f"{race.title}: the line takes less than {SHARE:.0%} of a processor"
        race.goals.append(Goal(text, f"{share:.0%}", "met" if share < SHARE else "NOT MET"))
        yield race
