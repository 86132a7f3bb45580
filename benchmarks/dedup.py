"""Dedup: what is duplicated among a million locations, from the catalog; and in a tree that nobody has looked at yet.

From the catalog no file is opened: digests are in an index. A tree has to be read first, by us and by its peers, which
compare what they find: `jdupes` every byte of it, `rdfind` SHA-256 digests. All of them must find the same duplicates;
our preview reads as little as they do, an ingest in place reads and keeps everything.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import catalogkit
from benchmarks import corpus, ours, peers
from benchmarks.bench import Bench
from benchmarks.corpus import Corpus
from benchmarks.opening import AS_OF, PAGE
from benchmarks.peers import Peer
from benchmarks.race import Contender, Race, Untrue, race
from catalogkit.catalog.contract import Registration
from catalogkit.model import Arrival, Digest, Layout

LOCATIONS, QUICK_LOCATIONS = 1_000_000, 100_000
COPIES: Final = 0.3

JDUPES: Final = Peer(
    "jdupes, every byte", "jdupes", "jdupes", 'jdupes -r -q -m "$TREE"', r"^\s*(\d+) duplicate files \(in"
)
RDFIND: Final = Peer(
    "rdfind, sha256",
    "rdfind",
    "rdfind",
    'rdfind -checksum sha256 -makeresultsfile false -dryrun true "$TREE"',
    r"you have (\d+) files that are not unique",
)
RMLINT: Final = Peer(
    "rmlint",
    "rmlint",
    "rmlint",
    'rmlint --types=duplicates --hidden -o summary:stdout "$TREE"',
    r"whereof (?:\x1b\[[0-9;]*m)*(\d+)(?:\x1b\[[0-9;]*m)* are duplicates",
)


def run(bench: Bench, locations: int | None = None) -> Iterator[Race]:
    """Counting and deciding from a large catalog; then a tree, from nothing."""
    count = locations or (QUICK_LOCATIONS if bench.quick else LOCATIONS)
    home = bench.scratch() / "catalog"
    groups, names = fill(home, count)
    facts = {"locations": count, "groups": groups}
    rounds = min(bench.rounds, 3)
    counted = [
        Contender(
            f"{who}, counts",
            [sys.executable, "-m", "benchmarks.dedup", words, str(home)],
            partial(_says, groups=groups, names=names),
            env=ours.ENV,
        )
        for who, words in (("catalogkit", "counts"), ("bare SQL", "bare"))
    ]
    result = race("dedup, counts from the catalog", counted, rounds=rounds, watch=True, **facts)
    result.expect_less("cpu", 1.0, f"counts of the duplicates among {count:,} locations: less than 1 s of CPU")
    yield result
    decided = Contender(
        "catalogkit, every decision",
        [sys.executable, "-m", "benchmarks.dedup", "decide", str(home)],
        partial(_says, groups=groups, names=names),
        env=ours.ENV,
    )
    result = race("dedup, every decision from the catalog", [decided], rounds=rounds, watch=True, **facts)
    result.expect_less("cpu", 30.0, f"a decision, with its costs, about {names:,} copies: less than 30 s of CPU")
    yield result
    yield from _trees(bench)


def _trees(bench: Bench) -> Iterator[Race]:
    here, left_out = peers.installed(JDUPES, RDFIND, RMLINT)
    for name in ("documents", "small"):
        truth, work = bench.corpus(name), bench.scratch()
        groups = Counter(sha256(path.read_bytes()).digest() for path in corpus.files(truth.tree))
        several = [count for count in groups.values() if count > 1]
        more = sum(several) - len(several)
        wanted = {JDUPES: more, RDFIND: sum(several), RMLINT: more}
        others = []
        for peer in here:
            check = partial(peer.check, expected=wanted[peer])
            others.append(
                Contender(peer.name, peer.argv, check, partial(corpus.read, truth.tree), {"TREE": str(truth.tree)})
            )
        facts = {"files": truth.files, "bytes": truth.bytes, "groups": len(several)}
        ways = {
            "looked through": _looked(truth, len(several), more),
            "ingested in place and compared": _ours(work / "ours", truth, len(several)),
        }
        for verb, mine in ways.items():
            title = f"dedup of a tree, {name}: {verb}"
            result = race(title, [mine, *others], rounds=bench.rounds, left_out=left_out, **facts)
            for peer, most in ((RDFIND, 1.0), (JDUPES, 1.5)):
                text = f"{name}: {verb} in at most {most}x the time of {peer.name}"
                result.expect_share(peer.name, "wall", most, text)
            yield result


def _looked(truth: Corpus, groups: int, more: int) -> Contender:
    """Look a tree through, and keep nothing."""

    def check(out: str) -> None:
        ours.expect(out, groups=groups, spare_objects=more)

    argv = [*ours.CATALOGKIT, "preview", str(truth.tree), "--json"]
    return Contender("catalogkit preview", argv, check, partial(corpus.read, truth.tree), ours.ENV)


def _ours(home: Path, truth: Corpus, groups: int) -> Contender:
    """Take the tree in where it lies, and decide about its duplicates."""

    def prepare() -> None:
        corpus.wipe(home)
        corpus.read(truth.tree)

    steps = [
        [*ours.CATALOGKIT, "init", str(home)],
        ours.command(home, "ingest", truth.tree, "--mode", "reference"),
        ours.command(home, "plan", "dedup"),
    ]
    line = " && ".join(" ".join(f"'{word}'" for word in step) for step in steps)

    def check(out: str) -> None:
        *_, last = out.splitlines()
        ours.expect(last, groups=groups)

    return Contender("catalogkit, in place", ["sh", "-c", line], check, prepare, ours.ENV)


def fill(home: Path, count: int) -> tuple[int, int]:
    """Make a collection whose catalog knows so many files, a share of them copies; of bytes there are none.

    Returns
    -------
    tuple of int
        How many contents have several locations, and how many locations those have.
    """
    random, contents, copies = Random("catalogkit dedup"), list[int](), Counter[int]()
    with catalogkit.init(home, layout="policy") as collection:
        store_id = collection.store_id(collection.store.name)
        for start in range(0, count, PAGE):
            rows = []
            for number in range(start, min(start + PAGE, count)):
                content = random.choice(contents) if contents and random.random() < COPIES else number
                if content == number:
                    contents.append(number)
                copies[content] += 1
                rows.append((None, _registration(number, content, store_id)))
            collection.catalog.commit(rows, as_of=AS_OF, run_id="benchmark")
    several = [number for number in copies.values() if number > 1]
    return len(several), sum(several)


def _registration(number: int, content: int, store_id: int) -> Registration:
    arrival = Arrival(
        artifact_id=f"artifact-{number:07d}",
        source_url=f"https://example.org/archive/{number % 997:03d}/document-{number:07d}.pdf",
        resolver=f"resolver-{number % 7}",
        run_id=f"run-{number // 5000:04d}",
        fetched_at=AS_OF,
    )
    digest = Digest(sha256(str(content).encode()).digest())
    key = f"docs/{number % 997:03d}/document-{number:07d}.pdf"
    return Registration(
        arrival, digest, 1_000_000 + content, "application/pdf", store_id, key, Layout.POLICY, number + 1, number
    )


def _says(out: str, **wanted: int) -> None:
    said = json.loads(out)
    if said != wanted:
        raise Untrue(f"it says {said} instead of {wanted}")


# -- what the processes do --------------------------------------------------------------------------------------------


def _do(words: str, home: Path) -> dict[str, int]:
    if words == "bare":
        import sqlite3

        sql = "SELECT count(*), sum(n) FROM (SELECT count(*) AS n FROM locations GROUP BY sha256 HAVING n > 1)"
        groups, names = sqlite3.connect(home / "catalog.sqlite").execute(sql).fetchone()
        return {"groups": groups, "names": names}
    with catalogkit.open(home) as collection:
        if words == "counts":
            groups, names = collection.catalog.duplicate_counts()
            return {"groups": groups, "names": names}
        policy = catalogkit.DedupPolicy(max_age_days=None)
        found = catalogkit.analyze_dedup_opportunities(policy, collection=collection, look=False)
        return {"groups": found.totals.worthwhile, "names": int(found.frame["names"].sum())}


if __name__ == "__main__":
    print(json.dumps(_do(sys.argv[1], Path(sys.argv[2]))))
