"""Sync: what 1 % changed costs beside a full copy, in bytes and in processor time, at either end.

The catalog is that of `benchmarks.catalogs`.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.catalogs import LATER, catalog, change, opened
from benchmarks.corpus import wipe
from benchmarks.race import Contender, Goal, Race, Untrue, once, race

COUNT: Final = 1_000_000
QUICK_COUNT: Final = 100_000
PART: Final = 10_000
SHARE: Final = 0.02


def run(bench: Bench, count: int | None = None) -> Iterator[Race]:
    """Tell all, tell what changed; take all in, take in what changed."""
    count = count or bench.count or (QUICK_COUNT if bench.quick else COUNT)
    home, rounds = catalog(bench, count), min(bench.rounds, 3)
    once(_step("begin", home, "become a site"))
    whole = _step("tell all", home, f"{count:,} documents", documents=count)
    some = Contender(
        "1 % changed",
        _argv("tell some", home),
        partial(_says, documents=count // 100),
        prepare=lambda: change(home),
        env=ours.ENV,
    )
    result = race("tell another site", [some, whole], rounds=rounds, documents=count)
    sizes = {name: max(json.loads(one.out)["bytes"] for one in samples) for name, samples in result.samples.items()}
    share = sizes[some.name] / sizes[whole.name]
    verdict = "met" if share < SHARE else "NOT MET"
    told = f"{100 * share:.2f} % ({sizes[some.name]:,} of {sizes[whole.name]:,} bytes)"
    result.goals.append(Goal("1 % changed ships under 2 % of the bytes of a full copy", told, verdict))
    result.expect_speed(whole.name, 10.0, "telling 1 %: ten times as fast as telling all")
    yield result

    other = home.parent / f"{home.name}-other"

    def fresh() -> None:
        wipe(other)
        ours.init(other)

    everything = Contender(
        f"{count:,} documents", _argv("take all", home), partial(_says, documents=count), prepare=fresh, env=ours.ENV
    )
    yield race("take in", [everything], rounds=1, documents=count)
    changed = Contender(
        "1 % changed",
        _argv("take some", home),
        partial(_says, documents=count // 100),
        prepare=lambda: (change(home), once(_step("tell some", home, "tell")))[0],
        env=ours.ENV,
    )
    yield race("take in what changed", [changed], rounds=rounds, documents=count)


def _argv(words: str, home: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.sync", words, str(home)]


def _step(words: str, home: Path, title: str, **wanted: int) -> Contender:
    return Contender(title, _argv(words, home), partial(_says, **wanted), env=ours.ENV)


def _says(out: str, **wanted: int) -> None:
    said = json.loads(out)
    wrong = {name: said.get(name) for name, value in wanted.items() if said.get(name) != value}
    if wrong:
        raise Untrue(f"it says {wrong} instead of {wanted}")


# -- what the processes do --------------------------------------------------------------------------------------------


def _do(words: str, home: Path) -> dict[str, Any]:
    from catalogkit.federation.changes import packed, unpacked

    act, _, what = words.partition(" ")
    folder, last = home.parent / f"{home.name}-{what or 'all'}", home.parent / f"{home.name}-last.json"
    if act == "take":
        with opened(home.parent / f"{home.name}-other") as collection:
            catalog = collection.catalog
            if catalog.own_site() is None:
                catalog.begin_site("other", as_of=LATER)
            parts = [unpacked(path.read_bytes()) for path in sorted(folder.iterdir())]
            taken = [catalog.take_changes(part, as_of=LATER) for part in parts]
            return {"documents": sum(one.new + one.changed for one in taken)}
    with opened(home) as collection:
        catalog = collection.catalog
        if act == "begin":
            catalog.begin_site("here", as_of=LATER)
            last.write_text(json.dumps({"seq": catalog.changes_since(0, limit=1, as_of=LATER).marks["seq"]}))
            return {}
        since = json.loads(last.read_text())["seq"] if what == "some" else 0
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        documents = size = 0
        while True:
            changes = catalog.changes_since(since, limit=PART, as_of=LATER)
            data = packed(changes)
            (folder / f"{changes.since:016x}").write_bytes(data)
            documents, size, since = documents + len(changes.entries), size + len(data), changes.upto
            if changes.complete:
                break
        last.write_text(json.dumps({"seq": since}))
        return {"documents": documents, "bytes": size}


if __name__ == "__main__":
    print(json.dumps(_do(sys.argv[1], Path(sys.argv[2]))))
