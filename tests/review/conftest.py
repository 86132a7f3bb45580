"""Plans to review: made up, of any size, and real ones of a small collection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from catalogkit.apply import apply
from catalogkit.collection import Collection, init
from catalogkit.ingest import ingest
from catalogkit.plan import SCHEMA, Head, Plan
from catalogkit.planning import plan_forget, plan_gc
from tests.conftest import Clock, hurry, make_tree

AS_OF = datetime(2026, 3, 1, 12, tzinfo=UTC)
REASONS = {"unreferenced": "no document needs it", "stray": "no record knows it", "<b>": "<script>alert(1)</script>"}


def made_up(frame: pl.DataFrame, **head: object) -> Plan:
    """A plan of these steps; columns that are left out get a value that is as good as any."""
    filled = {
        "step": pl.lit(0),
        "kind": pl.lit("condemn"),
        "reason": pl.lit("unreferenced"),
        "bytes": pl.lit(100),
        "last_copy": pl.lit(False),
        "since": pl.lit(AS_OF - timedelta(days=30)),
    }
    missing = {name: filled.get(name, pl.lit(None)) for name in SCHEMA if name not in frame.columns}
    about = {"kind": "gc", "catalog": "c" * 32, "as_of": AS_OF, "expires_at": AS_OF + timedelta(days=7)}
    about |= {"reasons": REASONS, "physical_bytes": 10**15, "author": "ada"}
    return Plan(Head(**about | head), frame.with_columns(**missing))  # type: ignore[arg-type]


def mixed(**head: object) -> Plan:
    """Ten units: two resolvers and none, two reasons, sizes and ages that differ, one last copy."""
    number = pl.int_range(10, eager=True)
    frame = pl.DataFrame(
        {
            "unit": number,
            "reason": ["unreferenced", "stray"] * 5,
            "resolver": ["core", "pmc", None, "core", "pmc", None, "core", "pmc", None, "core"],
            "bytes": (number + 1) * 100,
            "since": [AS_OF - timedelta(days=20 * n) for n in range(10)],
            "last_copy": [n == 9 for n in range(10)],
            "artifact_id": [f"doi:{n}" for n in range(10)],
        }
    )
    return made_up(frame, **head)


@pytest.fixture
def garbage(tmp_path: Path, clock: Clock) -> Iterator[tuple[Collection, Plan]]:
    """A collection in which six documents were forgotten a month ago, and the plan to condemn their bytes."""
    files = {f"{n}.txt": f"text number {n}".encode() * 20 for n in range(16)}
    with hurry(init(tmp_path / "collection", clock=clock)) as collection:
        ingest(collection, make_tree(tmp_path / "downloads", files))
        apply(collection, plan_forget(collection, [1, 2, 3, 4, 5, 6]), unapproved=True, max_share=1)
        clock.advance(days=30)
        yield collection, plan_gc(collection)
