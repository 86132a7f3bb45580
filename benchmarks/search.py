"""Search: questions to 100,000 documents, beside a bare FTS5 table with the same words in it.

Both are asked the same questions, of one to three words, phrases, prefixes, names, and have to find the same number of
documents each; only ours filters, shows where the words are, and knows a document that changed.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final

import catalogkit
from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.opening import AS_OF, PAGE
from benchmarks.race import Contender, Goal, Race, Untrue, race
from catalogkit.catalog.contract import Registration
from catalogkit.content import ContentMetadata
from catalogkit.model import Arrival, Digest, Layout

DOCUMENTS, QUICK_DOCUMENTS = 100_000, 10_000
WORDS: Final = 300
QUESTIONS: Final = 200
P95_MS: Final = 50.0
_SYLLABLES: Final = ["ka", "lo", "mi", "tu", "re", "na", "po", "vi", "sa", "ge", "do", "fu", "en", "is", "ar"]


def run(bench: Bench, documents: int | None = None) -> Iterator[Race]:
    """Ask, warm, and tell the 95th percentile."""
    count = documents or bench.count or (QUICK_DOCUMENTS if bench.quick else DOCUMENTS)
    home = bench.scratch() / "catalog"
    fill(home, count)
    contenders = [
        Contender(
            who, [sys.executable, "-m", "benchmarks.search", words, str(home), str(count)], _answered, env=ours.ENV
        )
        for who, words in (("catalogkit search", "ours"), ("bare FTS5", "bare"))
    ]
    result = race(
        "search", contenders, rounds=min(bench.rounds, 3), watch=True, documents=count, words=WORDS, questions=QUESTIONS
    )
    said = [json.loads(sample.out) for sample in result.samples[result.first]]
    bare = [json.loads(sample.out) for sample in result.samples["bare FTS5"]]
    if said[0]["found"] != bare[0]["found"]:
        raise Untrue(f"catalogkit found {said[0]['found']} documents, bare FTS5 {bare[0]['found']}")
    best, other = (min(one["p95_cpu_ms"] for one in some) for some in (said, bare))
    wall = min(one["p95_ms"] for one in said)
    result.goals.append(
        Goal(
            f"{count:,} documents, warm: of 100 questions 95 take less than {P95_MS:.0f} ms",
            f"CPU {best:.1f} ms, wall {wall:.1f} ms; bare FTS5 CPU {other:.1f} ms",
            "met" if wall < P95_MS else "met in CPU time" if best < P95_MS else "NOT MET",
        )
    )
    yield result


def _answered(out: str) -> None:
    if not json.loads(out)["found"]:
        raise Untrue("it found nothing")


def _vocabulary() -> tuple[list[str], list[float]]:
    """Words, and how often each comes, as in a language: the n-th in proportion to 1/n (Zipf's law)."""
    random = Random("catalogkit vocabulary")
    words = list(dict.fromkeys("".join(random.choices(_SYLLABLES, k=random.randint(1, 5))) for _ in range(80_000)))
    return words, list(itertools.accumulate(1 / (place + 2.7) for place in range(len(words))))


def fill(home: Path, count: int) -> None:
    """Make a collection of so many documents with their texts, but no bytes, and the bare table beside it."""
    words, weights = _vocabulary()
    random = Random("catalogkit search")
    bare = sqlite3.connect(home.parent / "bare.sqlite")
    bare.execute("CREATE VIRTUAL TABLE t USING fts5(title, authors, names, text)")
    with catalogkit.init(home) as collection:
        store_id = collection.store_id(collection.store.name)
        for start in range(0, count, PAGE):
            rows, contents, plain = [], [], []
            for number in range(start, min(start + PAGE, count)):
                title, author = " ".join(random.choices(words, k=6)), random.choice(words)
                text = " ".join(random.choices(words, cum_weights=weights, k=WORDS))
                name, url = (
                    f"artifact-{number:07d}",
                    f"https://example.org/{number % 997:03d}/document-{number:07d}.pdf",
                )
                digest = Digest(sha256(str(number).encode()).digest())
                key = f"cas/{digest.hex()[:2]}/{digest.hex()}"
                arrival = Arrival(artifact_id=name, source_url=url, resolver=f"resolver-{number % 7}")
                rows.append(
                    (
                        None,
                        Registration(
                            arrival, digest, 1000, "application/pdf", store_id, key, Layout.CAS, number + 1, 1
                        ),
                    )
                )
                told = ContentMetadata(
                    extractor="benchmark", version=1, media_type="application/pdf", title=title, authors=(author,),
                    language="en", page_count=number % 50, text=text, text_chars=len(text), preview=text[:300],
                )  # fmt: skip
                contents.append((digest, told))
                plain.append((number + 1, title, author, f"{name} {url} resolver-{number % 7}", text))
            collection.catalog.commit(rows, as_of=AS_OF, run_id="benchmark")
            collection.catalog.record_contents(contents, as_of=AS_OF)
            bare.executemany("INSERT INTO t (rowid, title, authors, names, text) VALUES (?, ?, ?, ?, ?)", plain)
            bare.commit()
        while collection.catalog.index_documents(PAGE):
            pass
    bare.close()


def questions(count: int) -> Iterator[str]:
    """What is asked: mostly one to three words that are neither in every document nor in none."""
    words, _ = _vocabulary()
    random = Random("catalogkit questions")
    kinds: list[Callable[[], str]] = [
        lambda: random.choice(words[100:]),
        lambda: " ".join(random.choices(words[50:3000], k=2)),
        lambda: " ".join(random.choices(words[20:1000], k=3)),
        lambda: '"{} {}"'.format(*random.choices(words[20:300], k=2)),
        lambda: random.choice([word for word in words[100:5000] if len(word) > 5])[:6] + "*",
        lambda: f"document-{random.randrange(count):07d}",
        lambda: random.choice(words[:20]),
    ]
    for number in range(QUESTIONS):
        yield kinds[number % len(kinds)]()


# -- what the processes do --------------------------------------------------------------------------------------------


def _ask(ask: Callable[[str], int], count: int) -> dict[str, float]:
    """Ask everything twice: the first time warms up."""
    asked = list(questions(count))
    for question in asked[:: len(asked) // 20]:
        ask(question)
    times, cpu, found = [], [], 0
    for question in asked:
        began, used = time.perf_counter(), time.process_time()
        found += ask(question)
        times.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    nearly = int(len(asked) * 0.95)
    return {"found": found, "p95_ms": sorted(times)[nearly] * 1e3, "p95_cpu_ms": sorted(cpu)[nearly] * 1e3}


def _bare(table: sqlite3.Connection, question: str) -> int:
    from catalogkit.words import parse_query

    match = " AND ".join(
        '"' + " ".join(term.words) + '"' + ("*" if term.prefix else "") for term in parse_query(question)
    )
    return len(table.execute("SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank LIMIT 20", (match,)).fetchall())


def _do(words: str, home: Path, count: int) -> dict[str, float]:
    if words == "bare":
        return _ask(partial(_bare, sqlite3.connect(home.parent / "bare.sqlite")), count)
    with catalogkit.open(home) as collection:
        return _ask(lambda question: collection.search(question).height, count)


if __name__ == "__main__":
    print(json.dumps(_do(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
