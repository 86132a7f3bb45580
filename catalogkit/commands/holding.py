"""Commands `hold add`, `hold list`, `hold release`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from catalogkit.door import DONE, Json, machine

holding = typer.Typer(help="Protect documents and bytes from deletion.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.add_typer(holding, name="hold")


@holding.command("add")
def hold_add(
    context: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="DIGEST|ID")],
    reason: Annotated[str, typer.Option(help="Why; shown to whoever wants to delete it.")],
    until: Annotated[str | None, typer.Option(help="For how long, such as 90d; for ever without it.")] = None,
    as_json: Json = False,
) -> int:
    """Hold a document, or bytes."""
    from catalogkit.model import Digest
    from catalogkit.planning.common import user_name
    from catalogkit.terminal import say
    from catalogkit.units import parse_duration

    with context.obj.open() as collection:
        now, numbered = collection.now(), len(subject) < 20 and subject.isdigit()
        hold = collection.catalog.place_hold(
            reason,
            document_id=int(subject) if numbered else None,
            digest=None if numbered else Digest.parse(subject),
            placed_by=user_name(),
            expires_at=now + parse_duration(until) if until else None,
            as_of=now,
        )
    say({"hold": hold, "subject": subject}, machine(context, as_json), "Held")
    return DONE


@holding.command("list")
def hold_list(context: typer.Context, as_json: Json = False) -> int:
    """Holds in force."""
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        holds = collection.catalog.holds(as_of=collection.now())
    if machine(context, as_json):
        say({"holds": holds}, True, "Holds")
        return DONE
    if not holds:
        tell("no holds are in force")
    for hold in holds:
        sys.stdout.write("{id:>6}  {subject}  {reason}  by {placed_by}\n".format_map(hold))
    return DONE


@holding.command("release")
def hold_release(
    context: typer.Context, hold: Annotated[int, typer.Argument(metavar="HOLD")], as_json: Json = False
) -> int:
    """End a hold."""
    from catalogkit.terminal import say

    with context.obj.open() as collection:
        collection.catalog.release_hold(hold, as_of=collection.now())
    say({"released": hold}, machine(context, as_json), "Released")
    return DONE
