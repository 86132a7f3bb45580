"""Command `plan tier`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalogkit.commands.planned import Limit, Out, about, ending, keep
from catalogkit.commands.plans import planning
from catalogkit.door import Json, machine


def add_to(app: typer.Typer) -> None:
    """Add the command to the command line."""
    planning.command("tier")(plan_tier)


def plan_tier(
    context: typer.Context,
    to: Annotated[str | None, typer.Option("--to", help="The cheap store; else what [tiering] says.")] = None,
    hot: Annotated[str | None, typer.Option("--hot", help="The quick one; else where new bytes go.")] = None,
    older_than: Annotated[str | None, typer.Option(help="What goes is older, such as 90d.")] = None,
    unread_for: Annotated[str | None, typer.Option(help="Nobody asked for what goes for so long.")] = None,
    least_bytes: Annotated[str | None, typer.Option(help="What goes is at least so large, such as 1MB.")] = None,
    back: Annotated[list[int] | None, typer.Option("--back", metavar="ID", help="Bring these documents back.")] = None,
    limit: Limit = None,
    out: Out = None,
    as_json: Json = False,
) -> int:
    """Move cold documents to a cheap store, and back once they are asked for again."""
    import msgspec

    from catalogkit.errors import InvalidInput
    from catalogkit.planning.tier import Tiering
    from catalogkit.terminal import say, tell

    said = {"cold": to, "hot": hot, "older_than": older_than, "unread_for": unread_for, "least_bytes": least_bytes}
    with context.obj.open() as collection:
        try:
            given = {name: value for name, value in said.items() if value is not None}
            policy = msgspec.structs.replace(collection.config.tiering, **given)
        except ValueError as problem:
            raise InvalidInput(str(problem)) from None
        tiering = Tiering(collection, policy, back=back or ())
        plan = tiering.plan(limit=limit)
        home = keep(collection, plan, out)
        if home:
            tiering.keep(Path(home))
    to_machine = machine(context, as_json)
    values = about(plan, home, to_machine)
    if to_machine:
        values["costs"] = plan.head.policy["costs"]
    say(values, to_machine, "Plan: tier")
    for line in plan.head.policy["told"]:
        tell(line)
    return ending(plan, home)
