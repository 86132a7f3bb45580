"""Near-duplicates: how well they are told, over a folder of real documents; how fast, over 100,000 texts.

``python -m benchmarks near FOLDER`` makes a labelled set out of the documents there (`benchmarks.near_set`), takes it
in, extracts, and says of all pairs of files which are in one cluster, and should be. Then texts, one in five a
watermarked copy of another, are sketched and clustered, beside datasketch with the same shingles and as many numbers.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Final

import polars as pl

import catalogkit
from benchmarks import near_set, ours
from benchmarks.bench import Bench
from benchmarks.race import Contender, Goal, Race, Untrue, race
from catalogkit.policies.extract import Limits

TEXTS, QUICK_TEXTS = 100_000, 5_000
WORDS: Final = 400
COPIES: Final = 5  # one in so many is a copy
PRECISION, RECALL = 0.98, 0.9
PEAK: Final = 1_500_000_000
_SYLLABLES: Final = ["ka", "lo", "mi", "tu", "re", "na", "po", "vi", "sa", "ge", "do", "fu", "en", "is", "ar"]


def run(bench: Bench, count: int | None = None) -> Iterator[Race]:
    """Quality, if there is a folder of documents; then speed."""
    if bench.documents is not None:
        made = near_set.make(bench.documents, bench.scratch() / "set")
        if len(set(made.labels.values())) < 2:
            raise Untrue(f"there are not two documents with enough text in {bench.documents}")
        yield quality(made, "as by default", Limits())
        # The first pages of a PDF file are not the text of its EPUB.
        yield quality(made, "books told whole", Limits(pages=1000, text_chars=2_000_000))
    count = count or bench.count or (QUICK_TEXTS if bench.quick else TEXTS)
    path = bench.scratch() / "texts.parquet"
    copies = write(path, count)
    contenders = [
        Contender(
            who,
            [sys.executable, "-m", "benchmarks.near", words, str(path)],
            partial(_says, copies=copies),
            env=ours.ENV if words == "ours" else {},
        )
        for who, words in (("catalogkit", "ours"), ("datasketch", "datasketch"))
        if words == "ours" or find_spec(words)
    ]
    left_out = [] if find_spec("datasketch") else ["datasketch is not installed: pip install datasketch"]
    result = race(
        "near-duplicates", contenders, rounds=1, watch=True, left_out=left_out, texts=count, words=WORDS, copies=copies
    )
    result.expect_less(
        "peak_bytes", PEAK, f"{count:,} texts sketched and clustered: less than {PEAK / 1e9} GB of memory"
    )
    result.expect_less("cpu", 600, f"{count:,} texts: less than ten minutes of CPU")
    result.expect_share("datasketch", "cpu", 0.5, "sketched, paired and compared whole in half the CPU of datasketch")
    yield result


def quality(made: near_set.LabelledSet, how: str, limits: Limits) -> Race:
    """Precision and recall over pairs of files of a labelled set."""
    (folder,) = {path.parent for path in made.labels}
    home, told = folder.parent / f"home-{limits.pages}", [str(limits.pages), str(limits.text_chars)]
    check = Contender(
        "catalogkit",
        [sys.executable, "-m", "benchmarks.near", "quality", str(home), str(folder), *told],
        lambda out: None,
        env=ours.ENV,
    )
    result = race(
        f"near-duplicates, quality, {how}",
        [check],
        rounds=1,
        files=len(made.labels),
        sources=len(set(made.labels.values())),
        pages=limits.pages,
        text_chars=limits.text_chars,
    )
    cluster = json.loads(result.samples["catalogkit"][0].out)
    pairs = {"right": 0, "wrong": 0, "missed": 0, "arguable": 0}
    for a, b in itertools.combinations(sorted(made.labels), 2):
        same = a.name in cluster and cluster[a.name] == cluster.get(b.name)
        labels = frozenset((made.labels[a], made.labels[b]))
        if len(labels) == 1:
            pairs["right" if same else "missed"] += 1
        elif same:
            pairs["arguable" if labels in made.arguable else "wrong"] += 1
    result.facts |= pairs
    precision = pairs["right"] / max(pairs["right"] + pairs["wrong"], 1)
    recall = pairs["right"] / max(pairs["right"] + pairs["missed"], 1)
    for name, value, least in (("precision", precision, PRECISION), ("recall", recall, RECALL)):
        text = f"{name} of at least {least:.0%} over pairs of files"
        result.goals.append(Goal(text, f"{value:.4f}", "met" if value >= least else "NOT MET"))
    return result


def write(path: Path, count: int) -> int:
    """Write texts, some of them copies with a watermark on every page; how many are copies."""
    random, texts, copies = Random("catalogkit near"), list[str](), 0
    known = ["".join(random.choices(_SYLLABLES, k=random.randint(1, 4))) for _ in range(20_000)]
    original = ""
    for number in range(count):
        if number % COPIES == COPIES - 1:
            words = original.split()
            mark = f" Downloaded by reader{number} from 10.0.0.{number % 256} "
            texts.append(mark.join(" ".join(words[at : at + 150]) for at in range(0, WORDS, 150)))
            copies += 1
        else:
            original = " ".join(random.choices(known, k=WORDS))
            texts.append(original)
    pl.DataFrame({"text": texts}).write_parquet(path, row_group_size=1000)
    return copies


def _says(out: str, copies: int) -> None:
    said = json.loads(out)["copies"]
    if not 0.98 * copies <= said <= copies:
        raise Untrue(f"it found {said} of {copies} copies")


# -- what the processes do --------------------------------------------------------------------------------------------


def _pages(path: Path) -> Iterator[list[str]]:
    frame = pl.scan_parquet(path)
    for start in range(0, frame.select(pl.len()).collect().item(), 1000):
        yield frame.slice(start, 1000).collect()["text"].to_list()


def _ours(path: Path) -> int:
    """Sketch, pair, and compare whole: what `near_duplicates` does with the texts of a catalog."""
    from catalogkit.near.clusters import clusters
    from catalogkit.near.pairs import SKETCHES, pairs
    from catalogkit.near.sketches import sketched

    sketches = [("", *one) for page in _pages(path) for one in sketched(page)]
    frame = pl.DataFrame(sketches, schema=SKETCHES, orient="row")
    texts = pl.read_parquet(path)["text"]
    found = clusters(pairs(frame).select("a", "b").iter_rows(), sorted, texts.__getitem__)
    return sum(len(cluster) - 1 for cluster in found)


def _datasketch(path: Path) -> int:
    """Signatures and an index with the same shingles, numbers and threshold; candidates are not compared whole."""
    from datasketch import MinHash, MinHashLSH

    from catalogkit.near.shingles import JACCARD, Shingles
    from catalogkit.near.sketches import NUMBERS

    index, copies, number = MinHashLSH(threshold=JACCARD, num_perm=NUMBERS), 0, 0
    for page in _pages(path):
        for text in page:
            signature = MinHash(num_perm=NUMBERS)
            signature.update_batch([shingle.encode() for shingle in Shingles(text).all])
            copies += bool(index.query(signature))
            index.insert(number, signature)
            number += 1
    return copies


def _quality(home: Path, files: Path, pages: int, text_chars: int) -> dict[str, int]:
    """Take the files in, look into them, cluster them; which cluster each is in."""
    with catalogkit.init(home) as collection:
        catalogkit.ingest(collection, files)
        catalogkit.extract(collection, limits=Limits(pages=pages, text_chars=text_chars))
        found = catalogkit.near_duplicates(collection).frame
        paths = collection.frame("documents").select("sha256", "source_url")
    joined = paths.join(found.select("sha256", "cluster"), on="sha256")
    return {url.rpartition("/")[2]: cluster for url, cluster in joined.select("source_url", "cluster").iter_rows()}


if __name__ == "__main__":
    if sys.argv[1] == "quality":
        print(json.dumps(_quality(Path(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:]))))
    else:
        done = {"ours": _ours, "datasketch": _datasketch}[sys.argv[1]](Path(sys.argv[2]))
        print(json.dumps({"copies": done}))
