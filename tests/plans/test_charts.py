"""Plans as pictures: what they free, how old it is, and what differs from the plan before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogkit import plan_charts
from catalogkit.display import Chart
from catalogkit.planning import earlier_plan, plan_gc
from tests.plans.scene import AT_ONCE, forget, put

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from tests.conftest import Clock


def test_the_steps_to_what_stays_add_up(collection: Collection) -> None:
    """From all that is stored, less what each reason frees; bars begin where the one above ended."""
    kept, gone = put(collection, "a", b"a" * 30), put(collection, "b", b"b" * 12)
    forget(collection, gone)
    plan = plan_gc(collection, AT_ONCE)
    steps = plan_charts.freed_steps(plan)
    assert steps["bytes"].to_list() == [42, -12, 30]
    [bars] = plan_charts.freed(plan).data
    assert (list(bars.base), list(bars.x)) == ([0, 30, 0], [42, 12, 30])
    assert kept.id != gone.id


def test_ages_are_counted_in_units(collection: Collection, clock: Clock) -> None:
    forget(collection, *[put(collection, name, name.encode()) for name in "ab"])
    clock.advance(days=3)
    plan = plan_gc(collection, AT_ONCE)
    assert plan_charts.age_classes(plan)["units"].sum() == 2
    assert sum(sum(trace.y) for trace in plan_charts.ages(plan).data) == 2


def test_what_is_new_and_what_went_since_the_plan_before(collection: Collection, clock: Clock) -> None:
    """One content stays garbage, one is needed again, one becomes garbage: one still, one gone, one new."""
    plans = collection.path / "plans"
    records = {name: put(collection, name, name.encode() * 5) for name in ("stays", "comes back", "goes")}
    forget(collection, records["stays"], records["comes back"])
    clock.advance(hours=1)
    first = plan_gc(collection, AT_ONCE)
    assert earlier_plan(collection, first) is None
    first.save(plans)
    clock.advance(hours=1)
    put(collection, "comes back again", b"comes back" * 5)
    forget(collection, records["goes"])
    clock.advance(hours=1)
    second = plan_gc(collection, AT_ONCE)
    second.save(plans)
    found = earlier_plan(collection, second)
    assert found is not None and found.id == first.id
    [row] = plan_charts.differences(second, found).rows(named=True)
    assert (row["still"], row["new"], row["no_longer"]) == (1, 1, 1)
    figure = plan_charts.compared(second, found)
    assert [trace.x[0] for trace in figure.data] == [1, 1, 1, 3]
    assert figure.data[-1].text[0].strip() == "1 new, 1 gone"


def test_an_earlier_plan_that_cannot_be_read_is_passed_over(collection: Collection, clock: Clock) -> None:
    """The one before it is taken; without any the picture says so."""
    forget(collection, put(collection, "a", b"a"))
    homes = []
    for _ in range(3):
        clock.advance(hours=1)
        plan = plan_gc(collection, AT_ONCE)
        homes.append(plan.save(collection.path / "plans"))
    (homes[1] / "plan.parquet").unlink()
    found = earlier_plan(collection, plan)
    assert found is not None and str(homes[0]).endswith(found.id[:12])
    (homes[0] / "plan.json").write_text("{")
    assert earlier_plan(collection, plan) is None
    assert "no earlier plan" in plan_charts.compared(plan, None).layout.meta["reason"].lower()


def test_every_chart_is_also_a_picture(collection: Collection, clock: Clock) -> None:
    forget(collection, put(collection, "a", b"a" * 10))
    clock.advance(days=2)
    plan = plan_gc(collection, AT_ONCE)
    table = plan_charts.freed_steps(plan)
    for figure in (plan_charts.freed(plan), plan_charts.ages(plan), plan_charts.compared(plan, plan)):
        bundle, _ = Chart(figure, "Title", "Caption", table)._repr_mimebundle_()
        assert bundle["image/svg+xml"].startswith("<svg")
