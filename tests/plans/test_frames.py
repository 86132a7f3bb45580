"""Whole tables for planners: the same from the catalog and from its mirror."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from polars.testing import assert_frame_equal

from catalogkit.ingest import ingest
from catalogkit.planning import common, plan_retention
from catalogkit.policies.retention import RetentionPolicy

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
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where the mirror cannot be written, as on a full disk, planning goes on without it, and says so."""
    collection = make_collection("policy")
    (source / "a.txt").write_bytes(b"x")
    ingest(collection, source, resolver="pmc")
    monkeypatch.setattr(common, "MANY", 1)
    (collection.path / "mirror").write_text("in the way")
    (documents,) = common.frames(collection, "documents")
    assert_frame_equal(documents, collection.frame("documents"))
    assert "cannot be written" in caplog.text
