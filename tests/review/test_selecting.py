"""Choosing units: a rule and exceptions, live figures, windows of rows."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogkit.approval import Selection, approve_plan
from catalogkit.errors import InvalidInput
from catalogkit.plan import Plan
from catalogkit.planning import approve
from catalogkit.selecting import Choice
from tests.review.conftest import AS_OF, made_up, mixed


def chosen(choice: Choice) -> set[int]:
    return set(choice.table["unit"].filter(choice.selected).to_list())


def test_last_copies_start_unselected() -> None:
    """At first everything but the last copies is selected."""
    assert chosen(Choice(mixed())) == set(range(9))


def test_actions_on_a_filter_mean_every_row_that_fits_it() -> None:
    """Include, exclude and only act on all rows that fit the filter, missing values too, and say how many."""
    choice = Choice(mixed())
    assert choice.set_filter("resolver = 'core'") == 4
    assert choice.exclude_filtered() == 4
    assert chosen(choice) == {1, 2, 4, 5, 7, 8}, "rows without a resolver are not core, so they stay"
    choice.set_filter("age_days > 150")
    assert choice.matching_last_copies == 1
    assert choice.include_filtered() == 2
    assert chosen(choice) == {1, 2, 4, 5, 7, 8, 9}
    assert choice.only_filtered() == 2
    assert chosen(choice) == {8, 9}
    assert choice.selection == Selection("age_days > 150")


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("toggle"), st.integers(0, 9)),
            st.tuples(
                st.sampled_from(["include_filtered", "exclude_filtered", "only_filtered"]),
                st.sampled_from(["", "resolver = 'core'", "resolver IS NULL", "bytes > 400", "age_days < 60"]),
            ),
        ),
        max_size=6,
    )
)
def test_a_selection_says_exactly_what_is_selected(acts: list[tuple[str, object]]) -> None:
    """Whatever is clicked, rule and exceptions select the same units again, by the approval's own reading."""
    plan = mixed()
    choice, wanted = Choice(plan), set(range(9))
    for act, what in acts:
        if act == "toggle":
            choice.toggle(int(str(what)))
            wanted ^= {int(str(what))}
            continue
        choice.set_filter(str(what))
        fits = set(choice.page(0, 99)["unit"].to_list())
        getattr(choice, act)()
        wanted = {"include_filtered": wanted | fits, "exclude_filtered": wanted - fits, "only_filtered": fits}[act]
    assert chosen(choice) == wanted
    assert choice.selection.units(plan) == wanted
    assert chosen(Choice(plan, choice.selection)) == wanted


