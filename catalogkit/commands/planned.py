"""What every command that makes a plan shares: where the plan is saved, and what is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from catalogkit.door import DONE, LOOK, machine

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from catalogkit.collection import Collection
    from catalogkit.plan import Plan

Out = Annotated[Path | None, typer.Option("-o", metavar="DIR", help="Where the plan is kept; else in the collection.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most so many units.")]
Private = Annotated[bool, typer.Option("--private", help="Also from hosts of private addresses, such as localhost.")]
NOTHING: Final = "Nothing to do."

# By these a plan is found again, as long as it is good.
_TO_FIND: Final = ("id", "expires_at", "path")


def keep(collection: Collection, plan: Plan, out: Path | None) -> str:
    """Save a plan, and say where; one with nothing to do is not kept, for nobody could do anything with it."""
    return str(plan.save(out or collection.path / "plans")) if plan.units else ""


def about(plan: Plan, home: str, to_machine: bool) -> dict[str, Any]:
    """What is said of a plan; to a person nothing by which to find one that is not kept."""
    values = {**plan.summary(), "path": home}
    return values if home or to_machine else {name: values[name] for name in values if name not in _TO_FIND}


def what_next(home: str) -> str:
    """What to type to look at a plan, and to say yes to it."""
    return f"Review it: `catalogkit review {home}`; approve it: `catalogkit approve {home}`."


def planned(
    context: typer.Context,
    make: Callable[[Collection], Plan],
    out: Path | None,
    as_json: bool,
    kept: Callable[[Collection], pl.DataFrame] | None = None,
) -> int:
    """Make a plan, keep it, and say what to do with it; where there is nothing to do, `kept` tells what others keep."""
    from catalogkit.terminal import say, tell

    with context.obj.open() as collection:
        plan = make(collection)
        values: dict[str, Any] = {**plan.summary(), "path": keep(collection, plan, out)}
        if kept is not None and not plan.units:
            values["kept"] = kept(collection).to_dicts()
    to_machine = machine(context, as_json)
    if to_machine or plan.units:  # a plan of nothing is not kept: its id would lead nowhere
        say(values, to_machine, f"Plan: {plan.head.kind}")
    for line in plan.head.policy.get("told", ()):
        tell(line)
    return ending(plan, values["path"], _kept(values["kept"]) if values.get("kept") else NOTHING)


def ending(plan: Plan, home: str, nothing: str = NOTHING) -> int:
    """Say what to do with a plan that lies at `home`, or why there is nothing to do; gives the exit code."""
    from catalogkit.terminal import tell

    if plan.units:
        tell(what_next(home))
    else:
        tell(f"Nothing can be done: {plan.head.complete}." if plan.head.complete else nothing)
    return LOOK if plan.units or plan.head.complete else DONE


def _kept(rows: list[dict[str, Any]]) -> str:
    """Why there is nothing to collect although there is garbage."""
    from catalogkit.display import format_bytes

    parts = [
        f"{row['keepers']:,} {row['by']}{'' if row['keepers'] == 1 else 's'} ({format_bytes(row['bytes'])})"
        for row in rows
    ]
    whole = format_bytes(sum(row["bytes"] for row in rows))
    return f"Nothing to collect; {whole} that no document needs are kept only by {', '.join(parts)}."
