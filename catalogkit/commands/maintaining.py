"""Command `maintain`: the nightly round."""

from __future__ import annotations

import sys

import typer

from catalogkit.door import DONE, ERROR, INTERRUPTED, LOOK, Json, machine


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(maintain)


def maintain(context: typer.Context, as_json: Json = False) -> int:
    """Do the nightly round as [maintain] of the settings says; list what waits for a person (docs/schedules.md)."""
    from catalogkit.maintaining import in_words
    from catalogkit.maintaining import maintain as go_round
    from catalogkit.reprs import printable
    from catalogkit.terminal import progress_bar, say, stoppable, tell

    with context.obj.open() as collection, progress_bar("maintain") as progress, stoppable() as stop:
        result = go_round(collection, progress=progress, stop=stop)
    if machine(context, as_json):
        say(result.to_dict(), True, "Maintenance")
    else:
        say({name: in_words(told) for name, told in result.steps.items()}, False, "Maintenance")
        if result.waits:
            sys.stdout.write("Waiting for a person:\n")
        for one in result.waits:
            sys.stdout.write(
                f"  {printable(one['what'])}\n" + (f"    {printable(one['path'])}\n" if one["path"] else "")
            )
        if any(one["path"] for one in result.waits):
            tell("Look at a plan with `catalogkit review PLAN`; it says how to approve and apply it.")
    if result.interrupted:
        return INTERRUPTED
    return ERROR if result.failed else LOOK if result.waits else DONE