def test_python_and_the_file_select_the_same(tmp_path: object) -> None:
    """The copied line of Python, run without a widget, writes an approval of the same units."""
    plan = mixed()
    home = plan.save(str(tmp_path))
    choice = Choice(plan)
    choice.set_filter("resolver = 'pmc'")
    choice.exclude_filtered()
    choice.toggle(9)
    choice.toggle(0)
    door = type("ck", (), {"approve": staticmethod(lambda *a, **k: approve(*a, **k, approved_by="ada", as_of=AS_OF))})
    given_ = eval(choice.selection.as_python(str(home)), {"ck": door})
    assert given_.units(Plan.load(home)) == chosen(choice) == {2, 3, 5, 6, 8, 9}
    assert approve_plan(plan, given_.rule, exclude=[0], include=[9], approved_by="ada", as_of=AS_OF) == given_


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from([None, "a", "b", "c"])), min_size=1, max_size=12),
    st.fixed_dictionaries({name: st.tuples(st.integers(0, 3), st.integers(1, 50)) for name in "abc"}),
    st.sets(st.integers(0, 5)),
)
def test_live_bytes_are_those_of_the_plan(
    steps: list[tuple[int, str | None]], objects: dict[str, tuple[int, int]], units: set[int]
) -> None:
    """The quick totals count names, objects and units exactly like the plan's own slow count."""
    rows = [(unit, name, *objects.get(name or "", (1, 7))) for unit, name in sorted(steps, key=lambda step: step[0])]
    schema = {"unit": pl.Int64(), "object": pl.String(), "users": pl.Int64(), "bytes": pl.Int64()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    plan = made_up(frame.with_columns(step=pl.int_range(pl.len()).over("unit")))
    known = sorted(set(frame["unit"].to_list()) & units)
    totals = Choice(plan, Selection("FALSE", include=tuple(known))).totals()
    assert totals.bytes == plan.bytes_freed(pl.Series(known, dtype=pl.Int64))
    assert (totals.units, totals.of) == (len(known), plan.units)
    assert totals.steps == frame.filter(pl.col("unit").is_in(known)).height


def test_a_unit_of_several_steps_fits_only_as_a_whole() -> None:
    """A unit fits a filter if every step of it does, and stays one row with the bytes of all its objects."""
    frame = pl.DataFrame({"unit": [0, 0, 1], "step": [0, 1, 0], "store": ["a", "b", "a"], "object": ["x", "y", "z"]})
    choice = Choice(made_up(frame.with_columns(users=1)))
    assert choice.page(0, 9)["bytes"].to_list() == [200, 100]
    assert choice.set_filter("store = 'a'") == 1
    choice.exclude_filtered()
    assert chosen(choice) == {0}
    assert choice.selection.units(choice.plan) == {0}


@pytest.mark.parametrize(
    "text", ["resolver =", "resolver", "nonsense = 1", "CAST(artifact_id AS INT) > 1", "bytes > 1 AND"]
)
def test_a_filter_that_is_no_condition_changes_nothing(text: str) -> None:
    """A mistaken filter is refused in words, and the one before stays."""
    choice = Choice(mixed())
    choice.set_filter("bytes > 500")
    with pytest.raises(InvalidInput, match="not a condition"):
        choice.set_filter(text)
    assert (choice.filter, choice.matching) == ("bytes > 500", 5)


def test_parts_add_up_and_filter_to_what_they_count() -> None:
    """Facets and histograms have at most 20 parts, add up to the plan, and each one's condition finds its rows."""
    choice = Choice(mixed())
    parts = choice.facets() | choice.histograms()
    assert set(parts) == {"reason", "resolver", "media_type", "tenant", "bytes", "age_days"}
    for name, slices in parts.items():
        assert sum(part.total for part in slices) == 10, name
        assert sum(part.selected for part in slices) == 9, name
        assert len(slices) <= 20
        for part in slices:
            assert choice.toggle_clause(part.clause) == part.total
            assert int((choice.matches & choice.selected).sum()) == part.selected
            assert choice.toggle_clause(part.clause) == 10


def test_a_value_with_a_quote_is_a_value() -> None:
    """A resolver called ``x' OR '1'='1`` filters to itself."""
    choice = Choice(made_up(pl.DataFrame({"unit": [0, 1], "resolver": ["x' OR '1'='1", "y"]})))
    [hostile] = [part for part in choice.facets()["resolver"] if part.label != "y"]
    assert choice.toggle_clause(hostile.clause) == 1
    assert choice.page(0, 9)["unit"].to_list() == [0]


def test_pages_are_windows_of_the_sorted_rows() -> None:
    """A page has the rows asked for, in the order asked for, with whether they are selected."""
    choice = Choice(mixed())
    choice.set_filter("reason = 'stray'")
    page = choice.page(1, 3, "bytes", True)
    assert page["unit"].to_list() == [7, 5, 3]
    assert choice.page(0, 1, "bytes", True)["selected"].to_list() == [False]
    assert choice.page(4, 50)["unit"].to_list() == [9]
    assert choice.page(99, 5).is_empty()
    with pytest.raises(InvalidInput, match="no order by"):
        choice.page(0, 1, "sha256")


def test_unknown_units_are_refused() -> None:
    """Toggling a unit the plan does not have changes nothing."""
    choice = Choice(mixed())
    for unit in (-1, 10):
        with pytest.raises(InvalidInput, match=f"no unit {unit}"):
            choice.toggle(unit)
    assert chosen(choice) == set(range(9))


def test_a_plan_without_units_can_be_looked_at() -> None:
    """An empty plan has empty pages and zero totals, and no error."""
    choice = Choice(made_up(pl.DataFrame(schema={"unit": pl.Int64()})))
    assert choice.page(0, 9).is_empty()
    assert choice.totals().units == choice.totals().bytes == 0
    assert choice.histograms() == {}


def test_a_million_units() -> None:
    """With a million units totals, pages and a toggle are exact."""
    number = pl.int_range(1_000_000, eager=True)
    frame = pl.DataFrame({"unit": number, "bytes": number, "object": (number // 2).cast(pl.String)})
    plan = made_up(frame.with_columns(users=2, resolver=pl.when(number % 4 == 0).then(pl.lit("core"))))
    choice = Choice(plan)
    assert choice.totals().bytes == sum(range(1, 1_000_000, 2))
    choice.toggle(777_777)
    assert choice.totals().bytes == sum(range(1, 1_000_000, 2)) - 777_777
    assert choice.set_filter("resolver = 'core' AND bytes >= 500000") == 125_000
    choice.only_filtered()
    assert (choice.totals().units, choice.totals().bytes) == (125_000, 0), "half an object frees nothing"
    assert choice.page(124_999, 10, "bytes")["unit"].to_list() == [999_996]
