"""``python -m benchmarks.simulation``: sites that write, forget, collect and sync, over links that fail for days.

What is joined is joined by the package itself; the network, the sites' clocks and their garbage collection are played.
Asked is how long until all know of a change, how many changes meet others that did not know of them, how much is
told more than once, and whether a content that a document has is gone everywhere: under the package's rule (kept until
every other site has come as far), and under the usual one, which waits for a time and then lets go.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any, Final

from catalogkit.federation.causality import includes, joined
from catalogkit.federation.merging import Content, Life, Notes, Record, contested, join, new, shown, written

MINUTE, HOUR, DAY = 1.0, 60.0, 1440.0
LATENCY: Final = 2 * MINUTE
GRACES: Final = (None, 1.0, 7.0)


@dataclass(frozen=True)
class World:
    """What is played: times in minutes. Links fail after `up` on average, and come back after `down`."""

    name: str
    sites: int = 3
    sync: float = 30 * MINUTE
    writes_a_day: int = 100
    days: int = 30
    up: float = 0.0
    down: float = 0.0
    silent_days: float = 0.0
    """For how long the last site hears of nobody."""
    silent_from: float = 10
    documents: int = 1000
    skew: float = 0.0
    """By how much each clock may be wrong."""


WORLDS: Final = (
    World("all is well"),
    World("links fail for an hour, every day", up=DAY, down=HOUR),
    World("links fail for a day, every week", up=7 * DAY, down=DAY),
    World("one site is silent for ten days", silent_days=10),
    World("clocks are wrong by up to a day", up=7 * DAY, down=DAY, skew=DAY),
    World("five sites, links fail for a day", sites=5, up=7 * DAY, down=DAY),
    World("five sites, synced once a day", sites=5, sync=DAY),
)


@dataclass
class Site:
    """One site: what it knows, whose bytes it has, and how far it knows the others to be."""

    name: str
    clock: float
    number: int = 0
    records: dict[int, Record] = field(default_factory=dict)
    stored: set[bytes] = field(default_factory=set)
    # What each site is known to have heard, itself first.
    heard: dict[str, dict[str, int]] = field(default_factory=dict)
    untold: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    # Contents that their document has no more: it, since when, and what others must know before they go.
    garbage: dict[bytes, tuple[int, float, dict[str, int]]] = field(default_factory=dict)


@dataclass
class Told:
    """What came of it."""

    writes: int = 0
    records_sent: int = 0
    contested: set[tuple[int, str]] = field(default_factory=set)
    lags: list[float] = field(default_factory=list)
    lost: set[bytes] = field(default_factory=set)
    kept_days: list[float] = field(default_factory=list)
    converged: bool = False


def play(world: World, seed: int = 1, grace_days: float | None = None) -> Told:
    """Play a world to its end, then with links that hold until all know all.

    Parameters
    ----------
    grace_days
        Contents go so many days after nobody here has them; without it, by the rule.
    """
    chance, told = random.Random(f"{seed} {world.name}"), Told()
    names = [f"site-{number}" for number in range(world.sites)]
    sites = {name: Site(name, chance.uniform(-world.skew, world.skew)) for name in names}
    events: list[tuple[float, int, Callable[[float], None]]] = []
    order = itertools.count()
    began: dict[tuple[str, int], list[float]] = {}  # when a change was made, then when each of the others knew
    down: set[frozenset[str]] = set()
    end = world.days * DAY
    weights = [1 / (rank + 1) for rank in range(world.documents)]
    contents = itertools.count()

    def at(when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(events, (when, next(order), what))

    def write(site: Site, now: float) -> None:
        number = chance.choices(range(world.documents), weights)[0]
        site.number += 1
        dot, at_us = (site.name, site.number), int((now + site.clock) * 60e6) + 10**15
        before = site.records.get(number)
        fresh = Content(next(contents).to_bytes(32, "big"), 1, "text/plain")
        if before is None or not shown(before).live:
            after = new(dot, at_us, fresh, Notes()) if before is None else written(
                before, dot, at_us, content=fresh, life=Life())  # fmt: skip
            site.stored.add(fresh.sha256)
        elif (what := chance.random()) < 0.6:
            after = written(before, dot, at_us, content=fresh)
            site.stored.add(fresh.sha256)
        elif what < 0.8:
            after = written(before, dot, at_us, life=Life(live=False))
        else:
            after = written(before, dot, at_us, notes=Notes(f'{{"n": {site.number}}}'))
        told.writes += 1
        began[dot] = [now]
        settle(site, number, after, now)

    def settle(site: Site, number: int, after: Record, now: float, source: str = "") -> None:
        before = site.records.get(number)
        if before == after:
            return
        site.records[number] = after
        for name in names:
            if name not in (site.name, source):
                site.untold[name].add(number)
        gone = needed(before) - needed(after)
        # Hidden by a deletion a content may be shown again by who did not know of it: so all must have come as far as
        # the last change of its document, not as the one that took it away.
        for content in (one for one, (of, *_) in site.garbage.items() if of == number):
            gone.add(content)
        for content in gone:
            since = site.garbage[content][1] if content in site.garbage else now
            site.garbage[content] = (number, since, dict(after.context))
        told.lost |= {one for one in needed(after) if not any(one in other.stored for other in sites.values())}
        for group in contested(after):
            told.contested.add((number, group))

    def talk(one: Site, other: Site, now: float) -> None:
        if frozenset((one.name, other.name)) not in down:
            for sender, receiver in ((one, other), (other, one)):
                some = {number: sender.records[number] for number in sender.untold.pop(receiver.name, ())}
                told.records_sent += len(some)
                mine = joined(sender.heard.get(sender.name, {}), {sender.name: sender.number})
                sender.heard[sender.name] = mine
                heard = {name: dict(known) for name, known in sender.heard.items()}
                at(now + LATENCY, hear(receiver, sender.name, some, heard))
        if now < end + 30 * DAY:
            at(now + world.sync, lambda later: talk(one, other, later))

    def hear(site: Site, source: str, some: dict[int, Record], heard: dict[str, dict[str, int]]) -> Any:
        def arrive(now: float) -> None:
            for number, record in some.items():
                known = site.records.get(number)
                settle(site, number, record if known is None else join(known, record), now, source)
            for name, known_there in heard.items():
                site.heard[name] = joined(site.heard.get(name, {}), known_there)
            before = site.heard.get(site.name, {})
            site.heard[site.name] = after = joined(before, heard[source])
            for origin in set(after) - {site.name}:
                for number in range(before.get(origin, 0) + 1, after[origin] + 1):
                    began[origin, number].append(now)
            collect(site, now)

        return arrive

    def collect(site: Site, now: float) -> None:
        for gone, (number, since, context) in list(site.garbage.items()):
            if grace_days is not None:
                free = now - since >= grace_days * DAY
            else:
                free = all(includes(site.heard.get(name, {}), context) for name in names if name != site.name)
            if free:
                del site.garbage[gone]
                # Somebody may have brought it back, and it is a document's again.
                if gone in site.stored and gone not in needed(site.records[number]):
                    told.kept_days.append((now - since) / DAY)
                    site.stored.discard(gone)

    def fail(pair: frozenset[str]) -> Callable[[float], None]:
        def turn(now: float) -> None:
            if now > end:
                down.discard(pair)
                return
            was_down = pair in down
            (down.discard if was_down else down.add)(pair)
            at(now + chance.expovariate(1 / (world.up if was_down else world.down)), turn)

        return turn

    def known_to_all(times: list[float]) -> bool:
        return len(times) == world.sites

    for site in sites.values():
        now = 0.0
        while (now := now + chance.expovariate(world.writes_a_day / DAY)) < end:
            at(now, lambda when, site=site: write(site, when))  # type: ignore[misc]
    for one, other in itertools.combinations(sites.values(), 2):
        at(chance.uniform(0, world.sync), lambda now, one=one, other=other: talk(one, other, now))  # type: ignore[misc]
        pair = frozenset((one.name, other.name))
        if world.up:
            at(chance.expovariate(1 / world.up), fail(pair))
        if world.silent_days and names[-1] in pair:
            at(world.silent_from * DAY, lambda _, pair=pair: down.add(pair))  # type: ignore[misc]
            at((world.silent_from + world.silent_days) * DAY, lambda _, pair=pair: down.discard(pair))  # type: ignore[misc]
    while events:
        now, _, what = heapq.heappop(events)
        what(now)
        if now > end and not any(site.untold for site in sites.values()) and all(map(known_to_all, began.values())):
            break
    told.lags = [max(times) - times[0] for times in began.values() if known_to_all(times)]
    told.converged = all(site.records == sites[names[0]].records for site in sites.values())
    return told


def needed(record: Record | None) -> set[bytes]:
    """The contents that a document shows, or a conflict keeps."""
    return {one.value.sha256 for one in record.content} if record is not None and shown(record).live else set()


def main() -> int:
    """Play every world by every rule, print what came of it, and fail if the package's rule lost anything."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how often each world is played")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    for world in WORLDS:
        for grace in GRACES:
            played = [play(world, seed, grace) for seed in range(1, given.seeds + 1)]
            assert all(one.converged for one in played), f"{world.name}: sites differ in the end"
            lags = [lag / HOUR for one in played for lag in one.lags]
            writes = sum(one.writes for one in played)
            kept = [days for one in played for days in one.kept_days]
            row = {
                "world": world.name,
                "contents go": "by the rule" if grace is None else f"after {grace:g} days",
                "writes": writes,
                "known to all, hours, p50": round(median(lags), 2),
                "p95": round(quantiles(lags, n=20)[18], 2),
                "most": round(max(lags), 1),
                "told per write": round(sum(one.records_sent for one in played) / writes, 2),
                "in conflict, of 1,000 writes": round(1000 * sum(len(one.contested) for one in played) / writes, 1),
                "kept for others, days": round(sum(kept) / max(1, len(kept)), 2),
                "contents lost": sum(len(one.lost) for one in played),
            }
            rows.append(row)
            if not given.json:
                print(" | ".join(map(str, row.values())) if len(rows) > 1 else "\n".join([" | ".join(row), " | ".join(
                    map(str, row.values()))]), flush=True)  # fmt: skip
    if given.json:
        print(json.dumps(rows, indent=1))
    return int(any(row["contents lost"] for row in rows if row["contents go"] == "by the rule"))


if __name__ == "__main__":
    sys.exit(main())
