"""Planners on frames made by hand: pure, told the time, and exact."""

from __future__ import annotations

import ast
import inspect
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

import catalogkit.planners
from catalogkit.model import schema
from catalogkit.planners import forget, gc, undo
from catalogkit.planners.gc import CONDEMNED, GARBAGE, INTENTS, STRAYS, GCPolicy
from tests.plans.frames import NOW, frame, head, sha

DAY = timedelta(days=1)
SHOWN = ("unit", "step", "kind", "reason", "sha256", "key", "bytes", "object", "users")


def test_condemning_is_as_written_down() -> None:
    """A golden case: garbage by age, old strays by key, dead ingests; what is kept, young or not garbage yet is not."""
    garbage = frame(
        GARBAGE,
        {"sha256": sha("b"), "bytes": 10, "since": NOW - DAY, "objects": 2, "artifact_id": "x", "tenant": "t"},
        {"sha256": sha("a"), "bytes": 5, "since": NOW - 2 * DAY, "objects": 1},
        {"sha256": sha("c"), "bytes": 7, "since": NOW, "objects": 0},
        {"sha256": sha("d"), "bytes": 7, "since": NOW - DAY, "objects": 1, "kept_by": "hold"},
        {"sha256": sha("e"), "bytes": 7, "since": NOW + DAY, "objects": 1},
    )
    strays = frame(
        STRAYS,
        {"store": "s", "key": "z", "bytes": 3, "inode": 8, "mtime_ns": 1, "users": 1, "since": NOW - 3 * DAY},
        {"store": "s", "key": "y", "bytes": 4, "inode": 9, "mtime_ns": 1, "users": 2, "since": NOW - 9 * DAY},
        {"store": "s", "key": "young", "bytes": 4, "inode": 7, "mtime_ns": 1, "users": 1, "since": NOW - 2.9 * DAY},
    )
    intents = frame(INTENTS, {"intent": 6, "sha256": sha("f"), "store": "s", "key": "k"})
    plan = gc.plan_condemn(head(), garbage, strays, intents, GCPolicy())
    assert plan.frame.select(SHOWN).rows() == [
        (0, 0, "condemn", "unreferenced", sha("a"), None, 5, None, None),
        (1, 0, "condemn", "unreferenced", sha("b"), None, 20, None, None),
        (2, 0, "condemn", "unreferenced", sha("c"), None, 0, None, None),
        (3, 0, "condemn", "stray", None, "y", 4, "s:9", 2),
        (4, 0, "condemn", "stray", None, "z", 3, "s:8", 1),
        (5, 0, "abandon", "dead-intent", sha("f"), "k", 0, None, None),
    ]
    assert plan.frame["document_id"].to_list()[-1] == 6
    assert plan.frame.row(1, named=True)["artifact_id"] == "x"
    assert plan.bytes_freed() == 5 + 20 + 3
    assert plan.head.policy == {"grace": 14 * 86400.0, "stray_age": 3 * 86400.0, "max_share": 0.5}


def test_purging_is_as_written_down() -> None:
    """A golden case: all copies of a blob are one unit, in the order of their keys; the grace is over to the second."""
    over, early = NOW - 14 * DAY, NOW - 14 * DAY + timedelta(seconds=1)
    copy = {"store": "s", "mtime_ns": 1, "users": 1}
    condemned = frame(
        CONDEMNED,
        {"sha256": sha("b"), "bytes": 5, "since": over, **copy, "key": "docs/2", "inode": 4, "users": 2},
        {"sha256": sha("b"), "bytes": 5, "since": over, **copy, "key": "docs/1", "inode": 4, "users": 2},
        {"sha256": sha("b"), "bytes": 5, "since": over, **copy, "key": "docs/3", "inode": 5},
        {"sha256": sha("a"), "bytes": 0, "since": over - DAY, "users": 1},
        {"sha256": sha("c"), "bytes": 9, "since": early, **copy, "key": "docs/4", "inode": 6},
        {"sha256": sha("d"), "bytes": 9, "since": over, **copy, "key": "docs/5", "inode": 7, "kept_by": "snapshot x"},
    )
    strays = frame(
        STRAYS,
        {**copy, "key": "y", "bytes": 3, "inode": 8, "since": over},
        {**copy, "key": "z", "bytes": 3, "inode": 9, "since": early},
    )
    plan = gc.plan_purge(head(), condemned, strays, GCPolicy())
    assert plan.frame.select(SHOWN).rows() == [
        (0, 0, "purge", "grace-over", sha("a"), None, 0, None, 1),
        (1, 0, "purge", "grace-over", sha("b"), "docs/1", 5, f"s:4:{sha('b')}", 2),
        (1, 1, "purge", "grace-over", sha("b"), "docs/2", 5, f"s:4:{sha('b')}", 2),
        (1, 2, "purge", "grace-over", sha("b"), "docs/3", 5, f"s:5:{sha('b')}", 1),
        (2, 0, "purge", "stray-grace-over", None, "y", 3, "s:8", 1),
    ]
    assert plan.bytes_freed() == 13


