"""Command `plan near`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from catalogkit.commands.planned import Limit, Out, about, keep
from catalogkit.commands.plans import planning
from catalogkit.door import DONE, LOOK, Json, machine

if TYPE_CHECKING:
    from catalogkit.planning import NearDuplicates

_SHOWN = 10


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    planning.command("near")(plan_near)


def plan_near(context: typer.Context, limit: Limit = None, out: Out = None, as_json: Json = False) -> int:
    """Keep the best copy of each text, forget the others; nothing of it is selected before you choose."""
    from catalogkit.planning.near import near_duplicates, plan_of
    from catalogkit.terminal import progress_bar, say, tell

    with context.obj.open() as collection, progress_bar("sketch") as progress:
        found = near_duplicates(collection, progress=progress)
        plan = plan_of(collection, found, limit=limit)
        home = keep(collection, plan, out)
    to_machine = machine(context, as_json)
    values: dict[str, Any] = about(plan, home, to_machine) | found.to_dict()
    if to_machine:
        values["near"] = found.frame.to_dicts()
    say(values, to_machine, "Plan: near-duplicates")
    if not to_machine:
        sys.stdout.write(_in_words(found))
    if unread := found.left_out.get("unread"):
        tell(f"{unread:,} have no extracted text; `catalogkit extract` extracts it, or says why it cannot.")
    if not plan.units:
        tell("No near-duplicates.")
        return DONE
    tell(f"Look at it with `catalogkit review {home}`; nothing is selected, choose what may go.")
    return LOOK


def _in_words(found: NearDuplicates) -> str:
    """The first clusters: what is kept, and how like it the others are."""
    lines = []
    if found.left_out:
        why = ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items())
        lines.append(f"  not compared: {why}")
    shown = found.frame.filter(found.frame["cluster"] < _SHOWN)
    for row in shown.iter_rows(named=True):
        name = row["title"] or row["artifact_id"]
        if row["kept"]:
            what = "many say, which is taken for a stock page" if row["stock"] else "keep"
            lines.append(f"  {what}: document {row['document_id']}, {name} ({row['media_type']}, {row['bytes']:,} B)")
            continue
        held = "; under a hold" if row["held"] else ""
        lines.append(
            f"    {row['similarity']:>4.0%} alike: document {row['document_id']}, {name}"
            f" ({row['media_type']}, {row['bytes']:,} B{held})"
        )
        if row["differs"]:
            lines.append(f"          only here: {row['differs']} ...")
    left = found.frame["cluster"].n_unique() - _SHOWN
    return "\n".join([*lines, f"  and {left:,} more" if left > 0 else ""]).rstrip() + "\n"
