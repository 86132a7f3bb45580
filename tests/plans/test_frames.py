"""Whole tables for planners: the same from the catalog and from its mirror."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from polars.testing import assert_frame_equal

from catalogkit.ingest import ingest
from catalogkit.model import Check, Outcome
from catalogkit.planning import common, misplaced, plan_migrate, plan_retention
from catalogkit.policies.retention import RetentionPolicy
from tests.plans.scene import forget

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from catalogkit.collection import Collection


def test_many_documents_come_from_the_mirror(
    make_collection: Callable[..., Collection], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, order, types and the last sighting are those of the catalog, and so is the plan made of them."""
    collection = make_collection("policy")
    for number in range(9):
        (source / f"{number}.txt").write_bytes(b"x" * (number % 4 + 1) * 100)
    ingest(collection, source, resolver="pmc")
    collection.catalog.touch([2, 5], as_of=collection.now() + timedelta(days=40))
    late = collection.now() + timedelta(days=50)
    plain = common.frames(collection, "documents", "locations")
    planned = plan_retention(collection, RetentionPolicy(30), as_of=late)
    assert planned.units
    assert not (collection.path / "mirror").exists()
    monkeypatch.setattr(common, "MANY", 1)
    for mine, theirs in zip(common.frames(collection, "documents", "locations"), plain, strict=True):
        assert_frame_equal(mine, theirs)
    assert (collection.path / "mirror").exists()
    again = plan_retention(collection, RetentionPolicy(30), as_of=late)
    assert again.id == planned.id


def test_without_room_for_a_mirror_the_catalog_answers(
    make_collection: Callable[..., Collection],
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the mirror cannot be written, as on a full disk, planning goes on without it, and says so."""
    collection = make_collection("policy")
    (source / "a.txt").write_bytes(b"x")
    ingest(collection, source, resolver="pmc")
    said: list[str] = []
    # Not through the machinery of logging, which other programs in this process may have set up.
    monkeypatch.setattr(common, "_LOG", SimpleNamespace(warning=lambda text, *more: said.append(text % more)))
    monkeypatch.setattr(common, "MANY", 1)
    (collection.path / "mirror").write_text("in the way")
    (documents,) = common.frames(collection, "documents")
    assert_frame_equal(documents, collection.frame("documents"))
    assert len(said) == 1
    assert "cannot be written" in said[0]


@pytest.mark.parametrize("layout", ["cas", "policy"])
def test_a_migration_of_many_is_planned_from_the_mirror(
    make_collection: Callable[..., Collection], source: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """The same plan, whole or of the first, and the same sums; what is bad, or has no document, stays."""
    collection = make_collection(layout)
    to = {"cas": "policy", "policy": "cas"}[layout]
    for number in range(9):
        (source / f"{number % 3}").mkdir(exist_ok=True)
        (source / f"{number % 3}" / f"{number}.txt").write_bytes(b"x" * (number % 7 + 1) * 100)
    ingest(collection, source, resolver="pmc")
    records = collection.catalog.find()
    forget(collection, records[1])
    [bad] = collection.catalog.locations_of(records[2].sha256)
    check = Check(
        location_id=bad.id, sha256=bad.sha256, checked_at=collection.now(), outcome=Outcome.CORRUPT, bytes=0,
        method="read", detail="",
    )  # fmt: skip
    collection.catalog.record_checks([check])
    as_of = collection.now()

    def planned() -> list[Any]:
        plans = [plan_migrate(collection, to, limit=limit, as_of=as_of) for limit in (None, 2, 0)]
        plans.append(plan_migrate(collection, to, keep=True, limit=2, as_of=as_of))
        return [*((plan.id, plan.units, plan.head.complete) for plan in plans), misplaced(collection, to).rows()]

    plain = planned()
    assert [units for _, units, _ in plain[:4]] == [{"cas": 5, "policy": 8}[layout], 2, 0, 2]
    assert all("1 copies that are known to be bad stay" in complete for _, _, complete in plain[:4])
    assert "more units were left out" in plain[1][2] and "left out" not in plain[0][2]
    assert sum(copies for _, copies, _ in plain[4]) == plain[0][1]
    monkeypatch.setattr(common, "MANY", 1)
    assert planned() == plain