def test_names_that_the_catalog_does_not_know_keep_the_bytes() -> None:
    """Two of a file's three names in the plan free nothing."""
    row = {"sha256": sha("a"), "bytes": 5, "since": NOW - 30 * DAY, "store": "s", "inode": 4, "users": 3}
    plan = gc.plan_purge(
        head(), frame(CONDEMNED, {**row, "key": "1"}, {**row, "key": "2"}), STRAYS.to_frame(), GCPolicy()
    )
    assert plan.frame["users"].to_list() == [3, 3]
    assert plan.bytes_freed() == 0


def test_forgetting_is_as_written_down() -> None:
    """A golden case: one unit a document; bytes go only when all documents that share them are forgotten."""
    documents = {**schema("documents"), "refs": pl.Int64()}
    row = {"tenant": "t", "artifact_id": "x", "resolver": "core", "bytes": 9, "seen_at": NOW, "media_type": "text/html"}
    given = frame(
        pl.Schema(documents),
        {**row, "id": 3, "sha256": sha("a"), "refs": 2},
        {**row, "id": 1, "sha256": sha("a"), "refs": 2},
        {**row, "id": 2, "sha256": sha("b"), "refs": 2},
    )
    plan = forget.plan_forget(head(kind="forget"), given)
    assert plan.frame.select("unit", "step", "kind", "document_id", "sha256", "users", "last_copy").rows() == [
        (0, 0, "forget", 1, sha("a"), 2, True),
        (1, 0, "forget", 2, sha("b"), 2, False),
        (2, 0, "forget", 3, sha("a"), 2, True),
    ]
    assert plan.bytes_freed() == 9


REPLACED, PARTED, FAR = {"effect": "replaced"}, {"effect": "parted"}, {"from_store": "t", "effect": ""}


