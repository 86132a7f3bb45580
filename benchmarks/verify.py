"""Verify: read every stored byte again and compare, page cache warm, beside tools that do so with the same files."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import keepers, ours, peers
from benchmarks.bench import Bench
from benchmarks.race import Race, once, race


def run(bench: Bench) -> Iterator[Race]:
    """Documents of about a megabyte, for which speed is claimed, and small files."""
    documents = _race(bench, "documents", keepers.KEEPERS)
    documents.expect_speed("openssl, all cores", 0.9, "verify: at least 0.9x the speed of openssl on all cores")
    for name in ("sha256sum", "hashdeep", "restic check", "borg check", "git-annex check"):
        documents.expect_speed(name, 1.0, f"verify: faster than {name}")
    yield documents
    yield _race(bench, "small", (keepers.RESTIC, keepers.BORG))


def _race(bench: Bench, name: str, among: tuple[keepers.Keeper, ...]) -> Race:
    truth, work = bench.corpus(name), bench.scratch()
    once(ours.ingest(work / "ours", truth))
    contenders = [ours.verify(work / "ours", truth)]
    here, left_out = peers.installed(*peers.HASHERS)
    contenders += [peers.hasher(peer, work, ours.cas(work / "ours")) for peer in here]
    able, also_left_out = keepers.able("store", "check", among=among)
    for keeper in able:
        once(keeper.store(work / keeper.name, truth))
        contenders.append(keeper.check(work / keeper.name, truth))
    facts = {"files": truth.unique_files, "bytes": truth.unique_bytes}
    return race(f"verify, {name}", contenders, rounds=bench.rounds, left_out=left_out + also_left_out, **facts)
