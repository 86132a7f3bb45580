"""Ingest: store a tree durably, and look at it again when nothing, or one file in a hundred, has changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import corpus, keepers, ours
from benchmarks.bench import Bench
from benchmarks.race import Race, once, race

CHANGED_EVERY = 100


def run(bench: Bench) -> Iterator[Race]:
    """Documents and small files, stored for the first time; the small ones are then looked at again."""
    yield _first(bench, "documents", keepers.KEEPERS)
    # Those that keep a file for each content and start programs for it take many minutes for the small ones.
    yield _first(bench, "small", (keepers.RESTIC, keepers.BORG))
    truth, work = bench.corpus("small"), bench.folder / "work"
    here, left_out = keepers.able("store", "again", among=(keepers.RESTIC, keepers.BORG))
    contenders = [ours.rescan(work / "ours", truth)]
    contenders += [keeper.again(work / keeper.name, truth) for keeper in here]
    title = "rescan, small, unchanged"
    again = race(title, contenders, rounds=bench.rounds, left_out=left_out, files=truth.files, bytes=truth.bytes)
    again.expect_speed(
        "restic again", 1.0, f"rescan of {truth.files:,} unchanged files: at least the speed of restic's second backup"
    )
    yield again
    yield _changed(bench)


def _first(bench: Bench, name: str, among: tuple[keepers.Keeper, ...]) -> Race:
    truth, work = bench.corpus(name), bench.scratch()
    here, left_out = keepers.able("store", among=among)
    contenders = [ours.ingest(work / "ours", truth)]
    contenders += [keeper.store(work / keeper.name, truth) for keeper in here]
    contenders += [keepers.copy(work / "copy", truth)]
    title = f"ingest, {name}"
    first = race(title, contenders, rounds=bench.rounds, left_out=left_out, files=truth.files, bytes=truth.bytes)
    first.expect_speed("restic store", 1.0, f"ingest of {name}, bytes synced: at least the speed of restic backup")
    return first


def _changed(bench: Bench) -> Race:
    """The same hundredth of the files gets new content before each run, of a copy: corpora may be kept."""
    kept, work = bench.corpus("small"), bench.scratch()
    shutil.copytree(kept.tree, work / "tree")
    truth = replace(kept, tree=work / "tree")
    changing = corpus.files(truth.tree)[::CHANGED_EVERY]
    change = partial(_change, changing)
    here, left_out = keepers.able("store", "changed")
    once(ours.ingest(work / "ours", truth))
    contenders = [ours.rescan(work / "ours", truth, changed=len(changing), change=change)]
    for keeper in here:
        once(keeper.store(work / keeper.name, truth))
        contenders.append(keeper.changed(work / keeper.name, truth, len(changing), change))
    facts = {"files": truth.files, "bytes": truth.bytes, "changed": len(changing)}
    result = race("rescan, small, 1 % changed", contenders, rounds=bench.rounds, left_out=left_out, **facts)
    result.expect_speed(
        "restic again",
        1.0,
        f"rescan of {truth.files:,} files, 1 % changed: at least the speed of restic's second backup",
    )
    return result


def _change(paths: list[Path]) -> None:
    for path in paths:
        path.write_bytes(os.urandom(path.stat().st_size // 2).hex().encode())
    os.sync()