def test_undoing_is_as_written_down() -> None:
    """A golden case: last unit first, last step first; what has no way back is counted in words."""
    file = {"sha256": sha("d"), "store": "s", "from_store": "s", "inode": 7, "mtime_ns": 1, "users": 2, "size": 5}
    journal = frame(
        undo.JOURNAL,
        {"unit": 0, "step": 0, "kind": "forget", "sha256": sha("a"), "document_id": 4},
        {"unit": 1, "step": 0, "kind": "condemn", "sha256": sha("b")},
        {"unit": 2, "step": 0, "kind": "condemn", "store": "s", "key": "k1"},
        {"unit": 2, "step": 1, "kind": "condemn", "store": "s", "key": "k2"},
        {"unit": 3, "step": 0, "kind": "purge", "sha256": sha("c"), "store": "s", "key": "k", "bytes": 7},
        file | {"unit": 4, "step": 0, "kind": "link", "key": "new", "from_key": "old", "effect": "new"},
        file | {"unit": 4, "step": 1, "kind": "drop", "key": "old", "from_key": "new", "effect": ""},
        file
        | {"sha256": sha("e")}
        | {"unit": 5, "step": 0, "kind": "link", "key": "k3", "from_key": "k4", "effect": "replaced"},
        file | {"sha256": sha("f")} | {"unit": 6, "step": 0, "kind": "copy", "key": "k5", "from_key": "k6"} | PARTED,
        file | {"unit": 7, "step": 0, "kind": "copy", "key": "k5", "from_key": "k6", "effect": ""},
        file | {"unit": 8, "step": 0, "kind": "copy", "key": "k5", "from_key": "k6", "effect": "repaired"},
        file | {"sha256": sha("9"), "unit": 9, "step": 0, "kind": "drop", "key": "k7", "from_key": "far"} | FAR,
    )
    plan = undo.plan_undo(head(kind="undo"), journal, "f" * 64)
    columns = ("unit", "step", "kind", "sha256", "document_id", "key", "from_store", "from_key", "bytes", "users")
    assert plan.frame.select(columns).rows() == [
        (0, 0, "copy", sha("9"), None, "k7", "t", "far", 0, None),
        (1, 0, "link", sha("f"), None, "k5", "s", "k6", 5, 2),
        (2, 0, "copy", sha("e"), None, "k3", "s", "k4", 0, None),
        (3, 0, "link", sha("d"), None, "old", "s", "new", 0, None),
        (3, 1, "drop", sha("d"), None, "new", None, None, 5, 3),
        (4, 0, "rearm", None, None, "k2", None, None, 0, None),
        (4, 1, "rearm", None, None, "k1", None, None, 0, None),
        (5, 0, "rearm", sha("b"), None, None, None, None, 0, None),
        (6, 0, "recall", sha("a"), 4, None, None, None, 0, None),
    ]
    assert plan.head.complete == "2 steps cannot be undone: copy x 1, purge x 1"
    assert plan.head.policy == {"undone": "f" * 64}


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_of_the_frames_does_not_matter(order: int) -> None:
    """The same facts in any order are the same plan, with the same id."""
    garbage = frame(GARBAGE, *({"sha256": sha(c), "bytes": 1, "since": NOW - DAY, "objects": 1} for c in "abcdef"))
    empty = (STRAYS.to_frame(), INTENTS.to_frame())
    mixed = garbage.sample(fraction=1.0, shuffle=True, seed=order)
    plans = [gc.plan_condemn(head(), rows, *empty, GCPolicy()) for rows in (garbage, mixed)]
    assert plans[0].id == plans[1].id


def test_planners_read_no_clock_and_touch_nothing() -> None:
    """A planner imports neither clock nor world: frames and a policy in, a plan out."""
    allowed = {
        "__future__",
        "collections",
        "collections.abc",
        "dataclasses",
        "datetime",
        "decimal",
        "itertools",
        "typing",
        "polars",
        *(
            f"catalogkit.{name}"
            for name in ("addresses", "errors", "eviction.tiering", "layouts", "model", "plan", "reprs")
        ),
    }
    for path in Path(inspect.getfile(catalogkit.planners)).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        imports = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imports |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        pure = {
            name
            for name in imports
            if name == "catalogkit.plan" or name.startswith(("catalogkit.planners.", "catalogkit.policies."))
        }
        assert imports <= allowed | pure, path
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not {"now", "today", "open"} & {getattr(call, "attr", getattr(call, "id", "")) for call in calls}, path


def test_what_several_names_are_made_of_again_goes_after_all_of_them() -> None:
    """Two names moved to one content address come back in one unit, which gives that up last."""
    row = {"sha256": sha("d"), "store": "s", "from_store": "s", "inode": 7, "mtime_ns": 1, "users": 1, "size": 5}
    journal = frame(
        undo.JOURNAL,
        row | {"unit": 0, "step": 0, "kind": "link", "key": "cas", "from_key": "one", "effect": "new"},
        row | {"unit": 0, "step": 1, "kind": "drop", "key": "one", "from_key": "cas", "effect": ""},
        row | {"unit": 1, "step": 0, "kind": "link", "key": "cas", "from_key": "two", "effect": ""},
        row | {"unit": 1, "step": 1, "kind": "drop", "key": "two", "from_key": "cas", "effect": ""},
    )
    plan = undo.plan_undo(head(kind="undo"), journal, "f" * 64)
    assert plan.frame.select("unit", "step", "kind", "key", "from_key", "users").rows() == [
        (0, 0, "link", "two", "cas", None),
        (0, 1, "link", "one", "cas", None),
        (0, 2, "drop", "cas", None, 3),
    ]
    assert plan.bytes_freed() == 0
