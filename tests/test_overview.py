"""The overview: parts add up to the figures of `catalogkit.stats`, states say what is to become of bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalogkit import overview, overview_charts, stats
from catalogkit.errors import InvalidInput
from catalogkit.model import schema

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
A, B, C = (letter * 64 for letter in "abc")


def docs(*rows: dict[str, Any]) -> pl.DataFrame:
    """A documents frame; what a row leaves out gets a default, ids count from 1."""
    usual = {"tenant": "t", "resolver": "web", "media_type": "text/html", "sha256": A, "bytes": 100, "run_id": "r"}
    full = [usual | {"id": number, "changed_at": AS_OF} | row for number, row in enumerate(rows, 1)]
    return pl.DataFrame(full, schema=schema("documents"))


def locs(*rows: dict[str, Any]) -> pl.DataFrame:
    """A locations frame of copies in one store."""
    usual = {"store": "main", "sha256": A, "bytes": 100}
    return pl.DataFrame([usual | {"id": n, "key": f"k{n}"} | row for n, row in enumerate(rows, 1)], schema("locations"))


def blobs(**states: tuple[str, int]) -> pl.DataFrame:
    """A blobs frame: a letter, its state and references."""
    rows = [{"sha256": name * 64, "bytes": 100, "state": state, "refs": refs} for name, (state, refs) in states.items()]
    return pl.DataFrame(rows, schema=schema("blobs"))


names = st.sampled_from(["x", "y\x1fz", "", "ü"])
rows = st.builds(
    lambda resolver, kind, sha256: {"resolver": resolver, "media_type": kind, "sha256": sha256},
    names, names, st.sampled_from([A, B]),
)  # fmt: skip


@given(st.lists(rows, max_size=8), st.lists(st.sampled_from([A, B]), max_size=4))
def test_the_tree_adds_up(documents: list[dict[str, Any]], copies: list[str]) -> None:
    """Its leaves sum to what one column alone says, and a document is counted once."""
    frame, held = docs(*documents), locs(*[{"sha256": one} for one in copies])
    tree = overview.tree(frame, held, ["resolver", "media_type"])
    whole = stats.dedup_by(frame, held, "tenant")
    assert tree["stored_bytes"].sum() == whole["stored_bytes"].sum()
    assert tree["documents"].sum() == frame.height
    assert tree.columns[:2] == ["resolver", "media_type"]


@pytest.mark.parametrize("columns", [[], ["resolver", "resolver"], ["sha256"], ["nothing"]])
def test_a_tree_needs_text_columns(columns: list[str]) -> None:
    """What cannot be grouped by is refused, also of an empty catalog."""
    with pytest.raises(InvalidInput):
        overview.tree(docs(), locs(), columns)


def test_states_say_what_is_to_become_of_bytes() -> None:
    """Needed, kept and condemned are told apart; what lies nowhere has no bytes; the whole is all that is stored."""
    found = overview.states(
        blobs(a=("live", 2), b=("live", 0), c=("condemned", 0), d=("purged", 0)),
        locs({}, {"inode": 5}, {"inode": 5}, {"sha256": B}, {"sha256": C}, {"sha256": C, "outcome": "missing"}),
    )
    told = {row["state"]: (row["contents"], row["stored_bytes"]) for row in found.to_dicts()}
    assert told == {"needed": (1, 200), "kept": (1, 100), "condemned": (1, 100), "incoming": (0, 0), "gone": (0, 0)}
    assert overview.states(blobs(), locs())["stored_bytes"].sum() == 0


def test_the_latest_runs_come_first() -> None:
    """Runs by the time their first document came, with what they brought."""
    early = AS_OF - timedelta(days=2)
    found = overview.latest_runs(
        docs({"run_id": "old", "changed_at": early}, {"run_id": "new"}, {"run_id": "new", "resolver": "other"}), top=1
    )
    assert found.rows() == [("new", AS_OF, 2, 200, 2)]


def test_the_treemap_shows_the_largest_and_sums_up_the_rest() -> None:
    """A field's parts, the rest included, make up the field."""
    documents = docs(
        *[{"sha256": f"{number:064x}", "bytes": 100 - number, "media_type": f"t/{number}"} for number in range(9)]
    )
    held = locs(*[{"sha256": f"{number:064x}", "bytes": 100 - number} for number in range(9)])
    tree = overview.tree(documents, held, ["resolver", "media_type"])
    (trace,) = overview_charts.treemap(tree, ["resolver", "media_type"], top=4).data
    leaves = [size for size, parent in zip(trace["values"], trace.parents, strict=True) if parent]
    assert sum(leaves) == trace["values"][0] == held["bytes"].sum()
    assert "5 others" in trace.labels


def test_nothing_to_draw_is_said() -> None:
    """Empty frames give a sentence in place of a picture."""
    tree = overview.tree(docs(), locs(), ["resolver", "media_type"])
    assert overview_charts.treemap(tree, ["resolver", "media_type"]).layout.annotations
    assert overview_charts.stores(stats.store_usage(docs(), locs())).layout.annotations
    assert overview_charts.states(overview.states(blobs(), locs())).layout.annotations


def test_stores_and_states_are_drawn() -> None:
    """The bars of a store add up to it, and states that nothing is in have no bar."""
    held = locs({"inode": 1}, {"inode": 2}, {"sha256": B})
    figure = overview_charts.stores(stats.store_usage(docs({}), held))
    assert [(trace.name, trace.x[0]) for trace in figure.data if trace.name] == [
        ("needed", 100), ("spare copies", 100), ("no document needs them", 100)
    ]  # fmt: skip
    (bars,) = overview_charts.states(overview.states(blobs(a=("live", 1), b=("condemned", 0)), held)).data
    assert list(bars.y) == ["needed", "condemned"]
