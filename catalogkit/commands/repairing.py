"""Command `plan repair`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from catalogkit.commands.planned import Limit, Out, Private, about, keep, what_next
from catalogkit.commands.plans import planning
from catalogkit.door import DONE, LOOK, Json, machine

if TYPE_CHECKING:
    from catalogkit.collection import Collection
    from catalogkit.planners.repair import RepairReport

SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    planning.command("repair")(plan_repair)


def plan_repair(
    context: typer.Context,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Download again what no copy is left of; `apply` must be told, too.")
    ] = False,
    private: Private = False,
    enough: Annotated[
        int | None,
        typer.Option(min=1, help="Drop a missing copy from the catalog where its store has so many healthy ones."),
    ] = None,
    let_go: Annotated[
        bool, typer.Option("--let-go", help="Drop copies from the catalog that their owner moved or changed.")
    ] = False,
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Restore what the last check found corrupt or missing, from whatever holds the right bytes."""
    from catalogkit.planners.repair import RepairPolicy
    from catalogkit.planning import repair_report
    from catalogkit.terminal import say, tell

    policy = RepairPolicy(fetch=fetch, private=private, enough=enough, let_go=let_go)
    with context.obj.open() as collection:
        report = repair_report(collection, policy, limit=limit)
        home = keep(collection, report.plan, out)
        lines = _lines(collection, report)
    to_machine = machine(context, as_json)
    values = about(report.plan, home, to_machine)
    say(report.to_dict() | values if to_machine else values, to_machine, "Plan: repair")
    if not to_machine:
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    if not report.unrepairable.is_empty():
        tell("To heal copies that stay as they are, ingest the right bytes again, from anywhere.")
    if report.plan.units:
        tell(what_next(home))
    elif report.unrepairable.is_empty():
        tell("Nothing to do.")
        return DONE
    return LOOK


def _lines(collection: Collection, report: RepairReport) -> list[str]:
    """What is to be done, by reason; and each copy that stays as it is, with the reason."""
    plan, left = report.plan, report.unrepairable
    lines = [f"  {row['units']:>9,}  {plan.words(row['reason'])}" for row in plan.totals().to_dicts()]
    for row in left.head(SHOWN).to_dicts():
        place = collection.stores[collection.store_id(row["store"])].describe(row["key"])
        lines.append(f"  {row['outcome']}, and stays so: {place}: {row['why']}")
    if left.height > SHOWN:
        lines.append(f"  and {left.height - SHOWN:,} more (all with --json)")
    return lines
