"""The noun: what a plan says, how it counts, and that it can be kept and trusted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.approval import Approval
from catalogkit.errors import InvalidInput, PlanError
from catalogkit.plan import SCHEMA, Head, Plan, Saved, StepKind
from tests.plans.frames import NOW, head, plan, sha

DATA = Path(__file__).parents[1] / "data"


def test_an_empty_plan_has_the_schema_of_a_full_one() -> None:
    """Nothing to do is a plan like any other: the same columns and types, sums of nothing."""
    empty, full = plan(), plan({"sha256": sha("a"), "bytes": 5, "since": NOW})
    assert empty.frame.schema == full.frame.schema == SCHEMA
    assert (empty.units, len(empty), empty.bytes_freed()) == (0, 0, 0)
    assert empty.totals().is_empty() and empty.totals().schema == full.totals().schema
    assert empty.diff(empty).schema == full.diff(empty).schema
    assert empty.summary().keys() == full.summary().keys()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"kind": "explode"}, "kinds of step"),
        ({"reason": "unheard"}, "without words"),
        ({"kind": None}, "kinds of step"),
        ({"unit": None}, "missing"),
        ({"bytes": None}, "missing"),
        ({"bytes": -1}, "below zero"),
        ({"sha256": "AB" * 32}, "digest"),
        ({"sha256": "ab"}, "digest"),
    ],
)
def test_steps_that_make_no_sense_are_refused(row: dict[str, Any], words: str) -> None:
    """Unknown kinds, reasons without words, missing numbers and bad digests never become a plan."""
    with pytest.raises(InvalidInput, match=words):
        plan(row)


@pytest.mark.parametrize("numbers", [[(1, 0), (0, 0)], [(0, 0), (0, 0)], [(0, 1), (0, 0)], [(0, 0), (1, 0), (0, 1)]])
def test_units_and_steps_come_in_order_and_once(numbers: list[tuple[int, int]]) -> None:
    """The journal is keyed by unit and step, so two steps never have the same numbers."""
    with pytest.raises(InvalidInput, match="order"):
        plan(*({"unit": unit, "step": step} for unit, step in numbers))


def test_missing_columns_and_naive_times_are_refused() -> None:
    """A frame of something else is no plan; times without a zone are none."""
    with pytest.raises(InvalidInput, match="steps of a plan"):
        Plan(head(), pl.DataFrame({"unit": [1]}))
    for name in ("as_of", "expires_at"):
        with pytest.raises(InvalidInput, match="time zone"):
            Plan(head(**{name: NOW.replace(tzinfo=None)}), SCHEMA.to_frame())


def test_the_kinds_of_steps_are_a_closed_set() -> None:
    """Whoever adds a kind has to come by here, and by the executor."""
    facts = {"condemn", "rearm", "purge", "forget", "recall", "abandon", "evict", "resolve"}
    assert {kind.value for kind in StepKind} == facts | {"copy", "link", "clone", "drop", "quarantine", "fetch"}


@pytest.mark.parametrize("kind", ["copy", "fetch", "quarantine"])
def test_a_step_that_only_adds_bytes_frees_none(kind: str) -> None:
    """Its bytes would be counted as freed, and the brakes would be wrong."""
    assert plan({"kind": kind}).bytes_freed() == 0
    with pytest.raises(InvalidInput, match="cannot free any"):
        plan({"kind": kind, "bytes": 1})


def test_totals_are_told_by_everything_a_person_asks_for() -> None:
    """By reason, resolver, media type and tenant: units and bytes, the largest first; other words are refused."""
    made = plan(
        {"bytes": 10, "resolver": "core", "media_type": "application/pdf", "tenant": "t1"},
        {"bytes": 5, "resolver": "core", "media_type": "text/html", "tenant": "t2"},
        {"bytes": 7, "resolver": "unpaywall", "media_type": "text/html", "tenant": "t2", "reason": "other"},
    )
    assert made.totals("resolver").rows() == [("core", 2, 15), ("unpaywall", 1, 7)]
    assert made.totals("reason").rows() == [("why", 2, 15), ("other", 1, 7)]
    assert made.totals("media_type").rows() == [("text/html", 2, 12), ("application/pdf", 1, 10)]
    assert made.totals("tenant").rows() == [("t2", 2, 12), ("t1", 1, 10)]
    assert made.totals("kind").rows() == [("condemn", 3, 22)]
    assert made.words("why") == "because"
    with pytest.raises(InvalidInput, match="use reason"):
        made.totals("weather")


def test_shared_bytes_count_only_when_every_user_goes() -> None:
    """An object with two users in the plan is freed by both together and by neither alone; alone counts alone."""
    made = plan(
        {"bytes": 100, "object": "s:1", "users": 2},
        {"bytes": 100, "object": "s:1", "users": 2},
        {"bytes": 30, "object": "s:2", "users": 3},
        {"bytes": 8},
    )
    assert made.bytes_freed() == 108
    assert [made.bytes_freed(pl.Series([unit], dtype=pl.Int64)) for unit in range(4)] == [0, 0, 0, 8]
    assert made.bytes_freed(pl.Series([0, 1])) == 100
    assert made.bytes_freed(pl.Series([], dtype=pl.Int64)) == 0
    assert made.totals().rows() == [("why", 4, 108)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), max_size=12),
    st.lists(st.integers(0, 3), min_size=4, max_size=4),
    st.sets(st.integers(0, 11)),
)
def test_freed_bytes_are_those_of_a_disk(rows: list[tuple[int, int]], outside: list[int], chosen: set[int]) -> None:
    """For any files, names and choice, the joint figure is what removing those names would free on a disk."""
    sizes = dict(rows)
    users = {number: outside[number] + sum(one == number for one, _ in rows) for number in sizes}
    made = plan(*({"bytes": sizes[number], "object": f"s:{number}", "users": users[number]} for number, _ in rows))
    units = sorted(chosen & set(range(len(rows))))
    left = dict(users)
    for unit in units:
        left[rows[unit][0]] -= 1
    expected = sum(sizes[number] for number, names in left.items() if names == 0)
    assert made.bytes_freed(pl.Series(units, dtype=pl.Int64)) == expected


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["core", "pmc", None])), max_size=12),
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 4)), min_size=4, max_size=4),
)
def test_the_parts_of_a_plan_add_up_to_the_whole(
    rows: list[tuple[int, str | None]], objects: list[tuple[int, int]]
) -> None:
    """Whatever is shared by whom: bytes by reason, resolver and the rest sum to what the plan frees, exactly."""
    made = plan(
        {"bytes": 7},
        *(
            {"bytes": objects[number][0], "users": objects[number][1], "object": f"s:{number}", "resolver": resolver}
            for number, resolver in rows
        ),
    )
    for by in ("reason", "resolver", "media_type", "tenant", "kind"):
        assert made.totals(by)["bytes"].sum() == made.bytes_freed()


def test_a_diff_tells_what_was_added_and_what_was_dropped() -> None:
    """Two plans are compared by what their steps are about, whatever their numbers, nulls included."""
    old = plan({"sha256": sha("a")}, {"sha256": sha("b"), "bytes": 7}, {"store": "store", "key": "cas/x"})
    new = plan({"store": "store", "key": "cas/x"}, {"sha256": sha("a")}, {"sha256": sha("c"), "bytes": 9})
    assert old.diff(new).select("change", "sha256", "bytes").rows() == [
        ("added", sha("c"), 9),
        ("dropped", sha("b"), 7),
    ]
    assert old.diff(old).is_empty()
    both = plan({"sha256": sha("a")}, {"sha256": sha("b")})
    assert plan().diff(both)["change"].to_list() == ["added", "added"]
    assert both.diff(plan())["change"].to_list() == ["dropped", "dropped"]


def test_a_limited_plan_says_that_it_is_not_all() -> None:
    """A limit keeps whole units, the first ones, and the plan tells how many it left out."""
    made = plan({"bytes": 1}, {"unit": 1}, {"unit": 1, "step": 1}, {"unit": 2, "bytes": 4}, complete="half the disk")
    few = made.limited(2)
    assert (few.units, few.frame.height) == (2, 3)
    assert few.summary()["complete"] == "half the disk; 1 more unit was left out"
    assert few.id != made.id
    assert made.limited(3) is made
    assert made.limited(0).units == 0
    with pytest.raises(InvalidInput):
        made.limited(-1)


# -- keeping it -----------------------------------------------------------------------------------------------------


def example() -> Plan:
    return plan(
        {"sha256": sha("a"), "bytes": 3, "since": NOW - timedelta(days=400), "artifact_id": 'quote " comma , é'},
        {"store": "store", "key": "docs/new\nline", "inode": -5, "mtime_ns": 1, "artifact_id": ""},
        policy={"grace": 3.5},
        author="somebody",
        documents=7,
        physical_bytes=99,
        complete="",
    )


def test_a_saved_plan_loads_as_it_was(tmp_path: Path) -> None:
    """Head, steps and id come back from the folder, twice saved is once saved."""
    made = example()
    home = made.save(tmp_path)
    assert home == made.save(tmp_path)
    loaded = Plan.load(home)
    assert loaded.head == made.head
    assert loaded.frame.equals(made.frame)
    assert loaded.id == made.id
    assert json.loads((home / "plan.json").read_text())["head"]["author"] == "somebody"


def test_a_plan_has_the_same_id_in_another_process(tmp_path: Path) -> None:
    """The id depends on nothing but head and steps: no hash seed, no process."""
    made = example()
    home = made.save(tmp_path)
    code = "import sys; from catalogkit.plan import Plan; print(Plan.load(sys.argv[1]).id)"
    out = subprocess.run([sys.executable, "-c", code, home], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == made.id


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": pl.lit(4, dtype=pl.Int64)},
        {"artifact_id": pl.lit(None, dtype=pl.String)},
        {"artifact_id": pl.col("artifact_id").fill_null("")},
        {"since": pl.col("since").dt.offset_by("1us")},
        {"unit": pl.col("unit") + 1},
    ],
)
def test_an_edited_plan_is_refused(change: dict[str, pl.Expr], tmp_path: Path) -> None:
    """Whoever changes a step after the plan was made, even a null into an empty text, changes its id."""
    made = plan({"bytes": 3, "since": NOW}, {"artifact_id": ""})
    edited = made.frame.with_columns(**change)
    home = made.save(tmp_path)
    edited.write_parquet(home / "plan.parquet")
    with pytest.raises(PlanError, match="was edited"):
        Plan.load(home)  # by the digest of the file
    about = json.loads((home / "plan.json").read_text())
    del about["steps_sha256"]  # as plans were saved before they had one
    (home / "plan.json").write_text(json.dumps(about))
    if edited.equals(made.frame):
        assert Plan.load(home).id == made.id
    else:
        with pytest.raises(PlanError, match="was edited"):
            Plan.load(home)


@pytest.mark.parametrize("field", ["units", "bytes_freed", "id"])
def test_what_is_told_beside_the_head_is_checked(field: str, tmp_path: Path) -> None:
    """A list is made from what stands beside the head, so a plan whose own figures are others is refused."""
    made = example()
    home = made.save(tmp_path)
    saved = Saved.read(home)
    assert (saved.id, saved.units, saved.bytes_freed, saved.head) == (made.id, 2, 3, made.head)
    about = json.loads((home / "plan.json").read_text())
    about[field] = "0" * 64 if field == "id" else about[field] + 1
    (home / "plan.json").write_text(json.dumps(about))
    with pytest.raises(PlanError, match="was edited"):
        Plan.load(home)


@pytest.mark.parametrize("field", [field for field in Head.__dataclass_fields__ if field != "reasons"])
def test_an_edited_head_is_refused(field: str, tmp_path: Path) -> None:
    """The id covers every word of the head, the expiry and the policy among them."""
    home = example().save(tmp_path)
    about = json.loads((home / "plan.json").read_text())
    value = about["head"][field]
    times = {"as_of", "expires_at"}
    about["head"][field] = (
        value.replace("2026", "2027")
        if field in times
        else {"grace": 0}
        if field == "policy"
        else (value + 1 if isinstance(value, int) else value + "x")
    )
    (home / "plan.json").write_text(json.dumps(about))
    with pytest.raises(PlanError, match="was edited"):
        Plan.load(home)


def test_what_cannot_be_read_is_told_apart(tmp_path: Path) -> None:
    """No plan, a newer format, a torn file: each says what it is; nothing but our errors comes out."""
    for nowhere in (tmp_path / "none", Path(__file__)):
        with pytest.raises(InvalidInput, match="no plan"):
            Plan.load(nowhere)
    home = example().save(tmp_path)
    whole = (home / "plan.json").read_text()
    (home / "plan.json").write_text(json.dumps({"format": 9, "something": "new"}))
    with pytest.raises(InvalidInput, match="format 9"):
        Plan.load(home)
    for torn in ("", "[]", "null", "{}", whole[: len(whole) // 2], '{"format": 2, "id": "x", "head": {"kind": 5}}'):
        (home / "plan.json").write_text(torn)
        with pytest.raises(PlanError, match="cannot be read"):
            Plan.load(home)
    (home / "plan.json").write_text(whole)
    (home / "plan.parquet").write_bytes((home / "plan.parquet").read_bytes()[:100])
    with pytest.raises(PlanError, match="was edited"):
        Plan.load(home)
    (home / "plan.parquet").unlink()
    with pytest.raises(InvalidInput, match="no plan"):
        Plan.load(home)


def test_a_plan_of_an_earlier_format_can_be_looked_at(tmp_path: Path) -> None:
    """A plan that was saved before there were copies between stores is read, trusted by its own id, and shows itself.

    Its id was computed when it was made, so this also fails where a library writes the same steps another way.
    """
    old = DATA / "plan-format-1"
    loaded, approval = Plan.load(old), Approval.load(old)
    assert (loaded.form, loaded.id[:12], loaded.units, loaded.bytes_freed()) == (1, "ea20c087d661", 4, 13)
    assert loaded.frame.schema == SCHEMA
    assert loaded.frame.select("from_store", "from_key").null_count().row(0) == (4, 4)
    assert approval is not None
    assert approval.plan_id == loaded.id
    assert approval.units(loaded) == {0, 1}
    assert loaded.diff(loaded).is_empty()
    again = Plan.load(loaded.save(tmp_path))
    assert (again.id, again.form) == (loaded.id, 1)
    edited = pl.read_parquet(old / "plan.parquet").with_columns(pl.col("bytes") + 1)
    home = tmp_path / "edited"
    shutil.copytree(old, home)
    edited.write_parquet(home / "plan.parquet")
    with pytest.raises(PlanError, match="was edited"):
        Plan.load(home)


def test_an_old_plan_can_be_looked_at(tmp_path: Path) -> None:
    """Expiry is a matter of applying; a plan of any age loads, sums and shows itself."""
    old = plan({"bytes": 5}, as_of=NOW - timedelta(days=4000), expires_at=NOW - timedelta(days=3993))
    loaded = Plan.load(old.save(tmp_path))
    shown = loaded._repr_mimebundle_()
    assert "1 x why: because" in shown["text/plain"] and "<table>" in shown["text/html"]
    assert "1 units" in repr(loaded) and loaded.id[:12] in repr(loaded)
