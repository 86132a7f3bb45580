"""Retention: a million records decided about and planned for, beside the same rules row by row.

Both sides read the same frames from files, decide about every document (rules by type, resolver and size, healthy
copies after the whole batch), and say how many are forgotten. Ours then makes the plan, too, with its digest.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import ours
from benchmarks.bench import Bench
from benchmarks.race import Contender, Race, Untrue, race

RECORDS, QUICK_RECORDS = 1_000_000, 100_000
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)
TYPES = ("application/pdf", "text/html", "text/plain", "image/png", "application/json")
DECLARED = ("", "Application/PDF; charset=binary", "text/csv")
RULES: dict[str, Any] = {
    "age_days": 180,
    "content_type_rules": {"application/pdf": 365, "image/*": 90, "text/html": {"shorten": 30}},
    "resolver_rules": {"resolver-3": 400, "resolver-5": {"shorten": 100}},
    "size_tier_rules": {"tiny": 200, ">=50MB": 250},
}


def run(bench: Bench, records: int | None = None) -> Iterator[Race]:
    """Deciding and planning."""
    records = records or (QUICK_RECORDS if bench.quick else RECORDS)
    work = bench.scratch()
    forgotten = make(work, records)
    contenders = [
        Contender(
            name,
            [sys.executable, "-m", "benchmarks.retention", words, str(work)],
            partial(_says, records=records, forgotten=forgotten),
            env=ours.ENV,
        )
        for name, words in (("catalogkit retention", "set"), ("row by row", "rows"))
    ]
    result = race(
        "retention", contenders, rounds=min(bench.rounds, 3), watch=True, records=records, forgotten=forgotten
    )
    result.expect_less("cpu", 5.0, f"{records:,} records decided about and planned for: less than 5 s of CPU")
    result.expect_share("row by row", "cpu", 0.5, f"{records:,} records: at most half the CPU of a loop over rows")
    yield result


def make(work: Path, records: int) -> int:
    """Write documents and locations; a content has one copy and, for three documents in ten, more than one document.

    Returns how many are to be forgotten as ours counts them; the loop over rows has to find the same.
    """
    from catalogkit.model import schema

    number = pl.col("id")
    moment = pl.lit(AS_OF).cast(pl.Datetime("us", "UTC")) - pl.duration(minutes=number * 31 % 900_000)
    documents = pl.DataFrame({"id": pl.int_range(records, eager=True)}).with_columns(
        tenant=pl.lit("default"),
        artifact_id=pl.format("artifact-{}", number),
        source_url=pl.format("https://example.org/{}", number),
        resolver=pl.format("resolver-{}", number % 20),
        variant=pl.lit(""),
        sha256=(number * 6_700_417 % (records * 7 // 10)).cast(pl.String).str.zfill(64),
        bytes=number * 7_919 % 200_000_000,
        media_type=pl.lit(pl.Series(TYPES)).gather(number % len(TYPES)),
        content_type=pl.lit(pl.Series(DECLARED)).gather(number % len(DECLARED)),
        run_id=pl.lit(""),
        fetched_at=moment,
        created_at=moment,
        changed_at=moment,
        seen_at=moment,
        metadata=pl.lit("{}"),
    )
    documents.select(pl.col(name).cast(kind) for name, kind in schema("documents").items()).write_parquet(
        work / "documents.parquet"
    )
    locations = documents.unique("sha256", keep="first", maintain_order=True).select(
        "id",
        "sha256",
        "bytes",
        store=pl.lit("main"),
        key=pl.format("cas/{}", "sha256"),
        layout=pl.lit("cas"),
        inode=number,
        mtime_ns=0,
        created_at="seen_at",
        checked_at="seen_at",
        outcome=pl.lit("ok"),
    )
    locations.select(pl.col(name).cast(kind) for name, kind in schema("locations").items()).write_parquet(
        work / "locations.parquet"
    )
    return int(_sets(work)["forgotten"])


def _says(out: str, **wanted: int) -> None:
    said = json.loads(out)
    if said != wanted:
        raise Untrue(f"it says {said} instead of {wanted}")


# -- what the processes do --------------------------------------------------------------------------------------------


def _sets(work: Path) -> dict[str, int]:
    from catalogkit.plan import Head
    from catalogkit.planners.retention import plan_retention
    from catalogkit.policies.deciding import copies_of, decisions
    from catalogkit.policies.retention import RetentionPolicy

    policy = RetentionPolicy.parse(RULES)
    documents, locations = (pl.read_parquet(work / f"{name}.parquet") for name in ("documents", "locations"))
    decided = decisions(documents, policy, as_of=AS_OF, copies=copies_of(locations))
    head = Head("retention", "benchmark", AS_OF, AS_OF + timedelta(days=7))
    return {"records": decided.height, "forgotten": plan_retention(head, decided, policy).units}


def _rows(work: Path) -> dict[str, int]:
    from collections import namedtuple

    from catalogkit.policies.retention import Circumstances, RetentionPolicy

    policy = RetentionPolicy.parse(RULES)
    frames = (pl.read_parquet(work / f"{name}.parquet") for name in ("documents", "locations"))
    documents, locations = frames
    healthy: dict[str, set[tuple[str, int]]] = {}
    for store, inode, sha256, outcome in locations.select("store", "inode", "sha256", "outcome").iter_rows():
        if outcome in (None, "ok"):
            healthy.setdefault(sha256, set()).add((store, inode))
    record = namedtuple("record", documents.columns)  # type: ignore[misc]
    due, needed, seen = [], set(), 0
    for row in documents.iter_rows():
        one = record._make(row)
        seen += 1
        if policy.evaluate(one, as_of=AS_OF).keep:
            needed.add(one.sha256)
        else:
            due.append(one)
    forgotten = 0
    for one in due:
        if one.sha256 in needed:
            around = Circumstances(needed=True, healthy=len(healthy.get(one.sha256, ())))
            forgotten += not policy.evaluate(one, as_of=AS_OF, circumstances=around).keep
        else:
            forgotten += 1
    return {"records": seen, "forgotten": forgotten}


if __name__ == "__main__":
    print(json.dumps({"set": _sets, "rows": _rows}[sys.argv[1]](Path(sys.argv[2]))))
